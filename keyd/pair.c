#include "keyd/pair.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"
#include "keyd/spares.h"

/* EdDSA reads its message twice: up to here that takes less than the signature. */
#define EDDSA_QUICK	((size_t)16 * 1024)
#define ED25519_KEY_LEN 32

enum pair_kind { PAIR_EC, PAIR_RSA, PAIR_ED25519, PAIR_KINDS };

static const struct {
	const char *openssl, *contract; /* names of the algorithm */
} kinds[PAIR_KINDS] = {
	[PAIR_EC] = { "EC", "ECDSA" },
	[PAIR_RSA] = { "RSA", "RSA" },
	[PAIR_ED25519] = { "ED25519", "EdDSA" },
};

struct pair {
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *signer; /* read-only once made; copied where there is no spare; NULL: EdDSA */
	enum pair_kind kind;
	int curve;	      /* NID; NID_undef: has none, or none that we know */
	struct spares spares; /* copies of signer */
};

enum err_code
pair_generate(enum key_algorithm algorithm, struct bytes *ret_pem, struct err *err)
{
	static const enum x509_key_kind made_as[KEY_ALGORITHMS] = {
		[KEY_EC_P256] = X509_KEY_EC_P256,
		[KEY_EC_P384] = X509_KEY_EC_P384,
		[KEY_ED25519] = X509_KEY_ED25519,
		[KEY_RSA_2048] = X509_KEY_RSA_2048,
		[KEY_RSA_3072] = X509_KEY_RSA_3072,
		[KEY_RSA_4096] = X509_KEY_RSA_4096,
	};
	AUTO(x509_keyp) EVP_PKEY *pkey = NULL;

	if (x509_key_new(made_as[algorithm], &pkey, err))
		return err->code;
	return x509_key_write(pkey, ret_pem, err);
}

static int
curve_of(const EVP_PKEY *pkey, enum pair_kind kind)
{
	char group[64];

	if (kind == PAIR_ED25519)
		return NID_ED25519;
	if (kind == PAIR_EC && EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1)
		return OBJ_txt2nid(group);
	return NID_undef;
}

/* What is learnt of a key once, so that using it asks nothing. */
static enum err_code
take_key(struct pair *p, EVP_PKEY *pkey, struct err *err)
{
	p->pkey = pkey;
	while (p->kind < PAIR_KINDS && !EVP_PKEY_is_a(pkey, kinds[p->kind].openssl))
		p->kind++;
	if (p->kind == PAIR_KINDS)
		return err_set(err, ERR_SYNTAX, "the key is neither EC nor RSA nor Ed25519");
	p->curve = curve_of(pkey, p->kind);
	if (p->kind == PAIR_ED25519)
		return ERR_OK;
	p->signer = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (!p->signer || EVP_PKEY_sign_init(p->signer) <= 0)
		return err_openssl(err, "could not start a signature");
	return ERR_OK;
}

static enum err_code
pair_new(EVP_PKEY *pkey, struct pair **ret, struct err *err)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p) {
		EVP_PKEY_free(pkey);
		return err_nomem(err);
	}
	if (take_key(p, pkey, err)) {
		pair_free(p);
		return err->code;
	}
	*ret = p;
	return ERR_OK;
}

enum err_code
pair_read(const struct bytes *pem, struct pair **ret, struct err *err)
{
	EVP_PKEY *pkey = NULL;

	if (x509_key_read(text_of_bytes(pem), &pkey, err))
		return err->code;
	return pair_new(pkey, ret, err);
}

enum err_code
pair_public(EVP_PKEY *pkey, struct pair **ret, struct err *err)
{
	return pair_new(pkey, ret, err);
}

void
pair_free(struct pair *p)
{
	EVP_PKEY_CTX *spare;

	if (!p)
		return;
	while ((spare = spares_take(&p->spares)))
		EVP_PKEY_CTX_free(spare);
	EVP_PKEY_CTX_free(p->signer);
	EVP_PKEY_free(p->pkey);
	free(p);
}

bool
pair_is_slow(const struct pair *p, size_t len)
{
	switch (p->kind) {
	case PAIR_EC:
		return p->curve != NID_X9_62_prime256v1;
	case PAIR_ED25519:
		return len > EDDSA_QUICK;
	default:
		return EVP_PKEY_get_bits(p->pkey) > 2048;
	}
}

/* --- public parameters */

