#ifndef IDENTITYD_HUB_H
#define IDENTITYD_HUB_H

#include "identityd/cloud.h"
#include "identityd/device.h"
#include "wire/hub.h"

/*
 * The hub's registry of this device's modules, asked through the gateway where there is one (contracts/cloud-iothub.md).
 * Errors have "Hub client error" as outermost text but for
 *   ERR_NOT_FOUND    the hub knows no such module: `module identity not found`
 *   ERR_CONFLICT     create: there is one already
 * ERR_UNREACHABLE, ERR_TIMEOUT, ERR_PROTOCOL: no answer to rely on: offline, answers >= 500, a parent that is itself offline.
 * ERR_PEER: refused, err->status says how.
 */
struct hub_ask {
	struct cloud *cloud;
	const struct device *device;
	unsigned overall_ms; /* for one call with its repeats; 0: 120,000 */
	bool once;	     /* no repeats: there is a backup */
};

enum err_code hub_list(
    const struct hub_ask *ask, struct hub_module_list *ret, struct err *err) MUST_CHECK;
enum err_code hub_get(const struct hub_ask *ask, const char *module_id, struct hub_module *ret,
    struct err *err) MUST_CHECK;
enum err_code hub_create(const struct hub_ask *ask, const char *module_id, struct hub_module *ret,
    struct err *err) MUST_CHECK;
/* Register the two keys (base64) for a module as the hub gave it: its managedBy goes back as it came. */
enum err_code hub_set_keys(const struct hub_ask *ask, const struct hub_module *module,
    const char *primary, const char *secondary, struct hub_module *ret, struct err *err) MUST_CHECK;
enum err_code hub_delete(
    const struct hub_ask *ask, const char *module_id, struct err *err) MUST_CHECK;

/* Does this error say that the hub no longer takes this device for what it says it is (401, 403, 404)? */
bool hub_rejects_device(const struct err *err);

#endif
