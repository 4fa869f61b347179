#include "tests/support/support.h"

#include <string.h>

#include "keyd/handle.h"
#include "wire/keyd.h"

static struct handle_secret *
new_secret(uint8_t seed)
{
	AUTO(bytes_done) struct bytes k = { 0 };
	struct handle_secret *s = NULL;
	struct err err = { 0 };

	ck_ok(bytes_alloc(&k, HANDLE_SECRET_LEN, &err));
	for (size_t i = 0; i < k.len; i++)
		k.data[i] = (uint8_t)(seed + i);
	ck_ok(handle_secret_new(&k, &s, &err));
	return s;
}

static char *
seal(const struct handle_secret *s, enum handle_kind kind, uint64_t epoch, const char *id,
    const char *data)
{
	struct handle h = { .kind = kind,
		.epoch = epoch,
		.id = (char *)id,
		.data = { (uint8_t *)data, strlen(data) } };
	char *text = NULL;
	struct err err = { 0 };

	ck_ok(handle_seal(s, &h, &text, &err));
	return text;
}

static const struct {
	enum handle_kind kind;
	uint64_t epoch;
	const char *id, *data;
} handles[] = {
	{ HANDLE_KEY, 0, "aziot_identityd_master_id", "" },
	{ HANDLE_PAIR, 1, "device-id", "" },
	{ HANDLE_DERIVED_KEY, 256, "k", "module1:638000000000000000:primary" },
	{ HANDLE_DERIVED_PAIR, UINT64_MAX,
	    "gr\xc3\xb6\xc3\x9f"
	    "er/../ %41",
	    "\x01" },
	{ HANDLE_DERIVED_KEY, 0, "", "" },
};

START_TEST(test_round)
{
	struct handle_secret *s = new_secret(1);

	for (size_t i = 0; i < ARRAY_LEN(handles); i++) {
		AUTO(str_freep)
		char *text =
		    seal(s, handles[i].kind, handles[i].epoch, handles[i].id, handles[i].data);

		/* opened, and then known */
		for (int round = 0; round < 3; round++) {
			AUTO(handle_done) struct handle h = { 0 };
			struct err err = { 0 };

			ck_ok(handle_open(s, text, &h, &err));
			ck_assert_int_eq(h.kind, handles[i].kind);
			ck_assert_uint_eq(h.epoch, handles[i].epoch);
			ck_assert_str_eq(h.id, handles[i].id);
			ck_assert_uint_eq(h.data.len, strlen(handles[i].data));
			if (h.data.len)
				ck_assert_mem_eq(h.data.data, handles[i].data, h.data.len);
		}
	}
	handle_secret_free(s);
}
END_TEST

/* decisions.md, Handles: deterministic, opaque ASCII without '=', '+' and space, at most 512 bytes for ids up to 128 */
START_TEST(test_form)
{
	struct handle_secret *s = new_secret(1);
	char id[KEYD_ID_MAX + 1], data[200];
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *again = NULL;
	AUTO(str_freep) char *other = NULL;

	memset(id, 'i', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	memset(data, 'd', sizeof(data) - 1);
	data[sizeof(data) - 1] = '\0';
	text = seal(s, HANDLE_DERIVED_KEY, 7, id, data);
	again = seal(s, HANDLE_DERIVED_KEY, 7, id, data);
	ck_assert_str_eq(text, again);
	ck_assert_uint_le(strlen(text), KEYD_HANDLE_MAX);
	ck_assert_int_eq(strncmp(text, "ek1.", 4), 0);
	ck_assert_uint_eq(strspn(text + 4, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					   "0123456789-_"),
	    strlen(text) - 4);
	/* the least difference changes all of it but the prefix, which chance alone lets agree */
	other = seal(s, HANDLE_DERIVED_KEY, 8, id, data);
	ck_assert_int_ne(strncmp(text + 4, other + 4, 8), 0);
	ck_assert_str_ne(text + strlen(text) - 16, other + strlen(other) - 16);
	handle_secret_free(s);
}
END_TEST

static void
refused(struct handle_secret *s, const char *text)
{
	struct handle h = { 0 };
	struct err err = { 0 };

	ck_err(handle_open(s, text, &h, &err), ERR_INVALID);
	ck_assert_str_eq(err.text, "invalid handle");
}

/* contracts/keyd.md 2: format, base64, UTF-8, signature are all the same error */
START_TEST(test_flipped)
{
	struct handle_secret *s = new_secret(1);
	AUTO(str_freep) char *text = seal(s, HANDLE_PAIR, 3, "device-id", "");
	AUTO(handle_done) struct handle known = { 0 };
	size_t len = strlen(text);
	struct err err = { 0 };

	/* that the right one is known must not help a wrong one */
	ck_ok(handle_open(s, text, &known, &err));
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 7; bit++) {
			text[i] ^= (char)(1 << bit);
			if (text[i])
				refused(s, text);
			text[i] ^= (char)(1 << bit);
		}
	for (size_t cut = 0; cut < len; cut++) {
		AUTO(str_freep) char *part = strndup(text, cut);

		refused(s, part);
	}
	handle_secret_free(s);
}
END_TEST

START_TEST(test_foreign)
{
	static const char *const foreign[] = { "", "x", "ek1.", "ek2.AAAA",
		"sr=eyJrZXlfaWQiOnsiS2V5UGFpciI6ImstZWMifSwibm9uY2UiOiJ5In0=&sig=AAAA",
		"ek1.====", "ek1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
	struct handle_secret *s = new_secret(1), *other = new_secret(2);
	AUTO(str_freep) char *text = seal(other, HANDLE_KEY, 0, "k", "");
	AUTO(bytes_done) struct bytes huge = { 0 };
	struct err err = { 0 };

	refused(s, text);
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		refused(s, foreign[i]);
	ck_ok(bytes_alloc(&huge, 1000000, &err));
	memset(huge.data, 'A', huge.len);
	memcpy(huge.data, "ek1.", 4);
	refused(s, (const char *)huge.data);
	handle_secret_free(s);
	handle_secret_free(other);
}
END_TEST

/* Many more than are remembered: each still says what it said. */
START_TEST(test_many)
{
	struct handle_secret *s = new_secret(1);

	for (int round = 0; round < 2; round++)
		for (uint64_t epoch = 0; epoch < 2000; epoch++) {
			AUTO(str_freep) char *text = seal(s, HANDLE_KEY, epoch, "k", "");
			AUTO(handle_done) struct handle h = { 0 };
			struct err err = { 0 };

			ck_ok(handle_open(s, text, &h, &err));
			ck_assert_uint_eq(h.epoch, epoch);
		}
	handle_secret_free(s);
}
END_TEST

START_TEST(test_too_long)
{
	struct handle_secret *s = new_secret(1);
	AUTO(bytes_done) struct bytes data = { 0 };
	struct handle h = { .kind = HANDLE_DERIVED_KEY, .id = (char *)"k" };
	AUTO(handle_done) struct handle back = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(bytes_alloc(&data, HANDLE_DATA_MAX + 1, &err));
	h.data = data;
	ck_err(handle_seal(s, &h, &text, &err), ERR_INVALID);
	h.data.len--;
	ck_ok(handle_seal(s, &h, &text, &err));
	ck_ok(handle_open(s, text, &back, &err));
	ck_assert_uint_eq(back.data.len, HANDLE_DATA_MAX);
	handle_secret_free(s);
}
END_TEST

TEST_MAIN(
    "keyd/handle", test_round, test_form, test_flipped, test_foreign, test_many, test_too_long)
