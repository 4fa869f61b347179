#include "tests/common/provider/fixture.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

static const unsigned char message[] = "to be signed";

/* What TLS and programs set, as they set it: numbers as integers or as words (provider.md, parameters really asked for). */
struct setting {
	const char *pad, *salt, *mgf1;
	int pad_number, salt_number; /* where the word is NUMBER */
};
#define NUMBER "number"
#define NUMBERED(p, s, m)               \
	{                               \
		NUMBER, NUMBER, m, p, s \
	}

static size_t
params_of(struct setting *s, OSSL_PARAM params[4])
{
	size_t n = 0;

	if (s->pad && strcmp(s->pad, NUMBER) == 0)
		params[n++] =
		    OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PAD_MODE, &s->pad_number);
	else if (s->pad)
		params[n++] = OSSL_PARAM_construct_utf8_string(
		    OSSL_SIGNATURE_PARAM_PAD_MODE, (char *)s->pad, 0);
	if (s->salt && strcmp(s->salt, NUMBER) == 0)
		params[n++] =
		    OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, &s->salt_number);
	else if (s->salt)
		params[n++] = OSSL_PARAM_construct_utf8_string(
		    OSSL_SIGNATURE_PARAM_PSS_SALTLEN, (char *)s->salt, 0);
	if (s->mgf1)
		params[n++] = OSSL_PARAM_construct_utf8_string(
		    OSSL_SIGNATURE_PARAM_MGF1_DIGEST, (char *)s->mgf1, 0);
	params[n] = OSSL_PARAM_construct_end();
	return n;
}

static const struct {
	const char *id, *md;
	struct setting set;
} rows[] = {
	{ EC_ID, "SHA1", { 0 } },
	{ EC_ID, "SHA256", { 0 } },
	{ EC_ID, "SHA2-256", { 0 } }, /* trap 5 */
	{ EC_ID, "SHA384", { 0 } },
	{ EC_ID, "SHA512", { 0 } },
	{ EC384_ID, "SHA256", { 0 } },
	{ EC384_ID, "SHA384", { 0 } },
	{ EC384_ID, "SHA512", { 0 } },
	{ RSA_ID, "SHA1", { 0 } },
	{ RSA_ID, "SHA256", { 0 } },
	{ RSA_ID, "SHA2-512", { 0 } },
	{ RSA_ID, "SHA512-256", { 0 } },
	{ RSA_ID, "SHA384", { .pad = "pkcs1" } },
	{ RSA_ID, "SHA384", { .pad = NUMBER, .pad_number = RSA_PKCS1_PADDING } },
	{ RSA_ID, "SHA256", { .pad = "pss", .salt = "digest" } },
	{ RSA_ID, "SHA256", { .pad = "pss", .salt = "max" } },
	{ RSA_ID, "SHA256", { .pad = "pss", .salt = "auto" } },
	{ RSA_ID, "SHA256", { .pad = "pss" } },
	{ RSA_ID, "SHA256", { .pad = "pss", .salt = "32" } },
	{ RSA_ID, "SHA256", { .pad = "pss", .salt = "0" } },
	{ RSA_ID, "SHA1", { .pad = "pss", .salt = "20" } },    /* all defaults: an empty SEQUENCE */
	{ RSA_ID, "SHA512", { .pad = "pss", .salt = "190" } }, /* the longest that fits */
	{ RSA_ID, "SHA256", NUMBERED(RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST, NULL) },
	{ RSA_ID, "SHA2-384", NUMBERED(RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST, "SHA2-384") },
	{ RSA_ID, "SHA256", NUMBERED(RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_MAX, "SHA512") },
	{ RSA_ID, "SHA512", NUMBERED(RSA_PKCS1_PSS_PADDING, 17, "SHA1") },
};

/* A fresh DigestSign or DigestVerify with the row's settings. */
static EVP_PKEY_CTX *
begin(EVP_MD_CTX *ctx, EVP_PKEY *key, size_t row, bool verify)
{
	struct setting set = rows[row].set;
	EVP_PKEY_CTX *pctx = NULL;
	OSSL_PARAM params[4];

	params_of(&set, params);
	ck_assert_int_eq((verify ? EVP_DigestVerifyInit_ex : EVP_DigestSignInit_ex)(
			     ctx, &pctx, rows[row].md, NULL, NULL, key, NULL),
	    1);
	ck_assert_msg(EVP_PKEY_CTX_set_params(pctx, params) == 1, "row %zu", row);
	return pctx;
}

