#include "tests/fake/tpmd.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"

struct tpmd_client {
	int unused;
};

static struct {
	struct bytes key;
	unsigned times;
	enum err_code fail;
	unsigned status, fails_left;
	size_t cut;
} fake;

void
fake_tpmd_reset(void)
{
	bytes_done(&fake.key);
	memset(&fake, 0, sizeof(fake));
}

unsigned
fake_tpmd_signed(void)
{
	return fake.times;
}

void
fake_tpmd_fail(enum err_code code, unsigned status)
{
	fake_tpmd_fail_times(code, status, code ? UINT_MAX : 0);
}

void
fake_tpmd_fail_times(enum err_code code, unsigned status, unsigned times)
{
	fake.fail = code;
	fake.status = status;
	fake.fails_left = times;
}

void
fake_tpmd_cut(size_t bytes)
{
	fake.cut = bytes;
}

/* --- client/tpmd.h --- */

enum err_code
tpmd_client_new(const struct unix_client_config *config, struct tpmd_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
tpmd_client_free(struct tpmd_client *c)
{
	free(c);
}

enum err_code
tpmd_client_keys(struct tpmd_client *c, struct tpmd_keys_resp *ret, struct err *err)
{
	(void)c;
	if (bytes_copy(&ret->endorsement_key, "ek", 2, err))
		return err->code;
	return bytes_copy(&ret->storage_root_key, "srk", 3, err);
}

enum err_code
tpmd_client_import(struct tpmd_client *c, const struct bytes *blob, struct err *err)
{
	(void)c;
	bytes_done(&fake.key);
	return bytes_copy(&fake.key, blob->data, blob->len, err);
}

enum err_code
tpmd_client_sign(
    struct tpmd_client *c, const struct bytes *data, struct bytes *ret_digest, struct err *err)
{
	static const uint8_t zero[SHA256_LEN];
	uint8_t digest[SHA256_LEN];

	(void)c;
	fake.times++;
	if (digest_hmac_sha256(fake.key.len ? fake.key.data : zero,
		fake.key.len ? fake.key.len : sizeof(zero), data->data, data->len, digest, err))
		return err->code;
	return bytes_copy(ret_digest, digest, sizeof(digest), err);
}

/* --- keys that callers keep --- */

static enum err_code
begin(struct err *err)
{
	fake.times++;
	if (fake.fails_left == 0)
		return ERR_OK;
	fake.fails_left--;
	err_set(err, fake.fail, "the fake fails");
	err->status = (uint16_t)fake.status;
	return fake.fail;
}

/* Counted bytes: two of length, big-endian, and what is in parts. */
static enum err_code
counted(const struct text *parts, size_t n, struct bytes *ret, struct err *err)
{
	size_t len = 0, at = 2;

	for (size_t i = 0; i < n; i++)
		len += parts[i].len;
	if (bytes_alloc(ret, 2 + len, err))
		return err->code;
	ret->data[0] = (uint8_t)(len >> 8);
	ret->data[1] = (uint8_t)len;
	for (size_t i = 0; i < n; at += parts[i++].len)
		if (parts[i].len)
			memcpy(ret->data + at, parts[i].data, parts[i].len);
	return ERR_OK;
}

static enum err_code
object_of(const struct text *public, size_t n, struct text private, struct tpmd_object *ret,
    struct err *err)
{
	if (counted(public, n, &ret->public, err) || counted(&private, 1, &ret->private, err))
		return err->code;
	ret->public.len -= fake.cut;
	return ERR_OK;
}

/* Public areas as TPM 2.0 part 2, 12.2 lays them out. */
static const char ec_area[] = "\0\x23\0\x0b\0\x04\x04\x72\0\0\0\x10\0\x10\0\x03\0\x10\0\x20";
static const char rsa_area[] = "\0\x01\0\x0b\0\x06\x04\x72\0\0\0\x10\0\x10\x08\0\0\0\0\0\x01\0";
static const char hmac_area[] = "\0\x08\0\x0b\0\x04\x04\x72\0\0\0\x05\0\x0b\0\x20";
static const char given_area[] = "\0\x08\0\x0b\0\x04\x04\x52\0\0\0\x05\0\x0b\0\x20";
static const char sealed_area[] = "\0\x08\0\x0b\0\0\x04\x52\0\0\0\x10\0\x20";

#define AREA(literal) ((struct text){ (literal), sizeof(literal) - 1 })

static enum err_code
data_object(
    struct text area, const uint8_t *data, size_t len, struct tpmd_object *ret, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	const struct text parts[] = { area, { (const char *)digest, sizeof(digest) } };

	if (digest_sha256(data, len, digest, err))
		return err->code;
	return object_of(parts, 2, (struct text){ (const char *)data, len }, ret, err);
}

static enum err_code
pair_object(EVP_PKEY *key, bool ec, struct tpmd_object *ret, struct err *err)
{
	uint8_t *point = NULL, *der = NULL;
	uint8_t modulus[TPMD_RSA_LEN];
	BIGNUM *n = NULL;
	int der_len = i2d_PrivateKey(key, &der);
	const struct text private = { (const char *)der, (size_t)der_len };
	enum err_code code;

	if (ec) {
		EVP_PKEY_get1_encoded_public_key(key, &point);
		code = object_of((struct text[]){ AREA(ec_area), { (const char *)point + 1, 32 },
				     TEXT("\0\x20"), { (const char *)point + 33, 32 } },
		    4, private, ret, err);
	} else {
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
		BN_bn2binpad(n, modulus, sizeof(modulus));
		code = object_of(
		    (struct text[]){ AREA(rsa_area), { (const char *)modulus, sizeof(modulus) } },
		    2, private, ret, err);
	}
	OPENSSL_free(point);
	OPENSSL_free(der);
	BN_free(n);
	return code;
}

/* One RSA key for all, as making one takes long. */
static enum err_code
make_pair(bool ec, EVP_PKEY **ret, struct err *err)
{
	static EVP_PKEY *rsa;

	if (ec)
		return x509_key_new(X509_KEY_EC_P256, ret, err);
	if (!rsa && x509_key_new(X509_KEY_RSA_2048, &rsa, err))
		return err->code;
	EVP_PKEY_up_ref(rsa);
	*ret = rsa;
	return ERR_OK;
}

enum err_code
tpmd_client_create_key(
    struct tpmd_client *c, enum tpmd_algorithm algorithm, struct tpmd_object *ret, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	uint8_t secret[SHA256_LEN];
	bool ec = algorithm == TPMD_EC_P256;

	(void)c;
	if (begin(err))
		return err->code;
	if (algorithm == TPMD_HMAC_SHA256) {
		if (digest_random(secret, sizeof(secret), err))
			return err->code;
		return data_object(AREA(hmac_area), secret, sizeof(secret), ret, err);
	}
	if (make_pair(ec, &key, err))
		return err->code;
	return pair_object(key, ec, ret, err);
}

enum err_code
tpmd_client_import_key(
    struct tpmd_client *c, const struct bytes *key, struct tpmd_object *ret, struct err *err)
{
	(void)c;
	if (begin(err))
		return err->code;
	return data_object(AREA(given_area), key->data, key->len, ret, err);
}

enum err_code
tpmd_client_seal(
    struct tpmd_client *c, const struct bytes *data, struct tpmd_object *ret, struct err *err)
{
	(void)c;
	if (begin(err))
		return err->code;
	return data_object(AREA(sealed_area), data->data, data->len, ret, err);
}

enum err_code
tpmd_client_unseal(struct tpmd_client *c, const struct tpmd_object *object, struct bytes *ret_data,
    struct err *err)
{
	(void)c;
	if (begin(err))
		return err->code;
	return bytes_copy(ret_data, object->private.data + 2, object->private.len - 2, err);
}

enum err_code
tpmd_client_use_key(struct tpmd_client *c, const struct tpmd_object *object, enum tpmd_mech mech,
    const struct bytes *data, struct bytes *ret, struct err *err)
{
	const uint8_t *at = object->private.data + 2;
	size_t len = object->private.len - 2;
	uint8_t out[TPMD_RSA_LEN];
	size_t out_len = sizeof(out);
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx;
	bool ok;

	(void)c;
	if (begin(err))
		return err->code;
	if (mech == TPMD_SIGN_HMAC) {
		if (digest_hmac_sha256(at, len, data->data, data->len, out, err))
			return err->code;
		return bytes_copy(ret, out, SHA256_LEN - fake.cut, err);
	}
	key = d2i_AutoPrivateKey(NULL, &at, (long)len);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	ok = ctx && EVP_PKEY_sign_init(ctx) > 0 &&
	     (mech == TPMD_SIGN_ECDSA || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0) &&
	     EVP_PKEY_sign(ctx, out, &out_len, data->data, data->len) > 0;
	EVP_PKEY_CTX_free(ctx);
	if (!ok)
		return err_openssl(err, "the fake cannot sign");
	return bytes_copy(ret, out, out_len - fake.cut, err);
}
