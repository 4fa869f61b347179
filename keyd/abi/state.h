#ifndef KEYD_ABI_STATE_H
#define KEYD_ABI_STATE_H

#include "keyd/aziot_keys.h"
#include "keyd/stores.h"

/*
 * What the library libaziot_keys.so keeps between calls: its parameters and the places that they open.  The interface has no
 * handle to hang it on, so there is one of it in a process.
 */

/* For the time of one call; the interface asks for no lock, but a host that makes two calls at once does no harm. */
struct call {
	struct stores *stores;
	const struct mech *mech;
	struct err err;
	bool entered;
};

/* Opens the places where they are not. */
enum err_code call_begin(struct call *c) MUST_CHECK;
void call_end(struct call *c); /* for AUTO() */

/*
 * homedir_path, pkcs11_lib_path, pkcs11_base_slot, preloaded_key:<id>.  Once library and slot are known each one opens the token
 * anew, as a host expects to hear of trouble here.  ERR_INVALID: none of them, or a value that cannot be one.
 */
enum err_code call_set_parameter(struct call *c, const char *name, const char *value) MUST_CHECK;

#endif
