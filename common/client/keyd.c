#include "client/keyd.h"

#include <stdlib.h>

#include "data/uri.h"

struct keyd_client {
	struct unix_client *http;
};

/* A call of the current api-version; path is a literal. */
#define TARGET(path) path "?api-version=" KEYD_API_VERSION

/* Sent twice without harm: all but move, which fails when its source has gone already. */
enum { ONCE = false, REPEATABLE = true };

enum err_code
keyd_client_new(const struct unix_client_config *config, struct keyd_client **ret, struct err *err)
{
	struct unix_client_config own = *config;
	struct keyd_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	if (!own.path)
		own.path = KEYD_SOCKET;
	if (!own.host)
		own.host = "keyd.sock";
	if (unix_client_new(&own, &c->http, err)) {
		free(c);
		return err->code;
	}
	*ret = c;
	return ERR_OK;
}

void
keyd_client_free(struct keyd_client *c)
{
	if (!c)
		return;
	unix_client_free(c->http);
	free(c);
}

/* "/key/<id>" and the like; ids are encoded so that '/' and '%' in them survive. */
static enum err_code
target_of(const char *room, const char *name, char **ret, struct err *err)
{
	AUTO(str_freep) char *encoded = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(name), &encoded, err))
		return err->code;
	return str_format(ret, err, "/%s/%s?api-version=" KEYD_API_VERSION, room, encoded);
}

/* POST target; the answer is a handle. */
static enum err_code
post_for_handle(struct keyd_client *c, const char *target, fields_fn *table, const void *req,
    char **ret_handle, struct err *err)
{
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (unix_client_json(c->http, "POST", target, REPEATABLE, 0, table, req, 200,
		keyd_handle_msg_fields, &out, err))
		return err->code;
	*ret_handle = out.key_handle;
	out.key_handle = NULL;
	return ERR_OK;
}

static enum err_code
load(struct keyd_client *c, const char *room, const char *id, char **ret_handle, struct err *err)
{
	AUTO(str_freep) char *target = NULL;
	AUTO(keyd_handle_msg_done) struct keyd_handle_msg out = { 0 };

	if (target_of(room, id, &target, err) ||
	    unix_client_json(c->http, "GET", target, REPEATABLE, 0, NULL, NULL, 200,
		keyd_handle_msg_fields, &out, err))
		return err->code;
	*ret_handle = out.key_handle;
	out.key_handle = NULL;
	return ERR_OK;
}

/* Requests borrow their members from our caller and are never released here. */
static enum err_code
delete_by_handle(struct keyd_client *c, const char *target, const char *handle, struct err *err)
{
	const struct keyd_handle_msg req = { .key_handle = (char *)handle };

	return unix_client_json(c->http, "DELETE", target, REPEATABLE, 0, keyd_handle_msg_fields,
	    &req, 204, NULL, NULL, err);
}

enum err_code
keyd_client_create_key(struct keyd_client *c, const char *id, unsigned usage,
    const struct bytes *key_bytes, char **ret_handle, struct err *err)
{
	struct keyd_create_key_req req = { .key_id = (char *)id, .usage = usage };

	if (key_bytes) {
		req.key_bytes = *key_bytes;
		req.has_key_bytes = true;
	}
	return post_for_handle(
	    c, TARGET("/key"), keyd_create_key_req_fields, &req, ret_handle, err);
}

enum err_code
keyd_client_load_key(struct keyd_client *c, const char *id, char **ret_handle, struct err *err)
{
	return load(c, "key", id, ret_handle, err);
}

enum err_code
keyd_client_delete_key(struct keyd_client *c, const char *handle, struct err *err)
{
	return delete_by_handle(c, TARGET("/key"), handle, err);
}

enum err_code
keyd_client_create_key_pair(struct keyd_client *c, const char *id, const char *preferred,
    char **ret_handle, struct err *err)
{
	const struct keyd_create_key_pair_req req = { .key_id = (char *)id,
		.preferred_algorithms = (char *)preferred };

	return post_for_handle(
	    c, TARGET("/keypair"), keyd_create_key_pair_req_fields, &req, ret_handle, err);
}

enum err_code
keyd_client_load_key_pair(struct keyd_client *c, const char *id, char **ret_handle, struct err *err)
{
	return load(c, "keypair", id, ret_handle, err);
}

