#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/daemon.h"
#include "platform/privs.h"
#include "platform/sandbox.h"

static const struct sandbox_calls *const server_calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, NULL };
static const struct sandbox_calls *const client_calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, &sandbox_connect, &sandbox_resolve, NULL };
static const struct sandbox_calls *const spawner_calls[] = { &sandbox_runtime, &sandbox_spawn,
	NULL };
static const int local[] = { AF_UNIX, AF_UNSPEC };
static const int network[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC };

static const struct sandbox_role server = { "server", server_calls, NULL, false };
static const struct sandbox_role local_client = { "local-client", client_calls, local, false };
static const struct sandbox_role cloud_client = { "cloud-client", client_calls, network, false };
static const struct sandbox_role engine_client = { "engine-client", client_calls, local, true };
static const struct sandbox_role spawner = { "spawner", spawner_calls, NULL, false };

/* Sanitizers and valgrind make calls of their own, which the release filter refuses. */
static bool
instrumented(void)
{
	if (daemon_instrumented())
		printf("SKIP the filter is tested on the release build\n");
	return daemon_instrumented();
}

/* A writable directory that any uid may reach. */
static const char *
open_dir(const char *name, mode_t mode)
{
	const char *path = support_path(name);

	ck_assert_int_eq(chmod(support_tmpdir(), 0711), 0);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

/* Run fn under the role in a child; its exit status (128 + signal as a shell has it) and what it wrote to stderr. */
static int
run_confined(const struct sandbox_role *role, const struct sandbox_paths *paths,
    enum sandbox_mode mode, int (*fn)(void *), void *arg, char said[512])
{
	const char *log = support_path("stderr");
	struct err err = { 0 };
	int status, fd;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || privs_lock(1, &err) ||
		    sandbox_apply(role, paths, mode, &err)) {
			fprintf(stderr, "%s\n", err.text);
			_exit(99);
		}
		_exit(fn(arg));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	fd = open(log, O_RDONLY);
	n = read(fd, said, 511);
	said[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(log);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int
call_sysinfo(void *arg)
{
	errno = 0;
	(void)arg;
	return syscall(SYS_sysinfo, NULL) == -1 && errno == EPERM ? 42 : 7;
}

/* architecture.md 4, modes; the exit status of kill is 159 */
START_TEST(test_modes)
{
	static const struct {
		enum sandbox_mode mode;
		int want;
		const char *want_said;
	} rows[] = {
		{ SANDBOX_OFF, 7, "" },
		{ SANDBOX_LOG, 7, "" },
		{ SANDBOX_ERRNO, 42, "<3>sandbox: sysinfo refused\n" },
		{ SANDBOX_KILL, 159, "<3>sandbox: sysinfo refused\n" },
	};
	char said[512];

	if (instrumented())
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_int_eq(
		    run_confined(&server, NULL, rows[i].mode, call_sysinfo, NULL, said),
		    rows[i].want);
		ck_assert_str_eq(said, rows[i].want_said);
	}
}
END_TEST

START_TEST(test_mode_names)
{
	ck_assert_int_eq(sandbox_mode_of("off"), SANDBOX_OFF);
	ck_assert_int_eq(sandbox_mode_of("log"), SANDBOX_LOG);
	ck_assert_int_eq(sandbox_mode_of("errno"), SANDBOX_ERRNO);
	ck_assert_int_eq(sandbox_mode_of("kill"), SANDBOX_KILL);
	ck_assert_int_eq(sandbox_mode_of("KILL"), -1);
	ck_assert_int_eq(sandbox_mode_of(""), -1);
}
END_TEST

static void *
in_thread(void *arg)
{
	char *big = malloc((size_t)1 << 20);

	memset(big, 1, (size_t)1 << 20);
	free(big);
	pthread_setname_np(pthread_self(), "worker");
	return arg;
}

static int
use_threads(void *arg)
{
	pthread_t threads[8];

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		if (pthread_create(&threads[i], NULL, in_thread, NULL))
			return 1;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Arguments that the guards let through or not: under errno each answers with its own errno. */
static int
use_guards(void *arg)
{
	const bool has_inet = arg != NULL;
	void *code;
	int inet, pair[2];

	code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if ((code == MAP_FAILED) == has_inet) /* the role that resolves may load libraries */
		return 1;
	if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
		return 2;
	if (fork() != -1 || errno != EPERM)
		return 3;
	if (prctl(PR_SET_NAME, "x") || prctl(PR_SET_DUMPABLE, 1) != -1 || errno != EPERM)
		return 4;
	if (syscall(SYS_tgkill, getpid(), getpid(), 0) ||
	    syscall(SYS_tgkill, getppid(), getppid(), 0) != -1 || errno != EPERM)
		return 5;
	inet = socket(AF_INET, SOCK_STREAM, 0);
	if ((inet >= 0) != has_inet || socket(AF_PACKET, SOCK_RAW, 0) != -1 || errno != EPERM)
		return 6;
	if ((socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) != has_inet)
		return 7;
	/* no TCP, no options of TCP; on a descriptor that is none the call itself would say EBADF */
	if (setsockopt(-1, IPPROTO_TCP, 1, &inet, sizeof(inet)) != -1 ||
	    errno != (has_inet ? EBADF : ENOPROTOOPT) ||
	    setsockopt(-1, SOL_SOCKET, SO_RCVBUF, &inet, sizeof(inet)) != -1 || errno != EBADF)
		return 8;
	/* copies, flags and locks; but no signals, which the kernel would send for us */
	if (fcntl(0, F_GETFL) < 0 || fcntl(0, F_DUPFD_CLOEXEC, 0) < 0 ||
	    fcntl(-1, F_OFD_SETLKW, NULL) != -1 || errno != EBADF || fcntl(-1, F_GET_SEALS) != -1 ||
	    errno != EBADF)
		return 9;
	if (fcntl(0, F_SETOWN, getppid()) != -1 || errno != EPERM ||
	    fcntl(0, F_SETSIG, SIGKILL) != -1 || errno != EPERM ||
	    fcntl(0, F_SETOWN_EX, &pair) != -1 || errno != EPERM)
		return 10;
	return 0;
}

START_TEST(test_guards)
{
	char said[512];

	if (instrumented())
		return;
	ck_assert_int_eq(run_confined(&server, NULL, SANDBOX_KILL, use_threads, NULL, said), 0);
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(run_confined(&server, NULL, SANDBOX_ERRNO, use_guards, NULL, said), 0);
	ck_assert_int_eq(
	    run_confined(&cloud_client, NULL, SANDBOX_ERRNO, use_guards, said, said), 0);
}
END_TEST

/* EBADF: the kernel was asked. */
static int
use_ioctl(void *arg)
{
	static const unsigned long lets[] = { FIONREAD, FIONBIO, TCGETS, TCSETS, TIOCMGET,
		0x0703 /* I2C_SLAVE */, 0x40046b04 /* SPI_IOC_WR_MAX_SPEED_HZ */,
		0xc0185500 /* USBDEVFS_CONTROL */ };
	static const unsigned long refuses[] = { TIOCSTI, TIOCLINUX, TIOCCONS, FIOASYNC, FIOSETOWN,
		SIOCSPGRP, TIOCSTI | 1ul << 32 };

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(lets); i++)
		if (syscall(SYS_ioctl, -1, lets[i], NULL) != -1 || errno != EBADF)
			return 1 + (int)i;
	for (size_t i = 0; i < ARRAY_LEN(refuses); i++)
		if (syscall(SYS_ioctl, -1, refuses[i], NULL) != -1 || errno != EPERM)
			return 50 + (int)i;
	return 0;
}

static SANDBOX_CALLS(device_calls, "a test of devices", "write", "exit_group", "ioctl:device");
static const struct sandbox_calls *const device_groups[] = { &device_calls, NULL };
static const struct sandbox_role device_role = { "devices", device_groups, NULL, false };

/* Devices are what a vendor's library is for; a terminal may be where a daemon was started. */
START_TEST(test_devices)
{
	char said[512];

	if (instrumented())
		return;
	ck_assert_int_eq(run_confined(&device_role, NULL, SANDBOX_ERRNO, use_ioctl, NULL, said), 0);
}
END_TEST

static int
abort_now(void *arg)
{
	(void)arg;
	abort();
}

START_TEST(test_abort)
{
	char said[512];

	if (instrumented())
		return;
	ck_assert_int_eq(
	    run_confined(&server, NULL, SANDBOX_KILL, abort_now, NULL, said), 128 + SIGABRT);
}
END_TEST

START_TEST(test_declaration)
{
	static const char *const wrong_names[] = { "no_such_call", NULL };
	static const struct sandbox_calls wrong = { "", wrong_names };
	static const struct sandbox_calls *const wrong_calls[] = { &wrong, NULL };
	static const struct sandbox_role wrong_role = { .name = "wrong", .calls = wrong_calls };
	/* only the count matters */
	static const char *const many_names[] = { "read", "write", "close", "fstat", "poll",
		"lseek", "mmap", "mprotect", "munmap", "brk", "rt_sigaction", "rt_sigprocmask",
		"rt_sigreturn", "ioctl", "pread64", "pwrite64", "readv", "writev", "access", "pipe",
		"select", "sched_yield", "mremap", "msync", "mincore", "madvise", "shmget", "shmat",
		"shmctl", "dup", "dup2", "pause", "nanosleep", "getitimer", "alarm", "setitimer",
		"getpid", "sendfile", "socket", "connect", "accept", "sendto", "recvfrom",
		"sendmsg", "recvmsg", "shutdown", "bind", "listen", "getsockname", "getpeername",
		"socketpair", "setsockopt", "getsockopt", "clone", "fork", "vfork", "execve",
		"exit", "wait4", "kill", "uname", "semget", "semop", "semctl", "shmdt", "msgget",
		"msgsnd", "msgrcv", "msgctl", "fcntl", "flock", "fsync", "fdatasync", "truncate",
		"ftruncate", "getdents", "getcwd", "chdir", "fchdir", "rename", "mkdir", "rmdir",
		"creat", "link", "unlink", "symlink", "readlink", "chmod", "fchmod", "chown",
		"fchown", NULL };
	static const struct sandbox_calls many = { "", many_names };
	static const struct sandbox_calls *const many_calls[] = { &many, NULL };
	static const struct sandbox_role many_role = { .name = "many", .calls = many_calls };
	static const struct sandbox_role foreign_role = {
		.name = "foreign", .calls = many_calls, .foreign = true
	};
	struct err err = { 0 };

	ck_assert_uint_eq(ARRAY_LEN(many_names) - 1, 91);
	ck_err(sandbox_apply(&wrong_role, NULL, SANDBOX_KILL, &err), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "no_such_call is no system call"));
	ck_err(sandbox_apply(&many_role, NULL, SANDBOX_KILL, &err), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 80"));
	ck_err(sandbox_apply(&foreign_role, NULL, SANDBOX_KILL, &err), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "more than 90"));
}
END_TEST

