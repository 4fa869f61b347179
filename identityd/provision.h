#ifndef IDENTITYD_PROVISION_H
#define IDENTITYD_PROVISION_H

#include "base/snapshot.h"
#include "identityd/config.h"
#include "identityd/reconcile.h"

/*
 * Which device this is: from the configuration, from the last time, or from DPS (contracts/identityd.md 4).  The daemon serves
 * all the while; no answer of the cloud ends it.
 *
 *	attempt:  the device in force, or the configured one, or the one of device_info  -> in force at once -> reconcile
 *	          none of these, or the hub rejects it (401, 403, 404) and DPS is the source -> register -> reconcile -> in force
 *
 * The identity in force, in memory and in device_info, is replaced by one that its hub has taken (or when there is none), and never
 * removed; so a failure at any step, or the end of the process, leaves what was there.
 */
struct provision;

struct provision_config {
	struct snapshot *settings;
	struct cloud *cloud;
	struct modules *modules;
	struct state *state;
	unsigned first_ms,
	    longest_ms; /* waits between attempts: doubled each time; 0: 1,000 and 60,000 */
};

enum err_code provision_new(
    const struct provision_config *config, struct provision **ret, struct err *err) MUST_CHECK;
void provision_free(struct provision *p);
/* From another thread: whoever waits here returns soon. */
void provision_stop(struct provision *p);

/* Attempt until it succeeds or cannot ever; a job for the pool.  When one runs already it is told to attempt once more. */
void provision_run(void *provision);
/* Register anew, whatever is known, and return how that went (the reprovision call). */
enum err_code provision_again(struct provision *p, struct err *err) MUST_CHECK;

/*
 * The device in force.  Waits up to wait_ms for the first verdict.
 * ERR_NOT_FOUND, `device identity not found`: there is to be none (source none).  Else why there is none yet, as a peer's failure.
 */
enum err_code provision_device(
    struct provision *p, unsigned wait_ms, struct device **ret, struct err *err) MUST_CHECK;

/*
 * How it stands, without waiting: *ret_device the one in force, to be released, or NULL; *ret_last why the last attempt failed, or
 * ERR_OK.
 */
void provision_state(struct provision *p, struct device **ret_device, struct err *ret_last);

/* The content of the payload file as JSON text, NULL when none is configured.  ERR_INVALID, parameter provisioning.payload. */
enum err_code provision_payload(
    const struct settings_provisioning *s, char **ret, struct err *err) MUST_CHECK;

#endif
