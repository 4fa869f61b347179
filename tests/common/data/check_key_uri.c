#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "data/key_uri.h"

static const struct {
	const char *uri, *value;
	bool by_handle;
} good[] = {
	{ "keyd:id=press-07", "press-07", false },
	{ "KEYD:id=press-07", "press-07", false },
	{ "keyd:id=a%2Fb%20c%25%3b%C3%A4", "a/b c%;\xc3\xa4", false },
	{ "keyd:id=a/b=c&d", "a/b=c&d", false },
	{ "keyd:handle=ek1.Ab-_9", "ek1.Ab-_9", true },
	/* as upstream's keyd makes handles */
	{ "keyd:handle=sr=eyJ9+/==&sig=abc=", "sr=eyJ9+/==&sig=abc=", true },
	{ "keyd:handle=sr%3Da%26sig%3Db", "sr=a&sig=b", true },
};

START_TEST(test_good)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(key_uri_done) struct key_uri uri = { 0 };
		AUTO(key_uri_done) struct key_uri again = { 0 };
		AUTO(str_freep) char *text = NULL;
		struct err err = { 0 };

		ck_ok(key_uri_read(text_of(good[i].uri), &uri, &err));
		ck_assert_str_eq(uri.value, good[i].value);
		ck_assert_int_eq(uri.by_handle, good[i].by_handle);
		ck_ok(key_uri_write(&uri, &text, &err));
		ck_ok(key_uri_read(text_of(text), &again, &err));
		ck_assert_str_eq(again.value, good[i].value);
		ck_assert_int_eq(again.by_handle, good[i].by_handle);
	}
}
END_TEST

static const struct {
	const char *uri, *said;
} bad[] = {
	{ "", "expected keyd:" },
	{ "key", "expected keyd:" },
	{ "pkcs11:id=x", "expected keyd:" },
	{ "keyd:", "expected id=... or handle=..." },
	{ "keyd:press-07", "expected id=... or handle=..." },
	{ "keyd:id", "expected id=... or handle=..." },
	{ "keyd:id=", "empty id" },
	{ "keyd:handle=", "empty handle" },
	{ "keyd:id=a;", "expected id=... or handle=..." },
	{ "keyd:;id=a", "expected id=... or handle=..." },
	{ "keyd:id=a;id=a", "more than one of id and handle" },
	{ "keyd:id=a;handle=b", "more than one of id and handle" },
	{ "keyd:handle=b;id=a", "more than one of id and handle" },
	{ "keyd:id=a;socket=/tmp/s", "openssl.cnf" },
	{ "keyd:socket=/tmp/s;id=a", "openssl.cnf" },
	{ "keyd:id=a;pin=1234", "other than id and handle" },
	{ "keyd:ID=a", "other than id and handle" },
	{ "keyd:=a", "other than id and handle" },
	{ "keyd:secret-handle=x", "other than id and handle" },
	{ "keyd://id=a", "other than id and handle" },
	{ "keyd:id=a b", "must be percent-encoded" },
	{ "keyd:id=a?b", "must be percent-encoded" },
	{ "keyd:id=a#b", "must be percent-encoded" },
	{ "keyd:id=a\n", "must be percent-encoded" },
	{ "keyd:id=\xc3\xa4", "must be percent-encoded" },
	{ "keyd:id=%", "key URI" },
	{ "keyd:id=%zz", "key URI" },
	{ "keyd:id=a%00b", "key URI" },
	{ "keyd:id=%ff", "key URI" },
};

START_TEST(test_bad)
{
	char *longest = malloc(KEY_URI_MAX + 2);
	struct key_uri uri = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_err(key_uri_read(text_of(bad[i].uri), &uri, &err), ERR_SYNTAX);
		ck_assert_msg(
		    strstr(err.text, bad[i].said) != NULL, "%s: %s", bad[i].uri, err.text);
		ck_assert_msg(strstr(err.text, "secret") == NULL, "quoted: %s", err.text);
		ck_assert_ptr_null(uri.value);
	}
	memset(longest, 'a', KEY_URI_MAX + 1);
	memcpy(longest, "keyd:id=", 8);
	ck_err(key_uri_read((struct text){ longest, KEY_URI_MAX + 1 }, &uri, &err), ERR_SYNTAX);
	ck_ok(key_uri_read((struct text){ longest, KEY_URI_MAX }, &uri, &err));
	key_uri_done(&uri);
	free(longest);
	/* what stands behind the end is not read, and a NUL is no end */
	ck_err(key_uri_read((struct text){ "keyd:id=a\0b", 11 }, &uri, &err), ERR_SYNTAX);
	ck_ok(key_uri_read((struct text){ "keyd:id=ab", 9 }, &uri, &err));
	ck_assert_str_eq(uri.value, "a");
	key_uri_done(&uri);
}
END_TEST

/* the body is the URI, as base64(1) reads it; lines of 64 */
START_TEST(test_pem)
{
	static const char *const ids[] = { "a", "press-07/tls",
		"0123456789012345678901234567890123456789",
		"012345678901234567890123456789012345678" };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const struct key_uri uri = { .value = (char *)ids[i] };
		AUTO(str_freep) char *text = NULL;
		AUTO(str_freep) char *pem = NULL;
		AUTO(str_freep) char *judged = NULL;
		struct err err = { 0 };

		ck_ok(key_uri_write(&uri, &text, &err));
		ck_ok(key_uri_pem(&uri, &pem, &err));
		support_write(support_path("uri.pem"), pem);
		judged = support_sh(
		    "cd %s && head -1 uri.pem && grep -v -e ----- uri.pem | base64 -d && "
		    "echo && tail -1 uri.pem",
		    support_tmpdir());
		ck_assert_ptr_nonnull(strstr(judged, text));
		ck_assert_int_eq(strncmp(judged, "-----BEGIN EDGEKEEP KEY URI-----\nkeyd:", 38), 0);
		ck_assert_ptr_nonnull(strstr(judged, "\n-----END EDGEKEEP KEY URI-----"));
		for (const char *at = pem; *at; at = strchr(at, '\n') + 1)
			ck_assert_uint_le(strcspn(at, "\n"), 64);
	}
}
END_TEST

TEST_MAIN("data/key_uri", test_good, test_bad, test_pem)
