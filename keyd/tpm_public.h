#ifndef KEYD_TPM_PUBLIC_H
#define KEYD_TPM_PUBLIC_H

#include "base/mem.h"
#include "keyd/backend.h"

/*
 * The public area of a key that tpmd makes (tpmd(8)), without the libraries of a TPM: there are four, and all but the numbers in
 * them is known byte for byte.
 */
enum tpm_key_kind { TPM_KEY_EC_P256, TPM_KEY_RSA_2048, TPM_KEY_HMAC };

#define TPM_EC_LEN  32
#define TPM_RSA_LEN 256

struct tpm_public {
	enum tpm_key_kind kind;
	uint8_t x[TPM_EC_LEN], y[TPM_EC_LEN]; /* EC: the point, filled up with zeros in front */
	uint8_t modulus[TPM_RSA_LEN];	      /* RSA; its exponent is 65537 */
};

/* Read a marshalled TPM2B_PUBLIC.  ERR_SYNTAX: none of the four. */
enum err_code tpm_public_read(
    const struct bytes *in, struct tpm_public *ret, struct err *err) MUST_CHECK;
/* ERR_INVALID: the key has no such parameter (contracts/keyd.md 4.6). */
enum err_code tpm_public_parameter(const struct tpm_public *p, enum key_parameter which,
    struct bytes *ret, struct err *err) MUST_CHECK;
/*
 * The block of PKCS#1 type 1 around data (RFC 8017, 9.2 step 5): 00 01 ff.. 00 data.  ret: TPM_RSA_LEN bytes.
 * ERR_CRYPTO: data is longer than what leaves eight ff.
 */
enum err_code tpm_public_pad(
    const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;

#endif
