#include "keyd/pkcs11_public.h"

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

#include "crypto/digest.h"
#include "crypto/x509.h"

#define NUMBER_MAX 1024 /* bytes of an RSA number */
#define POINT_MAX  256	/* bytes of CKA_EC_POINT */
#define PARAMS_MAX 256	/* bytes of CKA_EC_PARAMS */

enum err_code
pkcs11_curve_params(int nid, struct bytes *ret, struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_ASN1_OBJECT(OBJ_nid2obj(nid), &der);
	enum err_code code;

	if (len <= 0)
		return err_openssl(err, "could not name the curve");
	code = bytes_copy(ret, der, (size_t)len, err);
	OPENSSL_free(der);
	return code;
}

/* --- from numbers to a key */

static enum err_code
make_key(const char *algorithm, OSSL_PARAM *params, EVP_PKEY **ret, struct err *err)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	bool made = ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
		    EVP_PKEY_fromdata(ctx, ret, EVP_PKEY_PUBLIC_KEY, params) > 0;

	EVP_PKEY_CTX_free(ctx);
	if (made)
		return ERR_OK;
	err_openssl(err, "the token's public key is none");
	err->code = ERR_INTERNAL;
	return err->code;
}

static enum err_code
make_ec(int nid, const struct bytes *point, EVP_PKEY **ret, struct err *err)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
		    OSSL_PKEY_PARAM_GROUP_NAME, (char *)OBJ_nid2sn(nid), 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point->data, point->len),
		OSSL_PARAM_construct_end(),
	};

	return make_key("EC", params, ret, err);
}

static OSSL_PARAM *
rsa_params(const BIGNUM *n, const BIGNUM *e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;

	if (build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		params = OSSL_PARAM_BLD_to_param(build);
	OSSL_PARAM_BLD_free(build);
	return params;
}

static enum err_code
make_rsa(
    const struct ck_attribute *n, const struct ck_attribute *e, EVP_PKEY **ret, struct err *err)
{
	BIGNUM *modulus = BN_bin2bn(n->value, (int)n->value_len, NULL);
	BIGNUM *exponent = BN_bin2bn(e->value, (int)e->value_len, NULL);
	OSSL_PARAM *params = modulus && exponent ? rsa_params(modulus, exponent) : NULL;
	enum err_code code =
	    params ? make_key("RSA", params, ret, err) : err_openssl(err, "could not read the key");

	OSSL_PARAM_free(params);
	BN_free(modulus);
	BN_free(exponent);
	return code;
}

/* --- from attributes to numbers */

static enum err_code
read_rsa(struct pkcs11_session *s, ck_object_handle_t object, EVP_PKEY **ret, struct err *err)
{
	uint8_t n[NUMBER_MAX], e[NUMBER_MAX];
	struct ck_attribute attributes[] = {
		{ CKA_MODULUS, n, sizeof(n) },
		{ CKA_PUBLIC_EXPONENT, e, sizeof(e) },
	};

	if (pkcs11_read(s, object, attributes, ARRAY_LEN(attributes), err))
		return err->code;
	if (attributes[0].value_len == 0 || attributes[1].value_len == 0)
		return err_set(err, ERR_INTERNAL, "the token does not tell the public key");
	return make_rsa(&attributes[0], &attributes[1], ret, err);
}

static enum err_code
curve_of(const struct ck_attribute *params, int *ret, struct err *err)
{
	const unsigned char *at = params->value;
	ASN1_OBJECT *oid = d2i_ASN1_OBJECT(NULL, &at, (long)params->value_len);
	int nid = oid ? OBJ_obj2nid(oid) : NID_undef;

	ASN1_OBJECT_free(oid);
	if (nid != NID_X9_62_prime256v1 && nid != NID_secp384r1 && nid != NID_secp521r1)
		return err_set(
		    err, ERR_UNSUPPORTED, "the key's curve is none of P-256, P-384 and P-521");
	*ret = nid;
	return ERR_OK;
}

/* Bytes of a coordinate, or of r and s. */
static size_t
field_len(int nid)
{
	return nid == NID_X9_62_prime256v1 ? 32 : nid == NID_secp384r1 ? 48 : 66;
}

static bool
is_bare_point(const struct ck_attribute *point, size_t field)
{
	const uint8_t *data = point->value;

	return (point->value_len == 2 * field + 1 && data[0] == POINT_CONVERSION_UNCOMPRESSED) ||
	       (point->value_len == field + 1 && (data[0] & ~1) == POINT_CONVERSION_COMPRESSED);
}

static enum err_code
unwrap_point(const struct ck_attribute *point, size_t field, struct bytes *ret, struct err *err)
{
	const unsigned char *at = point->value;
	ASN1_OCTET_STRING *string;
	enum err_code code;

	if (is_bare_point(point, field))
		return bytes_copy(ret, point->value, point->value_len, err);
	string = d2i_ASN1_OCTET_STRING(NULL, &at, (long)point->value_len);
	if (!string)
		return err_set(err, ERR_INTERNAL, "the token's public key is no point");
	code =
	    bytes_copy(ret, ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string), err);
	ASN1_OCTET_STRING_free(string);
	return code;
}