static struct bytes
algorithm_id(EVP_PKEY_CTX *pctx, size_t row)
{
	unsigned char der[256];
	OSSL_PARAM params[2] = {
		OSSL_PARAM_construct_octet_string(
		    OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der, sizeof(der)),
		OSSL_PARAM_construct_end(),
	};
	struct bytes ret = { 0 };
	struct err err = { 0 };

	ck_assert_msg(EVP_PKEY_CTX_get_params(pctx, params) == 1, "row %zu", row);
	ck_ok(bytes_copy(&ret, der, params[0].return_size, &err));
	return ret;
}

/* An ordinary key of the same kind and size, whose algorithm identifiers are the measure of ours. */
static EVP_PKEY *
ordinary(const char *id)
{
	static EVP_PKEY *rsa;

	if (strcmp(id, RSA_ID) != 0)
		return EVP_EC_gen(strcmp(id, EC_ID) == 0 ? "P-256" : "P-384");
	if (!rsa)
		rsa = EVP_RSA_gen(2048);
	EVP_PKEY_up_ref(rsa);
	return rsa;
}

/* What was set is told as the default provider tells it: CMS asks before it signs. */
static void
check_told(EVP_PKEY_CTX *ours, EVP_PKEY_CTX *theirs, size_t row)
{
	int pad[2] = { 0 }, salt[2] = { 0 };
	const EVP_MD *mgf1[2] = { NULL, NULL };
	char pads[2][16] = { "", "" }, salts[2][16] = { "", "" };
	EVP_PKEY_CTX *both[2] = { ours, theirs };

	for (int i = 0; i < 2; i++) {
		OSSL_PARAM words[] = {
			OSSL_PARAM_construct_utf8_string(
			    OSSL_SIGNATURE_PARAM_PAD_MODE, pads[i], sizeof(pads[i])),
			OSSL_PARAM_construct_utf8_string(
			    OSSL_SIGNATURE_PARAM_PSS_SALTLEN, salts[i], sizeof(salts[i])),
			OSSL_PARAM_construct_end(),
		};

		ck_assert_int_gt(EVP_PKEY_CTX_get_rsa_padding(both[i], &pad[i]), 0);
		ck_assert_int_gt(EVP_PKEY_CTX_get_params(both[i], words), 0);
		if (pad[i] != RSA_PKCS1_PSS_PADDING)
			continue;
		ck_assert_int_gt(EVP_PKEY_CTX_get_rsa_pss_saltlen(both[i], &salt[i]), 0);
		ck_assert_int_gt(EVP_PKEY_CTX_get_rsa_mgf1_md(both[i], &mgf1[i]), 0);
	}
	ck_assert_msg(pad[0] == pad[1] && salt[0] == salt[1], "row %zu", row);
	ck_assert_str_eq(pads[0], pads[1]);
	ck_assert_str_eq(salts[0], salts[1]);
	if (mgf1[0] || mgf1[1])
		ck_assert_int_eq(EVP_MD_get_type(mgf1[0]), EVP_MD_get_type(mgf1[1]));
}

/* provider.md: algorithm-id must reflect PSS; and the default provider takes every signature for its own. */
START_TEST(test_settings)
{
	set_up();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(rows[i].id);
		AUTO(x509_keyp) EVP_PKEY *public = public_of(key);
		AUTO(x509_keyp) EVP_PKEY *other = ordinary(rows[i].id);
		AUTO(md_ctxp) EVP_MD_CTX *ours = EVP_MD_CTX_new();
		AUTO(md_ctxp) EVP_MD_CTX *theirs = EVP_MD_CTX_new();
		AUTO(md_ctxp) EVP_MD_CTX *judge = EVP_MD_CTX_new();
		AUTO(bytes_done) struct bytes id = { 0 };
		AUTO(bytes_done) struct bytes wanted = { 0 };
		unsigned char signature[512];
		size_t len = sizeof(signature);

		EVP_PKEY_CTX *our_ctx = begin(ours, key, i, false);
		EVP_PKEY_CTX *their_ctx = begin(theirs, other, i, false);

		id = algorithm_id(our_ctx, i);
		wanted = algorithm_id(their_ctx, i);
		ck_assert_msg(bytes_equal(&id, &wanted), "algorithm-id of row %zu", i);
		if (strcmp(rows[i].id, RSA_ID) == 0)
			check_told(our_ctx, their_ctx, i);
		ck_assert_int_eq(
		    EVP_DigestSign(ours, signature, &len, message, sizeof(message)), 1);
		begin(judge, public, i, true);
		ck_assert_msg(
		    EVP_DigestVerify(judge, signature, len, message, sizeof(message)) == 1,
		    "row %zu", i);
		/* trap 3: and by our own verification */
		EVP_MD_CTX_reset(judge);
		begin(judge, key, i, true);
		ck_assert_msg(
		    EVP_DigestVerify(judge, signature, len, message, sizeof(message)) == 1,
		    "row %zu", i);
		ck_assert_uint_eq(ERR_peek_error(), 0);
		EVP_MD_CTX_reset(judge);
		begin(judge, key, i, true);
		signature[len / 2] ^= 1;
		ck_assert_int_ne(
		    EVP_DigestVerify(judge, signature, len, message, sizeof(message)), 1);
		ERR_clear_error();
	}
}
END_TEST

