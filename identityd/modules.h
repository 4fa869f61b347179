#ifndef IDENTITYD_MODULES_H
#define IDENTITYD_MODULES_H

#include "identityd/hub.h"
#include "identityd/state.h"
#include "wire/identityd.h"

/*
 * Module identities: the hub's registry, the keys derived from keyd's `aziot_identityd_master_id`, and the backups that stand in for
 * the hub (contracts/identityd.md 4, 6.3, 6.4).  Thread-safe, and one module's slow call holds up no other.
 *
 * Every call names the device it is for.  Identities: free with identity_done.
 * ERR_INVALID: not a module id.  ERR_NOT_FOUND, `module identity not found`: the hub knows none; its backup is gone then.
 * Else as hub.h, or "Key client error".
 */
struct modules;

enum err_code modules_new(struct cloud *cloud, struct keyd_client *keyd, struct state *state,
    struct modules **ret, struct err *err) MUST_CHECK;
void modules_free(struct modules *m);

/*
 * From the hub, or from the backup where the hub cannot or will not say; prefer_backup: the other way round.
 * A hub that was slow to say nothing is left alone for 30 s by those that have a backup.
 * A module whose creation was cut short between its two steps is completed here.
 */
enum err_code modules_get(struct modules *m, const struct device *d, const char *module_id,
    bool prefer_backup, struct identity *ret, struct err *err) MUST_CHECK;
/* Make it, or take over the one that is there: both give the hub our keys.  May be repeated. */
enum err_code modules_create(struct modules *m, const struct device *d, const char *module_id,
    struct identity *ret, struct err *err) MUST_CHECK;
/* Register our keys for one that exists. */
enum err_code modules_update(struct modules *m, const struct device *d, const char *module_id,
    struct identity *ret, struct err *err) MUST_CHECK;
enum err_code modules_delete(
    struct modules *m, const struct device *d, const char *module_id, struct err *err) MUST_CHECK;
/* All that the hub knows, without their authentication. */
enum err_code modules_list(struct modules *m, const struct device *d, struct identity_list *ret,
    struct err *err) MUST_CHECK;

/* For reconcile.c: the hub's own list, and taking over one of it unless it has our keys already. */
enum err_code modules_of_hub(struct modules *m, const struct device *d, struct hub_module_list *ret,
    struct err *err) MUST_CHECK;
enum err_code modules_adopt(struct modules *m, const struct device *d,
    const struct hub_module *module, struct err *err) MUST_CHECK;

#endif
