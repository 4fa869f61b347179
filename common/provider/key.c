#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "crypto/digest.h"
#include "provider/parts.h"

/* DER of the object identifier of P-256, the only curve of keyd (contracts/keyd.md 4.6) */
static const uint8_t p256_oid[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };

static void
buildp(OSSL_PARAM_BLD **build)
{
	OSSL_PARAM_BLD_free(*build);
}

static void
paramsp(OSSL_PARAM **params)
{
	OSSL_PARAM_free(*params);
}

static void
ctxp(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

static void
numberp(BIGNUM **number)
{
	BN_free(*number);
}

static enum err_code
ask(const struct provider_key *key, const char *name, struct bytes *ret, struct err *err)
{
	AUTO(str_freep) char *value = NULL;

	if (keyd_client_parameter(key->client, key->handle, name, &value, err))
		return err->code;
	if (b64_decode(B64_STD, text_of(value), ret, err))
		return err_wrap_code(err, ERR_PROTOCOL, "%s from keyd", name);
	return ERR_OK;
}

static enum err_code
make_public(const char *type, OSSL_PARAM_BLD *build, EVP_PKEY **ret, struct err *err)
{
	AUTO(ctxp) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, PROVIDER_PEER);
	AUTO(paramsp) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *made = NULL;

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return err_openssl(err, "public key from keyd");
	*ret = made;
	return ERR_OK;
}

/* The point may come compressed or not (contracts/client-facts.md 14): libcrypto reads both. */
static enum err_code
load_ec(struct provider_key *key, struct err *err)
{
	AUTO(buildp) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	AUTO(bytes_done) struct bytes oid = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };

	if (!build)
		return err_nomem(err);
	if (ask(key, "ec-curve-oid", &oid, err) || ask(key, "ec-point", &point, err))
		return err->code;
	if (oid.len != sizeof(p256_oid) || memcmp(oid.data, p256_oid, sizeof(p256_oid)) != 0)
		return err_set(err, ERR_PROTOCOL, "keyd's key is on an unknown curve");
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(
		build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len) != 1)
		return err_openssl(err, "public key from keyd");
	return make_public("EC", build, &key->public_half, err);
}

static enum err_code
load_rsa(struct provider_key *key, struct err *err)
{
	AUTO(buildp) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	AUTO(bytes_done) struct bytes modulus = { 0 };
	AUTO(bytes_done) struct bytes exponent = { 0 };
	AUTO(numberp) BIGNUM *n = NULL;
	AUTO(numberp) BIGNUM *e = NULL;

	if (!build)
		return err_nomem(err);
	if (ask(key, "rsa-modulus", &modulus, err) || ask(key, "rsa-exponent", &exponent, err))
		return err->code;
	n = BN_bin2bn(modulus.data, (int)modulus.len, NULL);
	e = BN_bin2bn(exponent.data, (int)exponent.len, NULL);
	if (!n || !e || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		return err_openssl(err, "public key from keyd");
	return make_public("RSA", build, &key->public_half, err);
}

enum err_code
provider_key_load(
    struct keyd_client *client, char **handle, struct provider_key **ret, struct err *err)
{
	AUTO(provider_keyp) struct provider_key *key = calloc(1, sizeof(*key));
	AUTO(str_freep) char *algorithm = NULL;

	if (!key)
		return err_nomem(err);
	key->refs = 1;
	key->client = client;
	key->handle = *handle;
	*handle = NULL;
	if (keyd_client_parameter(client, key->handle, "algorithm", &algorithm, err))
		return err->code;
	key->ec = strcmp(algorithm, "ECDSA") == 0;
	if (!key->ec && strcmp(algorithm, "RSA") != 0)
		return err_set(err, ERR_PROTOCOL, "keyd's key is of an unknown algorithm");
	if (key->ec ? load_ec(key, err) : load_rsa(key, err))
		return err->code;
	*ret = key;
	key = NULL;
	return ERR_OK;
}

struct provider_key *
provider_key_ref(struct provider_key *key)
{
	atomic_fetch_add(&key->refs, 1);
	return key;
}

void
provider_key_unref(struct provider_key *key)
{
	if (!key || atomic_fetch_sub(&key->refs, 1) != 1)
		return;
	str_freep(&key->handle);
	EVP_PKEY_free(key->public_half);
	free(key);
}

void
provider_keyp(struct provider_key **key)
{
	provider_key_unref(*key);
	*key = NULL;
}
