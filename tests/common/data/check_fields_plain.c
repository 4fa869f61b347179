#include "tests/support/message.h"
#include "tests/support/plain.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/keyd.h"

static fields_fn *const tables[] = { keyd_sign_req_fields, keyd_encrypt_req_fields,
	keyd_decrypt_req_fields, keyd_derive_req_fields, keyd_handle_msg_fields,
	keyd_create_key_req_fields, keyd_create_key_pair_req_fields, keyd_move_req_fields,
	part_fields, every_fields, tagged_fields, flat_fields, whole_fields };

/* Two rows of one name: what the one takes is gone for the other, since there is room for it once. */
static const struct fields *
twice_fields(void)
{
	typedef struct fields_pair self;
	static const struct field rows[] = { STR(key, "x", REQUIRED), STR(value, "x", REQUIRED) };
	static const struct fields table = { sizeof(self), rows, ARRAY_LEN(rows) };

	return &table;
}

/* What goes the quick way, and what is left to the general one. */
static const struct {
	fields_fn *table;
	const char *in;
	enum plain want;
} rows[] = {
	{ keyd_sign_req_fields,
	    "{\"keyHandle\":\"h\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"AAECAw==\"}"
	    "}",
	    PLAIN_TAKEN },
	{ keyd_sign_req_fields,
	    " {\t\"parameters\" : { \"message\" : \"\" } ,\r\n \"algorithm\":\"HMAC-SHA256\", "
	    "\"keyHandle\":\"\" } \n",
	    PLAIN_TAKEN },
	{ keyd_encrypt_req_fields,
	    "{\"keyHandle\":\"h\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AA==\",\"aad\":"
	    "\"\"},\"plaintext\":\"AAAA\"}",
	    PLAIN_TAKEN },
	{ keyd_encrypt_req_fields,
	    "{\"keyHandle\":\"h\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"AAAA\"}",
	    PLAIN_TAKEN },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"ek1.x\"}", PLAIN_TAKEN },
	{ keyd_create_key_pair_req_fields, "{\"keyId\":\"a\"}", PLAIN_TAKEN },
	{ every_fields, "{}", PLAIN_TAKEN },

	{ keyd_encrypt_req_fields,
	    "{\"keyHandle\":\"h\",\"algorithm\":\"RSA-PKCS1\",\"parameters\":{},\"plaintext\":"
	    "\"AAAA\"}",
	    PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "null", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "[]", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\"}x", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\",}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\" \"y\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\t\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\n\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"\\u0041\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"\xc3\xbc\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"\xff\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":null}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":1}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":{}}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\",\"keyHandle\":\"x\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\",\"other\":\"x\"}", PLAIN_DECLINED },
	{ keyd_handle_msg_fields, "{\"keyHandle\":\"x\",\"other\":{}}", PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"NONE\"}", PLAIN_TAKEN },
	{ tagged_fields, "{\"algorithm\":\"none\"}", PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\"}", PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":\"\"}", PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":{}}}",
	    PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"digest\":\"\"}}",
	    PLAIN_DECLINED },
	{ tagged_fields, "{\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"AA=\"}}",
	    PLAIN_DECLINED },
	{ tagged_fields, "{\"parameters\":{\"digest\":\"AAAA\"}}", PLAIN_DECLINED },
	{ part_fields, "{\"name\":\"\"}", PLAIN_DECLINED },
	{ part_fields, "{\"name\":\"a\",\"uid\":1}", PLAIN_DECLINED },
	{ every_fields, "{\"usage\":\"sign\"}", PLAIN_DECLINED },
	{ flat_fields, "{\"shape\":\"file\",\"path\":\"p\"}", PLAIN_DECLINED },
	{ whole_fields, "[]", PLAIN_DECLINED },
	{ whole_fields, "{}", PLAIN_DECLINED },
	{ twice_fields, "{\"x\":\"long enough\"}", PLAIN_DECLINED },
	{ every_fields,
	    "{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\",\"f\":\"\",\"g\":\"\",\"h\":"
	    "\"\",\"i\":\"\"}",
	    PLAIN_DECLINED },
};

START_TEST(test_rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum plain got = plain_compare(rows[i].table, text_of(rows[i].in));

		ck_assert_msg(got == rows[i].want, "%s: %d", rows[i].in, got);
	}
}
END_TEST

/* --- the same by many */

/* Returns how many tables took it.  An assertion that holds writes to a pipe, so there is none for each of a million. */
static size_t
try_all(const char *in, size_t len)
{
	size_t taken = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		enum plain got = plain_compare(tables[i], (struct text){ in, len });

		if (got == PLAIN_WRONG)
			ck_abort_msg("table %zu: %.*s", i, (int)len, in);
		taken += got == PLAIN_TAKEN;
	}
	return taken;
}

