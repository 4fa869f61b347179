#ifndef BASE_B64_H
#define BASE_B64_H

#include "base/mem.h"

/*
 * Base64 of RFC 4648.  Standard alphabet: padding required, no line breaks, no stray bits in the last
 * character (contracts/common.md 6).  URL alphabet: unpadded (handles) or padded (X-Registry-Auth).
 */
enum b64_kind { B64_STD, B64_URL, B64_URL_PADDED };

/* ERR_SYNTAX: not strictly of that kind. */
enum err_code b64_decode(
    enum b64_kind kind, struct text in, struct bytes *ret, struct err *err) MUST_CHECK;
/* The same into out, of in.len * 3 / 4 bytes; false where b64_decode says ERR_SYNTAX.  Wipe out in any case. */
bool b64_decode_to(enum b64_kind kind, struct text in, uint8_t *out, size_t *ret_len) MUST_CHECK;
/* A NUL-terminated string; free with str_freep. */
enum err_code b64_encode(
    enum b64_kind kind, const void *data, size_t len, char **ret, struct err *err) MUST_CHECK;
/* Characters needed for len bytes, without the NUL. */
size_t b64_encoded_len(enum b64_kind kind, size_t len);
/* As b64_encode into out, which must hold b64_encoded_len + 1. */
void b64_encode_to(enum b64_kind kind, const void *data, size_t len, char *out);

#endif
