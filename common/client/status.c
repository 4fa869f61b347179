#include "client/status.h"

#include "http/unix_client.h"

static void
client_freep(struct unix_client **c)
{
	unix_client_free(*c);
}

enum err_code
status_client_get(const char *socket, const char *version, struct status_resp *ret, struct err *err)
{
	AUTO(client_freep) struct unix_client *client = NULL;
	AUTO(str_freep) char *target = NULL;
	struct unix_client_config config = {
		.path = socket, .host = "edgekeep", .timeout_ms = 5000
	};

	if (unix_client_new(&config, &client, err) ||
	    str_format(&target, err, STATUS_PATH "?api-version=%s", version))
		return err->code;
	return unix_client_json(
	    client, "GET", target, true, 0, NULL, NULL, 200, status_resp_fields, ret, err);
}
