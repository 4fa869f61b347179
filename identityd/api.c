#include "identityd/api.h"

#include <string.h>

#include "wire/status.h"

/* an answer may need the cloud, and a client waits 10 minutes for it (common.md 7) */
#define CLOUD_MS 600000

static const char *const versions[] = { "2020-09-01", "2021-12-01", "2022-08-01", NULL };

static const struct route routes[] = {
	/* method   path                                 since         who               where   handler */
	{ "GET", "/identities/identity", "2020-09-01", OP_SELF, WORKER, identityd_get_self,
	    CLOUD_MS },
	{ "POST", "/identities/device", "2020-09-01", OP_GET_DEVICE, WORKER, identityd_get_device,
	    CLOUD_MS },
	{ "POST", "/identities/device/reprovision", "2020-09-01", OP_REPROVISION, WORKER,
	    identityd_reprovision, CLOUD_MS },
	{ "GET", "/identities/provisioning", "2021-12-01", OP_ANY, WORKER,
	    identityd_get_provisioning },
	{ "GET", "/identities/modules", "2020-09-01", OP_LIST_MODULES, WORKER,
	    identityd_list_modules, CLOUD_MS },
	{ "POST", "/identities/modules", "2020-09-01", OP_CREATE_MODULE, WORKER,
	    identityd_create_module, CLOUD_MS },
	{ "GET", "/identities/modules/{id}", "2020-09-01", OP_GET_MODULE, WORKER,
	    identityd_get_module, CLOUD_MS },
	{ "PUT", "/identities/modules/{id}", "2020-09-01", OP_UPDATE_MODULE, WORKER,
	    identityd_update_module, CLOUD_MS },
	{ "DELETE", "/identities/modules/{id}", "2020-09-01", OP_DELETE_MODULE, WORKER,
	    identityd_delete_module, CLOUD_MS },
	{ "GET", STATUS_PATH, "2020-09-01", OP_ANY, WORKER, identityd_status },
	{ "GET", "/trust-bundle", "2020-09-01", OP_ANY, INLINE, identityd_get_trust_bundle },
};

/* A peer's failure is 404 with its causes, and what does not exist is 400 (identityd.md 1, status map). */
static const struct route_status status[ERR_CODES] = {
	[ERR_INVALID] = { 400, SHOW_CHAIN },
	[ERR_NO_BODY] = { 400, SHOW_CHAIN },
	[ERR_NOT_FOUND] = { 400, SHOW_OUTER },
	[ERR_SYNTAX] = { 422, SHOW_CHAIN },
	[ERR_DENIED] = { 401, SHOW_QUIET, "authorization error" },
	[ERR_UNREACHABLE] = { 404, SHOW_CHAIN },
	[ERR_TIMEOUT] = { 404, SHOW_CHAIN },
	[ERR_PEER] = { 404, SHOW_CHAIN },
	[ERR_PROTOCOL] = { 404, SHOW_CHAIN },
	[ERR_CONFLICT] = { 404, SHOW_CHAIN },
	[ERR_CONFIG] = { 404, SHOW_CHAIN },
	[ERR_BUSY] = { 500, SHOW_OUTER },
	[ERR_INTERNAL] = { 500, SHOW_FIXED, "internal error" },
};

static enum err_code
authorize(void *service, const struct route *row, const struct request *req, struct err *err)
{
	struct identityd *s = service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	struct caller caller = principals_classify(settings, req->peer->uid);

	if (principals_allow(&caller, (enum operation)row->who, req->params[0]))
		return ERR_OK;
	return err_set(err, ERR_DENIED, "uid %u may not do this", (unsigned)req->peer->uid);
}

const struct route_table identityd_routes = {
	.daemon = "identityd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = status,
	.authorize = authorize,
};

enum err_code
identityd_device(struct identityd *s, struct device **ret, struct err *err)
{
	return provision_device(s->provision, s->first_verdict_ms, ret, err);
}

enum err_code
identityd_check_type(const char *type, const char *const *allowed, struct err *err)
{
	if (!type) {
		err_set(err, ERR_INVALID, "missing parameter");
		return err_param(err, "type");
	}
	for (; *allowed; allowed++)
		if (strcmp(type, *allowed) == 0)
			return ERR_OK;
	err_set(err, ERR_INVALID, "invalid type: %s", type);
	return err_param(err, "type");
}
