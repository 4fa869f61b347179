#ifndef TPMD_BLOB_H
#define TPMD_BLOB_H

#include <tss2/tss2_mu.h>

#include "base/mem.h"

/* An `authenticationKey` of DPS, taken apart (contracts/tpm2.md 3). */
struct tpm_blob {
	TPM2B_ID_OBJECT credential;    /* 1: holds the inner key, for ActivateCredential */
	TPM2B_ENCRYPTED_SECRET secret; /* 2: its seed */
	TPM2B_PRIVATE duplicate;       /* 3: the key itself, for Import */
	TPM2B_ENCRYPTED_SECRET seed;   /* 4: its seed */
	TPM2B_PUBLIC area;	       /* 5: its public area */
};

/*
 * Parse all of it, before a TPM is touched.  A sixth part, TPM2B_DATA with the encrypted name of the hub, may follow and is of no
 * interest.  ERR_CRYPTO: not of that form.
 */
enum err_code tpm_blob_parse(
    const struct bytes *in, struct tpm_blob *ret, struct err *err) MUST_CHECK;

#endif
