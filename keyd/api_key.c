/* api_key.c - handlers for keys and key pairs by id, and for their public parameters */
#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/keyd.h"

enum err_code
keyd_create_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_create_key_req_done) struct keyd_create_key_req in = { 0 };
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (keyd_create_key_req_read(&in, req->body, err) ||
	    keys_create(keyd->keys, req->peer, in.key_id, in.usage,
		in.has_key_bytes ? &in.key_bytes : NULL, &out.key_handle, err))
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
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg in = { 0 };

	if (keyd_handle_msg_read(&in, req->body, err) ||
	    keys_delete(keyd->keys, req->peer, in.key_handle, err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
keyd_create_key_pair(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_create_key_pair_req_done) struct keyd_create_key_pair_req in = { 0 };
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (keyd_create_key_pair_req_read(&in, req->body, err) ||
	    keys_create_pair(
		keyd->keys, req->peer, in.key_id, in.preferred_algorithms, &out.key_handle, err))
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
	AUTO(keyd_move_req_done) struct keyd_move_req in = { 0 };

	if (keyd_move_req_read(&in, req->body, err) ||
	    keys_move_pair(keyd->keys, req->peer, in.from, req->params[0], err))
		return err->code;
	return response_empty(resp, 204);
}

/* Only key pairs move (contract 4.4). */
enum err_code
keyd_move_key(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(keyd_move_req_done) struct keyd_move_req in = { 0 };

	(void)service, (void)resp;
	if (keyd_move_req_read(&in, req->body, err))
		return err->code;
	return err_set(err, ERR_INVALID, "invalid type \"key\"");
}

enum err_code
keyd_delete_key_pair(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg in = { 0 };

	if (keyd_handle_msg_read(&in, req->body, err) ||
	    keys_delete_pair(keyd->keys, req->peer, in.key_handle, err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
keyd_parameter(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg in = { 0 };
	AUTO(keyd_parameter_resp_done) struct keyd_parameter_resp out = { 0 };

	if (keyd_handle_msg_read(&in, req->body, err) ||
	    keys_parameter(keyd->keys, in.key_handle, req->params[0], &out.value, err))
		return err->code;
	return response_json(resp, 200, keyd_parameter_resp_fields, &out, err);
}
