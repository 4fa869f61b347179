#include "tests/support/message.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is every byte of the value zero?  A failed read must leave it so. */
static bool
is_zero(const void *value, size_t size)
{
	const unsigned char *p = value;

	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

START_TEST(test_every)
{
	AUTO(every_done) struct every m = { 0 };
	struct err err = { 0 };

	ck_ok(fields_read_text(every_fields, &m,
	    TEXT("{\"str\":\"\\u00fc\",\"nulls\":\"n\",\"raw\":{\"b\":[1,0.1],\"a\":null},"
		 "\"bytes\":\"Zm9v\",\"small\":-3,\"any\":-9223372036854775808,\"maybe\":70,"
		 "\"flag\":true,\"maybeFlag\":false,\"real\":2,\"inside\":{\"name\":\"i\"},"
		 "\"ref\":{\"name\":\"r\",\"uid\":4294967295},"
		 "\"parts\":[{\"name\":\"p\",\"uid\":1},{\"name\":\"q\",\"x\":1}],"
		 "\"strs\":[\"a\",\"\"],\"limits\":{\"one\":{\"most\":1},\"two\":{\"most\":2}},"
		 "\"labels\":{\"k\":\"v\"},\"usage\":\"sign\",\"unknown\":[{}]}"),
	    &err));
	ck_assert_str_eq(m.str, "\xc3\xbc");
	ck_assert_str_eq(m.nulls, "n");
	ck_assert_str_eq(m.raw, "{\"b\":[1,0.1],\"a\":null}");
	ck_assert(m.bytes.len == 3 && memcmp(m.bytes.data, "foo", 3) == 0);
	ck_assert_int_eq(m.small, -3);
	ck_assert_int_eq(m.any, INT64_MIN);
	ck_assert(m.has_maybe && m.maybe == 70);
	ck_assert(m.flag && m.has_flag && !m.maybe_flag);
	ck_assert(m.real == 2.0);
	ck_assert_str_eq(m.inside.name, "i");
	ck_assert_str_eq(m.ref->name, "r");
	ck_assert_int_eq(m.ref->uid, UINT32_MAX);
	ck_assert_uint_eq(m.parts.n, 2);
	ck_assert_str_eq(m.parts.at[1].name, "q");
	ck_assert_int_eq(m.parts.at[0].uid, 1);
	ck_assert_uint_eq(m.strs.n, 2);
	ck_assert_str_eq(m.strs.at[0], "a");
	ck_assert_str_eq(m.strs.at[1], "");
	ck_assert_uint_eq(m.limits.n, 2);
	ck_assert_str_eq(m.limits.at[1].key, "two");
	ck_assert_int_eq(m.limits.at[1].most, 2);
	ck_assert_uint_eq(m.labels.n, 1);
	ck_assert_str_eq(m.labels.at[0].key, "k");
	ck_assert_str_eq(m.labels.at[0].value, "v");
	ck_assert_uint_eq(m.usage, 1);
	ck_assert(m.has_usage);
	every_done(&m);
	ck_assert(is_zero(&m, sizeof(m)));
}
END_TEST

/* contracts/common.md 6: null is as absent, unknown members are ignored */
START_TEST(test_absent)
{
	static const char *const absent[] = { "{}", "{\"unknown\":{\"str\":1}}",
		"{\"str\":null,\"nulls\":null,\"raw\":null,\"bytes\":null,\"small\":null,\"any\":"
		"null,"
		"\"maybe\":null,\"flag\":null,\"maybeFlag\":null,\"real\":null,\"inside\":null,"
		"\"ref\":null,\"parts\":null,\"strs\":null,\"limits\":null,\"labels\":null,"
		"\"usage\":null}" };

	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		struct every m = { 0 };
		struct err err = { 0 };

		ck_ok(fields_read_text(every_fields, &m, text_of(absent[i]), &err));
		ck_assert(is_zero(&m, sizeof(m)));
	}
}
END_TEST

FIELDS_ARM(closed_fields, every, OBJECT(inside, "inside", CLOSED, part_fields));

