#include <string.h>

#include "base/b64.h"
#include "keyd/cache.h"
#include "keyd/keys_priv.h"

/* --- public parameters */

static const char *const parameter_names[KEY_PARAMS] = {
	[KEY_PARAM_ALGORITHM] = "algorithm",
	[KEY_PARAM_EC_CURVE_OID] = "ec-curve-oid",
	[KEY_PARAM_EC_POINT] = "ec-point",
	[KEY_PARAM_RSA_MODULUS] = "rsa-modulus",
	[KEY_PARAM_RSA_EXPONENT] = "rsa-exponent",
};

static enum err_code
parameter_of(const char *name, enum key_parameter *ret, struct err *err)
{
	for (size_t i = 0; i < KEY_PARAMS; i++)
		if (strcmp(parameter_names[i], name) == 0) {
			*ret = (enum key_parameter)i;
			return ERR_OK;
		}
	return keys_bad_value(err);
}

enum err_code
keys_parameter(
    struct keys *k, const char *handle, const char *name, char **ret_value, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	AUTO(bytes_done) struct bytes value = { 0 };
	enum key_parameter which = KEY_PARAMS;

	if (keys_read_handle(k, handle, &h, err) || parameter_of(name, &which, err) ||
	    keys_open_handle(k, &h, &key, err))
		return err->code;
	if (key->backend->parameter(key, which, &value, err))
		return keys_key_error(k, key, err);
	if (which == KEY_PARAM_ALGORITHM)
		return str_copy(ret_value, (const char *)value.data, err);
	return b64_encode(B64_STD, value.data, value.len, ret_value, err);
}

/* --- derived keys */

static bool
is_derived(const struct handle *h)
{
	return h->kind == HANDLE_DERIVED_KEY || h->kind == HANDLE_DERIVED_PAIR;
}

/* Never empty: that would stand for no key, or for one that everybody knows. */
static enum err_code
derive(
    struct keys *k, struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	if (key->backend->derive(key, data, ret, err))
		return keys_key_error(k, key, err);
	if (ret->len > 0)
		return ERR_OK;
	bytes_done(ret);
	return err_set(err, ERR_INTERNAL, "an empty key was derived from %s", key->id);
}

enum err_code
keys_derive(struct keys *k, const struct peer *peer, const char *base_handle,
    const struct bytes *data, char **ret_handle, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };

	if (keys_read_handle(k, base_handle, &h, err))
		return err->code;
	if (is_derived(&h)) {
		err_set(err, ERR_INVALID,
		    "nested derived keys are not supported, import the outer derived key first");
		return err_param(err, "handle");
	}
	if (keys_check_handle(k, &h, err) ||
	    keys_permit(k, peer, h.id, PERMIT_DERIVE, PERMIT_NO_ALGORITHM, err))
		return err->code;
	h.kind = h.kind == HANDLE_PAIR ? HANDLE_DERIVED_PAIR : HANDLE_DERIVED_KEY;
	bytes_done(&h.data);
	if (bytes_copy(&h.data, data->data, data->len, err))
		return err->code;
	return keys_seal_handle(k, &h, ret_handle, err);
}

enum err_code
keys_export_derived(struct keys *k, const struct peer *peer, const char *handle,
    struct bytes *ret_key, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };
	AUTO(key_putp) struct key *key = NULL;

	if (keys_read_handle(k, handle, &h, err))
		return err->code;
	if (!is_derived(&h)) {
		err_set(err, ERR_INVALID, "handle is not for a derived key");
		return err_param(err, "handle");
	}
	if (keys_open_handle(k, &h, &key, err) ||
	    keys_permit(k, peer, h.id, PERMIT_EXPORT, PERMIT_NO_ALGORITHM, err))
		return err->code;
	return derive(k, key, &h.data, ret_key, err);
}

/* --- sign, encrypt and decrypt */

/* What a handle opens for use: the key, or the derived key's bytes. */
struct opened {
	struct key *key;
	struct bytes derived; /* empty: the handle is of the key itself */
};