/* --- files ------------------------------------------------------------------------------------------------------------ */

static char *dir_own, *dir_read, *dir_other;

static bool
may_create(const char *dir, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	close(fd);
	return fd >= 0;
}

static int
use_files(void *arg)
{
	char from[256], to[256];
	int fd;

	(void)arg;
	if (!may_create(dir_own, "a") || may_create(dir_read, "a") || may_create(dir_other, "a"))
		return 1;
	snprintf(from, sizeof(from), "%s/a", dir_own);
	snprintf(to, sizeof(to), "%s/b", dir_own);
	if (rename(from, to) || link(to, from) || unlink(to) || unlink(from))
		return 2;
	if (!may_create(dir_own, "c") || symlink("/etc", to) == 0)
		return 3;
	snprintf(from, sizeof(from), "%s/c", dir_own);
	snprintf(to, sizeof(to), "%s/c", dir_other);
	if (rename(from, to) == 0)
		return 4;
	fd = open(dir_read, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || open(dir_other, O_RDONLY | O_DIRECTORY) >= 0 || errno != EACCES)
		return 5;
	snprintf(to, sizeof(to), "%s/only", dir_other);
	if (open(to, O_RDONLY) < 0 || open(to, O_WRONLY) >= 0 || truncate(to, 0) == 0)
		return 6;
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		return 7;
	return 0;
}

