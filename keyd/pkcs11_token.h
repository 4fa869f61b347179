#ifndef KEYD_PKCS11_TOKEN_H
#define KEYD_PKCS11_TOKEN_H

#include <stdint.h>

#include "keyd/pkcs11_module.h"
#include "keyd/pkcs11_notes.h"

/*
 * One token of a module: its sessions and its login (contracts/pkcs11.md 6).  Looked for when it is used, so it may be absent at
 * first, and looked for anew when it went away.  Every function may be called by several threads at once; all of them wait.
 *
 * The PIN is read when it is needed and wiped at once.  It is never sent where the token counts its final try or is locked, and
 * one that was refused not a second time (pkcs11_notes.h): on a real token three mistakes destroy it.
 */
struct pkcs11_token;

/* URIs of one module; their PINs serve for every token that they name. */
struct pkcs11_uris {
	const struct pkcs11_uri *at;
	size_t n;
};

/* Nothing is called yet.  module, uri, uris and notes must outlive the result. */
enum err_code pkcs11_token_new(struct pkcs11_module *module, const struct pkcs11_uri *uri,
    const struct pkcs11_uris *uris, struct pkcs11_notes *notes, struct pkcs11_token **ret,
    struct err *err) MUST_CHECK;
void pkcs11_token_free(struct pkcs11_token *t);
const struct pkcs11_uri *pkcs11_token_uri(const struct pkcs11_token *t);

/* A session for one piece of work. */
struct pkcs11_session {
	struct pkcs11_token *token;
	const struct ck_function_list *calls;
	ck_session_handle_t handle;
	ck_slot_id_t slot;
	uint64_t generation; /* handles of objects are good within one */
	ck_rv_t rv;	     /* what failed last; pkcs11_session_failed */
};

/* What is done with a session.  May be called twice: begins with no side effect of an earlier call in mind. */
typedef enum err_code pkcs11_work(struct pkcs11_session *s, void *arg, struct err *err);

/*
 * Do work with a session, alone where it changes objects, logged in where there is a PIN; where token, session or object went away, once more after everything
 * was opened anew.  ERR_UNREACHABLE: the token is not there, or cannot be logged in to.  ERR_BUSY: no session was free.
 */
enum err_code pkcs11_token_work(struct pkcs11_token *t, enum pkcs11_access access,
    pkcs11_work *work, void *arg, struct err *err) MUST_CHECK;

/* As pkcs11_failed, and remembered for the session's end. */
enum err_code pkcs11_session_failed(
    struct pkcs11_session *s, struct err *err, const char *what, ck_rv_t rv);

/*
 * Send the PIN for the one operation that the session has begun, with a key that wants that for each (CKA_ALWAYS_AUTHENTICATE).
 * ERR_UNREACHABLE: there is none, or it is not accepted.
 */
enum err_code pkcs11_session_confirm(struct pkcs11_session *s, struct err *err) MUST_CHECK;

/*
 * Is this still the token that was opened, and logged in to?  To be asked before an object that was not found counts as missing: a
 * token that went away may just show no objects (contract 4), and one that nobody is logged in to shows the public ones.
 * ERR_UNREACHABLE: no.
 */
enum err_code pkcs11_session_check_token(struct pkcs11_session *s, struct err *err) MUST_CHECK;

/*
 * The URI whose PIN serves for a token: its own, else any other that names the same token, as upstream shares one login.  NULL: none
 * has one.
 */
const struct pkcs11_uri *pkcs11_pin_uri(const struct pkcs11_uri *own,
    const struct pkcs11_uris *uris, ck_slot_id_t slot, const struct ck_token_info *info);
/* The PIN of a URI, ready to be sent.  ERR_UNREACHABLE: its file cannot be read, or it holds what is no PIN.  ret stays empty
 * where the URI has none. */
enum err_code pkcs11_pin_read(
    const struct pkcs11_uri *uri, struct bytes *ret, struct err *err) MUST_CHECK;

#endif
