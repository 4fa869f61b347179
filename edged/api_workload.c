#include <string.h>

#include "base/b64.h"
#include "edged/attest.h"
#include "edged/service.h"
#include "edged/workload.h"

/* The workload API: what modules may ask (contracts/edged-workload.md 3.1).  Each handler unpacks, calls the domain, packs. */

/* A failure of keyd, certd or identityd is ours on this API: 500 with their text (edged-workload.md 3.1, Errors). */
static enum err_code
service_failed(struct err *err)
{
	if (err->code != ERR_DENIED)
		err->code = ERR_INTERNAL;
	return err->code;
}

/* A base64 member; a bad one is the caller's parameter, not its syntax. */
static enum err_code
decode(const char *member, struct bytes *ret, struct err *err)
{
	if (b64_decode(B64_STD, text_of(member), ret, err))
		return err_set(err, ERR_INVALID, "invalid parameter: not valid base64");
	return ERR_OK;
}

static enum err_code
workload_modules(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(str_freep) char *json = NULL;

	(void)req;
	if (proto_modules_list(w->proto, &json, err))
		return service_failed(err);
	return response_json_text(resp, 200, &json);
}

static enum err_code
workload_sign(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_sign_req_done) struct edged_sign_req in = { 0 };
	AUTO(edged_sign_resp_done) struct edged_sign_resp out = { 0 };
	AUTO(bytes_done) struct bytes data = { 0 };

	if (!req->body)
		return err_set(err, ERR_NO_BODY, "missing parameter: request body");
	if (edged_sign_req_read(&in, req->body, err) || decode(in.data, &data, err))
		return err->code;
	if (module_keys_sign(w->keys, req->params[0], &data, &out.digest, err))
		return service_failed(err);
	return response_json(resp, 200, edged_sign_resp_fields, &out, err);
}

static enum err_code
workload_encrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_encrypt_req_done) struct edged_encrypt_req in = { 0 };
	AUTO(edged_encrypt_resp_done) struct edged_encrypt_resp out = { 0 };
	AUTO(bytes_done) struct bytes plaintext = { 0 };
	AUTO(bytes_done) struct bytes iv = { 0 };

	if (edged_encrypt_req_read(&in, req->body, err) || decode(in.plaintext, &plaintext, err) ||
	    decode(in.initialization_vector, &iv, err))
		return err->code;
	if (module_keys_encrypt(
		w->keys, req->params[0], req->params[1], &iv, &plaintext, &out.ciphertext, err))
		return service_failed(err);
	return response_json(resp, 200, edged_encrypt_resp_fields, &out, err);
}

static enum err_code
workload_decrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_decrypt_req_done) struct edged_decrypt_req in = { 0 };
	AUTO(edged_decrypt_resp_done) struct edged_decrypt_resp out = { 0 };
	AUTO(bytes_done) struct bytes ciphertext = { 0 };
	AUTO(bytes_done) struct bytes iv = { 0 };

	if (edged_decrypt_req_read(&in, req->body, err) ||
	    decode(in.ciphertext, &ciphertext, err) || decode(in.initialization_vector, &iv, err))
		return err->code;
	if (module_keys_decrypt(
		w->keys, req->params[0], req->params[1], &iv, &ciphertext, &out.plaintext, err))
		return service_failed(err);
	return response_json(resp, 200, edged_decrypt_resp_fields, &out, err);
}

static enum err_code
workload_cert_server(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_cert_req_done) struct edged_cert_req in = { 0 };
	AUTO(edged_cert_resp_done) struct edged_cert_resp out = { 0 };

	if (edged_cert_req_read(&in, req->body, err))
		return err->code;
	if (module_certs_server(
		&w->certs, req->params[0], req->params[1], in.common_name, &out, err))
		return service_failed(err);
	return response_json(resp, 201, edged_cert_resp_fields, &out, err);
}