START_TEST(test_files)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };
	struct err err = { 0 };
	char said[512];
	int got;

	if (sandbox_landlock_abi() < 3) {
		printf("SKIP Landlock ABI %d\n", sandbox_landlock_abi());
		return;
	}
	dir_own = (char *)(uintptr_t)open_dir("own", 0777);
	dir_read = (char *)(uintptr_t)open_dir("read", 0777);
	dir_other = (char *)(uintptr_t)open_dir("other", 0777);
	support_write(support_path("other/only"), "text");
	ck_ok(sandbox_paths_add(&paths, dir_own, SANDBOX_READ | SANDBOX_WRITE, &err));
	ck_ok(sandbox_paths_add(&paths, dir_read, SANDBOX_READ, &err));
	ck_ok(sandbox_paths_add(&paths, support_path("other/only"), SANDBOX_READ, &err));
	ck_ok(sandbox_paths_add(&paths, support_path("absent"), SANDBOX_READ, &err));
	if (daemon_instrumented()) {
		printf("SKIP the filter is tested on the release build\n");
		return;
	}
	/* symlink and truncate are no calls of the role: errno, so that Landlock is asked for the others */
	got = run_confined(&server, &paths, SANDBOX_ERRNO, use_files, NULL, said);
	ck_assert_msg(got == 0, "%d: %s", got, said);
}
END_TEST

