#include "data/fields.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"

#define PATH_MAX_LEN 256

/* What one read carries down and back up; the path is put together on the way up from a failure only. */
struct reader {
	struct err *err;
	bool missing;
	char path[PATH_MAX_LEN];
};

/* Any FIELDS_LIST(). */
struct list {
	void *at;
	size_t n;
};

typedef enum err_code read_fn(
    struct reader *r, const struct field *row, void *at, const json_t *in) MUST_CHECK;
typedef void release_fn(const struct field *row, void *at);

static enum err_code read_value(
    struct reader *r, const struct fields *table, void *base, const json_t *in) MUST_CHECK;
static void release_rows(const struct fields *table, void *base);

/* Lists and references are typed by their owner, so they are moved by memcpy and not through a foreign pointer type. */
static struct list
list_get(const void *at)
{
	struct list list;

	memcpy(&list, at, sizeof(list));
	return list;
}

static void
list_set(void *at, void *items, size_t n)
{
	struct list list = { items, n };

	memcpy(at, &list, sizeof(list));
}

static void *
element(const struct list *list, size_t size, size_t i)
{
	return (char *)list->at + i * size;
}

static const struct field *
value_row(const struct fields *table)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].flags & VALUE)
			return &table->rows[i];
	return NULL;
}

static const struct field *
key_row(const struct fields *table)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].kind == FIELD_KEY)
			return &table->rows[i];
	return NULL;
}

/* The ENUM row that a SELECT row goes by; NULL when it stands in another table. */
static const struct field *
tag_row(const struct fields *table, const struct field *select)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].kind == FIELD_ENUM && table->rows[i].offset == select->offset2)
			return &table->rows[i];
	return NULL;
}

/* --- paths, outermost component last */

static bool
needs_quotes(const char *name)
{
	return name[strcspn(name, ".[")] != '\0' || name[0] == '\0';
}

static void
under_name(struct reader *r, const char *name)
{
	const char *quote = needs_quotes(name) ? "\"" : "";
	const char *dot = r->path[0] && r->path[0] != '[' ? "." : "";
	char outer[PATH_MAX_LEN];

	snprintf(outer, sizeof(outer), "%s%s%s%s%s", quote, name, quote, dot, r->path);
	memcpy(r->path, outer, sizeof(outer));
}

static void
under_index(struct reader *r, size_t i)
{
	const char *dot = r->path[0] && r->path[0] != '[' ? "." : "";
	char outer[PATH_MAX_LEN];

	snprintf(outer, sizeof(outer), "[%zu]%s%s", i, dot, r->path);
	memcpy(r->path, outer, sizeof(outer));
}

static enum err_code
expected(struct reader *r, const char *what)
{
	return err_set(r->err, ERR_SYNTAX, "expected %s", what);
}

/* --- reading, one function a kind */

static enum err_code
copy_string(struct reader *r, const json_t *in, char **ret)
{
	size_t len = json_string_length(in);
	char *copy = malloc(len + 1);

	if (!copy)
		return err_nomem(r->err);
	memcpy(copy, json_string_value(in), len + 1);
	*ret = copy;
	return ERR_OK;
}

static enum err_code
read_str(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	if (!json_is_string(in))
		return expected(r, "a string");
	if ((row->flags & NONEMPTY) && json_string_length(in) == 0)
		return err_set(r->err, ERR_SYNTAX, "must not be empty");
	return copy_string(r, in, at);
}

static enum err_code
read_bytes(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	struct text text = { json_string_value(in), json_string_length(in) };

	(void)row;
	if (!text.data)
		return expected(r, "a base64 string");
	return b64_decode(B64_STD, text, at, r->err);
}

static enum err_code
read_int(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	json_int_t value = json_integer_value(in);

	if (json_is_integer(in) && value >= row->min && value <= row->max) {
		*(int64_t *)at = value;
		return ERR_OK;
	}
	if (row->min == INT64_MIN && row->max == INT64_MAX)
		return expected(r, "a whole number");
	if (row->max == INT64_MAX)
		return err_set(r->err, ERR_SYNTAX, "expected a whole number of at least %lld",
		    (long long)row->min);
	return err_set(r->err, ERR_SYNTAX, "expected a whole number from %lld to %lld",
	    (long long)row->min, (long long)row->max);
}