static enum err_code
curve_oid(const struct pair *p, struct bytes *ret, struct err *err)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };
	static const uint8_t p384[] = { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 };
	static const uint8_t ed25519[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };

	switch (p->curve) {
	case NID_X9_62_prime256v1:
		return bytes_copy(ret, p256, sizeof(p256), err);
	case NID_secp384r1:
		return bytes_copy(ret, p384, sizeof(p384), err);
	case NID_ED25519:
		return bytes_copy(ret, ed25519, sizeof(ed25519), err);
	default:
		return err_set(err, ERR_INVALID, "the curve is neither P-256 nor P-384");
	}
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
raw_point(const struct pair *p, struct bytes *ret, struct err *err)
{
	uint8_t point[ED25519_KEY_LEN];
	size_t len = sizeof(point);

	if (EVP_PKEY_get_raw_public_key(p->pkey, point, &len) != 1)
		return err_openssl(err, "could not read the public key");
	return bytes_copy(ret, point, len, err);
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
	const char *algorithm = kinds[p->kind].contract;
	bool rsa = p->kind == PAIR_RSA;

	if (which == KEY_PARAM_ALGORITHM)
		return bytes_copy(ret, algorithm, strlen(algorithm), err);
	if (!rsa && which == KEY_PARAM_EC_CURVE_OID)
		return curve_oid(p, ret, err);
	if (!rsa && which == KEY_PARAM_EC_POINT)
		return p->kind == PAIR_EC ? compressed_point(p, ret, err) : raw_point(p, ret, err);
	if (rsa && which == KEY_PARAM_RSA_MODULUS)
		return rsa_number(p, OSSL_PKEY_PARAM_RSA_N, ret, err);
	if (rsa && which == KEY_PARAM_RSA_EXPONENT)
		return rsa_number(p, OSSL_PKEY_PARAM_RSA_E, ret, err);
	return err_set(err, ERR_INVALID, "the key has no such parameter");
}

/* --- private operations */

/* padding: an RSA_..._PADDING, or 0 for ECDSA. */
static enum err_code
sign(struct pair *p, int padding, const struct bytes *data, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	EVP_PKEY_CTX *ctx;
	bool done;

	if (bytes_alloc(&out, (size_t)EVP_PKEY_get_size(p->pkey), err))
		return err->code;
	ctx = spares_take(&p->spares);
	if (!ctx)
		ctx = EVP_PKEY_CTX_dup(p->signer);
	done = ctx && (!padding || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0) &&
	       EVP_PKEY_sign(ctx, out.data, &out.len, data->data, data->len) > 0;
	if (!done) {
		EVP_PKEY_CTX_free(ctx);
		return err_openssl(err, "could not sign");
	}
	if (!spares_give(&p->spares, ctx))
		EVP_PKEY_CTX_free(ctx);
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
pair_ecdsa(struct pair *p, const struct bytes *digest, struct bytes *ret, struct err *err)
{
	if (p->kind != PAIR_EC)
		return err_set(err, ERR_INVALID, "the key is not an EC key");
	if (digest->len < PAIR_DIGEST_MIN || digest->len > PAIR_DIGEST_MAX)
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	return sign(p, 0, digest, ret, err);
}

enum err_code
pair_eddsa(struct pair *p, const struct bytes *message, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	EVP_MD_CTX *ctx;
	bool done;

	if (p->kind != PAIR_ED25519)
		return err_set(err, ERR_INVALID, "the key is not an Ed25519 key");
	if (bytes_alloc(&out, (size_t)EVP_PKEY_get_size(p->pkey), err))
		return err->code;
	ctx = EVP_MD_CTX_new();
	/* the message is signed as it is: there is no digest to name, nor a call that takes it in parts */
	done = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, p->pkey) > 0 &&
	       EVP_DigestSign(ctx, out.data, &out.len, message->data, message->len) > 0;
	EVP_MD_CTX_free(ctx);
	if (!done)
		return err_openssl(err, "could not sign");
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
pair_rsa(struct pair *p, bool pkcs1, const struct bytes *data, struct bytes *ret, struct err *err)
{
	if (p->kind != PAIR_RSA)
		return err_set(err, ERR_INVALID, "the key is not an RSA key");
	/* libcrypto would take less than the modulus and pad it with zeros; the contract refuses it */
	if (!pkcs1 && data->len != (size_t)EVP_PKEY_get_size(p->pkey))
		return err_set(err, ERR_CRYPTO, "the data is not of the length of the modulus");
	return sign(p, pkcs1 ? RSA_PKCS1_PADDING : RSA_NO_PADDING, data, ret, err);
}
