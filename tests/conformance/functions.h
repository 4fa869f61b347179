#ifndef TESTS_CONFORMANCE_FUNCTIONS_H
#define TESTS_CONFORMANCE_FUNCTIONS_H

#include "tests/conformance/conformance.h"

/* The functions of a library, loaded by functions_subject.open().  Of a library of 2.0 the three of 2.1 are NULL. */
extern AZIOT_KEYS_GET_FUNCTION_LIST *entry;
extern AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 functions;

/* A call that fills a buffer, with everything but the buffer in arguments. */
typedef AZIOT_KEYS_RC fill(const void *arguments, unsigned char *out, uintptr_t *out_len);

/* Both calls, as a host makes them; a breach of the buffer rules ends the row. */
enum outcome filled(const char *name, fill *call, const void *arguments, size_t in_len, bool exact,
    struct bytes *ret);
/* The second call alone, with a buffer of that size. */
enum outcome filled_into(
    const char *name, fill *call, const void *arguments, size_t size, struct bytes *ret);
/* 0, 1 and 2; others end the row. */
enum outcome outcome_of_rc(const char *name, AZIOT_KEYS_RC rc);

/* Arguments of sign, encrypt, decrypt and derive_key; for these fill_... are the calls. */
struct use {
	const char *id;
	unsigned mechanism;
	const void *parameters;
	const void *in;
	size_t in_len;
};
fill fill_sign, fill_encrypt, fill_decrypt, fill_derive;

struct parameter_use {
	const char *id;
	unsigned type;
};
fill fill_parameter;

/* Empty runs of bytes lie somewhere. */
const uint8_t *somewhere(const struct bytes *b);

#endif
