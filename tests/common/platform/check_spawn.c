#include "tests/support/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/daemon.h"
#include "platform/privs.h"
#include "platform/spawn.h"

/*
 * This program is both ends: without arguments the test, which acts as a daemon; with arguments the role that its
 * spawner starts.
 */

static const struct sandbox_calls *const worker_calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, NULL };
static const struct sandbox_calls *const spawner_calls[] = { &sandbox_runtime, &sandbox_spawn,
	&sandbox_serve, &sandbox_files, NULL };
static const struct sandbox_role worker = { "worker", worker_calls, NULL, false };
static const struct sandbox_role spawner = { "spawner", spawner_calls, NULL, false };

/* --- the role --------------------------------------------------------------------------------------------------------- */

/* Which descriptors this process has: "0 1 2 3 " */
static void
list_fds(char *out, size_t size)
{
	size_t used = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			used += (size_t)snprintf(out + used, size - used, "%d ", fd);
}

/* Obey one letter a time on descriptor 3. */
static void *
obey(void *arg)
{
	struct daemon *d = arg;
	char letter, text[256];

	while (read(3, &letter, 1) == 1) {
		switch (letter) {
		case 'c': /* which configuration */
			snprintf(text, sizeof(text), "%s", d->config_dir);
			break;
		case 'f':
			list_fds(text, sizeof(text));
			break;
		case 'o': /* may it open a file outside */
			snprintf(text, sizeof(text), "%d", open("/etc/passwd", O_RDONLY) < 0);
			break;
		case 't': /* descriptor 4 is the second one passed */
			snprintf(text, sizeof(text), "%s",
			    write(4, "hello", 5) == 5 ? "written" : "not written");
			break;
		case 'x': /* a call that no role has */
			snprintf(text, sizeof(text), "%d", sethostname("", 0));
			break;
		default:
			daemon_end(d, letter);
			return NULL;
		}
		if (write(3, text, strlen(text)) < 0)
			return NULL;
	}
	return NULL;
}

static enum err_code
worker_load(struct daemon *d, struct err *err)
{
	char real[PATH_MAX];
	DIR *dir;

	/* what reading a configuration takes, under the spawner's filter */
	(void)d;
	dir = opendir("/");
	if (!dir || !readdir(dir) || !realpath("/usr/bin/..", real))
		return err_set(err, ERR_CONFIG, "cannot read");
	closedir(dir);
	return ERR_OK;
}

static enum err_code
worker_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	(void)d, (void)paths, (void)err;
	return ERR_OK;
}

static enum err_code
worker_serve(struct daemon *d, struct err *err)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, obey, d))
		return err_set(err, ERR_IO, "no thread");
	return ERR_OK;
}

static const struct daemon_role roles[] = {
	{ .name = NULL, .sandbox = &worker },
	{ .name = "worker", .sandbox = &worker, .paths = worker_paths, .serve = worker_serve },
	{ 0 },
};
static const struct daemon_spec spec = {
	.name = "spawned",
	.summary = "a role",
	.user = "no-such-user",
	.config_file = "/no/such",
	.config_dir = "/no/such",
	.config_file_env = "AZIOT_SPAWNED_CONFIG",
	.config_dir_env = "AZIOT_SPAWNED_CONFIG_DIR",
	.config_exit = 1,
	.load = worker_load,
	.roles = roles,
};

/* --- the daemon's end ------------------------------------------------------------------------------------------------- */

static char *own_argv[] = { (char[]){ "check" }, (char[]){ "--config-dir" },
	(char[]){ "/some/dir" }, (char[]){ "--user" }, (char[]){ "somebody" },
	(char[]){ "--user=else" }, NULL };

static enum sandbox_mode
mode(void)
{
	return daemon_instrumented() ? SANDBOX_OFF : SANDBOX_KILL;
}

/* valgrind cannot follow an exec by descriptor */
static bool
cannot_run(void)
{
	if (support_valgrind())
		printf("SKIP processes of their own are not for valgrind\n");
	return support_valgrind();
}

