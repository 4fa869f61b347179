#ifndef KEYD_PKCS11_NOTES_H
#define KEYD_PKCS11_NOTES_H

#include "crypto/digest.h"
#include "keyd/pkcs11_rv.h"

/*
 * What is known of tokens and must not be forgotten when a module takes its process with it: which token is the device's, and what
 * came of the PINs that were sent.  It is kept in memory that outlives a worker (backend.h), and ends with keyd.  Thread-safe.
 */
struct pkcs11_notes;

/* memory: BACKEND_NOTES_LEN bytes that outlive the result, zero or as an earlier process left them; NULL: its own. */
enum err_code pkcs11_notes_new(void *memory, struct pkcs11_notes **ret, struct err *err) MUST_CHECK;
void pkcs11_notes_free(struct pkcs11_notes *n);

/* --- tokens */

/* What tells a token from another of its name. */
struct pkcs11_mark {
	unsigned char serial[16], label[32];
};

struct pkcs11_mark pkcs11_mark_of(const struct ck_token_info *info);

/* The token that was open under this name, the digest of a URI; false: none was. */
bool pkcs11_notes_token(
    struct pkcs11_notes *n, const uint8_t name[SHA256_LEN], struct pkcs11_mark *ret);
void pkcs11_notes_keep_token(
    struct pkcs11_notes *n, const uint8_t name[SHA256_LEN], const struct pkcs11_mark *mark);

/* --- PINs */

enum pkcs11_pin_state {
	PKCS11_PIN_GOOD, /* nothing is known against it */
	PKCS11_PIN_SENT, /* no answer came: the process ended, or the token went away */
	PKCS11_PIN_REFUSED,
};

/* From the look at what is known of a PIN to what became of it: two who send one at once, by two names, would spend two tries. */
void pkcs11_notes_begin_pin(struct pkcs11_notes *n);
void pkcs11_notes_end_pin(struct pkcs11_notes *n);

/* A PIN and the token that it is for, by whichever URI. */
enum err_code pkcs11_pin_digest(const struct ck_token_info *info, const struct bytes *pin,
    uint8_t ret[SHA256_LEN], struct err *err) MUST_CHECK;

/* ret_rv: what refused it. */
enum pkcs11_pin_state pkcs11_notes_pin(
    struct pkcs11_notes *n, const uint8_t pin[SHA256_LEN], ck_rv_t *ret_rv);
void pkcs11_notes_keep_pin(
    struct pkcs11_notes *n, const uint8_t pin[SHA256_LEN], enum pkcs11_pin_state state, ck_rv_t rv);

#endif
