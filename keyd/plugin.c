#include <openssl/ec.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "keyd/pair.h"
#include "keyd/plugin_library.h"
#include "platform/pool.h"

/*
 * Keys in an OEM's shared object with upstream's C interface (contracts/keyabi.md; docs/key-backends.md for its author).  It has
 * no handles: an opened key is its id, and the library finds it anew for every use.  This runs in a worker process, so that
 * what the library breaks is its own.
 */

#define PARAMETER_MAX 4096  /* bytes of a public parameter */
#define DERIVED_MAX   64    /* bytes of a derived key */
#define RESULT_MAX    65536 /* bytes that a result may be longer than what went in */

struct plugin {
	const struct backend_config *config;
	struct library *library;
};

struct plugin_key {
	struct key key;
	struct plugin *plugin;
};

typedef const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 calls;

static struct library *
library_of(struct key *key)
{
	return ((struct plugin_key *)((char *)key - offsetof(struct plugin_key, key)))
	    ->plugin->library;
}

/* Where an empty run of bytes lies: NULL is for "no argument" in this interface. */
static const uint8_t *
data_of(const struct bytes *b)
{
	static const uint8_t nothing;

	return b->len ? b->data : &nothing;
}

static enum err_code
may_block(struct err *err)
{
	if (pool_may_block())
		return ERR_OK;
	return err_set(err, ERR_WOULD_BLOCK, "a key library is to be called");
}

/* --- open and close */

struct setting {
	const char *name, *value;
};

static AZIOT_KEYS_RC
set_parameter(calls *f, const void *arguments)
{
	const struct setting *s = arguments;

	return f->set_parameter(s->name, s->value);
}

/* A value may be a PIN, so no message tells it. */
static enum err_code
set(struct plugin *p, const char *name, const char *value, struct err *err)
{
	const struct setting s = { name, value };

	if (library_run(p->library, "set_parameter", set_parameter, &s, err))
		return err_wrap_code(
		    err, ERR_CONFIG, "parameter %s of backend %s", name, p->config->name);
	return ERR_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct backend_parameter *)a)->name,
	    ((const struct backend_parameter *)b)->name);
}

static enum err_code
set_all(struct plugin *p, struct err *err)
{
	size_t n = p->config->n_parameters;
	struct backend_parameter *sorted = calloc(n + 1, sizeof(*sorted));
	enum err_code code = ERR_OK;

	if (!sorted)
		return err_nomem(err);
	if (n > 0)
		memcpy(sorted, p->config->parameters, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 0; i < n && code == ERR_OK; i++)
		code = set(p, sorted[i].name, sorted[i].value, err);
	free(sorted);
	return code;
}

static enum err_code
set_preloaded(struct plugin *p, struct err *err)
{
	for (size_t i = 0; i < p->config->n_preloaded; i++) {
		const struct backend_preloaded *key = &p->config->preloaded[i];
		AUTO(str_freep) char *name = NULL;

		if (str_format(&name, err, "preloaded_key:%s", key->id) ||
		    set(p, name, key->uri, err))
			return err->code;
	}
	return ERR_OK;
}

static void
plugin_close(void *ctx)
{
	struct plugin *p = ctx;

	if (!p)
		return;
	library_free(p->library);
	free(p);
}

static enum err_code
plugin_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	struct plugin *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	p->config = config;
	if (library_load(config->library, &p->library, err) || set_all(p, err) ||
	    set_preloaded(p, err)) {
		plugin_close(p);
		return err->code;
	}
	if (!library_calls(p->library)->move_key_pair)
		log_warn("backend %s has version 2.0 of the interface: moving or deleting its keys "
			 "succeeds and does nothing",
		    config->name);
	*ret_ctx = p;
	return ERR_OK;
}

/* --- by id */

struct by_id {
	const char *id;
	const char *to_or_algorithms;
	unsigned usage;
	const struct bytes *value;
};

static AZIOT_KEYS_RC
load_key(calls *f, const void *arguments)
{
	return f->load_key(((const struct by_id *)arguments)->id);
}

static AZIOT_KEYS_RC
load_pair(calls *f, const void *arguments)
{
	return f->load_key_pair(((const struct by_id *)arguments)->id);
}

static AZIOT_KEYS_RC
create_key(calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->create_key_if_not_exists(a->id, a->usage);
}

static AZIOT_KEYS_RC
create_pair(calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->create_key_pair_if_not_exists(a->id, a->to_or_algorithms);
}

static AZIOT_KEYS_RC
import_key(calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->import_key(a->id, data_of(a->value), a->value->len, a->usage);
}

