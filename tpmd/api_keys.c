/* api_keys.c - route handlers for keys and sealed data that the caller keeps */
#include "tpmd/api.h"
#include "tpmd/service.h"
#include "tpmd/tpm_objects.h"

enum err_code
tpmd_create_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_create_req_done) struct tpmd_create_req in = { 0 };
	AUTO(tpmd_object_done) struct tpmd_object out = { 0 };

	if (tpmd_create_req_read(&in, req->body, err) ||
	    tpm_object_create(tpmd->tpm, (enum tpmd_algorithm)in.algorithm, &out, err))
		return err->code;
	return response_json(resp, 200, tpmd_object_fields, &out, err);
}

enum err_code
tpmd_import_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_import_req_done) struct tpmd_import_req in = { 0 };
	AUTO(tpmd_object_done) struct tpmd_object out = { 0 };

	if (tpmd_import_req_read(&in, req->body, err) ||
	    tpm_object_import(tpmd->tpm, &in.key, &out, err))
		return err->code;
	return response_json(resp, 200, tpmd_object_fields, &out, err);
}

enum err_code
tpmd_use_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_use_req_done) struct tpmd_use_req in = { 0 };
	AUTO(tpmd_use_resp_done) struct tpmd_use_resp out = { 0 };

	if (tpmd_use_req_read(&in, req->body, err) ||
	    tpm_object_sign(
		tpmd->tpm, &in.object, (enum tpmd_mech)in.mech, &in.data, &out.signature, err))
		return err->code;
	return response_json(resp, 200, tpmd_use_resp_fields, &out, err);
}

enum err_code
tpmd_seal(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_data_msg_done) struct tpmd_data_msg in = { 0 };
	AUTO(tpmd_object_done) struct tpmd_object out = { 0 };

	if (tpmd_data_msg_read(&in, req->body, err) ||
	    tpm_object_seal(tpmd->tpm, &in.data, &out, err))
		return err->code;
	return response_json(resp, 200, tpmd_object_fields, &out, err);
}

enum err_code
tpmd_unseal(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(tpmd_object_done) struct tpmd_object in = { 0 };
	AUTO(tpmd_data_msg_done) struct tpmd_data_msg out = { 0 };

	if (tpmd_object_read(&in, req->body, err) ||
	    tpm_object_unseal(tpmd->tpm, &in, &out.data, err))
		return err->code;
	return response_json(resp, 200, tpmd_data_msg_fields, &out, err);
}
