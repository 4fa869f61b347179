#ifndef KEYD_PLUGIN_LIBRARY_H
#define KEYD_PLUGIN_LIBRARY_H

#include "base/mem.h"
#include "keyd/aziot_keys.h"

/*
 * An OEM's shared object, loaded, and the rules by which it is called (contracts/keyabi.md 1 and 4): one call at a time, buffers
 * asked for and then filled, nothing believed that it says about them.
 *
 * Errors of every call:
 *   ERR_INVALID   it answered "invalid parameter": ours does not fit, or there is no such key
 *   ERR_CRYPTO    it answered "external": its storage or token is in trouble
 *   ERR_INTERNAL  it answered what the interface does not allow; the text names the rule
 *   ERR_PROTOCOL  it wrote, or says that it wrote, beyond a buffer.  This process may be damaged and should end; every later
 *                 call is refused with the same code
 */
struct library;

/*
 * Load it and ask for its functions, 2.1 before 2.0.  It is never unloaded, as the interface has no way to end it; loading it
 * again gives the same one, with all its state.  ERR_CONFIG: it cannot be loaded or lacks a function.
 */
enum err_code library_load(const char *path, struct library **ret, struct err *err) MUST_CHECK;
void library_free(struct library *l);

/* Its functions.  In a library of 2.0 there is none to move or delete: those members are NULL. */
const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *library_calls(const struct library *l);

/* What a call looks like from here: the arguments as the caller of library_run packs them. */
typedef AZIOT_KEYS_RC library_call(
    const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *calls, const void *arguments);
/* The same for a call that fills a buffer. */
typedef AZIOT_KEYS_RC library_fill(const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *calls,
    const void *arguments, unsigned char *out, uintptr_t *out_len);

/* name is that of the function, for messages. */
enum err_code library_run(struct library *l, const char *name, library_call *call,
    const void *arguments, struct err *err) MUST_CHECK;

/* How a function says how long its result is. */
enum library_length {
	LIBRARY_BOUND, /* an upper bound first, then the length */
	LIBRARY_EXACT, /* the length, both times: public parameters */
};

/* max: more than that is no answer at all. */
enum err_code library_get(struct library *l, const char *name, library_fill *fill,
    const void *arguments, enum library_length length, size_t max, struct bytes *ret,
    struct err *err) MUST_CHECK;
/* A number in the machine's own order; one call, as it has no length to ask for. */
enum err_code library_get_number(struct library *l, const char *name, library_fill *fill,
    const void *arguments, unsigned *ret, struct err *err) MUST_CHECK;

#endif
