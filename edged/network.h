#ifndef EDGED_NETWORK_H
#define EDGED_NETWORK_H

#include "edged/config.h"
#include "edged/engine.h"

/*
 * Make sure that the modules' network exists (contracts/edged-containers.md 5.4): names compared whole, and created so that the engine
 * refuses a second one of the same name (docker.md 2).  An existing network is taken as it is.
 */
enum err_code network_ensure(
    struct engine *e, const struct edged_network_config *config, struct err *err) MUST_CHECK;

#endif