static int
abstract_connect(void *arg)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(addr.sun_path + 1, arg, strlen(arg));
	if (connect(fd, (struct sockaddr *)&addr,
		(socklen_t)(sizeof(sa_family_t) + 1 + strlen(arg))) == 0)
		return 1;
	return errno == EPERM ? 0 : 2;
}

START_TEST(test_scope)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sandbox_paths none = { 0 };
	char name[64], said[512];

	if (sandbox_landlock_abi() < 6) {
		printf("SKIP Landlock ABI %d has no scopes\n", sandbox_landlock_abi());
		return;
	}
	if (instrumented())
		return;
	snprintf(name, sizeof(name), "ek-check-sandbox.%d", (int)getpid());
	memcpy(addr.sun_path + 1, name, strlen(name));
	ck_assert_int_eq(
	    bind(fd, (struct sockaddr *)&addr, (socklen_t)(sizeof(sa_family_t) + 1 + strlen(name))),
	    0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(
	    run_confined(&local_client, &none, SANDBOX_KILL, abstract_connect, name, said), 0);
}
END_TEST

/* what stands for a file that may be replaced, and for one in the root directory */
START_TEST(test_dir_of)
{
	static const struct {
		const char *file;
		unsigned access;
		const char *path;
		unsigned want;
		size_t n;
	} rows[] = {
		{ "/a/b/c", SANDBOX_READ, "/a/b", SANDBOX_READ, 1 },
		{ "/a/b/d", SANDBOX_WRITE, "/a/b", SANDBOX_READ | SANDBOX_WRITE, 1 },
		{ "/a/b/e", SANDBOX_READ, "/a/b", SANDBOX_READ | SANDBOX_WRITE, 1 },
		{ "/c", SANDBOX_READ, "/c", SANDBOX_READ, 2 },
		{ "c", SANDBOX_READ, ".", SANDBOX_READ, 3 },
		{ "x/c", SANDBOX_READ, "x", SANDBOX_READ, 4 },
	};
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t at = 0;

		ck_ok(sandbox_paths_add_dir_of(&paths, rows[i].file, rows[i].access, &err));
		ck_assert_uint_eq(paths.n, rows[i].n);
		while (at < paths.n && strcmp(paths.at[at].path, rows[i].path) != 0)
			at++;
		ck_assert_msg(
		    at < paths.n && sandbox_paths_has(&paths, rows[i].path), "%s", rows[i].file);
		ck_assert_uint_eq(paths.at[at].access, rows[i].want);
	}
	ck_assert(!sandbox_paths_has(&paths, "/"));
}
END_TEST

