#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "provider/parts.h"

/*
 * ECDSA, RSASSA-PKCS1-v1_5 and RSASSA-PSS.  Hashing and verification happen here and with the public half, the private-key
 * operation in keyd.
 */

#define MD_NAME_MAX  64
#define SALTLEN_MOST 4096
#define EC_HASH_MIN  20 /* keyd's */
/* OpenSSL 3.1 and later: as long as the digest where that fits */
#define SALTLEN_AUTO_DIGEST	 (-4)
#define SALTLEN_AUTO_DIGEST_WORD "auto-digestmax"

struct signing {
	const struct provider *provider;
	struct provider_key *key;
	EVP_MD *md;	  /* NULL: what is to be signed is not said to be a hash */
	EVP_MD *mgf1;	  /* NULL: as md */
	EVP_MD_CTX *hash; /* of DigestSign and DigestVerify */
	int padding;	  /* RSA_PKCS1_PADDING or RSA_PKCS1_PSS_PADDING */
	int salt_len;	  /* bytes, or RSA_PSS_SALTLEN_* */
};

static void
hashp(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

/* --- life */

static void *
signing_new(void *provider, const char *properties)
{
	struct signing *s = calloc(1, sizeof(*s));

	(void)properties;
	if (s) {
		s->provider = provider;
		s->padding = RSA_PKCS1_PADDING;
		s->salt_len = RSA_PSS_SALTLEN_AUTO;
	}
	return s;
}

static void
signing_free(void *ctx)
{
	struct signing *s = ctx;

	if (!s)
		return;
	provider_key_unref(s->key);
	EVP_MD_free(s->md);
	EVP_MD_free(s->mgf1);
	EVP_MD_CTX_free(s->hash);
	free(s);
}

/* libcrypto copies the context at every DigestSignFinal. */
static void *
signing_dup(void *ctx)
{
	const struct signing *from = ctx;
	struct signing *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->provider = from->provider;
	s->padding = from->padding;
	s->salt_len = from->salt_len;
	if (from->key)
		s->key = provider_key_ref(from->key);
	if (from->md && EVP_MD_up_ref(from->md) == 1)
		s->md = from->md;
	if (from->mgf1 && EVP_MD_up_ref(from->mgf1) == 1)
		s->mgf1 = from->mgf1;
	if (from->hash) {
		s->hash = EVP_MD_CTX_new();
		if (!s->hash || EVP_MD_CTX_copy_ex(s->hash, from->hash) != 1) {
			signing_free(s);
			return NULL;
		}
	}
	return s;
}

/* --- parameters */

static int
replace_md(const struct signing *s, EVP_MD **md, const char *name)
{
	EVP_MD *fetched = EVP_MD_fetch(s->provider->libctx, name, PROVIDER_PEER);

	if (!fetched)
		return 0;
	EVP_MD_free(*md);
	*md = fetched;
	return 1;
}

static int
set_md(const struct signing *s, EVP_MD **md, const OSSL_PARAM *p)
{
	char buf[MD_NAME_MAX], *name = buf;

	return !p ||
	       (OSSL_PARAM_get_utf8_string(p, &name, sizeof(buf)) == 1 && replace_md(s, md, name));
}

static int
refused(const struct signing *s, const char *why)
{
	struct err err;

	err_set(&err, ERR_INVALID, "%s", why);
	return provider_failed(s->provider, &err);
}

/* Not while it is at work: what was hashed by the one would be signed as hashed by the other. */
static int
set_digest(struct signing *s, const OSSL_PARAM *p)
{
	EVP_MD *before = s->hash ? s->md : NULL;
	int done;

	if (!before)
		return set_md(s, &s->md, p);
	s->md = NULL;
	done = set_md(s, &s->md, p);
	if (done && s->md && EVP_MD_get_type(s->md) != EVP_MD_get_type(before))
		done = refused(s, "another digest than the one that it began with");
	EVP_MD_free(s->md);
	s->md = before;
	return done;
}

/* An integer from TLS and from programs, a word from the command line. */
static int
set_padding(struct signing *s, const OSSL_PARAM *p)
{
	int padding = 0;

	if (!p)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING && p->data) {
		if (strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0)
			padding = RSA_PKCS1_PADDING;
		else if (strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0)
			padding = RSA_PKCS1_PSS_PADDING;
	} else if (OSSL_PARAM_get_int(p, &padding) != 1) {
		padding = 0;
	}
	if (padding != RSA_PKCS1_PADDING && padding != RSA_PKCS1_PSS_PADDING)
		return refused(s, "a padding other than pkcs1 and pss");
	s->padding = padding;
	return 1;
}

