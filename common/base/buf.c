#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MAX_DEFAULT ((size_t)64 * 1024 * 1024)

/* Room for len more bytes and a NUL behind them. */
static bool
grow(struct buf *b, size_t len)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
	size_t need, cap = b->cap ? b->cap : 256;
	uint8_t *data;

	if (b->failed)
		return false;
	if (len > max || b->len > max - len) {
		b->failed = ERR_INVALID;
		return false;
	}
	need = b->len + len + 1;
	if (need <= b->cap)
		return true;
	while (cap < need)
		cap *= 2;
	data = malloc(cap);
	if (!data) {
		b->failed = ERR_NOMEM;
		return false;
	}
	if (b->data) {
		memcpy(data, b->data, b->len);
		mem_wipe(b->data, b->cap);
		free(b->data);
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *
buf_reserve(struct buf *b, size_t len)
{
	return grow(b, len) ? b->data + b->len : NULL;
}

void
buf_commit(struct buf *b, size_t len)
{
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	uint8_t *to = buf_reserve(b, len);

	if (!to)
		return;
	if (len)
		memcpy(to, data, len);
	buf_commit(b, len);
}

void
buf_puts(struct buf *b, const char *string)
{
	buf_add(b, string, strlen(string));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *to;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 && !b->failed)
		b->failed = ERR_INVALID;
	else if (n >= 0 && (to = buf_reserve(b, (size_t)n)) != NULL) {
		vsnprintf((char *)to, (size_t)n + 1, fmt, again);
		buf_commit(b, (size_t)n);
	}
	va_end(again);
}

void
buf_consume(struct buf *b, size_t len)
{
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len);
	mem_wipe(b->data + b->len - len, len);
	b->len -= len;
	b->data[b->len] = '\0';
}

void
buf_reset(struct buf *b)
{
	mem_wipe(b->data, b->len);
	b->len = 0;
	b->failed = ERR_OK;
}

enum err_code
buf_take(struct buf *b, struct bytes *ret, struct err *err)
{
	enum err_code failed = b->failed;

	if (failed) {
		buf_done(b);
		return failed == ERR_NOMEM ? err_nomem(err)
					   : err_set(err, failed, "data is too long");
	}
	if (!b->data && !grow(b, 0))
		return err_nomem(err);
	b->data[b->len] = '\0';
	*ret = (struct bytes){ b->data, b->len };
	*b = (struct buf){ .max = b->max };
	return ERR_OK;
}

enum err_code
buf_take_string(struct buf *b, char **ret, struct err *err)
{
	struct bytes taken;

	if (buf_take(b, &taken, err))
		return err->code;
	*ret = (char *)taken.data;
	return ERR_OK;
}

void
buf_done(struct buf *b)
{
	if (b->data) {
		mem_wipe(b->data, b->cap);
		free(b->data);
	}
	*b = (struct buf){ .max = b->max };
}
