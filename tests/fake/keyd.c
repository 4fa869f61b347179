#include "tests/fake/keyd.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "crypto/digest.h"

#define ENTRIES 128
#define ONLY	"provider=default"
#define KEY_LEN 32
#define TAG_LEN 16

struct keyd_client {
	int unused;
};

struct entry {
	char *id;
	EVP_PKEY *pair; /* or */
	struct bytes key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	struct entry entries[ENTRIES];
	unsigned calls[FAKE_ANY + 1];
	bool points_uncompressed;
	const char *lie_name, *lie;
	struct {
		bool armed;
		enum fake_keyd_op op;
		unsigned skip;
		struct err err;
	} fault;
} fake;

static void
lock_done(pthread_mutex_t **held)
{
	pthread_mutex_unlock(*held);
}
#define LOCKED                                          \
	AUTO(lock_done) pthread_mutex_t *held_ = &lock; \
	pthread_mutex_lock(held_)

/* --- control */

static void
entry_done(struct entry *e)
{
	str_freep(&e->id);
	EVP_PKEY_free(e->pair);
	bytes_done(&e->key);
	*e = (struct entry){ 0 };
}

void
fake_keyd_reset(void)
{
	LOCKED;
	for (size_t i = 0; i < ENTRIES; i++)
		entry_done(&fake.entries[i]);
	memset(&fake, 0, sizeof(fake));
}

unsigned
fake_keyd_calls(enum fake_keyd_op op)
{
	LOCKED;
	return fake.calls[op];
}

void
fake_keyd_fail(
    enum fake_keyd_op op, unsigned skip, enum err_code code, uint16_t status, const char *text)
{
	LOCKED;
	err_set(&fake.fault.err, code, "%s", text);
	fake.fault.err.status = status;
	fake.fault.op = op;
	fake.fault.skip = skip;
	fake.fault.armed = true;
}

void
fake_keyd_compress_points(bool yes)
{
	LOCKED;
	fake.points_uncompressed = !yes;
}

void
fake_keyd_lie(const char *name, const char *value)
{
	LOCKED;
	fake.lie_name = name;
	fake.lie = value;
}

static struct entry *
find(const char *id, bool pair)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (fake.entries[i].id && strcmp(fake.entries[i].id, id) == 0 &&
		    (fake.entries[i].pair != NULL) == pair)
			return &fake.entries[i];
	return NULL;
}

/* An empty entry under that id, an old one of the kind removed. */
static struct entry *
fresh(const char *id, bool pair)
{
	struct entry *old = find(id, pair);

	if (old)
		entry_done(old);
	for (size_t i = 0; i < ENTRIES; i++) {
		if (fake.entries[i].id)
			continue;
		fake.entries[i].id = strdup(id);
		return &fake.entries[i];
	}
	abort(); /* a test with more keys than that is wrong */
}

void
fake_keyd_put_pair(const char *id, EVP_PKEY *pair)
{
	LOCKED;
	fresh(id, true)->pair = pair;
}

static void
put_key(const char *id, const void *bytes, size_t len)
{
	struct err err;

	if (bytes_copy(&fresh(id, false)->key, bytes, len, &err))
		abort();
}

void
fake_keyd_put_key(const char *id, const void *bytes, size_t len)
{
	LOCKED;
	put_key(id, bytes, len);
}

bool
fake_keyd_has_pair(const char *id)
{
	LOCKED;
	return find(id, true) != NULL;
}

bool
fake_keyd_has_key(const char *id)
{
	LOCKED;
	return find(id, false) != NULL;
}

/* --- what every call begins with */

static enum err_code
refuse(struct err *err, uint16_t status, const char *text)
{
	err_set(err, ERR_PEER, "%s", text);
	err->status = status;
	return err->code;
}

static enum err_code
invalid(struct err *err)
{
	return refuse(err, 400, "a parameter has an invalid value");
}

static enum err_code
invalid_handle(struct err *err)
{
	return refuse(
	    err, 400, "parameter \"handle\" has an invalid value\ncaused by: invalid handle");
}

static enum err_code
count(enum fake_keyd_op op, struct err *err)
{
	fake.calls[op]++;
	fake.calls[FAKE_ANY]++;
	if (!fake.fault.armed || (fake.fault.op != op && fake.fault.op != FAKE_ANY))
		return ERR_OK;
	if (fake.fault.skip-- > 0)
		return ERR_OK;
	fake.fault.armed = false;
	*err = fake.fault.err;
	return err->code;
}

