#ifndef KEYD_PKCS11_USE_H
#define KEYD_PKCS11_USE_H

#include "keyd/pkcs11_object.h"

/* Operations of a token with one of its keys, each begun and ended within the call.  Errors are the table's (pkcs11_rv.h). */

/* How a key signs. */
struct pkcs11_signer {
	ck_object_handle_t key;
	ck_mechanism_type_t mechanism;
	bool confirm; /* it wants the PIN for each use */
};

/* C_Sign; a signature longer than max is ERR_PROTOCOL. */
enum err_code pkcs11_sign(struct pkcs11_session *s, const struct pkcs11_signer *by,
    struct text data, size_t max, struct bytes *ret, struct err *err) MUST_CHECK;

/* HMAC-SHA256: 32 bytes. */
enum err_code pkcs11_hmac(struct pkcs11_session *s, ck_object_handle_t key, struct text data,
    struct bytes *ret, struct err *err) MUST_CHECK;

/*
 * AES-GCM, framed as contracts/pkcs11.md 7 has it: 02 | ciphertext | tag.  The older frame is one of files only.  ERR_CRYPTO: the IV
 * is empty, or the tag does not fit.  ERR_INVALID: no such frame.
 */
enum err_code pkcs11_seal(struct pkcs11_session *s, ck_object_handle_t key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *plaintext, struct bytes *ret,
    struct err *err) MUST_CHECK;
enum err_code pkcs11_open(struct pkcs11_session *s, ck_object_handle_t key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *ciphertext, struct bytes *ret,
    struct err *err) MUST_CHECK;

#endif
