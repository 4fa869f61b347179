#include "tests/support/support.h"

#include <string.h>
#include <sys/stat.h>

#include "keyd/epoch.h"

static uint64_t
get(const char *id)
{
	uint64_t epoch = 99;
	struct err err = { 0 };

	ck_ok(epoch_get(support_tmpdir(), id, &epoch, &err));
	return epoch;
}

/* decisions.md, Handles: a counter per id, raised on delete only */
START_TEST(test_raise)
{
	struct err err = { 0 };

	ck_assert_uint_eq(get("a"), 0);
	ck_ok(epoch_raise(support_tmpdir(), "a", &err));
	ck_assert_uint_eq(get("a"), 1);
	for (int i = 0; i < 10; i++)
		ck_ok(epoch_raise(support_tmpdir(), "a", &err));
	ck_assert_uint_eq(get("a"), 11);
	ck_assert_uint_eq(get("b"), 0);
	ck_assert_uint_eq(get("a/../b"), 0);
}
END_TEST

/* A damaged counter is an error: taken for zero it would bring dead handles back. */
START_TEST(test_damaged)
{
	static const char *const damaged[] = { "", "x", "1x", "-1", "+1", " 1", "1\n",
		"18446744073709551616", "111111111111111111111" };
	AUTO(str_freep) char *path = NULL;
	struct err err = { 0 };

	ck_ok(epoch_raise(support_tmpdir(), "a", &err));
	path = support_sh("echo %s/a-*", support_tmpdir());
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		AUTO(bytes_done) struct bytes after = { 0 };
		uint64_t epoch = 99;

		support_write(path, damaged[i]);
		ck_err(epoch_get(support_tmpdir(), "a", &epoch, &err), ERR_INTERNAL);
		if (strlen(damaged[i]) <= 20) /* else it is not even read */
			ck_assert_ptr_nonnull(strstr(err.text, "put it back from a backup"));
		ck_err(epoch_raise(support_tmpdir(), "a", &err), ERR_INTERNAL);
		after = support_read(path);
		ck_assert(text_equal(text_of_bytes(&after), damaged[i]));
	}
}
END_TEST

TEST_MAIN("keyd/epoch", test_raise, test_damaged)