static enum err_code
workload_cert_identity(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(module_identity_done) struct module_identity identity = { 0 };
	AUTO(edged_cert_resp_done) struct edged_cert_resp out = { 0 };

	if (module_keys_identity(w->keys, req->params[0], &identity, err) ||
	    module_certs_identity(&w->certs, req->params[0], &identity, &out, err))
		return service_failed(err);
	return response_json(resp, 201, edged_cert_resp_fields, &out, err);
}

static enum err_code
workload_trust_bundle(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_trust_bundle_done) struct edged_trust_bundle out = { 0 };

	(void)req;
	if (certd_client_get(w->certd, w->trust_bundle_id, &out.certificate, err))
		return err_set(
		    err, ERR_NOT_FOUND, "certificate \"%s\" not found", w->trust_bundle_id);
	return response_json(resp, 200, edged_trust_bundle_fields, &out, err);
}

static enum err_code
workload_manifest_bundle(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct workload *w = service;
	AUTO(edged_trust_bundle_done) struct edged_trust_bundle out = { 0 };

	(void)req;
	/* none is no fault: the empty text says so */
	if (certd_client_get(w->certd, w->manifest_bundle_id, &out.certificate, err) &&
	    str_copy(&out.certificate, "", err))
		return err->code;
	err_clear(err);
	return response_json(resp, 200, edged_trust_bundle_fields, &out, err);
}

/*
 * The caller must be a process of the module's container.  On a module's own socket that is the container it was bound for, and no other
 * module may be named there; on the old shared socket it is the container that edged runs under the name.
 */
static enum err_code
workload_authorize(
    void *service, const struct route *row, const struct request *req, struct err *err)
{
	struct workload *w = service;
	const struct workload_listener *socket = req->tag;
	char id[PROTO_CONTAINER_ID + 1];
	const char *name;

	if (row->who != WORKLOAD_MODULE)
		return ERR_OK;
	name = req->params[0] + strspn(req->params[0], "$");
	if (socket->module[0] && strcmp(socket->module, name) != 0)
		return err_set(err, ERR_DENIED, "this socket is another module's");
	if (socket->module[0])
		return attest_peer(req->peer, socket->container_id, err);
	if (proto_container_of(w->proto, name, id, err))
		return err_wrap_code(err, ERR_DENIED, "no container is known for %s", name);
	return attest_peer(req->peer, id, err);
}

static const struct route routes[] = {
	/* method path                                         since         who              where   handler */
	{ "GET", "/modules", "2018-06-28", WORKLOAD_OPEN, WORKER, workload_modules, 65000 },
	{ "GET", "/modules/", "2018-06-28", WORKLOAD_OPEN, WORKER, workload_modules, 65000 },
	{ "POST", "/modules/{m}/genid/{g}/sign", "2018-06-28", WORKLOAD_MODULE, WORKER,
	    workload_sign, 0 },
	{ "POST", "/modules/{m}/genid/{g}/encrypt", "2018-06-28", WORKLOAD_MODULE, WORKER,
	    workload_encrypt, 0 },
	{ "POST", "/modules/{m}/genid/{g}/decrypt", "2018-06-28", WORKLOAD_MODULE, WORKER,
	    workload_decrypt, 0 },
	{ "POST", "/modules/{m}/genid/{g}/certificate/server", "2018-06-28", WORKLOAD_MODULE,
	    WORKER, workload_cert_server, 0 },
	{ "POST", "/modules/{m}/certificate/identity", "2018-06-28", WORKLOAD_MODULE, WORKER,
	    workload_cert_identity, 0 },
	{ "GET", "/trust-bundle", "2018-06-28", WORKLOAD_OPEN, WORKER, workload_trust_bundle, 0 },
	{ "GET", "/manifest-trust-bundle", "2018-06-28", WORKLOAD_OPEN, WORKER,
	    workload_manifest_bundle, 0 },
};

const struct route_table edged_workload_table = {
	.daemon = "edged: workload",
	.versions = edged_api_versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = edged_statuses,
	.authorize = workload_authorize,
};
