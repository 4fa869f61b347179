#include "platform/sandbox.h"

/*
 * Measured with strace on Debian 12 (glibc 2.36, libmicrohttpd 0.9.75, libcurl 7.88, OpenSSL 3.0); both forms of a call where
 * architectures differ (rename, renameat).  Rules on arguments stand in sandbox_filter.c: a plain "clone" makes threads only, a
 * plain "mmap" no code, and so on.
 */

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
    "read", "write", "writev", "close", "fcntl", "poll", "ppoll", "exit_group");

SANDBOX_CALLS(sandbox_serve, "accept connections and serve HTTP on them", "accept4",
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2", "recvfrom", "sendto",
    "sendmsg", "shutdown", "getsockopt", "setsockopt", "getsockname");

SANDBOX_CALLS(sandbox_files, "read state, and write it durably", "openat", "newfstatat", "fstat",
    "lseek", "pread64", "getdents64", "fchmod", "fsync", "rename", "renameat", "renameat2", "link",
    "linkat", "unlink", "unlinkat", "mkdir", "mkdirat");

SANDBOX_CALLS(sandbox_connect, "call another daemon", "socket", "connect", "recvfrom", "recvmsg",
    "sendto", "sendmsg", "shutdown", "getsockopt", "setsockopt");

SANDBOX_CALLS(sandbox_resolve, "names to addresses, and libcurl's helpers",
    /* resolver: its files, netlink, both address families at once, length of an answer */
    "openat", "newfstatat", "lseek", "bind", "getsockname", "getpeername", "sendmmsg", "recvmsg",
    "ioctl", "uname",
    /* name services are libraries, loaded when first asked */
    "mmap:exec", "mprotect:exec", "pread64",
    /* libcurl wakes its threads */
    "socketpair");

SANDBOX_CALLS(sandbox_spawn,
    "start, watch and end processes; and, because a filter outlives exec, what a program's start "
    "needs",
    /* the spawner */
    "clone:fork", "vfork", "execve", "execveat", "wait4", "waitid", "kill", "tgkill:any", "dup3",
    "dup2", "close_range", "signalfd4", "recvmsg", "sendmsg",
    /* the dynamic loader */
    "access", "faccessat", "openat", "newfstatat", "fstat", "pread64", "lseek", "mmap:exec",
    "mprotect:exec", "arch_prctl", "set_tid_address", "prlimit64", "readlink",
    /* daemon_main up to the new role's own policy */
    "getuid", "geteuid", "getgid", "getegid", "umask", "prctl:any", "capget", "capset",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp");
