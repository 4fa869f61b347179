#include "edged/api.h"

#include <stdlib.h>
#include <string.h>

#include "client/identityd.h"
#include "edged/service.h"

#define MANAGED_BY "iotedge"

/* identityd's own statuses are not the container engine's: every failure of it is 500 with its text (edged-management.md 2.4). */
static enum err_code
failed(struct err *err)
{
	if (err->code == ERR_PEER || err->code == ERR_DENIED || err->code == ERR_INVALID)
		err->code = ERR_INTERNAL;
	return err->code;
}

/* ret borrows from identity. */
static enum err_code
reshape(const struct identity *identity, const char *managed_by, struct edged_identity *ret,
    struct err *err)
{
	static const char *const types[] = {
		[IDENTITY_SAS] = "sas", [IDENTITY_X509] = "x509", [IDENTITY_TPM] = "tpm"
	};

	if (!identity->module_id)
		return err_set(err, ERR_INVALID, "missing module ID");
	if (!identity->gen_id)
		return err_set(err, ERR_INVALID, "missing generation ID");
	*ret = (struct edged_identity){
		.module_id = identity->module_id,
		.managed_by = (char *)managed_by,
		.generation_id = identity->gen_id,
		.auth_type = (char *)types[identity->auth ? identity->auth->type : IDENTITY_SAS],
	};
	return ERR_OK;
}

static enum err_code
answer(
    const struct identity *identity, const char *managed_by, struct response *resp, struct err *err)
{
	struct edged_identity out;

	if (reshape(identity, managed_by ? managed_by : MANAGED_BY, &out, err))
		return err->code;
	return response_json(resp, 200, edged_identity_fields, &out, err);
}

enum err_code
edged_identity_list_get(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(identity_list_done) struct identity_list list = { 0 };
	struct edged_identity_list out = { 0 };
	enum err_code code = ERR_OK;

	(void)req;
	if (identityd_client_modules(edged->identityd, &list, err))
		return failed(err);
	out.identities.at = calloc(list.identities.n + 1, sizeof(*out.identities.at));
	if (!out.identities.at)
		return err_nomem(err);
	for (size_t i = 0; !code && i < list.identities.n; i++) {
		code = reshape(
		    &list.identities.at[i], MANAGED_BY, &out.identities.at[out.identities.n], err);
		out.identities.n++;
	}
	if (!code)
		code = response_json(resp, 200, edged_identity_list_fields, &out, err);
	free(out.identities.at);
	return code;
}

enum err_code
edged_identity_create(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(edged_identity_req_done) struct edged_identity_req in = { 0 };
	AUTO(identity_done) struct identity identity = { 0 };

	if (edged_identity_req_read(&in, req->body, err))
		return err->code;
	if (identityd_client_module_create(edged->identityd, in.module_id, &identity, err))
		return failed(err);
	return answer(&identity, in.managed_by, resp, err);
}

enum err_code
edged_identity_update(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(identity_done) struct identity identity = { 0 };

	if (identityd_client_module_update(edged->identityd, req->params[0], &identity, err))
		return failed(err);
	return answer(&identity, NULL, resp, err);
}

enum err_code
edged_identity_delete(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;

	if (identityd_client_module_delete(edged->identityd, req->params[0], err))
		return failed(err);
	return response_empty(resp, 204);
}
