#include "tests/support/support.h"

#include <string.h>

#include "base/buf.h"

START_TEST(test_append)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(bytes_done) struct bytes taken = { 0 };
	struct err err = { 0 };
	uint8_t *to;

	buf_puts(&b, "one ");
	buf_add(&b, "t\0o", 3);
	buf_add(&b, NULL, 0);
	buf_printf(&b, " %05d%s", 42, "!");
	to = buf_reserve(&b, 100);
	ck_assert_ptr_nonnull(to);
	to[0] = '.';
	buf_commit(&b, 1);
	ck_ok(buf_take(&b, &taken, &err));
	ck_assert_uint_eq(taken.len, 15);
	ck_assert_mem_eq(taken.data, "one t\0o 00042!.", 16);
	ck_assert(b.data == NULL && b.len == 0 && b.cap == 0);
}
END_TEST

/* Growth over many sizes keeps what was there. */
START_TEST(test_grow)
{
	AUTO(buf_done) struct buf b = { 0 };

	for (size_t i = 0; i < 100000; i++) {
		char c = (char)('a' + i % 26);

		buf_add(&b, &c, 1);
	}
	ck_assert_uint_eq(b.len, 100000);
	for (size_t i = 0; i < b.len; i++)
		ck_assert_int_eq(b.data[i], 'a' + (int)(i % 26));
	ck_assert_int_eq(b.data[b.len], 0);
	buf_consume(&b, 0);
	buf_consume(&b, 27);
	ck_assert_uint_eq(b.len, 99973);
	ck_assert_int_eq(b.data[0], 'b');
	ck_assert_int_eq(b.data[b.len], 0);
	buf_consume(&b, b.len);
	ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(test_limit)
{
	AUTO(buf_done) struct buf b = { .max = 10 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	buf_puts(&b, "0123456789");
	ck_assert_int_eq(b.failed, ERR_OK);
	buf_add(&b, "x", 1);
	ck_assert_int_eq(b.failed, ERR_INVALID);
	/* it stays failed, even for what would fit */
	buf_consume(&b, 5);
	buf_puts(&b, "y");
	ck_assert_ptr_null(buf_reserve(&b, 1));
	ck_err(buf_take_string(&b, &text, &err), ERR_INVALID);
	ck_assert_ptr_null(text);
	/* and starts afresh, under the same bound, once that was reported */
	buf_printf(&b, "%d", 1234567890);
	ck_ok(buf_take_string(&b, &text, &err));
	ck_assert_str_eq(text, "1234567890");
	buf_printf(&b, "%s", "12345678901");
	ck_assert_int_eq(b.failed, ERR_INVALID);
	buf_reset(&b);
	ck_assert_int_eq(b.failed, ERR_OK);
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
	buf_reset(&b);
	buf_puts(&b, "abc");
	ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX - 2));
}
END_TEST

START_TEST(test_default_limit)
{
	AUTO(buf_done) struct buf b = { 0 };

	ck_assert_ptr_null(buf_reserve(&b, (size_t)64 * 1024 * 1024 + 1));
	ck_assert_int_eq(b.failed, ERR_INVALID);
}
END_TEST

START_TEST(test_empty)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	buf_reset(&b);
	ck_ok(buf_take_string(&b, &text, &err));
	ck_assert_str_eq(text, "");
	buf_done(&b);
	buf_done(&b);
}
END_TEST

/* "Wiped when it grows and when released": what reset leaves can be looked at. */
START_TEST(test_wiped)
{
	AUTO(buf_done) struct buf b = { 0 };

	buf_puts(&b, "secret");
	buf_consume(&b, 4);
	ck_assert_mem_eq(b.data, "et\0\0\0\0", 6);
	buf_reset(&b);
	ck_assert_mem_eq(b.data, "\0\0\0\0\0\0", 6);
}
END_TEST

TEST_MAIN(
    "base/buf", test_append, test_grow, test_limit, test_default_limit, test_empty, test_wiped)
