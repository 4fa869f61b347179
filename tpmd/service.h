#ifndef TPMD_SERVICE_H
#define TPMD_SERVICE_H

#include "http/server.h"
#include "platform/daemon.h"
#include "tpmd/config.h"
#include "tpmd/tpm.h"

/* The state of the daemon, which its routes are given. */
struct tpmd {
	const struct daemon *daemon;
	struct tpmd_config config;
	struct tcti_name name;
	struct tcti *tcti;
	struct tpm *tpm;
	struct http_server *http;
	int socket; /* -1 once the server has it */
};

/* The role for a TPM behind a socket, which only simulators are. */
#define TPMD_ROLE_SIMULATOR "simulator"

/* The steps of platform/daemon.h. */
enum err_code tpmd_load(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code tpmd_open(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code tpmd_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code tpmd_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code tpmd_serve(struct daemon *d, struct err *err) MUST_CHECK;
void tpmd_stop(struct daemon *d, unsigned grace_ms);
void tpmd_done(struct daemon *d);

/* sandbox.c */
extern const struct sandbox_role tpmd_sandbox, tpmd_sandbox_simulator;

#endif
