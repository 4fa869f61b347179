#ifndef KEYD_DOCTOR_H
#define KEYD_DOCTOR_H

#include <stdio.h>

#include "keyd/layout.h"
#include "keyd/pkcs11_token.h"
#include "platform/daemon.h"

/*
 * What `edgekeep doctor keys` has keyd find out about its places for keys, as the service user and in a key worker's sandbox: the roles
 * "doctor" and, for the places whose configuration says `network = true`, "doctor-network".
 *
 * On stdout, a line each, its words split by tabs:
 *
 *	step	PLACE	WHAT			about to be done; the last one tells where it hung or crashed
 *	ok	PLACE	WHAT
 *	note	PLACE	CODE	TITLE	CAUSE	REMEDY	worth knowing
 *	bad	PLACE	CODE	TITLE	CAUSE	REMEDY	something that keyd cannot work with, or should not
 *	confine			libraries are loaded, the policy comes: who ends now is keyd, and it has said why
 *	network			there are places for doctor-network
 *	end
 *
 * On stdin, if that is a pipe: a URI to be examined in place of the configured one, or nothing.
 */

/* Every finding; the codes are for good.  doctor.c has their texts. */
enum doctor_finding {
	DOCTOR_LIBRARY_MISSING,
	DOCTOR_LIBRARY_BROKEN,
	DOCTOR_NO_MODULE,
	DOCTOR_BAD_LIST,
	DOCTOR_INITIALIZE,
	DOCTOR_MODULE_CONFIG,
	DOCTOR_LIBRARY_OPEN,
	DOCTOR_NO_TOKEN,
	DOCTOR_WRONG_LABEL,
	DOCTOR_WRONG_SLOT,
	DOCTOR_TWO_TOKENS,
	DOCTOR_UNINITIALISED,
	DOCTOR_BAD_URI,
	DOCTOR_READ_ONLY,
	DOCTOR_NO_SESSION,
	DOCTOR_NO_PIN,
	DOCTOR_PIN_FILE,
	DOCTOR_PIN_FILE_OPEN,
	DOCTOR_PIN_FORM,
	DOCTOR_PIN_WRONG,
	DOCTOR_PIN_LOCKED,
	DOCTOR_PIN_FINAL,
	DOCTOR_PIN_LOW,
	DOCTOR_LOGIN,
	DOCTOR_MECHANISM,
	DOCTOR_MECHANISM_SECRET,
	DOCTOR_GENERATE,
	DOCTOR_SIGN,
	DOCTOR_VERIFY,
	DOCTOR_ENCRYPT,
	DOCTOR_REMOVE,
	DOCTOR_SLOW,
	DOCTOR_DUPLICATE,
	DOCTOR_CERT_EXPIRED,
	DOCTOR_HOME_MISSING,
	DOCTOR_HOME_OWNER,
	DOCTOR_HOME_OPEN,
	DOCTOR_SECRET_OPEN,
	DOCTOR_FINDINGS
};

/* A place with a PKCS#11 module. */
struct doctor_token {
	const struct backend_config *config;
	struct pkcs11_module *module; /* NULL: cannot be loaded */
	bool left_out;		      /* not to be examined */
	struct PKCS11_ctx_st *certs;  /* libp11's own hold of it; doctor_certs.c */
};

struct doctor {
	FILE *out;
	const char *place; /* that is examined now */
	struct mech *mech;
	char *uri;		    /* in place of the configured ones; NULL: none */
	struct pkcs11_notes *notes; /* PINs that were refused, by whichever place's module */
	struct doctor_token tokens[STORES_MAX];
	size_t n_tokens;
};

/* The words that follow are cut at line ends; what a module wrote may be among them. */
void doctor_step(const struct doctor *d, const char *what);
void doctor_ok(const struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_find(const struct doctor *d, enum doctor_finding which, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* doctor_files.c: may others write what nobody else should, or read what nobody else may? */
void doctor_home(struct doctor *d, const char *homedir);
void doctor_library(struct doctor *d, const char *library);
void doctor_pin_file(struct doctor *d, const char *path);

/* doctor_token.c: before the policy, and under it. */
void doctor_load(struct doctor *d, struct doctor_token *t);
void doctor_examine(struct doctor *d, struct doctor_token *t);
/* Has this place, loaded, the token of d->uri?  What cannot be told is for doctor_examine to say: true. */
bool doctor_has_token(const struct doctor *d, const struct doctor_token *t);

/* doctor_certs.c: at the end, before the module is closed. */
void doctor_certs_done(struct doctor_token *t);

/* Steps of the roles (platform/daemon.h). */
enum err_code doctor_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code doctor_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code doctor_serve(struct daemon *d, struct err *err) MUST_CHECK;
void doctor_done(struct daemon *d);

#endif
