#ifndef TPMD_TPM_PRIV_H
#define TPMD_TPM_PRIV_H

#include <pthread.h>
#include <tss2/tss2_esys.h>

#include "tpmd/tpm.h"

/* What the files of the domain share. */
struct tpm {
	const struct tcti *tcti;
	TPM2_HANDLE auth_handle;
	TPM2B_AUTH endorsement_auth, owner_auth;

	pthread_mutex_t lock; /* over the connection: ESAPI is not thread-safe */
	TSS2_TCTI_CONTEXT *connection;
	ESYS_CONTEXT *esys; /* NULL: not connected */
	ESYS_TR ek, srk;
	ESYS_TR auth; /* ESYS_TR_NONE: not looked for yet, or not there */
	bool broken;  /* the connection or what we know of the TPM is of no use any more */
};

/* A failed command as an error: "WHAT: TPM error 0x921".  Notes when the connection must be made anew. */
enum err_code tpm_fail(struct tpm *t, const char *what, TSS2_RC rc, struct err *err);
/* Does the code say that there is nothing at a handle? */
bool tpm_is_missing(TSS2_RC rc);
/* Forget a transient object or a session, if there is one. */
void tpm_flush(struct tpm *t, ESYS_TR *object);
/* Esys_Free for AUTO(). */
void tpm_freep(void *pointer);

/* tpm_keys.c: find or make both keys; connected, under lock. */
enum err_code tpm_provide_keys(struct tpm *t, struct err *err) MUST_CHECK;
/* tpm_import.c, under lock */
struct tpm_blob;
enum err_code tpm_import_parsed(
    struct tpm *t, const struct tpm_blob *blob, struct err *err) MUST_CHECK;
/* tpm_sign.c, under lock: HMAC-SHA256 by that key. */
enum err_code tpm_hmac(struct tpm *t, ESYS_TR key, const struct bytes *data,
    struct bytes *ret_digest, struct err *err) MUST_CHECK;
/* The object at the authentication key's handle, the context's.  ERR_NOT_FOUND: none. */
enum err_code tpm_auth_key(struct tpm *t, ESYS_TR *ret, struct err *err) MUST_CHECK;

#endif
