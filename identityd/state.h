#ifndef IDENTITYD_STATE_H
#define IDENTITYD_STATE_H

#include "identityd/config.h"
#include "identityd/device.h"
#include "wire/hub.h"

/*
 * What survives a restart, in `homedir`, with upstream's names and formats (contracts/identityd.md 7) but written atomically and
 * durably: device_info, prev_state, and one backup for each module identity that was seen in the hub.
 */
struct state;

/* Makes homedir (0700) when absent, and removes what a crash left of a write.  Before the policy. */
enum err_code state_open(const char *homedir, struct state **ret, struct err *err) MUST_CHECK;
void state_free(struct state *s);

struct device_info {
	char *hub, *gateway, *device_id;
};
FIELDS_DECLARE(device_info);

/*
 * ERR_NOT_FOUND: none was written, or the word `unprovisioned`.  ERR_SYNTAX: there is one, but it cannot be understood; it stays
 * where it is until another identity is proven.
 */
enum err_code state_device_load(
    struct state *s, struct device_info *ret, struct err *err) MUST_CHECK;
/* Does device_info name this device? */
bool state_device_is(struct state *s, const struct device *d);

/*
 * Make d the identity that a restart will serve.  Where it is another than before, prev_state goes first (it spoke of the other
 * one's modules), and the other one's backups go last.
 */
enum err_code state_device_commit(
    struct state *s, const struct device *d, struct err *err) MUST_CHECK;

/* Names of the module principals of the last reconciliation with this device; none where there was none. */
enum err_code state_prev_modules(
    struct state *s, const struct device *d, name_list *ret, struct err *err) MUST_CHECK;
enum err_code state_prev_save(
    struct state *s, const struct settings *settings, struct err *err) MUST_CHECK;

/* Backups: a module as the hub had it, without keys.  ERR_NOT_FOUND: none; one that cannot be read counts as none. */
enum err_code state_backup_load(struct state *s, const struct device *d, const char *module_id,
    struct hub_module *ret, struct err *err) MUST_CHECK;
/*
 * Save what the hub said.  since: state_backup_epoch() from before the hub was asked; a module that was deleted meanwhile does
 * not come back to life.
 */
enum err_code state_backup_save(struct state *s, const struct device *d,
    const struct hub_module *module, unsigned since, struct err *err) MUST_CHECK;
enum err_code state_backup_drop(
    struct state *s, const struct device *d, const char *module_id, struct err *err) MUST_CHECK;
unsigned state_backup_epoch(const struct state *s);

#endif
