#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text
text_of(const char *string)
{
	return (struct text){ string, string ? strlen(string) : 0 };
}

struct text
text_of_bytes(const struct bytes *b)
{
	return (struct text){ (const char *)b->data, b->len };
}

bool
text_equal(struct text a, const char *string)
{
	return a.len == strlen(string) && memcmp(a.data ? a.data : "", string, a.len) == 0;
}

enum err_code
bytes_alloc(struct bytes *ret, size_t len, struct err *err)
{
	/* small ones are many: malloc() keeps them at hand for its thread, which calloc() of glibc does not */
	uint8_t *data = len < SIZE_MAX ? malloc(len + 1) : NULL;

	if (!data)
		return err_nomem(err);
	memset(data, 0, len + 1);
	ret->data = data;
	ret->len = len;
	return ERR_OK;
}

enum err_code
bytes_copy(struct bytes *ret, const void *data, size_t len, struct err *err)
{
	if (bytes_alloc(ret, len, err))
		return err->code;
	if (len)
		memcpy(ret->data, data, len);
	return ERR_OK;
}

void
bytes_done(struct bytes *b)
{
	if (b->data) {
		mem_wipe(b->data, b->len);
		free(b->data);
	}
	*b = (struct bytes){ 0 };
}

struct bytes
bytes_take(struct bytes *from)
{
	struct bytes taken = *from;

	*from = (struct bytes){ 0 };
	return taken;
}

bool
bytes_equal(const struct bytes *a, const struct bytes *b)
{
	uint64_t difference = 0, x, y;
	size_t i = 0;

	if (a->len != b->len)
		return false;
	for (; a->len - i >= sizeof(x); i += sizeof(x)) {
		memcpy(&x, a->data + i, sizeof(x));
		memcpy(&y, b->data + i, sizeof(y));
		difference |= x ^ y;
	}
	for (; i < a->len; i++)
		difference |= a->data[i] ^ b->data[i];
	return difference == 0;
}

void
mem_wipe(void *data, size_t len)
{
	if (data && len)
		explicit_bzero(data, len);
}

void
str_freep(char **string)
{
	if (*string) {
		mem_wipe(*string, strlen(*string));
		free(*string);
		*string = NULL;
	}
}

enum err_code
str_copy(char **ret, const char *string, struct err *err)
{
	char *copy = strdup(string);

	if (!copy)
		return err_nomem(err);
	*ret = copy;
	return ERR_OK;
}

enum err_code
str_format(char **ret, struct err *err, const char *fmt, ...)
{
	char *made = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&made, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_nomem(err);
	*ret = made;
	return ERR_OK;
}

void
fd_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int
fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
