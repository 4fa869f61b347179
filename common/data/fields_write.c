#include "data/fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/buf.h"
#include "data/uri.h"

/* The same limit as a body that is read, with room for what grows in between. */
#define WRITE_MAX ((size_t)16 * 1024 * 1024)

/* Text is made straight from the struct; a tree in between would cost several allocations a member. */
struct writer {
	struct buf out;
	struct err *err;
};

struct list {
	void *at;
	size_t n;
};

typedef enum err_code write_fn(
    struct writer *w, const struct field *row, const void *at) MUST_CHECK;

static enum err_code write_value(
    struct writer *w, const struct fields *table, const void *base) MUST_CHECK;
static enum err_code write_rows(
    struct writer *w, const struct fields *table, const void *base) MUST_CHECK;

static struct list
list_get(const void *at)
{
	struct list list;

	memcpy(&list, at, sizeof(list));
	return list;
}

static const void *
pointer_get(const void *at)
{
	const void *pointer;

	memcpy(&pointer, at, sizeof(pointer));
	return pointer;
}

/* No comma behind an opening bracket; any value that was written ends in another character. */
static void
comma(struct writer *w)
{
	uint8_t last = w->out.len ? w->out.data[w->out.len - 1] : '{';

	if (last != '{' && last != '[')
		buf_add(&w->out, ",", 1);
}

/* What must be escaped (RFC 8259 section 7). */
static size_t
plain_len(const char *string)
{
	size_t n = 0;

	while ((unsigned char)string[n] >= 0x20 && string[n] != '"' && string[n] != '\\')
		n++;
	return n;
}

static void
escape(struct writer *w, char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = strchr(from, c);

	if (at)
		buf_printf(&w->out, "\\%c", to[at - from]);
	else
		buf_printf(&w->out, "\\u%04x", (unsigned)c);
}

static enum err_code
write_string(struct writer *w, const char *string)
{
	if (!uri_utf8_valid(text_of(string)))
		return err_set(w->err, ERR_INTERNAL, "not UTF-8");
	buf_add(&w->out, "\"", 1);
	for (;;) {
		size_t n = plain_len(string);

		buf_add(&w->out, string, n);
		string += n;
		if (!*string)
			break;
		escape(w, *string++);
	}
	buf_add(&w->out, "\"", 1);
	return ERR_OK;
}

static enum err_code
write_str(struct writer *w, const struct field *row, const void *at)
{
	(void)row;
	return write_string(w, *(char *const *)at);
}

static enum err_code
write_bytes(struct writer *w, const struct field *row, const void *at)
{
	const struct bytes *bytes = at;
	size_t len = b64_encoded_len(B64_STD, bytes->len);
	char *to = (char *)buf_reserve(&w->out, len + 2);

	(void)row;
	if (to) {
		to[0] = '"';
		b64_encode_to(B64_STD, bytes->data, bytes->len, to + 1);
		to[1 + len] = '"';
		buf_commit(&w->out, len + 2);
	}
	return ERR_OK;
}

static enum err_code
write_int(struct writer *w, const struct field *row, const void *at)
{
	(void)row;
	buf_printf(&w->out, "%" PRId64, *(const int64_t *)at);
	return ERR_OK;
}

static enum err_code
write_bool(struct writer *w, const struct field *row, const void *at)
{
	(void)row;
	buf_puts(&w->out, *(const bool *)at ? "true" : "false");
	return ERR_OK;
}

static enum err_code
write_real(struct writer *w, const struct field *row, const void *at)
{
	double real = *(const double *)at;
	char text[64];

	(void)row;
	if (!isfinite(real))
		return err_set(w->err, ERR_INTERNAL, "not a finite number");
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, real);
		if (strtod(text, NULL) == real)
			break;
	}
	buf_puts(&w->out, text);
	if (!text[strcspn(text, ".e")])
		buf_puts(&w->out, ".0");
	return ERR_OK;
}

static enum err_code
write_enum(struct writer *w, const struct field *row, const void *at)
{
	int index = *(const int *)at;

	for (int i = 0; row->names[i]; i++)
		if (i == index)
			return write_string(w, row->names[i]);
	return err_set(w->err, ERR_INTERNAL, "no such value: %d", index);
}

