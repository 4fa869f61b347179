#ifndef TPMD_TPM_PRIV_H
#define TPMD_TPM_PRIV_H

#include <pthread.h>
#include <tss2/tss2_esys.h>

#include "crypto/digest.h"
#include "tpmd/tpm.h"

/* What the files of the domain share. */

/* The object that stays loaded between two uses; guarded by struct tpm's lock. */
struct tpm_held {
	ESYS_TR object; /* ESYS_TR_NONE: none */
	uint8_t digest[SHA256_LEN];
	uint64_t until_ms; /* as clock_mono_ms() counts */
	pthread_cond_t change;
	pthread_t keeper;
	bool kept, ending;
};

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
	struct tpm_held held;
};

typedef enum err_code tpm_work(struct tpm *t, void *ctx, struct err *err);

/*
 * Run work with a connection and under the lock, and once more with a new one where the old one turns out to be broken.
 * ERR_BUSY: others had the TPM for TPM_WAIT_MS.
 */
enum err_code tpm_with(struct tpm *t, tpm_work *work, void *ctx, struct err *err) MUST_CHECK;

/* A failed command as an error: "WHAT: TPM error 0x921".  Notes when the connection must be made anew. */
enum err_code tpm_fail(struct tpm *t, const char *what, TSS2_RC rc, struct err *err);
/* Does the code say that there is nothing at a handle? */
bool tpm_is_missing(TSS2_RC rc);
/* Forget a transient object or a session, if there is one. */
void tpm_flush(struct tpm *t, ESYS_TR *object);
/* Under lock: a new connection where the old one broke, so that what a flush left behind is swept though nobody calls. */
void tpm_mend(struct tpm *t);
/*
 * Overwrite what the library's own memory still has of secrets: the parameters of a Create or Import, and the buffer of commands and
 * answers.  By calls that reach no TPM: a Create below an object that is none, and a long command that is never sent.
 */
void tpm_scrub(struct tpm *t);
/* Esys_Free for AUTO(). */
void tpm_freep(void *pointer);

/* tpm_keys.c: find or make both keys; connected, under lock. */
enum err_code tpm_provide_keys(struct tpm *t, struct err *err) MUST_CHECK;
/* tpm_import.c, under lock */
struct tpm_blob;
enum err_code tpm_import_parsed(
    struct tpm *t, const struct tpm_blob *blob, struct err *err) MUST_CHECK;
/* tpm_held.c, under lock: load an object, to be flushed; or have it as the one that is held, flushed by whoever needs the room. */
struct wrapped;
enum err_code tpm_load(
    struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err) MUST_CHECK;
enum err_code tpm_hold(
    struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err) MUST_CHECK;
void tpm_held_drop(struct tpm *t);
/* For good; called under lock, which it releases. */
void tpm_held_end(struct tpm *t);
/* tpm_sign.c, under lock: HMAC-SHA256 by that key. */
enum err_code tpm_hmac(struct tpm *t, ESYS_TR key, const struct bytes *data,
    struct bytes *ret_digest, struct err *err) MUST_CHECK;
/* The object at the authentication key's handle, the context's.  ERR_NOT_FOUND: none. */
enum err_code tpm_auth_key(struct tpm *t, ESYS_TR *ret, struct err *err) MUST_CHECK;

#endif
