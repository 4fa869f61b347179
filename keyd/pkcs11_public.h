#ifndef KEYD_PKCS11_PUBLIC_H
#define KEYD_PKCS11_PUBLIC_H

#include <openssl/evp.h>

#include "keyd/pkcs11_object.h"

/*
 * The public half of a pair, from attributes of its objects.  An EC point may stand in an OCTET STRING or bare (contracts/pkcs11.md
 * 4); of RSA keys the private object knows the public numbers as well.  ERR_UNSUPPORTED: a kind of key that nothing here uses.
 * ERR_INTERNAL: the attributes are missing or make no key.
 */
enum err_code pkcs11_public_read(struct pkcs11_session *s, const struct pkcs11_found *found,
    EVP_PKEY **ret, struct err *err) MUST_CHECK;

/* CKA_EC_PARAMS of a curve: the DER of its OID. */
enum err_code pkcs11_curve_params(int nid, struct bytes *ret, struct err *err) MUST_CHECK;

/* r | s of twice `half` bytes as DER ECDSA-Sig-Value.  ERR_PROTOCOL: of another length. */
enum err_code pkcs11_ecdsa_der(
    const struct bytes *raw, size_t half, struct bytes *ret, struct err *err) MUST_CHECK;

#endif