/* Checked, since it stands in our text as it is. */
static enum err_code
write_raw(struct writer *w, const struct field *row, const void *at)
{
	AUTO(json_freep) struct json_t *json = NULL;
	const char *raw = *(char *const *)at;

	(void)row;
	if (json_read(text_of(raw), &json, w->err))
		return w->err->code == ERR_NOMEM ? ERR_NOMEM
						 : err_wrap_code(w->err, ERR_INTERNAL, "no JSON");
	buf_puts(&w->out, raw);
	return ERR_OK;
}

static enum err_code
write_object(struct writer *w, const struct field *row, const void *at)
{
	return write_value(w, row->sub(), at);
}

static enum err_code
write_ref(struct writer *w, const struct field *row, const void *at)
{
	return write_value(w, row->sub(), pointer_get(at));
}

static enum err_code
write_list(struct writer *w, const struct field *row, const void *at)
{
	const struct fields *table = row->sub();
	struct list list = list_get(at);

	buf_add(&w->out, "[", 1);
	for (size_t i = 0; i < list.n; i++) {
		comma(w);
		if (write_value(w, table, (const char *)list.at + i * table->size))
			return w->err->code;
	}
	buf_add(&w->out, "]", 1);
	return ERR_OK;
}

static enum err_code
write_strs(struct writer *w, const struct field *row, const void *at)
{
	struct list list = list_get(at);

	(void)row;
	buf_add(&w->out, "[", 1);
	for (size_t i = 0; i < list.n; i++) {
		comma(w);
		if (write_string(w, ((char **)list.at)[i]))
			return w->err->code;
	}
	buf_add(&w->out, "]", 1);
	return ERR_OK;
}

static enum err_code
write_pair(struct writer *w, const struct fields *table, const void *base)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct field *row = &table->rows[i];
		const char *key;

		if (row->kind != FIELD_KEY)
			continue;
		key = *(char *const *)((const char *)base + row->offset);
		if (!key)
			break;
		comma(w);
		if (write_string(w, key))
			return w->err->code;
		buf_add(&w->out, ":", 1);
		return write_value(w, table, base);
	}
	return err_set(w->err, ERR_INTERNAL, "an element without a name");
}

static enum err_code
write_pairs(struct writer *w, const struct field *row, const void *at)
{
	const struct fields *table = row->sub();
	struct list list = list_get(at);

	for (size_t i = 0; i < list.n; i++)
		if (write_pair(w, table, (const char *)list.at + i * table->size))
			return w->err->code;
	return ERR_OK;
}

static enum err_code
write_table(struct writer *w, const struct field *row, const void *at)
{
	buf_add(&w->out, "{", 1);
	if (write_pairs(w, row, at))
		return w->err->code;
	buf_add(&w->out, "}", 1);
	return ERR_OK;
}

static enum err_code
write_parse(struct writer *w, const struct field *row, const void *at)
{
	AUTO(str_freep) char *string = NULL;

	if (row->print(at, &string, w->err))
		return w->err->code;
	if (string)
		return write_string(w, string);
	buf_puts(&w->out, "null");
	return ERR_OK;
}

static write_fn *const write_kind[] = {
	[FIELD_STR] = write_str,
	[FIELD_BYTES] = write_bytes,
	[FIELD_INT] = write_int,
	[FIELD_BOOL] = write_bool,
	[FIELD_REAL] = write_real,
	[FIELD_ENUM] = write_enum,
	[FIELD_RAW] = write_raw,
	[FIELD_OBJECT] = write_object,
	[FIELD_REF] = write_ref,
	[FIELD_LIST] = write_list,
	[FIELD_STRS] = write_strs,
	[FIELD_TABLE] = write_table,
	[FIELD_PARSE] = write_parse,
};