static struct spawner *
begin(void)
{
	const uid_t id = 61184 + (uid_t)getpid() % 4000;
	const struct privs_user user = { id, id, { 0 }, 0 };
	struct spawner *s = NULL;
	struct err err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	if (getuid() == 0) {
		ck_assert_int_eq(chown(support_tmpdir(), id, id), 0);
		ck_err(spawner_start(own_argv, &spawner, mode(), &s, &err), ERR_INTERNAL);
		ck_ok(privs_become(&user, &err));
		prctl(PR_SET_DUMPABLE, 1);
	}
	ck_ok(spawner_start(own_argv, &spawner, mode(), &s, &err));
	return s;
}

/* Start a worker; its descriptor 3 is the other end of *ret_line. */
static pid_t
begin_worker(struct spawner *s, int *ret_line, const int *more, size_t n_more)
{
	int pair[2], fds[SPAWN_FDS_MAX];
	struct err err = { 0 };
	pid_t pid = -1;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fds[0] = pair[1];
	for (size_t i = 0; i < n_more; i++)
		fds[i + 1] = more[i];
	ck_ok(spawner_exec(s, &(struct spawn_request){ "worker", fds, n_more + 1 }, &pid, &err));
	ck_assert_int_gt(pid, 1);
	close(pair[1]);
	*ret_line = pair[0];
	return pid;
}

static const char *
ask(int line, char letter)
{
	static char answer[256];
	struct pollfd p = { line, POLLIN, 0 };
	ssize_t n;

	ck_assert_int_eq(send(line, &letter, 1, MSG_NOSIGNAL), 1);
	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	n = recv(line, answer, sizeof(answer) - 1, 0);
	answer[n < 0 ? 0 : n] = '\0';
	return answer;
}

