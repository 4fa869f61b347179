#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>

#include "base/mem.h"

/*
 * What tests share.  A test file defines its cases and ends with
 *
 *	TEST_MAIN("base/b64", test_decode, test_encode)
 */
#define TEST_MAIN(title, ...)                                                       \
	int main(void)                                                              \
	{                                                                           \
		const TTest *cases[] = { __VA_ARGS__ };                             \
		return support_run(title, cases, sizeof(cases) / sizeof(cases[0])); \
	}

/* Run the cases in one suite; returns the exit status. */
int support_run(const char *title, const TTest *const *cases, size_t n);

/* A fresh private directory below $TMPDIR or /tmp, short enough for socket paths; removed with its content at exit. */
const char *support_tmpdir(void);
/* Path of name in support_tmpdir(); freed at exit. */
const char *support_path(const char *name);
/* A whole file as bytes; fails the test when it cannot be read. */
struct bytes support_read(const char *path);
/* Write a file; fails the test when it cannot. */
void support_write(const char *path, const char *text);
/* Bytes of a hex string; fails the test when it is none. */
struct bytes support_hex(const char *hex);
/* Output of a shell command (an independent tool as judge), without a final newline; fails the test on a non-zero status. */
char *support_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * Path of ../shared/data/NAME beside the checkout, or NULL with a SKIP line where it is absent; with CI=true its absence
 * fails the test.
 */
const char *support_shared_data(const char *name);

/*
 * Does the valgrind lane run this program (CK_FORK=no)?  It is there for wrong memory: cases about time and about other processes belong to
 * the other lanes, and work that takes seconds here and minutes there may be done once.
 */
bool support_valgrind(void);

/* Checks of our error convention. */
#define ck_ok(call)                                                                             \
	do {                                                                                    \
		enum err_code code_ = (call);                                                   \
		ck_assert_msg(code_ == ERR_OK, "%s: %s: %s", #call, err_name(code_), err.text); \
	} while (0)
#define ck_err(call, want)                                                                         \
	do {                                                                                       \
		enum err_code code_ = (call);                                                      \
		ck_assert_msg(code_ == (want), "%s: %s instead of %s: %s", #call, err_name(code_), \
		    err_name(want), code_ ? err.text : "");                                        \
	} while (0)

#endif