enum err_code
keyd_client_new(const struct unix_client_config *config, struct keyd_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
keyd_client_free(struct keyd_client *c)
{
	free(c);
}

/* --- handles */

static const char *
after(const char *handle, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(handle, prefix, len) == 0 ? handle + len : NULL;
}

static struct entry *
pair_of(const char *handle)
{
	const char *id = after(handle, "fake:pair:");

	return id ? find(id, true) : NULL;
}

static struct entry *
key_of(const char *handle)
{
	const char *id = after(handle, "fake:key:");

	return id ? find(id, false) : NULL;
}

/* The secret behind a key's or derived key's handle. */
static enum err_code
secret_of(const char *handle, struct bytes *ret, struct err *err)
{
	const char *hex = after(handle, "fake:derived:");
	const char *base = hex ? strchr(hex, ':') : NULL;
	const struct entry *e = key_of(base ? base + 1 : handle);
	uint8_t data[1024];
	size_t len = 0;

	if (!e)
		return invalid_handle(err);
	if (!base)
		return bytes_copy(ret, e->key.data, e->key.len, err);
	for (; hex < base && len < sizeof(data); hex += 2)
		sscanf(hex, "%2hhx", &data[len++]);
	if (bytes_alloc(ret, SHA256_LEN, err))
		return err->code;
	return digest_hmac_sha256(e->key.data, e->key.len, data, len, ret->data, err);
}

/* --- symmetric keys */

enum err_code
keyd_client_create_key(struct keyd_client *c, const char *id, unsigned usage,
    const struct bytes *key_bytes, char **ret_handle, struct err *err)
{
	uint8_t made[SHA256_LEN];
	LOCKED;

	(void)c, (void)usage;
	if (count(FAKE_CREATE_KEY, err) || digest_sha256(id, strlen(id), made, err))
		return err->code;
	if (key_bytes)
		put_key(id, key_bytes->data, key_bytes->len);
	else if (!find(id, false))
		put_key(id, made, sizeof(made));
	return str_format(ret_handle, err, "fake:key:%s", id);
}

enum err_code
keyd_client_load_key(struct keyd_client *c, const char *id, char **ret_handle, struct err *err)
{
	LOCKED;

	(void)c;
	if (count(FAKE_LOAD_KEY, err))
		return err->code;
	if (!find(id, false))
		return invalid(err);
	return str_format(ret_handle, err, "fake:key:%s", id);
}

enum err_code
keyd_client_delete_key(struct keyd_client *c, const char *handle, struct err *err)
{
	struct entry *e;
	LOCKED;

	(void)c;
	if (count(FAKE_DELETE_KEY, err))
		return err->code;
	if (!after(handle, "fake:key:"))
		return refuse(err, 400, "handle is not for a key");
	e = key_of(handle);
	if (e)
		entry_done(e);
	return ERR_OK;
}

enum err_code
keyd_client_derive(struct keyd_client *c, const char *base_handle, const struct bytes *data,
    char **ret_handle, struct err *err)
{
	char hex[2 * 512 + 1];
	LOCKED;

	(void)c;
	if (count(FAKE_DERIVE, err))
		return err->code;
	if (after(base_handle, "fake:derived:") || data->len > 512)
		return invalid_handle(err);
	digest_hex(data->data, data->len, hex);
	return str_format(ret_handle, err, "fake:derived:%s:%s", hex, base_handle);
}

enum err_code
keyd_client_export_derived(
    struct keyd_client *c, const char *handle, struct bytes *ret_key, struct err *err)
{
	LOCKED;

	(void)c;
	if (count(FAKE_EXPORT_DERIVED, err))
		return err->code;
	if (!after(handle, "fake:derived:"))
		return invalid(err);
	return secret_of(handle, ret_key, err);
}

/* --- key pairs */

/* One RSA-2048 key serves all ids of a process: making one takes seconds under valgrind. */
static EVP_PKEY *
rsa_2048(void)
{
	static EVP_PKEY *kept;

	if (!kept)
		kept = EVP_RSA_gen(2048);
	if (kept)
		EVP_PKEY_up_ref(kept);
	return kept;
}

/* contracts/keyd.md 4.3: the first usable name of the list */
static EVP_PKEY *
new_pair(const char *preferred)
{
	const char *at = preferred ? preferred : "*";

	while (*at) {
		size_t len = strcspn(at, ":");
		struct text name = { at, len };

		if (text_equal(name, "*") || text_equal(name, "ec-p256"))
			return EVP_EC_gen("P-256");
		if (text_equal(name, "rsa-2048"))
			return rsa_2048();
		if (text_equal(name, "rsa-4096"))
			return EVP_RSA_gen(4096);
		at += len + (at[len] == ':');
	}
	return NULL;
}

enum err_code
keyd_client_create_key_pair(struct keyd_client *c, const char *id, const char *preferred,
    char **ret_handle, struct err *err)
{
	EVP_PKEY *pair;
	LOCKED;

	(void)c;
	if (count(FAKE_CREATE_KEY_PAIR, err))
		return err->code;
	if (!find(id, true)) {
		pair = new_pair(preferred);
		if (!pair)
			return invalid(err);
		fresh(id, true)->pair = pair;
	}
	return str_format(ret_handle, err, "fake:pair:%s", id);
}

enum err_code
keyd_client_load_key_pair(struct keyd_client *c, const char *id, char **ret_handle, struct err *err)
{
	LOCKED;

	(void)c;
	if (count(FAKE_LOAD_KEY_PAIR, err))
		return err->code;
	if (!find(id, true))
		return invalid(err);
	return str_format(ret_handle, err, "fake:pair:%s", id);
}

enum err_code
keyd_client_move_key_pair(struct keyd_client *c, const char *from, const char *to, struct err *err)
{
	struct entry *source, *target;
	LOCKED;

	(void)c;
	if (count(FAKE_MOVE_KEY_PAIR, err))
		return err->code;
	source = find(from, true);
	if (!source)
		return refuse(err, 500, "internal error");
	target = fresh(to, true);
	target->pair = source->pair;
	source->pair = NULL;
	entry_done(source);
	return ERR_OK;
}

enum err_code
keyd_client_delete_key_pair(struct keyd_client *c, const char *handle, struct err *err)
{
	struct entry *e;
	LOCKED;

	(void)c;
	if (count(FAKE_DELETE_KEY_PAIR, err))
		return err->code;
	if (!after(handle, "fake:pair:"))
		return refuse(err, 400, "handle is not for a key pair");
	e = pair_of(handle);
	if (e)
		entry_done(e);
	return ERR_OK;
}

static enum err_code
ec_point(EVP_PKEY *pair, struct bytes *ret, struct err *err)
{
	const char *form = fake.points_uncompressed
			       ? OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED
			       : OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED;
	unsigned char point[256];
	size_t len = 0;

	if (EVP_PKEY_set_utf8_string_param(
		pair, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form) != 1 ||
	    EVP_PKEY_get_octet_string_param(
		pair, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) != 1)
		return err_openssl(err, "ec-point");
	return bytes_copy(ret, point, len, err);
}

static enum err_code
curve_oid(EVP_PKEY *pair, struct bytes *ret, struct err *err)
{
	char name[64];
	unsigned char der[64], *at = der;
	ASN1_OBJECT *oid = NULL;
	enum err_code code;

	if (EVP_PKEY_get_group_name(pair, name, sizeof(name), NULL) == 1)
		oid = OBJ_txt2obj(name, 0);
	if (!oid || i2d_ASN1_OBJECT(oid, NULL) > (int)sizeof(der))
		code = err_openssl(err, "ec-curve-oid");
	else
		code = bytes_copy(ret, der, (size_t)i2d_ASN1_OBJECT(oid, &at), err);
	ASN1_OBJECT_free(oid);
	return code;
}

static enum err_code
rsa_number(EVP_PKEY *pair, const char *param, struct bytes *ret, struct err *err)
{
	BIGNUM *number = NULL;
	enum err_code code;

	if (EVP_PKEY_get_bn_param(pair, param, &number) != 1)
		return err_openssl(err, param);
	code = bytes_alloc(ret, (size_t)BN_num_bytes(number), err);
	if (!code)
		BN_bn2bin(number, ret->data);
	BN_free(number);
	return code;
}

enum err_code
keyd_client_parameter(
    struct keyd_client *c, const char *handle, const char *name, char **ret_value, struct err *err)
{
	AUTO(bytes_done) struct bytes value = { 0 };
	const struct entry *e;
	enum err_code code;
	bool ec;
	LOCKED;

	(void)c;
	if (count(FAKE_PARAMETER, err))
		return err->code;
	e = pair_of(handle);
	if (!e)
		return invalid_handle(err);
	ec = EVP_PKEY_is_a(e->pair, "EC");
	if (fake.lie_name && strcmp(name, fake.lie_name) == 0)
		return str_copy(ret_value, fake.lie, err);
	if (strcmp(name, "algorithm") == 0)
		return str_copy(ret_value, ec ? "ECDSA" : "RSA", err);
	if (ec && strcmp(name, "ec-curve-oid") == 0)
		code = curve_oid(e->pair, &value, err);
	else if (ec && strcmp(name, "ec-point") == 0)
		code = ec_point(e->pair, &value, err);
	else if (!ec && strcmp(name, "rsa-modulus") == 0)
		code = rsa_number(e->pair, OSSL_PKEY_PARAM_RSA_N, &value, err);
	else if (!ec && strcmp(name, "rsa-exponent") == 0)
		code = rsa_number(e->pair, OSSL_PKEY_PARAM_RSA_E, &value, err);
	else
		code = invalid(err);
	return code ? code : b64_encode(B64_STD, value.data, value.len, ret_value, err);
}

/* --- operations */

static void
ctxp(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

/* The bare private-key operation; padding 0: none to be set (EC). */
static enum err_code
private_op(EVP_PKEY *pair, int padding, const struct bytes *in, struct bytes *ret, struct err *err)
{
	AUTO(ctxp) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, ONLY);
	unsigned char out[1024];
	size_t len = sizeof(out);

	if (!ctx || EVP_PKEY_sign_init(ctx) != 1 ||
	    (padding && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1) ||
	    EVP_PKEY_sign(ctx, out, &len, in->data, in->len) != 1) {
		ERR_clear_error();
		return refuse(err, 500, "internal error");
	}
	return bytes_copy(ret, out, len, err);
}

enum err_code
keyd_client_sign(struct keyd_client *c, const char *handle, enum keyd_mech mech,
    const struct bytes *data, struct bytes *ret_signature, struct err *err)
{
	AUTO(bytes_done) struct bytes secret = { 0 };
	const struct entry *e;
	LOCKED;

	(void)c;
	if (count(FAKE_SIGN, err))
		return err->code;
	if (mech == KEYD_ECDSA) {
		e = pair_of(handle);
		if (!e || !EVP_PKEY_is_a(e->pair, "EC") || data->len < 20 || data->len > 64)
			return invalid_handle(err);
		return private_op(e->pair, 0, data, ret_signature, err);
	}
	if (secret_of(handle, &secret, err) || bytes_alloc(ret_signature, SHA256_LEN, err))
		return err->code;
	return digest_hmac_sha256(
	    secret.data, secret.len, data->data, data->len, ret_signature->data, err);
}

/* AES-256-GCM both ways; tag behind the text. */
static bool
gcm(bool encrypt, const struct bytes *key, const struct bytes *iv, const struct bytes *aad,
    const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, ok;

	ok = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypt) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv->len, NULL) == 1 &&
	     EVP_CipherInit_ex(ctx, NULL, NULL, key->data, iv->data, encrypt) == 1 &&
	     EVP_CipherUpdate(ctx, NULL, &n, aad->data, (int)aad->len) == 1 &&
	     EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 &&
	     (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1) &&
	     EVP_CipherFinal_ex(ctx, out + n, &n) == 1 &&
	     (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1);
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static enum err_code
rsa_private(const char *handle, enum keyd_cipher cipher, const struct bytes *in, struct bytes *ret,
    struct err *err)
{
	const struct entry *e = pair_of(handle);

