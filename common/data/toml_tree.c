#include "data/toml.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void
toml_freep(struct toml **t)
{
	struct toml *node = *t;

	*t = NULL;
	if (!node)
		return;
	switch (node->kind) {
	case TOML_TABLE:
	case TOML_ARRAY:
		for (size_t i = 0; i < node->items.n; i++)
			toml_freep(&node->items.at[i]);
		free(node->items.at);
		break;
	case TOML_INTEGER:
	case TOML_FLOAT:
	case TOML_BOOL:
		break;
	default:
		mem_wipe(node->string.data, node->string.len);
		free(node->string.data);
		break;
	}
	free(node->key);
	free(node);
}

static size_t
index_of(const struct toml *table, const char *key, size_t len)
{
	for (size_t i = 0; i < table->items.n; i++)
		if (table->items.at[i]->key_len == len &&
		    memcmp(table->items.at[i]->key, key, len) == 0)
			return i;
	return table->items.n;
}

static struct toml *
member(const struct toml *table, const char *key, size_t len)
{
	size_t i;

	if (table->kind != TOML_TABLE)
		return NULL;
	i = index_of(table, key, len);
	return i < table->items.n ? table->items.at[i] : NULL;
}

const struct toml *
toml_get(const struct toml *table, const char *key)
{
	return member(table, key, strlen(key));
}

/* The element that "[N]" at *path names; NULL when there is none.  Moves *path behind it. */
static const struct toml *
step_index(const struct toml *at, const char **path)
{
	char *end;
	size_t i = strtoul(*path + 1, &end, 10);

	if (*end != ']' || at->kind != TOML_ARRAY || i >= at->items.n)
		return NULL;
	*path = end + 1;
	return at->items.at[i];
}

/* The same for a member's name, which may stand in quotes. */
static const struct toml *
step_name(const struct toml *at, const char **path)
{
	const char *name = *path;
	size_t len = strcspn(name, ".[");

	if (*name == '"') {
		len = strcspn(++name, "\"");
		*path = name[len] ? name + len + 1 : name + len;
	} else
		*path = name + len;
	return member(at, name, len);
}

const struct toml *
toml_find(const struct toml *root, const char *path)
{
	const struct toml *at = root;

	while (*path) {
		const struct toml *next;

		if (*path == '.')
			path++;
		next = *path == '[' ? step_index(at, &path) : step_name(at, &path);
		if (!next)
			break;
		at = next;
	}
	return at;
}

/* --- merge */

/* Hand the elements of from over to the end of into. */
static enum err_code
concatenate(struct toml *into, struct toml *from, struct err *err)
{
	size_t n = into->items.n + from->items.n;
	struct toml **at;

	if (from->items.n == 0)
		return ERR_OK;
	at = reallocarray(into->items.at, n, sizeof(struct toml *));
	if (!at)
		return err_nomem(err);
	memcpy(at + into->items.n, from->items.at, from->items.n * sizeof(struct toml *));
	into->items.at = at;
	into->items.n = n;
	from->items.n = 0;
	return ERR_OK;
}

static enum err_code
merge_members(struct toml *into, struct toml *from, struct err *err)
{
	size_t known = into->items.n;
	struct toml **at =
	    reallocarray(into->items.at, known + from->items.n + 1, sizeof(struct toml *));

	if (!at)
		return err_nomem(err);
	into->items.at = at;
	for (size_t i = 0; i < from->items.n; i++) {
		struct toml **new = &from->items.at[i], *old;
		size_t where = index_of(into, (*new)->key, (*new)->key_len);

		if (where == into->items.n) {
			at[into->items.n++] = *new;
			*new = NULL;
			continue;
		}
		old = at[where];
		if (old->kind == (*new)->kind &&
		    (old->kind == TOML_TABLE || old->kind == TOML_ARRAY)) {
			if (toml_merge(old, new, err))
				return err->code;
		} else {
			at[where] = *new;
			*new = old;
		}
	}
	return ERR_OK;
}

enum err_code
toml_merge(struct toml *into, struct toml **from, struct err *err)
{
	AUTO(toml_freep) struct toml *taken = *from;

	*from = NULL;
	if (into->kind == TOML_TABLE && taken->kind == TOML_TABLE)
		return merge_members(into, taken, err);
	if (into->kind == TOML_ARRAY && taken->kind == TOML_ARRAY)
		return concatenate(into, taken, err);
	return err_set(err, ERR_INTERNAL, "merge of two kinds");
}

/* --- as JSON */

static enum err_code
refused(const struct toml *t, const char *what, struct err *err)
{
	return err_set(err, ERR_SYNTAX, "%s:%u:%u: %s", t->file, t->line, t->column, what);
}

static int
by_key(const void *a, const void *b)
{
	const struct toml *x = *(const struct toml *const *)a, *y = *(const struct toml *const *)b;

	/* keys hold no NUL here, so they end where the shorter one does */
	return strcmp(x->key, y->key);
}

static enum err_code
table_to_json(const struct toml *t, json_t **ret, struct err *err)
{
	AUTO(json_freep) json_t *object = json_object();
	struct toml **sorted = malloc((t->items.n + 1) * sizeof(struct toml *));
	enum err_code code = ERR_OK;

	if (!object || !sorted) {
		free(sorted);
		return err_nomem(err);
	}
	if (t->items.n)
		memcpy(sorted, t->items.at, t->items.n * sizeof(struct toml *));
	for (size_t i = 0; !code && i < t->items.n; i++)
		if (memchr(sorted[i]->key, '\0', sorted[i]->key_len))
			code = refused(sorted[i], "NUL in a key", err);
	qsort(sorted, t->items.n, sizeof(struct toml *), by_key);
	for (size_t i = 0; !code && i < t->items.n; i++) {
		json_t *value = NULL;

		code = toml_to_json(sorted[i], &value, err);
		if (!code && json_object_set_new_nocheck(object, sorted[i]->key, value))
			code = err_nomem(err);
	}
	free(sorted);
	if (code)
		return code;
	*ret = object;
	object = NULL;
	return ERR_OK;
}

static enum err_code
array_to_json(const struct toml *t, json_t **ret, struct err *err)
{
	AUTO(json_freep) json_t *array = json_array();

	if (!array)
		return err_nomem(err);
	for (size_t i = 0; i < t->items.n; i++) {
		json_t *value = NULL;

		if (toml_to_json(t->items.at[i], &value, err))
			return err->code;
		if (json_array_append_new(array, value))
			return err_nomem(err);
	}
	*ret = array;
	array = NULL;
	return ERR_OK;
}

enum err_code
toml_to_json(const struct toml *t, struct json_t **ret, struct err *err)
{
	json_t *value;

	switch (t->kind) {
	case TOML_TABLE:
		return table_to_json(t, ret, err);
	case TOML_ARRAY:
		return array_to_json(t, ret, err);
	case TOML_INTEGER:
		value = json_integer(t->integer);
		break;
	case TOML_FLOAT:
		if (!isfinite(t->real))
			return refused(t, "not a finite number", err);
		value = json_real(t->real);
		break;
	case TOML_BOOL:
		value = json_boolean(t->boolean);
		break;
	default:
		if (memchr(t->string.data, '\0', t->string.len))
			return refused(t, "NUL in a string", err);
		value = json_stringn_nocheck(t->string.data, t->string.len);
		break;
	}
	if (!value)
		return err_nomem(err);
	*ret = value;
	return ERR_OK;
}