/* Is there something to write?  A list that is required, or empty bytes that are, count as there. */
static bool
is_set(const struct field *row, const void *base)
{
	const void *at = (const char *)base + row->offset;
	bool required = row->flags & REQUIRED;

	if (row->flags & PRESENT)
		return *(const bool *)((const char *)base + row->offset2);
	switch (row->kind) {
	case FIELD_STR:
	case FIELD_RAW:
		return *(char *const *)at != NULL;
	case FIELD_REF:
		return pointer_get(at) != NULL;
	case FIELD_BYTES:
		return required || ((const struct bytes *)at)->data != NULL;
	case FIELD_LIST:
	case FIELD_STRS:
	case FIELD_TABLE:
		return required || list_get(at).n > 0;
	default:
		return true;
	}
}

static bool
is_read_only(const struct field *row)
{
	return row->kind == FIELD_KEY || (row->kind == FIELD_PARSE && !row->print);
}

static enum err_code
write_present(struct writer *w, const struct field *row, const void *base)
{
	if (is_set(row, base))
		return write_kind[row->kind](w, row, (const char *)base + row->offset);
	if (row->flags & REQUIRED)
		return err_set(w->err, ERR_INTERNAL, "not set");
	buf_puts(&w->out, "null");
	return ERR_OK;
}

static void
write_name(struct writer *w, const char *name)
{
	size_t len = strlen(name);
	char *to;

	comma(w);
	to = (char *)buf_reserve(&w->out, len + 3);
	if (!to)
		return;
	to[0] = '"';
	memcpy(to + 1, name, len);
	memcpy(to + 1 + len, "\":", 2);
	buf_commit(&w->out, len + 3);
}

static enum err_code
write_member(struct writer *w, const struct field *row, const void *base)
{
	if (!is_set(row, base) && !(row->flags & (REQUIRED | NULLS)))
		return ERR_OK;
	write_name(w, row->name);
	if (write_present(w, row, base))
		return err_wrap(w->err, "could not write member \"%s\"", row->name);
	return ERR_OK;
}

/* Was the tag of this SELECT written? */
static bool
tag_is_set(const struct fields *table, const struct field *select, const void *base)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].kind == FIELD_ENUM && table->rows[i].offset == select->offset2)
			return is_set(&table->rows[i], base);
	return true;
}

static enum err_code
write_select(
    struct writer *w, const struct fields *table, const struct field *row, const void *base)
{
	int tag = *(const int *)((const char *)base + row->offset2);

	if (tag < 0 || (size_t)tag >= row->n_select || !row->select[tag] ||
	    !tag_is_set(table, row, base))
		return ERR_OK;
	if (!row->name)
		return write_rows(w, row->select[tag](), base);
	write_name(w, row->name);
	return write_value(w, row->select[tag](), base);
}

static enum err_code
write_rows(struct writer *w, const struct fields *table, const void *base)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct field *row = &table->rows[i];
		enum err_code code = ERR_OK;

		if (row->kind == FIELD_SELECT)
			code = write_select(w, table, row, base);
		else if (row->kind == FIELD_TABLE && !row->name)
			code = write_pairs(w, row, (const char *)base + row->offset);
		else if (!is_read_only(row))
			code = write_member(w, row, base);
		if (code)
			return code;
	}
	return ERR_OK;
}

static enum err_code
write_value(struct writer *w, const struct fields *table, const void *base)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (table->rows[i].flags & VALUE)
			return write_present(w, &table->rows[i], base);
	buf_add(&w->out, "{", 1);
	if (write_rows(w, table, base))
		return w->err->code;
	buf_add(&w->out, "}", 1);
	return ERR_OK;
}

enum err_code
fields_write_text(fields_fn *table, const void *in, char **ret, struct err *err)
{
	AUTO(buf_done) struct buf out = { 0 };
	struct writer w = { .out = { .max = WRITE_MAX }, .err = err };
	enum err_code code = write_value(&w, table(), in);

	out = w.out;
	return code ? code : buf_take_string(&out, ret, err);
}

enum err_code
fields_write(fields_fn *table, const void *in, struct json_t **ret, struct err *err)
{
	AUTO(str_freep) char *text = NULL;

	if (fields_write_text(table, in, &text, err))
		return err->code;
	return json_read(text_of(text), ret, err);
}
