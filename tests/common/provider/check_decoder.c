#include "tests/common/provider/fixture.h"

#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "base/b64.h"
#include "base/buf.h"
#include "data/key_uri.h"

/* Trap 7: programs that read PEM files only. */

static EVP_PKEY *
read_pem(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

	BIO_free(in);
	return key;
}

/* A PEM file of our label around any text. */
static char *
pem_of(const char *text)
{
	AUTO(str_freep) char *body = NULL;
	char *pem = NULL;
	struct err err = { 0 };

	ck_ok(b64_encode(B64_STD, text, strlen(text), &body, &err));
	ck_ok(str_format(&pem, &err,
	    "-----BEGIN " KEY_URI_LABEL "-----\n%s\n-----END " KEY_URI_LABEL "-----\n", body));
	return pem;
}

static char *
joined(const char *before, const char *after)
{
	char *text = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&text, &err, "%s%s", before, after));
	return text;
}

START_TEST(test_ours)
{
	static const struct {
		const char *id;
		struct key_uri uri;
	} rows[] = {
		{ EC_ID, { false, (char *)EC_ID } },
		{ EC384_ID, { false, (char *)EC384_ID } },
		{ RSA_ID, { false, (char *)RSA_ID } },
		{ EC_ID, { true, (char *)"fake:pair:" EC_ID } },
		{ RSA_ID, { true, (char *)"fake:pair:" RSA_ID } },
	};
	static const char *const before[] = { "", "some words\n\n", "-----BEGIN\n", "\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t j = 0; j < ARRAY_LEN(before); j++) {
			AUTO(x509_keyp) EVP_PKEY *by_id = NULL;
			AUTO(x509_keyp) EVP_PKEY *key = NULL;
			AUTO(str_freep) char *pem = NULL;
			AUTO(str_freep) char *text = NULL;
			struct err err = { 0 };

			set_up();
			by_id = open_id(rows[i].id);
			ck_ok(key_uri_pem(&rows[i].uri, &pem, &err));
			text = joined(before[j], pem);
			key = read_pem(text);
			ck_assert_ptr_nonnull(key);
			ck_assert_int_eq(EVP_PKEY_eq(key, by_id), 1);
			ck_assert_uint_eq(ERR_peek_error(), 0);
		}
	}
}
END_TEST

/* Each says why, in an error of ours, and makes no key. */
static const struct {
	const char *pem, *uri; /* one of them */
	const char *said;
} bad[] = {
	{ NULL, "", "malformed key URI:key URI: expected keyd:" },
	{ NULL, "pkcs11:id=x", "malformed key URI:key URI: expected keyd:" },
	{ NULL, "keyd:id=a;id=a", "malformed key URI:key URI: more than one" },
	{ NULL, "keyd:id=a\n", "malformed key URI:" },
	{ NULL, "keyd:id=none", "refused by keyd:a parameter has an invalid value" },
	{ NULL, "keyd:handle=none", "refused by keyd:" },
	{ "-----BEGIN EDGEKEEP KEY URI-----\n-----END EDGEKEEP KEY URI-----\n", NULL,
	    "malformed key URI:key URI: expected keyd:" },
	{ "-----BEGIN EDGEKEEP KEY URI-----\n????\n-----END EDGEKEEP KEY URI-----\n", NULL,
	    "malformed key URI:EDGEKEEP KEY URI: no base64 of a URI" },
	{ "-----BEGIN EDGEKEEP KEY URI-----\na2V5ZDppZD1h\n", NULL,
	    "malformed key URI:EDGEKEEP KEY URI: no end line" },
};

