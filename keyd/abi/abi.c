#include <string.h>

#include "base/log.h"
#include "keyd/abi/state.h"
#include "keyd/cache.h"
#include "keyd/mech.h"

/*
 * libaziot_keys.so: keyd's places for keys behind the C interface of the library that they are the successors of
 * (contracts/keyabi.md), in the process of whoever loads it.  Same files, same formats.
 */

#define MAC_LEN	      32
#define AEAD_OVERHEAD 17   /* version and tag */
#define ECDSA_MAX     160  /* bytes of a signature in DER, P-521 included */
#define RSA_MAX	      1024 /* bytes of a modulus */

/* --- answers */

/* Two codes stand for all errors; what they stood for goes to the log where the caller is not to blame. */
static AZIOT_KEYS_RC
answer(const char *function, enum err_code code, struct call *c)
{
	switch (code) {
	case ERR_OK:
		return AZIOT_KEYS_RC_OK;
	case ERR_INVALID:
	case ERR_NOT_FOUND:
	case ERR_UNSUPPORTED:
		return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
	default:
		log_warn("%s: %s", function, err_one_line(&c->err));
		return AZIOT_KEYS_RC_ERR_EXTERNAL;
	}
}

static enum err_code
null(struct call *c)
{
	return err_set(&c->err, ERR_INVALID, "NULL");
}

/* The caller's bytes as ours; NULL is no bytes at all, not none. */
static enum err_code
input(const void *data, uintptr_t len, struct bytes *ret, struct call *c)
{
	if (!data)
		return null(c);
	*ret = (struct bytes){ len ? (uint8_t *)data : NULL, len };
	return ERR_OK;
}

/* The result into the caller's buffer, if it is large enough. */
static enum err_code
give(const struct bytes *result, unsigned char *out, uintptr_t *out_len, struct call *c)
{
	if (*out_len < result->len)
		return err_set(&c->err, ERR_INVALID, "the buffer is too small");
	if (result->len)
		memcpy(out, result->data, result->len);
	*out_len = result->len;
	return ERR_OK;
}

/* --- keys by id */

static enum err_code
open_key(struct call *c, const char *id, struct key **ret)
{
	if (!id)
		return null(c);
	if (call_begin(c))
		return c->err.code;
	return stores_find(c->stores, id, ret, &c->err);
}

static enum err_code
load(struct call *c, const char *id, enum key_kind kind)
{
	AUTO(key_putp) struct key *key = NULL;

	if (open_key(c, id, &key))
		return c->err.code;
	return key->backend->check(key, kind, &c->err);
}

/* KEYD_USE_... of the interface's bits; none or others: ERR_INVALID. */
static enum err_code
usage_of(AZIOT_KEYS_KEY_USAGE usage, unsigned *ret, struct call *c)
{
	if (usage == 0 ||
	    (usage & ~(AZIOT_KEYS_KEY_USAGE_SIGN | AZIOT_KEYS_KEY_USAGE_ENCRYPT)) != 0)
		return err_set(&c->err, ERR_INVALID, "there is no usage %#x", usage);
	*ret = (usage & AZIOT_KEYS_KEY_USAGE_SIGN ? KEYD_USE_SIGN | KEYD_USE_DERIVE : 0) |
	       (usage & AZIOT_KEYS_KEY_USAGE_ENCRYPT ? KEYD_USE_ENCRYPT : 0);
	return ERR_OK;
}

/* Looked for in every place before one is made in the first; and looked at again, as what cannot be used is not made. */
static enum err_code
create_key(struct call *c, const char *id, AZIOT_KEYS_KEY_USAGE usage)
{
	unsigned bits = 0;
	enum err_code code;

	if (usage_of(usage, &bits, c))
		return c->err.code;
	code = load(c, id, KEY_SYMMETRIC);
	if (code != ERR_NOT_FOUND)
		return code;
	return stores_create_key(c->stores, id, bits, &c->err);
}

static enum err_code
create_pair(struct call *c, const char *id, const char *preferred)
{
	enum err_code code = load(c, id, KEY_PAIR);

	if (code != ERR_NOT_FOUND)
		return code;
	return stores_create_pair(c->stores, id, preferred, &c->err);
}

static enum err_code
import(
    struct call *c, const char *id, const uint8_t *bytes, uintptr_t len, AZIOT_KEYS_KEY_USAGE usage)
{
	struct bytes value = { 0 };
	unsigned bits = 0;