static enum err_code
read_bool(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	(void)row;
	if (!json_is_boolean(in))
		return expected(r, "true or false");
	*(bool *)at = json_is_true(in);
	return ERR_OK;
}

static enum err_code
read_real(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	(void)row;
	if (!json_is_number(in))
		return expected(r, "a number");
	*(double *)at = json_number_value(in);
	return ERR_OK;
}

/* Index of a name in the row's list, -1 when it is none of them or no string at all. */
static int
enum_index(const struct field *row, const json_t *in)
{
	const char *name = json_string_value(in);

	for (int i = 0; name && row->names[i]; i++)
		if (strcmp(row->names[i], name) == 0)
			return i;
	return -1;
}

static enum err_code
read_enum(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	int index = enum_index(row, in);
	char names[256] = "";
	size_t used = 0;

	if (index >= 0) {
		*(int *)at = index;
		return ERR_OK;
	}
	for (size_t i = 0; row->names[i] && used < sizeof(names); i++)
		used += (size_t)snprintf(
		    names + used, sizeof(names) - used, "%s%s", i ? ", " : "", row->names[i]);
	return err_set(r->err, ERR_SYNTAX, "expected one of %s", names);
}

static enum err_code
read_raw(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	(void)row;
	return json_write(in, at, r->err);
}

static bool
is_named(const struct fields *table, const char *key)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].name && strcmp(table->rows[i].name, key) == 0)
			return true;
	return false;
}

/* Does the table name every member? */
static enum err_code
check_closed(struct reader *r, const struct fields *table, const json_t *in)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)in, key, value)
	{
		if (!is_named(table, key)) {
			err_set(r->err, ERR_SYNTAX, "there is no such parameter");
			under_name(r, key);
			return r->err->code;
		}
	}
	return ERR_OK;
}

/* One object of a row with a table. */
static enum err_code
read_object(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	if (row->flags & CLOSED && check_closed(r, row->sub(), in))
		return r->err->code;
	return read_value(r, row->sub(), at, in);
}

static enum err_code
read_ref(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	const struct fields *table = row->sub();
	void *value = calloc(1, table->size);

	if (!value)
		return err_nomem(r->err);
	memcpy(at, &value, sizeof(value));
	return read_value(r, table, value, in);
}

static enum err_code
list_alloc(struct reader *r, void *at, size_t n, size_t size, struct list *ret)
{
	struct list list = { NULL, n };

	if (n > 0) {
		list.at = calloc(n, size);
		if (!list.at)
			return err_nomem(r->err);
	}
	/* Zero elements can be released, so the owner has the list even when reading it fails halfway. */
	memcpy(at, &list, sizeof(list));
	*ret = list;
	return ERR_OK;
}

static enum err_code
read_list(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	const struct fields *table = row->sub();
	struct list list;

	if (!json_is_array(in))
		return expected(r, "an array");
	if (list_alloc(r, at, json_array_size(in), table->size, &list))
		return r->err->code;
	for (size_t i = 0; i < list.n; i++)
		if (read_object(r, row, element(&list, table->size, i), json_array_get(in, i))) {
			under_index(r, i);
			return r->err->code;
		}
	return ERR_OK;
}

static enum err_code
read_strs(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	struct list list;

	if (!json_is_array(in))
		return expected(r, "an array");
	if (list_alloc(r, at, json_array_size(in), sizeof(char *), &list))
		return r->err->code;
	for (size_t i = 0; i < list.n; i++)
		if (read_str(r, row, (char **)list.at + i, json_array_get(in, i))) {
			under_index(r, i);
			return r->err->code;
		}
	return ERR_OK;
}

static enum err_code
read_pair(
    struct reader *r, const struct field *row, void *base, const char *key, const json_t *value)
{
	const struct field *name = key_row(row->sub());

	if (name && str_copy((char **)((char *)base + name->offset), key, r->err))
		return r->err->code;
	return read_object(r, row, base, value);
}

static enum err_code
read_table(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	const struct fields *table = row->sub();
	struct list list;
	const char *key;
	json_t *value;
	size_t i = 0;

	if (!json_is_object(in))
		return expected(r, "an object");
	if (list_alloc(r, at, json_object_size(in), table->size, &list))
		return r->err->code;
	json_object_foreach((json_t *)in, key, value)
	{
		if (read_pair(r, row, element(&list, table->size, i++), key, value)) {
			under_name(r, key);
			return r->err->code;
		}
	}
	return ERR_OK;
}

