#ifndef TPMD_TPM_H
#define TPMD_TPM_H

#include "tpmd/tcti.h"

/*
 * The three keys that tpmd keeps in a TPM 2.0 (contracts/tpm2.md, tpmd.md 2); tpm_objects.h has those that callers keep.  One command at a time: callers wait in line, at
 * most TPM_WAIT_MS, then ERR_BUSY.  When the connection breaks or the TPM was reset, it is made anew once per call.
 */
struct tpm;

#define TPM_EK_HANDLE	  0x81010001
#define TPM_SRK_HANDLE	  0x81000001
#define TPM_AUTH_KEY_BASE 0x81000000 /* plus auth_key_index */
#define TPM_WAIT_MS	  25000

struct tpm_config {
	const struct tcti *tcti; /* borrowed */
	uint32_t auth_key_index;
	const char *endorsement,
	    *owner;	     /* passwords of the hierarchies, at most 64 bytes; NULL: empty */
	bool bus_is_private; /* nobody listens between processor and TPM: HMACs go in clear */
};

/*
 * Connect and see that endorsement key and storage root key are there: what stands at their handles is taken as it is, what is missing is
 * created by the contract's templates.  ERR_UNREACHABLE, ERR_CRYPTO with the TPM's code.
 */
enum err_code tpm_open(
    const struct tpm_config *config, struct tpm **ret, struct err *err) MUST_CHECK;
/* Start the thread that puts out what is held for too long (tpm_objects.h); call when the policy is in force. */
enum err_code tpm_start(struct tpm *t, struct err *err) MUST_CHECK;
/* False: a call still hangs in the TPM, and nothing that it uses may be freed, the TCTI's module neither. */
bool tpm_close(struct tpm *t);

/* Both public areas, each a marshalled TPM2B_PUBLIC. */
enum err_code tpm_keys(struct tpm *t, struct bytes *ret_endorsement_key,
    struct bytes *ret_storage_root_key, struct err *err) MUST_CHECK;
/* HMAC-SHA256 of data by the authentication key: the one imported, or found at its handle.  ERR_NOT_FOUND: there is none. */
enum err_code tpm_sign(
    struct tpm *t, const struct bytes *data, struct bytes *ret_digest, struct err *err) MUST_CHECK;
/*
 * Make the key in blob (tpm2.md 3) the authentication key.  The old one goes only once the new one has been loaded and has signed.
 * ERR_SYNTAX: the blob is not of that form; the TPM was not touched.
 */
enum err_code tpm_import(struct tpm *t, const struct bytes *blob, struct err *err) MUST_CHECK;
/* Is the TPM there and does it answer?  Is an authentication key there? */
enum err_code tpm_check(struct tpm *t, bool *ret_has_auth_key, struct err *err) MUST_CHECK;

#endif
