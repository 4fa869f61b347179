#include "edged/service.h"

#include <sys/socket.h>

/* Every privilege of edged's three kinds of processes on one page (architecture.md 4). */

static SANDBOX_CALLS(listeners, "a socket for each module, made when its container starts",
    "socket", "bind", "listen", "lchown", "fchownat", "fchmodat", "rmdir");

static SANDBOX_CALLS(workload_pair, "talk to the spawner and to the workload process", "socketpair",
    "recvmsg", "sendmsg");

static SANDBOX_CALLS(callers, "who called: pin the process, look at its cgroup", "pidfd_open",
    "pidfd_send_signal", "ioctl:pidfd");

static SANDBOX_CALLS(machine, "GET /systeminfo/resources", "statfs", "sysinfo");

static const struct sandbox_calls *const edged_calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, &sandbox_connect, &listeners, &workload_pair, &callers, &machine, NULL };

static const int unix_only[] = { AF_UNIX, AF_UNSPEC };
static const int none[] = { AF_UNSPEC };

const struct sandbox_role edged_sandbox = {
	.name = "edged",
	.calls = edged_calls,
	.families = unix_only,
	.engine = true,
};

/* What modules send is parsed here, so: no socket(), no connect(), no writing, and /proc to read. */
static SANDBOX_CALLS(
    proc_files, "read /proc of a caller", "openat", "newfstatat", "fstat", "lseek");

static SANDBOX_CALLS(edged_pair, "edged's descriptors", "recvmsg", "sendmsg");

static const struct sandbox_calls *const workload_calls[] = { &sandbox_runtime, &sandbox_serve,
	&proc_files, &edged_pair, &callers, NULL };

const struct sandbox_role edged_workload_sandbox = {
	.name = "edged: workload",
	.calls = workload_calls,
	.families = none,
};

/* A filter outlives exec, so the spawner is allowed what the workload process will be. */
static const struct sandbox_calls *const spawner_calls[] = { &sandbox_runtime, &sandbox_spawn,
	&sandbox_serve, &proc_files, &edged_pair, &callers, NULL };

const struct sandbox_role edged_spawner_sandbox = {
	.name = "edged: spawner",
	.calls = spawner_calls,
	.families = none,
};
