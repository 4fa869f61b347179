#ifndef IDENTITYD_DPS_H
#define IDENTITYD_DPS_H

#include "identityd/cloud.h"

/* Registration with the Device Provisioning Service (contracts/identityd.md 6.2, cloud-dps.md). */

struct dps_params {
	const char *endpoint; /* URL; only scheme, host and port count */
	const char *scope_id, *registration_id;
	const char *key_id;  /* keyd's id of the symmetric key */
	const char *payload; /* JSON text; NULL: none */
	unsigned overall_ms; /* from first to last; 0: 300,000 */
};

struct dps_assignment {
	char *hub, *device_id;
};
void dps_assignment_done(struct dps_assignment *a);

/*
 * Register and wait until the service has assigned a hub.
 * Errors have "DPS client error" as outermost text.  ERR_UNREACHABLE, ERR_TIMEOUT: no answer in time, or answers >= 500.
 * ERR_PEER: refused, err->status the HTTP status (200: the registration itself failed or is disabled).  ERR_PROTOCOL: nonsense.
 */
enum err_code dps_register(struct cloud *cloud, const struct dps_params *params,
    struct dps_assignment *ret, struct err *err) MUST_CHECK;

#endif