	if (!e || !EVP_PKEY_is_a(e->pair, "RSA"))
		return invalid_handle(err);
	return private_op(
	    e->pair, cipher == KEYD_RSA_PKCS1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING, in, ret, err);
}

enum err_code
keyd_client_encrypt(struct keyd_client *c, const char *handle, enum keyd_cipher cipher,
    const struct bytes *iv, const struct bytes *aad, const struct bytes *plaintext,
    struct bytes *ret_ciphertext, struct err *err)
{
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes out = { 0 };
	LOCKED;

	(void)c;
	if (count(FAKE_ENCRYPT, err))
		return err->code;
	if (cipher != KEYD_AEAD)
		return rsa_private(handle, cipher, plaintext, ret_ciphertext, err);
	if (secret_of(handle, &key, err) || bytes_alloc(&out, 1 + plaintext->len + TAG_LEN, err))
		return err->code;
	out.data[0] = 2;
	if (key.len != KEY_LEN || !gcm(true, &key, iv, aad, plaintext->data, plaintext->len,
				      out.data + 1, out.data + 1 + plaintext->len))
		return refuse(err, 500, "internal error");
	*ret_ciphertext = bytes_take(&out);
	return ERR_OK;
}

enum err_code
keyd_client_decrypt(struct keyd_client *c, const char *handle, enum keyd_cipher cipher,
    const struct bytes *iv, const struct bytes *aad, const struct bytes *ciphertext,
    struct bytes *ret_plaintext, struct err *err)
{
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes out = { 0 };
	size_t len = ciphertext->len - 1 - TAG_LEN;
	LOCKED;

	(void)c;
	if (count(FAKE_DECRYPT, err))
		return err->code;
	if (cipher != KEYD_AEAD || ciphertext->len < 1 + TAG_LEN || ciphertext->data[0] != 2)
		return invalid(err);
	if (secret_of(handle, &key, err) || bytes_alloc(&out, len, err))
		return err->code;
	if (key.len != KEY_LEN || !gcm(false, &key, iv, aad, ciphertext->data + 1, len, out.data,
				      ciphertext->data + 1 + len))
		return refuse(err, 500, "internal error");
	*ret_plaintext = bytes_take(&out);
	return ERR_OK;
}
