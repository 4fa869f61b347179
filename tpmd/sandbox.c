#include <sys/socket.h>

#include "tpmd/service.h"

/*
 * All that tpmd may do once it serves: its socket and the TPM, which it must be able to open again after an error.  The TPM's
 * module and libcrypto have been loaded by then.
 */
static SANDBOX_CALLS(device_calls, "open the TPM's device again", "openat");

static const struct sandbox_calls *const calls[] = {
	&sandbox_runtime,
	&sandbox_serve,
	&device_calls,
	NULL,
};

static const int no_families[] = { AF_UNSPEC };

const struct sandbox_role tpmd_sandbox = {
	.name = "tpmd",
	.calls = calls,
	.families = no_families,
};

/*
 * A simulator stands behind a socket, is connected to for each command, and may be called by name: what getaddrinfo needs, less the
 * loading of its libraries, which the first connection has done.
 */
static SANDBOX_CALLS(simulator_names, "find a simulator by its name", "newfstatat", "lseek", "bind",
    "getsockname", "getpeername", "recvmsg", "sendmmsg", "ioctl", "uname");

static const struct sandbox_calls *const simulator_calls[] = {
	&sandbox_runtime,
	&sandbox_serve,
	&sandbox_connect,
	&simulator_names,
	&device_calls,
	NULL,
};

static const int simulator_families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_UNSPEC };

const struct sandbox_role tpmd_sandbox_simulator = {
	.name = "tpmd-simulator",
	.calls = simulator_calls,
	.families = simulator_families,
};
