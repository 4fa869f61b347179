#ifndef CERTD_SANDBOX_H
#define CERTD_SANDBOX_H

#include "certd/config.h"
#include "platform/daemon.h"

extern const struct sandbox_role certd_sandbox;

/* What certd may read and write: its state, its configuration, and where preloaded certificates are. */
enum err_code certd_paths(const struct daemon *d, const struct certd_config *config,
    struct sandbox_paths *paths, struct err *err) MUST_CHECK;
/* The last of these: the directories of preloaded files. */
enum err_code certd_preloaded_paths(
    const struct certd_config *config, struct sandbox_paths *paths, struct err *err) MUST_CHECK;

#endif