static void
try_json(const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);

	ck_assert_ptr_nonnull(text);
	(void)try_all(text, strlen(text));
	free(text);
}

/* The text with one of its members said twice. */
static void
try_repeated(const char *body, const char *name, const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY), *twice = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&twice, &err, "{\"%s\":%s,%s", name, text, strchr(body, '{') + 1));
	ck_assert_uint_eq(try_all(twice, strlen(twice)), 0);
	free(twice);
	free(text);
}

/* Every member of object, which is in root, missing, null and of each type. */
static void
try_members(json_t *root, json_t *object)
{
	static const char *const values[] = { "null", "true", "-1", "1.5", "\"\"", "\"x y\"",
		"\"AA==\"", "\"\\u0000x\"", "[]", "[\"a\"]", "{}", "{\"a\":{\"b\":\"\"}}" };
	json_t *before = json_copy(object), *value;
	const char *name;

	json_object_foreach(before, name, value)
	{
		json_object_del(object, name);
		try_json(root);
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			json_object_set_new(object, name,
			    json_loads(values[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
			try_json(root);
		}
		json_object_set(object, name, value);
		if (json_is_object(value))
			try_members(root, value);
	}
	json_decref(before);
}

/* One to three small wounds; a seed of its own for each body, so that any is found again. */
static void
try_mutations(const char *body, unsigned seed)
{
	static const char marks[] = "{}[]\",:\\/=+ \t\nnulltruea0-.\x80\xc3\x7f\x01";
	char text[4096];

	for (int round = 0; round < 1000; round++) {
		size_t len = strlen(body);

		if (len >= sizeof(text) / 2)
			return;
		memcpy(text, body, len);
		for (int n = rand_r(&seed) % 3; n >= 0 && len > 2; n--) {
			size_t at = (size_t)rand_r(&seed) % len, span = len - at;

			span = 1 + (size_t)rand_r(&seed) % (span < 12 ? span : 12);
			switch (rand_r(&seed) % 4) {
			case 0:
				text[at] = marks[(size_t)rand_r(&seed) % sizeof(marks)];
				break;
			case 1:
				memmove(text + at, text + at + span, len - at - span);
				len -= span;
				break;
			case 2:
				text[at] ^= (char)(1 << rand_r(&seed) % 8);
				break;
			default:
				memmove(text + at + span, text + at, len - at);
				len += span;
			}
		}
		(void)try_all(text, len);
	}
}

static void
try_body(const char *body, unsigned seed)
{
	json_t *json = json_loads(body, 0, NULL);
	const char *name;
	json_t *value;

	try_mutations(body, seed);
	if (!json_is_object(json)) {
		json_decref(json);
		return;
	}
	json_object_foreach(json, name, value) try_repeated(body, name, value);
	try_members(json, json);
	json_decref(json);
}

START_TEST(test_variations)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].want == PLAIN_TAKEN)
			try_body(rows[i].in, (unsigned)i);
}
END_TEST

/* Every body that upstream was asked with. */
START_TEST(test_recorded)
{
	const char *path = support_shared_data("transcripts/keyd.txt");
	AUTO(bytes_done) struct bytes file = { 0 };
	size_t bodies = 0, taken = 0;
	char *rest, *line;

	if (!path)
		return;
	file = support_read(path);
	rest = (char *)file.data;
	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, "> {", 3) != 0)
			continue;
		bodies++;
		taken += try_all(line + 2, strlen(line + 2)) > 0;
		try_body(line + 2, (unsigned)bodies);
	}
	ck_assert_uint_gt(bodies, 50);
	ck_assert_uint_gt(taken, bodies / 3);
}
END_TEST

/* Cut anywhere, it is not taken. */
START_TEST(test_cut)
{
	const char *body = rows[0].in;

	for (size_t len = 0; len < strlen(body); len++)
		ck_assert_uint_eq(try_all(body, len), 0);
}
END_TEST

/* Every byte at every place of a long string: only what stands for itself. */
START_TEST(test_bytes)
{
	for (int c = 0; c < 256; c++)
		for (size_t at = 0; at < 24; at++) {
			char text[] = "{\"keyHandle\":\"abcdefghijklmnopqrstuvwxyz\"}";
			bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
			enum plain got;

			text[strlen("{\"keyHandle\":\"") + at] = (char)c;
			got = plain_compare(
			    keyd_handle_msg_fields, (struct text){ text, sizeof(text) - 1 });
			if (got != (plain ? PLAIN_TAKEN : PLAIN_DECLINED))
				ck_abort_msg("byte %d at %zu: %d", c, at, got);
		}
}
END_TEST

TEST_MAIN("data/fields_plain", test_rows, test_variations, test_recorded, test_cut, test_bytes)
