#include "tests/common/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>

/* contracts/client-facts.md 14: both forms of the point */
START_TEST(test_points)
{
	static const char *const ids[] = { EC_ID, EC384_ID };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *compressed = NULL;
		AUTO(x509_keyp) EVP_PKEY *plain = NULL;

		set_up();
		compressed = open_id(ids[i]);
		fake_keyd_compress_points(false);
		plain = open_id(ids[i]);
		ck_assert_int_eq(EVP_PKEY_eq(compressed, plain), 1);
	}
}
END_TEST

/* provider.md, parameters: bits, security-bits, max-size, group; as the default provider has them for the same key */
START_TEST(test_parameters)
{
	static const struct {
		const char *id, *group;
		int bits, security_bits;
	} rows[] = {
		/* SP 800-57 part 1, table 2 */
		{ EC_ID, "prime256v1", 256, 128 },
		{ EC384_ID, "secp384r1", 384, 192 },
		{ RSA_ID, NULL, 2048, 112 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = NULL;
		AUTO(x509_keyp) EVP_PKEY *public = NULL;
		char group[64];
		unsigned calls;

		set_up();
		key = open_id(rows[i].id);
		public = public_of(key);
		calls = fake_keyd_calls(FAKE_ANY);
		ck_assert_int_eq(EVP_PKEY_get_bits(key), rows[i].bits);
		ck_assert_int_eq(EVP_PKEY_get_security_bits(key), rows[i].security_bits);
		ck_assert_int_eq(EVP_PKEY_get_size(key), EVP_PKEY_get_size(public));
		if (rows[i].group) {
			ck_assert_int_eq(
			    EVP_PKEY_get_group_name(key, group, sizeof(group), NULL), 1);
			ck_assert_str_eq(group, rows[i].group);
		}
		/* cached at load */
		ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls);
		ck_assert_uint_eq(ERR_peek_error(), 0);
	}
}
END_TEST

/* A copy signs when the original has gone; of parameters alone none is made that could. */
START_TEST(test_dup)
{
	static const char *const ids[] = { EC_ID, RSA_ID };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = NULL;
		AUTO(x509_keyp) EVP_PKEY *copy = NULL;
		AUTO(x509_keyp) EVP_PKEY *blank = EVP_PKEY_new();
		AUTO(x509_keyp) EVP_PKEY *public = NULL;
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		unsigned char signature[512];
		size_t len = sizeof(signature);

		set_up();
		key = open_id(ids[i]);
		public = public_of(key);
		copy = EVP_PKEY_dup(key);
		ck_assert_ptr_nonnull(copy);
		ck_assert_int_eq(EVP_PKEY_eq(copy, key), 1);
		(void)EVP_PKEY_copy_parameters(blank, key);
		ck_assert_int_ne(
		    EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, blank, NULL), 1);
		ERR_clear_error();
		EVP_PKEY_free(key);
		key = NULL;
		EVP_MD_CTX_reset(ctx);
		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, copy, NULL), 1);
		ck_assert_int_eq(
		    EVP_DigestSign(ctx, signature, &len, (const unsigned char *)"x", 1), 1);
		EVP_MD_CTX_reset(ctx);
		ck_assert_int_eq(
		    EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, public, NULL), 1);
		ck_assert_int_eq(
		    EVP_DigestVerify(ctx, signature, len, (const unsigned char *)"x", 1), 1);
	}
}
END_TEST