START_TEST(test_refused_settings)
{
	static const struct setting bad[] = {
		{ .pad = "none" },
		{ .pad = "oaep" },
		{ .pad = "" },
		{ .pad = NUMBER, .pad_number = RSA_NO_PADDING },
		{ .pad = NUMBER, .pad_number = 0 },
		{ .pad = "pss", .salt = "some" },
		{ .pad = "pss", .salt = "" },
		{ .pad = "pss", .salt = "-5" },
		{ .pad = "pss", .salt = "4097" },
		{ .pad = "pss", .salt = "99999999999999999999" },
		{ .pad = "pss", .salt = "1x" },
		{ .pad = "pss", .salt = NUMBER, .salt_number = -5 },
		{ .pad = "pss", .salt = NUMBER, .salt_number = INT32_MAX },
		{ .pad = "pss", .mgf1 = "SHA257" },
		{ .pad = "pss", .mgf1 = "" },
	};

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(RSA_ID);
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		struct setting set = bad[i];
		EVP_PKEY_CTX *pctx = NULL;
		OSSL_PARAM params[4];

		params_of(&set, params);
		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", NULL, NULL, key, NULL), 1);
		ck_assert_msg(EVP_PKEY_CTX_set_params(pctx, params) != 1, "row %zu", i);
		ck_assert_msg(ERR_peek_error() != 0, "row %zu says nothing", i);
		ERR_clear_error();
	}
	/* as in the default provider: not another digest than the one that has begun, be it as long */
	for (size_t i = 0; i < 2; i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(i ? EC_ID : RSA_ID);
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx = NULL;
		static const char *const digests[] = { "SHA512", "SHA3-256", "SHA2-256" };

		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", NULL, NULL, key, NULL), 1);
		for (size_t j = 0; j < ARRAY_LEN(digests); j++) {
			const OSSL_PARAM params[] = {
				OSSL_PARAM_construct_utf8_string(
				    OSSL_SIGNATURE_PARAM_DIGEST, (char *)digests[j], 0),
				OSSL_PARAM_construct_end(),
			};

			ck_assert_msg((EVP_PKEY_CTX_set_params(pctx, params) == 1) == (j == 2),
			    "%zu %s", i, digests[j]);
		}
		ERR_clear_error();
	}
	{
		AUTO(x509_keyp) EVP_PKEY *key = open_id(EC_ID);
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

		ck_assert_int_ne(
		    EVP_DigestSignInit_ex(ctx, NULL, "SHA257", NULL, NULL, key, NULL), 1);
		ERR_clear_error();
	}
}
END_TEST

/* words of later releases of libcrypto, which this one does not know: as long as the digest, or what fits */
START_TEST(test_salt_of_later_releases)
{
	static const struct {
		const char *word;
		int number, wanted;
		const char *md;
	} salts[] = {
		{ "auto-digestmax", 0, 32, "SHA256" },
		{ NUMBER, -4, 64, "SHA512" },
		{ "-4", 0, 48, "SHA384" },
	};

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(salts); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(RSA_ID);
		AUTO(x509_keyp) EVP_PKEY *public = public_of(key);
		AUTO(md_ctxp) EVP_MD_CTX *ours = EVP_MD_CTX_new();
		AUTO(md_ctxp) EVP_MD_CTX *judge = EVP_MD_CTX_new();
		struct setting set = {
			.pad = "pss", .salt = salts[i].word, .salt_number = salts[i].number
		};
		EVP_PKEY_CTX *pctx = NULL;
		OSSL_PARAM params[4];
		unsigned char signature[512];
		size_t len = sizeof(signature);

		params_of(&set, params);
		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ours, &pctx, salts[i].md, NULL, NULL, key, params), 1);
		ck_assert_int_eq(
		    EVP_DigestSign(ours, signature, &len, message, sizeof(message)), 1);
		ck_assert_int_eq(
		    EVP_DigestVerifyInit_ex(judge, &pctx, salts[i].md, NULL, NULL, public, NULL),
		    1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
		ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salts[i].wanted), 1);
		ck_assert_int_eq(
		    EVP_DigestVerify(judge, signature, len, message, sizeof(message)), 1);
		EVP_MD_CTX_reset(judge);
		ck_assert_int_eq(
		    EVP_DigestVerifyInit_ex(judge, NULL, salts[i].md, NULL, NULL, key, params), 1);
		ck_assert_int_eq(
		    EVP_DigestVerify(judge, signature, len, message, sizeof(message)), 1);
	}
}
END_TEST

