#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/json.h"

/* What is read and written again; RFC 8259, jansson's order of members, numbers in their shortest form. */
static const struct {
	const char *in, *out;
} good[] = {
	{ "{}", "{}" },
	{ " { \"b\" : [ 1 , -2 ] ,\n\"a\" : null } ", "{\"b\":[1,-2],\"a\":null}" },
	{ "\"text\"", "\"text\"" },
	{ "null", "null" },
	{ "[true,false]", "[true,false]" },
	{ "\"a\\/b\"", "\"a/b\"" },
	{ "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
	{ "[0.1,1.5,-2.25e10]", "[0.1,1.5,-22500000000.0]" },
	{ "0.30000000000000004", "0.30000000000000004" },
	{ "9223372036854775807", "9223372036854775807" },
	{ "\"}]{[,\\\"{\"", "\"}]{[,\\\"{\"" },
};

START_TEST(test_good)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(json_freep) struct json_t *json = NULL;
		AUTO(str_freep) char *out = NULL;
		struct err err = { 0 };

		ck_ok(json_read(text_of(good[i].in), &json, &err));
		ck_ok(json_write(json, &out, &err));
		ck_assert_str_eq(out, good[i].out);
	}
}
END_TEST

/* decisions.md, jansson; contracts/common.md 5 (malformed body is 422) and 6 (repeated member) */
static const struct {
	const char *in, *text;
} bad[] = {
	{ "", "line 1 column 0: unexpected end" },
	{ "{", "line 1 column 1: unexpected end" },
	{ "{\"a\":1} x", "line 1 column 9: something stands behind the document" },
	{ "{\"a\":1}{}", "line 1 column 8: something stands behind the document" },
	{ "{\"a\":1,\n\"a\":2}", "line 2 column 3: repeated member" },
	{ "{\"a\":{\"b\":1,\"b\":1}}", "line 1 column 15: repeated member" },
	{ "{\"a\":\"\\u0000\"}", "line 1 column 13: NUL character" },
	{ "{\"\\u0000\":1}", NULL },
	{ "\"\\ud800\"", NULL },
	{ "\"\xff\"", NULL },
	{ "\"\xc0\x80\"", NULL },
	{ "\"\xed\xa0\x80\"", NULL },
	{ "{\"a\":01}", NULL },
	{ "{\"a\":+1}", NULL },
	{ "{\"a\":1.}", NULL },
	{ "{\"a\":NaN}", NULL },
	{ "{\"a\":1,}", NULL },
	{ "{'a':1}", NULL },
	{ "{\"a\":\"\n\"}", NULL },
	{ "[1 2]", NULL },
	{ "// comment\n{}", NULL },
	{ "\xef\xbb\xbf{}", NULL },
	{ "9223372036854775808", "line 1 column 19: number out of range" },
	{ "1e999", "line 1 column 5: number out of range" },
	{ "{\"secret\":\"hunter2\"", "line 1 column 19: unexpected end" },
	{ "\\", NULL },
	{ "\"\\", NULL },
	{ "}", NULL },
	{ "]", NULL },
};

START_TEST(test_bad)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct json_t *json = NULL;
		struct err err = { 0 };

		ck_err(json_read(text_of(bad[i].in), &json, &err), ERR_SYNTAX);
		ck_assert_ptr_null(json);
		if (bad[i].text)
			ck_assert_str_eq(err.text, bad[i].text);
		ck_assert_ptr_null(strstr(err.text, "hunter2"));
	}
	{
		struct json_t *json = NULL;
		struct err err = { 0 };

		ck_err(json_read((struct text){ "{}\0", 3 }, &json, &err), ERR_SYNTAX);
		ck_err(json_read((struct text){ "\"\0\"", 3 }, &json, &err), ERR_SYNTAX);
		ck_err(json_read((struct text){ NULL, 0 }, &json, &err), ERR_SYNTAX);
	}
}
END_TEST

/* n opening brackets, and as many closing ones. */
static void
nested(size_t n, enum err_code want)
{
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(buf_done) struct buf text = { 0 };
	struct err err = { 0 };

	buf_puts(&text, "\n");
	for (size_t i = 0; i < n; i++)
		buf_puts(&text, "[");
	for (size_t i = 0; i < n; i++)
		buf_puts(&text, "]");
	ck_err(json_read((struct text){ (char *)text.data, text.len }, &json, &err), want);
	if (want)
		ck_assert_str_eq(err.text, "line 2 column 33: more than 32 levels");
}

/* decisions.md, jansson: depth at most 32 */
START_TEST(test_depth)
{
	nested(JSON_DEPTH_MAX, ERR_OK);
	nested(JSON_DEPTH_MAX + 1, ERR_SYNTAX);
	nested(300000, ERR_SYNTAX);
}
END_TEST

START_TEST(test_values)
{
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(buf_done) struct buf text = { 0 };
	struct err err = { 0 };

	buf_puts(&text, "[0");
	for (size_t i = 3; i < JSON_VALUES_MAX; i++)
		buf_puts(&text, ",0");
	buf_puts(&text, "]");
	ck_ok(json_read((struct text){ (char *)text.data, text.len }, &json, &err));
	json_freep(&json);
	text.len--;
	for (size_t i = 0; i < 2; i++)
		buf_puts(&text, ",0");
	buf_puts(&text, "]");
	ck_err(json_read((struct text){ (char *)text.data, text.len }, &json, &err), ERR_SYNTAX);
}
END_TEST

/* Memory goes back wiped and the tree works as before; what free() leaves cannot be looked at from here. */
START_TEST(test_wiping)
{
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(str_freep) char *out = NULL;
	struct err err = { 0 };

	json_wipe_memory();
	ck_ok(json_read(TEXT("{\"a\":[\"b\",{\"c\":1.5}]}"), &json, &err));
	ck_ok(json_write(json, &out, &err));
	ck_assert_str_eq(out, "{\"a\":[\"b\",{\"c\":1.5}]}");
}
END_TEST

TEST_MAIN("data/json", test_good, test_bad, test_depth, test_values, test_wiping)
