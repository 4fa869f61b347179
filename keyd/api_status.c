/* api_status.c - how keyd is, for `edgekeep status` */
#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/status.h"

static enum err_code
describe(const struct keyd *keyd, struct status_resp *out, struct err *err)
{
	const char *homedir = keyd->config.places.homedir_path;
	AUTO(str_freep) char *detail = NULL;
	struct err why = { 0 };

	if (keys_check(keyd->keys, &why))
		return status_begin(out, keyd->daemon, false, why.text, err);
	if (!homedir)
		return status_begin(out, keyd->daemon, true, "preloaded keys only", err);
	if (str_format(&detail, err, "keys in %s", homedir))
		return err->code;
	return status_begin(out, keyd->daemon, true, detail, err);
}

enum err_code
keyd_status(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(status_resp_done) struct status_resp out = { 0 };

	(void)req;
	if (describe(service, &out, err))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
