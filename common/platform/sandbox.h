#ifndef PLATFORM_SANDBOX_H
#define PLATFORM_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * What one role of one process may do, declared in <daemon>/sandbox.c (architecture.md 4).
 */
enum sandbox_mode { SANDBOX_OFF, SANDBOX_LOG, SANDBOX_ERRNO, SANDBOX_KILL };

enum sandbox_access {
	SANDBOX_READ = 1,
	SANDBOX_WRITE = 2
}; /* WRITE: create, write, rename, remove below it */

/*
 * A group of system calls that are allowed together, by libseccomp name, and why.  Some calls are allowed with some
 * arguments only (the table of guards in sandbox_filter.c): clone makes threads only, mmap and mprotect no executable
 * memory, socket the role's families, socketpair AF_UNIX, ioctl FIONREAD, fcntl nothing of signals, prctl a thread's name,
 * prlimit64 reading, tgkill our own threads.  "name:word" is a wider or another form: "clone:fork", "mmap:exec",
 * "mprotect:exec", "ioctl:pidfd" (PIDFD_GET_INFO), "ioctl:device" (all but sockets' and most of terminals'), "prctl:any",
 * "prlimit64:any", "tgkill:any".  clone3 is ENOSYS for everybody.
 */
struct sandbox_calls {
	const char *why;
	const char *const *names; /* NULL-terminated */
};

#define SANDBOX_CALLS(ident, reason, ...) \
	const struct sandbox_calls ident = { (reason), (const char *const[]){ __VA_ARGS__, NULL } }

/* Groups shared by all daemons (platform/sandbox.c). */
extern const struct sandbox_calls sandbox_runtime; /* memory, threads, time, signals, exit */
extern const struct sandbox_calls sandbox_serve; /* accept, epoll, socket I/O of the HTTP server */
extern const struct sandbox_calls sandbox_files; /* read and write state durably */
extern const struct sandbox_calls
    sandbox_connect; /* socket, connect: call another daemon; with families */
extern const struct sandbox_calls
    sandbox_resolve; /* what getaddrinfo and libcurl need beyond sandbox_connect and sandbox_files; libraries may be loaded */
extern const struct sandbox_calls
    sandbox_spawn; /* the spawner; with sandbox_runtime and what its roles need, see spawn.h */

/* At most 80 calls; 90 where it is foreign, and 110 with sandbox_spawn, whose filter is the union of its children's. */
struct sandbox_role {
	const char *name; /* as in `--sandbox-probe` and the process table */
	const struct sandbox_calls *const *calls; /* NULL-terminated */
	const int *families; /* AF_* that socket() may name, AF_UNSPEC-terminated */
	bool engine;	     /* may reach the container engine's socket */
	bool foreign;	     /* runs a library that others made, for whatever hardware */
};

#define SANDBOX_PATHS_MAX 48

struct sandbox_path {
	char *path;
	unsigned access;
};

/* Paths of one role; they depend on the configuration, so code fills them in. */
struct sandbox_paths {
	struct sandbox_path at[SANDBOX_PATHS_MAX];
	size_t n;
};

/* Add a path (copied), or access to one that is there.  A path that does not exist when the policy is applied is left out with a debug line. */
enum err_code sandbox_paths_add(
    struct sandbox_paths *paths, const char *path, unsigned access, struct err *err) MUST_CHECK;
/*
 * Add the directory that file is in, once, rather than the file: a file that is replaced is another one to Landlock.  A file
 * in the root directory is added itself, since that directory would let in everything.
 */
enum err_code sandbox_paths_add_dir_of(
    struct sandbox_paths *paths, const char *file, unsigned access, struct err *err) MUST_CHECK;
bool sandbox_paths_has(const struct sandbox_paths *paths, const char *path);
void sandbox_paths_done(struct sandbox_paths *paths);

/*
 * Landlock, then seccomp; both for this thread and all it starts, so before any thread exists.  paths NULL: no Landlock
 * (the spawner, whose children have paths of their own).  log: the filter only, so that nothing changes but the kernel's log.
 * errno and kill use TRAP with a SIGSYS handler that writes the call's name to stderr, then returns -EPERM or _exit(159).
 * Where the kernel has no Landlock the rest is applied and sandbox_landlock_abi() says 0.
 */
enum err_code sandbox_apply(const struct sandbox_role *role, const struct sandbox_paths *paths,
    enum sandbox_mode mode, struct err *err) MUST_CHECK;
/* Its first half, the files, for a role that runs what it does not trust before all is ready for the second. */
enum err_code sandbox_apply_files(const struct sandbox_role *role,
    const struct sandbox_paths *paths, enum sandbox_mode mode, struct err *err) MUST_CHECK;
int sandbox_landlock_abi(void);

/* The SIGSYS handler alone, for a process that was started under somebody's filter and has no policy of its own yet. */
enum err_code sandbox_tell_refusals(enum sandbox_mode mode, struct err *err) MUST_CHECK;

/* "off", "log", "errno", "kill"; -1 for anything else. */
int sandbox_mode_of(const char *name);
const char *sandbox_mode_name(enum sandbox_mode mode);

/* One thing that --sandbox-probe tries. */
struct sandbox_probe_target {
	const char *other_dir;	   /* a directory of another daemon */
	const char *engine_socket; /* the container engine's */
	const char *own_dir;	   /* a directory this role may write, or NULL */
};

/*
 * Try what must fail (exec, fork, code (executable memory), ptrace, shadow, inet, other-dir, engine, io_uring, bpf, keyctl,
 * userns) unless the role declares it, and what must work (unix where it is declared, own-dir), and print one line each:
 * "ROLE TRIAL refused|allowed", or "absent" where there is nothing to try it on; trials whose target is NULL are left out.
 * Each trial runs in its own process, forked before the policy; apply puts the policy in force there.
 * Returns 0, or 1 if a trial could not be run or did not end as the role declares; that is said on stderr too.
 */
int sandbox_probe(const struct sandbox_role *role, const struct sandbox_probe_target *target,
    enum err_code (*apply)(void *ctx, struct err *err), void *ctx);

#endif
