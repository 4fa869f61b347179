#include "tests/support/support.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "data/toml.h"

/* --- comparison with the tagged JSON of github.com/toml-lang/toml-test: {"type": "integer", "value": "1"} */

static const char *const tags[] = {
	[TOML_STRING] = "string",
	[TOML_INTEGER] = "integer",
	[TOML_FLOAT] = "float",
	[TOML_BOOL] = "bool",
	[TOML_OFFSET_DATETIME] = "datetime",
	[TOML_LOCAL_DATETIME] = "datetime-local",
	[TOML_LOCAL_DATE] = "date-local",
	[TOML_LOCAL_TIME] = "time-local",
};

static bool
same_float(double real, const char *want)
{
	double value = strtod(want, NULL);

	return isnan(value) ? isnan(real) : value == real;
}

/* Equal but for trailing zeros of the fraction. */
static bool
same_time(const char *is, const char *want)
{
	for (;; is++, want++) {
		if (*is == *want && *is)
			continue;
		while (*is == '0')
			is++;
		while (*want == '0')
			want++;
		return strcmp(is, want) == 0;
	}
}

static bool
same_scalar(const struct toml *t, const json_t *want)
{
	const char *tag = json_string_value(json_object_get(want, "type"));
	const json_t *value = json_object_get(want, "value");
	const char *text = json_string_value(value);

	if (!tag || !text || strcmp(tag, tags[t->kind]))
		return false;
	switch (t->kind) {
	case TOML_STRING:
		return t->string.len == json_string_length(value) &&
		       memcmp(t->string.data, text, t->string.len) == 0;
	case TOML_INTEGER:
		return t->integer == strtoll(text, NULL, 10);
	case TOML_FLOAT:
		return same_float(t->real, text);
	case TOML_BOOL:
		return t->boolean == (strcmp(text, "true") == 0);
	default:
		return same_time(t->string.data, text);
	}
}

static json_t *
value_of(const json_t *object, const struct toml *item)
{
	AUTO(str_freep) char *name = strndup(item->key, item->key_len);

	/* jansson cannot hold NUL in a key; load() has written another character there */
	if (item->key_len == 1 && !item->key[0])
		return json_object_get(object, "\x01");
	return json_object_get(object, name);
}

static bool
same(const struct toml *t, const json_t *want)
{
	if (t->kind == TOML_ARRAY) {
		if (!json_is_array(want) || json_array_size(want) != t->items.n)
			return false;
		for (size_t i = 0; i < t->items.n; i++)
			if (!same(t->items.at[i], json_array_get(want, i)))
				return false;
		return true;
	}
	if (t->kind != TOML_TABLE)
		return same_scalar(t, want);
	if (!json_is_object(want) || json_object_size(want) != t->items.n)
		return false;
	for (size_t i = 0; i < t->items.n; i++) {
		const struct toml *item = t->items.at[i];
		const json_t *value = value_of(want, item);

		if (!value || !same(item, value))
			return false;
	}
	return true;
}

static json_t *
load(const char *path)
{
	AUTO(bytes_done) struct bytes text = support_read(path);
	char *nul_key = strstr((char *)text.data, "\"\\u0000\":");
	json_t *json;

	if (nul_key)
		memcpy(nul_key, "\"\\u0001\":", strlen("\"\\u0001\":"));
	json = json_loadb((char *)text.data, text.len, JSON_ALLOW_NUL, NULL);
	ck_assert_msg(json != NULL, "%s", path);
	return json;
}

static void
valid(const char *path)
{
	AUTO(str_freep) char *json_path = NULL;
	AUTO(bytes_done) struct bytes text = support_read(path);
	AUTO(toml_freep) struct toml *t = NULL;
	json_t *want;
	struct err err = { 0 };

	ck_ok(str_format(&json_path, &err, "%.*sjson", (int)(strlen(path) - strlen("toml")), path));
	want = load(json_path);
	ck_ok(toml_parse(path, text_of_bytes(&text), &t, &err));
	ck_assert_msg(same(t, want), "%s differs", path);
	json_decref(want);
}

static void
invalid(const char *path)
{
	AUTO(bytes_done) struct bytes text = support_read(path);
	struct toml *t = NULL;
	struct err err = { 0 };
	unsigned line = 0, column = 0;

	ck_err(toml_parse(path, text_of_bytes(&text), &t, &err), ERR_SYNTAX);
	ck_assert_ptr_null(t);
	ck_assert_uint_eq(strncmp(err.text, path, strlen(path)), 0);
	ck_assert_msg(
	    sscanf(err.text + strlen(path), ":%u:%u: ", &line, &column) == 2 && line && column,
	    "%s", err.text);
}