START_TEST(test_paths_bound)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };
	struct err err = { 0 };

	for (int i = 0; i < SANDBOX_PATHS_MAX; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/%d", i);
		ck_ok(sandbox_paths_add(&paths, path, SANDBOX_READ, &err));
	}
	ck_err(sandbox_paths_add(&paths, "/x", SANDBOX_READ, &err), ERR_INTERNAL);
	/* what is there already takes no room */
	ck_ok(sandbox_paths_add(&paths, "/7", SANDBOX_WRITE, &err));
	ck_assert_uint_eq(paths.at[7].access, SANDBOX_READ | SANDBOX_WRITE);
}
END_TEST

/* --- the probe -------------------------------------------------------------------------------------------------------- */

struct probed {
	const struct sandbox_role *role;
	struct sandbox_paths *paths;
	enum sandbox_mode mode;
	uid_t uid; /* 0: stay who we are */
};

static enum err_code
apply_probed(void *ctx, struct err *err)
{
	const struct probed *p = ctx;
	struct privs_user user = { .uid = p->uid, .gid = p->uid };

	if (p->uid && privs_become(&user, err))
		return err->code;
	if (privs_lock(0, err))
		return err->code;
	return sandbox_apply(p->role, p->paths, p->mode, err);
}

/* architecture.md 4; a row of + allowed, - refused per trial, in the order of the names */
static const char *const trial_names[] = { "exec", "fork", "code", "ptrace", "shadow", "inet",
	"unix", "other-dir", "own-dir", "engine", "io_uring", "bpf", "keyctl", "userns" };
static const struct {
	const struct sandbox_role *role;
	const char *want;
} expectations[] = {
	/*               exec fork code ptrace shadow inet unix other own engine uring bpf keyctl userns */
	{ &server, "- - - - - - - - + - - - - -" },
	{ &local_client, "- - + - - - + - + - - - - -" },
	{ &cloud_client, "- - + - - + + - + - - - - -" },
	{ &engine_client, "- - + - - - + - + + - - - -" },
};

