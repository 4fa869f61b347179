#include "keyd/pkcs11_key.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"
#include "keyd/pair.h"
#include "keyd/pkcs11_public.h"
#include "keyd/pkcs11_use.h"
#include "platform/pool.h"

#define SIGNATURE_MAX 1024
#define LABEL_MAX     1024 /* bytes; a longer one is another */
#define PKCS1_MIN     11   /* bytes of padding (RFC 8017, 9.2) */

/* What is known of the objects that a name stood for when it was last looked up. */
struct view {
	uint64_t generation; /* of the token; the handles are good within it */
	struct pkcs11_found found;
	bool ec;
	bool confirm; /* the private key wants the PIN for each use */
	size_t size;  /* EC: bytes of r; RSA: bytes of the modulus */
};

struct pkcs11_key {
	struct key key;
	struct pkcs11_place place;
	char *label;

	pthread_mutex_t lock; /* guards the rest */
	struct view view;
	struct pair *public; /* NULL: no pair, or one whose public half is nowhere on the token */
};

static struct pkcs11_key *
key_of(struct key *key)
{
	return (struct pkcs11_key *)((char *)key - offsetof(struct pkcs11_key, key));
}

void
pkcs11_key_free(struct key *key)
{
	struct pkcs11_key *k = key_of(key);

	pair_free(k->public);
	pthread_mutex_destroy(&k->lock);
	str_freep(&k->label);
	str_freep(&k->key.id);
	free(k);
}

/* --- does a pair work? */

/* What is signed to see whether a key works; SHA-256 of the empty text, with what PKCS#1 puts before such a digest. */
static const uint8_t trial[] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
	0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20, 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c,
	0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 };
#define TRIAL_DIGEST (sizeof(trial) - SHA256_LEN)

static enum err_code
sign_ec(struct pkcs11_session *s, const struct view *v, struct text digest, struct bytes *ret,
    struct err *err)
{
	const struct pkcs11_signer by = { v->found.private.handle, CKM_ECDSA, v->confirm };
	AUTO(bytes_done) struct bytes raw = { 0 };

	/* FIPS 186-4, 6.4: the leftmost bits, as many as the order has; modules differ in what they do with more */
	if (digest.len > v->size)
		digest.len = v->size;
	if (pkcs11_sign(s, &by, digest, SIGNATURE_MAX, &raw, err))
		return err->code;
	return pkcs11_ecdsa_der(&raw, v->size, ret, err);
}

static enum err_code
sign_rsa(struct pkcs11_session *s, const struct view *v, bool pkcs1, struct text data,
    struct bytes *ret, struct err *err)
{
	const struct pkcs11_signer by = { v->found.private.handle,
		pkcs1 ? CKM_RSA_PKCS : CKM_RSA_X_509, v->confirm };
	AUTO(bytes_done) struct bytes out = { 0 };

	if (pkcs11_sign(s, &by, data, SIGNATURE_MAX, &out, err))
		return err->code;
	if (out.len != v->size)
		return err_set(err, ERR_PROTOCOL, "C_Sign: a signature of %zu bytes, not %zu",
		    out.len, v->size);
	*ret = bytes_take(&out);
	return ERR_OK;
}

static bool
verifies(EVP_PKEY *public, bool ec, const struct bytes *signature)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, public, NULL);
	bool good = ctx && EVP_PKEY_verify_init(ctx) > 0 &&
		    (ec || EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0) &&
		    EVP_PKEY_verify(
			ctx, signature->data, signature->len, trial + TRIAL_DIGEST, SHA256_LEN) > 0;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static enum err_code
try_pair(struct pkcs11_session *s, const struct view *v, EVP_PKEY *public, struct err *err)
{
	const struct text digest = { (const char *)trial + TRIAL_DIGEST, SHA256_LEN };
	const struct text info = { (const char *)trial, sizeof(trial) };
	AUTO(bytes_done) struct bytes signature = { 0 };
	struct err reason = { 0 };

	if (v->ec ? sign_ec(s, v, digest, &signature, err)
		  : sign_rsa(s, v, true, info, &signature, err))
		return err_wrap(err, "the token's key does not sign");
	if (verifies(public, v->ec, &signature))
		return ERR_OK;
	err_openssl(&reason, ""); /* empties its queue */
	return err_set(
	    err, ERR_INTERNAL, "the token's private and public key do not belong to each other");
}

/* --- opening */

static void
measure(struct view *v, const EVP_PKEY *public)
{
	v->ec = EVP_PKEY_is_a(public, "EC");
	v->size = (size_t)(v->ec ? EVP_PKEY_get_bits(public) + 7 : EVP_PKEY_get_size(public));
	if (v->ec)
		v->size /= 8;
}