/* contracts/common.md 5 and 6: each is a 422, and the text names the member. */
static const struct {
	fields_fn *table;
	const char *in, *text;
} refused[] = {
	{ every_fields, "[]", "expected an object" },
	{ every_fields, "\"x\"", "expected an object" },
	{ every_fields, "null", "expected an object" },
	{ every_fields, "{\"str\":1}", "str: expected a string" },
	{ every_fields, "{\"str\":[]}", "str: expected a string" },
	{ every_fields, "{\"str\":{}}", "str: expected a string" },
	{ every_fields, "{\"str\":true}", "str: expected a string" },
	{ every_fields, "{\"str\":\"a\",\"str\":\"a\"}", "line 1 column 16: repeated member" },
	{ every_fields, "{\"bytes\":1}", "bytes: expected a base64 string" },
	{ every_fields, "{\"bytes\":\"Zg\"}", "bytes: invalid base64: length or padding" },
	{ every_fields, "{\"bytes\":\"Zg=\\n\"}", "bytes: invalid base64: character at offset 2" },
	{ every_fields, "{\"bytes\":\"Zh==\"}", "bytes: invalid base64: stray bits at the end" },
	{ every_fields, "{\"small\":\"1\"}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"small\":1.0}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"small\":1e0}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"small\":-4}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"small\":11}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"small\":4294967296}", "small: expected a whole number from -3 to 10" },
	{ every_fields, "{\"any\":true}", "any: expected a whole number" },
	{ every_fields, "{\"any\":9223372036854775808}", "line 1 column 26: number out of range" },
	{ every_fields, "{\"maybe\":69}", "maybe: expected a whole number of at least 70" },
	{ every_fields, "{\"flag\":1}", "flag: expected true or false" },
	{ every_fields, "{\"flag\":\"true\"}", "flag: expected true or false" },
	{ every_fields, "{\"maybeFlag\":0}", "maybeFlag: expected true or false" },
	{ every_fields, "{\"real\":\"1\"}", "real: expected a number" },
	{ every_fields, "{\"inside\":[]}", "inside: expected an object" },
	{ every_fields, "{\"inside\":{}}", "missing member \"inside.name\"" },
	{ every_fields, "{\"inside\":{\"name\":null}}", "missing member \"inside.name\"" },
	{ every_fields, "{\"inside\":{\"name\":\"\"}}", "inside.name: must not be empty" },
	{ closed_fields, "{\"inside\":{\"name\":\"a\",\"x.y\":1}}",
	    "inside.\"x.y\": there is no such parameter" },
	{ closed_fields, "{\"inside\":{\"x\":null}}", "inside.x: there is no such parameter" },
	{ closed_fields, "{\"inside\":1}", "inside: expected an object" },
	{ every_fields, "{\"ref\":1}", "ref: expected an object" },
	{ every_fields, "{\"ref\":{\"uid\":1}}", "missing member \"ref.name\"" },
	{ every_fields, "{\"ref\":{\"name\":\"n\",\"uid\":-1}}",
	    "ref.uid: expected a whole number from 0 to 4294967295" },
	{ every_fields, "{\"parts\":{}}", "parts: expected an array" },
	{ every_fields, "{\"parts\":[null]}", "parts[0]: expected an object" },
	{ every_fields, "{\"parts\":[{\"name\":\"n\"},{\"name\":2}]}",
	    "parts[1].name: expected a string" },
	{ every_fields, "{\"parts\":[{\"name\":\"n\"},{}]}", "missing member \"parts[1].name\"" },
	{ every_fields, "{\"strs\":\"a\"}", "strs: expected an array" },
	{ every_fields, "{\"strs\":[\"a\",null]}", "strs[1]: expected a string" },
	{ every_fields, "{\"limits\":[]}", "limits: expected an object" },
	{ every_fields, "{\"limits\":{\"x\":1}}", "limits.x: expected an object" },
	{ every_fields, "{\"limits\":{\"x\":{\"most\":1},\"a.b\":{\"most\":0}}}",
	    "limits.\"a.b\".most: expected a whole number from 1 to 100" },
	{ every_fields, "{\"labels\":{\"x\":1}}", "labels.x: expected a string" },
	{ every_fields, "{\"labels\":{\"x\":null}}", "labels.x: expected a string" },
	{ every_fields, "{\"usage\":1}", "usage: expected a string" },
	{ every_fields, "{\"usage\":\"fly\"}", "usage: unknown usage" },
	{ tagged_fields, "{}", "missing member \"algorithm\"" },
	{ tagged_fields, "{\"algorithm\":null}", "missing member \"algorithm\"" },
	{ tagged_fields, "{\"algorithm\":1}",
	    "algorithm: expected one of ECDSA, HMAC-SHA256, NONE" },
	{ tagged_fields, "{\"algorithm\":\"ecdsa\"}",
	    "algorithm: expected one of ECDSA, HMAC-SHA256, NONE" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\"}", "missing member \"parameters\"" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":null}",
	    "missing member \"parameters\"" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":[]}",
	    "parameters: expected an object" },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":{\"message\":\"m\"}}",
	    "missing member \"parameters.digest\"" },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":3}}",
	    "parameters.message: expected a string" },
	{ flat_fields, "{\"shape\":\"file\"}", "missing member \"path\"" },
	{ flat_fields, "{\"shape\":\"slot\",\"slot\":10}",
	    "slot: expected a whole number from 0 to 9" },
	{ whole_fields, "{}", "expected an array" },
	{ whole_fields, "null", "expected an array" },
	{ whole_fields, "[{\"name\":1}]", "[0].name: expected a string" },
	{ whole_fields, "[{}]", "missing member \"[0].name\"" },
};