static const struct {
	const char *word;
	int value;
} salt_words[] = {
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST, RSA_PSS_SALTLEN_DIGEST },
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_MAX, RSA_PSS_SALTLEN_MAX },
	{ OSSL_PKEY_RSA_PSS_SALT_LEN_AUTO, RSA_PSS_SALTLEN_AUTO },
	{ SALTLEN_AUTO_DIGEST_WORD, SALTLEN_AUTO_DIGEST },
};

/* A word or a number as text; out of bounds when it is neither. */
static int
read_salt_len(const char *text)
{
	char *end;
	long n;

	for (size_t i = 0; text && i < ARRAY_LEN(salt_words); i++)
		if (strcmp(text, salt_words[i].word) == 0)
			return salt_words[i].value;
	n = text ? strtol(text, &end, 10) : INT_MAX;
	return n < INT_MIN || n > INT_MAX || end == text || *end ? INT_MAX : (int)n;
}

static int
set_salt_len(struct signing *s, const OSSL_PARAM *p)
{
	int len;

	if (!p)
		return 1;
	if (p->data_type == OSSL_PARAM_UTF8_STRING)
		len = read_salt_len(p->data);
	else if (OSSL_PARAM_get_int(p, &len) != 1)
		len = INT_MAX;
	if (len < SALTLEN_AUTO_DIGEST || len > SALTLEN_MOST)
		return refused(s, "no length of a salt");
	s->salt_len = len;
	return 1;
}

static int
signing_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct signing *s = ctx;

	if (!params)
		return 1;
	return set_digest(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
	       set_md(s, &s->mgf1,
		   OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) &&
	       set_padding(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) &&
	       set_salt_len(s, OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN));
}

static const OSSL_PARAM *
settable_ec(void *ctx, void *provider)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)ctx, (void)provider;
	return settable;
}

static const OSSL_PARAM *
settable_rsa(void *ctx, void *provider)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)ctx, (void)provider;
	return settable;
}

static size_t
key_bits(const struct signing *s)
{
	return (size_t)EVP_PKEY_get_bits(s->key->public_half);
}

/* Salt in bytes; -1 when none fits. */
static int
salt_bytes(const struct signing *s)
{
	int most = padding_pss_salt_max(s->md, key_bits(s)), size = EVP_MD_get_size(s->md);

	switch (s->salt_len) {
	case RSA_PSS_SALTLEN_DIGEST:
		return size;
	case SALTLEN_AUTO_DIGEST:
		return size < most ? size : most;
	case RSA_PSS_SALTLEN_AUTO:
	case RSA_PSS_SALTLEN_MAX:
		return most;
	default:
		return s->salt_len;
	}
}