static char *
probe_output(struct probed *probed, const struct sandbox_probe_target *target, int *ret_status)
{
	const char *out = support_path("table");
	struct bytes text;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (!freopen(out, "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(99);
		status = sandbox_probe(probed->role, target, apply_probed, probed);
		fflush(stdout);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	*ret_status = WEXITSTATUS(status);
	text = support_read(out);
	return (char *)text.data;
}

static void
check_table(const struct sandbox_role *role, const char *want, const char *table)
{
	char line[128], expected[2048] = "";

	for (size_t i = 0; i < ARRAY_LEN(trial_names); i++) {
		snprintf(line, sizeof(line), "%s %s %s\n", role->name, trial_names[i],
		    want[2 * i] == '+' ? "allowed" : "refused");
		strncat(expected, line, sizeof(expected) - strlen(expected) - 1);
	}
	ck_assert_str_eq(table, expected);
}

static void
probe_roles(uid_t uid, enum sandbox_mode mode)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };
	AUTO(fd_closep) int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct sandbox_probe_target target;
	struct err err = { 0 };

	/* the engine's socket is kept from the local client by its group, here by the lack of it */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", support_path("engine.sock"));
	ck_assert_int_eq(bind(engine, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(engine, 8), 0);
	target = (struct sandbox_probe_target){ open_dir("theirs", 0777), addr.sun_path,
		open_dir("ours", 0777) };
	ck_ok(sandbox_paths_add(&paths, target.own_dir, SANDBOX_READ | SANDBOX_WRITE, &err));
	for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
		const struct sandbox_role *role = expectations[i].role;
		struct probed probed = { role, &paths, mode, uid };
		char *table;
		int status;

		ck_assert_int_eq(chmod(addr.sun_path, role->engine ? 0666 : 0600), 0);
		if (uid == 0 && !role->engine && role->families)
			ck_assert_int_eq(chmod(addr.sun_path, 0), 0);
		table = probe_output(&probed, &target, &status);
		check_table(role, expectations[i].want, table);
		ck_assert_int_eq(status, 0);
		free(table);
	}
}

START_TEST(test_probe)
{
	if (!instrumented())
		probe_roles(0, SANDBOX_KILL);
}
END_TEST

START_TEST(test_probe_errno)
{
	if (!instrumented())
		probe_roles(0, SANDBOX_ERRNO);
}
END_TEST

START_TEST(test_probe_as_user)
{
	if (getuid() != 0)
		printf("SKIP not root: the probe as another user\n");
	else if (!instrumented())
		probe_roles(61184 + (uid_t)getpid() % 4000, SANDBOX_KILL);
}
END_TEST

START_TEST(test_probe_tells)
{
	static const struct sandbox_probe_target nothing = { NULL, NULL, NULL };
	struct sandbox_probe_target missing = { "/no/such/dir", "/no/such/socket", NULL };
	struct probed off = { &server, NULL, SANDBOX_OFF, 0 };
	struct probed client = { &local_client, NULL, SANDBOX_KILL, 0 };
	char *table;
	int status;

	if (instrumented())
		return;
	/* without a policy nothing is as declared, and the exit status says so */
	table = probe_output(&off, &nothing, &status);
	ck_assert_int_eq(status, 1);
	ck_assert_ptr_nonnull(strstr(table, "server exec allowed\n"));
	ck_assert_ptr_null(strstr(table, "other-dir"));
	free(table);
	table = probe_output(&client, &missing, &status);
	ck_assert_ptr_nonnull(strstr(table, "local-client other-dir absent\n"));
	ck_assert_ptr_nonnull(strstr(table, "local-client engine absent\n"));
	free(table);
}
END_TEST

/* The spawner's filter must carry every role's start; it has no paths, and no keys. */
START_TEST(test_probe_spawner)
{
	static const struct sandbox_probe_target nothing = { NULL, NULL, NULL };
	struct probed probed = { &spawner, NULL, SANDBOX_KILL,
		getuid() == 0 ? 61184 + (uid_t)getpid() % 4000 : 0 };
	char *table;
	int status;

	if (instrumented())
		return;
	table = probe_output(&probed, &nothing, &status);
	ck_assert_str_eq(table,
	    "spawner exec allowed\nspawner fork allowed\nspawner code allowed\nspawner ptrace "
	    "refused\n"
	    "spawner shadow refused\nspawner inet refused\nspawner unix refused\n"
	    "spawner io_uring refused\nspawner bpf refused\nspawner keyctl refused\n"
	    "spawner userns refused\n");
	ck_assert_int_eq(status, 0);
	free(table);
}
END_TEST

TEST_MAIN("platform/sandbox", test_modes, test_mode_names, test_guards, test_devices, test_abort,
    test_declaration, test_files, test_scope, test_dir_of, test_paths_bound, test_probe,
    test_probe_errno, test_probe_as_user, test_probe_tells, test_probe_spawner)
