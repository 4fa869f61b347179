#include "data/json.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void
wiping_free(void *data)
{
	if (data)
		mem_wipe(data, malloc_usable_size(data));
	free(data);
}

void
json_wipe_memory(void)
{
	size_t seed = 0;

	json_set_alloc_funcs(malloc, wiping_free);
	/* Seeded now: jansson would open /dev/urandom at its first object, behind the sandbox. */
	if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		json_object_seed(seed);
}

/* Where the string that begins at in.data[at] ends: the offset of its closing quote, or in.len. */
static size_t
string_end(struct text in, size_t at)
{
	const char *from = in.data + at + 1;
	const char *quote = memchr(from, '"', in.len - at - 1);

	/* mostly nothing is escaped: found at the speed of memchr */
	if (quote && !memchr(from, '\\', (size_t)(quote - from)))
		return (size_t)(quote - in.data);
	for (at++; at < in.len && in.data[at] != '"'; at++)
		if (in.data[at] == '\\')
			at++;
	return at < in.len ? at : in.len;
}

static enum err_code
over_bound(struct text in, size_t at, const char *what, int bound, struct err *err)
{
	size_t line = 1, column = 1;

	for (size_t i = 0; i < at; i++) {
		column = in.data[i] == '\n' ? 1 : column + 1;
		line += in.data[i] == '\n';
	}
	return err_set(
	    err, ERR_SYNTAX, "line %zu column %zu: more than %d %s", line, column, bound, what);
}

/* What jansson does not bound: levels, and values, whose memory is a hundred times their text. */
static enum err_code
check_bounds(struct text in, struct err *err)
{
	size_t depth = 0, values = 1;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.data[i];

		if (c == '"')
			i = string_end(in, i);
		else if (c == '{' || c == '[') {
			values++;
			if (++depth > JSON_DEPTH_MAX)
				return over_bound(in, i, "levels", JSON_DEPTH_MAX, err);
		} else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		else if (c == ',')
			values++;
		if (values > JSON_VALUES_MAX)
			return over_bound(in, i, "values", JSON_VALUES_MAX, err);
	}
	return ERR_OK;
}

/* jansson's own texts quote the document, which may hold secrets; these do not. */
static const char *
reason_of(enum json_error_code code)
{
	switch (code) {
	case json_error_premature_end_of_input:
		return "unexpected end";
	case json_error_end_of_input_expected:
		return "something stands behind the document";
	case json_error_invalid_utf8:
		return "invalid UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "NUL character";
	case json_error_duplicate_key:
		return "repeated member";
	case json_error_numeric_overflow:
		return "number out of range";
	default:
		return "invalid JSON";
	}
}

enum err_code
json_read(struct text in, struct json_t **ret, struct err *err)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
	json_error_t why;
	json_t *json;

	if (check_bounds(in, err))
		return err->code;
	json = json_loadb(in.data ? in.data : "", in.len, flags, &why);
	if (!json && json_error_code(&why) == json_error_out_of_memory)
		return err_nomem(err);
	if (!json)
		return err_set(err, ERR_SYNTAX, "line %d column %d: %s", why.line, why.column,
		    reason_of(json_error_code(&why)));
	*ret = json;
	return ERR_OK;
}

static int
digits_of_real(double real)
{
	char text[64];

	for (int digits = 15; digits < 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, real);
		if (strtod(text, NULL) == real)
			return digits;
	}
	return 17;
}

/* The fewest digits that give every number of the tree back: 17 would turn 0.1 into 0.10000000000000001. */
static int
digits_of(const json_t *json)
{
	int most = 15, digits;
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_real(json))
		return digits_of_real(json_real_value(json));
	json_array_foreach(json, i, value)
	{
		digits = digits_of(value);
		most = digits > most ? digits : most;
	}
	json_object_foreach((json_t *)json, key, value)
	{
		digits = digits_of(value);
		most = digits > most ? digits : most;
	}
	return most;
}

enum err_code
json_write(const struct json_t *json, char **ret, struct err *err)
{
	const size_t digits = (size_t)digits_of(json);
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));

	/* What json_read made can always be written, so only memory can fail. */
	if (!text)
		return err_nomem(err);
	*ret = text;
	return ERR_OK;
}

void
json_freep(struct json_t **json)
{
	json_decref(*json);
	*json = NULL;
}
