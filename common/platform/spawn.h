#ifndef PLATFORM_SPAWN_H
#define PLATFORM_SPAWN_H

#include <sys/types.h>

#include "platform/sandbox.h"

/*
 * The spawner: a child forked before the daemon's policy, which holds no keys and serves three requests over a
 * SOCK_SEQPACKET pair: exec this program again as another role, signal a child, report ends (architecture.md 4).
 */
struct spawner;

#define SPAWN_FDS_MAX 8

struct spawn_request {
	const char *
	    role; /* execs /proc/self/exe --role ROLE with the daemon's own --config, --user, --sandbox arguments */
	const int *fds; /* become 3, 4, ... in the child; all else is closed */
	size_t n_fds;
};

/* Fork the spawner.  argv is the daemon's own; the policy role is applied in it (mode as the daemon's). */
enum err_code spawner_start(char *const argv[], const struct sandbox_role *role,
    enum sandbox_mode mode, struct spawner **ret, struct err *err) MUST_CHECK;
/* Descriptor that polls readable when a child has ended. */
int spawner_fd(const struct spawner *s);
enum err_code spawner_exec(
    struct spawner *s, const struct spawn_request *req, pid_t *ret_pid, struct err *err) MUST_CHECK;
enum err_code spawner_kill(struct spawner *s, pid_t pid, int signal, struct err *err) MUST_CHECK;
/* Next ended child, waiting up to timeout_ms.  ERR_TIMEOUT: none.  ERR_UNREACHABLE: the spawner itself is gone. */
enum err_code spawner_ended(
    struct spawner *s, int timeout_ms, pid_t *ret_pid, int *ret_status, struct err *err) MUST_CHECK;
/* End the spawner and, by it, every child; waits. */
void spawner_stop(struct spawner *s);

#endif