/* Modules that do not know the attribute have no such keys. */
static enum err_code
read_confirm(struct pkcs11_session *s, struct view *v, struct err *err)
{
	unsigned char yes = 0;
	struct ck_attribute is = { CKA_ALWAYS_AUTHENTICATE, &yes, sizeof(yes) };

	if (pkcs11_read(s, v->found.private.handle, &is, 1, err)) {
		if (pkcs11_rv(s->rv)->class == PKCS11_LOST)
			return err->code;
		s->rv = CKR_OK;
		err_clear(err);
		return ERR_OK;
	}
	v->confirm = is.value_len == sizeof(yes) && yes;
	return ERR_OK;
}

static enum err_code
read_pair(struct pkcs11_session *s, struct view *v, EVP_PKEY **ret, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *public = NULL;

	if (pkcs11_public_read(s, &v->found, &public, err))
		return err->code;
	measure(v, public);
	if (read_confirm(s, v, err) || try_pair(s, v, public, err))
		return err->code;
	*ret = public;
	public = NULL;
	return ERR_OK;
}

enum err_code
pkcs11_pair_try(struct pkcs11_session *s, const struct pkcs11_found *found, struct err *err)
{
	struct view v = { .found = *found };
	AUTO(x509_keyp) EVP_PKEY *public = NULL;

	return read_pair(s, &v, &public, err);
}

/* Look the name up, and take what is found in place of what was. */
static enum err_code
look_up(struct pkcs11_key *k, struct pkcs11_session *s, struct view *ret, struct err *err)
{
	struct view v = { .generation = s->generation };
	EVP_PKEY *pkey = NULL;
	struct pair *public = NULL, *old;

	if (pkcs11_find(s, &k->place.name, &v.found, err))
		return err->code;
	if (pkcs11_is_there(&v.found.private) &&
	    (read_pair(s, &v, &pkey, err) || pair_public(pkey, &public, err)))
		/* to the next place this would look like a key that never was */
		return err->code == ERR_UNSUPPORTED || err->code == ERR_NOT_FOUND
			   ? err_wrap_code(err, ERR_INTERNAL, "the key cannot be used")
			   : err->code;
	pthread_mutex_lock(&k->lock);
	k->view = v;
	old = k->public;
	k->public = public;
	pthread_mutex_unlock(&k->lock);
	pair_free(old);
	*ret = v;
	return ERR_OK;
}

static enum err_code
open_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	struct view v;

	return look_up(arg, s, &v, err);
}

static enum err_code
fill(struct pkcs11_key *k, const struct pkcs11_place *place, const char *id, struct err *err)
{
	k->place = *place;
	if (place->name.label && str_copy(&k->label, place->name.label, err))
		return err->code;
	k->place.name.label = k->label;
	if (str_copy(&k->key.id, id, err))
		return err->code;
	return pkcs11_token_work(place->token, PKCS11_SHARED, open_work, k, err);
}

enum err_code
pkcs11_key_open(const struct pkcs11_place *place, const char *id, struct key **ret, struct err *err)
{
	struct pkcs11_key *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem(err);
	k->key.backend = &pkcs11_backend;
	atomic_init(&k->key.refs, 1);
	pthread_mutex_init(&k->lock, NULL);
	if (fill(k, place, id, err)) {
		pkcs11_key_free(&k->key);
		return err->code;
	}
	*ret = &k->key;
	return ERR_OK;
}

/* --- is it still the same object? */

/*
 * Another program may have put a key of its own under this name; then ours has gone, or has another label.  One attribute is asked for per
 * use, its label (or CKA_ID where the name has none), since each costs SoftHSM some 10 us; a search would cost 100.
 */
static bool
is_current(struct pkcs11_session *s, const struct pkcs11_key *k, const struct pkcs11_object *o)
{
	uint8_t value[LABEL_MAX];
	struct ck_attribute is = { k->label ? CKA_LABEL : CKA_ID, value, sizeof(value) };
	struct err ignored = { 0 };

	if (pkcs11_read(s, o->handle, &is, 1, &ignored)) {
		if (pkcs11_rv(s->rv)->class != PKCS11_LOST)
			s->rv = CKR_OK;
		return false;
	}
	if (k->label)
		return text_equal((struct text){ (char *)value, is.value_len }, k->label);
	return is.value_len == o->id.len && memcmp(value, o->id.data, o->id.len) == 0;
}

static enum err_code
current_view(struct pkcs11_key *k, enum key_kind kind, struct pkcs11_session *s, struct view *ret,
    struct err *err)
{
	const struct pkcs11_object *o = kind == KEY_PAIR ? &ret->found.private : &ret->found.secret;

	pthread_mutex_lock(&k->lock);
	*ret = k->view;
	pthread_mutex_unlock(&k->lock);
	if (!(ret->generation == s->generation && pkcs11_is_there(o) && is_current(s, k, o)) &&
	    look_up(k, s, ret, err))
		return err->code;
	if (!pkcs11_is_there(o))
		return err_set(err, ERR_INVALID, "the key is not one for that");
	return ERR_OK;
}

/* --- use */

enum use { USE_ECDSA, USE_HMAC, USE_RSA_PKCS1, USE_RSA_RAW, USE_SEAL, USE_OPEN };

