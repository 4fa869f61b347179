#ifndef KEYD_PKCS11_KEY_H
#define KEYD_PKCS11_KEY_H

#include "keyd/backend.h"
#include "keyd/pkcs11_object.h"

/* Where a key lives. */
struct pkcs11_place {
	struct pkcs11_token *token;
	struct pkcs11_name name;
};

/* Does the private half of a pair sign for its public half?  One signature.  ERR_INTERNAL: no. */
enum err_code pkcs11_pair_try(
    struct pkcs11_session *s, const struct pkcs11_found *found, struct err *err) MUST_CHECK;

/*
 * Open the key at a place, as backend.h's find; a pair has signed once and its signature was verified.  place->name.id must outlive the
 * key.  Each use makes sure that the handle still is the object of that name, and looks for it anew where it is not.
 */
enum err_code pkcs11_key_open(
    const struct pkcs11_place *place, const char *id, struct key **ret, struct err *err) MUST_CHECK;

/* backend.h */
void pkcs11_key_free(struct key *key);
enum err_code pkcs11_key_check(struct key *key, enum key_kind kind, struct err *err) MUST_CHECK;
enum err_code pkcs11_key_parameter(
    struct key *key, enum key_parameter which, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code pkcs11_key_sign(struct key *key, enum keyd_mech mech, const struct bytes *data,
    struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code pkcs11_key_encrypt(struct key *key, const struct key_cipher *how,
    const struct bytes *plaintext, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code pkcs11_key_decrypt(struct key *key, const struct key_cipher *how,
    const struct bytes *ciphertext, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code pkcs11_key_derive(
    struct key *key, const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;

#endif