static int
wait_ended(struct spawner *s, pid_t want)
{
	struct err err = { 0 };
	int status = -1;
	pid_t pid = -1;

	ck_ok(spawner_ended(s, 20000, &pid, &status, &err));
	ck_assert_int_eq(pid, want);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool
runs(pid_t pid)
{
	AUTO(str_freep)
	char *state = support_sh(
	    "sed -n 's/^State:[[:space:]]*\\(.\\).*/\\1/p' /proc/%d/status 2>/dev/null || :", pid);

	return *state && *state != 'Z' && *state != 'X';
}

static void
expect_gone(pid_t pid)
{
	for (int i = 0; i < 1500 && runs(pid); i++)
		usleep(20000);
	ck_assert(!runs(pid));
}

START_TEST(test_role)
{
	int spare[2], other[2], line, second;
	struct err err = { 0 };
	struct spawner *s;
	char text[8] = "";
	pid_t a, b;

	if (cannot_run())
		return;
	s = begin();
	ck_assert_int_eq(pipe(spare), 0);
	ck_assert_int_eq(pipe(other), 0);
	a = begin_worker(s, &line, &spare[1], 1);
	ck_assert_str_eq(ask(line, 'c'), "/some/dir");
	ck_assert_str_eq(ask(line, 't'), "written");
	ck_assert_int_eq(read(spare[0], text, sizeof(text)), 5);
	ck_assert_str_eq(text, "hello");
	if (!daemon_instrumented()) { /* a sanitizer has descriptors of its own */
		ck_assert_str_eq(ask(line, 'f'), "0 1 2 3 4 ");
		ck_assert_str_eq(ask(line, 'o'), "1");
	}
	b = begin_worker(s, &second, (int[]){ spare[1], other[0], other[1] }, 3);
	ck_assert_str_eq(ask(second, 'c'), "/some/dir");
	if (!daemon_instrumented())
		ck_assert_str_eq(ask(second, 'f'), "0 1 2 3 4 5 6 ");
	ck_assert_int_eq(send(line, "*", 1, 0), 1);
	ck_assert_int_eq(wait_ended(s, a), '*');
	ck_ok(spawner_kill(s, b, SIGTERM, &err));
	ck_assert_int_eq(wait_ended(s, b), 0);
	ck_err(spawner_kill(s, b, SIGTERM, &err), ERR_NOT_FOUND);
	ck_err(spawner_ended(s, 10, &a, &(int){ 0 }, &err), ERR_TIMEOUT);
	spawner_stop(s);
}
END_TEST

START_TEST(test_policy)
{
	struct spawner *s;
	char letter = 'x';
	pid_t pid;
	int line;

	if (cannot_run())
		return;
	if (daemon_instrumented()) {
		printf("SKIP the filter is tested on the release build\n");
		return;
	}
	s = begin();
	pid = begin_worker(s, &line, NULL, 0);
	ck_assert_str_eq(ask(line, 'c'), "/some/dir");
	{
		/* the spawner is the worker's parent and the test's child */
		AUTO(str_freep)
		char *found = support_sh(
		    "for p in %d $(sed -n 's/^PPid:[[:space:]]*//p' /proc/%d/status); do "
		    "sed -n 's/^\\(Seccomp\\|NoNewPrivs\\|CapBnd\\|CapEff\\):[[:space:]]*/\\1 /p' "
		    "/proc/$p/status; done",
		    pid, pid);

		/* the bounding set can be emptied by a daemon that was root */
		if (strstr(found, "CapBnd 0000000000000000"))
			ck_assert_str_eq(found, "CapEff 0000000000000000\nCapBnd "
						"0000000000000000\nNoNewPrivs 1\nSeccomp 2\n"
						"CapEff 0000000000000000\nCapBnd "
						"0000000000000000\nNoNewPrivs 1\nSeccomp 2");
		else
			printf("SKIP not root: the bounding set is left\n");
	}
	ck_assert_int_eq(send(line, &letter, 1, 0), 1);
	ck_assert_int_eq(wait_ended(s, pid), 159);
	spawner_stop(s);
}
END_TEST

START_TEST(test_refused)
{
	int line, status;
	struct err err = { 0 };
	struct spawner *s;
	pid_t pid;

	if (cannot_run())
		return;
	s = begin();
	/* not its children: the test, init, everybody, a group */
	ck_err(spawner_kill(s, getpid(), SIGTERM, &err), ERR_NOT_FOUND);
	ck_err(spawner_kill(s, 1, SIGTERM, &err), ERR_NOT_FOUND);
	ck_err(spawner_kill(s, 0, SIGTERM, &err), ERR_NOT_FOUND);
	ck_err(spawner_kill(s, -1, SIGTERM, &err), ERR_NOT_FOUND);
	ck_err(
	    spawner_exec(s, &(struct spawn_request){ "a-name-of-thirty-two-characters-", NULL, 0 },
		&pid, &err),
	    ERR_INTERNAL);
	ck_err(spawner_exec(
		   s, &(struct spawn_request){ "worker", NULL, SPAWN_FDS_MAX + 1 }, &pid, &err),
	    ERR_INTERNAL);
	ck_err(spawner_exec(s, &(struct spawn_request){ "worker", (int[]){ -1 }, 1 }, &pid, &err),
	    ERR_IO);
	/* no such role: the child itself says so */
	ck_ok(spawner_exec(s, &(struct spawn_request){ "nobody", NULL, 0 }, &pid, &err));
	ck_assert_int_eq(wait_ended(s, pid), 2);
	/* the descriptors' number is known at both ends */
	pid = begin_worker(s, &line, NULL, 0);
	ck_ok(spawner_kill(s, pid, SIGKILL, &err));
	ck_assert_int_eq(wait_ended(s, pid), 128 + SIGKILL);
	ck_err(spawner_ended(s, 0, &pid, &status, &err), ERR_TIMEOUT);
	spawner_stop(s);
	spawner_stop(NULL);
}
END_TEST

/* At most 32 children, and a place is free again only when its end has been told. */
START_TEST(test_many)
{
	struct err err = { 0 };
	struct spawner *s;
	pid_t pid, first = 0;
	int status;

	if (cannot_run())
		return;
	s = begin();
	for (int i = 0; i < 32; i++) {
		int line;

		pid = begin_worker(s, &line, NULL, 0);
		first = first ? first : pid;
	}
	ck_err(spawner_exec(s, &(struct spawn_request){ "worker", NULL, 0 }, &pid, &err), ERR_BUSY);
	ck_ok(spawner_kill(s, first, SIGKILL, &err));
	ck_ok(spawner_ended(s, 20000, &pid, &status, &err));
	ck_assert_int_eq(pid, first);
	ck_ok(spawner_exec(s, &(struct spawn_request){ "worker", NULL, 0 }, &pid, &err));
	spawner_stop(s);
	expect_gone(pid);
}
END_TEST

START_TEST(test_stop_ends_all)
{
	struct spawner *s;
	pid_t a, b;
	int line;

	if (cannot_run())
		return;
	s = begin();
	a = begin_worker(s, &line, NULL, 0);
	ask(line, 'c');
	b = begin_worker(s, &line, NULL, 0);
	ask(line, 'c');
	kill(a, SIGSTOP); /* hears no SIGTERM */
	spawner_stop(s);
	ck_assert(!runs(a));
	ck_assert(!runs(b));
}
END_TEST

/* The daemon dies without a word: spawner and children go with it. */
START_TEST(test_daemon_dies)
{
	int pipes[2], status;
	pid_t daemon_pid, pids[2];

	if (cannot_run())
		return;
	ck_assert_int_eq(pipe(pipes), 0);
	fflush(stdout);
	daemon_pid = fork();
	if (daemon_pid == 0) {
		struct spawner *s = begin();
		int line;

		pids[0] = begin_worker(s, &line, NULL, 0);
		ask(line, 'c');
		{
			AUTO(str_freep)
			char *parent =
			    support_sh("sed -n 's/^PPid:[[:space:]]*//p' /proc/%d/status", pids[0]);

			pids[1] = atoi(parent);
		}
		if (write(pipes[1], pids, sizeof(pids)) < 0)
			_exit(1);
		pause();
	}
	close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], pids, sizeof(pids)), sizeof(pids));
	ck_assert(runs(pids[0]));
	ck_assert(runs(pids[1]));
	kill(daemon_pid, SIGKILL);
	ck_assert_int_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
	expect_gone(pids[0]);
	expect_gone(pids[1]);
}
END_TEST