	if (!id)
		return null(c);
	if (input(bytes, len, &value, c) || usage_of(usage, &bits, c))
		return c->err.code;
	if (len == 0 || len > BACKEND_KEY_MAX)
		return err_set(&c->err, ERR_INVALID, "a key has 1 to %d bytes", BACKEND_KEY_MAX);
	if (call_begin(c))
		return c->err.code;
	return stores_import(c->stores, id, bits, &value, &c->err);
}

static enum err_code
move(struct call *c, const char *from, const char *to)
{
	enum err_code code;

	if (!from || !to)
		return null(c);
	if (call_begin(c))
		return c->err.code;
	code = stores_move(c->stores, from, to, &c->err);
	/* contracts/keyd.md 4.4: no source is 500 there */
	return code == ERR_NOT_FOUND ? ERR_INTERNAL : code;
}

static enum err_code
remove_key(struct call *c, const char *id)
{
	if (!id)
		return null(c);
	if (call_begin(c))
		return c->err.code;
	return stores_remove(c->stores, id, &c->err);
}

static AZIOT_KEYS_RC
abi_set_parameter(const char *name, const char *value)
{
	AUTO(call_end) struct call c = { 0 };

	return answer(
	    "set_parameter", name && value ? call_set_parameter(&c, name, value) : null(&c), &c);
}

static AZIOT_KEYS_RC
abi_create_key_pair_if_not_exists(const char *id, const char *preferred_algorithms)
{
	AUTO(call_end) struct call c = { 0 };

	return answer(
	    "create_key_pair_if_not_exists", create_pair(&c, id, preferred_algorithms), &c);
}

static AZIOT_KEYS_RC
abi_move_key_pair(const char *from, const char *to)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("move_key_pair", move(&c, from, to), &c);
}

static AZIOT_KEYS_RC
abi_load_key_pair(const char *id)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("load_key_pair", load(&c, id, KEY_PAIR), &c);
}

static AZIOT_KEYS_RC
abi_delete_key_pair(const char *id)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("delete_key_pair", remove_key(&c, id), &c);
}

static AZIOT_KEYS_RC
abi_create_key_if_not_exists(const char *id, AZIOT_KEYS_KEY_USAGE usage)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("create_key_if_not_exists", create_key(&c, id, usage), &c);
}

static AZIOT_KEYS_RC
abi_load_key(const char *id)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("load_key", load(&c, id, KEY_SYMMETRIC), &c);
}

static AZIOT_KEYS_RC
abi_import_key(
    const char *id, const uint8_t *bytes, uintptr_t bytes_len, AZIOT_KEYS_KEY_USAGE usage)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("import_key", import(&c, id, bytes, bytes_len, usage), &c);
}

static AZIOT_KEYS_RC
abi_delete_key(const char *id)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("delete_key", remove_key(&c, id), &c);
}

/* --- public parameters */

static enum err_code
algorithm_number(const struct bytes *name, struct bytes *ret, struct call *c)
{
	const struct text text = text_of_bytes(name);
	unsigned number = text_equal(text, "ECDSA") ? AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC
			  : text_equal(text, "RSA") ? AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA
						    : 0;

	if (!number)
		return err_set(&c->err, ERR_INVALID, "the interface has no such algorithm");
	return bytes_copy(ret, &number, sizeof(number), &c->err);
}

/* The length in the first call must be the exact one, so both calls read the value. */
static enum err_code
parameter(struct call *c, const char *id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type,
    unsigned char *out, uintptr_t *out_len)
{
	static const enum key_parameter which[] = {
		[AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM] = KEY_PARAM_ALGORITHM,
		[AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID] = KEY_PARAM_EC_CURVE_OID,
		[AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT] = KEY_PARAM_EC_POINT,
		[AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS] = KEY_PARAM_RSA_MODULUS,
		[AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT] = KEY_PARAM_RSA_EXPONENT,
	};
	AUTO(key_putp) struct key *key = NULL;
	AUTO(bytes_done) struct bytes value = { 0 };
	AUTO(bytes_done) struct bytes number = { 0 };

	if (!out_len)
		return null(c);
	if (type == 0 || type >= ARRAY_LEN(which))
		return err_set(&c->err, ERR_INVALID, "there is no parameter %u", type);
	if (open_key(c, id, &key) || key->backend->parameter(key, which[type], &value, &c->err))
		return c->err.code;
	if (type == AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM) {
		if (algorithm_number(&value, &number, c))
			return c->err.code;
		bytes_done(&value);
		value = bytes_take(&number);
	}
	if (out)
		return give(&value, out, out_len, c);
	*out_len = value.len;
	return ERR_OK;
}

