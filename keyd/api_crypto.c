/* api_crypto.c - handlers for what is done with a key: unpack, call the domain, pack */
#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/keyd.h"

enum err_code
keyd_derive(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_derive_req_done) struct keyd_derive_req in = { 0 };
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (keyd_derive_req_read(&in, req->body, err) ||
	    keys_derive(keyd->keys, req->peer, in.base_key_handle, &in.derivation_data,
		&out.key_handle, err))
		return err->code;
	return response_json(resp, 200, keyd_handle_msg_fields, &out, err);
}

enum err_code
keyd_export_derived(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg in = { 0 };
	AUTO(keyd_export_resp_done) struct keyd_export_resp out = { 0 };

	if (keyd_handle_msg_read(&in, req->body, err) ||
	    keys_export_derived(keyd->keys, req->peer, in.key_handle, &out.key, err))
		return err->code;
	return response_json(resp, 200, keyd_export_resp_fields, &out, err);
}

enum err_code
keyd_sign(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_sign_req_done) struct keyd_sign_req in = { 0 };
	AUTO(keyd_sign_resp_done) struct keyd_sign_resp out = { 0 };

	if (keyd_sign_req_read(&in, req->body, err) ||
	    keys_sign(keyd->keys, req->peer, in.key_handle, in.mech, &in.data, &out.signature, err))
		return err->code;
	return response_json(resp, 200, keyd_sign_resp_fields, &out, err);
}

enum err_code
keyd_encrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_encrypt_req_done) struct keyd_encrypt_req in = { 0 };
	AUTO(keyd_encrypt_resp_done) struct keyd_encrypt_resp out = { 0 };
	struct key_cipher how = { .iv = &in.iv, .aad = &in.aad };

	if (keyd_encrypt_req_read(&in, req->body, err))
		return err->code;
	how.cipher = in.cipher;
	if (keys_encrypt(
		keyd->keys, req->peer, in.key_handle, &how, &in.plaintext, &out.ciphertext, err))
		return err->code;
	return response_json(resp, 200, keyd_encrypt_resp_fields, &out, err);
}

enum err_code
keyd_decrypt(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct keyd *keyd = service;
	AUTO(keyd_decrypt_req_done) struct keyd_decrypt_req in = { 0 };
	AUTO(keyd_decrypt_resp_done) struct keyd_decrypt_resp out = { 0 };
	struct key_cipher how = { .iv = &in.iv, .aad = &in.aad };

	if (keyd_decrypt_req_read(&in, req->body, err))
		return err->code;
	how.cipher = in.cipher;
	if (keys_decrypt(
		keyd->keys, req->peer, in.key_handle, &how, &in.ciphertext, &out.plaintext, err))
		return err->code;
	return response_json(resp, 200, keyd_decrypt_resp_fields, &out, err);
}
