#ifndef KEYD_SERVICE_H
#define KEYD_SERVICE_H

#include "http/server.h"
#include "keyd/config.h"
#include "keyd/keys.h"
#include "keyd/layout.h"
#include "keyd/remote.h"
#include "platform/daemon.h"

/* The state of the daemon, which its routes are given. */
struct worker_process;

struct keyd {
	struct daemon *daemon;
	struct keyd_config config;
	struct layout layout; /* borrows from config */
	struct policy *policy;
	struct permit *permit;
	struct keys *keys;
	struct http_server *http;
	int socket;		      /* -1 once the server has it */
	struct doctor *doctor;	      /* in the roles doctor and doctor-network (doctor.h) */
	struct file_convert *convert; /* in the roles wrap and unwrap (file_convert.h) */
	/* where a place's work belongs in a worker; else NULL */
	struct spawner *spawner;
	struct remotes *remotes;
	struct worker_process *worker; /* in a worker itself */
};

/* The steps of platform/daemon.h. */
enum err_code keyd_load(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_open(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code keyd_serve(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code keyd_reload(struct daemon *d, struct err *err) MUST_CHECK;
void keyd_stop(struct daemon *d, unsigned grace_ms);
void keyd_done(struct daemon *d);

/* A first signature, so that libcrypto has loaded and seeded all it needs when the policy comes. */
enum err_code keyd_warm_up(struct err *err) MUST_CHECK;
/* Start the spawner and make the workers' places known, where there are any; first thing in prepare (workers.c). */
enum err_code keyd_add_workers(struct keyd *keyd, struct err *err) MUST_CHECK;
/* The directories of a place's preloaded keys, and what links there name: read; written only where they are keyd's own. */
enum err_code keyd_preloaded_paths(
    const struct store_config *store, struct sandbox_paths *paths, struct err *err) MUST_CHECK;

/* sandbox.c */
extern const struct sandbox_role keyd_sandbox;
extern const struct sandbox_role keyd_convert_sandbox;
extern const struct sandbox_role keyd_worker_file_sandbox;
extern const struct sandbox_role keyd_worker_tpm_sandbox;
extern const struct sandbox_role keyd_worker_vendor_sandbox;
extern const struct sandbox_role keyd_worker_network_sandbox;
extern const struct sandbox_role keyd_spawner_sandbox;
extern const struct sandbox_role keyd_spawner_network_sandbox;

#endif
