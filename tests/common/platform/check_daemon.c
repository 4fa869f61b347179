#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "platform/daemon.h"
#include "platform/listen.h"

/*
 * The smallest daemon that daemon_main can drive, and tests that start it as a process: with arguments this program is
 * the daemon, without it is the test.
 */

/* --- the daemon ------------------------------------------------------------------------------------------------------- */

struct tiny {
	struct daemon *daemon;
	char *text; /* the configuration */
	int listener;
	pthread_t thread;
	bool slow_stop;
};

static enum err_code
tiny_load(struct daemon *d, struct err *err)
{
	static struct tiny tiny;
	AUTO(bytes_done) struct bytes content = { 0 };

	if (file_read(d->config_file, 4096, &content, err))
		return err_wrap(err, "could not read the configuration");
	if (content.len >= 3 && memcmp(content.data, "bad", 3) == 0) {
		err_set(err, ERR_CONFIG, "line 1: bad");
		return err_wrap_code(err, ERR_CONFIG, "could not understand %s", d->config_file);
	}
	str_freep(&tiny.text);
	if (str_copy(&tiny.text, (const char *)content.data, err))
		return err->code;
	tiny.daemon = d;
	d->service = &tiny;
	d->state_dir = getenv("TINY_STATE");
	return ERR_OK;
}

static enum err_code
tiny_open(struct daemon *d, struct err *err)
{
	struct tiny *tiny = d->service;

	return listen_open(getenv("TINY_URI"), "tiny.socket", 1, 0660, &tiny->listener, err);
}

static enum err_code
tiny_prepare(struct daemon *d, struct err *err)
{
	struct tiny *tiny = d->service;

	if (strcmp(tiny->text, "unprepared") == 0) {
		err_set(err, ERR_IO, "the disk is full");
		return err_wrap(err, "could not prepare");
	}
	return ERR_OK;
}

static enum err_code
tiny_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	return sandbox_paths_add(paths, d->state_dir, SANDBOX_READ | SANDBOX_WRITE, err);
}

/* One command a connection: what it does is answered in one line. */
static void
obey(struct tiny *tiny, int fd)
{
	char line[64] = "", path[256];

	if (read(fd, line, sizeof(line) - 1) <= 0)
		return;
	if (strncmp(line, "end ", 4) == 0)
		daemon_end(tiny->daemon, atoi(line + 4));
	else if (strcmp(line, "text") == 0)
		dprintf(fd, "%s", tiny->text);
	else if (strcmp(line, "slow") == 0)
		tiny->slow_stop = true;
	else if (strcmp(line, "leak") == 0)
		((volatile char *)malloc(4321))[0] = 1;
	else if (strcmp(line, "inet") == 0)
		socket(AF_INET, SOCK_STREAM, 0);
	else if (strcmp(line, "file") == 0) {
		snprintf(path, sizeof(path), "%s/made", tiny->daemon->state_dir);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	}
	dprintf(fd, "done\n");
}

static void *
tiny_thread(void *arg)
{
	struct tiny *tiny = arg;

	for (;;) {
		int fd = accept4(tiny->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		obey(tiny, fd);
		close(fd);
	}
}

static enum err_code
tiny_serve(struct daemon *d, struct err *err)
{
	struct tiny *tiny = d->service;

	if (pthread_create(&tiny->thread, NULL, tiny_thread, tiny))
		return err_set(err, ERR_IO, "no thread");
	return ERR_OK;
}

static enum err_code
tiny_reload(struct daemon *d, struct err *err)
{
	return d->spec->load(d, err);
}

static void
tiny_stop(struct daemon *d, unsigned grace_ms)
{
	struct tiny *tiny = d->service;

	if (tiny->slow_stop) {
		log_info("slow");
		poll(NULL, 0, (int)grace_ms);
	}
	shutdown(tiny->listener, SHUT_RDWR);
	pthread_join(tiny->thread, NULL);
}

static void
tiny_done(struct daemon *d)
{
	struct tiny *tiny = d->service;

	str_freep(&tiny->text);
	log_info("done");
}

static const struct sandbox_calls *const tiny_calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, NULL };
static const struct sandbox_role tiny_sandbox = { "tiny", tiny_calls, NULL, false };
static const struct daemon_role tiny_roles[] = {
	{ NULL, &tiny_sandbox, tiny_open, tiny_prepare, tiny_paths, tiny_serve, tiny_reload,
	    tiny_stop, tiny_done },
	{ 0 },
};

