#ifndef KEYD_MECH_H
#define KEYD_MECH_H

#include "base/mem.h"

/*
 * The symmetric algorithms that keyd computes itself, fetched from libcrypto once: fetching costs more than a short HMAC.
 * Every function may be called by several threads at once.
 */
struct mech;

enum err_code mech_new(struct mech **ret, struct err *err) MUST_CHECK;
void mech_free(struct mech *m);

#define MECH_HMAC_LEN 32

/* HMAC-SHA256 with a kept key. */
struct mech_hmac;

enum err_code mech_hmac_new(const struct mech *m, const struct bytes *key, struct mech_hmac **ret,
    struct err *err) MUST_CHECK;
void mech_hmac_free(struct mech_hmac *h);
/* ret: 32 bytes; data of any length. */
enum err_code mech_hmac_sign(
    struct mech_hmac *h, const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;

/*
 * AES-256-GCM as contracts/keyd.md 4.9 frames it: 02 | ciphertext | tag; 01 | tag | ciphertext is read as well.
 *   key   32 bytes, else ERR_INVALID
 *   iv    any length; the empty one is ERR_CRYPTO, as upstream answers it (client-facts.md 13)
 * mech_aead_open: ERR_INVALID: shorter than 17 bytes, or another version; ERR_CRYPTO: the tag does not fit.
 */
enum err_code mech_aead_seal(const struct mech *m, const struct bytes *key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *plaintext, struct bytes *ret,
    struct err *err) MUST_CHECK;
enum err_code mech_aead_open(const struct mech *m, const struct bytes *key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *ciphertext, struct bytes *ret,
    struct err *err) MUST_CHECK;

#endif
