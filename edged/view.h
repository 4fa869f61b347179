#ifndef EDGED_VIEW_H
#define EDGED_VIEW_H

#include "wire/edged.h"
#include "wire/engine.h"

/*
 * A container as the management API shows it (contracts/edged-management.md 2.3): settings reduced to image, hash and labels, the
 * engine's states turned into running, stopped, failed, dead.  Never `unknown`, on which the Edge Agent throws.
 */
enum err_code view_module(
    const struct engine_container *c, struct edged_module *ret, struct err *err) MUST_CHECK;
/* The status alone. */
enum err_code view_status(
    const struct engine_state *s, struct edged_module_status *ret, struct err *err) MUST_CHECK;

/* "name" of "/name". */
const char *view_name(const char *engine_name);

#endif
