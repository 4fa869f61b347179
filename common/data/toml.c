#include "data/toml.h"

#include <stdlib.h>
#include <string.h>

#include "data/toml_scan.h"
#include "data/uri.h"

#define LEVELS_MAX 64

/* How a table or array came to be; decides who may add to it later (TOML 1.0.0, Table and Inline Table). */
enum {
	MADE_BY_PATH = 1, /* [a.b] made a */
	MADE_BY_HEADER,	  /* [a] */
	MADE_BY_DOTS,	  /* a.b = 1 made a */
	MADE_INLINE,	  /* { } and [ ]: closed */
	MADE_OF_TABLES,	  /* [[a]] */
};

/* A table that statements go to, and how deep it lies. */
struct spot {
	struct toml *table;
	unsigned level;
};

struct key {
	char *name;
	size_t len;
	unsigned line, column;
};

static enum err_code parse_value(struct scan *s, struct toml *node, unsigned level) MUST_CHECK;

static void
key_done(struct key *k)
{
	str_freep(&k->name);
}

static enum err_code
append(struct scan *s, struct toml *parent, struct toml *child)
{
	size_t n = parent->items.n;
	struct toml **at;

	/* full at each power of two */
	if ((n & (n - 1)) == 0) {
		at = reallocarray(parent->items.at, n ? 2 * n : 1, sizeof(struct toml *));
		if (!at)
			return err_nomem(s->err);
		parent->items.at = at;
	}
	parent->items.at[n] = child;
	parent->items.n++;
	return ERR_OK;
}

static struct toml *
find_key(const struct toml *table, const struct key *key)
{
	for (size_t i = 0; i < table->items.n; i++) {
		struct toml *t = table->items.at[i];

		if (t->key_len == key->len && memcmp(t->key, key->name, key->len) == 0)
			return t;
	}
	return NULL;
}

/* A new node at the end of parent; it takes the key's name, or has none in an array. */
static enum err_code
add_node(struct scan *s, struct toml *parent, struct key *key, unsigned level, struct toml **ret)
{
	AUTO(toml_freep) struct toml *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(s->err);
	t->file = s->file;
	t->line = key ? key->line : s->line;
	t->column = key ? key->column : s->column;
	/* a kind that owns nothing, until it is known */
	t->kind = TOML_BOOL;
	if (level > LEVELS_MAX)
		return scan_fail_at(
		    s, t->line, t->column, "nested deeper than %d levels", LEVELS_MAX);
	if (key && parent->items.n >= TOML_MEMBERS_MAX)
		return scan_fail_at(
		    s, t->line, t->column, "more than %d members", TOML_MEMBERS_MAX);
	if (append(s, parent, t))
		return s->err->code;
	if (key) {
		t->key = key->name;
		t->key_len = key->len;
		key->name = NULL;
	}
	*ret = t;
	t = NULL;
	return ERR_OK;
}

static enum err_code
add_table(struct scan *s, struct spot *spot, struct key *key, unsigned made)
{
	struct toml *t;

	if (add_node(s, spot->table, key, spot->level + 1, &t))
		return s->err->code;
	t->kind = TOML_TABLE;
	t->state = made;
	spot->table = t;
	spot->level++;
	return ERR_OK;
}

static enum err_code
defined_already(struct scan *s, const struct key *key, const struct toml *there)
{
	return scan_fail_at(s, key->line, key->column, "\"%s\" is defined already, in line %u",
	    key->name, there->line);
}

static enum err_code
parse_key(struct scan *s, struct key *ret)
{
	struct key key = { .line = s->line, .column = s->column };

	if (scan_key(s, &key.name, &key.len))
		return s->err->code;
	*ret = key;
	return ERR_OK;
}

/* Is a dot next, perhaps between blanks? */
static bool
take_dot(struct scan *s)
{
	scan_blank(s);
	if (!scan_take(s, '.'))
		return false;
	scan_blank(s);
	return true;
}

/* --- key = value */

/* Step into key, a part of a dotted key before its last. */
static enum err_code
enter_dotted(struct scan *s, struct spot *spot, struct key *key)
{
	struct toml *there = find_key(spot->table, key);

	if (!there)
		return add_table(s, spot, key, MADE_BY_DOTS);
	if (there->kind != TOML_TABLE ||
	    (there->state != MADE_BY_DOTS && there->state != MADE_BY_PATH))
		return defined_already(s, key, there);
	there->state = MADE_BY_DOTS;
	spot->table = there;
	spot->level++;
	return ERR_OK;
}

static enum err_code
parse_pair(struct scan *s, struct spot spot)
{
	struct toml *there, *node;

	for (;;) {
		AUTO(key_done) struct key key = { 0 };

		if (parse_key(s, &key))
			return s->err->code;
		if (take_dot(s)) {
			if (enter_dotted(s, &spot, &key))
				return s->err->code;
			continue;
		}
		if (!scan_take(s, '='))
			return scan_fail(s, "expected '='");
		scan_blank(s);
		there = find_key(spot.table, &key);
		if (there)
			return defined_already(s, &key, there);
		if (add_node(s, spot.table, &key, spot.level + 1, &node))
			return s->err->code;
		return parse_value(s, node, spot.level + 1);
	}
}

/* --- values */

static enum err_code
parse_array(struct scan *s, struct toml *array, unsigned level)
{
	struct toml *node;

	array->kind = TOML_ARRAY;
	array->state = MADE_INLINE;
	scan_step(s, 1);
	for (;;) {
		if (scan_lines(s))
			return s->err->code;
		if (scan_take(s, ']'))
			return ERR_OK;
		if (add_node(s, array, NULL, level + 1, &node) || parse_value(s, node, level + 1) ||
		    scan_lines(s))
			return s->err->code;
		if (!scan_take(s, ',') && scan_look(s, 0) != ']')
			return scan_fail(s, "expected ',' or ']'");
	}
}