struct job {
	struct pkcs11_key *key;
	enum use use;
	const struct key_cipher *how;
	const struct bytes *data;
	struct bytes out;
};

static enum err_code
do_rsa(struct job *j, struct pkcs11_session *s, const struct view *v, struct err *err)
{
	bool pkcs1 = j->use == USE_RSA_PKCS1;

	if (v->ec)
		return err_set(err, ERR_INVALID, "the key is not an RSA key");
	if (pkcs1 ? j->data->len + PKCS1_MIN > v->size : j->data->len != v->size)
		return err_set(err, ERR_CRYPTO, "the data does not fit the modulus");
	return sign_rsa(s, v, pkcs1, text_of_bytes(j->data), &j->out, err);
}

static enum err_code
do_ecdsa(struct job *j, struct pkcs11_session *s, const struct view *v, struct err *err)
{
	if (!v->ec)
		return err_set(err, ERR_INVALID, "the key is not an EC key");
	if (j->data->len < PAIR_DIGEST_MIN || j->data->len > PAIR_DIGEST_MAX)
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	return sign_ec(s, v, text_of_bytes(j->data), &j->out, err);
}

static bool
is_pair_use(enum use use)
{
	return use == USE_ECDSA || use == USE_RSA_PKCS1 || use == USE_RSA_RAW;
}

static enum err_code
use_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	struct job *j = arg;
	struct view v;

	if (current_view(j->key, is_pair_use(j->use) ? KEY_PAIR : KEY_SYMMETRIC, s, &v, err))
		return err->code;
	switch (j->use) {
	case USE_ECDSA:
		return do_ecdsa(j, s, &v, err);
	case USE_RSA_PKCS1:
	case USE_RSA_RAW:
		return do_rsa(j, s, &v, err);
	case USE_HMAC:
		return pkcs11_hmac(s, v.found.secret.handle, text_of_bytes(j->data), &j->out, err);
	case USE_SEAL:
		return pkcs11_seal(
		    s, v.found.secret.handle, j->how->iv, j->how->aad, j->data, &j->out, err);
	default:
		return pkcs11_open(
		    s, v.found.secret.handle, j->how->iv, j->how->aad, j->data, &j->out, err);
	}
}

static enum err_code
use(struct key *key, enum use use, const struct key_cipher *how, const struct bytes *data,
    struct bytes *ret, struct err *err)
{
	struct job j = { .key = key_of(key), .use = use, .how = how, .data = data };

	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "a token is to be asked");
	if (pkcs11_token_work(j.key->place.token, PKCS11_SHARED, use_work, &j, err))
		return err->code == ERR_UNSUPPORTED ? err_wrap_code(err, ERR_INVALID,
							  "the token cannot do that with the key")
						    : err->code;
	*ret = j.out;
	return ERR_OK;
}

enum err_code
pkcs11_key_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	if (mech == KEYD_EDDSA)
		return err_set(err, ERR_INVALID, "the key is not an Ed25519 key");
	return use(key, mech == KEYD_ECDSA ? USE_ECDSA : USE_HMAC, NULL, data, ret, err);
}

enum err_code
pkcs11_key_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	if (how->cipher == KEYD_AEAD)
		return use(key, USE_SEAL, how, plaintext, ret, err);
	return use(key, how->cipher == KEYD_RSA_PKCS1 ? USE_RSA_PKCS1 : USE_RSA_RAW, how, plaintext,
	    ret, err);
}

enum err_code
pkcs11_key_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	if (how->cipher != KEYD_AEAD)
		return err_set(err, ERR_INVALID, "there is no decryption with a key pair");
	return use(key, USE_OPEN, how, ciphertext, ret, err);
}

enum err_code
pkcs11_key_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	return use(key, USE_HMAC, NULL, data, ret, err);
}

/* --- what was learnt when it was opened */

enum err_code
pkcs11_key_check(struct key *key, enum key_kind kind, struct err *err)
{
	struct pkcs11_key *k = key_of(key);
	bool there;

	pthread_mutex_lock(&k->lock);
	there = pkcs11_is_there(kind == KEY_PAIR ? &k->view.found.private : &k->view.found.secret);
	pthread_mutex_unlock(&k->lock);
	if (there)
		return ERR_OK;
	return err_set(err, ERR_INTERNAL, "%s is no %s on its token", key->id,
	    kind == KEY_PAIR ? "key pair" : "symmetric key");
}

static enum err_code
parameter_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	struct view v;

	return current_view(arg, KEY_PAIR, s, &v, err);
}

enum err_code
pkcs11_key_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	struct pkcs11_key *k = key_of(key);
	enum err_code code;

	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "a token is to be asked");
	if (pkcs11_token_work(k->place.token, PKCS11_SHARED, parameter_work, k, err))
		return err->code;
	pthread_mutex_lock(&k->lock);
	code = k->public ? pair_parameter(k->public, which, ret, err)
			 : err_set(err, ERR_INVALID, "the key is no pair");
	pthread_mutex_unlock(&k->lock);
	return code;
}
