#ifndef CLOUDSIM_DPS_H
#define CLOUDSIM_DPS_H

#include "tests/peer/cloudsim/sim.h"

/* What a device has proved, to be carried over to the hub. */
struct proof {
	struct bytes keys[2]; /* the device's keys there */
	size_t n_keys;
};

/* One way to prove that one is the device that was enrolled.  X.509 and TPM are further rows of this kind. */
struct attestation {
	const char *name;
	/* "accepted", or the verdict; ret is filled in either case and released by the caller. */
	const char *(*prove)(
	    struct sim *s, struct exchange *x, const struct enrollment *e, struct proof *ret);
};
extern const struct attestation attestation_symmetric_key;

void operation_done(struct operation *op);
/* Turn the answer to a poll into that of an assignment which does not come, failed, or whose enrollment is disabled. */
void dps_alter(struct sim *s, struct exchange *x, enum fault_kind kind);

#endif
