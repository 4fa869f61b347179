#include "identityd/hub.h"

#include <string.h>

#include "base/clock.h"
#include "crypto/sas.h"
#include "data/uri.h"
#include "identityd/names.h"

#define OVERALL_MS 120000
#define WHO	   "Hub client error"

/* --- refusals --- */

static enum err_code
refused(const struct cloud_reply *reply, struct err *err)
{
	struct hub_error e = { 0 };
	char said[PEER_TEXT_MAX] = "";
	struct err ignored = { 0 };
	enum err_code code = ERR_PEER;

	if (fields_read_text(hub_error_fields, &e, text_of_bytes(&reply->body), &ignored) == ERR_OK)
		peer_text(e.message ? e.message : e.error_message, said, sizeof(said));
	/* a parent edgeHub reports that it is itself offline as 500 */
	if (reply->status >= 500 || e.network_error)
		code = ERR_UNREACHABLE;
	if (said[0])
		err_set(err, code, "%s", said);
	else
		err_set(err, code, "unexpected HTTP status code: %u", reply->status);
	err->status = (uint16_t)reply->status;
	hub_error_done(&e);
	return code;
}

/* A 404 to a question about one module: is it the device that is gone? */
static bool
speaks_of_device(const struct err *err)
{
	return strstr(err->text, "DeviceNotFound") || strstr(err->text, "404001");
}

static enum err_code
module_refused(const struct cloud_reply *reply, struct err *err)
{
	enum err_code code = refused(reply, err);

	/* 412: If-Match * finds nothing to match; 204 to a GET: the C# SDK takes it for absent, too */
	if ((code == ERR_PEER && reply->status == 404 && !speaks_of_device(err)) ||
	    reply->status == 412 || reply->status == 204)
		return err_set(err, ERR_NOT_FOUND, "module identity not found");
	if (reply->status == 409)
		return err_wrap_code(err, ERR_CONFLICT, "the module exists already");
	return code;
}

bool
hub_rejects_device(const struct err *err)
{
	return err->code == ERR_PEER &&
	       (err->status == 401 || err->status == 403 || err->status == 404);
}

static enum err_code
failed(struct err *err)
{
	if (err->code == ERR_NOT_FOUND || err->code == ERR_CONFLICT)
		return err->code;
	/* the token could not be signed: that is not the hub's doing */
	if (strncmp(err->text, "Key client error", 16) == 0 ||
	    strncmp(err->text, "TPM client error", 16) == 0)
		return err->code;
	return peer_failed(err, WHO);
}

/* --- requests --- */

static enum err_code
url_of(const struct device *d, const char *module_id, char **ret, struct err *err)
{
	AUTO(str_freep) char *device = NULL;
	AUTO(str_freep) char *module = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(d->id), &device, err) ||
	    uri_encode(URI_UNRESERVED, text_of(module_id), &module, err))
		return err->code;
	return str_format(ret, err,
	    "https://%s/devices/%s/modules%s%s?api-version=" HUB_API_VERSION, d->gateway, device,
	    module_id ? "/" : "", module);
}

static enum err_code
send(const struct hub_ask *ask, const char *method, const char *module_id, const char *body,
    bool if_match, struct cloud_reply *ret, struct err *err)
{
	AUTO(str_freep) char *url = NULL;
	AUTO(str_freep) char *audience = NULL;
	struct cloud_call call = {
		.method = method,
		.body = body,
		.if_match = if_match,
		.key_id = ask->device->key_id,
		.deadline_ms = clock_mono_ms() + (ask->overall_ms ? ask->overall_ms : OVERALL_MS),
		.once = ask->once,
	};

	if (url_of(ask->device, module_id, &url, err) ||
	    sas_audience(ask->device->hub, "devices", ask->device->id, &audience, err))
		return err->code;
	call.url = url;
	call.audience = audience;
	return cloud_send(ask->cloud, &call, ret, err);
}

static enum err_code
read_module(
    const struct cloud_reply *reply, const char *module_id, struct hub_module *ret, struct err *err)
{
	AUTO(hub_module_done) struct hub_module module = { 0 };

	if (fields_read_text(hub_module_fields, &module, text_of_bytes(&reply->body), err))
		return err_wrap_code(err, ERR_PROTOCOL, "the answer cannot be understood");
	if (strcmp(module.module_id, module_id) != 0)
		return err_set(err, ERR_PROTOCOL, "the answer is about another module");
	if (module.generation_id && !id_valid(module.generation_id))
		return err_set(err, ERR_PROTOCOL, "the answer has no usable generation id");
	*ret = module;
	module = (struct hub_module){ 0 };
	return ERR_OK;
}

/* GET or PUT one module. */
static enum err_code
exchange(const struct hub_ask *ask, const char *method, const struct hub_module *out,
    const char *module_id, bool if_match, struct hub_module *ret, struct err *err)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	AUTO(str_freep) char *body = NULL;

	if (out && fields_write_text(hub_module_fields, out, &body, err))
		return err->code;
	if (send(ask, method, module_id, body, if_match, &reply, err))
		return failed(err);
	if (reply.status != 200 && !(out && reply.status == 201)) {
		module_refused(&reply, err);
		return failed(err);
	}
	return read_module(&reply, module_id, ret, err) ? failed(err) : ERR_OK;
}

enum err_code
hub_list(const struct hub_ask *ask, struct hub_module_list *ret, struct err *err)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };

	if (send(ask, "GET", NULL, NULL, false, &reply, err))
		return failed(err);
	if (reply.status != 200) {
		refused(&reply, err);
		return failed(err);
	}
	if (fields_read_text(hub_module_list_fields, ret, text_of_bytes(&reply.body), err)) {
		err_wrap_code(err, ERR_PROTOCOL, "the answer cannot be understood");
		return failed(err);
	}
	return ERR_OK;
}

enum err_code
hub_get(const struct hub_ask *ask, const char *module_id, struct hub_module *ret, struct err *err)
{
	return exchange(ask, "GET", NULL, module_id, false, ret, err);
}

enum err_code
hub_create(
    const struct hub_ask *ask, const char *module_id, struct hub_module *ret, struct err *err)
{
	struct hub_module out = {
		.module_id = (char *)module_id,
		.device_id = ask->device->id,
	};

	return exchange(ask, "PUT", &out, module_id, false, ret, err);
}

enum err_code
hub_set_keys(const struct hub_ask *ask, const struct hub_module *module, const char *primary,
    const char *secondary, struct hub_module *ret, struct err *err)
{
	struct hub_symmetric_key keys = {
		.primary = (char *)primary,
		.secondary = (char *)secondary,
	};
	struct hub_authentication authentication = {
		.symmetric_key = &keys,
		.type = (char *)"sas",
	};
	struct hub_module out = {
		.module_id = module->module_id,
		.managed_by = module->managed_by,
		.device_id = ask->device->id,
		.authentication = &authentication,
	};

	return exchange(ask, "PUT", &out, module->module_id, true, ret, err);
}

enum err_code
hub_delete(const struct hub_ask *ask, const char *module_id, struct err *err)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };

	if (send(ask, "DELETE", module_id, NULL, true, &reply, err))
		return failed(err);
	if (reply.status == 204 || reply.status == 200)
		return ERR_OK;
	module_refused(&reply, err);
	return failed(err);
}
