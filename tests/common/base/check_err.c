#include "tests/support/support.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

START_TEST(test_set)
{
	struct err err = { .code = ERR_IO, .status = 404, .text = "old" };

	ck_assert_int_eq(err_set(&err, ERR_INVALID, "bad %s %d", "thing", 7), ERR_INVALID);
	ck_assert_int_eq(err.code, ERR_INVALID);
	ck_assert_uint_eq(err.status, 0);
	ck_assert_str_eq(err.text, "bad thing 7");
	ck_assert_int_eq(err_nomem(&err), ERR_NOMEM);
	err_clear(&err);
	ck_assert_int_eq(err.code, ERR_OK);
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(test_errno)
{
	static const struct {
		int number;
		enum err_code code;
		const char *text;
	} rows[] = {
		{ ENOENT, ERR_NOT_FOUND, "open x: No such file or directory" },
		{ ENOMEM, ERR_NOMEM, "open x: Cannot allocate memory" },
		{ EACCES, ERR_IO, "open x: Permission denied" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { 0 };

		errno = rows[i].number;
		ck_assert_int_eq(err_errno(&err, "open %s", "x"), rows[i].code);
		ck_assert_str_eq(err.text, rows[i].text);
	}
}
END_TEST

/* contracts/common.md 5, error body: outermost first, each cause on a line of its own */
START_TEST(test_wrap)
{
	struct err err = { 0 };

	err_set(&err, ERR_PEER, "inner");
	err.status = 503;
	ck_assert_int_eq(err_wrap(&err, "middle %d", 1), ERR_PEER);
	ck_assert_int_eq(err_wrap_code(&err, ERR_CONFLICT, "outer"), ERR_CONFLICT);
	ck_assert_uint_eq(err.status, 503);
	ck_assert_str_eq(err.text, "outer\ncaused by: middle 1\ncaused by: inner");
	/* the present text may be among the arguments */
	err_set(&err, ERR_IO, "x");
	err_wrap(&err, "about %s", err.text);
	ck_assert_str_eq(err.text, "about x\ncaused by: x");
	/* nothing to wrap: a cause is not invented, yet it is no success */
	err_clear(&err);
	ck_assert_int_eq(err_wrap(&err, "alone"), ERR_INTERNAL);
	ck_assert_str_eq(err.text, "alone");
}
END_TEST

START_TEST(test_long)
{
	char long_text[3 * ERR_TEXT_MAX];
	struct err err = { 0 };

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	err_set(&err, ERR_IO, "%s", long_text);
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 1);
	err_wrap(&err, "outer");
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 1);
	ck_assert_int_eq(strncmp(err.text, "outer\ncaused by: xxx", 20), 0);
	errno = EIO;
	err_errno(&err, "%s", long_text);
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 1);
	err_wrap(&err, "%s", long_text);
	ck_assert_uint_eq(strlen(err.text), ERR_TEXT_MAX - 1);
}
END_TEST

/* contracts/common.md 5; what is not the caller's fault stays what it is */
START_TEST(test_param)
{
	static const enum err_code kept[] = { ERR_NOMEM, ERR_IO, ERR_CRYPTO, ERR_INTERNAL,
		ERR_WOULD_BLOCK };
	struct err err = { 0 };

	err_set(&err, ERR_SYNTAX, "invalid handle");
	ck_assert_int_eq(err_param(&err, "handle"), ERR_INVALID);
	ck_assert_str_eq(
	    err.text, "parameter \"handle\" has an invalid value\ncaused by: invalid handle");
	err_clear(&err);
	ck_assert_int_eq(err_param(&err, "usage"), ERR_INVALID);
	ck_assert_str_eq(err.text, "parameter \"usage\" has an invalid value");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		err_set(&err, kept[i], "why");
		ck_assert_int_eq(err_param(&err, "p"), kept[i]);
		ck_assert_str_eq(err.text, "why");
	}
}
END_TEST

START_TEST(test_names)
{
	for (int code = 0; code < ERR_CODES; code++) {
		ck_assert_str_ne(err_name((enum err_code)code), "ERR_?");
		ck_assert_int_eq(strncmp(err_name((enum err_code)code), "ERR_", 4), 0);
	}
	ck_assert_str_eq(err_name(ERR_WOULD_BLOCK), "ERR_WOULD_BLOCK");
	ck_assert_str_eq(err_name(ERR_CODES), "ERR_?");
	ck_assert_str_eq(err_name((enum err_code) - 1), "ERR_?");
}
END_TEST

START_TEST(test_one_line)
{
	struct err err = { 0 };

	ck_assert_str_eq(err_one_line(&err), "");
	err_set(&err, ERR_IO, "inner");
	ck_assert_str_eq(err_one_line(&err), "inner");
	err_wrap(&err, "middle");
	err_wrap(&err, "outer");
	ck_assert_str_eq(err_one_line(&err), "outer: middle: inner");
	ck_assert_int_eq(err.code, ERR_IO);
}
END_TEST

TEST_MAIN(
    "base/err", test_set, test_errno, test_wrap, test_long, test_param, test_names, test_one_line)