START_TEST(test_conformance)
{
	const char *list = support_shared_data("toml-test/files-toml-1.0.0");
	size_t n_valid = 0, n_invalid = 0;
	char line[256], path[512];
	FILE *f;

	if (!list)
		return;
	f = fopen(list, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "../shared/data/toml-test/%s", line);
		if (strlen(line) < 5 || strcmp(line + strlen(line) - 5, ".toml"))
			continue;
		if (strncmp(line, "valid/", 6) == 0) {
			valid(path);
			n_valid++;
		} else {
			invalid(path);
			n_invalid++;
		}
	}
	fclose(f);
	ck_assert_uint_gt(n_valid, 100);
	ck_assert_uint_gt(n_invalid, 300);
}
END_TEST

/* Our own cases: each file as above, so that they also serve where toml-test is absent. */
static void
each_file(const char *dir, void (*check)(const char *path), size_t least)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[512];
	size_t n = 0;

	ck_assert_msg(d != NULL, "%s", dir);
	while ((entry = readdir(d)) != NULL) {
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".toml"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		check(path);
		n++;
	}
	closedir(d);
	ck_assert_uint_ge(n, least);
}

START_TEST(test_own)
{
	each_file("tests/data/toml/valid", valid, 8);
}
END_TEST

/* --- refusals with their exact place */

static const struct {
	const char *in, *text;
} refused[] = {
	/* documents and lines */
	{ "a", "f:1:2: expected '='" },
	{ "a = 1 b = 2", "f:1:7: expected the end of the line" },
	{ "= 1", "f:1:1: expected a key" },
	{ "a =", "f:1:4: expected a value" },
	{ "a = \n", "f:1:5: expected a value" },
	{ "\xc3\xa9 = 1", "f:1:1: expected a key" },
	{ "a = '\xc3\xa9' x", "f:1:9: expected the end of the line" },
	{ "# \x01", "f:1:3: control character in a comment" },
	{ "a = 1\rb = 2", "f:1:6: expected the end of the line" },
	{ "\n\na = \"\xff\"", "f:3:6: invalid UTF-8" },
	{ "\xff", "f:1:1: invalid UTF-8" },
	{ "a = 1\n\xef\xbb\xbf", "f:2:1: expected a key" },
	/* strings */
	{ "a = \"b", "f:1:7: string without an end" },
	{ "a = \"b\n\"", "f:1:7: string without an end" },
	{ "a = '''b", "f:1:9: string without an end" },
	{ "a = \"\\q\"", "f:1:6: unknown escape" },
	{ "a = \"\\u12\"", "f:1:6: unfinished Unicode escape" },
	{ "a = \"\\ud800\"", "f:1:6: Unicode escape of what is no character" },
	{ "a = \"\\U00110000\"", "f:1:6: Unicode escape of what is no character" },
	{ "a = \"\x7f\"", "f:1:6: control character in a string" },
	{ "a = \"\"\"\r\"\"\"", "f:1:8: control character in a string" },
	{ "a = \"\"\" \\ x\"\"\"", "f:1:9: unknown escape" },
	{ "a = \"\"\"\"\"\"\"\"\"", "f:1:13: expected the end of the line" },
	{ "\"\"\"a\"\"\" = 1", "f:1:3: expected '='" },
	/* numbers */
	{ "a = 01", "f:1:5: number with a leading zero" },
	{ "a = 1__0", "f:1:5: invalid value" },
	{ "a = 1_", "f:1:5: invalid value" },
	{ "a = _1", "f:1:5: invalid value" },
	{ "a = 1.", "f:1:5: invalid value" },
	{ "a = .1", "f:1:5: invalid value" },
	{ "a = 1.e2", "f:1:5: invalid value" },
	{ "a = 1e", "f:1:5: invalid value" },
	{ "a = 0x", "f:1:5: invalid value" },
	{ "a = 0X1", "f:1:5: invalid value" },
	{ "a = +0x1", "f:1:5: invalid value" },
	{ "a = 0b2", "f:1:5: invalid value" },
	{ "a = 0o8", "f:1:5: invalid value" },
	{ "a = Inf", "f:1:5: invalid value" },
	{ "a = True", "f:1:5: invalid value" },
	{ "a = 9223372036854775808", "f:1:5: integer does not fit into 64 bits" },
	{ "a = -9223372036854775809", "f:1:5: integer does not fit into 64 bits" },
	{ "a = 0x8000000000000000", "f:1:5: integer does not fit into 64 bits" },
	/* dates */
	{ "a = 2023-02-29", "f:1:5: invalid date or time" },
	{ "a = 1900-02-29", "f:1:5: invalid date or time" },
	{ "a = 2023-04-31", "f:1:5: invalid date or time" },
	{ "a = 2023-13-01", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T24:00:00", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:60:00", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:00:61", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:00", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:00:00.", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:00:00+24:00", "f:1:5: invalid date or time" },
	{ "a = 2023-01-01T00:00:00+0100", "f:1:5: invalid date or time" },
	{ "a = 07:32:00Z", "f:1:5: invalid date or time" },
	/* arrays and inline tables */
	{ "a = [1 2]", "f:1:8: expected ',' or ']'" },
	{ "a = [1,,2]", "f:1:8: expected a value" },
	{ "a = [1", "f:1:7: expected ',' or ']'" },
	{ "a = {b = 1,}", "f:1:12: expected a key" },
	{ "a = {b = 1\n}", "f:1:11: expected ',' or '}' in the same line" },
	{ "a = {b = 1, b = 2}", "f:1:13: \"b\" is defined already, in line 1" },
	{ "a = {b.c = 1, b = 2}", "f:1:15: \"b\" is defined already, in line 1" },
	/* who may add to what */
	{ "a = 1\n\na = 2", "f:3:1: \"a\" is defined already, in line 1" },
	{ "a = 1\n'a' = 2", "f:2:1: \"a\" is defined already, in line 1" },
	{ "a = 1\na.b = 2", "f:2:1: \"a\" is defined already, in line 1" },
	{ "[a]\n[a]", "f:2:2: \"a\" is defined already, in line 1" },
	{ "a.b = 1\n[a]", "f:2:2: \"a\" is defined already, in line 1" },
	{ "[a]\nb.c = 1\n[a.b]", "f:3:4: \"b\" is defined already, in line 2" },
	{ "[a.b]\n[a]\nb.c = 1", "f:3:1: \"b\" is defined already, in line 1" },
	{ "a = {}\n[a.b]", "f:2:2: \"a\" is defined already, in line 1" },
	{ "a = {}\na.b = 1", "f:2:1: \"a\" is defined already, in line 1" },
	{ "a = []\n[[a]]", "f:2:3: \"a\" is defined already, in line 1" },
	{ "[[a]]\n[a]", "f:2:2: \"a\" is defined already, in line 1" },
	{ "[a]\n[[a]]", "f:2:3: \"a\" is defined already, in line 1" },
	{ "a = [{}]\n[a.b]", "f:2:2: \"a\" is defined already, in line 1" },
	{ "[[a.b]]\n[a]\nb.c = 1", "f:3:1: \"b\" is defined already, in line 1" },
	/* headers */
	{ "[a", "f:1:3: expected ']'" },
	{ "[[a]", "f:1:5: expected ']]'" },
	{ "[[a] ]", "f:1:5: expected ']]'" },
	{ "[ [a]]", "f:1:3: expected a key" },
	{ "[]", "f:1:2: expected a key" },
	{ "[a.]", "f:1:4: expected a key" },
	{ "[a]b = 1", "f:1:4: expected the end of the line" },
};