/* The members of this very object that no row names. */
static enum err_code
read_rest(struct reader *r, const struct fields *table, const struct field *row, void *base,
    const json_t *in)
{
	const struct fields *sub = row->sub();
	void *at = (char *)base + row->offset;
	struct list list;
	const char *key;
	json_t *value;
	size_t n = 0;

	if (list_alloc(r, at, json_object_size(in), sub->size, &list))
		return r->err->code;
	json_object_foreach((json_t *)in, key, value)
	{
		if (is_named(table, key))
			continue;
		if (read_pair(r, row, element(&list, sub->size, n++), key, value)) {
			under_name(r, key);
			return r->err->code;
		}
	}
	list_set(at, list.at, n);
	return ERR_OK;
}

static enum err_code
read_parse(struct reader *r, const struct field *row, void *at, const json_t *in)
{
	const char *string = json_string_value(in);

	if (!string)
		return expected(r, "a string");
	if (row->parse(string, at, r->err) == ERR_OK)
		return ERR_OK;
	if (r->err->code == ERR_INVALID)
		r->err->code = ERR_SYNTAX;
	return r->err->code;
}

static read_fn *const read_kind[] = {
	[FIELD_STR] = read_str,
	[FIELD_BYTES] = read_bytes,
	[FIELD_INT] = read_int,
	[FIELD_BOOL] = read_bool,
	[FIELD_REAL] = read_real,
	[FIELD_ENUM] = read_enum,
	[FIELD_RAW] = read_raw,
	[FIELD_OBJECT] = read_object,
	[FIELD_REF] = read_ref,
	[FIELD_LIST] = read_list,
	[FIELD_STRS] = read_strs,
	[FIELD_TABLE] = read_table,
	[FIELD_PARSE] = read_parse,
};

static enum err_code
read_present(struct reader *r, const struct field *row, void *base, const json_t *in)
{
	if (read_kind[row->kind](r, row, (char *)base + row->offset, in))
		return r->err->code;
	if (row->flags & PRESENT)
		*(bool *)((char *)base + row->offset2) = true;
	return ERR_OK;
}

static enum err_code
missing(struct reader *r)
{
	r->missing = true;
	return err_set(r->err, ERR_SYNTAX, "missing");
}

static enum err_code
read_member(struct reader *r, const struct field *row, void *base, const json_t *in)
{
	const json_t *value = json_object_get(in, row->name);
	enum err_code code;

	if (value && !json_is_null(value))
		code = read_present(r, row, base, value);
	else
		code = row->flags & REQUIRED ? missing(r) : ERR_OK;
	if (code)
		under_name(r, row->name);
	return code;
}

static bool
requires_members(const struct fields *table)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].flags & REQUIRED)
			return true;
	return false;
}

static enum err_code
read_arm(struct reader *r, const struct field *row, const struct fields *arm, void *base,
    const json_t *in)
{
	const json_t *value;
	enum err_code code = ERR_OK;

	if (!row->name)
		return read_value(r, arm, base, in);
	value = json_object_get(in, row->name);
	if (value && !json_is_null(value))
		code = read_value(r, arm, base, value);
	else if (requires_members(arm))
		code = missing(r);
	if (code)
		under_name(r, row->name);
	return code;
}

static const struct fields *
arm_at(const struct field *row, int tag)
{
	if (tag < 0 || (size_t)tag >= row->n_select || !row->select[tag])
		return NULL;
	return row->select[tag]();
}

static enum err_code
read_select(struct reader *r, const struct fields *table, const struct field *row, void *base,
    const json_t *in)
{
	const struct field *tag = tag_row(table, row);
	const struct fields *arm = arm_at(row, *(int *)((char *)base + row->offset2));

	if (!arm || (tag && enum_index(tag, json_object_get(in, tag->name)) < 0))
		return ERR_OK;
	return read_arm(r, row, arm, base, in);
}

static enum err_code
read_row(struct reader *r, const struct fields *table, const struct field *row, void *base,
    const json_t *in)
{
	switch (row->kind) {
	case FIELD_KEY:
		return ERR_OK;
	case FIELD_SELECT:
		return read_select(r, table, row, base, in);
	case FIELD_TABLE:
		if (!row->name)
			return read_rest(r, table, row, base, in);
		return read_member(r, row, base, in);
	default:
		return read_member(r, row, base, in);
	}
}

