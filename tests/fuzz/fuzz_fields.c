#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "tests/support/message.h"
#include "tests/support/plain.h"
#include "wire/keyd.h"

/* Text that we wrote is read again as the same text. */
static void
json_round_trip(const struct json_t *json)
{
	AUTO(json_freep) struct json_t *again = NULL;
	AUTO(str_freep) char *first = NULL;
	AUTO(str_freep) char *second = NULL;
	struct err err = { 0 };

	HOLDS(json_write(json, &first, &err) == ERR_OK);
	HOLDS(json_read(text_of(first), &again, &err) == ERR_OK);
	HOLDS(json_write(again, &second, &err) == ERR_OK);
	HOLDS(strcmp(first, second) == 0);
}

static void
ignore(void *ctx, const char *path)
{
	(void)ctx;
	HOLDS(path[0] != '\0');
}

/* What is read can be written unless an OBJECT that was absent needs members; what was written is read as the same. */
static void
fields_round_trip(fields_fn *table, const struct json_t *json)
{
	static max_align_t first[64], second[64];
	AUTO(str_freep) char *once = NULL;
	AUTO(str_freep) char *twice = NULL;
	struct err err = { 0 };

	HOLDS(table()->size <= sizeof(first));
	memset(first, 0, sizeof(first));
	memset(second, 0, sizeof(second));
	fields_unknown(table, json, ignore, NULL);
	if (fields_read(table, first, json, &err)) {
		HOLDS(err.code == ERR_SYNTAX && err.text[0]);
		HOLDS(memcmp(first, second, sizeof(first)) == 0);
		return;
	}
	if (fields_write_text(table, first, &once, &err) == ERR_OK) {
		HOLDS(fields_read_text(table, second, text_of(once), &err) == ERR_OK);
		HOLDS(fields_write_text(table, second, &twice, &err) == ERR_OK);
		HOLDS(strcmp(once, twice) == 0);
		fields_done(table, second);
	} else
		HOLDS(err.code == ERR_INTERNAL && table == every_fields);
	fields_done(table, first);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static fields_fn *const tables[] = { part_fields, every_fields, tagged_fields, flat_fields,
		whole_fields };
	static fields_fn *const plain[] = { keyd_sign_req_fields, keyd_encrypt_req_fields,
		keyd_handle_msg_fields, every_fields, tagged_fields };
	AUTO(json_freep) struct json_t *json = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		HOLDS(plain_compare(plain[i], (struct text){ (const char *)data, len }) !=
		      PLAIN_WRONG);
	if (json_read((struct text){ (const char *)data, len }, &json, &err)) {
		HOLDS(err.code == ERR_SYNTAX && strncmp(err.text, "line ", 5) == 0);
		return 0;
	}
	json_round_trip(json);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		fields_round_trip(tables[i], json);
	return 0;
}
