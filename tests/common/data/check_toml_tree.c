#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "data/toml.h"

static struct toml *
parsed(const char *file, const char *text)
{
	struct toml *t = NULL;
	struct err err = { 0 };

	ck_ok(toml_parse(file, text_of(text), &t, &err));
	return t;
}

static void
is_json(const struct toml *t, const char *want)
{
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(toml_to_json(t, &json, &err));
	ck_ok(json_write(json, &text, &err));
	ck_assert_str_eq(text, want);
}

/* common.md 2: sorted key order once the tree is generic */
START_TEST(test_to_json)
{
	AUTO(toml_freep)
	struct toml *t = parsed("f", "z = 1\nB = 2\na = [1, 1.5, true, 'x', 1979-05-27, 07:32:00]\n"
				     "d = 1979-05-27 07:32:00z\n[t]\n[[t.u]]\n[[t.u]]\nv = {}\n");

	is_json(t, "{\"B\":2,\"a\":[1,1.5,true,\"x\",\"1979-05-27\",\"07:32:00\"],"
		   "\"d\":\"1979-05-27T07:32:00Z\",\"t\":{\"u\":[{},{\"v\":{}}]},\"z\":1}");
}
END_TEST

START_TEST(test_no_json)
{
	static const struct {
		const char *in, *text;
	} rows[] = { { "\na = inf", "f:2:1: not a finite number" },
		{ "a = [nan]", "f:1:6: not a finite number" },
		{ "a = \"\\u0000\"", "f:1:1: NUL in a string" },
		{ "\"a\\u0000b\" = 1", "f:1:1: NUL in a key" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(toml_freep) struct toml *t = parsed("f", rows[i].in);
		struct json_t *json = NULL;
		struct err err = { 0 };

		ck_err(toml_to_json(t, &json, &err), ERR_SYNTAX);
		ck_assert_ptr_null(json);
		ck_assert_str_eq(err.text, rows[i].text);
	}
}
END_TEST

/* contracts/common.md 2.3, edged-config.md 1: table+table, array+array, anything else */
static const struct {
	const char *base, *later, *want;
} merges[] = {
	{ "a = 1", "b = 2", "{\"a\":1,\"b\":2}" },
	{ "a = 1", "a = 2", "{\"a\":2}" },
	{ "a = 1", "a = 'x'", "{\"a\":\"x\"}" },
	{ "a = 1", "", "{\"a\":1}" },
	{ "", "a = 1", "{\"a\":1}" },
	{ "", "", "{}" },
	{ "[t]\na = 1\n[t.u]\nb = 2", "[t]\nc = 3\n[t.u]\nb = 4\nd = 5",
	    "{\"t\":{\"a\":1,\"c\":3,\"u\":{\"b\":4,\"d\":5}}}" },
	{ "a = [1, 2]", "a = [2, 3]", "{\"a\":[1,2,2,3]}" },
	{ "a = []", "a = [1]", "{\"a\":[1]}" },
	{ "a = [1]", "a = []", "{\"a\":[1]}" },
	{ "[[p]]\nuid = 1", "[[p]]\nuid = 1\n[[p]]\nuid = 2",
	    "{\"p\":[{\"uid\":1},{\"uid\":1},{\"uid\":2}]}" },
	{ "[t]\na = 1", "t = 1", "{\"t\":1}" },
	{ "t = 1", "[t]\na = 1", "{\"t\":{\"a\":1}}" },
	{ "a = [1]", "[a]\nb = 1", "{\"a\":{\"b\":1}}" },
	{ "[a]\nb = 1", "a = [1]", "{\"a\":[1]}" },
	{ "a = {b = 1}", "a.c = 2", "{\"a\":{\"b\":1,\"c\":2}}" },
	{ "a = {b = 1}", "a = {b = 2}", "{\"a\":{\"b\":2}}" },
	/* arrays inside arrays are elements, not merged */
	{ "a = [[1]]", "a = [[2]]", "{\"a\":[[1],[2]]}" },
};

START_TEST(test_merge)
{
	for (size_t i = 0; i < ARRAY_LEN(merges); i++) {
		AUTO(toml_freep) struct toml *into = parsed("base", merges[i].base);
		struct toml *from = parsed("later", merges[i].later);
		struct err err = { 0 };

		ck_ok(toml_merge(into, &from, &err));
		ck_assert_ptr_null(from);
		is_json(into, merges[i].want);
	}
}
END_TEST

/* Each node still says which file it came from. */
START_TEST(test_places)
{
	AUTO(toml_freep) struct toml *t = parsed("one", "[t]\na = 1\nb = 1\n[[p]]\nx = 1");
	struct toml *from = parsed("two", "\n[t]\n  b = 2\n\n[[p]]\nx = 2");
	static const struct {
		const char *path, *file;
		unsigned line, column;
	} rows[] = {
		{ "t.a", "one", 2, 1 },
		{ "t.b", "two", 3, 3 },
		{ "p[0].x", "one", 5, 1 },
		{ "p[1].x", "two", 6, 1 },
		/* where the path ends early, what there is of it */
		{ "p[1].y", "two", 5, 3 },
		{ "p[2].x", "one", 4, 3 },
		{ "p[x]", "one", 4, 3 },
		{ "t.c", "one", 1, 2 },
		{ "t.a.b", "one", 2, 1 },
		{ "u", "one", 1, 1 },
		{ "", "one", 1, 1 },
		{ ".", "one", 1, 1 },
		{ "[0]", "one", 1, 1 },
	};
	struct err err = { 0 };

	ck_ok(toml_merge(t, &from, &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct toml *at = toml_find(t, rows[i].path);

		ck_assert_str_eq(at->file, rows[i].file);
		ck_assert_msg(at->line == rows[i].line && at->column == rows[i].column,
		    "%s is at %u:%u", rows[i].path, at->line, at->column);
	}
}
END_TEST

START_TEST(test_find)
{
	AUTO(toml_freep)
	struct toml *t = parsed("f", "a.\"b.c\".d = 1\na.\"[x]\" = 2\na.e = [[3, 4]]\n\"\" = 5");

	ck_assert_int_eq(toml_find(t, "a.\"b.c\".d")->integer, 1);
	ck_assert_int_eq(toml_find(t, "a.\"[x]\"")->integer, 2);
	ck_assert_int_eq(toml_find(t, "a.e[0][1]")->integer, 4);
	ck_assert_int_eq(toml_find(t, "\"\"")->integer, 5);
	ck_assert_ptr_eq(toml_find(t, "\"unfinished"), t);
	ck_assert_int_eq(toml_get(toml_get(t, "a"), "[x]")->integer, 2);
	ck_assert_ptr_null(toml_get(t, "b"));
	ck_assert_ptr_null(toml_get(toml_get(t, ""), "b"));
}
END_TEST

TEST_MAIN("data/toml_tree", test_to_json, test_no_json, test_merge, test_places, test_find)