static enum err_code
read_value(struct reader *r, const struct fields *table, void *base, const json_t *in)
{
	const struct field *whole = value_row(table);

	if (whole && json_is_null(in) && !(whole->flags & REQUIRED))
		return ERR_OK;
	if (whole)
		return read_present(r, whole, base, in);
	if (!json_is_object(in))
		return expected(r, "an object");
	for (size_t i = 0; i < table->n_rows; i++)
		if (read_row(r, table, &table->rows[i], base, in))
			return r->err->code;
	return ERR_OK;
}

static enum err_code
read_top(struct reader *r, fields_fn *table, void *ret, const json_t *in)
{
	if (!in)
		return err_set(r->err, ERR_NO_BODY, "missing request body");
	if (read_value(r, table(), ret, in) == ERR_OK)
		return ERR_OK;
	fields_done(table, ret);
	return r->err->code;
}

enum err_code
fields_read(fields_fn *table, void *ret, const struct json_t *in, struct err *err)
{
	struct reader r = { .err = err };
	char reason[ERR_TEXT_MAX];

	if (read_top(&r, table, ret, in) == ERR_OK)
		return ERR_OK;
	if (r.missing)
		return err_set(err, ERR_SYNTAX, "missing member \"%s\"", r.path);
	if (err->code != ERR_SYNTAX || !r.path[0])
		return err->code;
	memcpy(reason, err->text, sizeof(reason));
	return err_set(err, ERR_SYNTAX, "%s: %s", r.path, reason);
}

enum err_code
fields_read_at(fields_fn *table, void *ret, const struct json_t *in, char *ret_path,
    size_t path_size, struct err *err)
{
	struct reader r = { .err = err };

	if (read_top(&r, table, ret, in) == ERR_OK)
		return ERR_OK;
	snprintf(ret_path, path_size, "%s", r.path);
	return err->code;
}

enum err_code
fields_read_text(fields_fn *table, void *ret, struct text in, struct err *err)
{
	AUTO(json_freep) json_t *json = NULL;

	if (json_read(in, &json, err))
		return err->code;
	return fields_read(table, ret, json, err);
}

/* --- releasing */

static void
release_str(const struct field *row, void *at)
{
	(void)row;
	str_freep(at);
}

static void
release_bytes(const struct field *row, void *at)
{
	(void)row;
	bytes_done(at);
}

static void
release_object(const struct field *row, void *at)
{
	release_rows(row->sub(), at);
}

static void
release_ref(const struct field *row, void *at)
{
	const struct fields *table = row->sub();
	void *value;

	memcpy(&value, at, sizeof(value));
	if (!value)
		return;
	release_rows(table, value);
	mem_wipe(value, table->size);
	free(value);
	value = NULL;
	memcpy(at, &value, sizeof(value));
}

static void
release_list(const struct field *row, void *at)
{
	const struct fields *table = row->sub();
	struct list list = list_get(at);

	if (!list.at)
		return;
	for (size_t i = 0; i < list.n; i++)
		release_rows(table, element(&list, table->size, i));
	mem_wipe(list.at, list.n * table->size);
	free(list.at);
	list_set(at, NULL, 0);
}

static void
release_strs(const struct field *row, void *at)
{
	struct list list = list_get(at);

	(void)row;
	for (size_t i = 0; list.at && i < list.n; i++)
		str_freep((char **)list.at + i);
	free(list.at);
	list_set(at, NULL, 0);
}

static void
release_parse(const struct field *row, void *at)
{
	if (row->parse_done)
		row->parse_done(at);
}

static release_fn *const release_kind[] = {
	[FIELD_STR] = release_str,
	[FIELD_BYTES] = release_bytes,
	[FIELD_RAW] = release_str,
	[FIELD_OBJECT] = release_object,
	[FIELD_REF] = release_ref,
	[FIELD_LIST] = release_list,
	[FIELD_STRS] = release_strs,
	[FIELD_TABLE] = release_list,
	[FIELD_KEY] = release_str,
	[FIELD_SELECT] = NULL,
	[FIELD_PARSE] = release_parse,
};

/* All arms, not only the chosen one: the tag may have changed since, and a released member may be released again. */
static void
release_arms(const struct field *row, void *base)
{
	for (size_t i = 0; i < row->n_select; i++)
		if (row->select[i])
			release_rows(row->select[i](), base);
}