static void
opened_done(struct opened *o)
{
	key_putp(&o->key);
	bytes_done(&o->derived);
}

/* What somebody wants to do with a handle. */
struct use {
	const struct peer *peer;
	enum permit_verb verb;
	enum permit_algorithm algorithm;
};

/* Of pairs or of all other keys (contract 4.8, 4.9); there is no decryption with a key pair. */
static bool
mechanism_fits(const struct handle *h, const struct use *use)
{
	if (use->algorithm == PERMIT_HMAC_SHA256 || use->algorithm == PERMIT_AEAD)
		return h->kind != HANDLE_PAIR;
	return h->kind == HANDLE_PAIR && use->verb != PERMIT_DECRYPT;
}

static enum err_code
open_for(
    struct keys *k, const char *text, const struct use *use, struct opened *ret, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };

	if (keys_read_handle(k, text, &h, err))
		return err->code;
	if (!mechanism_fits(&h, use)) {
		err_set(err, ERR_INVALID, "mechanism cannot be used with this key type");
		return err_param(err, "mechanism");
	}
	if (keys_open_handle(k, &h, &ret->key, err) ||
	    keys_permit(k, use->peer, h.id, use->verb, use->algorithm, err))
		return err->code;
	return is_derived(&h) ? derive(k, ret->key, &h.data, &ret->derived, err) : ERR_OK;
}

static enum err_code
derived_sign(struct keys *k, const struct bytes *key, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	struct mech_hmac *hmac;
	enum err_code code = mech_hmac_new(keys_mech(k), key, &hmac, err);

	if (code)
		return code;
	code = mech_hmac_sign(hmac, data, ret, err);
	mech_hmac_free(hmac);
	return code;
}

enum err_code
keys_sign(struct keys *k, const struct peer *peer, const char *handle, enum keyd_mech mech,
    const struct bytes *data, struct bytes *ret, struct err *err)
{
	const struct use use = { peer, PERMIT_SIGN, permit_of_mech(mech) };
	AUTO(opened_done) struct opened o = { 0 };

	if (open_for(k, handle, &use, &o, err))
		return err->code;
	if (o.derived.len)
		return derived_sign(k, &o.derived, data, ret, err);
	if (o.key->backend->sign(o.key, mech, data, ret, err))
		return keys_key_error(k, o.key, err);
	return ERR_OK;
}

enum err_code
keys_encrypt(struct keys *k, const struct peer *peer, const char *handle,
    const struct key_cipher *how, const struct bytes *plaintext, struct bytes *ret, struct err *err)
{
	const struct use use = { peer, how->cipher == KEYD_AEAD ? PERMIT_ENCRYPT : PERMIT_SIGN,
		permit_of_cipher(how->cipher) };
	AUTO(opened_done) struct opened o = { 0 };

	if (open_for(k, handle, &use, &o, err))
		return err->code;
	if (o.derived.len
		? mech_aead_seal(keys_mech(k), &o.derived, how->iv, how->aad, plaintext, ret, err)
		: o.key->backend->encrypt(o.key, how, plaintext, ret, err))
		return keys_key_error(k, o.key, err);
	return ERR_OK;
}

enum err_code
keys_decrypt(struct keys *k, const struct peer *peer, const char *handle,
    const struct key_cipher *how, const struct bytes *ciphertext, struct bytes *ret,
    struct err *err)
{
	const struct use use = { peer, PERMIT_DECRYPT, permit_of_cipher(how->cipher) };
	AUTO(opened_done) struct opened o = { 0 };

	if (open_for(k, handle, &use, &o, err))
		return err->code;
	if (o.derived.len
		? mech_aead_open(keys_mech(k), &o.derived, how->iv, how->aad, ciphertext, ret, err)
		: o.key->backend->decrypt(o.key, how, ciphertext, ret, err))
		return keys_key_error(k, o.key, err);
	return ERR_OK;
}
