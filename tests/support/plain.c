#include "tests/support/plain.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STRUCT_MAX 1024

static bool same_rows(const struct fields *table, const char *a, const char *b);

static bool
same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
same_bytes(const struct bytes *a, const struct bytes *b)
{
	return bytes_equal(a, b) && !a->data == !b->data && (!a->data || a->data[a->len] == 0);
}

static bool
same_arms(const struct field *row, const char *a, const char *b)
{
	for (size_t i = 0; i < row->n_select; i++)
		if (row->select[i] && !same_rows(row->select[i](), a, b))
			return false;
	return true;
}

static bool
same_row(const struct field *row, const char *a, const char *b)
{
	const void *at = a + row->offset, *bt = b + row->offset;

	if ((row->flags & PRESENT) && a[row->offset2] != b[row->offset2])
		return false;
	switch (row->kind) {
	case FIELD_STR:
		return same_string(*(char *const *)at, *(char *const *)bt);
	case FIELD_BYTES:
		return same_bytes(at, bt);
	case FIELD_ENUM:
		return *(const int *)at == *(const int *)bt;
	case FIELD_SELECT:
		return same_arms(row, a, b);
	default:
		return true;
	}
}

static bool
same_rows(const struct fields *table, const char *a, const char *b)
{
	for (size_t i = 0; i < table->n_rows; i++)
		if (!same_row(&table->rows[i], a, b))
			return false;
	return true;
}

static bool
is_zero(const void *value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const char *)value)[i])
			return false;
	return true;
}

/* The memory is of exactly the promised size, so that a sanitizer sees every byte too many. */
enum plain
plain_compare(fields_fn *table, struct text in)
{
	static max_align_t quick[STRUCT_MAX / sizeof(max_align_t)], general[ARRAY_LEN(quick)];
	const size_t size = table()->size;
	struct err err = { 0 };
	char *text, *room;
	enum plain result;

	if (size > sizeof(quick))
		return PLAIN_WRONG;
	text = malloc(in.len ? in.len : 1);
	room = malloc(in.len ? in.len : 1);
	if (!text || !room)
		abort();
	memcpy(text, in.data, in.len);
	memset(quick, 0, size);
	memset(general, 0, size);
	if (!fields_read_plain(table, quick, (struct text){ text, in.len }, room)) {
		result = is_zero(quick, sizeof(quick)) ? PLAIN_DECLINED : PLAIN_WRONG;
	} else if (fields_read_text(table, general, in, &err)) {
		result = PLAIN_WRONG;
	} else {
		result = same_rows(table(), (char *)quick, (char *)general) &&
				 memcmp(text, in.data, in.len) == 0
			     ? PLAIN_TAKEN
			     : PLAIN_WRONG;
		fields_done(table, general);
	}
	memset(quick, 0, size);
	free(text);
	free(room);
	return result;
}