START_TEST(test_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct toml *t = NULL;
		struct err err = { 0 };

		ck_err(toml_parse("f", text_of(refused[i].in), &t, &err), ERR_SYNTAX);
		ck_assert_ptr_null(t);
		ck_assert_str_eq(err.text, refused[i].text);
	}
}
END_TEST

/* Every way to nest, one level inside the bound and one beyond. */
static void
nested(const char *open, const char *close, size_t n, enum err_code want)
{
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(toml_freep) struct toml *t = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_puts(&text, open);
	for (size_t i = 0; i < n; i++)
		buf_puts(&text, close);
	ck_err(toml_parse("f", (struct text){ (char *)text.data, text.len }, &t, &err), want);
	if (want)
		ck_assert_msg(strstr(err.text, "nested deeper"), "%s", err.text);
}

START_TEST(test_bounds)
{
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(toml_freep) struct toml *t = NULL;
	struct err err = { 0 };

	nested("[", "", 0, ERR_OK);
	nested("a={", "}", 20, ERR_OK);
	nested("a={", "}", 64, ERR_OK);
	nested("a={", "}", 65, ERR_SYNTAX);
	nested("a={", "}", 100000, ERR_SYNTAX);
	buf_puts(&text, "a=");
	for (int i = 0; i < 100000; i++)
		buf_puts(&text, "[");
	ck_err(toml_parse("f", (struct text){ (char *)text.data, text.len }, &t, &err), ERR_SYNTAX);
	ck_assert_str_eq(err.text, "f:1:67: nested deeper than 64 levels");
	buf_reset(&text);
	for (int i = 0; i < 100; i++)
		buf_puts(&text, "a.");
	buf_puts(&text, "a=1");
	ck_err(toml_parse("f", (struct text){ (char *)text.data, text.len }, &t, &err), ERR_SYNTAX);
	ck_assert_str_eq(err.text, "f:1:129: nested deeper than 64 levels");
	buf_reset(&text);
	for (int i = 0; i < 5000; i++)
		buf_printf(&text, "a%d=1\n", i);
	ck_err(toml_parse("f", (struct text){ (char *)text.data, text.len }, &t, &err), ERR_SYNTAX);
	ck_assert_str_eq(err.text, "f:4097:1: more than 4096 members");
	buf_reset(&text);
	while (text.len <= TOML_TEXT_MAX)
		buf_puts(&text, "# no end\n");
	ck_err(toml_parse("f", (struct text){ (char *)text.data, text.len }, &t, &err), ERR_SYNTAX);
	ck_ok(toml_parse("f", (struct text){ NULL, 0 }, &t, &err));
	ck_assert_uint_eq(t->items.n, 0);
}
END_TEST

TEST_MAIN("data/toml", test_conformance, test_own, test_refused, test_bounds)