static AZIOT_KEYS_RC
move_pair(calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->move_key_pair ? f->move_key_pair(a->id, a->to_or_algorithms) : AZIOT_KEYS_RC_OK;
}

/* The interface has two functions, for two kinds of key; an id here has one key, of whichever kind. */
static AZIOT_KEYS_RC
delete_both(calls *f, const void *arguments)
{
	const struct by_id *a = arguments;
	AZIOT_KEYS_RC rc;

	if (!f->delete_key || !f->delete_key_pair)
		return AZIOT_KEYS_RC_OK;
	rc = f->delete_key(a->id);
	return rc ? rc : f->delete_key_pair(a->id);
}

/*
 * ERR_NOT_FOUND only where the library says of both kinds that there is none: any trouble may hide a key.  What follows is a
 * call of create_..._if_not_exists, where the library decides a second time.
 */
static enum err_code
look_for(struct plugin *p, const char *id, struct err *err)
{
	const struct by_id a = { .id = id };
	struct err second = { 0 };
	enum err_code code = library_run(p->library, "load_key", load_key, &a, err);

	if (code == ERR_OK)
		return ERR_OK;
	if (library_run(p->library, "load_key_pair", load_pair, &a, &second) == ERR_OK)
		return ERR_OK;
	if (code == ERR_INVALID)
		*err = second;
	return err->code == ERR_INVALID ? err_set(err, ERR_NOT_FOUND, "there is no key %s", id)
					: err->code;
}

static enum err_code
plugin_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	enum err_code code = may_block(err);

	if (code == ERR_OK)
		code = look_for(ctx, id, err);
	if (code && code != ERR_NOT_FOUND)
		return code;
	*ret = code == ERR_OK;
	return ERR_OK;
}

static void
plugin_key_free(struct key *key)
{
	str_freep(&key->id);
	free((char *)key - offsetof(struct plugin_key, key));
}

static enum err_code
plugin_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct plugin_key *k;

	if (may_block(err) || look_for(ctx, id, err))
		return err->code;
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_nomem(err);
	k->key.backend = &plugin_backend;
	k->plugin = ctx;
	atomic_init(&k->key.refs, 1);
	if (str_copy(&k->key.id, id, err)) {
		plugin_key_free(&k->key);
		return err->code;
	}
	*ret = &k->key;
	return ERR_OK;
}

/* Contract 2: DERIVE and SIGN are one bit. */
static unsigned
abi_usage(unsigned usage)
{
	return (usage & (KEYD_USE_SIGN | KEYD_USE_DERIVE) ? AZIOT_KEYS_KEY_USAGE_SIGN : 0) |
	       (usage & KEYD_USE_ENCRYPT ? AZIOT_KEYS_KEY_USAGE_ENCRYPT : 0);
}

static enum err_code
plugin_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .usage = abi_usage(usage) };

	if (may_block(err))
		return err->code;
	return library_run(p->library, "create_key_if_not_exists", create_key, &a, err);
}

static enum err_code
plugin_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	/* the names that the interface knows; a library skips others, and what it would make then is its own guess */
	static const char *const names[KEY_ALGORITHMS] = {
		[KEY_EC_P256] = "ec-p256",
		[KEY_RSA_2048] = "rsa-2048",
		[KEY_RSA_4096] = "rsa-4096",
	};
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .to_or_algorithms = names[algorithm] };
	enum err_code code;

	if (may_block(err))
		return err->code;
	if (!a.to_or_algorithms)
		return err_set(
		    err, ERR_UNSUPPORTED, "key libraries have no name for that algorithm");
	code = library_run(p->library, "create_key_pair_if_not_exists", create_pair, &a, err);
	/* trouble is no reason to try another algorithm: later there may be none */
	if (code == ERR_CRYPTO)
		code = err->code = ERR_INTERNAL;
	return code;
}

static enum err_code
plugin_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .usage = abi_usage(usage), .value = value };

	if (may_block(err))
		return err->code;
	return library_run(p->library, "import_key", import_key, &a, err);
}

static enum err_code
plugin_move(void *ctx, const char *from, const char *to, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = from, .to_or_algorithms = to };

	if (may_block(err))
		return err->code;
	return library_run(p->library, "move_key_pair", move_pair, &a, err);
}

static enum err_code
plugin_remove(void *ctx, const char *id, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id };

	if (may_block(err))
		return err->code;
	return library_run(p->library, "delete_key and delete_key_pair", delete_both, &a, err);
}

/* --- use */

static enum err_code
plugin_check(struct key *key, enum key_kind kind, struct err *err)
{
	const struct by_id a = { .id = key->id };

	if (may_block(err))
		return err->code;
	return kind == KEY_PAIR ? library_run(library_of(key), "load_key_pair", load_pair, &a, err)
				: library_run(library_of(key), "load_key", load_key, &a, err);
}