static AZIOT_KEYS_RC
abi_get_key_pair_parameter(const char *id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type,
    unsigned char *value, uintptr_t *value_len)
{
	AUTO(call_end) struct call c = { 0 };

	return answer("get_key_pair_parameter", parameter(&c, id, type, value, value_len), &c);
}

/* --- derive, sign and verify */

static enum err_code
derive(struct call *c, const char *id, const struct bytes *data, struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;

	if (open_key(c, id, &key))
		return c->err.code;
	return key->backend->derive(key, data, ret, &c->err);
}

static AZIOT_KEYS_RC
abi_derive_key(const char *base_id, const uint8_t *derivation_data, uintptr_t derivation_data_len,
    unsigned char *derived_key, uintptr_t *derived_key_len)
{
	AUTO(call_end) struct call c = { 0 };
	AUTO(bytes_done) struct bytes derived = { 0 };
	struct bytes data = { 0 };
	enum err_code code = ERR_OK;

	if (!base_id || !derived_key_len)
		code = null(&c);
	else if (input(derivation_data, derivation_data_len, &data, &c))
		code = c.err.code;
	else if (!derived_key)
		*derived_key_len = MAC_LEN;
	else if ((code = derive(&c, base_id, &data, &derived)) == ERR_OK)
		code = give(&derived, derived_key, derived_key_len, &c);
	return answer("derive_key", code, &c);
}

static enum err_code
hmac_with(struct call *c, const struct bytes *key, const struct bytes *data, struct bytes *ret)
{
	struct mech_hmac *hmac;
	enum err_code code = mech_hmac_new(c->mech, key, &hmac, &c->err);

	if (code)
		return code;
	code = mech_hmac_sign(hmac, data, ret, &c->err);
	mech_hmac_free(hmac);
	return code;
}