START_TEST(test_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		AUTO(bytes_done) struct bytes room = { 0 };
		struct err err = { 0 };
		const struct fields *table = refused[i].table();

		ck_ok(bytes_alloc(&room, table->size, &err));
		ck_err(fields_read_text(refused[i].table, room.data, text_of(refused[i].in), &err),
		    ERR_SYNTAX);
		ck_assert_str_eq(err.text, refused[i].text);
		ck_assert_msg(is_zero(room.data, room.len), "%s", refused[i].in);
	}
}
END_TEST

/* A failure late in the message releases all that was read before it; the leak checkers look on. */
START_TEST(test_released)
{
	struct every m = { 0 };
	struct err err = { 0 };

	ck_err(fields_read_text(every_fields, &m,
		   TEXT("{\"str\":\"s\",\"raw\":[1],\"bytes\":\"Zm9v\",\"inside\":{\"name\":\"i\"},"
			"\"ref\":{\"name\":\"r\"},\"parts\":[{\"name\":\"p\"},{\"name\":\"q\"}],"
			"\"strs\":[\"a\",\"b\"],\"limits\":{\"one\":{\"most\":1}},"
			"\"labels\":{\"k\":\"v\"},\"usage\":\"fly\"}"),
		   &err),
	    ERR_SYNTAX);
	ck_assert(is_zero(&m, sizeof(m)));
}
END_TEST

START_TEST(test_select)
{
	static const char *const none[] = { "{\"algorithm\":\"NONE\"}",
		"{\"algorithm\":\"NONE\",\"parameters\":{\"digest\":1}}" };
	struct tagged m = { 0 };
	struct err err = { 0 };

	ck_ok(fields_read_text(tagged_fields, &m,
	    TEXT("{\"parameters\":{\"message\":1,\"digest\":\"Zm8=\"},\"algorithm\":\"ECDSA\"}"),
	    &err));
	ck_assert_int_eq(m.mech, MECH_ECDSA);
	ck_assert_uint_eq(m.digest.len, 2);
	ck_assert_ptr_null(m.message);
	tagged_done(&m);
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		ck_ok(fields_read_text(tagged_fields, &m, text_of(none[i]), &err));
		ck_assert_int_eq(m.mech, MECH_NONE);
		ck_assert_ptr_null(m.digest.data);
		tagged_done(&m);
	}
}
END_TEST

START_TEST(test_flat)
{
	struct flat m = { 0 };
	struct err err = { 0 };

	ck_ok(fields_read_text(flat_fields, &m, TEXT("{\"path\":1,\"slot\":\"x\"}"), &err));
	ck_assert(is_zero(&m, sizeof(m)));
	ck_ok(fields_read_text(
	    flat_fields, &m, TEXT("{\"shape\":\"slot\",\"path\":1,\"slot\":9}"), &err));
	ck_assert(m.has_shape && m.shape == SHAPE_SLOT);
	ck_assert_int_eq(m.slot, 9);
	flat_done(&m);
}
END_TEST

START_TEST(test_whole)
{
	struct whole m = { 0 };
	struct err err = { 0 };

	ck_ok(
	    fields_read_text(whole_fields, &m, TEXT("[{\"name\":\"a\"},{\"name\":\"b\"}]"), &err));
	ck_assert_uint_eq(m.parts.n, 2);
	ck_assert_str_eq(m.parts.at[1].name, "b");
	whole_done(&m);
	ck_ok(fields_read_text(whole_fields, &m, TEXT("[]"), &err));
	ck_assert_uint_eq(m.parts.n, 0);
	whole_done(&m);
}
END_TEST

/* contracts/common.md 5: a handler that needs a body and has none answers 400 */
START_TEST(test_no_body)
{
	struct every m = { 0 };
	struct err err = { 0 };

	ck_err(every_read(&m, NULL, &err), ERR_NO_BODY);
	ck_assert_str_eq(err.text, "missing request body");
}
END_TEST

static void
ref_at(const char *in, const char *want_path, const char *want_text)
{
	AUTO(json_freep) struct json_t *json = NULL;
	char path[128] = "";
	struct every m = { 0 };
	struct err err = { 0 };

	ck_ok(json_read(text_of(in), &json, &err));
	ck_err(fields_read_at(every_fields, &m, json, path, sizeof(path), &err), ERR_SYNTAX);
	ck_assert_str_eq(path, want_path);
	ck_assert_str_eq(err.text, want_text);
}

