#ifndef KEYD_LAYOUT_H
#define KEYD_LAYOUT_H

#include "keyd/config.h"
#include "keyd/stores.h"

/*
 * Which places there are and which ids belong to each, as the configuration says:
 *
 *   "token"   where [aziot_keys] pkcs11_lib_path is set; asked first, and for any id only with pkcs11_base_slot
 *   "file"    always; for any id only with homedir_path; [backends.file] may say how it works
 *   NAME      each other [backends.NAME], for the ids that a [[placement]] gives it
 *
 * A preloaded `file:` id belongs to "file", a `pkcs11:` one to the place of type pkcs11 or plugin that a placement gives it, else
 * to "token".
 */
struct layout {
	struct stores_config stores; /* borrows from here and from the configuration */
	struct store_config store[STORES_MAX];
	const struct keyd_config_backend *from[STORES_MAX]; /* NULL: none of [backends] */
	/* arrays behind it */
	struct backend_preloaded *preloaded[STORES_MAX];
	struct backend_parameter *parameters[STORES_MAX];
	struct store_rule *rules;
	const char **nowhere;
};

/*
 * config must outlive the result, which stays at its address.  ERR_CONFIG: a placement names no place, a backend lacks what its
 * type needs or has what it cannot use, there are too many.
 */
enum err_code layout_make(
    const struct keyd_config *config, struct layout *ret, struct err *err) MUST_CHECK;
void layout_done(struct layout *layout);

/*
 * An OEM's library that upstream's keyd would have taken by itself, from that path (contracts/keyabi.md 1).  ERR_CONFIG: there is one
 * and no place of type plugin, so the device's keys are in it, and would be made anew elsewhere.
 */
#define LAYOUT_SWAPPED_LIBRARY "/usr/lib/aziot-identity-service/libaziot_keys.so"
enum err_code layout_check_swapped(
    const struct layout *layout, const char *path, struct err *err) MUST_CHECK;

/* Does this store's work belong in a worker process?  All but files, and those by configuration. */
bool layout_in_worker(const struct layout *layout, size_t store);

#endif
