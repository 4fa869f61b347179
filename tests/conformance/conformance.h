#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stdnoreturn.h>

#include "base/mem.h"
#include "keyd/aziot_keys.h"
#include "keyd/backend.h"

/*
 * One contract test for every key backend (docs/key-backends.md).  A row is a rule; each of its steps runs in a process of its own
 * with a deadline, so that a crash or a hang is the row's result.  A row speaks to a subject, which is a backend of keyd or the
 * bare functions of a library.
 */

/* What came of a call: a library's 0, 1 and 2; a backend's errors are made alike. */
enum outcome { DONE, REFUSED, TROUBLE };

/* How to encrypt or decrypt. */
struct how {
	enum keyd_cipher cipher;
	struct bytes iv, aad;
};

struct subject {
	const char *title;
	bool functions; /* the bare functions: calls one at a time, no backend around them */

	/* Open it in this process; ends the row when it cannot be.  Once, before everything else. */
	void (*open)(void);
	enum outcome (*create_key)(const char *id, unsigned usage);
	enum outcome (*create_pair)(const char *id, enum key_algorithm algorithm);
	enum outcome (*load)(const char *id, enum key_kind kind);
	enum outcome (*import)(const char *id, unsigned usage, const struct bytes *value);
	enum outcome (*move)(const char *from, const char *to);
	enum outcome (*remove)(const char *id, enum key_kind kind);
	enum outcome (*parameter)(const char *id, enum key_parameter which, struct bytes *ret);
	enum outcome (*sign)(
	    const char *id, enum keyd_mech mech, const struct bytes *data, struct bytes *ret);
	enum outcome (*encrypt)(
	    const char *id, const struct how *how, const struct bytes *in, struct bytes *ret);
	enum outcome (*decrypt)(
	    const char *id, const struct how *how, const struct bytes *in, struct bytes *ret);
	enum outcome (*derive)(const char *id, const struct bytes *data, struct bytes *ret);
	/* What it said of the last call, or "". */
	const char *(*said)(void);
};

extern const struct subject backend_subject;   /* subject_backend.c */
extern const struct subject functions_subject; /* subject_functions.c */
/* Has the library version 2.0 alone?  Then keyd answers success to moving and deleting, and nothing happens. */
bool library_is_old(void);

/* What is tested, from the command line. */
struct target {
	const char *backend; /* "file", "pkcs11", "tpm" or "plugin" */
	const char *library, *token, *homedir, *tpmd;
	const struct backend_parameter *parameters; /* in the order of their names */
	size_t n_parameters;
};
extern struct target target;

/* --- for rows: in the process of a step */

extern const struct subject *subject;

/* End the row with that verdict: broken, or not offered by the backend. */
noreturn void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
noreturn void not_offered(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Fail unless got is wanted; what names the call. */
void must(const char *what, enum outcome got, enum outcome wanted);
/* As must(DONE), but REFUSED ends the row as not offered. */
void must_offer(const char *what, enum outcome got);

#define IDS_MAX 32
/* An id of this row's and this run's own, the same in each of its steps; deleted when the row is over. */
const char *id_of(const char *name);
/* Bytes that a step leaves for the next one of its row. */
void keep(size_t slot, const struct bytes *value);
struct bytes kept(size_t slot);

/* --- rows */

typedef void step(void);

struct row {
	const char *name;
	const char *clause; /* section of docs/key-backends.md */
	step *steps[3];
};

extern const struct row common_rows[];	  /* rows_common.c */
extern const struct row functions_rows[]; /* rows_functions.c */
extern const size_t n_common_rows, n_functions_rows;

/* --- the judge: libcrypto, and nothing of ours (judge.c) */

struct bytes judge_hmac(const struct bytes *key, const struct bytes *data);
/* Does the signature verify with the key that the public parameters name? */
bool judge_ecdsa(
    const struct bytes *point, const struct bytes *digest, const struct bytes *signature);
/* The public operation over data: with the padding of type 1 taken away, or as it is; no bytes if that fails. */
struct bytes judge_rsa(const struct bytes *modulus, const struct bytes *exponent, bool pkcs1,
    const struct bytes *data);
/* AES-256-GCM as 01 | tag | ciphertext, or 02 | ciphertext | tag. */
struct bytes judge_seal(unsigned version, const struct bytes *key, const struct how *how,
    const struct bytes *plaintext);
struct bytes judge_random(size_t len);
struct bytes text_bytes(const char *text); /* borrowed, not to be freed */

#endif
