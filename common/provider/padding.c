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
hashp(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

enum err_code
padding_digest_info(
    const EVP_MD *md, const uint8_t *hash, size_t len, struct bytes *ret, struct err *err)
{
	AUTO(sigp) X509_SIG *info = X509_SIG_new();
	ASN1_OCTET_STRING *digest;
	unsigned char *der = NULL;
	enum err_code code;
	X509_ALGOR *alg;
	int der_len;

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
	if (der_len <= 0)
		return provider_crypto(err, "DigestInfo");
	code = bytes_copy(ret, der, (size_t)der_len, err);
	OPENSSL_free(der);
	return code;
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
