#include "keyd/pair.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"

#define SPARES 8

struct pair {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *signer; /* read-only once made; copied where there is no spare */
	bool ec;

	pthread_mutex_t lock;	      /* guards the rest */
	EVP_PKEY_CTX *spares[SPARES]; /* copies that no signature uses now */
	size_t n_spares;
};

enum err_code
pair_generate(enum key_algorithm algorithm, struct bytes *ret_pem, struct err *err)
{
	static const enum x509_key_kind kinds[KEY_ALGORITHMS] = {
		[KEY_EC_P256] = X509_KEY_EC_P256,
		[KEY_RSA_2048] = X509_KEY_RSA_2048,
		[KEY_RSA_4096] = X509_KEY_RSA_4096,
	};
	AUTO(x509_keyp) EVP_PKEY *pkey = NULL;

	if (x509_key_new(kinds[algorithm], &pkey, err))
		return err->code;
	return x509_key_write(pkey, ret_pem, err);
}

enum err_code
pair_read(const struct bytes *pem, struct pair **ret, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *signer;
	struct pair *p;

	if (x509_key_read(text_of_bytes(pem), &pkey, err))
		return err->code;
	if (!EVP_PKEY_is_a(pkey, "EC") && !EVP_PKEY_is_a(pkey, "RSA"))
		return err_set(err, ERR_SYNTAX, "the key is neither EC nor RSA");
	signer = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!signer || EVP_PKEY_sign_init(signer) <= 0) {
		EVP_PKEY_CTX_free(signer);
		return err_openssl(err, "could not start a signature");
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		EVP_PKEY_CTX_free(signer);
		return err_nomem(err);
	}
	pthread_mutex_init(&p->lock, NULL);
	p->ec = EVP_PKEY_is_a(pkey, "EC");
	p->signer = signer;
	p->pkey = pkey;
	pkey = NULL;
	*ret = p;
	return ERR_OK;
}

void
pair_free(struct pair *p)
{
	if (!p)
		return;
	while (p->n_spares > 0)
		EVP_PKEY_CTX_free(p->spares[--p->n_spares]);
	EVP_PKEY_CTX_free(p->signer);
	EVP_PKEY_free(p->pkey);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool
is_p256(const struct pair *p)
{
	char group[64];

	return p->ec && EVP_PKEY_get_group_name(p->pkey, group, sizeof(group), NULL) == 1 &&
	       OBJ_txt2nid(group) == NID_X9_62_prime256v1;
}

bool
pair_is_slow(const struct pair *p)
{
	return p->ec ? !is_p256(p) : EVP_PKEY_get_bits(p->pkey) > 2048;
}

/* --- public parameters */

static enum err_code
curve_oid(const struct pair *p, struct bytes *ret, struct err *err)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };

	if (!is_p256(p))
		return err_set(err, ERR_INVALID, "the curve is not P-256");
	return bytes_copy(ret, p256, sizeof(p256), err);
}

/* The key keeps its point uncompressed, 04 | X | Y; the contract's form is 02 or 03 by the parity of Y, and X. */
static enum err_code
compressed_point(const struct pair *p, struct bytes *ret, struct err *err)
{
	uint8_t *point = NULL;
	size_t len = EVP_PKEY_get1_encoded_public_key(p->pkey, &point);
	enum err_code code = ERR_OK;

	if (len >= 3 && len % 2 == 1 && point[0] == POINT_CONVERSION_UNCOMPRESSED) {
		point[0] = POINT_CONVERSION_COMPRESSED | (point[len - 1] & 1);
		code = bytes_copy(ret, point, 1 + len / 2, err);
	} else if (len > 0 && (point[0] & ~1) == POINT_CONVERSION_COMPRESSED) {
		code = bytes_copy(ret, point, len, err);
	} else {
		code = err_openssl(err, "could not read the public point");
	}
	OPENSSL_free(point);
	return code;
}

