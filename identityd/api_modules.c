#include <string.h>

#include "identityd/api.h"
#include "identityd/local.h"

/* Handlers for module identities. */

static const char *const aziot[] = { "aziot", NULL };
static const char *const aziot_or_local[] = { "aziot", "local", NULL };

/* "Blank" as the contract has it: nothing but white space. */
static enum err_code
check_not_blank(const char *module_id, struct err *err)
{
	if (module_id[strspn(module_id, " \t\r\n\v\f")] != '\0')
		return ERR_OK;
	err_set(err, ERR_INVALID, "module id is blank");
	return err_param(err, "module_id");
}

static enum err_code
answer(struct response *resp, const struct identity *identity, struct err *err)
{
	return response_json(resp, 200, identity_fields, identity, err);
}

static enum err_code
create_local(struct identityd *s, const struct identity_module_req *in, struct response *resp,
    struct err *err)
{
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	AUTO(identity_done) struct identity out = { 0 };

	if (principals_local(settings, in->module_id)) {
		err_set(err, ERR_INVALID, "local identity for %s already exists", in->module_id);
		return err_param(err, "moduleId");
	}
	if (local_issue(s->certd, settings, in->module_id, local_wants_server(in->local_id_opts),
		&out, err))
		return err->code;
	return answer(resp, &out, err);
}

static enum err_code
get_local(struct identityd *s, const char *module_id, struct response *resp, struct err *err)
{
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	const struct settings_principal *p = principals_local(settings, module_id);
	AUTO(identity_done) struct identity out = { 0 };

	if (!p) {
		err_set(err, ERR_INVALID, "local identity for %s doesn't exist", module_id);
		return err_param(err, "moduleId");
	}
	if (local_issue(
		s->certd, settings, module_id, p->localid && p->localid->attributes, &out, err))
		return err->code;
	return answer(resp, &out, err);
}

enum err_code
identityd_list_modules(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_list_done) struct identity_list out = { 0 };

	if (identityd_check_type(request_query(req, "type"), aziot, err) ||
	    identityd_device(s, &d, err) || modules_list(s->modules, d, &out, err))
		return err->code;
	return response_json(resp, 200, identity_list_fields, &out, err);
}

enum err_code
identityd_create_module(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(identity_module_req_done) struct identity_module_req in = { 0 };
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity out = { 0 };

	if (identity_module_req_read(&in, req->body, err) ||
	    identityd_check_type(in.type, aziot_or_local, err) ||
	    check_not_blank(in.module_id, err))
		return err->code;
	if (strcmp(in.type, "local") == 0)
		return create_local(s, &in, resp, err);
	if (identityd_device(s, &d, err) || modules_create(s->modules, d, in.module_id, &out, err))
		return err->code;
	return answer(resp, &out, err);
}

enum err_code
identityd_get_module(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	const char *type = request_query(req, "type");
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity out = { 0 };

	if (identityd_check_type(type, aziot_or_local, err) || check_not_blank(req->params[0], err))
		return err->code;
	if (strcmp(type, "local") == 0)
		return get_local(s, req->params[0], resp, err);
	if (identityd_device(s, &d, err) ||
	    modules_get(s->modules, d, req->params[0], settings->prefer_cache, &out, err))
		return err->code;
	return answer(resp, &out, err);
}

enum err_code
identityd_update_module(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity out = { 0 };

	if (identityd_check_type(request_query(req, "type"), aziot, err) ||
	    check_not_blank(req->params[0], err) || identityd_device(s, &d, err) ||
	    modules_update(s->modules, d, req->params[0], &out, err))
		return err->code;
	return answer(resp, &out, err);
}

enum err_code
identityd_delete_module(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(device_unrefp) struct device *d = NULL;

	if (identityd_check_type(request_query(req, "type"), aziot, err) ||
	    check_not_blank(req->params[0], err) || identityd_device(s, &d, err) ||
	    modules_delete(s->modules, d, req->params[0], err))
		return err->code;
	return response_empty(resp, 204);
}