/* provider.md, parameters: n, e and the point come by export of the public half */
START_TEST(test_export)
{
	static const struct {
		const char *id, *names[2];
	} rows[] = {
		{ EC_ID, { OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PKEY_PARAM_PUB_KEY } },
		{ EC384_ID, { OSSL_PKEY_PARAM_GROUP_NAME, OSSL_PKEY_PARAM_PUB_KEY } },
		{ RSA_ID, { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E } },
	};
	/* trap 2: 0x87 is what libcrypto asks for, all; whatever has the private half in it fails */
	static const int refused[] = { 0x87, EVP_PKEY_KEYPAIR, OSSL_KEYMGMT_SELECT_PRIVATE_KEY,
		OSSL_KEYMGMT_SELECT_ALL };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = NULL;
		AUTO(x509_keyp) EVP_PKEY *public = NULL;
		OSSL_PARAM *params = NULL;

		set_up();
		key = open_id(rows[i].id);
		public = public_of(key);
		ck_assert_int_eq(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
		for (size_t j = 0; j < 2; j++)
			ck_assert_ptr_nonnull(OSSL_PARAM_locate(params, rows[i].names[j]));
		ck_assert_ptr_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_PRIV_KEY));
		ck_assert_ptr_null(OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_D));
		OSSL_PARAM_free(params);
		params = NULL;
		ck_assert_int_eq(EVP_PKEY_eq(key, public), 1);
		ck_assert_int_eq(EVP_PKEY_eq(public, key), 1);
		for (size_t j = 0; j < ARRAY_LEN(refused); j++) {
			ck_assert_int_ne(EVP_PKEY_todata(key, refused[j], &params), 1);
			ck_assert_ptr_null(params);
		}
		ERR_clear_error();
	}
}
END_TEST

/* What keyd says of a key is judged, too: each is refused and no key comes of it. */
static const struct {
	const char *id, *name, *value;
	const char *said;
} lies[] = {
	{ EC_ID, "algorithm", "", "unknown algorithm" },
	{ EC_ID, "algorithm", "Ed25519", "unknown algorithm" },
	{ EC_ID, "algorithm", "ecdsa", "unknown algorithm" },
	/* openssl asn1parse -genstr OID:secp384r1 -noout -out - | base64 */
	{ EC_ID, "ec-curve-oid", "BgUrgQQAIg==", "public key from keyd" },
	{ EC384_ID, "ec-curve-oid", "BggqhkjOPQMBBw==", "public key from keyd" },
	{ EC_ID, "ec-curve-oid", "", "unknown curve" },
	{ EC_ID, "ec-curve-oid", "BggqhkjOPQMB", "unknown curve" },	       /* cut */
	{ EC_ID, "ec-curve-oid", "BggqhkjOPQMBBwA=", "unknown curve" },	       /* and more */
	{ EC_ID, "ec-curve-oid", "BggqhkjOPQMBfw==", "unknown curve" },	       /* no such */
	{ EC_ID, "ec-curve-oid", "BgkqhkiG9w0BAQE=", "public key from keyd" }, /* rsaEncryption */
	{ EC_ID, "ec-curve-oid", "?", "ec-curve-oid from keyd" },
	{ EC_ID, "ec-point", "", "public key from keyd" },
	{ EC_ID, "ec-point", "AA==", "no public key" }, /* the point at infinity */
	{ EC_ID, "ec-point", "Av//////////////////////////////////////////", "public key from" },
	{ EC_ID, "ec-point", "A!", "ec-point from keyd" },
	{ RSA_ID, "rsa-modulus", "", "out of bounds" },
	{ RSA_ID, "rsa-modulus", "AQAB", "out of bounds" },
	{ RSA_ID, "rsa-exponent", "", "out of bounds" },
	{ RSA_ID, "rsa-exponent", "AQ==", "out of bounds" },
	{ RSA_ID, "rsa-exponent", "AQAA", "out of bounds" },
	{ RSA_ID, "rsa-exponent", "AQA", "rsa-exponent from keyd" },
};

START_TEST(test_lies)
{
	EVP_PKEY *none = NULL;
	struct err err = { 0 };
	char *longest;

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		set_up();
		fake_keyd_lie(lies[i].name, lies[i].value);
		ck_assert_msg(provider_key_by_id(lies[i].id, &none, &err) == ERR_PROTOCOL,
		    "row %zu: %s: %s", i, err_name(err.code), err.text);
		ck_assert_msg(strstr(err.text, lies[i].said) != NULL, "row %zu: %s", i, err.text);
		ck_assert_ptr_null(none);
		ck_assert_uint_eq(ERR_peek_error(), 0);
	}
	/* 16,392 bits */
	longest = calloc(1, 2732 + 1);
	memset(longest, '/', 2732);
	set_up();
	fake_keyd_lie("rsa-modulus", longest);
	ck_err(provider_key_by_id(RSA_ID, &none, &err), ERR_PROTOCOL);
	fake_keyd_reset();
	free(longest);
}
END_TEST

TEST_MAIN("provider/key", test_points, test_parameters, test_dup, test_export, test_lies)
