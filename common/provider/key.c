#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "provider/parts.h"

#define RSA_BITS_MIN 1024
#define RSA_BITS_MAX 16384

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

	if (keyd_client_parameter(key->provider->client, key->handle, name, &value, err))
		return err->code;
	if (b64_decode(B64_STD, text_of(value), ret, err))
		return err_wrap_code(err, ERR_PROTOCOL, "%s from keyd", name);
	return ERR_OK;
}

static enum err_code
make_public(struct provider_key *key, OSSL_PARAM_BLD *build, struct err *err)
{
	AUTO(ctxp)
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(
	    key->provider->libctx, key->ec ? "EC" : "RSA", PROVIDER_PEER);
	AUTO(paramsp) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key->public_half, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		provider_crypto(err, "public key from keyd");
		return err->code == ERR_CRYPTO ? err->code = ERR_PROTOCOL : err->code;
	}
	return ERR_OK;
}

/* libcrypto takes the point at infinity for a key as long as nobody asks. */
static enum err_code
check_point(const struct provider_key *key, struct err *err)
{
	AUTO(ctxp)
	EVP_PKEY_CTX *ctx =
	    EVP_PKEY_CTX_new_from_pkey(key->provider->libctx, key->public_half, PROVIDER_PEER);

	if (!ctx)
		return err_nomem(err);
	if (EVP_PKEY_public_check(ctx) != 1)
		return err_set(err, ERR_PROTOCOL, "keyd's ec-point is no public key");
	return ERR_OK;
}

/* libcrypto's name of the curve whose DER object identifier that is (contracts/keyd.md 4.6); NULL: it knows none. */
static const char *
curve_name(const struct bytes *oid)
{
	const unsigned char *at = oid->data;
	ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)oid->len);
	int nid = object && at == oid->data + oid->len ? OBJ_obj2nid(object) : NID_undef;

	ASN1_OBJECT_free(object);
	return nid == NID_undef ? NULL : OBJ_nid2sn(nid);
}

/* The point may come compressed or not (contracts/client-facts.md 14): libcrypto reads both. */
static enum err_code
load_ec(struct provider_key *key, struct err *err)
{
	AUTO(buildp) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	AUTO(bytes_done) struct bytes oid = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };
	const char *curve;

	if (!build)
		return err_nomem(err);
	if (ask(key, "ec-curve-oid", &oid, err) || ask(key, "ec-point", &point, err))
		return err->code;
	curve = curve_name(&oid);
	if (!curve)
		return err_set(err, ERR_PROTOCOL, "keyd's key is on an unknown curve");
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(
		build, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len) != 1)
		return err_nomem(err);
	return make_public(key, build, err) ? err->code : check_point(key, err);
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
	if (modulus.len > RSA_BITS_MAX / 8 || exponent.len > modulus.len)
		return err_set(err, ERR_PROTOCOL, "keyd's RSA key is out of bounds");
	n = BN_bin2bn(modulus.data, (int)modulus.len, NULL);
	e = BN_bin2bn(exponent.data, (int)exponent.len, NULL);
	if (!n || !e)
		return err_nomem(err);
	if (BN_num_bits(n) < RSA_BITS_MIN || !BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e))
		return err_set(err, ERR_PROTOCOL, "keyd's RSA key is out of bounds");
	if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) != 1)
		return err_nomem(err);
	return make_public(key, build, err);
}

/* What kind of key the handle is for; PROVIDER_ANY: one that the provider cannot use. */
static enum err_code
kind_of(const struct provider_key *key, enum provider_kind *ret, struct err *err)
{
	AUTO(str_freep) char *algorithm = NULL;

	if (keyd_client_parameter(key->provider->client, key->handle, "algorithm", &algorithm, err))
		return err->code;
	*ret = strcmp(algorithm, "ECDSA") == 0 ? PROVIDER_EC
	       : strcmp(algorithm, "RSA") == 0 ? PROVIDER_RSA
					       : PROVIDER_ANY;
	if (strcmp(algorithm, "EdDSA") == 0)
		return err_set(err, ERR_INVALID, "Ed25519 keys are not for use through OpenSSL");
	if (*ret == PROVIDER_ANY)
		return err_set(err, ERR_PROTOCOL, "keyd's key is of an unknown algorithm");
	return ERR_OK;
}

enum err_code
provider_key_open(const struct provider *p, const struct key_uri *uri, enum provider_kind want,
    struct provider_key **ret, struct err *err)
{
	AUTO(provider_keyp) struct provider_key *key = calloc(1, sizeof(*key));
	enum provider_kind kind = PROVIDER_ANY;

	if (!key)
		return err_nomem(err);
	key->refs = 1;
	key->provider = p;
	if (!p->client) {
		*err = p->no_client;
		return err->code;
	}
	if (uri->by_handle ? str_copy(&key->handle, uri->value, err)
			   : keyd_client_load_key_pair(p->client, uri->value, &key->handle, err))
		return err->code;
	if (kind_of(key, &kind, err))
		return err->code;
	if (want != PROVIDER_ANY && want != kind) {
		*ret = NULL;
		return ERR_OK;
	}
	key->ec = kind == PROVIDER_EC;
	if (key->ec ? load_ec(key, err) : load_rsa(key, err))
		return err->code;
	*ret = key;
	key = NULL;
	return ERR_OK;
}

int
provider_key_give(struct provider_key **key, OSSL_CALLBACK *object, void *object_arg)
{
	int type = OSSL_OBJECT_PKEY;
	char *name = (char *)((*key)->ec ? "EC" : "RSA");
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
		OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE, name, 0),
		OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, key, sizeof(*key)),
		OSSL_PARAM_construct_end(),
	};

	return object(params, object_arg); /* keymgmt_load takes the key out of the variable */
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
