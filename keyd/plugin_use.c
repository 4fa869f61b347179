#include <openssl/ec.h>
#include <stddef.h>
#include <string.h>

#include "keyd/pair.h"
#include "keyd/plugin_key.h"
#include "platform/pool.h"

#define PARAMETER_MAX 4096  /* bytes of a public parameter */
#define DERIVED_MAX   64    /* bytes of a derived key */
#define RESULT_MAX    65536 /* bytes that a result may be longer than what went in */

static struct library *
library_of(struct key *key)
{
	return ((struct plugin_key *)((char *)key - offsetof(struct plugin_key, key)))
	    ->plugin->library;
}

const uint8_t *
plugin_data(const struct bytes *b)
{
	static const uint8_t nothing;

	return b->len ? b->data : &nothing;
}

enum err_code
plugin_may_block(struct err *err)
{
	if (pool_may_block())
		return ERR_OK;
	return err_set(err, ERR_WOULD_BLOCK, "a key library is to be called");
}

/* --- loading */

static AZIOT_KEYS_RC
load_key(plugin_calls *f, const void *id)
{
	return f->load_key(id);
}

static AZIOT_KEYS_RC
load_pair(plugin_calls *f, const void *id)
{
	return f->load_key_pair(id);
}

enum err_code
plugin_load(struct library *library, const char *id, enum key_kind kind, struct err *err)
{
	return kind == KEY_PAIR ? library_run(library, "load_key_pair", load_pair, id, err)
				: library_run(library, "load_key", load_key, id, err);
}

enum err_code
plugin_check(struct key *key, enum key_kind kind, struct err *err)
{
	if (plugin_may_block(err))
		return err->code;
	return plugin_load(library_of(key), key->id, kind, err);
}

/* --- public parameters */

struct wanted_parameter {
	const char *id;
	unsigned type;
};

static AZIOT_KEYS_RC
get_parameter(plugin_calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct wanted_parameter *a = arguments;

	return f->get_key_pair_parameter(a->id, a->type, out, out_len);
}

static enum err_code
algorithm_of(struct key *key, struct bytes *ret, struct err *err)
{
	const struct wanted_parameter a = { key->id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM };
	unsigned number = 0;

	if (library_get_number(
		library_of(key), "get_key_pair_parameter", get_parameter, &a, &number, err))
		return err->code;
	if (number == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC)
		return bytes_copy(ret, "ECDSA", strlen("ECDSA"), err);
	if (number == AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA)
		return bytes_copy(ret, "RSA", strlen("RSA"), err);
	return err_set(err, ERR_INTERNAL,
	    "get_key_pair_parameter: the key library answered %u, which is no algorithm", number);
}

static bool
is_oid(const struct bytes *b)
{
	return b->len > 2 && b->data[0] == 0x06 && b->data[1] == b->len - 2;
}

/* A bare point of P-256, P-384 or P-521, of either form; an OCTET STRING around one has another length. */
static bool
is_point(const struct bytes *b)
{
	static const size_t sizes[] = { 32, 48, 66 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		if ((b->len == 1 + sizes[i] && (b->data[0] == 2 || b->data[0] == 3)) ||
		    (b->len == 1 + 2 * sizes[i] && b->data[0] == 4))
			return true;
	return false;
}

/* What clients can read (contracts/keyd.md 4.6). */
static enum err_code
check_parameter(enum key_parameter which, const struct bytes *value, struct err *err)
{
	const char *what = "number";
	bool good = value->len > 0;

	if (which == KEY_PARAM_EC_CURVE_OID) {
		what = "OBJECT IDENTIFIER in DER";
		good = is_oid(value);
	}
	if (which == KEY_PARAM_EC_POINT) {
		what = "bare point of a curve";
		good = is_point(value);
	}
	if (good)
		return ERR_OK;
	return err_set(err, ERR_INTERNAL,
	    "get_key_pair_parameter: the key library answered what is no %s", what);
}

enum err_code
plugin_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	static const unsigned types[KEY_PARAMS] = {
		[KEY_PARAM_EC_CURVE_OID] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID,
		[KEY_PARAM_EC_POINT] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT,
		[KEY_PARAM_RSA_MODULUS] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS,
		[KEY_PARAM_RSA_EXPONENT] = AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT,
	};
	const struct wanted_parameter a = { key->id, types[which] };
	AUTO(bytes_done) struct bytes value = { 0 };

	if (plugin_may_block(err))
		return err->code;
	if (which == KEY_PARAM_ALGORITHM)
		return algorithm_of(key, ret, err);
	if (library_get(library_of(key), "get_key_pair_parameter", get_parameter, &a, LIBRARY_EXACT,
		PARAMETER_MAX, &value, err) ||
	    check_parameter(which, &value, err))
		return err->code;
	*ret = bytes_take(&value);
	return ERR_OK;
}

