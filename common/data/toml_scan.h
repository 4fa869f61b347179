#ifndef DATA_TOML_SCAN_H
#define DATA_TOML_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "data/toml.h"

/*
 * A cursor over TOML text and what has no structure in it: blanks, comments, keys, and values that are no array or table.
 * For toml.c only.
 */
struct scan {
	const char *file;
	const char *at, *end;
	unsigned line, column;
	struct err *err;
};

/* The byte so many places ahead, -1 behind the end. */
int scan_look(const struct scan *s, size_t ahead);
/* Go on by n bytes, which are there, counting lines and characters. */
void scan_step(struct scan *s, size_t n);
/* Step over a byte when it is the next one. */
bool scan_take(struct scan *s, char c);
/* Skip spaces and tabs. */
void scan_blank(struct scan *s);
/* Skip blanks, comments and line breaks. */
enum err_code scan_lines(struct scan *s) MUST_CHECK;
/* What may stand behind a statement: blanks, a comment, then a line break or the end. */
enum err_code scan_line_end(struct scan *s) MUST_CHECK;
/* ERR_SYNTAX at the cursor, and at another place. */
enum err_code scan_fail(struct scan *s, const char *what);
enum err_code scan_fail_at(struct scan *s, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One part of a key: bare or quoted.  NUL-terminated, but may hold NUL, too. */
enum err_code scan_key(struct scan *s, char **ret, size_t *ret_len) MUST_CHECK;
/* A string, number, boolean, date or time into a node that has nothing but its place yet. */
enum err_code scan_scalar(struct scan *s, struct toml *node) MUST_CHECK;

#endif
