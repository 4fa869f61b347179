#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/mem.h"

#define SHA256_LEN 32

enum err_code digest_sha256(
    const void *data, size_t len, uint8_t out[SHA256_LEN], struct err *err) MUST_CHECK;
enum err_code digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_LEN], struct err *err) MUST_CHECK;
/* len random bytes from libcrypto's generator. */
enum err_code digest_random(void *out, size_t len, struct err *err) MUST_CHECK;
void digest_hex(const uint8_t *data, size_t len, char *out); /* lower case; out holds 2 * len + 1 */

/*
 * The file name that upstream gives to an id (contracts/keyd.md 6): "<A>-<H><suffix>", A the ASCII alphanumerics of id, H the
 * lower-case hex SHA-256 of it.  suffix ".key" or ".cer" or "".  Free with str_freep.
 */
enum err_code digest_file_name(
    const char *id, const char *suffix, char **ret, struct err *err) MUST_CHECK;

/* The newest libcrypto error as a short text (no secrets), and the queue emptied.  Sets ERR_CRYPTO. */
enum err_code err_openssl(struct err *err, const char *what);

#endif
