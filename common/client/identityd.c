#include "client/identityd.h"

#include <stdlib.h>

#include "data/uri.h"

#define TIMEOUT_MS (10 * 60 * 1000) /* identityd may ask the cloud before it answers */
#define VERSION	   "?api-version=" IDENTITYD_API_VERSION
/* the first version that has this route (contracts/identityd.md 1) */
#define PROVISIONING_VERSION "?api-version=2021-12-01"

struct identityd_client {
	struct unix_client *http;
};

enum err_code
identityd_client_new(
    const struct unix_client_config *config, struct identityd_client **ret, struct err *err)
{
	struct unix_client_config filled = *config;
	struct identityd_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	if (!filled.path)
		filled.path = IDENTITYD_SOCKET;
	if (!filled.host)
		filled.host = "identityd.sock";
	if (!filled.timeout_ms)
		filled.timeout_ms = TIMEOUT_MS;
	if (unix_client_new(&filled, &c->http, err)) {
		free(c);
		return err->code;
	}
	*ret = c;
	return ERR_OK;
}

void
identityd_client_free(struct identityd_client *c)
{
	if (!c)
		return;
	unix_client_free(c->http);
	free(c);
}

enum err_code
identityd_client_device(struct identityd_client *c, struct identity *ret, struct err *err)
{
	struct identity_device_req req = { .type = (char *)identity_type_names[IDENTITY_AZIOT] };

	return unix_client_json(c->http, "POST", "/identities/device" VERSION, true, 0,
	    identity_device_req_fields, &req, 200, identity_fields, ret, err);
}

enum err_code
identityd_client_reprovision(struct identityd_client *c, struct err *err)
{
	struct identity_device_req req = { .type = (char *)identity_type_names[IDENTITY_AZIOT] };

	return unix_client_json(c->http, "POST", "/identities/device/reprovision" VERSION, false, 0,
	    identity_device_req_fields, &req, 204, NULL, NULL, err);
}

enum err_code
identityd_client_modules(struct identityd_client *c, struct identity_list *ret, struct err *err)
{
	return unix_client_json(c->http, "GET", "/identities/modules" VERSION "&type=aziot", true,
	    0, NULL, NULL, 200, identity_list_fields, ret, err);
}

/* Creating an existing module yields that module, so it may be sent twice. */
enum err_code
identityd_client_module_create(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	struct identity_module_req req = {
		.type = (char *)identity_type_names[IDENTITY_AZIOT],
		.module_id = (char *)module_id,
	};

	return unix_client_json(c->http, "POST", "/identities/modules" VERSION, true, 0,
	    identity_module_req_fields, &req, 200, identity_fields, ret, err);
}

static enum err_code
module_target(const char *module_id, char **ret, struct err *err)
{
	AUTO(str_freep) char *escaped = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(module_id), &escaped, err))
		return err->code;
	return str_format(ret, err, "/identities/modules/%s" VERSION "&type=aziot", escaped);
}

enum err_code
identityd_client_module_get(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	AUTO(str_freep) char *target = NULL;

	if (module_target(module_id, &target, err))
		return err->code;
	return unix_client_json(
	    c->http, "GET", target, true, 0, NULL, NULL, 200, identity_fields, ret, err);
}

enum err_code
identityd_client_module_update(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	AUTO(str_freep) char *target = NULL;
	struct identity_module_req req = {
		.type = (char *)identity_type_names[IDENTITY_AZIOT],
		.module_id = (char *)module_id,
	};

	if (module_target(module_id, &target, err))
		return err->code;
	return unix_client_json(c->http, "PUT", target, true, 0, identity_module_req_fields, &req,
	    200, identity_fields, ret, err);
}

enum err_code
identityd_client_module_delete(struct identityd_client *c, const char *module_id, struct err *err)
{
	AUTO(str_freep) char *target = NULL;

	if (module_target(module_id, &target, err))
		return err->code;
	return unix_client_json(
	    c->http, "DELETE", target, false, 0, NULL, NULL, 204, NULL, NULL, err);
}

enum err_code
identityd_client_provisioning(
    struct identityd_client *c, struct identity_provisioning *ret, struct err *err)
{
	return unix_client_json(c->http, "GET", "/identities/provisioning" PROVISIONING_VERSION,
	    true, 0, NULL, NULL, 200, identity_provisioning_fields, ret, err);
}