static enum err_code
sign_derived(struct call *c, const char *id, const AZIOT_KEYS_SIGN_DERIVED_PARAMETERS *how,
    const struct bytes *data, struct bytes *ret)
{
	AUTO(bytes_done) struct bytes derived = { 0 };
	struct bytes derivation = { 0 };

	if (!how)
		return null(c);
	if (how->mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
		return err_set(&c->err, ERR_INVALID, "a derived key signs by HMAC-SHA256 only");
	if (input(how->derivation_data, how->derivation_data_len, &derivation, c) ||
	    derive(c, id, &derivation, &derived))
		return c->err.code;
	return hmac_with(c, &derived, data, ret);
}

static enum err_code
sign_with(struct call *c, const char *id, enum keyd_mech mech, const struct bytes *data,
    struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;

	if (open_key(c, id, &key))
		return c->err.code;
	return key->backend->sign(key, mech, data, ret, &c->err);
}

static enum err_code
sign_by(struct call *c, const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const struct bytes *data, struct bytes *ret)
{
	switch (mechanism) {
	case AZIOT_KEYS_SIGN_MECHANISM_ECDSA:
		return sign_with(c, id, KEYD_ECDSA, data, ret);
	case AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256:
		return sign_with(c, id, KEYD_HMAC_SHA256, data, ret);
	case AZIOT_KEYS_SIGN_MECHANISM_DERIVED:
		return sign_derived(c, id, parameters, data, ret);
	default:
		return err_set(&c->err, ERR_INVALID, "there is no mechanism %u", mechanism);
	}
}

/* How long a signature is at most needs no key and no signature. */
static enum err_code
sign(struct call *c, const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const struct bytes *data, unsigned char *out, uintptr_t *out_len)
{
	AUTO(bytes_done) struct bytes signature = { 0 };

	if (!id || !out_len)
		return null(c);
	if (!out) {
		*out_len = mechanism == AZIOT_KEYS_SIGN_MECHANISM_ECDSA ? ECDSA_MAX : MAC_LEN;
		return ERR_OK;
	}
	if (sign_by(c, id, mechanism, parameters, data, &signature))
		return c->err.code;
	return give(&signature, out, out_len, c);
}

static AZIOT_KEYS_RC
abi_sign(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, unsigned char *signature,
    uintptr_t *signature_len)
{
	AUTO(call_end) struct call c = { 0 };
	struct bytes data = { 0 };
	enum err_code code = input(digest, digest_len, &data, &c);

	if (code == ERR_OK)
		code = sign(&c, id, mechanism, parameters, &data, signature, signature_len);
	return answer("sign", code, &c);
}

/* Contract 4: HMAC-SHA256 only, compared in constant time; a signature that does not fit is an answer, not an error. */
static enum err_code
verify(struct call *c, const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism,
    const struct bytes *data, const struct bytes *signature, int *ok)
{
	AUTO(bytes_done) struct bytes mac = { 0 };

	if (!ok)
		return null(c);
	if (mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
		return err_set(&c->err, ERR_INVALID, "HMAC-SHA256 alone is verified");
	if (sign_with(c, id, KEYD_HMAC_SHA256, data, &mac))
		return c->err.code;
	*ok = bytes_equal(&mac, signature);
	return ERR_OK;
}

static AZIOT_KEYS_RC
abi_verify(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, const unsigned char *signature,
    uintptr_t signature_len, int *ok)
{
	AUTO(call_end) struct call c = { 0 };
	struct bytes data = { 0 }, given = { 0 };
	enum err_code code = input(digest, digest_len, &data, &c);

	(void)parameters;
	if (code == ERR_OK)
		code = input(signature, signature_len, &given, &c);
	if (code == ERR_OK)
		code = verify(&c, id, mechanism, &data, &given, ok);
	return answer("verify", code, &c);
}

/* --- encrypt and decrypt */

/* One call of encrypt or decrypt. */
struct cipher_call {
	bool encrypt;
	const char *id;
	AZIOT_KEYS_ENCRYPT_MECHANISM mechanism;
	const void *parameters;
	struct bytes in;
};

static enum err_code
aead_parameters(const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *how, struct bytes *ret_iv,
    struct bytes *ret_aad, struct call *c)
{
	static const uint8_t nothing;

	if (!how)
		return null(c);
	/* a length of 0 makes any pointer good (contract 4) */
	if (input(how->iv_len ? how->iv : &nothing, how->iv_len, ret_iv, c))
		return c->err.code;
	return input(how->aad_len ? how->aad : &nothing, how->aad_len, ret_aad, c);
}

static enum err_code
derived_cipher(struct call *c, const struct cipher_call *call, struct bytes *ret)
{
	const AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *how = call->parameters;
	AUTO(bytes_done) struct bytes key = { 0 };
	struct bytes derivation = { 0 }, iv = { 0 }, aad = { 0 };

	if (!how)
		return null(c);
	if (how->mechanism != AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
		return err_set(&c->err, ERR_INVALID, "a derived key encrypts by AEAD only");
	if (aead_parameters(how->parameters, &iv, &aad, c) ||
	    input(how->derivation_data, how->derivation_data_len, &derivation, c) ||
	    derive(c, call->id, &derivation, &key))
		return c->err.code;
	return call->encrypt ? mech_aead_seal(c->mech, &key, &iv, &aad, &call->in, ret, &c->err)
			     : mech_aead_open(c->mech, &key, &iv, &aad, &call->in, ret, &c->err);
}

static enum err_code
key_cipher(
    struct call *c, const struct cipher_call *call, enum keyd_cipher cipher, struct bytes *ret)
{
	AUTO(key_putp) struct key *key = NULL;
	struct bytes iv = { 0 }, aad = { 0 };
	const struct key_cipher how = { .cipher = cipher, .iv = &iv, .aad = &aad };

	if ((cipher == KEYD_AEAD && aead_parameters(call->parameters, &iv, &aad, c)) ||
	    open_key(c, call->id, &key))
		return c->err.code;
	return call->encrypt ? key->backend->encrypt(key, &how, &call->in, ret, &c->err)
			     : key->backend->decrypt(key, &how, &call->in, ret, &c->err);
}

static enum err_code
run_cipher(struct call *c, const struct cipher_call *call, struct bytes *ret)
{
	switch (call->mechanism) {
	case AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD:
		return key_cipher(c, call, KEYD_AEAD, ret);
	case AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1:
		return key_cipher(c, call, KEYD_RSA_PKCS1, ret);
	case AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING:
		return key_cipher(c, call, KEYD_RSA_NO_PADDING, ret);
	case AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED:
		return derived_cipher(c, call, ret);
	default:
		return err_set(&c->err, ERR_INVALID, "there is no mechanism %u", call->mechanism);
	}
}

static uintptr_t
cipher_bound(const struct cipher_call *call)
{
	if (call->mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1 ||
	    call->mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING)
		return RSA_MAX;
	return call->encrypt ? call->in.len + AEAD_OVERHEAD : call->in.len;
}

static enum err_code
cipher(struct call *c, struct cipher_call *call, const unsigned char *in, uintptr_t in_len,
    unsigned char *out, uintptr_t *out_len)
{
	AUTO(bytes_done) struct bytes result = { 0 };

	if (!call->id || !out_len)
		return null(c);
	if (input(in, in_len, &call->in, c))
		return c->err.code;
	if (in_len > SIZE_MAX / 2)
		return err_set(&c->err, ERR_INVALID, "the input is too long");
	if (!out) {
		*out_len = cipher_bound(call);
		return ERR_OK;
	}
	if (run_cipher(c, call, &result))
		return c->err.code;
	return give(&result, out, out_len, c);
}

static AZIOT_KEYS_RC
abi_encrypt(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism, const void *parameters,
    const unsigned char *plaintext, uintptr_t plaintext_len, unsigned char *ciphertext,
    uintptr_t *ciphertext_len)
{
	AUTO(call_end) struct call c = { 0 };
	struct cipher_call call = { true, id, mechanism, parameters, { 0 } };

	return answer(
	    "encrypt", cipher(&c, &call, plaintext, plaintext_len, ciphertext, ciphertext_len), &c);
}

static AZIOT_KEYS_RC
abi_decrypt(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism, const void *parameters,
    const unsigned char *ciphertext, uintptr_t ciphertext_len, unsigned char *plaintext,
    uintptr_t *plaintext_len)
{
	AUTO(call_end) struct call c = { 0 };
	struct cipher_call call = { false, id, mechanism, parameters, { 0 } };

	return answer(
	    "decrypt", cipher(&c, &call, ciphertext, ciphertext_len, plaintext, plaintext_len), &c);
}

/* --- the lists */

static const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 list_2_0 = {
	.base = { AZIOT_KEYS_VERSION_2_0_0_0 },
	.set_parameter = abi_set_parameter,
	.create_key_pair_if_not_exists = abi_create_key_pair_if_not_exists,
	.load_key_pair = abi_load_key_pair,
	.get_key_pair_parameter = abi_get_key_pair_parameter,
	.create_key_if_not_exists = abi_create_key_if_not_exists,
	.load_key = abi_load_key,
	.import_key = abi_import_key,
	.derive_key = abi_derive_key,
	.sign = abi_sign,
	.verify = abi_verify,
	.encrypt = abi_encrypt,
	.decrypt = abi_decrypt,
};

static const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 list_2_1 = {
	.base = { AZIOT_KEYS_VERSION_2_1_0_0 },
	.set_parameter = abi_set_parameter,
	.create_key_pair_if_not_exists = abi_create_key_pair_if_not_exists,
	.move_key_pair = abi_move_key_pair,
	.load_key_pair = abi_load_key_pair,
	.get_key_pair_parameter = abi_get_key_pair_parameter,
	.delete_key_pair = abi_delete_key_pair,
	.create_key_if_not_exists = abi_create_key_if_not_exists,
	.load_key = abi_load_key,
	.import_key = abi_import_key,
	.delete_key = abi_delete_key,
	.derive_key = abi_derive_key,
	.sign = abi_sign,
	.verify = abi_verify,
	.encrypt = abi_encrypt,
	.decrypt = abi_decrypt,
};

__attribute__((visibility("default"))) AZIOT_KEYS_RC
aziot_keys_get_function_list(
    AZIOT_KEYS_VERSION version, const AZIOT_KEYS_FUNCTION_LIST **function_list)
{
	if (!function_list)
		return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
	switch (version) {
	case AZIOT_KEYS_VERSION_2_0_0_0:
		*function_list = &list_2_0.base;
		return AZIOT_KEYS_RC_OK;
	case AZIOT_KEYS_VERSION_2_1_0_0:
		*function_list = &list_2_1.base;
		return AZIOT_KEYS_RC_OK;
	default:
		return AZIOT_KEYS_RC_ERR_INVALID_PARAMETER;
	}
}
