#include "tests/support/support.h"

#include <string.h>

#include "base/b64.h"

/* RFC 4648 section 10 */
static const struct {
	const char *plain, *std, *url;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+", "-__-" },
};

START_TEST(test_vectors)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(bytes_done) struct bytes plain = { 0 };
		AUTO(bytes_done) struct bytes again = { 0 };
		AUTO(str_freep) char *std = NULL;
		AUTO(str_freep) char *url = NULL;
		size_t len = strlen(vectors[i].plain);
		struct err err = { 0 };

		ck_ok(b64_encode(B64_STD, vectors[i].plain, len, &std, &err));
		ck_assert_str_eq(std, vectors[i].std);
		ck_ok(b64_encode(B64_URL, vectors[i].plain, len, &url, &err));
		ck_assert_str_eq(url, vectors[i].url);
		ck_ok(b64_decode(B64_STD, text_of(std), &plain, &err));
		ck_assert_uint_eq(plain.len, len);
		ck_assert_mem_eq(plain.data, vectors[i].plain, len);
		ck_ok(b64_decode(B64_URL, text_of(url), &again, &err));
		ck_assert(bytes_equal(&plain, &again));
	}
}
END_TEST

START_TEST(test_strict)
{
	/* contracts/common.md 6: padding required, no line breaks; RFC 4648 3.5: no stray bits */
	static const char *const wrong[] = { "Zg", "Zg=", "Zh==", "Zm9=", "Z", "====", "Zg==\n",
		"Zm 9v", "Zm9v\n", "-__-", "Zg==Zg==", "=Zg=", "Zm9vYg===" };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		AUTO(bytes_done) struct bytes out = { 0 };
		struct err err = { 0 };

		uint8_t plain[16];
		size_t len;

		ck_err(b64_decode(B64_STD, text_of(wrong[i]), &out, &err), ERR_SYNTAX);
		ck_assert_ptr_null(out.data);
		ck_assert(!b64_decode_to(B64_STD, text_of(wrong[i]), plain, &len));
	}
}
END_TEST

/* RFC 4648 sections 4 and 5: these digits with these values, and no other byte. */
START_TEST(test_alphabets)
{
	static const char *const digits[] = {
		[B64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
		[B64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	};

	for (int kind = B64_STD; kind <= B64_URL; kind++)
		for (int c = 0; c < 256; c++) {
			const char in[] = { (char)c, 'A', 'A', 'A' };
			const char *at = memchr(digits[kind], c, 64);
			uint8_t plain[3];
			size_t len = 0;

			ck_assert_msg(b64_decode_to((enum b64_kind)kind, (struct text){ in, 4 },
					  plain, &len) == (at != NULL),
			    "byte %d", c);
			if (at) {
				ck_assert_uint_eq(len, 3);
				ck_assert_int_eq(plain[0] >> 2, at - digits[kind]);
			}
		}
}
END_TEST

TEST_MAIN("base/b64", test_vectors, test_strict, test_alphabets)
