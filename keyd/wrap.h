#ifndef KEYD_WRAP_H
#define KEYD_WRAP_H

#include "keyd/mech.h"

/*
 * Key files encrypted at rest under one key-encryption key (KEK) of 32 bytes:
 *
 *   "edgekeep wrapped key 1\n" | nonce of 12 random bytes | 02 | ciphertext | tag of 16 bytes
 *
 * AES-256-GCM with the first line and the file's name (its last component) as additional data, so that no file can be passed off
 * as another.  The same key may seal 2^32 files with random nonces (NIST SP 800-38D, 8.3), counted over all rewrites: no device
 * comes near.  A file that does not begin with that line is a plain one.
 */
struct wrap;

#define WRAP_KEK_LEN  32
#define WRAP_OVERHEAD (23 + 12 + 1 + 16) /* bytes that a file grows by */

/* mech must outlive the result. */
enum err_code wrap_new(const struct mech *mech, const struct bytes *kek, struct wrap **ret,
    struct err *err) MUST_CHECK;
void wrap_free(struct wrap *w);

bool wrap_is_wrapped(const struct bytes *content);
/* name: the path of the file that it is for, or its last component. */
enum err_code wrap_seal(const struct wrap *w, const char *name, const struct bytes *plain,
    struct bytes *ret, struct err *err) MUST_CHECK;
/*
 * w NULL: there is no KEK.  ERR_INTERNAL whatever is wrong, with the remedy: a wrapped key is there and must never be taken for
 * missing.
 */
enum err_code wrap_open(const struct wrap *w, const char *name, const struct bytes *content,
    struct bytes *ret, struct err *err) MUST_CHECK;

#endif
