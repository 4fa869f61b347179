#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>
#include <stdint.h>

/*
 * One error type for the whole tree: a code for the machine and a text for the reader.  The text's
 * first line is the outermost statement, each further line begins with "caused by: "
 * (contracts/common.md 5, error body).  No allocation: an error can always be reported.
 *
 * A function that can fail returns enum err_code, takes struct err * last, and writes its ret_
 * parameters on success only.
 */
#define ERR_TEXT_MAX 1024

#define MUST_CHECK __attribute__((warn_unused_result))

enum err_code {
	ERR_OK = 0,
	ERR_INVALID, /* a parameter has an invalid value; where a contract says so, also "not found" */
	ERR_SYNTAX,    /* a body or member that cannot be read: JSON, base64, missing, type (422) */
	ERR_NO_BODY,   /* the request needs a body and has none */
	ERR_DENIED,    /* the caller may not do this */
	ERR_NOT_FOUND, /* there is no such thing */
	ERR_UNSUPPORTED, /* cannot be done here; elsewhere it may be */
	ERR_CONFLICT,	 /* exists already, or is in a state that forbids it */
	ERR_WOULD_BLOCK, /* cannot be answered without waiting; no side effect so far (architecture.md 3) */
	ERR_BUSY,	 /* a bounded queue is full; try again */
	ERR_UNREACHABLE, /* no connection to a peer: refused, reset, no such name, no such socket */
	ERR_TIMEOUT,	 /* a deadline has passed */
	ERR_PEER,	 /* a peer answered with an error status, kept in err->status */
	ERR_PROTOCOL,	 /* a peer's answer cannot be understood */
	ERR_CONFIG,	 /* the configuration is wrong */
	ERR_IO,		 /* a system call failed */
	ERR_CRYPTO,	 /* libcrypto, a token or a TPM failed, or a tag did not verify */
	ERR_NOMEM,	 /* out of memory */
	ERR_INTERNAL,	 /* anything else */
	ERR_CODES
};

struct err {
	enum err_code code;
	uint16_t status; /* ERR_PEER: the peer's HTTP status, else 0 */
	char text[ERR_TEXT_MAX];
};

/* Name of a code for logs and tests, "ERR_INVALID"; "ERR_?" for an unknown one. */
const char *err_name(enum err_code code);

/* Set code and text, dropping what was there.  Returns code, so `return err_set(...)`.  Over-long text is cut. */
enum err_code err_set(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set with ERR_IO (ERR_NOMEM for ENOMEM, ERR_NOT_FOUND for ENOENT) and ": strerror(errno)" added. */
enum err_code err_errno(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* As err_set with ERR_NOMEM and a fixed text. */
enum err_code err_nomem(struct err *err);

/* Put a new outermost text before the present one, which becomes its "caused by: ".  Keeps and returns the code. */
enum err_code err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As err_wrap, and change the code too. */
enum err_code err_wrap_code(struct err *err, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The contract's `parameter "name" has an invalid value` as outermost text and ERR_INVALID as code
 * (contracts/common.md 5).  A present text becomes its cause; ERR_NOMEM, ERR_IO, ERR_CRYPTO,
 * ERR_INTERNAL and ERR_WOULD_BLOCK are kept as they are: they are not the caller's fault.
 */
enum err_code err_param(struct err *err, const char *name);

/* The text with its causes on one line, "outer: inner: innermost", for a log record; changed in place and returned. */
const char *err_one_line(struct err *err);

/* Back to ERR_OK and the empty text. */
void err_clear(struct err *err);

#endif
