#ifndef EDGED_AGENT_H
#define EDGED_AGENT_H

#include "client/identityd.h"
#include "edged/config.h"
#include "edged/modules.h"

/*
 * edgeAgent: the one module that edged itself makes and keeps running (contracts/edged-containers.md 5.3, edged-lifecycle.md 5).
 */

/* Which device this is, from identityd. */
struct agent_device {
	char *device_id, *hub_name, *gateway_host;
};

/* What its container is made of.  spec borrows from the rest of it. */
struct agent_parts {
	struct module_spec spec;
	struct edged_module_settings settings;
	struct edged_registry_auth auth;
	char *image, *serveraddress;
	FIELDS_LIST(struct edged_env_var) env;
	struct fields_pair labels[2];
	char *binds[2];
};

/*
 * Binds, environment, labels and network of the contract, over the configuration's own; a leading `$upstream` in image and registry is the
 * gateway's host.  Free with agent_parts_done.
 */
enum err_code agent_parts_make(const struct edged_config *config, const struct agent_device *device,
    const char *generation_id, struct agent_parts *ret, struct err *err) MUST_CHECK;
void agent_parts_done(struct agent_parts *parts);

struct agent {
	const struct edged_config *config;
	const struct agent_device *device;
	struct modules *modules;
	struct identityd_client *identityd;
};

/*
 * One look: a running or paused agent is left alone, a stopped one started, a dead one removed and made anew, a missing one made and
 * started.  Nothing is made when the engine cannot say what there is (edged-weaknesses.md B7).
 */
enum err_code agent_look(const struct agent *a, struct err *err) MUST_CHECK;

#endif
