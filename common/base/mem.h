#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Run fn(&variable) when the variable leaves its scope, in place of goto clean-up. */
#define AUTO(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*
 * A counted, owned run of bytes; the form of all key material.  Wiped on every release.
 * data is NULL when len is 0 or nothing was allocated; one NUL byte stands behind data[len - 1],
 * so that text may be read as a string.
 */
struct bytes {
	uint8_t *data;
	size_t len;
};

/* A borrowed run of bytes: never freed by its holder. */
struct text {
	const char *data;
	size_t len;
};

#define TEXT(literal) ((struct text){ (literal), sizeof(literal) - 1 })

struct text text_of(const char *string); /* NULL gives the empty text */
struct text text_of_bytes(const struct bytes *b);
bool text_equal(struct text a, const char *string);

/* Allocate len zero bytes. */
enum err_code bytes_alloc(struct bytes *ret, size_t len, struct err *err) MUST_CHECK;
enum err_code bytes_copy(
    struct bytes *ret, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Wipe and free; the value is empty afterwards.  For AUTO(). */
void bytes_done(struct bytes *b);
/* Hand over: returns the value and leaves *from empty. */
struct bytes bytes_take(struct bytes *from);
/* Same length and content, compared in constant time for equal lengths. */
bool bytes_equal(const struct bytes *a, const struct bytes *b);

/* Overwrite so that the compiler cannot drop it. */
void mem_wipe(void *data, size_t len);
/* free() for strings that may hold secrets: wiped over their length first.  For AUTO(). */
void str_freep(char **string);
enum err_code str_copy(char **ret, const char *string, struct err *err) MUST_CHECK;
enum err_code str_format(char **ret, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4))) MUST_CHECK;

/* close() a descriptor that is not negative and set it to -1, errno untouched.  For AUTO(). */
void fd_closep(int *fd);
/* Hand over a descriptor: returns it and leaves -1. */
int fd_take(int *fd);

#endif
