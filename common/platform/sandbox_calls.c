#include "platform/sandbox.h"

#include <sys/syscall.h>

/*
 * Measured with strace on Debian 12 (glibc 2.36, libmicrohttpd 0.9.75, libcurl 7.88, OpenSSL 3.0).
 * Rules on arguments stand in sandbox_filter.c: a plain "clone" makes threads only, a plain "mmap" no code, and so on.
 */

/* Newer architectures have only the later form of some calls, and the C library uses what there is. */
#ifdef SYS_rename
#define POLL	 "poll"
#define EPOLL	 "epoll_wait"
#define RENAME	 "rename"
#define LINK	 "link"
#define UNLINK	 "unlink"
#define MKDIR	 "mkdir"
#define ACCESS	 "access"
#define READLINK "readlink"
#else
#define POLL	 "ppoll"
#define EPOLL	 "epoll_pwait"
#define RENAME	 "renameat", "renameat2"
#define LINK	 "linkat"
#define UNLINK	 "unlinkat"
#define MKDIR	 "mkdirat"
#define ACCESS	 "faccessat"
#define READLINK "readlinkat"
#endif

SANDBOX_CALLS(sandbox_runtime, "memory, threads, time, signals, output, exit",
    /* malloc, stacks */
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise",
    /* threads: their making, their locks, their names */
    "clone", "set_robust_list", "rseq", "futex", "prctl", "sched_yield", "exit", "gettid",
    /* signals: blocked, waited for, sent to our own threads */
    "rt_sigprocmask", "rt_sigaction", "rt_sigreturn", "rt_sigtimedwait", "tgkill",
    /* OpenSSL looks for a fork before each random number */
    "getpid", "getrandom",
    /* where the vDSO has no clock; sleep; what the kernel makes of an interrupted sleep */
    "clock_gettime", "clock_nanosleep", "restart_syscall",
    /* descriptors of any kind; writev is abort()'s */
    "read", "write", "writev", "close", "fcntl", POLL, "exit_group");

SANDBOX_CALLS(sandbox_serve, "accept connections and serve HTTP on them", "accept4",
    "epoll_create1", "epoll_ctl", EPOLL, "eventfd2", "recvfrom", "sendto", "sendmsg", "shutdown",
    "getsockopt", "setsockopt", "getsockname");

SANDBOX_CALLS(sandbox_files, "read state, and write it durably", "openat", "newfstatat", "fstat",
    "lseek", "pread64", "getdents64", "fchmod", "fsync", RENAME, LINK, UNLINK, MKDIR);

SANDBOX_CALLS(sandbox_connect, "call another daemon", "socket", "connect", "recvfrom", "recvmsg",
    "sendto", "sendmsg", "shutdown", "getsockopt", "setsockopt");

SANDBOX_CALLS(sandbox_resolve, "names to addresses, and libcurl's helpers",
    /* resolver: its files, netlink, both address families at once, length of an answer */
    "openat", "newfstatat", "lseek", "bind", "getsockname", "getpeername", "sendmmsg", "recvmsg",
    "ioctl", "uname",
    /* is a name service switched for this user? */
    "getuid",
    /* name services are libraries, loaded when first asked */
    "mmap:exec", "mprotect:exec", "pread64",
    /* libcurl wakes its threads */
    "socketpair");

SANDBOX_CALLS(sandbox_spawn,
    "start, watch and end processes; and, because a filter outlives exec, what a program's start "
    "needs",
    /* the spawner */
    "clone:fork", "execveat", "wait4", "kill", "getppid", "dup3", "close_range", "recvmsg",
    "sendmsg", "recvfrom", "sendto",
    /* the dynamic loader */
    ACCESS, "faccessat2", "openat", "newfstatat", "fstat", "pread64", "lseek", "mmap:exec",
    "mprotect:exec", "arch_prctl", "set_tid_address", "prlimit64:any",
    /* daemon_main up to the new role's own policy, and the configuration */
    "umask", "geteuid", "getegid", "getgroups", "getdents64", READLINK, "socketpair", "getsockopt",
    "prctl:any", "capset", "tgkill:any", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self", "seccomp");
