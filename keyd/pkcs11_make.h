#ifndef KEYD_PKCS11_MAKE_H
#define KEYD_PKCS11_MAKE_H

#include "keyd/pkcs11_key.h"

/*
 * Making, replacing and removing keys on a token, as backend.h's calls.  Whatever is made has been used once before it counts, cannot
 * be read or leave the token, and has a CKA_ID of its own besides its label; a key that is replaced counts until the new one does
 * (pkcs11_object.h).
 */
enum err_code pkcs11_make_pair(
    const struct pkcs11_place *place, enum key_algorithm algorithm, struct err *err) MUST_CHECK;
/* value NULL: random ones, unless there is a key; else these, in place of what is there. */
enum err_code pkcs11_make_key(const struct pkcs11_place *place, const struct mech *mech,
    unsigned usage, const struct bytes *value, struct err *err) MUST_CHECK;
enum err_code pkcs11_move(
    const struct pkcs11_place *from, const struct pkcs11_place *to, struct err *err) MUST_CHECK;
/* Private, public and secret keys of the name; certificates and data stay. */
enum err_code pkcs11_remove(const struct pkcs11_place *place, struct err *err) MUST_CHECK;
enum err_code pkcs11_exists(
    const struct pkcs11_place *place, bool *ret, struct err *err) MUST_CHECK;

#endif
