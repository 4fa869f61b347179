#ifndef KEYD_HANDLE_H
#define KEYD_HANDLE_H

#include "base/mem.h"

/*
 * Handles: what a caller holds instead of a key.
 *
 *	ek1.<base64url of AES-SIV(K, kind | epoch | id | derivation data)>
 *
 * The same key gives the same handle, as long as K lives; nothing can be read from one, and none can be made or changed
 * without K (decisions.md, Handles; index-identity.md S1, S3).  It is ASCII without space, '=', '+' or '/'.
 */
enum handle_kind {
	HANDLE_KEY = 1,
	HANDLE_PAIR,
	HANDLE_DERIVED_KEY,  /* of a symmetric key */
	HANDLE_DERIVED_PAIR, /* of a key pair, whose PEM text is the base key */
};

#define HANDLE_SECRET_LEN 32
#define HANDLE_ID_MAX	  1024 /* bytes; older keys may have ids longer than KEYD_ID_MAX */
#define HANDLE_DATA_MAX	  4096 /* bytes of derivation data */

/* What a handle says. */
struct handle {
	enum handle_kind kind;
	uint64_t epoch;	   /* of the id when the handle was made; see epoch.h */
	char *id;	   /* UTF-8 without NUL */
	struct bytes data; /* derivation data; empty for keys and pairs */
};

void handle_done(struct handle *h); /* for AUTO() */

/* K, ready for use by any number of threads. */
struct handle_secret;

/* secret: exactly HANDLE_SECRET_LEN bytes. */
enum err_code handle_secret_new(
    const struct bytes *secret, struct handle_secret **ret, struct err *err) MUST_CHECK;
void handle_secret_free(struct handle_secret *s);

/* Free the text with str_freep.  ERR_INVALID: id or data too long. */
enum err_code handle_seal(const struct handle_secret *s, const struct handle *h, char **ret_text,
    struct err *err) MUST_CHECK;
/* ERR_INVALID `invalid handle`: not one of ours, whatever the reason. */
enum err_code handle_open(
    struct handle_secret *s, const char *text, struct handle *ret, struct err *err) MUST_CHECK;

#endif
