#ifndef TPMD_TPM_PRIV_H
#define TPMD_TPM_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <tss2/tss2_esys.h>

#include "crypto/digest.h"
#include "tpmd/tpm.h"

/* What the files of the domain share.  Where nothing else is said, a function is called by the one whose turn it is. */

/* --- whose turn it is (tpm_turn.c) */

struct tpm;
/* Send the first command of a call whose turn comes next, where that can be done without waiting for an answer. */
typedef void tpm_begin(struct tpm *t, void *ctx);

/* One that waits in line for the TPM. */
struct tpm_turn {
	tpm_begin *begin; /* NULL: nothing can be sent ahead */
	void *ctx;
	struct tpm_turn *next;
	bool chosen; /* out of the line, being begun */
	sem_t come;
};

/* ERR_BUSY: others had the TPM for wait_ms. */
enum err_code tpm_take(
    struct tpm *t, struct tpm_turn *turn, unsigned wait_ms, struct err *err) MUST_CHECK;
/* Hand the TPM on, to the one that has waited longest. */
void tpm_pass(struct tpm *t);

/* --- state */

/* The object that stays loaded between two uses. */
struct tpm_held {
	ESYS_TR object;	 /* ESYS_TR_NONE: none */
	ESYS_TR session; /* private, for HMACs by it; ESYS_TR_NONE: none yet */
	uint8_t digest[SHA256_LEN];
	uint64_t until_ms; /* as clock_mono_ms() counts */
	/* the thread that puts it out; under struct tpm's lock */
	pthread_t keeper;
	pthread_cond_t change;
	bool kept, ending;
	uint64_t look_ms; /* when it is to look; 0: there is nothing to look for */
};

struct tpm {
	const struct tcti *tcti;
	TPM2_HANDLE auth_handle;
	TPM2B_AUTH endorsement_auth, owner_auth;
	bool bus_is_private;

	pthread_mutex_t lock; /* over the line; not held while the TPM works */
	bool taken;
	uint64_t taken_ms; /* since when, as clock_mono_ms() counts */
	struct tpm_turn *first, **last;

	/* of the one whose turn it is: ESAPI is not thread-safe */
	TSS2_TCTI_CONTEXT *connection;
	ESYS_CONTEXT *esys; /* NULL: not connected */
	ESYS_TR ek, srk;
	ESYS_TR auth; /* ESYS_TR_NONE: not looked for yet, or not there */
	bool broken;  /* the connection or what we know of the TPM is of no use any more */
	/*
	 * These keys have turned out to have a password, and to be guarded against guessing: each further try would bring the TPM
	 * nearer to its lock-out, so there is none.
	 */
	bool srk_refused, auth_refused;
	struct tpm_held held;
};

typedef enum err_code tpm_work(struct tpm *t, void *ctx, struct err *err);

/*
 * Wait for the turn and run work with a connection, and once more with a new one where the old one turns out to be broken.
 *   begin   NULL, or see above; work is told by ctx that its command is on its way
 * ERR_BUSY: others had the TPM for TPM_WAIT_MS.
 */
enum err_code tpm_with(
    struct tpm *t, tpm_begin *begin, tpm_work *work, void *ctx, struct err *err) MUST_CHECK;

/* A failed command as an error: "WHAT: TPM error 0x921".  Notes when the connection must be made anew. */
enum err_code tpm_fail(struct tpm *t, const char *what, TSS2_RC rc, struct err *err);
/* Does the code say that there is nothing at a handle? */
bool tpm_is_missing(TSS2_RC rc);
/* Does it say that a password was wrong, and was counted? */
bool tpm_is_refused(TSS2_RC rc);
/* Before a use of the key at that handle: has it been refused? */
enum err_code tpm_ask_key(bool refused, TPM2_HANDLE handle, struct err *err) MUST_CHECK;
/* Forget a transient object or a session, if there is one. */
void tpm_flush(struct tpm *t, ESYS_TR *object);
/* A new connection where the old one broke, so that what a flush left behind is swept though nobody calls. */
void tpm_mend(struct tpm *t);
/*
 * Overwrite what the library's own memory still has of secrets: the parameters of a Create or Import, and the buffer of commands and
 * answers.  By calls that reach no TPM: a Create below an object that is none, and a long command that is never sent.
 */
void tpm_scrub(struct tpm *t);
/* Esys_Free for AUTO(). */
void tpm_freep(void *pointer);

/* tpm_keys.c: find or make both keys; connected. */
enum err_code tpm_provide_keys(struct tpm *t, struct err *err) MUST_CHECK;
/* tpm_import.c */
struct tpm_blob;
enum err_code tpm_import_parsed(
    struct tpm *t, const struct tpm_blob *blob, struct err *err) MUST_CHECK;
/* tpm_held.c: load an object, to be flushed; or have it as the one that is held, flushed by whoever needs the room. */
struct wrapped;
enum err_code tpm_load(
    struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err) MUST_CHECK;
enum err_code tpm_hold(
    struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err) MUST_CHECK;
bool tpm_is_held(const struct tpm *t, const struct wrapped *w);
void tpm_held_drop(struct tpm *t);
/* End the thread; not in a turn, which that one may be waiting for. */
void tpm_held_end(struct tpm *t);
/*
 * tpm_session.c: a session that hides what crosses the bus (contracts/tpm2.md 5), and whose key only the storage root key's TPM can
 * know; to be flushed.
 *   direction   TPMA_SESSION_DECRYPT: the first parameter of commands; _ENCRYPT: that of responses
 */
#define TPM_BOTH_WAYS (TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)
enum err_code tpm_private_session(
    struct tpm *t, TPMA_SESSION direction, ESYS_TR *ret, struct err *err) MUST_CHECK;
/*
 * tpm_sign.c: HMAC-SHA256 by that key.
 *   session   ESYS_TR_PASSWORD, or a private one in both directions
 */
enum err_code tpm_hmac(struct tpm *t, ESYS_TR key, ESYS_TR session, const struct bytes *data,
    struct bytes *ret_digest, struct err *err) MUST_CHECK;
/* The object at the authentication key's handle, the context's.  ERR_NOT_FOUND: none. */
enum err_code tpm_auth_key(struct tpm *t, ESYS_TR *ret, struct err *err) MUST_CHECK;

#endif
