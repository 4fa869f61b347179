#ifndef EDGED_SERVICE_H
#define EDGED_SERVICE_H

#include "edged/config.h"
#include "http/route.h"
#include "platform/daemon.h"

/*
 * All that one process of edged holds.  edged itself fills the upper part, its workload process (`--role workload`) the lower one;
 * the configuration is read by both, as the same steps of platform/daemon.h begin both.
 */
struct edged {
	struct daemon *daemon;
	struct edged_config config;

	/* edged */
	int management_fd, legacy_fd; /* listening; -1 once handed on */
	struct spawner *spawner;
	struct keyd_client *keyd;
	struct certd_client *certd;
	struct identityd_client *identityd;
	struct engine *engine;
	struct listeners *listeners;
	struct modules *modules;
	struct systeminfo *systeminfo;
	struct boot *boot;
	struct child *child;
	struct http_server *server;
	bool abandoned; /* a thread that waits for a peer outlived edged_stop */

	/* workload process: its own, see workload.c */
	struct workload *workload;
};

/* Who may call a row of the management API (edged-management.md 2.2). */
enum edged_who {
	EDGED_OPEN,  /* who can open the socket */
	EDGED_ACT,   /* the same; but it acts on modules, so the runtime must be up */
	EDGED_AGENT, /* a process of edgeAgent's container; acts on modules too */
};

extern const struct route_table edged_management_table;

/* How both APIs show errors: 403 `forbidden`, the engine's own status passed through (edged-management.md 2.1). */
extern const struct route_status edged_statuses[ERR_CODES];

extern const struct sandbox_role edged_sandbox, edged_spawner_sandbox, edged_workload_sandbox;

/* Steps of the daemon's life (platform/daemon.h). */
enum err_code edged_load(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code edged_open(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code edged_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code edged_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code edged_serve(struct daemon *d, struct err *err) MUST_CHECK;
void edged_stop(struct daemon *d, unsigned grace_ms);
void edged_done(struct daemon *d);

#endif
