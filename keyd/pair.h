#ifndef KEYD_PAIR_H
#define KEYD_PAIR_H

#include <openssl/evp.h>

#include "keyd/backend.h"

/* A key pair in memory, with signing contexts kept ready.  Every function may be called by several threads at once. */
struct pair;

/* Make one; PEM PKCS#8, unencrypted.  RSA takes from a tenth of a second to seconds. */
enum err_code pair_generate(
    enum key_algorithm algorithm, struct bytes *ret_pem, struct err *err) MUST_CHECK;
/* ERR_SYNTAX: no unencrypted private key in PEM, or one that is neither EC nor RSA nor Ed25519. */
enum err_code pair_read(const struct bytes *pem, struct pair **ret, struct err *err) MUST_CHECK;
/* The public half of one whose private half is elsewhere; for pair_parameter alone.  Takes pkey over, on failure too. */
enum err_code pair_public(EVP_PKEY *pkey, struct pair **ret, struct err *err) MUST_CHECK;
void pair_free(struct pair *p);

/* Does a private operation over len bytes take long (RSA over 2048 bits, EC other than P-256, EdDSA of a long message)? */
bool pair_is_slow(const struct pair *p, size_t len);

/*
 * ERR_INVALID: the parameter is not one of this algorithm, or the curve has none of ours (contracts/keyd.md 4.6).  Ed25519 has
 * a curve and a point as well: OID 1.3.101.112 (RFC 8410, 3) and the 32 bytes of RFC 8032.
 */
enum err_code pair_parameter(
    const struct pair *p, enum key_parameter which, struct bytes *ret, struct err *err) MUST_CHECK;

#define PAIR_DIGEST_MIN 20
#define PAIR_DIGEST_MAX 64

/* DER ECDSA-Sig-Value over a digest of 20..64 bytes, cut to the size of the order (FIPS 186-4, 6.4).  ERR_INVALID: not an EC key. */
enum err_code pair_ecdsa(
    struct pair *p, const struct bytes *digest, struct bytes *ret, struct err *err) MUST_CHECK;
/* The 64 bytes of PureEdDSA over a message of any length (RFC 8032, 5.1.6).  ERR_INVALID: not an Ed25519 key. */
enum err_code pair_eddsa(
    struct pair *p, const struct bytes *message, struct bytes *ret, struct err *err) MUST_CHECK;
/*
 * The private-key operation of contracts/keyd.md 4.9: over data behind PKCS#1 type-1 padding, or over data as it is, which
 * then has exactly the length of the modulus.  ERR_INVALID: not an RSA key; ERR_CRYPTO: data does not fit.
 */
enum err_code pair_rsa(struct pair *p, bool pkcs1, const struct bytes *data, struct bytes *ret,
    struct err *err) MUST_CHECK;

#endif