static enum err_code
rsa_number(const struct pair *p, const char *name, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	BIGNUM *number = NULL;
	enum err_code code;

	if (!EVP_PKEY_get_bn_param(p->pkey, name, &number))
		return err_openssl(err, "could not read the public key");
	code = bytes_alloc(&out, (size_t)BN_num_bytes(number), err);
	if (code == ERR_OK)
		BN_bn2bin(number, out.data);
	BN_free(number);
	if (code == ERR_OK)
		*ret = bytes_take(&out);
	return code;
}

enum err_code
pair_parameter(const struct pair *p, enum key_parameter which, struct bytes *ret, struct err *err)
{
	const char *algorithm = p->ec ? "ECDSA" : "RSA";

	if (which == KEY_PARAM_ALGORITHM)
		return bytes_copy(ret, algorithm, strlen(algorithm), err);
	if (p->ec && which == KEY_PARAM_EC_CURVE_OID)
		return curve_oid(p, ret, err);
	if (p->ec && which == KEY_PARAM_EC_POINT)
		return compressed_point(p, ret, err);
	if (!p->ec && which == KEY_PARAM_RSA_MODULUS)
		return rsa_number(p, OSSL_PKEY_PARAM_RSA_N, ret, err);
	if (!p->ec && which == KEY_PARAM_RSA_EXPONENT)
		return rsa_number(p, OSSL_PKEY_PARAM_RSA_E, ret, err);
	return err_set(err, ERR_INVALID, "the key has no such parameter");
}

/* --- private operations */

static EVP_PKEY_CTX *
take_spare(struct pair *p)
{
	EVP_PKEY_CTX *ctx = NULL;

	pthread_mutex_lock(&p->lock);
	if (p->n_spares > 0)
		ctx = p->spares[--p->n_spares];
	pthread_mutex_unlock(&p->lock);
	return ctx ? ctx : EVP_PKEY_CTX_dup(p->signer);
}

static void
give_spare(struct pair *p, EVP_PKEY_CTX *ctx)
{
	pthread_mutex_lock(&p->lock);
	if (p->n_spares < SPARES) {
		p->spares[p->n_spares++] = ctx;
		ctx = NULL;
	}
	pthread_mutex_unlock(&p->lock);
	EVP_PKEY_CTX_free(ctx);
}

/* padding: an RSA_..._PADDING, or 0 for ECDSA. */
static enum err_code
sign(struct pair *p, int padding, const struct bytes *data, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	EVP_PKEY_CTX *ctx;
	bool done;

	if (bytes_alloc(&out, (size_t)EVP_PKEY_get_size(p->pkey), err))
		return err->code;
	ctx = take_spare(p);
	done = ctx && (!padding || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0) &&
	       EVP_PKEY_sign(ctx, out.data, &out.len, data->data, data->len) > 0;
	if (!done) {
		EVP_PKEY_CTX_free(ctx);
		return err_openssl(err, "could not sign");
	}
	give_spare(p, ctx);
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
pair_ecdsa(struct pair *p, const struct bytes *digest, struct bytes *ret, struct err *err)
{
	if (!p->ec)
		return err_set(err, ERR_INVALID, "the key is not an EC key");
	if (digest->len < PAIR_DIGEST_MIN || digest->len > PAIR_DIGEST_MAX)
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	return sign(p, 0, digest, ret, err);
}

enum err_code
pair_rsa(struct pair *p, bool pkcs1, const struct bytes *data, struct bytes *ret, struct err *err)
{
	if (p->ec)
		return err_set(err, ERR_INVALID, "the key is not an RSA key");
	/* libcrypto would take less than the modulus and pad it with zeros; the contract refuses it */
	if (!pkcs1 && data->len != (size_t)EVP_PKEY_get_size(p->pkey))
		return err_set(err, ERR_CRYPTO, "the data is not of the length of the modulus");
	return sign(p, pkcs1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING, data, ret, err);
}
