#ifndef TPMD_WRAPPED_H
#define TPMD_WRAPPED_H

#include <tss2/tss2_mu.h>

#include "base/mem.h"
#include "crypto/digest.h"
#include "wire/tpmd.h"

/*
 * Objects that live below the storage root key and are kept by whoever asked for them, as the two blobs that TPM2_Create gives:
 * TPM2B_PUBLIC and TPM2B_PRIVATE.  The latter only the TPM that made it can open.
 */
enum wrapped_kind {
	WRAPPED_EC_P256,  /* signs */
	WRAPPED_RSA_2048, /* signs and does the raw private operation */
	WRAPPED_HMAC,	  /* keyed hash with SHA-256 */
	WRAPPED_SEALED,	  /* data */
	WRAPPED_KINDS
};

struct wrapped {
	enum wrapped_kind kind;
	TPM2B_PUBLIC area;
	TPM2B_PRIVATE private;
	uint8_t digest[SHA256_LEN]; /* of both blobs; tells objects apart */
};

/*
 * What TPM2_Create is asked for.
 *   given   the TPM does not make the sensitive part itself, it is given
 */
TPM2B_PUBLIC wrapped_template(enum wrapped_kind kind, bool given);

/*
 * Take both blobs apart, whole: sizes must add up, and the public area must be one that wrapped_template leads to, byte for byte.
 * ERR_INVALID: it is not; the text says in what.
 */
enum err_code wrapped_parse(
    const struct tpmd_object *blobs, struct wrapped *ret, struct err *err) MUST_CHECK;
/* The blobs of what a TPM has made. */
enum err_code wrapped_blobs(const TPM2B_PUBLIC *area, const TPM2B_PRIVATE *private,
    struct tpmd_object *ret, struct err *err) MUST_CHECK;

#endif