static void
ctxp(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

/* Our padding in the default provider's terms. */
static bool
set_peer_padding(const struct signing *s, EVP_PKEY_CTX *peer, int salt)
{
	if (s->key->ec)
		return true;
	if (EVP_PKEY_CTX_set_rsa_padding(peer, s->padding) != 1)
		return false;
	return s->padding != RSA_PKCS1_PSS_PADDING ||
	       (EVP_PKEY_CTX_set_rsa_pss_saltlen(peer, salt) == 1 &&
		   (!s->mgf1 || EVP_PKEY_CTX_set_rsa_mgf1_md(peer, s->mgf1) == 1));
}

/* What certificates and requests name as their signature algorithm: a verification of the same kind has the same name. */
static int
get_algorithm_id(const struct signing *s, OSSL_PARAM *p)
{
	AUTO(hashp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *peer = NULL; /* ctx's */
	OSSL_PARAM asked[2];

	if (!p)
		return 1;
	if (!ctx || !s->key || !s->md ||
	    EVP_DigestVerifyInit_ex(ctx, &peer, EVP_MD_get0_name(s->md), s->provider->libctx,
		PROVIDER_PEER, s->key->public_half, NULL) != 1 ||
	    !set_peer_padding(s, peer, s->key->ec ? 0 : salt_bytes(s)))
		return 0;
	asked[0] = *p;
	asked[1] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_CTX_get_params(peer, asked) != 1)
		return 0;
	p->return_size = asked[0].return_size;
	return 1;
}

static bool
get_md(const EVP_MD *md, OSSL_PARAM *p)
{
	return !p || OSSL_PARAM_set_utf8_string(p, md ? EVP_MD_get0_name(md) : "") == 1;
}

/* In whichever of the two forms is asked for, as it may be set in either. */
static bool
get_number_or_word(OSSL_PARAM *p, int number, const char *word)
{
	if (!p)
		return true;
	return (p->data_type == OSSL_PARAM_UTF8_STRING ? OSSL_PARAM_set_utf8_string(p, word)
						       : OSSL_PARAM_set_int(p, number)) == 1;
}

static bool
get_salt_len(const struct signing *s, OSSL_PARAM *p)
{
	char digits[16];
	const char *word = digits;

	snprintf(digits, sizeof(digits), "%d", s->salt_len);
	for (size_t i = 0; i < ARRAY_LEN(salt_words); i++)
		if (salt_words[i].value == s->salt_len)
			word = salt_words[i].word;
	return get_number_or_word(p, s->salt_len, word);
}

static int
get_ec(void *ctx, OSSL_PARAM params[])
{
	const struct signing *s = ctx;

	return get_md(s->md, OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
	       get_algorithm_id(s, OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID));
}

/* The padding, too: who signs CMS asks for it before the algorithm identifier. */
static int
get_rsa(void *ctx, OSSL_PARAM params[])
{
	const struct signing *s = ctx;

	return get_ec(ctx, params) &&
	       get_number_or_word(OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE),
		   s->padding,
		   s->padding == RSA_PKCS1_PSS_PADDING ? OSSL_PKEY_RSA_PAD_MODE_PSS
						       : OSSL_PKEY_RSA_PAD_MODE_PKCSV15) &&
	       get_md(s->mgf1 ? s->mgf1 : s->md,
		   OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) &&
	       get_salt_len(s, OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN));
}

static const OSSL_PARAM *
gettable_ec(void *ctx, void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)ctx, (void)provider;
	return gettable;
}

static const OSSL_PARAM *
gettable_rsa(void *ctx, void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)ctx, (void)provider;
	return gettable;
}

/* --- sign */

static int
signing_init(void *ctx, void *key, const OSSL_PARAM params[])
{
	struct signing *s = ctx;

	if (key) {
		provider_key_unref(s->key);
		s->key = provider_key_ref(key);
	}
	return s->key && s->key->public_half && signing_set_params(s, params);
}

/* keyd's clients cut the hash to the size of the curve's order (contracts/keyd.md 4.8), which is the key's size in bits. */
static enum err_code
sign_ec(
    const struct signing *s, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	size_t most = (key_bits(s) + 7) / 8;
	const struct bytes cut = { (uint8_t *)(uintptr_t)hash, len < most ? len : most };

	if (len < EC_HASH_MIN)
		return err_set(err, ERR_INVALID, "hash of fewer than %d bytes", EC_HASH_MIN);
	return keyd_client_sign(s->provider->client, s->key->handle, KEYD_ECDSA, &cut, ret, err);
}

static enum err_code
sign_rsa(
    const struct signing *s, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes padded = { 0 };
	enum keyd_cipher cipher = KEYD_RSA_PKCS1;
	int salt;

	if (s->md && len != (size_t)EVP_MD_get_size(s->md))
		return err_set(err, ERR_INVALID, "hash is of a wrong length");
	if (s->padding == RSA_PKCS1_PSS_PADDING) {
		if (!s->md)
			return err_set(err, ERR_INVALID, "PSS needs a digest");
		cipher = KEYD_RSA_NO_PADDING;
		salt = salt_bytes(s);
		if (salt < 0)
			return err_set(err, ERR_INVALID, "salt does not fit the key");
		if (padding_pss(s->provider->libctx, s->md, s->mgf1 ? s->mgf1 : s->md, (size_t)salt,
			key_bits(s), hash, len, &padded, err))
			return err->code;
	} else if (s->md ? padding_digest_info(s->md, hash, len, &padded, err)
			 : bytes_copy(&padded, hash, len, err)) {
		return err->code;
	}
	return keyd_client_encrypt(
	    s->provider->client, s->key->handle, cipher, NULL, NULL, &padded, ret, err);
}

