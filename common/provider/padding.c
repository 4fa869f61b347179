#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "provider/parts.h"

/*
 * keyd pads PKCS#1 type 1 or nothing at all (contracts/keyd.md 4.9), so what a signature scheme wraps around a hash is built here.
 * libcrypto's own EMSA-PSS wants a deprecated RSA structure.
 */

#define PSS_TRAILER 0xbc

static void
sigp(X509_SIG **sig)
{
	X509_SIG_free(*sig);
}

static void
algp(X509_ALGOR **alg)
{
	X509_ALGOR_free(*alg);
}

static void
hashp(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

static void
pssp(RSA_PSS_PARAMS **params)
{
	RSA_PSS_PARAMS_free(*params);
}

/* Take DER that an i2d function wrote. */
static enum err_code
take_der(unsigned char *der, int len, struct bytes *ret, struct err *err)
{
	enum err_code code;

	if (len <= 0)
		return provider_crypto(err, "DER");
	code = bytes_copy(ret, der, (size_t)len, err);
	OPENSSL_free(der);
	return code;
}

enum err_code
padding_digest_info(
    const EVP_MD *md, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	AUTO(sigp) X509_SIG *info = X509_SIG_new();
	ASN1_OCTET_STRING *digest;
	unsigned char *der = NULL;
	int der_len;
	X509_ALGOR *alg;

	if (!info)
		return err_nomem(err);
	if (EVP_MD_get_type(md) == NID_md5_sha1)
		return bytes_copy(ret, hash, len, err);
	if (EVP_MD_get_type(md) == NID_undef)
		return err_set(err, ERR_INVALID, "digest without an object identifier");
	X509_SIG_getm(info, &alg, &digest);
	if (X509_ALGOR_set0(alg, OBJ_nid2obj(EVP_MD_get_type(md)), V_ASN1_NULL, NULL) != 1 ||
	    ASN1_OCTET_STRING_set(digest, hash, (int)len) != 1)
		return provider_crypto(err, "DigestInfo");
	der_len = i2d_X509_SIG(info, &der);
	return take_der(der, der_len, ret, err);
}

/* MGF1 (RFC 8017 B.2.1) of seed, XORed over mask. */
static bool
mgf1_xor(const EVP_MD *md, const uint8_t *seed, size_t seed_len, uint8_t *mask, size_t len)
{
	AUTO(hashp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t step = (size_t)EVP_MD_get_size(md);
	uint8_t block[EVP_MAX_MD_SIZE];

	if (!ctx)
		return false;
	for (uint32_t n = 0; len > 0; n++) {
		const uint8_t counter[4] = { n >> 24, n >> 16 & 0xff, n >> 8 & 0xff, n & 0xff };
		size_t part = len < step ? len : step;

		if (EVP_DigestInit_ex2(ctx, md, NULL) != 1 ||
		    EVP_DigestUpdate(ctx, seed, seed_len) != 1 ||
		    EVP_DigestUpdate(ctx, counter, sizeof(counter)) != 1 ||
		    EVP_DigestFinal_ex(ctx, block, NULL) != 1)
			return false;
		for (size_t i = 0; i < part; i++)
			mask[i] ^= block[i];
		mask += part;
		len -= part;
	}
	return true;
}

/* H = Hash(eight zero bytes, mHash, salt) */
static bool
pss_hash(const EVP_MD *md, const uint8_t *hash, size_t hash_len, const uint8_t *salt,
    size_t salt_len, uint8_t *out)
{
	static const uint8_t zero[8];
	AUTO(hashp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	return ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
	       EVP_DigestUpdate(ctx, zero, sizeof(zero)) == 1 &&
	       EVP_DigestUpdate(ctx, hash, hash_len) == 1 &&
	       EVP_DigestUpdate(ctx, salt, salt_len) == 1 &&
	       EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

int
padding_pss_salt_max(const EVP_MD *md, size_t bits)
{
	int room = (int)((bits - 1 + 7) / 8) - EVP_MD_get_size(md) - 2;

	return room < 0 ? -1 : room;
}

enum err_code
padding_pss(OSSL_LIB_CTX *libctx, const EVP_MD *md, const EVP_MD *mgf1, size_t salt_len,
    size_t bits, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	size_t em_bits = bits - 1, em_len = (em_bits + 7) / 8, modulus_len = (bits + 7) / 8;
	size_t db_len = em_len - len - 1;
	uint8_t *em, *salt, *h;
	int most = padding_pss_salt_max(md, bits);

	if (len != (size_t)EVP_MD_get_size(md) || most < 0 || salt_len > (size_t)most)
		return err_set(err, ERR_INVALID, "hash or salt does not fit the key");
	if (bytes_alloc(&out, modulus_len, err))
		return err->code;
	/* one bit less than the modulus: with 8k + 1 bits, one byte less */
	em = out.data + (modulus_len - em_len);
	h = em + db_len;
	salt = h - salt_len;
	if (salt_len && RAND_bytes_ex(libctx, salt, salt_len, 0) != 1)
		return provider_crypto(err, "random numbers");
	if (!pss_hash(md, hash, len, salt, salt_len, h))
		return provider_crypto(err, "EMSA-PSS");
	salt[-1] = 1;
	if (!mgf1_xor(mgf1, h, len, em, db_len))
		return provider_crypto(err, "EMSA-PSS");
	em[0] &= 0xff >> (8 * em_len - em_bits);
	em[em_len - 1] = PSS_TRAILER;
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
algorithm_id_plain(bool ec, const EVP_MD *md, struct bytes *ret, struct err *err)
{
	AUTO(algp) X509_ALGOR *alg = X509_ALGOR_new();
	int key_nid = ec ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption;
	unsigned char *der = NULL;
	int der_len;
	int nid;

	if (!alg)
		return err_nomem(err);
	/* ECDSA has no parameters (RFC 5758 3.2), PKCS#1 v1.5 has NULL (RFC 8017 A.2.4) */
	if (OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(md), key_nid) != 1 ||
	    X509_ALGOR_set0(alg, OBJ_nid2obj(nid), ec ? V_ASN1_UNDEF : V_ASN1_NULL, NULL) != 1)
		return provider_crypto(err, "signature algorithm");
	der_len = i2d_X509_ALGOR(alg, &der);
	return take_der(der, der_len, ret, err);
}

/* The AlgorithmIdentifier of a digest; NULL on failure. */
static X509_ALGOR *
digest_algorithm(const EVP_MD *md)
{
	X509_ALGOR *alg = X509_ALGOR_new();

	if (alg)
		X509_ALGOR_set_md(alg, md);
	return alg;
}

/* id-mgf1 with a digest as its parameter; NULL on failure. */
static X509_ALGOR *
mgf1_algorithm(const EVP_MD *md)
{
	AUTO(algp) X509_ALGOR *inner = digest_algorithm(md);
	X509_ALGOR *alg = X509_ALGOR_new();
	ASN1_STRING *packed =
	    inner ? ASN1_item_pack(inner, ASN1_ITEM_rptr(X509_ALGOR), NULL) : NULL;

	if (alg && packed &&
	    X509_ALGOR_set0(alg, OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, packed) == 1)
		return alg;
	ASN1_STRING_free(packed);
	X509_ALGOR_free(alg);
	return NULL;
}

/* What has its default value is left out of DER (RFC 8017 A.2.3): SHA-1, MGF1 with SHA-1, 20 bytes. */
static enum err_code
fill_pss(
    RSA_PSS_PARAMS *params, const EVP_MD *md, const EVP_MD *mgf1, int salt_len, struct err *err)
{
	bool ok = true;

	if (!EVP_MD_is_a(md, "SHA1"))
		ok = (params->hashAlgorithm = digest_algorithm(md)) != NULL;
	if (ok && !EVP_MD_is_a(mgf1, "SHA1"))
		ok = (params->maskGenAlgorithm = mgf1_algorithm(mgf1)) != NULL;
	if (ok && salt_len != 20)
		ok = (params->saltLength = ASN1_INTEGER_new()) != NULL &&
		     ASN1_INTEGER_set(params->saltLength, salt_len) == 1;
	return ok ? ERR_OK : provider_crypto(err, "RSASSA-PSS parameters");
}

enum err_code
algorithm_id_pss(
    const EVP_MD *md, const EVP_MD *mgf1, int salt_len, struct bytes *ret, struct err *err)
{
	AUTO(pssp) RSA_PSS_PARAMS *params = RSA_PSS_PARAMS_new();
	AUTO(algp) X509_ALGOR *alg = X509_ALGOR_new();
	unsigned char *der = NULL;
	int der_len;
	ASN1_STRING *packed;

	if (!params || !alg)
		return err_nomem(err);
	if (fill_pss(params, md, mgf1, salt_len, err))
		return err->code;
	packed = ASN1_item_pack(params, ASN1_ITEM_rptr(RSA_PSS_PARAMS), NULL);
	if (!packed ||
	    X509_ALGOR_set0(alg, OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, packed) != 1) {
		ASN1_STRING_free(packed);
		return provider_crypto(err, "RSASSA-PSS parameters");
	}
	der_len = i2d_X509_ALGOR(alg, &der);
	return take_der(der, der_len, ret, err);
}
