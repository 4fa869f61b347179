#include <endian.h>
#include <string.h>

#include "base/b64.h"
#include "data/fields.h"

/* More members in one object are not plain. */
#define MEMBERS_MAX 8

/* One member as it stands in the text; a string without its quotes. */
struct member {
	struct text name, value;
	struct object *object; /* the value is this one */
	bool taken;
};

struct object {
	struct member at[MEMBERS_MAX];
	size_t n;
};

/* One document, and where what was read of it goes. */
struct plain {
	const char *p, *end;
	struct object top, inner;
	bool has_inner;
	char *room;
};

/* --- text to members: whatever is not understood at first sight declines */

static void
skip_blanks(struct plain *d)
{
	while (d->p < d->end && (*d->p == ' ' || *d->p == '\n' || *d->p == '\r' || *d->p == '\t'))
		d->p++;
}

static bool
take_mark(struct plain *d, char mark)
{
	skip_blanks(d);
	if (d->p == d->end || *d->p != mark)
		return false;
	d->p++;
	return true;
}

/* Does it stand for itself in a string, and is it ASCII? */
static bool
is_plain(char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* How many of eight characters come before the first that is not plain: each sets the highest bit of its byte, the first exactly. */
static size_t
plain_of_eight(const char *eight)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t w, odd;

	memcpy(&w, eight, sizeof(w));
	w = le64toh(w);
	odd = (w | (w + ones) | (w - ones * 0x20) | ((w ^ ones * '"') - ones) |
		  ((w ^ ones * '\\') - ones)) &
	      ones * 0x80;
	return odd ? (size_t)__builtin_ctzll(odd) / 8 : 8;
}

static const char *
plain_end(const char *p, const char *end)
{
	while (end - p >= 8) {
		size_t n = plain_of_eight(p);

		p += n;
		if (n < 8)
			return p;
	}
	while (p < end && is_plain(*p))
		p++;
	return p;
}

/* What stands between its quotes is its value. */
static bool
take_string(struct plain *d, struct text *ret)
{
	const char *from;

	if (!take_mark(d, '"'))
		return false;
	from = d->p;
	d->p = plain_end(from, d->end);
	*ret = (struct text){ from, (size_t)(d->p - from) };
	return d->p < d->end && *d->p++ == '"';
}

static bool take_members(struct plain *d, struct object *ret);

/* A string, or the one object in the outer object. */
static bool
take_value(struct plain *d, const struct object *in, struct member *ret)
{
	skip_blanks(d);
	if (d->p == d->end || *d->p != '{')
		return take_string(d, &ret->value);
	if (in == &d->inner || d->has_inner)
		return false;
	d->has_inner = true;
	ret->object = &d->inner;
	return take_members(d, &d->inner);
}

static bool
take_members(struct plain *d, struct object *ret)
{
	if (!take_mark(d, '{'))
		return false;
	if (take_mark(d, '}'))
		return true;
	do {
		struct member *m = &ret->at[ret->n];

		if (ret->n++ == MEMBERS_MAX)
			return false;
		*m = (struct member){ 0 };
		if (!take_string(d, &m->name) || !take_mark(d, ':') || !take_value(d, ret, m))
			return false;
	} while (take_mark(d, ','));
	return take_mark(d, '}');
}

/* --- members to the struct */

/* The first of that name: a second one is never taken, and declines in the end. */
static struct member *
find_member(struct object *in, const char *name)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct text *at = &in->at[i].name;

		/* cheap to ask, and mostly the answer */
		if (at->len && at->data[0] == name[0] && text_equal(*at, name))
			return &in->at[i];
	}
	return NULL;
}

/* Once only, so that room suffices. */
static bool
take_member(struct member *m)
{
	bool first = !m->taken;

	m->taken = true;
	return first;
}

static bool
read_str(struct plain *d, const struct field *row, struct text value, void *at)
{
	if (value.len == 0 && (row->flags & NONEMPTY))
		return false;
	*(char **)at = d->room;
	memcpy(d->room, value.data, value.len);
	d->room[value.len] = '\0';
	d->room += value.len + 1;
	return true;
}

static bool
read_bytes(struct plain *d, struct text value, struct bytes *ret)
{
	struct bytes bytes = { (uint8_t *)d->room, 0 };

	if (!b64_decode_to(B64_STD, value, bytes.data, &bytes.len))
		return false;
	bytes.data[bytes.len] = 0;
	d->room += bytes.len + 1;
	*ret = bytes;
	return true;
}

static bool
read_enum(const struct field *row, struct text value, int *ret)
{
	for (int i = 0; row->names[i]; i++)
		if (text_equal(value, row->names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

static bool
read_member(struct plain *d, const struct field *row, struct object *in, void *base)
{
	struct member *m = row->name ? find_member(in, row->name) : NULL;
	void *at = (char *)base + row->offset;
	bool done = false;

	if (!m)
		return row->name && !(row->flags & (REQUIRED | VALUE));
	if (m->object || (row->flags & VALUE) || !take_member(m))
		return false;
	if (row->kind == FIELD_STR)
		done = read_str(d, row, m->value, at);
	else if (row->kind == FIELD_BYTES)
		done = read_bytes(d, m->value, at);
	else if (row->kind == FIELD_ENUM)
		done = read_enum(row, m->value, at);
	if (done && (row->flags & PRESENT))
		*(bool *)((char *)base + row->offset2) = true;
	return done;
}

static bool
read_arm(struct plain *d, const struct fields *arm, struct object *in, void *base)
{
	for (size_t i = 0; i < arm->n_rows; i++)
		if (arm->rows[i].kind == FIELD_SELECT || !read_member(d, &arm->rows[i], in, base))
			return false;
	return true;
}

/* The object that goes by a tag, which must have been read by a row before. */
static bool
read_select(struct plain *d, const struct fields *table, const struct field *row, void *base)
{
	int tag = *(const int *)((const char *)base + row->offset2);
	const struct field *by = table->rows;
	struct member *m;

	while (by < row && (by->kind != FIELD_ENUM || by->offset != row->offset2))
		by++;
	if (by == row || !by->name || !find_member(&d->top, by->name) || !row->name)
		return false;
	/* what no arm reads must not be there */
	if ((size_t)tag >= row->n_select || !row->select[tag])
		return true;
	m = find_member(&d->top, row->name);
	return m && m->object && take_member(m) && read_arm(d, row->select[tag](), m->object, base);
}

static bool
read_rows(struct plain *d, const struct fields *table, void *base)
{
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct field *row = &table->rows[i];

		if (row->kind == FIELD_SELECT ? !read_select(d, table, row, base)
					      : !read_member(d, row, &d->top, base))
			return false;
	}
	return true;
}

static bool
all_taken(const struct object *in)
{
	for (size_t i = 0; i < in->n; i++)
		if (!in->at[i].taken)
			return false;
	return true;
}

bool
fields_read_plain(fields_fn *table, void *ret, struct text in, char *room)
{
	struct plain d;

	d.p = in.data;
	d.end = in.data + in.len;
	d.top.n = d.inner.n = 0;
	d.has_inner = false;
	d.room = room;
	if (!take_members(&d, &d.top))
		return false;
	skip_blanks(&d);
	if (d.p == d.end && read_rows(&d, table(), ret) && all_taken(&d.top) && all_taken(&d.inner))
		return true;
	memset(ret, 0, table()->size);
	return false;
}