static enum err_code
sign(const struct signing *s, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes signature = { 0 };
	size_t most = (size_t)EVP_PKEY_get_size(s->key->public_half);

	if (s->key->ec ? sign_ec(s, hash, len, &signature, err)
		       : sign_rsa(s, hash, len, &signature, err))
		return err->code;
	if (signature.len == 0 || signature.len > most || (!s->key->ec && signature.len != most))
		return err_set(
		    err, ERR_PROTOCOL, "keyd's signature is not as long as the key's are");
	*ret = bytes_take(&signature);
	return ERR_OK;
}

static int
signing_sign(void *ctx, unsigned char *out, size_t *out_len, size_t size, const unsigned char *hash,
    size_t hash_len)
{
	const struct signing *s = ctx;
	AUTO(bytes_done) struct bytes signature = { 0 };
	struct err err = { 0 };
	enum err_code code;

	if (!out) { /* libcrypto asks for the size before each signature */
		*out_len = (size_t)EVP_PKEY_get_size(s->key->public_half);
		return 1;
	}
	ERR_set_mark();
	code = sign(s, hash, hash_len, &signature, &err);
	ERR_pop_to_mark();
	if (!code && signature.len > size)
		code = err_set(&err, ERR_INVALID, "no room for the signature");
	if (code)
		return provider_failed(s->provider, &err);
	memcpy(out, signature.data, signature.len);
	*out_len = signature.len;
	return 1;
}

/* --- verify, by the public half */

static int
signing_verify(void *ctx, const unsigned char *signature, size_t signature_len,
    const unsigned char *hash, size_t hash_len)
{
	const struct signing *s = ctx;
	AUTO(ctxp)
	EVP_PKEY_CTX *peer =
	    EVP_PKEY_CTX_new_from_pkey(s->provider->libctx, s->key->public_half, PROVIDER_PEER);

	/* what is automatic in signing is read from the signature in verifying, also by a libcrypto that knows fewer words */
	int salt = s->salt_len == SALTLEN_AUTO_DIGEST ? RSA_PSS_SALTLEN_AUTO : s->salt_len;

	if (!peer || EVP_PKEY_verify_init(peer) != 1 ||
	    (s->md && EVP_PKEY_CTX_set_signature_md(peer, s->md) != 1) ||
	    !set_peer_padding(s, peer, salt))
		return 0;
	return EVP_PKEY_verify(peer, signature, signature_len, hash, hash_len) == 1;
}

/* --- DigestSign, DigestVerify: the same over a hash made here */

static int
digest_init(void *ctx, const char *name, void *key, const OSSL_PARAM params[])
{
	struct signing *s = ctx;

	if (!signing_init(s, key, NULL) || !replace_md(s, &s->md, name && *name ? name : "SHA256"))
		return 0;
	if (!s->hash)
		s->hash = EVP_MD_CTX_new();
	return s->hash && EVP_DigestInit_ex2(s->hash, s->md, NULL) == 1 &&
	       signing_set_params(s, params);
}

static int
digest_update(void *ctx, const unsigned char *data, size_t len)
{
	struct signing *s = ctx;

	return s->hash && EVP_DigestUpdate(s->hash, data, len) == 1;
}

static int
digest_sign_final(void *ctx, unsigned char *out, size_t *out_len, size_t size)
{
	struct signing *s = ctx;
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (out && (!s->hash || EVP_DigestFinal_ex(s->hash, hash, &len) != 1))
		return 0;
	return signing_sign(s, out, out_len, size, hash, len);
}

static int
digest_verify_final(void *ctx, const unsigned char *signature, size_t signature_len)
{
	struct signing *s = ctx;
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int len;

	if (!s->hash || EVP_DigestFinal_ex(s->hash, hash, &len) != 1)
		return 0;
	return signing_verify(s, signature, signature_len, hash, len);
}

#define SIGNATURE(name, kind)                                                              \
	const OSSL_DISPATCH name[] = {                                                     \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),                      \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),                    \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DUPCTX, signing_dup),                      \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_SIGN_INIT, signing_init),                  \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_SIGN, signing_sign),                       \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_VERIFY_INIT, signing_init),                \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_VERIFY, signing_verify),                   \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_init),            \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, digest_update),        \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, digest_sign_final),     \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, digest_init),          \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, digest_update),      \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, digest_verify_final), \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, get_##kind),               \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, gettable_##kind),     \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),       \
		PROVIDER_FN(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, settable_##kind),     \
		{ 0, NULL },                                                               \
	}

SIGNATURE(provider_signature_ec, ec);
SIGNATURE(provider_signature_rsa, rsa);