enum err_code
keyd_client_move_key_pair(struct keyd_client *c, const char *from, const char *to, struct err *err)
{
	const struct keyd_move_req req = { .from = (char *)from };
	AUTO(str_freep) char *target = NULL;

	if (target_of("keypair", to, &target, err))
		return err->code;
	return unix_client_json(
	    c->http, "POST", target, ONCE, 0, keyd_move_req_fields, &req, 204, NULL, NULL, err);
}

enum err_code
keyd_client_delete_key_pair(struct keyd_client *c, const char *handle, struct err *err)
{
	return delete_by_handle(c, TARGET("/keypair"), handle, err);
}

enum err_code
keyd_client_parameter(
    struct keyd_client *c, const char *handle, const char *name, char **ret_value, struct err *err)
{
	const struct keyd_handle_msg req = { .key_handle = (char *)handle };
	AUTO(str_freep) char *target = NULL;
	AUTO(keyd_parameter_resp_done) struct keyd_parameter_resp out = { 0 };

	if (target_of("parameters", name, &target, err) ||
	    unix_client_json(c->http, "POST", target, REPEATABLE, 0, keyd_handle_msg_fields, &req,
		200, keyd_parameter_resp_fields, &out, err))
		return err->code;
	*ret_value = out.value;
	out.value = NULL;
	return ERR_OK;
}

enum err_code
keyd_client_derive(struct keyd_client *c, const char *base_handle, const struct bytes *data,
    char **ret_handle, struct err *err)
{
	const struct keyd_derive_req req = { .base_key_handle = (char *)base_handle,
		.derivation_data = *data };

	return post_for_handle(
	    c, TARGET("/derivedkey"), keyd_derive_req_fields, &req, ret_handle, err);
}

enum err_code
keyd_client_export_derived(
    struct keyd_client *c, const char *handle, struct bytes *ret_key, struct err *err)
{
	const struct keyd_handle_msg req = { .key_handle = (char *)handle };
	AUTO(keyd_export_resp_done) struct keyd_export_resp out = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/derivedkey/export"), REPEATABLE, 0,
		keyd_handle_msg_fields, &req, 200, keyd_export_resp_fields, &out, err))
		return err->code;
	*ret_key = bytes_take(&out.key);
	return ERR_OK;
}

enum err_code
keyd_client_sign(struct keyd_client *c, const char *handle, enum keyd_mech mech,
    const struct bytes *data, struct bytes *ret_signature, struct err *err)
{
	const struct keyd_sign_req req = {
		.key_handle = (char *)handle, .mech = (int)mech, .data = *data
	};
	AUTO(keyd_sign_resp_done) struct keyd_sign_resp out = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/sign"), REPEATABLE, 0, keyd_sign_req_fields,
		&req, 200, keyd_sign_resp_fields, &out, err))
		return err->code;
	*ret_signature = bytes_take(&out.signature);
	return ERR_OK;
}

static struct bytes
borrowed(const struct bytes *b)
{
	return b ? *b : (struct bytes){ 0 };
}

enum err_code
keyd_client_encrypt(struct keyd_client *c, const char *handle, enum keyd_cipher cipher,
    const struct bytes *iv, const struct bytes *aad, const struct bytes *plaintext,
    struct bytes *ret_ciphertext, struct err *err)
{
	const struct keyd_encrypt_req req = { .key_handle = (char *)handle,
		.cipher = (int)cipher,
		.iv = borrowed(iv),
		.aad = borrowed(aad),
		.plaintext = borrowed(plaintext) };
	AUTO(keyd_encrypt_resp_done) struct keyd_encrypt_resp out = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/encrypt"), REPEATABLE, 0,
		keyd_encrypt_req_fields, &req, 200, keyd_encrypt_resp_fields, &out, err))
		return err->code;
	*ret_ciphertext = bytes_take(&out.ciphertext);
	return ERR_OK;
}

enum err_code
keyd_client_decrypt(struct keyd_client *c, const char *handle, enum keyd_cipher cipher,
    const struct bytes *iv, const struct bytes *aad, const struct bytes *ciphertext,
    struct bytes *ret_plaintext, struct err *err)
{
	const struct keyd_decrypt_req req = { .key_handle = (char *)handle,
		.cipher = (int)cipher,
		.iv = borrowed(iv),
		.aad = borrowed(aad),
		.ciphertext = borrowed(ciphertext) };
	AUTO(keyd_decrypt_resp_done) struct keyd_decrypt_resp out = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/decrypt"), REPEATABLE, 0,
		keyd_decrypt_req_fields, &req, 200, keyd_decrypt_resp_fields, &out, err))
		return err->code;
	*ret_plaintext = bytes_take(&out.plaintext);
	return ERR_OK;
}
