#include <sys/socket.h>
#include <sys/syscall.h>

#include "keyd/service.h"

/* Newer architectures have the later form only (platform/sandbox_calls.c). */
#ifdef SYS_epoll_wait
#define EPOLL "epoll_wait"
#else
#define EPOLL "epoll_pwait"
#endif

/* Every privilege of keyd's kinds of processes on one page (architecture.md 4). */

static const int none[] = { AF_UNSPEC };
static const int unix_only[] = { AF_UNIX, AF_UNSPEC };
static const int network[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC };

/*
 * All that keyd may do once it serves: its key directory and its sockets, which were opened before, and pairs of sockets for its
 * workers.  It makes no other socket and calls nobody, so it has neither socket() nor connect().
 */
static SANDBOX_CALLS(lock_files, "share key files with `edgekeep keys wrap`", "flock");
static SANDBOX_CALLS(
    worker_pairs, "talk to key workers, and to those that follow them", "socketpair", "recvmsg");

static const struct sandbox_calls *const calls[] = {
	&sandbox_runtime,
	&sandbox_serve,
	&sandbox_files,
	&lock_files,
	&worker_pairs,
	NULL,
};

const struct sandbox_role keyd_sandbox = {
	.name = "keyd",
	.calls = calls,
	.families = none,
};

/* --- key workers: no HTTP; what they are asked comes over descriptors that they are born with */

static SANDBOX_CALLS(channels, "keyd's questions", "recvfrom", "recvmsg", "sendmsg", "shutdown");

static const struct sandbox_calls *const worker_file_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&lock_files,
	&channels,
	NULL,
};

const struct sandbox_role keyd_worker_file_sandbox = {
	.name = "keyd: worker-file",
	.calls = worker_file_calls,
	.families = none,
};

/* Its files, and tpmd's socket: it has tpmd wrap, unwrap and sign. */
static const struct sandbox_calls *const worker_tpm_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&sandbox_connect,
	NULL,
};

const struct sandbox_role keyd_worker_tpm_sandbox = {
	.name = "keyd: worker-tpm",
	.calls = worker_tpm_calls,
	.families = unix_only,
};

/*
 * A vendor's library, which was loaded and begun before this filter, though not before its files.  What modules are known to do: SoftHSM locks, writes and
 * removes files; tpm2-pkcs11 has a data base and a TPM's device or its resource manager's socket; OpenSC has pcscd's socket; one
 * for a chip behind I2C, SPI or a serial line has ioctl() and waits for it; most look who they are.  Libraries that are loaded late
 * come from where libraries are (worker_paths.c).
 */
static SANDBOX_CALLS(vendor, "what a vendor's library does with files, devices, peers", "mmap:exec",
    "mprotect:exec", "pwrite64", "ftruncate", "fdatasync", "flock", "rmdir", "umask", "faccessat2",
    "getuid", "geteuid", "getgid", "getegid", "getppid", "getcwd", "uname", "sysinfo", "getrusage",
    "ioctl:device", "pselect6", "epoll_create1", "epoll_ctl", EPOLL, "socketpair", "eventfd2",
    "pipe2", "sched_getaffinity", "getsockname", "getpeername",
#ifdef SYS_access
    "access", "readlink",
#else
    "faccessat", "readlinkat",
#endif
    "statfs", "fstatfs");

static const struct sandbox_calls *const vendor_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&sandbox_connect,
	&vendor,
	NULL,
};

const struct sandbox_role keyd_worker_vendor_sandbox = {
	.name = "keyd: worker-vendor",
	.calls = vendor_calls,
	.families = unix_only,
	.foreign = true,
};

/* One whose configuration says `network = true`: an HSM on the network. */
static SANDBOX_CALLS(resolve, "names to addresses", "bind", "sendmmsg");

static const struct sandbox_calls *const network_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&sandbox_connect,
	&vendor,
	&resolve,
	NULL,
};

const struct sandbox_role keyd_worker_network_sandbox = {
	.name = "keyd: worker-network",
	.calls = network_calls,
	.families = network,
	.foreign = true,
};

/* --- a filter outlives exec, so a spawner is allowed what its workers will be */

static SANDBOX_CALLS(worker_start, "a worker before its own policy", "mlockall", "mlock2",
    "prlimit64:any", "unlinkat", "pwrite64", "ftruncate", "fdatasync", "flock", "rmdir", "getuid",
    "getgid", "getcwd", "uname", "sysinfo", "getrusage", "ioctl:device", "pselect6",
    "epoll_create1", "epoll_ctl", EPOLL, "eventfd2", "pipe2", "sched_getaffinity", "getsockname",
    "getpeername", "statfs", "fstatfs", "bind", "sendmmsg");

static const struct sandbox_calls *const spawner_calls[] = {
	&sandbox_runtime,
	&sandbox_spawn,
	&sandbox_files,
	&sandbox_connect,
	&worker_start,
	NULL,
};

const struct sandbox_role keyd_spawner_sandbox = {
	.name = "keyd: spawner",
	.calls = spawner_calls,
	.families = unix_only,
};

const struct sandbox_role keyd_spawner_network_sandbox = {
	.name = "keyd: spawner-network",
	.calls = spawner_calls,
	.families = network,
};

/* `edgekeep keys wrap`: the key files.  The TPM was asked for the key-encryption key before. */
static const struct sandbox_calls *const convert_calls[] = {
	&sandbox_runtime,
	&sandbox_files,
	&lock_files,
	NULL,
};

const struct sandbox_role keyd_convert_sandbox = {
	.name = "keyd: wrap",
	.calls = convert_calls,
	.families = none,
};