struct wanted_parameter {
	const char *id;
	unsigned type;
};

static AZIOT_KEYS_RC
get_parameter(calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
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

/* What clients can read (contracts/keyd.md 4.6): P-256, a bare point of either form, numbers. */
static enum err_code
check_parameter(enum key_parameter which, const struct bytes *value, struct err *err)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };
	const uint8_t first = value->len ? value->data[0] : 0;
	bool good = value->len > 0;

	if (which == KEY_PARAM_EC_CURVE_OID)
		good = value->len == sizeof(p256) && memcmp(value->data, p256, sizeof(p256)) == 0;
	if (which == KEY_PARAM_EC_POINT)
		good = (value->len == 33 && (first == 2 || first == 3)) ||
		       (value->len == 65 && first == 4);
	if (good)
		return ERR_OK;
	return err_set(err, ERR_INTERNAL,
	    "get_key_pair_parameter: the key library answered what is no %s",
	    which == KEY_PARAM_EC_CURVE_OID ? "OID of P-256"
	    : which == KEY_PARAM_EC_POINT   ? "point of P-256"
					    : "number");
}

static enum err_code
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

	if (may_block(err))
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

/* Arguments of every use of a key. */
struct use {
	const char *id;
	unsigned mechanism;
	const void *parameters;
	const struct bytes *in;
};

static AZIOT_KEYS_RC
sign(calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->sign(
	    a->id, a->mechanism, a->parameters, data_of(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
encrypt(calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->encrypt(
	    a->id, a->mechanism, a->parameters, data_of(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
decrypt(calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->decrypt(
	    a->id, a->mechanism, a->parameters, data_of(a->in), a->in->len, out, out_len);
}

static AZIOT_KEYS_RC
derive(calls *f, const void *arguments, unsigned char *out, uintptr_t *out_len)
{
	const struct use *a = arguments;

	return f->derive_key(a->id, data_of(a->in), a->in->len, out, out_len);
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

static enum err_code
plugin_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	const struct use a = { .id = key->id,
		.mechanism = mech == KEYD_ECDSA ? AZIOT_KEYS_SIGN_MECHANISM_ECDSA
						: AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256,
		.in = data };
	AUTO(bytes_done) struct bytes sig = { 0 };

	if (may_block(err))
		return err->code;
	if (mech == KEYD_ECDSA && (data->len < PAIR_DIGEST_MIN || data->len > PAIR_DIGEST_MAX))
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	if (library_get(library_of(key), "sign", sign, &a, LIBRARY_BOUND, RESULT_MAX, &sig, err) ||
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
		.iv = data_of(how->iv),
		.iv_len = how->iv->len,
		.aad = data_of(how->aad),
		.aad_len = how->aad->len,
	};
	const struct use a = { .id = key->id,
		.mechanism = mechanisms[how->cipher],
		.parameters = how->cipher == KEYD_AEAD ? &aead : NULL,
		.in = in };

	if (may_block(err))
		return err->code;
	return library_get(
	    library_of(key), name, fill, &a, LIBRARY_BOUND, in->len + RESULT_MAX, ret, err);
}

static enum err_code
plugin_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	return run_cipher(key, "encrypt", encrypt, how, plaintext, ret, err);
}

static enum err_code
plugin_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	if (how->cipher != KEYD_AEAD)
		return err_set(err, ERR_INVALID, "there is no decryption with a key pair");
	return run_cipher(key, "decrypt", decrypt, how, ciphertext, ret, err);
}

static enum err_code
plugin_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	const struct use a = { .id = key->id, .in = data };
	AUTO(bytes_done) struct bytes derived = { 0 };

	if (may_block(err) || library_get(library_of(key), "derive_key", derive, &a, LIBRARY_BOUND,
				  DERIVED_MAX, &derived, err))
		return err->code;
	if (derived.len == 0)
		return err_set(err, ERR_INTERNAL, "derive_key: the key library answered no key");
	*ret = bytes_take(&derived);
	return ERR_OK;
}

const struct backend plugin_backend = {
	.name = "plugin",
	.open = plugin_open,
	.close = plugin_close,
	.exists = plugin_exists,
	.find = plugin_find,
	.key_free = plugin_key_free,
	.create_key = plugin_create_key,
	.create_pair = plugin_create_pair,
	.import_key = plugin_import_key,
	.move = plugin_move,
	.remove = plugin_remove,
	.check = plugin_check,
	.parameter = plugin_parameter,
	.sign = plugin_sign,
	.encrypt = plugin_encrypt,
	.decrypt = plugin_decrypt,
	.derive = plugin_derive,
};
