#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/mem.h"

/*
 * A growing byte buffer with an upper bound.  Errors stick: after the first failure every append does nothing,
 * and buf_take reports it, so a writer need not test each call.  Wiped when it grows and when released.
 */
struct buf {
	uint8_t *data;
	size_t len, cap;
	size_t max; /* appending beyond fails with ERR_INVALID; 0 means 64 MiB */
	enum err_code failed;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *string);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Make room for len more bytes and return where they go, or NULL; buf_commit says how many came. */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
/* Drop the first len bytes. */
void buf_consume(struct buf *b, size_t len);
/* Empty it, keep the memory (wiped). */
void buf_reset(struct buf *b);
/* Hand the content over; the buffer is empty afterwards.  ERR_NOMEM or ERR_INVALID (over max) if an append failed. */
enum err_code buf_take(struct buf *b, struct bytes *ret, struct err *err) MUST_CHECK;
/* The same as a string. */
enum err_code buf_take_string(struct buf *b, char **ret, struct err *err) MUST_CHECK;
void buf_done(struct buf *b);

#endif
