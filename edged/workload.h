#ifndef EDGED_WORKLOAD_H
#define EDGED_WORKLOAD_H

#include "platform/daemon.h"

/*
 * The workload process: `edged --role workload`, which parses what modules send and holds no engine, no file, no socket() and no
 * connect() (architecture.md 1).  It is handed its listeners, and connections to keyd, certd and identityd, over descriptor PROTO_FD.
 * It reads the same configuration as edged, before its policy.
 */

/* The steps of that role, for edged's table of roles in main.c. */
enum err_code workload_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code workload_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code workload_serve(struct daemon *d, struct err *err) MUST_CHECK;
void workload_stop(struct daemon *d, unsigned grace_ms);
void workload_done(struct daemon *d);

#endif