static enum err_code
read_ec(struct pkcs11_session *s, ck_object_handle_t object, EVP_PKEY **ret, struct err *err)
{
	uint8_t params[PARAMS_MAX], point[POINT_MAX];
	struct ck_attribute attributes[] = {
		{ CKA_EC_PARAMS, params, sizeof(params) },
		{ CKA_EC_POINT, point, sizeof(point) },
	};
	AUTO(bytes_done) struct bytes bare = { 0 };
	int nid = NID_undef;

	if (pkcs11_read(s, object, attributes, ARRAY_LEN(attributes), err) ||
	    curve_of(&attributes[0], &nid, err))
		return err->code;
	if (attributes[1].value_len == 0)
		return err_set(err, ERR_INTERNAL, "the token does not tell the public key");
	if (unwrap_point(&attributes[1], field_len(nid), &bare, err))
		return err->code;
	return make_ec(nid, &bare, ret, err);
}

enum err_code
pkcs11_public_read(
    struct pkcs11_session *s, const struct pkcs11_found *found, EVP_PKEY **ret, struct err *err)
{
	/* some tokens have public numbers in the private object only, some in the public one only */
	const struct pkcs11_object *from =
	    pkcs11_is_there(&found->public) ? &found->public : &found->private;
	unsigned long type = CK_UNAVAILABLE_INFORMATION;
	struct ck_attribute attribute = { CKA_KEY_TYPE, &type, sizeof(type) };

	if (pkcs11_read(s, found->private.handle, &attribute, 1, err))
		return err->code;
	if (type == CKK_RSA)
		return read_rsa(s, from->handle, ret, err);
	if (type == CKK_EC)
		return read_ec(s, from->handle, ret, err);
	return err_set(err, ERR_UNSUPPORTED, "the key on the token is neither EC nor RSA");
}

/* --- signatures */

enum err_code
pkcs11_ecdsa_der(const struct bytes *raw, size_t half, struct bytes *ret, struct err *err)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r, *s;
	unsigned char *der = NULL;
	enum err_code code;
	int len;

	if (raw->len != 2 * half) {
		ECDSA_SIG_free(sig);
		return err_set(err, ERR_PROTOCOL, "C_Sign: a signature of %zu bytes, not %zu",
		    raw->len, 2 * half);
	}
	r = BN_bin2bn(raw->data, (int)half, NULL);
	s = BN_bin2bn(raw->data + half, (int)half, NULL);
	if (!sig || !r || !s || !ECDSA_SIG_set0(sig, r, s)) {
		BN_free(r);
		BN_free(s);
		ECDSA_SIG_free(sig);
		return err_openssl(err, "could not write the signature");
	}
	len = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	if (len <= 0)
		return err_openssl(err, "could not write the signature");
	code = bytes_copy(ret, der, (size_t)len, err);
	OPENSSL_free(der);
	return code;
}
