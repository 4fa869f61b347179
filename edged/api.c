#include "edged/api.h"

#include <string.h>

#include "edged/attest.h"
#include "edged/boot.h"
#include "edged/listeners.h"
#include "edged/modules.h"
#include "edged/service.h"
#include "wire/status.h"

/* The whole surface of the management socket (contracts/edged-management.md 2.2). */

#define ENGINE_MS   (5 * 60 * 1000)  /* a container may ask for a long grace */
#define PULL_MS	    (20 * 60 * 1000) /* and a registry may be slow */
#define IDENTITY_MS (10 * 60 * 1000) /* identityd asks the cloud */
#define QUERY_MS    65000	     /* the engine has 60 s */

static const struct route routes[] = {
	/* method path                         since         who          where   handler */
	{ "GET", STATUS_PATH, "2018-06-28", EDGED_OPEN, WORKER, edged_status_get, QUERY_MS },
	{ "GET", "/modules", "2018-06-28", EDGED_OPEN, WORKER, edged_module_list_get, QUERY_MS },
	{ "POST", "/modules", "2018-06-28", EDGED_AGENT, WORKER, edged_module_create, PULL_MS },
	{ "GET", "/modules/", "2018-06-28", EDGED_OPEN, WORKER, edged_module_list_get, QUERY_MS },
	{ "POST", "/modules/", "2018-06-28", EDGED_AGENT, WORKER, edged_module_create, PULL_MS },
	{ "GET", "/modules/{m}", "2018-06-28", EDGED_OPEN, WORKER, edged_module_get, QUERY_MS },
	{ "PUT", "/modules/{m}", "2018-06-28", EDGED_AGENT, WORKER, edged_module_replace, PULL_MS },
	{ "DELETE", "/modules/{m}", "2018-06-28", EDGED_AGENT, WORKER, edged_module_delete,
	    ENGINE_MS },
	{ "POST", "/modules/{m}/prepareupdate", "2019-01-30", EDGED_AGENT, WORKER,
	    edged_module_prepare_update, PULL_MS },
	{ "GET", "/modules/{m}/logs", "2018-06-28", EDGED_OPEN, WORKER, edged_module_logs,
	    QUERY_MS },
	{ "POST", "/modules/{m}/{action}", "2018-06-28", EDGED_ACT, WORKER, edged_module_act,
	    ENGINE_MS },
	{ "GET", "/identities", "2018-06-28", EDGED_OPEN, WORKER, edged_identity_list_get,
	    IDENTITY_MS },
	{ "POST", "/identities", "2018-06-28", EDGED_AGENT, WORKER, edged_identity_create,
	    IDENTITY_MS },
	{ "GET", "/identities/", "2018-06-28", EDGED_OPEN, WORKER, edged_identity_list_get,
	    IDENTITY_MS },
	{ "POST", "/identities/", "2018-06-28", EDGED_AGENT, WORKER, edged_identity_create,
	    IDENTITY_MS },
	{ "PUT", "/identities/{id}", "2018-06-28", EDGED_AGENT, WORKER, edged_identity_update,
	    IDENTITY_MS },
	{ "DELETE", "/identities/{id}", "2018-06-28", EDGED_AGENT, WORKER, edged_identity_delete,
	    IDENTITY_MS },
	{ "GET", "/systeminfo", "2018-06-28", EDGED_OPEN, WORKER, edged_system_get, QUERY_MS },
	{ "GET", "/systeminfo/resources", "2019-11-05", EDGED_OPEN, WORKER, edged_resources_get,
	    QUERY_MS },
	{ "GET", "/systeminfo/supportbundle", "2020-07-07", EDGED_OPEN, INLINE,
	    edged_support_bundle_get, 0 },
	{ "POST", "/device/reprovision", "2019-10-22", EDGED_AGENT, WORKER, edged_reprovision, 0 },
};

const struct route_status edged_statuses[ERR_CODES] = {
	[ERR_INVALID] = { 400, SHOW_CHAIN },
	[ERR_NO_BODY] = { 400, SHOW_OUTER },
	[ERR_SYNTAX] = { 422, SHOW_CHAIN },
	[ERR_DENIED] = { 403, SHOW_QUIET, "forbidden" },
	[ERR_NOT_FOUND] = { 404, SHOW_OUTER },
	[ERR_CONFLICT] = { 409, SHOW_OUTER },
	[ERR_PEER] = { 500, SHOW_OUTER, .pass_peer_status = true },
	[ERR_UNREACHABLE] = { 500, SHOW_OUTER },
	[ERR_TIMEOUT] = { 500, SHOW_OUTER },
	[ERR_BUSY] = { 500, SHOW_OUTER },
	[ERR_PROTOCOL] = { 500, SHOW_OUTER },
	[ERR_IO] = { 500, SHOW_OUTER },
	[ERR_CRYPTO] = { 500, SHOW_OUTER },
	[ERR_NOMEM] = { 500, SHOW_OUTER },
	[ERR_INTERNAL] = { 500, SHOW_OUTER },
};

/* A process of edgeAgent's container, by its cgroup and never by the engine's `top` (docker.md 7). */
static enum err_code
agent_only(struct edged *edged, const struct request *req, struct err *err)
{
	char id[ATTEST_ID_LEN + 1];

	if (listeners_container_of(edged->listeners, EDGED_AGENT_NAME, id, err))
		return err_wrap_code(err, ERR_DENIED, "caller not known");
	return attest_peer(req->peer, id, err);
}

static enum err_code
authorize(void *service, const struct route *row, const struct request *req, struct err *err)
{
	struct edged *edged = service;

	if (row->who == EDGED_AGENT && agent_only(edged, req, err))
		return err->code;
	/* what runs before the purge may be another device's modules */
	if (row->who != EDGED_OPEN && edged->boot && boot_ready(edged->boot, err))
		return err->code;
	return ERR_OK;
}

const struct route_table edged_management_table = {
	.daemon = "edged",
	.versions = edged_api_versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = edged_statuses,
	.authorize = authorize,
};
