#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "keyd/wrap.h"

static struct mech *mech;
static struct wrap *wrap;

static struct wrap *
wrap_of(uint8_t first)
{
	AUTO(bytes_done) struct bytes kek = { 0 };
	struct wrap *w = NULL;
	struct err err = { 0 };

	ck_ok(bytes_alloc(&kek, WRAP_KEK_LEN, &err));
	for (size_t i = 0; i < kek.len; i++)
		kek.data[i] = (uint8_t)(first + i);
	ck_ok(wrap_new(mech, &kek, &w, &err));
	return w;
}

static void
begin(void)
{
	struct err err = { 0 };

	ck_ok(mech_new(&mech, &err));
	wrap = wrap_of(0);
}

static void
end(void)
{
	wrap_free(wrap);
	mech_free(mech);
}

static struct bytes
seal(const char *name, const char *text)
{
	const struct bytes plain = { (uint8_t *)text, strlen(text) };
	struct bytes out = { 0 };
	struct err err = { 0 };

	ck_ok(wrap_seal(wrap, name, &plain, &out, &err));
	return out;
}

/* The format of wrap.h, taken apart by hand; GCM's ciphertext is CTR's from counter 2 on (NIST SP 800-38D, 7.1). */
START_TEST(test_format)
{
	AUTO(bytes_done) struct bytes file = { 0 };
	AUTO(str_freep) char *judge = NULL;
	struct err err = { 0 };

	begin();
	file = seal("/home/keys/a-1.key", "the key itself");
	ck_assert_uint_eq(file.len, 14 + WRAP_OVERHEAD);
	ck_assert_mem_eq(file.data, "edgekeep wrapped key 1\n", 23);
	ck_assert_uint_eq(file.data[35], 2);
	ck_ok(file_write(support_path("file"), 0600, file.data, file.len, &err));
	judge = support_sh("cd %s; head -1 file; kek=$(seq 0 31 | xargs printf %%02x); "
			   "nonce=$(tail -c +24 file | head -c 12 | xxd -p); tail -c +37 file | "
			   "head -c 14 | openssl enc -d -aes-256-ctr -K $kek -iv ${nonce}00000002",
	    support_tmpdir());
	ck_assert_str_eq(judge, "edgekeep wrapped key 1\nthe key itself");
	end();
}
END_TEST

START_TEST(test_round_trip)
{
	static const size_t sizes[] = { 1, 16, 32, 241, 65536 };
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		AUTO(bytes_done) struct bytes plain = { 0 };
		AUTO(bytes_done) struct bytes file = { 0 };
		AUTO(bytes_done) struct bytes again = { 0 };
		AUTO(bytes_done) struct bytes back = { 0 };

		ck_ok(bytes_alloc(&plain, sizes[i], &err));
		memset(plain.data, 'p', plain.len);
		ck_assert(!wrap_is_wrapped(&plain));
		ck_ok(wrap_seal(wrap, "k.key", &plain, &file, &err));
		ck_assert(wrap_is_wrapped(&file));
		/* a nonce is used once */
		ck_ok(wrap_seal(wrap, "k.key", &plain, &again, &err));
		ck_assert(memcmp(file.data + 23, again.data + 23, 12) != 0);
		/* a directory may be moved, a file not be renamed */
		ck_ok(wrap_open(wrap, "/elsewhere/k.key", &file, &back, &err));
		ck_assert(bytes_equal(&plain, &back));
	}
	end();
}
END_TEST

static void
check_closed(const struct wrap *w, const char *name, const struct bytes *file)
{
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_err(wrap_open(w, name, file, &none, &err), ERR_INTERNAL);
	ck_assert_ptr_null(none.data);
	ck_assert_ptr_null(strstr(err.text, "secret"));
}

/* Every bit counts, and so do the name and the KEK; nothing of that is "no such key". */
START_TEST(test_refused)
{
	AUTO(bytes_done) struct bytes file = { 0 };
	struct wrap *other;

	begin();
	file = seal("a.key", "secret");
	other = wrap_of(1);
	check_closed(other, "a.key", &file);
	wrap_free(other);
	check_closed(NULL, "a.key", &file);
	check_closed(wrap, "b.key", &file);
	for (size_t bit = 0; bit < file.len * 8; bit++) {
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (wrap_is_wrapped(&file))
			check_closed(wrap, "a.key", &file);
		else
			ck_assert_uint_lt(bit, 23 * 8);
		file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t len = 23; len < file.len; len++)
		check_closed(wrap, "a.key", &(struct bytes){ file.data, len });
	end();
}
END_TEST

START_TEST(test_kek_length)
{
	static const size_t lengths[] = { 0, 16, 31, 33 };
	uint8_t bytes[33] = { 0 };
	struct wrap *none = NULL;
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		ck_err(wrap_new(mech, &(struct bytes){ bytes, lengths[i] }, &none, &err),
		    ERR_INTERNAL);
	end();
}
END_TEST

TEST_MAIN("keyd/wrap", test_format, test_round_trip, test_refused, test_kek_length)