static void
release_rows(const struct fields *table, void *base)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct field *row = &table->rows[i];

		if (row->kind == FIELD_SELECT)
			release_arms(row, base);
		else if (release_kind[row->kind])
			release_kind[row->kind](row, (char *)base + row->offset);
	}
}

void
fields_done(fields_fn *table, void *value)
{
	release_rows(table(), value);
	mem_wipe(value, table()->size);
}

/* --- members that nobody reads */

struct search {
	void (*found)(void *ctx, const char *path);
	void *ctx;
	char path[PATH_MAX_LEN];
	size_t used;
};

static void search_value(struct search *s, const struct fields *table, const json_t *in);

/* Enter a member or an element; returns what search_leave needs to step out. */
static size_t
search_enter(struct search *s, const char *name, size_t index)
{
	const char *quote = name && needs_quotes(name) ? "\"" : "";
	size_t was = s->used, room = sizeof(s->path) - s->used;
	int n;

	if (name)
		n = snprintf(s->path + was, room, "%s%s%s%s", was ? "." : "", quote, name, quote);
	else
		n = snprintf(s->path + was, room, "[%zu]", index);
	s->used += n > 0 && (size_t)n < room ? (size_t)n : room - 1;
	return was;
}

static void
search_leave(struct search *s, size_t was)
{
	s->path[was] = '\0';
	s->used = was;
}

static void
search_list(struct search *s, const struct fields *table, const json_t *in)
{
	json_t *value;
	size_t i;

	json_array_foreach(in, i, value)
	{
		size_t was = search_enter(s, NULL, i);

		search_value(s, table, value);
		search_leave(s, was);
	}
}

static void
search_table(struct search *s, const struct fields *table, const json_t *in)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)in, key, value)
	{
		size_t was = search_enter(s, key, 0);

		search_value(s, table, value);
		search_leave(s, was);
	}
}

static void
search_row(struct search *s, const struct field *row, const json_t *in)
{
	switch (row->kind) {
	case FIELD_OBJECT:
	case FIELD_REF:
		search_value(s, row->sub(), in);
		break;
	case FIELD_LIST:
		search_list(s, row->sub(), in);
		break;
	case FIELD_TABLE:
		search_table(s, row->sub(), in);
		break;
	default:
		break;
	}
}

/* The arm that the object itself chooses. */
static const struct fields *
arm_in(const struct fields *table, const struct field *row, const json_t *in)
{
	const struct field *tag = tag_row(table, row);

	return tag ? arm_at(row, enum_index(tag, json_object_get(in, tag->name))) : NULL;
}

/* Is name a member of in that the table reads?  Searches what stands below it, too. */
static bool
search_member(struct search *s, const struct fields *table, const json_t *in, const char *name,
    const json_t *value)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct field *row = &table->rows[i];
		const struct fields *arm;

		if (row->name && strcmp(row->name, name) == 0) {
			arm = row->kind == FIELD_SELECT ? arm_in(table, row, in) : NULL;
			if (arm)
				search_value(s, arm, value);
			else
				search_row(s, row, value);
			return true;
		}
		if (row->kind == FIELD_SELECT && !row->name && (arm = arm_in(table, row, in)) &&
		    search_member(s, arm, in, name, value))
			return true;
		if (row->kind == FIELD_TABLE && !row->name && !is_named(table, name)) {
			search_value(s, row->sub(), value);
			return true;
		}
	}
	return false;
}

static void
search_value(struct search *s, const struct fields *table, const json_t *in)
{
	const struct field *whole = value_row(table);
	const char *key;
	json_t *value;

	if (whole) {
		search_row(s, whole, in);
		return;
	}
	json_object_foreach((json_t *)in, key, value)
	{
		size_t was = search_enter(s, key, 0);

		if (!search_member(s, table, in, key, value))
			s->found(s->ctx, s->path);
		search_leave(s, was);
	}
}

void
fields_unknown(fields_fn *table, const struct json_t *in,
    void (*found)(void *ctx, const char *path), void *ctx)
{
	struct search s = { .found = found, .ctx = ctx };

	search_value(&s, table(), in);
}

const struct fields *
fields_pair_fields(void)
{
	typedef struct fields_pair self;
	static const struct field rows[] = { KEY(key), STR(value, NULL, VALUE | REQUIRED) };
	static const struct fields table = { sizeof(self), rows, ARRAY_LEN(rows) };

	return &table;
}
