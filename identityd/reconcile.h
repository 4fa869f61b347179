#ifndef IDENTITYD_RECONCILE_H
#define IDENTITYD_RECONCILE_H

#include "identityd/modules.h"

/*
 * Make the hub's modules what the principals say (contracts/identityd.md 3), and with that prove the device: a hub that lists its
 * modules has taken it for what it is.
 *   principal now, in the hub               kept; where it was none at the last time, it gets our keys under its present generation
 *   principal now, not in the hub           created
 *   principal at the last time, not now     deleted from the hub
 *   any other module                        untouched
 * Nothing is deleted because our memory of the last time is lost (R7 of index-identity.md).
 *
 * *ret_proven is set, also on failure, as soon as the hub has answered; from then on a restart serves this device.
 * A module that the hub refuses does not keep the others from their turn; the first such error is returned.
 */
enum err_code reconcile(struct modules *modules, struct state *state,
    const struct settings *settings, const struct device *device, bool *ret_proven,
    struct err *err) MUST_CHECK;

#endif
