#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "data/toml.h"

static void
check_place(const struct err *err)
{
	unsigned line = 0, column = 0;

	HOLDS(err->code == ERR_SYNTAX);
	HOLDS(sscanf(err->text, "f:%u:%u: ", &line, &column) == 2 && line && column);
}

/* A document over itself: tables stay, arrays double. */
static void
merge(struct toml *into, struct text in)
{
	struct toml *from = NULL;
	size_t n = into->items.n;
	struct err err = { 0 };

	HOLDS(toml_parse("g", in, &from, &err) == ERR_OK);
	HOLDS(toml_merge(into, &from, &err) == ERR_OK);
	HOLDS(!from && into->items.n == n);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(toml_freep) struct toml *t = NULL;
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(str_freep) char *path = NULL;
	struct text in = { (const char *)data, len };
	struct err err = { 0 };

	if (toml_parse("f", in, &t, &err)) {
		HOLDS(!t);
		check_place(&err);
		return 0;
	}
	path = strndup(in.data, in.len);
	HOLDS(path && toml_find(t, path) != NULL);
	if (toml_to_json(t, &json, &err))
		check_place(&err);
	merge(t, in);
	return 0;
}