static enum err_code
parse_inline(struct scan *s, struct toml *table, unsigned level)
{
	table->kind = TOML_TABLE;
	table->state = MADE_INLINE;
	scan_step(s, 1);
	scan_blank(s);
	if (scan_take(s, '}'))
		return ERR_OK;
	for (;;) {
		if (parse_pair(s, (struct spot){ table, level }))
			return s->err->code;
		scan_blank(s);
		if (scan_take(s, '}'))
			return ERR_OK;
		if (!scan_take(s, ','))
			return scan_fail(s, "expected ',' or '}' in the same line");
		scan_blank(s);
	}
}

static enum err_code
parse_value(struct scan *s, struct toml *node, unsigned level)
{
	switch (scan_look(s, 0)) {
	case '[':
		return parse_array(s, node, level);
	case '{':
		return parse_inline(s, node, level);
	default:
		return scan_scalar(s, node);
	}
}

/* --- [table] and [[array of tables]] */

/* Step into key, a part of a header before its last. */
static enum err_code
enter_path(struct scan *s, struct spot *spot, struct key *key)
{
	struct toml *there = find_key(spot->table, key);

	if (!there)
		return add_table(s, spot, key, MADE_BY_PATH);
	if (there->kind == TOML_ARRAY && there->state == MADE_OF_TABLES) {
		spot->table = there->items.at[there->items.n - 1];
		spot->level += 2;
		return ERR_OK;
	}
	if (there->kind != TOML_TABLE || there->state == MADE_INLINE)
		return defined_already(s, key, there);
	spot->table = there;
	spot->level++;
	return ERR_OK;
}

static enum err_code
open_table(struct scan *s, struct spot *spot, struct key *key)
{
	struct toml *there = find_key(spot->table, key);

	if (!there)
		return add_table(s, spot, key, MADE_BY_HEADER);
	if (there->kind != TOML_TABLE || there->state != MADE_BY_PATH)
		return defined_already(s, key, there);
	there->state = MADE_BY_HEADER;
	there->line = key->line;
	there->column = key->column;
	spot->table = there;
	spot->level++;
	return ERR_OK;
}

static enum err_code
open_element(struct scan *s, struct spot *spot, struct key *key)
{
	struct toml *array = find_key(spot->table, key);
	struct toml *element;

	if (!array) {
		if (add_node(s, spot->table, key, spot->level + 1, &array))
			return s->err->code;
		array->kind = TOML_ARRAY;
		array->state = MADE_OF_TABLES;
	} else if (array->kind != TOML_ARRAY || array->state != MADE_OF_TABLES)
		return defined_already(s, key, array);
	if (add_node(s, array, NULL, spot->level + 2, &element))
		return s->err->code;
	element->kind = TOML_TABLE;
	element->state = MADE_BY_HEADER;
	element->line = key->line;
	element->column = key->column;
	spot->table = element;
	spot->level += 2;
	return ERR_OK;
}

static enum err_code
parse_header(struct scan *s, struct toml *root, struct spot *ret)
{
	struct spot spot = { root, 0 };
	bool element;

	scan_step(s, 1);
	element = scan_take(s, '[');
	scan_blank(s);
	for (;;) {
		AUTO(key_done) struct key key = { 0 };

		if (parse_key(s, &key))
			return s->err->code;
		if (take_dot(s)) {
			if (enter_path(s, &spot, &key))
				return s->err->code;
			continue;
		}
		if (!scan_take(s, ']') || (element && !scan_take(s, ']')))
			return scan_fail(s, element ? "expected ']]'" : "expected ']'");
		if (element ? open_element(s, &spot, &key) : open_table(s, &spot, &key))
			return s->err->code;
		*ret = spot;
		return ERR_OK;
	}
}

/* --- the document */

static enum err_code
parse_document(struct scan *s, struct toml *root)
{
	struct spot spot = { root, 0 };

	for (;;) {
		if (scan_lines(s))
			return s->err->code;
		if (scan_look(s, 0) < 0)
			return ERR_OK;
		if (scan_look(s, 0) == '[' ? parse_header(s, root, &spot) : parse_pair(s, spot))
			return s->err->code;
		if (scan_line_end(s))
			return s->err->code;
	}
}

/* Where the text stops being UTF-8, as a place to report. */
static enum err_code
check_utf8(struct scan *s)
{
	struct scan place = *s;
	size_t good = uri_utf8_prefix((struct text){ s->at, (size_t)(s->end - s->at) });

	scan_step(&place, good);
	return place.at == place.end ? ERR_OK : scan_fail(&place, "invalid UTF-8");
}

enum err_code
toml_parse(const char *file, struct text in, struct toml **ret, struct err *err)
{
	AUTO(toml_freep) struct toml *root = NULL;
	const char *text = in.data ? in.data : "";
	struct scan s = { file, text, text + in.len, 1, 1, err };

	if (in.len > TOML_TEXT_MAX)
		return err_set(
		    err, ERR_SYNTAX, "%s:1:1: longer than %d bytes", file, TOML_TEXT_MAX);
	root = calloc(1, sizeof(*root));
	if (!root)
		return err_nomem(err);
	root->kind = TOML_TABLE;
	root->file = file;
	root->line = root->column = 1;
	root->state = MADE_BY_HEADER;
	/* a byte order mark is no character of the document */
	if (in.len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		s.at += 3;
	if (check_utf8(&s) || parse_document(&s, root))
		return err->code;
	*ret = root;
	root = NULL;
	return ERR_OK;
}
