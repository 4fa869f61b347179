#include "certd/api.h"
#include "certd/issue.h"
#include "certd/principals.h"

enum err_code
certd_create(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct certd *s = service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(certd_create_req_done) struct certd_create_req in = { 0 };
	AUTO(certd_pem_msg_done) struct certd_pem_msg out = { 0 };
	struct issue_request issue;

	if (certd_create_req_read(&in, req->body, err) ||
	    principals_may_write(config, req->peer->uid, in.cert_id, err))
		return err->code;
	issue = (struct issue_request){
		.id = in.cert_id,
		.csr = text_of(in.csr),
		.issuer_id = in.issuer ? in.issuer->cert_id : NULL,
		.issuer_handle = in.issuer ? in.issuer->private_key_handle : NULL,
	};
	if (issue_certificate(s->store, config, &issue, &out.pem, err))
		return err->code;
	return response_json(resp, 201, certd_pem_msg_fields, &out, err);
}

enum err_code
certd_get(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct certd *s = service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(certd_pem_msg_done) struct certd_pem_msg out = { 0 };
	enum err_code code = store_read(s->store, config, req->params[0], &out.pem, err);

	if (code == ERR_NOT_FOUND)
		return err_param(
		    err, "id"); /* 400, as all that is not found (contracts/common.md 5) */
	if (code)
		return code;
	return response_json(resp, 200, certd_pem_msg_fields, &out, err);
}

/* Any text is taken: upstream looks at it no closer, and bundles hold more than certificates (contracts/client-facts.md 15). */
enum err_code
certd_import(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct certd *s = service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(certd_pem_msg_done) struct certd_pem_msg msg = { 0 };
	enum err_code code;

	if (certd_pem_msg_read(&msg, req->body, err))
		return err->code;
	code = store_write(s->store, config, req->params[0], text_of(msg.pem), err);
	if (code == ERR_INVALID)
		return err_param(err, "id");
	if (code)
		return code;
	return response_json(resp, 201, certd_pem_msg_fields, &msg, err);
}

enum err_code
certd_delete(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct certd *s = service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);

	if (store_delete(s->store, config, req->params[0], err))
		return err->code;
	return response_empty(resp, 204);
}
