#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

#include "tests/conformance/conformance.h"

#define TAG_LEN 16

static struct bytes
room(size_t len)
{
	struct bytes b = { 0 };
	struct err err = { 0 };

	if (bytes_alloc(&b, len, &err))
		fail("%s", err.text);
	return b;
}

struct bytes
text_bytes(const char *text)
{
	return (struct bytes){ (uint8_t *)text, strlen(text) };
}

struct bytes
judge_random(size_t len)
{
	struct bytes b = room(len);

	if (RAND_bytes(b.data, (int)len) != 1)
		fail("no random bytes");
	return b;
}

struct bytes
judge_hmac(const struct bytes *key, const struct bytes *data)
{
	struct bytes out = room(32);

	if (!HMAC(EVP_sha256(), key->data, (int)key->len, data->data, data->len, out.data, NULL))
		fail("libcrypto cannot compute an HMAC");
	return out;
}

/* A public key of parameters; NULL: they are none. */
static EVP_PKEY *
public_key(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	return key;
}

bool
judge_ecdsa(const struct bytes *point, const struct bytes *digest, const struct bytes *signature)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key;
	bool good;

	OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
	OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point->data, point->len);
	key = public_key("EC", build);
	if (!key)
		fail("EC_POINT is no point of P-256");
	ctx = EVP_PKEY_CTX_new(key, NULL);
	good = EVP_PKEY_verify_init(ctx) > 0 && EVP_PKEY_verify(ctx, signature->data,
						    signature->len, digest->data, digest->len) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good;
}

struct bytes
judge_rsa(
    const struct bytes *modulus, const struct bytes *exponent, bool pkcs1, const struct bytes *data)
{
	BIGNUM *n = BN_bin2bn(modulus->data, (int)modulus->len, NULL);
	BIGNUM *e = BN_bin2bn(exponent->data, (int)exponent->len, NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	struct bytes out = room(modulus->len);
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key;

	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
	key = public_key("RSA", build);
	if (!key)
		fail("RSA_MODULUS and RSA_EXPONENT are no key");
	ctx = EVP_PKEY_CTX_new(key, NULL);
	if (EVP_PKEY_verify_recover_init(ctx) <= 0 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, pkcs1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING) <= 0 ||
	    EVP_PKEY_verify_recover(ctx, out.data, &out.len, data->data, data->len) <= 0)
		bytes_done(&out);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	BN_free(n);
	BN_free(e);
	return out;
}

struct bytes
judge_seal(
    unsigned version, const struct bytes *key, const struct how *how, const struct bytes *plaintext)
{
	struct bytes out = room(1 + plaintext->len + TAG_LEN);
	uint8_t *tag = version == 1 ? out.data + 1 : out.data + 1 + plaintext->len;
	uint8_t *body = version == 1 ? out.data + 1 + TAG_LEN : out.data + 1;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	out.data[0] = (uint8_t)version;
	if (!EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)how->iv.len, NULL) ||
	    !EVP_EncryptInit_ex(ctx, NULL, NULL, key->data, how->iv.data) ||
	    (how->aad.len && !EVP_EncryptUpdate(ctx, NULL, &n, how->aad.data, (int)how->aad.len)) ||
	    (plaintext->len &&
		!EVP_EncryptUpdate(ctx, body, &n, plaintext->data, (int)plaintext->len)) ||
	    !EVP_EncryptFinal_ex(ctx, body + plaintext->len, &n) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag))
		fail("libcrypto cannot encrypt");
	EVP_CIPHER_CTX_free(ctx);
	return out;
}
