#ifndef KEYD_PKCS11_MODULE_H
#define KEYD_PKCS11_MODULE_H

#include "data/pkcs11_uri.h"
#include "keyd/pkcs11_rv.h"

/*
 * A vendor's Cryptoki module: loaded and initialised, reached by its function list alone (contracts/pkcs11.md 1, 6).  Loading runs
 * the vendor's code, so it comes after every fork and before the policy.  What it answers is hostile: lengths are checked, texts
 * escaped by whoever prints them.
 */
struct pkcs11_module;

/* Steps of loading, for who wants to know which one failed. */
enum pkcs11_step { PKCS11_DLOPEN, PKCS11_SYMBOL, PKCS11_LIST, PKCS11_INIT };

/*
 * Load and initialise.  ERR_CONFIG: no such library, not one, or one that lacks a function that is used.  ret_failed, if not NULL, is
 * written on failure.
 */
enum err_code pkcs11_module_open(const char *library, struct pkcs11_module **ret,
    enum pkcs11_step *ret_failed, struct err *err) MUST_CHECK;
/* The library stays in memory: it may have threads that still run. */
void pkcs11_module_close(struct pkcs11_module *m);

/*
 * Work with a module is done between enter and leave, by any number of threads at once; or by one alone, which is how objects are
 * changed: SoftHSM gives others nonsense while it writes one (measured: wrong attributes, failed signatures, keys not found).
 */
enum pkcs11_access { PKCS11_SHARED, PKCS11_ALONE };
void pkcs11_module_enter(struct pkcs11_module *m, enum pkcs11_access access);
void pkcs11_module_leave(struct pkcs11_module *m);

/*
 * Some modules learn of tokens that come, or come back, only when they are initialised; that ends every session and login.  So it is
 * done where no token is open (pkcs11_module_opened counts them), alone, and at most every PKCS11_RESTART_MS.  Returns whether it was.
 */
bool pkcs11_module_restart(struct pkcs11_module *m);
void pkcs11_module_opened(struct pkcs11_module *m, int more);
#define PKCS11_RESTART_MS 1000

/* The functions.  Of those that pkcs11_module.c names as required each is there. */
const struct ck_function_list *pkcs11_calls(const struct pkcs11_module *m);

#define PKCS11_SLOTS_MAX 256

/* Slots with a token.  ret holds PKCS11_SLOTS_MAX. */
enum err_code pkcs11_slots(
    const struct pkcs11_module *m, ck_slot_id_t *ret, size_t *ret_n, struct err *err) MUST_CHECK;

/* Text of a token's fixed-size field, without the blanks that fill it; out holds 33 bytes. */
void pkcs11_text(const unsigned char *field, size_t len, char *out);
#define PKCS11_TEXT_MAX		33
#define PKCS11_TEXT(field, out) pkcs11_text((field), sizeof(field), (out))

/* Is this the token that the URI names?  One without slot-id, token and serial names none. */
bool pkcs11_is_token(
    const struct pkcs11_uri *uri, ck_slot_id_t slot, const struct ck_token_info *info);

/*
 * The slot of the token that a URI names.  ERR_NOT_FOUND: none, or the token is not initialised; it may come later.
 * ERR_CONFIG: more than one.
 */
enum err_code pkcs11_find_token(const struct pkcs11_module *m, const struct pkcs11_uri *uri,
    ck_slot_id_t *ret, struct ck_token_info *ret_info, struct err *err) MUST_CHECK;

#endif