START_TEST(test_spawner_dies)
{
	struct err err = { 0 };
	struct spawner *s;
	pid_t pid, ended;
	int line, status;

	if (cannot_run())
		return;
	s = begin();
	pid = begin_worker(s, &line, NULL, 0);
	ask(line, 'c');
	{
		AUTO(str_freep)
		char *parent = support_sh("sed -n 's/^PPid:[[:space:]]*//p' /proc/%d/status", pid);

		kill(atoi(parent), SIGTERM); /* which it does not hear */
		ck_assert_str_eq(ask(line, 'c'), "/some/dir");
		kill(atoi(parent), SIGKILL);
	}
	ck_err(spawner_ended(s, 20000, &ended, &status, &err), ERR_UNREACHABLE);
	ck_err(spawner_exec(s, &(struct spawn_request){ "worker", NULL, 0 }, &pid, &err),
	    ERR_UNREACHABLE);
	expect_gone(pid);
	spawner_stop(s);
}
END_TEST

int
main(int argc, char **argv)
{
	static const TTest *cases[8];
	const TTest *const all[] = { test_role, test_policy, test_refused, test_many,
		test_stop_ends_all, test_daemon_dies, test_spawner_dies };

	if (argc > 1)
		return daemon_main(&spec, argc, argv);
	memcpy(cases, all, sizeof(all));
	return support_run("platform/spawn", cases, ARRAY_LEN(all));
}
