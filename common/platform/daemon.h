#ifndef PLATFORM_DAEMON_H
#define PLATFORM_DAEMON_H

#include <stdint.h>
#include <stdio.h>

#include "platform/memory.h"
#include "platform/privs.h"
#include "platform/sandbox.h"

/*
 * The skeleton that every daemon runs in.  main.c declares a struct daemon_spec and calls daemon_main; the order is the same
 * everywhere (architecture.md 4):
 *
 *   arguments, environment, log -> load (configuration) -> open (what needs privilege: sockets, TCTI) -> memory locked
 *   -> become the service user -> prepare (the spawner first: spawn.h; state; warm-up: one signature, one getaddrinfo)
 *   -> no_new_privs, no capabilities, non-dumpable, Landlock, seccomp -> serve (threads start here) -> READY=1
 *   -> signals until SIGTERM or SIGINT -> STOPPING=1 -> stop (5 s of grace) -> done -> exit 0
 *
 * daemon_main itself sets umask 077, forbids core files, ignores SIGPIPE, calls listen_init and, between prepare and the policy,
 * tzset and libcrypto for a first random number.  Ten seconds after READY it gives freed memory back to the kernel, but where memory is locked.  The main thread runs reload, stop and done; it may block.  SIGTERM or SIGINT during stop ends the process at once.
 * SIGHUP runs reload.  A step that fails ends the process with its text and causes on stderr and status 1,
 * or spec->config_exit when load failed.
 */
struct daemon;

struct daemon_role {
	const char *name; /* NULL: the daemon itself; else what `--role` says, e.g. "workload" */
	const struct sandbox_role *sandbox;
	enum err_code (*open)(struct daemon *d, struct err *err);
	enum err_code (*prepare)(struct daemon *d, struct err *err);
	/* After load alone (--sandbox-probe).  NULL: no Landlock, for the spawner's row, which has sandbox and name only. */
	enum err_code (*paths)(struct daemon *d, struct sandbox_paths *paths, struct err *err);
	enum err_code (*serve)(struct daemon *d, struct err *err);
	enum err_code (*reload)(
	    struct daemon *d, struct err *err); /* NULL: SIGHUP is noted and ignored */
	void (*stop)(struct daemon *d, unsigned grace_ms);
	void (*done)(struct daemon *d);
	/*
	 * Started by an operator rather than by the spawner: becomes the service user when root starts it, says nothing of how it
	 * is, and ends with d->exit_status when serve is done.
	 */
	int once;
};

struct daemon_spec {
	const char *name;	     /* "keyd" */
	const char *summary;	     /* one line for --help */
	const char *user;	     /* service user, "aziotks" */
	const char *config_file;     /* "/etc/aziot/keyd/config.toml" */
	const char *config_dir;	     /* "/etc/aziot/keyd/config.d" */
	const char *config_file_env; /* "AZIOT_KEYD_CONFIG" */
	const char *config_dir_env;  /* "AZIOT_KEYD_CONFIG_DIR" */
	const char *other_dir;	     /* another daemon's directory, for the probe */
	int config_exit;	     /* exit status for a bad configuration: 1; edged 153 */
	int keeps_keys; /* memory is locked, and libcrypto wipes what it frees: memory.h */
	/* Read the configuration into d->service (allocated here).  Also all that `--check` does; warnings go to the log. */
	enum err_code (*load)(struct daemon *d, struct err *err);
	const struct daemon_role
	    *roles; /* [0] is the daemon itself; ended by a row without sandbox */
};

struct daemon {
	const struct daemon_spec *spec;
	const struct daemon_role *role;
	const char *config_file, *config_dir; /* in force */
	enum sandbox_mode sandbox;
	struct privs_user user;
	int switch_user; /* started as root: user is to be taken */
	char *const *argv;
	int64_t started;	   /* Unix seconds */
	void *service;		   /* the daemon's own state, made by load */
	const char *engine_socket; /* set by load where there is one, for the probe */
	const char *state_dir;	   /* set by load: this daemon's own directory, for the probe */
	int ending;		   /* daemon_end or a signal came */
	enum memory_lock memory;
	int exit_status; /* what daemon_main returns after an orderly end; set before daemon_end */
};

/* The whole life of a process; returns its exit status.  Call it from main and do nothing else there. */
int daemon_main(const struct daemon_spec *spec, int argc, char **argv);

/* From any thread: end in good order with this exit status (edged: 1, 154). */
void daemon_end(struct daemon *d, int exit_status);

/* This build's version, "0.1.0". */
extern const char daemon_version[];

/* Does this build run under a sanitizer or valgrind: stay dumpable, sandbox off unless told otherwise. */
int daemon_instrumented(void);

#endif
