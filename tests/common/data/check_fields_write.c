#include "tests/support/message.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"

/* What was read is written in the order of the rows; expected text by the rules of fields.h and RFC 8259. */
static const struct {
	fields_fn *table;
	const char *in, *out;
} rows[] = {
	{ part_fields, "{\"uid\":5,\"name\":\"n\"}", "{\"name\":\"n\",\"uid\":5}" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"Zm8=\"}}",
	    "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"Zm8=\"}}" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"\"}}",
	    "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"\"}}" },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"m\"}}",
	    "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"m\"}}" },
	{ tagged_fields, "{\"algorithm\":\"NONE\"}", "{\"algorithm\":\"NONE\"}" },
	{ flat_fields, "{\"shape\":\"slot\",\"slot\":9}", "{\"shape\":\"slot\",\"slot\":9}" },
	{ flat_fields, "{\"shape\":\"file\",\"path\":\"/p\"}",
	    "{\"shape\":\"file\",\"path\":\"/p\"}" },
	{ flat_fields, "{}", "{}" },
	{ whole_fields, "[]", "[]" },
	{ whole_fields, "[{\"name\":\"a\"},{\"name\":\"b\",\"uid\":1}]",
	    "[{\"name\":\"a\",\"uid\":0},{\"name\":\"b\",\"uid\":1}]" },
	{ part_fields, "{\"name\":\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\/\\u007f\\u00e9\\ud83d\\ude00\"}",
	    "{\"name\":\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\/"
	    "\x7f\xc3\xa9\xf0\x9f\x98\x80\",\"uid\":0}" },
};

START_TEST(test_rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(bytes_done) struct bytes room = { 0 };
		AUTO(str_freep) char *out = NULL;
		struct err err = { 0 };

		ck_ok(bytes_alloc(&room, rows[i].table()->size, &err));
		ck_ok(fields_read_text(rows[i].table, room.data, text_of(rows[i].in), &err));
		ck_ok(fields_write_text(rows[i].table, room.data, &out, &err));
		ck_assert_str_eq(out, rows[i].out);
		fields_done(rows[i].table, room.data);
	}
}
END_TEST

#define EVERY                                                                                  \
	"{\"str\":\"s\",\"nulls\":null,\"raw\":{\"b\":[1,0.1],\"a\":null},\"bytes\":\"Zm9v\"," \
	"\"small\":-3,\"any\":-9223372036854775808,\"maybe\":70,\"flag\":true,\"maybeFlag\":"  \
	"false,"                                                                               \
	"\"real\":2.0,\"inside\":{\"name\":\"i\",\"uid\":0},\"ref\":{\"name\":\"r\",\"uid\":"  \
	"4294967295},\"parts\":[{\"name\":\"p\",\"uid\":1}],\"strs\":[\"a\",\"\"],"            \
	"\"limits\":{\"one\":{\"most\":1},\"t\\\"wo\":{\"most\":2}},\"labels\":{\"k\":\"v\"}," \
	"\"usage\":\"sign\"}"

START_TEST(test_every)
{
	AUTO(every_done) struct every m = { 0 };
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *tree = NULL;
	struct err err = { 0 };

	ck_ok(fields_read_text(every_fields, &m, TEXT(EVERY), &err));
	ck_ok(fields_write_text(every_fields, &m, &text, &err));
	ck_assert_str_eq(text, EVERY);
	ck_ok(every_write(&m, &json, &err));
	ck_ok(json_write(json, &tree, &err));
	ck_assert_str_eq(tree, EVERY);
}
END_TEST

START_TEST(test_reals)
{
	/* the shortest text that gives the number back */
	static const struct {
		double real;
		const char *text;
	} reals[] = { { 0.1, "0.1" }, { 1, "1.0" }, { -2.5, "-2.5" }, { 1e300, "1e+300" },
		{ 0.1 + 0.2, "0.30000000000000004" }, { 1.0 / 3, "0.3333333333333333" } };
	AUTO(every_done) struct every m = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(str_copy(&m.inside.name, "n", &err));
	for (size_t i = 0; i < ARRAY_LEN(reals); i++) {
		AUTO(str_freep) char *want = NULL;

		m.real = reals[i].real;
		ck_ok(fields_write_text(every_fields, &m, &text, &err));
		ck_ok(str_format(&want, &err, "\"real\":%s,", reals[i].text));
		ck_assert_msg(strstr(text, want), "%s not in %s", want, text);
		str_freep(&text);
	}
	m.real = INFINITY;
	ck_err(fields_write_text(every_fields, &m, &text, &err), ERR_INTERNAL);
	m.real = NAN;
	ck_err(fields_write_text(every_fields, &m, &text, &err), ERR_INTERNAL);
}
END_TEST

/* What our own side got wrong is ERR_INTERNAL, and names the member. */
START_TEST(test_refused)
{
	AUTO(str_freep) char *text = NULL;
	struct part part = { 0 };
	struct tagged tagged = { .mech = 7 };
	char raw[] = "{\"a\":1},\"b\":2", wrong[] = "\xff";
	struct every every = { .inside.name = wrong + 1, .raw = raw };
	struct err err = { 0 };

	ck_err(fields_write_text(part_fields, &part, &text, &err), ERR_INTERNAL);
	ck_assert_str_eq(err.text, "could not write member \"name\"\ncaused by: not set");
	part.name = wrong;
	ck_err(fields_write_text(part_fields, &part, &text, &err), ERR_INTERNAL);
	ck_assert_str_eq(err.text, "could not write member \"name\"\ncaused by: not UTF-8");
	ck_err(fields_write_text(tagged_fields, &tagged, &text, &err), ERR_INTERNAL);
	ck_assert_str_eq(
	    err.text, "could not write member \"algorithm\"\ncaused by: no such value: 7");
	/* a raw member cannot break out of its place */
	ck_err(fields_write_text(every_fields, &every, &text, &err), ERR_INTERNAL);
	ck_assert_ptr_null(text);
}
END_TEST

START_TEST(test_long)
{
	AUTO(tagged_done) struct tagged m = { .mech = MECH_ECDSA }, again = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(bytes_alloc(&m.digest, 700001, &err));
	memset(m.digest.data, 0xa5, m.digest.len);
	ck_ok(fields_write_text(tagged_fields, &m, &text, &err));
	ck_ok(fields_read_text(tagged_fields, &again, text_of(text), &err));
	ck_assert(bytes_equal(&m.digest, &again.digest));
}
END_TEST

TEST_MAIN("data/fields_write", test_rows, test_every, test_reals, test_refused, test_long)