static const struct daemon_spec tiny_spec = {
	.name = "tiny",
	.summary = "a daemon that does nothing",
	.user = "no-such-user-of-tiny",
	.config_file = "/no/such/config.toml",
	.config_dir = "/no/such/config.d",
	.config_file_env = "AZIOT_TINY_CONFIG",
	.config_dir_env = "AZIOT_TINY_CONFIG_DIR",
	.other_dir = "/root",
	.config_exit = 153,
	.load = tiny_load,
	.roles = tiny_roles,
};

/* --- what the tests share --------------------------------------------------------------------------------------------- */

static char self[4096];

/* Does the started daemon run without its filter?  (valgrind does not follow it, so it runs as released.) */
static bool
tiny_instrumented(void)
{
#ifdef EDGEKEEP_INSTRUMENTED
	return true;
#else
	const char *said = getenv("EDGEKEEP_INSTRUMENTED");

	return said && strcmp(said, "1") == 0;
#endif
}

/* A started daemon and the ears on it. */
struct run {
	pid_t pid;
	int notify;	 /* its NOTIFY_SOCKET */
	const char *log; /* its stdout and stderr */
	const char *socket;
	char uid[32];
};

/* Files that any uid may use, in a directory that any uid may pass. */
static void
furnish(struct run *run, const char *config)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *state = support_path("state");

	*run = (struct run){ .pid = -1, .log = support_path("log"), .socket = support_path("s") };
	snprintf(run->uid, sizeof(run->uid), "%d:%d", 61184 + (int)getpid() % 4000,
	    61184 + (int)getpid() % 4000);
	ck_assert_int_eq(chmod(support_tmpdir(), 0711), 0);
	ck_assert(mkdir(state, 0700) == 0 || errno == EEXIST);
	if (getuid() == 0)
		ck_assert_int_eq(chown(state, (uid_t)atoi(run->uid), (gid_t)atoi(run->uid)), 0);
	support_write(support_path("config"), config);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", support_path("notify"));
	unlink(addr.sun_path);
	unlink(run->socket);
	run->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(run->notify, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(chmod(addr.sun_path, 0666), 0);
	ck_assert_int_eq(chmod(support_path("config"), 0644), 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	setenv("AZIOT_TINY_CONFIG", support_path("config"), 1);
	setenv("TINY_STATE", state, 1);
	setenv("TINY_URI", support_path("s"), 1);
}

/* Start it with up to four arguments; as root under a numeric user unless told otherwise. */
static void
start(struct run *run, bool as_user, const char *a, const char *b, const char *c)
{
	const char *argv[8] = { self }, *extra[] = { a, b, c };
	char uri[256];
	int n = 1, fd;

	if (as_user && getuid() == 0) {
		argv[n++] = "--user";
		argv[n++] = run->uid;
	}
	for (size_t i = 0; i < ARRAY_LEN(extra) && extra[i]; i++)
		argv[n++] = extra[i];
	snprintf(uri, sizeof(uri), "unix://%s", run->socket);
	setenv("TINY_URI", uri, 1);
	fflush(stdout);
	run->pid = fork();
	ck_assert_int_ge(run->pid, 0);
	if (run->pid > 0)
		return;
	fd = open(run->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	execv(self, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static int
wait_end(struct run *run)
{
	int status;

	ck_assert_int_eq(waitpid(run->pid, &status, 0), run->pid);
	run->pid = -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The next message to the supervisor, skipping STATUS= lines. */
static void
expect_notice(struct run *run, const char *want)
{
	char text[256];

	do {
		struct pollfd p = { .fd = run->notify, .events = POLLIN };
		ssize_t n;

		ck_assert_msg(poll(&p, 1, 20000) == 1, "no notice %s: %s", want,
		    (char *)support_read(run->log).data);
		n = recv(run->notify, text, sizeof(text) - 1, 0);
		ck_assert_int_gt(n, 0);
		text[n] = '\0';
	} while (strncmp(text, "STATUS=", 7) == 0);
	ck_assert_msg(strncmp(text, want, strlen(want)) == 0, "%s instead of %s", text, want);
}

static void
expect_log(const struct run *run, const char *want)
{
	AUTO(bytes_done) struct bytes log = support_read(run->log);

	ck_assert_msg(strstr((char *)log.data, want), "no \"%s\" in:\n%s", want, (char *)log.data);
}

/* Send one command; the answer, or "" when the connection broke. */
static const char *
ask(const struct run *run, const char *command)
{
	static char answer[256];
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t used = 0;
	ssize_t n;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", run->socket);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(
	    send(fd, command, strlen(command), MSG_NOSIGNAL), (ssize_t)strlen(command));
	while ((n = read(fd, answer + used, sizeof(answer) - 1 - used)) > 0)
		used += (size_t)n;
	answer[used] = '\0';
	return answer;
}

static void
close_ears(struct run *run)
{
	close(run->notify);
}

/* --- tests ------------------------------------------------------------------------------------------------------------ */

START_TEST(test_life)
{
	struct run run;

	furnish(&run, "one");
	start(&run, true, NULL, NULL, NULL);
	expect_notice(&run, "READY=1");
	ck_assert_str_eq(ask(&run, "text"), "onedone\n");
	support_write(support_path("config"), "two");
	ck_assert_int_eq(chmod(support_path("config"), 0644), 0);
	kill(run.pid, SIGHUP);
	expect_notice(&run, "RELOADING=1\nMONOTONIC_USEC=");
	expect_notice(&run, "READY=1");
	if (tiny_instrumented()) /* else the file is outside its paths, which is what a daemon declares */
		ck_assert_str_eq(ask(&run, "text"), "twodone\n");
	else
		expect_log(&run, "[ERR!] - could not read the configuration again");
	kill(run.pid, SIGUSR1); /* nobody's business */
	kill(run.pid, SIGTERM);
	expect_notice(&run, "STOPPING=1");
	ck_assert_int_eq(wait_end(&run), 0);
	expect_log(&run, "[INFO] - done");
	close_ears(&run);
}
END_TEST

/* edged: 1 and 154 are ends that it asks for itself */
START_TEST(test_daemon_end)
{
	struct run run;

	furnish(&run, "one");
	start(&run, true, NULL, NULL, NULL);
	expect_notice(&run, "READY=1");
	ask(&run, "end 154");
	expect_notice(&run, "STOPPING=1");
	ck_assert_int_eq(wait_end(&run), 154);
	close_ears(&run);
}
END_TEST

/* A sanitizer says nothing of a process that is not dumpable, and a change of user makes it so: this leak must be told. */
START_TEST(test_planted_leak)
{
#ifdef EDGEKEEP_INSTRUMENTED
	struct run run;

	furnish(&run, "one");
	start(&run, true, NULL, NULL, NULL);
	expect_notice(&run, "READY=1");
	ask(&run, "leak");
	kill(run.pid, SIGTERM);
	expect_notice(&run, "STOPPING=1");
	ck_assert_int_ne(wait_end(&run), 0);
	expect_log(&run, "LeakSanitizer: detected memory leaks");
	expect_log(&run, "4321 byte(s) in 1 object(s)");
	close_ears(&run);
#else
	printf("SKIP a planted leak is for the sanitizer build\n");
#endif
}
END_TEST

START_TEST(test_second_signal)
{
	struct run run;

	furnish(&run, "one");
	start(&run, true, NULL, NULL, NULL);
	expect_notice(&run, "READY=1");
	ask(&run, "slow");
	kill(run.pid, SIGINT);
	expect_notice(&run, "STOPPING=1");
	kill(run.pid, SIGTERM);
	ck_assert_int_eq(wait_end(&run), 128 + SIGTERM);
	close_ears(&run);
}
END_TEST

/* the card of the whole project: Seccomp 2, NoNewPrivs 1, CapBnd 0, in every daemon */
START_TEST(test_status)
{
	static const struct {
		const char *field, *want;
		bool root_only, filter;
	} rows[] = {
		{ "NoNewPrivs", "1", false, false },
		{ "CapInh", "0000000000000000", false, false },
		{ "CapPrm", "0000000000000000", false, false },
		{ "CapEff", "0000000000000000", false, false },
		{ "CapAmb", "0000000000000000", false, false },
		{ "CapBnd", "0000000000000000", true, false },
		{ "Seccomp", "2", false, true },
		{ "Umask", "0077", false, false },
	};
	struct run run;

	furnish(&run, "one");
	start(&run, true, NULL, NULL, NULL);
	expect_notice(&run, "READY=1");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep)
		char *got = support_sh(
		    "sed -n 's/^%s:[[:space:]]*//p' /proc/%d/status", rows[i].field, run.pid);

		if ((rows[i].root_only && getuid() != 0) || (rows[i].filter && tiny_instrumented()))
			printf("SKIP %s needs root and the release build\n", rows[i].field);
		else
			ck_assert_msg(
			    strcmp(got, rows[i].want) == 0, "%s is %s", rows[i].field, got);
	}
	if (getuid() == 0) {
		AUTO(str_freep)
		char *ids = support_sh("sed -n 's/^Uid:[[:space:]]*//p' /proc/%d/status", run.pid);
		AUTO(str_freep)
		char *core =
		    support_sh("grep -c 'Max core file size *0 *0' /proc/%d/limits", run.pid);
		char want[64];
		int uid = atoi(run.uid);

		snprintf(want, sizeof(want), "%d\t%d\t%d\t%d", uid, uid, uid, uid);
		ck_assert_str_eq(ids, want);
		ck_assert_str_eq(core, "1");
		/* the socket is the service user's, as systemd would make it (common.md 3) */
		{
			AUTO(str_freep)
			char *mode = support_sh("stat -c '%%a %%u %%g' %s", run.socket);

			snprintf(want, sizeof(want), "660 %d %d", uid, uid);
			ck_assert_str_eq(mode, want);
		}
	}
	ck_assert_str_eq(ask(&run, "file"), "done\n");
	{
		AUTO(str_freep)
		char *mode = support_sh("stat -c %%a %s/made", getenv("TINY_STATE"));

		ck_assert_str_eq(mode, "600"); /* umask 077 */
	}
	kill(run.pid, SIGTERM);
	ck_assert_int_eq(wait_end(&run), 0);
	close_ears(&run);
}
END_TEST

START_TEST(test_sandbox_modes)
{
	static const struct {
		const char *mode;
		int want_exit;
		const char *want_log;
	} rows[] = {
		{ "kill", 159, "<3>sandbox: socket refused\n" },
		{ "errno", 0, "<3>sandbox: socket refused\n" },
		{ "log", 0, "ready" },
		{ "off", 0, "sandbox off" },
	};
	struct run run;

	if (tiny_instrumented()) {
		printf("SKIP the filter is tested on the release build\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		furnish(&run, "one");
		start(&run, true, "--sandbox", rows[i].mode, NULL);
		expect_notice(&run, "READY=1");
		ask(&run, "inet");
		if (rows[i].want_exit == 0)
			kill(run.pid, SIGTERM);
		ck_assert_int_eq(wait_end(&run), rows[i].want_exit);
		expect_log(&run, rows[i].want_log);
		close_ears(&run);
	}
}
END_TEST

/* arguments that end at once: exit status and what is said */
START_TEST(test_arguments)
{
	static const struct {
		const char *config, *a, *b;
		bool as_user;
		int want_exit;
		const char *want_log;
	} rows[] = {
		{ "one", "--version", NULL, true, 0, "check_daemon 0." },
		{ "one", "-V", NULL, true, 0, "check_daemon 0." },
		{ "one", "--help", NULL, true, 0, "tiny - a daemon that does nothing\n" },
		{ "one", "--nonsense", NULL, true, 2, "usage: tiny " },
		{ "one", "word", NULL, true, 2, "tiny: word: not an option\nusage: tiny " },
		{ "one", "--sandbox", "hard", true, 2, "--sandbox is off, log, errno or kill" },
		{ "one", "--config", NULL, true, 2, "usage: tiny " },
		{ "one", "--role", "other", true, 2, "tiny: no role other" },
		{ "one", "--check", NULL, true, 0, "tiny: the configuration is good\n" },
		{ "bad", "--check", NULL, true, 1, "could not understand" },
		{ "bad", "--check", NULL, true, 1, "\ncaused by: line 1: bad\n" },
		{ "one", "--config", "/no/such", true, 153, "could not read the configuration" },
		{ "bad", NULL, NULL, true, 153, "[ERR!] - could not understand" },
		{ "bad", NULL, NULL, true, 153, "[ERR!] - caused by: line 1: bad\n" },
		{ "unprepared", NULL, NULL, true, 1, "[ERR!] - could not prepare\n" },
		{ "unprepared", NULL, NULL, true, 1, "[ERR!] - caused by: the disk is full\n" },
		{ "one", "--user", "61184", false, 1, "61184 is not UID:GID" },
		{ "one", "--user", "nobody-at-all", false, 1,
		    "no user nobody-at-all; install the package" },
	};
	struct run run;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		furnish(&run, rows[i].config);
		start(&run, rows[i].as_user, rows[i].a, rows[i].b, NULL);
		ck_assert_int_eq(wait_end(&run), rows[i].want_exit);
		expect_log(&run, rows[i].want_log);
		close_ears(&run);
	}
}
END_TEST

START_TEST(test_missing_user)
{
	struct run run;

	if (getuid() != 0) {
		printf("SKIP not root: the service user is not looked for\n");
		return;
	}
	furnish(&run, "one");
	start(&run, false, NULL, NULL, NULL);
	ck_assert_int_eq(wait_end(&run), 1);
	expect_log(&run, "no user no-such-user-of-tiny; install the package or pass --user");
	ck_assert_int_ne(access(run.socket, F_OK), 0);
	close_ears(&run);
}
END_TEST

START_TEST(test_probe)
{
	struct run run;

	if (tiny_instrumented()) {
		printf("SKIP the filter is tested on the release build\n");
		return;
	}
	furnish(&run, "one");
	start(&run, true, "--sandbox-probe", NULL, NULL);
	ck_assert_int_eq(wait_end(&run), 0);
	expect_log(&run, "tiny exec refused\n");
	expect_log(&run, "tiny other-dir refused\n");
	expect_log(&run, "tiny own-dir allowed\n");
	close_ears(&run);
}
END_TEST

/* edged-weaknesses.md B3; sd_listen_fds(3): LISTEN_PID must be our own */
START_TEST(test_activation)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct run run;
	char number[16];
	int fd;

	furnish(&run, "one");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", support_path("given"));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	run.pid = fork();
	if (run.pid == 0) {
		const char *argv[] = { self, "--config-dir", "/no/such", "--user", run.uid, NULL };
		int log = open(run.log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

		dup2(log, STDERR_FILENO);
		if (fd != 3)
			dup2(fd, 3);
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", "1", 1);
		setenv("LISTEN_FDNAMES", "whatever.socket", 1);
		setenv("TINY_URI", "unix:///no/such/directory/s", 1);
		argv[getuid() == 0 ? 5 : 3] = NULL;
		execv(self, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fd);
	expect_notice(&run, "READY=1");
	run.socket = addr.sun_path;
	ck_assert_str_eq(ask(&run, "text"), "onedone\n");
	kill(run.pid, SIGTERM);
	ck_assert_int_eq(wait_end(&run), 0);
	close_ears(&run);
}
END_TEST

START_TEST(test_only_root_changes)
{
	struct run run;

	if (getuid() == 0) {
		printf("SKIP root may become another user\n");
		return;
	}
	furnish(&run, "one");
	start(&run, false, "--user", "61184:61184", NULL);
	ck_assert_int_eq(wait_end(&run), 1);
	expect_log(&run, "only root can start it as user 61184:61184");
	close_ears(&run);
}
END_TEST

int
main(int argc, char **argv)
{
	static const TTest *cases[16];
	const TTest *const all[] = { test_life, test_daemon_end, test_planted_leak,
		test_second_signal, test_status, test_sandbox_modes, test_arguments,
		test_missing_user, test_probe, test_activation, test_only_root_changes };

	if (argc > 1 || getenv("TINY_URI"))
		return daemon_main(&tiny_spec, argc, argv);
	memcpy(cases, all, sizeof(all));
	if (!realpath(argv[0], self))
		return 1;
	return support_run("platform/daemon", cases, ARRAY_LEN(all));
}
