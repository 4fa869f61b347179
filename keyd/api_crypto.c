/* api_crypto.c - handlers for what is done with a key: unpack, call the domain, pack */
#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/keyd.h"

enum err_code
keyd_derive(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_derive_req *in = request_message(req, err);
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (!in || keys_derive(keyd->keys, req->peer, in->base_key_handle, &in->derivation_data,
		       &out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_export_derived(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_handle_msg *in = request_message(req, err);
	AUTO(keyd_export_resp_done) struct keyd_export_resp out = { 0 };

	if (!in || keys_export_derived(keyd->keys, req->peer, in->key_handle, &out.key, err))
		return err->code;
	return response_json(resp, 200, keyd_export_resp_fields, &out, err);
}

enum err_code
keyd_sign(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_sign_req *in = request_message(req, err);
	AUTO(keyd_sign_resp_done) struct keyd_sign_resp out = { 0 };

	if (!in || keys_sign(keyd->keys, req->peer, in->key_handle, in->mech, &in->data,
		       &out.signature, err))
		return err->code;
	return response_json(resp, 200, keyd_sign_resp_fields, &out, err);
}

enum err_code
keyd_encrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_encrypt_req *in = request_message(req, err);
	AUTO(keyd_encrypt_resp_done) struct keyd_encrypt_resp out = { 0 };
	struct key_cipher how;

	if (!in)
		return err->code;
	how = (struct key_cipher){ in->cipher, &in->iv, &in->aad };
	if (keys_encrypt(
		keyd->keys, req->peer, in->key_handle, &how, &in->plaintext, &out.ciphertext, err))
		return err->code;
	return response_json(resp, 200, keyd_encrypt_resp_fields, &out, err);
}

enum err_code
keyd_decrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	const struct keyd_decrypt_req *in = request_message(req, err);
	AUTO(keyd_decrypt_resp_done) struct keyd_decrypt_resp out = { 0 };
	struct key_cipher how;

	if (!in)
		return err->code;
	how = (struct key_cipher){ in->cipher, &in->iv, &in->aad };
	if (keys_decrypt(
		keyd->keys, req->peer, in->key_handle, &how, &in->ciphertext, &out.plaintext, err))
		return err->code;
	return response_json(resp, 200, keyd_decrypt_resp_fields, &out, err);
}
