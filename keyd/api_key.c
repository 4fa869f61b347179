/* api_key.c - handlers for keys and key pairs by id, and for their public parameters */
#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/keyd.h"

enum err_code
keyd_create_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_create_key_req *in = request_message(req, err);
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (!in || keys_create(keyd->keys, req->peer, in->key_id, in->usage,
		       in->has_key_bytes ? &in->key_bytes : NULL, &out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_load_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (keys_load(keyd->keys, req->peer, req->params[0], &out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_delete_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_handle_msg *in = request_message(req, err);

	if (!in || keys_delete(keyd->keys, req->peer, in->key_handle, err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
keyd_create_key_pair(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_create_key_pair_req *in = request_message(req, err);
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (!in || keys_create_pair(keyd->keys, req->peer, in->key_id, in->preferred_algorithms,
		       &out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_load_key_pair(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (keys_load_pair(keyd->keys, req->peer, req->params[0], &out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_move_key_pair(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_move_req *in = request_message(req, err);

	if (!in || keys_move_pair(keyd->keys, req->peer, in->from, req->params[0], err))
		return err->code;
	return response_empty(resp, 204);
}

/* Only key pairs move (contract 4.4). */
enum err_code
keyd_move_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	const struct keyd_move_req *in = request_message(req, err);

	(void)service, (void)resp;
	if (!in)
		return err->code;
	return err_set(err, ERR_INVALID, "invalid type \"key\"");
}

enum err_code
keyd_delete_key_pair(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_handle_msg *in = request_message(req, err);

	if (!in || keys_delete_pair(keyd->keys, req->peer, in->key_handle, err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
keyd_parameter(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_handle_msg *in = request_message(req, err);
	AUTO(keyd_parameter_resp_done) struct keyd_parameter_resp out = { 0 };

	if (!in || keys_parameter(keyd->keys, in->key_handle, req->params[0], &out.value, err))
		return err->code;
	return response_json(resp, 200, keyd_parameter_resp_fields, &out, err);
}
