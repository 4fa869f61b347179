#ifndef IDENTITYD_PRINCIPALS_H
#define IDENTITYD_PRINCIPALS_H

#include "identityd/config.h"

/* Who may do what (contracts/identityd.md 2). */

enum caller_class { CALLER_UNKNOWN, CALLER_ROOT, CALLER_DAEMON, CALLER_HOST };

enum operation {
	OP_ANY, /* provisioning info, trust bundle: whoever can open the socket */
	OP_SELF, /* GET /identities/identity: the device for those who may have it, else the caller's own module */
	OP_GET_DEVICE,
	OP_GET_MODULE,
	OP_LIST_MODULES,
	OP_CREATE_MODULE,
	OP_UPDATE_MODULE,
	OP_DELETE_MODULE,
	OP_REPROVISION,
};

struct caller {
	enum caller_class class;
	const struct settings_principal *principal; /* CALLER_HOST; belongs to the settings */
};

/* The list is consulted first, so root can be demoted by an entry; of a uid listed twice the last entry counts. */
struct caller principals_classify(const struct settings *s, uint32_t uid);

/* May the caller do op?  module: the one named, for OP_GET_MODULE; else NULL. */
bool principals_allow(const struct caller *caller, enum operation op, const char *module);

/* The principal of that name with idtype `local`, or NULL. */
const struct settings_principal *principals_local(const struct settings *s, const char *name);

/* Of several principals without idtype only the first counts.  How many were dropped, for the log. */
size_t principals_dropped(const struct settings *s);

#endif
