#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

START_TEST(test_text)
{
	struct bytes b = { (uint8_t *)"abc", 2 };

	ck_assert(text_equal(text_of("abc"), "abc"));
	ck_assert(!text_equal(text_of("abc"), "abcd"));
	ck_assert(!text_equal(text_of("abc"), "abd"));
	ck_assert(!text_equal((struct text){ "a\0b", 3 }, "a"));
	ck_assert(text_equal(text_of(NULL), ""));
	ck_assert(text_equal(TEXT("x"), "x"));
	ck_assert(text_equal(text_of_bytes(&b), "ab"));
}
END_TEST

START_TEST(test_bytes)
{
	AUTO(bytes_done) struct bytes b = { 0 };
	AUTO(bytes_done) struct bytes taken = { 0 };
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_ok(bytes_copy(&b, "a\0b", 3, &err));
	ck_assert_uint_eq(b.len, 3);
	/* a NUL behind the content, so that text can be read as a string */
	ck_assert_mem_eq(b.data, "a\0b\0", 4);
	taken = bytes_take(&b);
	ck_assert(b.data == NULL && b.len == 0);
	ck_assert_uint_eq(taken.len, 3);
	bytes_done(&taken);
	ck_assert(taken.data == NULL && taken.len == 0);
	bytes_done(&taken);
	ck_ok(bytes_copy(&b, NULL, 0, &err));
	ck_assert_uint_eq(b.len, 0);
	ck_assert(bytes_equal(&b, &none));
}
END_TEST

START_TEST(test_nomem)
{
	struct bytes b = { 0 };
	struct err err = { 0 };

	ck_err(bytes_alloc(&b, SIZE_MAX, &err), ERR_NOMEM);
	ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(test_equal)
{
	struct bytes a = { (uint8_t *)"abc", 3 }, b = { (uint8_t *)"abd", 3 },
		     c = { (uint8_t *)"abc", 2 }, d = { (uint8_t *)"abcx", 3 };

	ck_assert(bytes_equal(&a, &a));
	ck_assert(bytes_equal(&a, &d));
	ck_assert(!bytes_equal(&a, &b));
	ck_assert(!bytes_equal(&a, &c));
}
END_TEST

START_TEST(test_wipe)
{
	char secret[] = "secret";

	mem_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		ck_assert_int_eq(secret[i], 0);
	mem_wipe(NULL, 0);
	mem_wipe(NULL, 5);
}
END_TEST

START_TEST(test_strings)
{
	AUTO(str_freep) char *copy = NULL;
	AUTO(str_freep) char *made = NULL;
	struct err err = { 0 };

	ck_ok(str_copy(&copy, "text", &err));
	ck_ok(str_format(&made, &err, "%s-%d", copy, 3));
	ck_assert_str_eq(made, "text-3");
	str_freep(&copy);
	ck_assert_ptr_null(copy);
	str_freep(&copy);
}
END_TEST

START_TEST(test_fd)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd, taken;

	errno = ENOTTY;
	taken = fd_take(&fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(taken, number);
	fd_closep(&fd);
	fd_closep(&taken);
	ck_assert_int_eq(taken, -1);
	ck_assert_int_eq(errno, ENOTTY);
	ck_assert_int_eq(fcntl(number, F_GETFD), -1);
}
END_TEST

/* One bit at any place of any length. */
START_TEST(test_unequal)
{
	for (size_t len = 0; len < 40; len++) {
		uint8_t one[40] = { 0 }, other[40] = { 0 };
		const struct bytes a = { one, len }, b = { other, len }, c = { other, len + 1 };

		ck_assert(bytes_equal(&a, &b));
		ck_assert(!bytes_equal(&a, &c));
		for (size_t i = 0; i < len; i++) {
			other[i] = (uint8_t)(1 << i % 8);
			ck_assert_msg(!bytes_equal(&a, &b), "%zu of %zu", i, len);
			other[i] = 0;
		}
	}
}
END_TEST

TEST_MAIN("base/mem", test_unequal, test_text, test_bytes, test_nomem, test_equal, test_wipe,
    test_strings, test_fd)