/* RFC 4346 7.4.3: MD5 and SHA-1 one after the other, in no DigestInfo */
START_TEST(test_md5_sha1)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(x509_keyp) EVP_PKEY *public = NULL;
	AUTO(md_ctxp) EVP_MD_CTX *ours = EVP_MD_CTX_new();
	AUTO(md_ctxp) EVP_MD_CTX *judge = EVP_MD_CTX_new();
	unsigned char signature[512];
	size_t len = sizeof(signature);

	set_up();
	key = open_id(RSA_ID);
	public = public_of(key);
	ck_assert_int_eq(EVP_DigestSignInit_ex(ours, NULL, "MD5-SHA1", NULL, NULL, key, NULL), 1);
	ck_assert_int_eq(EVP_DigestSign(ours, signature, &len, message, sizeof(message)), 1);
	ck_assert_int_eq(
	    EVP_DigestVerifyInit_ex(judge, NULL, "MD5-SHA1", NULL, NULL, public, NULL), 1);
	ck_assert_int_eq(EVP_DigestVerify(judge, signature, len, message, sizeof(message)), 1);
}
END_TEST

/* trap 4: DUPCTX is called on every finalise, so a context goes on after one, and copies go their own ways */
START_TEST(test_copies)
{
	static const char *const ids[] = { EC_ID, RSA_ID };

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(ids[i]);
		AUTO(x509_keyp) EVP_PKEY *public = public_of(key);
		AUTO(md_ctxp) EVP_MD_CTX *one = EVP_MD_CTX_new();
		AUTO(md_ctxp) EVP_MD_CTX *two = EVP_MD_CTX_new();
		EVP_MD_CTX *both[] = { one, two };

		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(one, NULL, "SHA256", NULL, NULL, key, NULL), 1);
		ck_assert_int_eq(EVP_DigestSignUpdate(one, "a", 1), 1);
		ck_assert_int_eq(EVP_MD_CTX_copy_ex(two, one), 1);
		ck_assert_int_eq(EVP_DigestSignUpdate(one, "1", 1), 1);
		ck_assert_int_eq(EVP_DigestSignUpdate(two, "2", 1), 1);
		for (int j = 0; j < 4; j++) {
			AUTO(md_ctxp) EVP_MD_CTX *judge = EVP_MD_CTX_new();
			unsigned char signature[512];
			size_t len = sizeof(signature);

			ck_assert_int_eq(EVP_DigestSignFinal(both[j % 2], signature, &len), 1);
			ck_assert_int_eq(EVP_DigestVerifyInit_ex(
					     judge, NULL, "SHA256", NULL, NULL, public, NULL),
			    1);
			ck_assert_int_eq(EVP_DigestVerify(judge, signature, len,
					     (const unsigned char *)(j % 2 ? "a2" : "a1"), 2),
			    1);
		}
		ck_assert_uint_eq(ERR_peek_error(), 0);
	}
}
END_TEST

/* trap 5: the size is known without keyd; a buffer too small is an error and nothing is written */
START_TEST(test_sizes)
{
	static const char *const ids[] = { EC_ID, EC384_ID, RSA_ID };

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = open_id(ids[i]);
		AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		unsigned char signature[512] = { 0x55 };
		size_t len = 0;
		unsigned calls = fake_keyd_calls(FAKE_ANY);

		ck_assert_int_eq(
		    EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL), 1);
		ck_assert_int_eq(EVP_DigestSign(ctx, NULL, &len, message, sizeof(message)), 1);
		ck_assert_uint_eq(len, (size_t)EVP_PKEY_get_size(key));
		ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls);
		len = 8;
		ck_assert_int_ne(EVP_DigestSign(ctx, signature, &len, message, sizeof(message)), 1);
		ck_assert_int_eq(signature[0], 0x55);
		ERR_clear_error();
	}
}
END_TEST

TEST_MAIN("provider/signature", test_settings, test_refused_settings, test_salt_of_later_releases,
    test_md5_sha1, test_copies, test_sizes)