START_TEST(test_read_at)
{
	AUTO(str_freep) char *deep = NULL;
	char name[600];
	struct err err = { 0 };

	ref_at("{\"parts\":[{\"name\":\"n\"},{\"uid\":1}]}", "parts[1].name", "missing");
	ref_at("{\"limits\":{\"x\":{\"most\":\"1\"}}}", "limits.x.most",
	    "expected a whole number from 1 to 100");
	ref_at("3", "", "expected an object");
	/* a name longer than the path can hold is cut, not overrun */
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_ok(str_format(&deep, &err, "{\"labels\":{\"%s\":1}}", name));
	name[127 - strlen("labels.")] = '\0';
	memmove(name + strlen("labels."), name, strlen(name) + 1);
	memcpy(name, "labels.", strlen("labels."));
	ref_at(deep, name, "expected a string");
}
END_TEST

static void
collect(void *ctx, const char *path)
{
	char *all = ctx;
	size_t used = strlen(all);

	snprintf(all + used, 512 - used, "%s ", path);
}

static void
unknown(fields_fn *table, const char *in, const char *want)
{
	AUTO(json_freep) struct json_t *json = NULL;
	char all[512] = "";
	struct err err = { 0 };

	ck_ok(json_read(text_of(in), &json, &err));
	fields_unknown(table, json, collect, all);
	ck_assert_str_eq(all, want);
}

/* index-identity.md U4: unknown keys are named; free-form parts are nobody's typo */
START_TEST(test_unknown)
{
	unknown(every_fields, "{\"str\":1,\"raw\":{\"x\":1},\"labels\":{\"x\":\"y\"}}", "");
	unknown(every_fields, "{\"Str\":1,\"inside\":{\"nam\":1},\"ref\":{\"name\":1}}",
	    "Str inside.nam ");
	unknown(every_fields,
	    "{\"parts\":[{\"name\":1},{\"a.b\":1}],\"limits\":{\"k\":{\"most\":1,\"y\":2}}}",
	    "parts[1].\"a.b\" limits.k.y ");
	unknown(tagged_fields,
	    "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":1,\"message\":1}}",
	    "parameters.message ");
	unknown(flat_fields, "{\"shape\":\"file\",\"path\":\"p\",\"slot\":1}", "slot ");
	unknown(flat_fields, "{\"path\":\"p\"}", "path ");
	unknown(whole_fields, "[{\"name\":\"a\",\"x\":1}]", "[0].x ");
}
END_TEST

/* What edged hands on to the engine: known members by row, all others as they came. */
struct raw_member {
	char *name, *value;
};
struct open_object {
	char *known;
	FIELDS_LIST(struct raw_member) rest;
};
FIELDS_DECLARE(raw_member);
FIELDS_DECLARE(open_object);
FIELDS(raw_member, KEY(name), RAW(value, NULL, VALUE));
FIELDS(open_object, STR(known, "known", OPTIONAL), TABLE(rest, NULL, OPTIONAL, raw_member_fields));

START_TEST(test_rest)
{
	static const char text[] =
	    "{\"known\":\"k\",\"Known\":1,\"a b\":{\"c\":[null]},\"\\\"\":null}";
	AUTO(open_object_done) struct open_object m = { 0 };
	AUTO(open_object_done) struct open_object none = { 0 };
	AUTO(str_freep) char *again = NULL;
	AUTO(str_freep) char *empty = NULL;
	struct err err = { 0 };

	ck_ok(fields_read_text(open_object_fields, &m, text_of(text), &err));
	ck_assert_str_eq(m.known, "k");
	ck_assert_uint_eq(m.rest.n, 3);
	ck_assert_str_eq(m.rest.at[1].name, "a b");
	ck_assert_str_eq(m.rest.at[1].value, "{\"c\":[null]}");
	ck_ok(fields_write_text(open_object_fields, &m, &again, &err));
	ck_assert_str_eq(again, text);
	ck_ok(fields_read_text(open_object_fields, &none, TEXT("{\"known\":\"k\"}"), &err));
	ck_assert_uint_eq(none.rest.n, 0);
	ck_ok(fields_write_text(open_object_fields, &none, &empty, &err));
	ck_assert_str_eq(empty, "{\"known\":\"k\"}");
	unknown(open_object_fields, text, "");
}
END_TEST

TEST_MAIN("data/fields", test_every, test_absent, test_refused, test_released, test_select,
    test_flat, test_whole, test_no_body, test_read_at, test_unknown, test_rest)
