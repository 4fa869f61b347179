#include "edged/api.h"

#include <stdio.h>

#include "edged/boot.h"
#include "edged/child.h"
#include "edged/modules.h"
#include "edged/service.h"
#include "edged/systeminfo.h"
#include "platform/peer.h"
#include "wire/status.h"

enum err_code
edged_system_get(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(str_freep) char *engine_version = NULL;
	struct edged_systeminfo out;

	(void)req;
	if (engine_server_version(edged->engine, &engine_version, err))
		return err_wrap(err, "runtime operation error: query system info");
	systeminfo_show(edged->systeminfo, engine_version, &out);
	return response_json(resp, 200, edged_systeminfo_fields, &out, err);
}

enum err_code
edged_resources_get(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(edged_resources_done) struct edged_resources out = { 0 };

	(void)req;
	if (systeminfo_resources(edged->systeminfo, &out, err) ||
	    modules_stats(edged->modules, &out.docker_stats, err))
		return err->code;
	return response_json(resp, 200, edged_resources_fields, &out, err);
}

enum err_code
edged_support_bundle_get(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service;
	(void)req;
	(void)resp;
	return err_set(err, ERR_NOT_FOUND, "not found");
}

enum err_code
edged_reprovision(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;

	(void)req;
	(void)err;
	boot_reprovision(edged->boot);
	return response_empty(resp, 204);
}

/* --- status */

static enum err_code
add_modules(struct edged *edged, struct status_resp *out, struct err *err)
{
	AUTO(edged_module_list_done) struct edged_module_list list = { 0 };
	struct err away = { 0 };

	/* the engine's absence is in the detail already */
	if (modules_list(edged->modules, &list, &away))
		return ERR_OK;
	for (size_t i = 0; i < list.modules.n; i++)
		if (status_add_module(out, list.modules.at[i].name,
			list.modules.at[i].status.runtime_status.status, err))
			return err->code;
	return ERR_OK;
}

/* ret_engine: does the engine answer? */
static enum err_code
add_facts(struct edged *edged, struct status_resp *out, bool *ret_engine, struct err *err)
{
	const struct agent_device *device;
	AUTO(str_freep) char *engine = NULL;
	struct err away = { 0 };

	if (boot_device(edged->boot, &device) && status_fact(out, "device", device->device_id, err))
		return err->code;
	*ret_engine = engine_describe(edged->engine, &engine, &away) == ERR_OK;
	if (status_fact(out, "container engine", *ret_engine ? engine : "away", err))
		return err->code;
	if (!peer_has_pidfd())
		return status_fact(
		    out, "callers", "told by process id: this kernel has no SO_PEERPIDFD", err);
	return ERR_OK;
}

enum err_code
edged_status_get(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(status_resp_done) struct status_resp out = { 0 };
	char detail[256];
	bool well = boot_health(edged->boot, detail, sizeof(detail));
	bool engine = false;

	(void)req;
	if (well && !child_serves(edged->child)) {
		well = false;
		snprintf(
		    detail, sizeof(detail), "the workload process has ended; another one follows");
	}
	if (status_begin(&out, edged->daemon, well, detail, err) ||
	    add_facts(edged, &out, &engine, err) || (engine && add_modules(edged, &out, err)))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
