#ifndef IDENTITYD_SANDBOX_H
#define IDENTITYD_SANDBOX_H

#include "identityd/config.h"
#include "platform/daemon.h"

extern const struct sandbox_role identityd_sandbox;

/* What identityd may read and write: its state, its configuration, the payload, TLS trust, and what name resolution reads. */
enum err_code identityd_paths(const struct daemon *d, const struct settings *settings,
    struct sandbox_paths *paths, struct err *err) MUST_CHECK;

#endif