/* --- the private operations */

/* Arguments of each. */
struct use {
	const char *id;
	unsigned mechanism;
	const void *parameters;
	const struct bytes *in;
};

static AZIOT_KEYS_RC
sign(plugin_calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->sign(
	    a->id, a->mechanism, a->parameters, plugin_data(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
encrypt(plugin_calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->encrypt(
	    a->id, a->mechanism, a->parameters, plugin_data(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
decrypt(plugin_calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->decrypt(
	    a->id, a->mechanism, a->parameters, plugin_data(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
derive(plugin_calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->derive_key(a->id, plugin_data(a->in), a->in->len, out, out_len);
}

static bool
is_der_signature(const struct bytes *b)
{
	const uint8_t *end = b->data;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &end, (long)b->len);
	bool good = sig && end == b->data + b->len;

	ECDSA_SIG_free(sig);
	return good;
}

/* What clients hand on as a signature must at least be one in form. */
static enum err_code
check_signature(enum keyd_mech mech, const struct bytes *sig, struct err *err)
{
	if (mech == KEYD_ECDSA ? is_der_signature(sig) : sig->len == 32)
		return ERR_OK;
	return err_set(err, ERR_INTERNAL, "sign: the key library answered what is no %s",
	    mech == KEYD_ECDSA ? "ECDSA signature in DER" : "HMAC-SHA256");
}

enum err_code
plugin_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	const struct use a = { .id = key->id,
		.mechanism = mech == KEYD_ECDSA ? AZIOT_KEYS_SIGN_MECHANISM_ECDSA
						: AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256,
		.in = data };
	AUTO(bytes_done) struct bytes sig = { 0 };

	if (plugin_may_block(err))
		return err->code;
	if (mech == KEYD_EDDSA)
		return err_set(err, ERR_INVALID, "the key library's interface has no EdDSA");
	if (mech == KEYD_ECDSA && (data->len < PAIR_DIGEST_MIN || data->len > PAIR_DIGEST_MAX))
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	if (library_get(library_of(key), "sign", sign, &a, LIBRARY_BOUND, data->len + RESULT_MAX,
		&sig, err) ||
	    check_signature(mech, &sig, err))
		return err->code;
	*ret = bytes_take(&sig);
	return ERR_OK;
}

static enum err_code
run_cipher(struct key *key, const char *name, library_fill *fill, const struct key_cipher *how,
    const struct bytes *in, struct bytes *ret, struct err *err)
{
	static const unsigned mechanisms[] = {
		[KEYD_AEAD] = AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD,
		[KEYD_RSA_PKCS1] = AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1,
		[KEYD_RSA_NO_PADDING] = AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING,
	};
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS aead = {
		.iv = plugin_data(how->iv),
		.iv_len = how->iv->len,
		.aad = plugin_data(how->aad),
		.aad_len = how->aad->len,
	};
	const struct use a = { .id = key->id,
		.mechanism = mechanisms[how->cipher],
		.parameters = how->cipher == KEYD_AEAD ? &aead : NULL,
		.in = in };

	if (plugin_may_block(err))
		return err->code;
	return library_get(
	    library_of(key), name, fill, &a, LIBRARY_BOUND, in->len + RESULT_MAX, ret, err);
}

enum err_code
plugin_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	return run_cipher(key, "encrypt", encrypt, how, plaintext, ret, err);
}

enum err_code
plugin_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	if (how->cipher != KEYD_AEAD)
		return err_set(err, ERR_INVALID, "there is no decryption with a key pair");
	return run_cipher(key, "decrypt", decrypt, how, ciphertext, ret, err);
}

enum err_code
plugin_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	const struct use a = { .id = key->id, .in = data };
	AUTO(bytes_done) struct bytes derived = { 0 };

	if (plugin_may_block(err) || library_get(library_of(key), "derive_key", derive, &a,
					 LIBRARY_BOUND, data->len + RESULT_MAX, &derived, err))
		return err->code;
	if (derived.len == 0 || derived.len > DERIVED_MAX)
		return err_set(err, ERR_INTERNAL,
		    "derive_key: the key library answered a key of %zu bytes", derived.len);
	*ret = bytes_take(&derived);
	return ERR_OK;
}
