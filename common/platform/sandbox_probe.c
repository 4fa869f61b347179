#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "platform/sandbox_impl.h"

/* What a trial's process ends with. */
enum outcome { ALLOWED, REFUSED, ABSENT, NOT_RUN };

#define EXIT_REFUSED 159
#define PATIENCE_S   10

static int
try_exec(const struct sandbox_probe_target *target)
{
	char *argv[] = { (char[]){ "true" }, NULL };

	(void)target;
	return execveat(
	    AT_FDCWD, "/bin/true", argv, argv + 1, 0); /* which then ends with 0, our ALLOWED */
}

static int
try_fork(const struct sandbox_probe_target *target)
{
	pid_t pid = fork();

	(void)target;
	if (pid == 0)
		_exit(0);
	return (int)pid;
}

static int
try_code(const struct sandbox_probe_target *target)
{
	(void)target;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		       MAP_FAILED
		   ? -1
		   : 0;
}

static int
try_ptrace(const struct sandbox_probe_target *target)
{
	(void)target;
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int
try_shadow(const struct sandbox_probe_target *target)
{
	(void)target;
	return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static int
try_inet(const struct sandbox_probe_target *target)
{
	(void)target;
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
try_unix(const struct sandbox_probe_target *target)
{
	(void)target;
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int
try_other_dir(const struct sandbox_probe_target *target)
{
	return open(target->other_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
try_own_dir(const struct sandbox_probe_target *target)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/.sandbox-probe.%d", target->own_dir, (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? -1 : unlink(path);
}

static int
try_engine(const struct sandbox_probe_target *target)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = try_unix(target);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", target->engine_socket);
	return fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
}

static int
try_io_uring(const struct sandbox_probe_target *target)
{
	char params[256] = { 0 };

	(void)target;
	return (int)syscall(SYS_io_uring_setup, 1, params);
}

static int
try_bpf(const struct sandbox_probe_target *target)
{
	(void)target;
	return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int
try_keyctl(const struct sandbox_probe_target *target)
{
	(void)target;
	return (int)syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1);
}

static int
try_userns(const struct sandbox_probe_target *target)
{
	(void)target;
	return unshare(CLONE_NEWUSER);
}

/* --- what the declaration says ---------------------------------------------------------------------------------------- */

static bool
lists(const struct sandbox_role *role, const char *name)
{
	for (size_t g = 0; role->calls[g]; g++)
		for (size_t i = 0; role->calls[g]->names[i]; i++)
			if (strcmp(role->calls[g]->names[i], name) == 0)
				return true;
	return false;
}

static bool
never(const struct sandbox_role *role)
{
	(void)role;
	return false;
}

static bool
always(const struct sandbox_role *role)
{
	(void)role;
	return true;
}

static bool
may_exec(const struct sandbox_role *role)
{
	return lists(role, "execve") || lists(role, "execveat");
}

static bool
may_fork(const struct sandbox_role *role)
{
	return lists(role, "clone:fork");
}

static bool
may_code(const struct sandbox_role *role)
{
	return lists(role, "mmap:exec");
}

static bool
may_inet(const struct sandbox_role *role)
{
	return lists(role, "socket") && sandbox_has_family(role, AF_INET);
}

static bool
may_unix(const struct sandbox_role *role)
{
	return lists(role, "socket") && sandbox_has_family(role, AF_UNIX);
}

static bool
may_engine(const struct sandbox_role *role)
{
	return role->engine;
}

static const struct trial {
	const char *name;
	int (*try)(const struct sandbox_probe_target *target); /* -1 and errno, as a system call */
	bool (*expected)(const struct sandbox_role *role);
	size_t
	    target; /* offset of what it needs in struct sandbox_probe_target; NO_TARGET: nothing */
} trials[] = {
#define NO_TARGET     ((size_t)-1)
#define TARGET(field) offsetof(struct sandbox_probe_target, field)
	{ "exec", try_exec, may_exec, NO_TARGET },
	{ "fork", try_fork, may_fork, NO_TARGET },
	{ "code", try_code, may_code, NO_TARGET },
	{ "ptrace", try_ptrace, never, NO_TARGET },
	{ "shadow", try_shadow, never, NO_TARGET },
	{ "inet", try_inet, may_inet, NO_TARGET },
	{ "unix", try_unix, may_unix, NO_TARGET },
	{ "other-dir", try_other_dir, never, TARGET(other_dir) },
	{ "own-dir", try_own_dir, always, TARGET(own_dir) },
	{ "engine", try_engine, may_engine, TARGET(engine_socket) },
	{ "io_uring", try_io_uring, never, NO_TARGET },
	{ "bpf", try_bpf, never, NO_TARGET },
	{ "keyctl", try_keyctl, never, NO_TARGET },
	{ "userns", try_userns, never, NO_TARGET },
};

/* --- running them ----------------------------------------------------------------------------------------------------- */

static bool
has_target(const struct trial *trial, const struct sandbox_probe_target *target)
{
	return trial->target == NO_TARGET ||
	       *(const char *const *)(const void *)((const char *)target + trial->target);
}

static enum outcome
judge(int result)
{
	if (result >= 0)
		return ALLOWED;
	switch (errno) {
	case EPERM:
	case EACCES:
	case ENOSYS:
		return REFUSED;
	case ENOENT:
	case ENOTDIR:
		return ABSENT;
	default:
		return ALLOWED; /* the kernel has looked at the arguments */
	}
}

/* The trial's own process; what the handler writes about the refusal would only blur the table. */
static enum outcome
run_inside(const struct trial *trial, const struct sandbox_probe_target *target,
    enum err_code (*apply)(void *ctx, struct err *err), void *ctx)
{
	int said = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct err err = { 0 };

	alarm(PATIENCE_S);
	if (said < 0 || null < 0 || dup2(null, STDERR_FILENO) < 0)
		return NOT_RUN;
	if (apply(ctx, &err)) {
		dprintf(said, "%s\n", err.text);
		return NOT_RUN;
	}
	return judge(trial->try(target));
}

static enum outcome
run_trial(const struct trial *trial, const struct sandbox_probe_target *target,
    enum err_code (*apply)(void *ctx, struct err *err), void *ctx)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(run_inside(trial, target, apply, ctx));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return NOT_RUN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? REFUSED : NOT_RUN;
	if (WEXITSTATUS(status) == EXIT_REFUSED)
		return REFUSED;
	return WEXITSTATUS(status) < NOT_RUN ? (enum outcome)WEXITSTATUS(status) : NOT_RUN;
}

int
sandbox_probe(const struct sandbox_role *role, const struct sandbox_probe_target *target,
    enum err_code (*apply)(void *ctx, struct err *err), void *ctx)
{
	static const char *const words[] = { "allowed", "refused", "absent", "not-run" };
	int bad = 0;

	for (size_t i = 0; i < ARRAY_LEN(trials); i++) {
		const struct trial *trial = &trials[i];
		enum outcome outcome, expected = trial->expected(role) ? ALLOWED : REFUSED;

		if (!has_target(trial, target))
			continue;
		outcome = run_trial(trial, target, apply, ctx);
		printf("%s %s %s\n", role->name, trial->name, words[outcome]);
		if (outcome == ABSENT || outcome == expected)
			continue;
		fprintf(stderr, "%s %s: %s, declared %s\n", role->name, trial->name, words[outcome],
		    words[expected]);
		bad = 1;
	}
	return bad;
}