START_TEST(test_bad)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO(str_freep)
		char *pem = bad[i].uri ? pem_of(bad[i].uri) : joined(bad[i].pem, "");
		const char *said;

		set_up();
		ck_assert_ptr_null(read_pem(pem));
		said = error_text();
		ck_assert_msg(strstr(said, bad[i].said) != NULL, "row %zu: %s", i, said);
		ck_assert_msg(strncmp(said, "edgekeep:", 9) == 0, "row %zu: %s", i, said);
	}
	/* more than a URI can be, in short lines and in long ones */
	for (size_t width = 16; width < 10000; width *= 16) {
		AUTO(buf_done) struct buf pem = { 0 };
		AUTO(str_freep) char *text = NULL;
		struct err err = { 0 };

		buf_puts(&pem, "-----BEGIN " KEY_URI_LABEL "-----\n");
		for (size_t i = 1; i <= 20000; i++)
			buf_puts(&pem, i % width ? "A" : "A\n");
		buf_puts(&pem, "\n-----END " KEY_URI_LABEL "-----\n");
		ck_ok(buf_take_string(&pem, &text, &err));
		ck_assert_ptr_null(read_pem(text));
		ck_assert_ptr_nonnull(strstr(error_text(), "no base64 of a URI"));
	}
}
END_TEST

/* What is not ours does not reach keyd, leaves no error, and is read as if we were not there: also behind a certificate. */
START_TEST(test_others)
{
	static const char *const before[] = { "", "a text\n",
		"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
		"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
		"-----BEGIN EDGEKEEP KEY-----\nMAA=\n-----END EDGEKEEP KEY-----\n" };
	static const char *const types[] = { "EC", "RSA" };

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		AUTO(x509_keyp)
		EVP_PKEY *key = i ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
		AUTO(bytes_done) struct bytes pem = { 0 };
		struct err err = { 0 };

		ck_ok(x509_key_write(key, &pem, &err));
		for (size_t j = 0; j < ARRAY_LEN(before); j++) {
			AUTO(str_freep) char *text = joined(before[j], (const char *)pem.data);
			AUTO(x509_keyp) EVP_PKEY *again = read_pem(text);

			ck_assert_msg(again != NULL, "row %zu: %s", j, error_text());
			ck_assert_int_eq(EVP_PKEY_eq(key, again), 1);
			ck_assert_uint_eq(ERR_peek_error(), 0);
		}
	}
	ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), 2); /* set_up's */
}
END_TEST

/* ours behind a certificate, and before one */
START_TEST(test_with_certificate)
{
	static const char cert[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *behind = NULL;
	AUTO(str_freep) char *first = NULL;
	AUTO(x509_keyp) EVP_PKEY *one = NULL;
	AUTO(x509_keyp) EVP_PKEY *two = NULL;

	set_up();
	pem = pem_of("keyd:id=" EC_ID);
	behind = joined(cert, pem);
	first = joined(pem, cert);
	ck_assert_ptr_nonnull(one = read_pem(behind));
	ck_assert_ptr_nonnull(two = read_pem(first));
	ck_assert_uint_eq(ERR_peek_error(), 0);
}
END_TEST

/* A program that wants a public key or parameters does not wake keyd. */
START_TEST(test_selection)
{
	static const int selections[] = { EVP_PKEY_PUBLIC_KEY, EVP_PKEY_KEY_PARAMETERS };
	AUTO(str_freep) char *pem = NULL;
	unsigned calls;

	set_up();
	pem = pem_of("keyd:id=" EC_ID);
	calls = fake_keyd_calls(FAKE_ANY);
	for (size_t i = 0; i < ARRAY_LEN(selections); i++) {
		EVP_PKEY *key = NULL;
		OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(
		    &key, "PEM", NULL, NULL, selections[i], NULL, NULL);
		BIO *in = BIO_new_mem_buf(pem, -1);

		ck_assert_int_ne(OSSL_DECODER_from_bio(ctx, in), 1);
		ck_assert_ptr_null(key);
		BIO_free(in);
		OSSL_DECODER_CTX_free(ctx);
	}
	ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), calls);
	ERR_clear_error();
}
END_TEST

TEST_MAIN(
    "provider/decoder", test_ours, test_bad, test_others, test_with_certificate, test_selection)
