/* api_tpm.c - route handlers: unpack, call the domain, pack */
#include "tpmd/api.h"
#include "tpmd/service.h"
#include "wire/tpmd.h"

/* Any failure of the TPM is `internal error` to the caller; the log has the reason (contracts/tpmd.md 1). */
static enum err_code
internal(struct err *err)
{
	if (err->code != ERR_BUSY && err->code != ERR_NOMEM)
		err->code = ERR_INTERNAL;
	return err->code;
}

enum err_code
tpmd_get_keys(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_keys_resp_done) struct tpmd_keys_resp out = { 0 };

	(void)req;
	if (tpm_keys(tpmd->tpm, &out.endorsement_key, &out.storage_root_key, err))
		return internal(err);
	return response_json(resp, 200, tpmd_keys_resp_fields, &out, err);
}

enum err_code
tpmd_import_auth_key(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_import_req_done) struct tpmd_import_req in = { 0 };
	char *empty = NULL;

	if (tpmd_import_req_read(&in, req->body, err))
		return err->code;
	if (tpm_import(tpmd->tpm, &in.key, err))
		return internal(err);
	if (str_copy(&empty, "{}", err))
		return err->code;
	return response_json_text(resp, 200, &empty);
}

enum err_code
tpmd_sign_with_auth_key(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_sign_req_done) struct tpmd_sign_req in = { 0 };
	AUTO(tpmd_sign_resp_done) struct tpmd_sign_resp out = { 0 };

	if (tpmd_sign_req_read(&in, req->body, err))
		return err->code;
	if (tpm_sign(tpmd->tpm, &in.data, &out.digest, err))
		return internal(err);
	return response_json(resp, 200, tpmd_sign_resp_fields, &out, err);
}
