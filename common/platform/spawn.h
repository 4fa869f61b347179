#ifndef PLATFORM_SPAWN_H
#define PLATFORM_SPAWN_H

#include <sys/types.h>

#include "platform/sandbox.h"

/*
 * The spawner: a child forked before the daemon's policy, which holds no keys and serves three requests over a
 * SOCK_SEQPACKET pair: exec this program again as another role, signal a child, report ends (architecture.md 4).
 *
 * When: first thing in prepare.  The change of user is done, so spawner and children are the service user and have no
 * capability from their first instruction (spawner_start refuses a process that still has one); nothing secret is in memory
 * yet; there is one thread.  Children do not take --user: they keep the ids they are born with.
 *
 * Policy: no_new_privs and the filter outlive fork and exec, so a child's calls pass the spawner's filter and then its own.
 * The spawner's role therefore lists sandbox_runtime, sandbox_spawn (which holds what the dynamic loader and daemon_main need
 * up to the child's own policy) and the groups and families of every role that it starts; no ptrace, mount, namespaces,
 * sockets beyond the families, io_uring, bpf, keyctl for any of them.  It has no Landlock: paths would bind the children too.
 * What a caller can make it do is bounded by its code: fixed-size messages, this program's own file (kept open from the
 * start), signals to its own children.
 *
 * Ends: a child dies with the spawner and the spawner with the daemon (PR_SET_PDEATHSIG); when the daemon's end of the pair
 * closes, the spawner sends SIGTERM to its children, SIGKILL after 2 s, and ends.
 */
struct spawner;

#define SPAWN_FDS_MAX 8

struct spawn_request {
	const char *
	    role; /* execs /proc/self/exe --role ROLE with the daemon's own arguments but --user; at most 31 bytes */
	const int *fds; /* become 3, 4, ... in the child; all else is closed */
	size_t n_fds;
};

/* Fork the spawner, by the thread that lives as long as the daemon.  argv is the daemon's own; the policy role is applied in it (mode as the daemon's). */
enum err_code spawner_start(char *const argv[], const struct sandbox_role *role,
    enum sandbox_mode mode, struct spawner **ret, struct err *err) MUST_CHECK;
/* A child that cannot be started ends with status 127.  ERR_BUSY: 32 children are there.  Thread-safe. */
enum err_code spawner_exec(
    struct spawner *s, const struct spawn_request *req, pid_t *ret_pid, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: not, or no longer, a child of the spawner. */
enum err_code spawner_kill(struct spawner *s, pid_t pid, int signal, struct err *err) MUST_CHECK;
/* Next ended child, waiting up to timeout_ms.  ERR_TIMEOUT: none.  ERR_UNREACHABLE: the spawner itself is gone. */
enum err_code spawner_ended(
    struct spawner *s, int timeout_ms, pid_t *ret_pid, int *ret_status, struct err *err) MUST_CHECK;
/* End the spawner and, by it, every child; waits, some 4 s at most.  NULL is allowed. */
void spawner_stop(struct spawner *s);

#endif
