#include "tests/support/serve.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

static enum err_code
whose(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char *text = NULL;

	(void)service;
	if (str_format(&text, err, "{\"tag\":\"%s\",\"uid\":%u,\"pid\":%d}",
		req->tag ? (const char *)req->tag : "-", (unsigned)req->peer->uid,
		(int)req->peer->pid))
		return err->code;
	return response_json_text(resp, 200, &text);
}

static enum err_code
wait_long(void *service, const struct request *req, struct response *resp, struct err *err)
{
	usleep(300 * 1000);
	return whose(service, req, resp, err);
}

static enum err_code
wait_longer(void *service, const struct request *req, struct response *resp, struct err *err)
{
	usleep(1500 * 1000);
	return whose(service, req, resp, err);
}

static const char *const versions[] = { "1", NULL };

static const struct route routes[] = {
	{ "GET", "/whose", "1", 0, INLINE, whose, 0 },
	{ "GET", "/wait", "1", 0, WORKER, wait_long, 0 },
	{ "GET", "/late", "1", 0, WORKER, wait_longer, 50 },
};

static const struct route_table table = {
	.daemon = "test",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

static const struct http_server_config config = { .table = &table };
static const char whose_request[] = "GET /whose?api-version=1 HTTP/1.1\r\n\r\n";
static const char wait_request[] = "GET /wait?api-version=1 HTTP/1.1\r\n\r\n";
static const char late_request[] = "GET /late?api-version=1 HTTP/1.1\r\n\r\n";

static bool
answers(int fd)
{
	char *answer;
	bool ok;

	serve_send(fd, whose_request, strlen(whose_request));
	answer = serve_read_answer(fd);
	ok = serve_status(answer) == 200;
	free(answer);
	return ok;
}

/* Lines of the log as the file that it was turned into. */
static unsigned
count_lines(const char *path, const char *text)
{
	AUTO(bytes_done) struct bytes log = support_read(path);
	unsigned n = 0;

	for (const char *p = log.data ? strstr((const char *)log.data, text) : NULL; p;
	     p = strstr(p + 1, text))
		n++;
	return n;
}

START_TEST(test_per_uid)
{
	/* common.md 4: the counter is per connection, an idle one occupies a slot; over it: closed, no bytes, an info line */
	const char *log = support_path("log");
	int saved = dup(STDERR_FILENO);
	char line[96];
	struct serve s;
	int fd[10], over;

	log_init(NULL, "test");
	ck_assert_int_ge(saved, 0);
	ck_assert_ptr_nonnull(freopen(log, "w", stderr));
	serve_start(&s, &config, 10);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = serve_connect(s.path);
		if (i % 2)
			ck_assert(answers(fd[i]));
	}
	serve_wait_open(&s, 10);
	over = serve_connect(s.path);
	ck_assert(serve_closed(over, 5000));
	close(over);
	snprintf(line, sizeof(line), "[INFO] - Max simultaneous connections reached for user %u\n",
	    (unsigned)getuid());
	ck_assert_uint_eq(count_lines(log, line), 1);
	ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		ck_assert(answers(fd[i]));
	/* a connection that ends frees its slot */
	close(fd[0]);
	serve_wait_open(&s, 9);
	fd[0] = serve_connect(s.path);
	ck_assert(answers(fd[0]));
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_many_in_turn)
{
	/* slots come back however a connection ends */
	static const char *const ends[] = {
		"GET /whose?api-version=1 HTTP/1.1\r\nConnection: close\r\n\r\n",
		"GET /whose?api-version=1 HTTP/1.0\r\n\r\n",
		"GET /whose HTTP/1.1\r\n\r\n",
		"rubbish\r\n\r\n",
		"GET /wh",
		"",
		"POST /whose?api-version=1 HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
		"GET /wait?api-version=1 HTTP/1.1\r\n\r\n",
	};
	struct http_server_config hasty = config;
	struct serve s;

	log_init("off", "test");
	hasty.head_ms = 200;
	serve_start(&s, &hasty, 2);
	for (size_t i = 0; i < 20 * ARRAY_LEN(ends); i++) {
		const char *bytes = ends[i % ARRAY_LEN(ends)];
		int fd;

		if (i >= ARRAY_LEN(ends) && strstr(bytes, "/wait"))
			continue;
		serve_wait_open(&s, 0);
		fd = serve_connect(s.path);
		serve_send(fd, bytes, strlen(bytes));
		if (i % 3)
			usleep(500);
		close(fd);
	}
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

/* What another uid sees: connects, asks once, exits 0 when it got an answer. */
static int
ask_as(uid_t uid, const char *path)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char answer[1024] = "", want[64];
		int fd;

		if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
			_exit(2);
		fd = serve_connect(path);
		serve_send(fd, whose_request, strlen(whose_request));
		if (recv(fd, answer, sizeof(answer) - 1, 0) <= 0)
			_exit(1);
		snprintf(
		    want, sizeof(want), "\"uid\":%u,\"pid\":%d}", (unsigned)uid, (int)getpid());
		_exit(strstr(answer, want) ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_uids_apart)
{
	/* common.md 4: per uid, root limited the same way */
	struct serve s;
	int fd;

	if (getuid() != 0) {
		printf("SKIP connections of another uid need root\n");
		return;
	}
	log_init("off", "test");
	serve_start(&s, &config, 1);
	ck_assert_int_eq(chmod(support_tmpdir(), 0755), 0);
	ck_assert_int_eq(chmod(s.path, 0666), 0);
	fd = serve_connect(s.path);
	serve_wait_open(&s, 1);
	ck_assert_int_eq(ask_as(0, s.path), 1);
	ck_assert_int_eq(ask_as(61190, s.path), 0);
	ck_assert_int_eq(ask_as(61191, s.path), 0);
	ck_assert(answers(fd));
	close(fd);
	serve_stop(&s);
}
END_TEST

START_TEST(test_listeners_apart)
{
	/* edged-management.md 1.1: 10 per uid per socket; and each socket's tag comes with its requests */
	const char *other = support_path("other.sock");
	char tag[] = "edgeHub";
	struct err err = { 0 };
	struct serve s;
	char *answer;
	unsigned id;
	int first, second;

	log_init("off", "test");
	serve_start(&s, &config, 1);
	ck_ok(http_server_listen(s.server, serve_bind(other), 1, tag, &id, &err));
	ck_assert_uint_ne(id, s.listener);
	first = serve_connect(s.path);
	second = serve_connect(other);
	ck_assert(answers(first));
	serve_send(second, whose_request, strlen(whose_request));
	answer = serve_read_answer(second);
	ck_assert_ptr_nonnull(strstr(answer, "\"tag\":\"edgeHub\""));
	free(answer);
	close(first);
	close(second);
	serve_stop(&s);
}
END_TEST

static atomic_uint done_calls;

static void
count_done(void *tag)
{
	ck_assert_str_eq(tag, "edgeHub");
	atomic_fetch_add(&done_calls, 1);
}

static void
wait_done(unsigned n)
{
	for (int i = 0; i < 6000 && atomic_load(&done_calls) < n; i++)
		usleep(10 * 1000);
	ck_assert_uint_eq(atomic_load(&done_calls), n);
}

static bool
refused(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_refused;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	is_refused = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0;
	close(fd);
	return is_refused;
}

START_TEST(test_unlisten)
{
	/* server.h: its open connections live on, done is called when the last is gone */
	const char *path = support_path("hub.sock");
	char tag[] = "edgeHub";
	struct err err = { 0 };
	struct serve s;
	unsigned id;
	int idle;

	atomic_store(&done_calls, 0);
	serve_start(&s, &config, 10);
	ck_ok(http_server_listen(s.server, serve_bind(path), 10, tag, &id, &err));
	idle = serve_connect(path);
	ck_assert(answers(idle));
	http_server_unlisten(s.server, id, count_done);
	http_server_unlisten(s.server, id, count_done); /* no second time */
	/* at once, unless the acceptor is still at work there */
	for (int i = 0; i < 1000 && !refused(path); i++)
		usleep(1000);
	ck_assert(refused(path));
	ck_assert(answers(idle));
	ck_assert_uint_eq(atomic_load(&done_calls), 0);
	close(idle);
	serve_wait_open(&s, 0);
	wait_done(1);
	/* the other one is as it was */
	idle = serve_connect(s.path);
	ck_assert(answers(idle));
	close(idle);
	serve_stop(&s);
	ck_assert_uint_eq(atomic_load(&done_calls), 1);
}
END_TEST

START_TEST(test_unlisten_without_connections)
{
	char tag[] = "edgeHub";
	struct err err = { 0 };
	struct serve s;
	unsigned id;

	atomic_store(&done_calls, 0);
	serve_start(&s, &config, 10);
	for (unsigned i = 1; i <= 50; i++) {
		const char *path = support_path("hub.sock");

		ck_ok(http_server_listen(s.server, serve_bind(path), 10, tag, &id, &err));
		http_server_unlisten(s.server, id, count_done);
		ck_assert_uint_eq(atomic_load(&done_calls), i);
		unlink(path);
	}
	serve_stop(&s);
}
END_TEST

START_TEST(test_tag_outlives_job)
{
	/* a handler whose client was answered late or has left still holds the tag */
	const char *path = support_path("hub.sock");
	char tag[] = "edgeHub";
	struct err err = { 0 };
	struct serve s;
	char *answer;
	unsigned id;
	int fd;

	log_init("off", "test");
	atomic_store(&done_calls, 0);
	serve_start(&s, &config, 10);
	ck_ok(http_server_listen(s.server, serve_bind(path), 10, tag, &id, &err));
	fd = serve_connect(path);
	serve_send(fd, late_request, strlen(late_request));
	answer = serve_read_answer(fd);
	ck_assert_uint_eq(serve_status(answer), 500);
	free(answer);
	close(fd);
	http_server_unlisten(s.server, id, count_done);
	serve_wait_open(&s, 0);
	ck_assert_uint_eq(atomic_load(&done_calls), 0);
	wait_done(1);
	serve_stop(&s);
}
END_TEST

START_TEST(test_descriptors_used_up)
{
	/* performance.md: an EMFILE at accept must not end the listener (upstream exits: common.md 4) */
	struct rlimit limit;
	rlim_t before;
	struct serve s;
	int fd[64], hole;
	size_t n = 0;

	log_init("off", "test");
	serve_start(&s, &config, 100);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	hole = dup(0);
	ck_assert_int_ge(hole, 0);
	for (n = 0; n < 8; n++)
		fd[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	before = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)hole + 9;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_lt(dup(0), 0);
	/* now the server cannot accept: the client is closed, not left hanging, and no thread spins or ends */
	for (size_t i = 0; i < n; i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		snprintf(address.sun_path, sizeof(address.sun_path), "%s", s.path);
		ck_assert_int_eq(
		    connect(fd[i], (const struct sockaddr *)&address, sizeof(address)), 0);
		ck_assert(serve_closed(fd[i], 5000));
	}
	/* with descriptors again it serves again */
	for (size_t i = 0; i < n; i++)
		close(fd[i]);
	close(hole);
	hole = serve_connect(s.path);
	ck_assert(answers(hole));
	close(hole);
	limit.rlim_cur = before;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	serve_stop(&s);
}
END_TEST

static unsigned
count_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

START_TEST(test_nothing_left_open)
{
	/* neither descriptors nor threads */
	unsigned fds = count_in("/proc/self/fd"), tasks = count_in("/proc/self/task");

	log_init("off", "test");
	for (int i = 0; i < 5; i++) {
		struct serve s;
		int fd;

		serve_start(&s, &config, 10);
		fd = serve_connect(s.path);
		ck_assert(answers(fd));
		serve_send(fd, wait_request, strlen(wait_request));
		http_server_stop(s.server, 1000);
		close(fd);
		serve_stop(&s);
	}
	ck_assert_uint_eq(count_in("/proc/self/fd"), fds);
	/* a thread that was joined may be listed for a moment more */
	for (int i = 0; i < 100 && count_in("/proc/self/task") > tasks; i++)
		usleep(10 * 1000);
	ck_assert_uint_eq(count_in("/proc/self/task"), tasks);
}
END_TEST

TEST_MAIN("http/server_accept", test_per_uid, test_many_in_turn, test_uids_apart,
    test_listeners_apart, test_unlisten, test_unlisten_without_connections, test_tag_outlives_job,
    test_descriptors_used_up, test_nothing_left_open)
