#include "tests/support/serve.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define SMALL 1000
#define LARGE (5 * 1024 * 1024)

static atomic_uint n_done, n_cancelled;

/* A source: so many bytes, then the end, a failure, or nothing until it is cancelled. */
struct source {
	size_t left, at;
	enum { END, FAIL, QUIET } then;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool cancelled;
};

static ssize_t
source_read(void *ctx, char *out, size_t max)
{
	struct source *src = ctx;
	size_t n = src->left < max ? src->left : max;

	ck_assert(pool_may_block());
	for (size_t i = 0; i < n; i++)
		out[i] = (char)('a' + (src->at + i) % 26);
	src->at += n;
	src->left -= n;
	if (n || src->then == END)
		return (ssize_t)n;
	pthread_mutex_lock(&src->lock);
	while (src->then == QUIET && !src->cancelled)
		pthread_cond_wait(&src->cond, &src->lock);
	pthread_mutex_unlock(&src->lock);
	return -1;
}

static void
source_cancel(void *ctx)
{
	struct source *src = ctx;

	pthread_mutex_lock(&src->lock);
	src->cancelled = true;
	pthread_cond_signal(&src->cond);
	pthread_mutex_unlock(&src->lock);
	atomic_fetch_add(&n_cancelled, 1);
}

static void
source_done(void *ctx)
{
	struct source *src = ctx;

	pthread_cond_destroy(&src->cond);
	pthread_mutex_destroy(&src->lock);
	free(src);
	atomic_fetch_add(&n_done, 1);
}

static enum err_code
stream(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct source *src = calloc(1, sizeof(*src));
	struct http_stream source = { source_read, source_done, source_cancel, src };
	const char *then = request_query(req, "then");

	(void)service;
	if (!src)
		return err_nomem(err);
	src->left = strtoul(request_query(req, "n"), NULL, 10);
	if (then && strcmp(then, "fail") == 0)
		src->then = FAIL;
	if (then && strcmp(then, "quiet") == 0)
		src->then = QUIET;
	pthread_mutex_init(&src->lock, NULL);
	pthread_cond_init(&src->cond, NULL);
	return response_stream(resp, 200, "text/plain", &source);
}

static enum err_code
now(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req, (void)err;
	return response_empty(resp, 204);
}

static const char *const versions[] = { "1", NULL };

static const struct route routes[] = {
	{ "GET", "/logs", "1", 0, WORKER, stream, 0 },
	{ "GET", "/inline", "1", 0, INLINE, stream, 0 },
	{ "GET", "/now", "1", 0, INLINE, now, 0 },
};

static const struct route_table table = {
	.daemon = "test",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

static const struct http_server_config config = { .table = &table };

static void
start(struct serve *s, const struct http_server_config *with)
{
	log_init("off", "test");
	atomic_store(&n_done, 0);
	atomic_store(&n_cancelled, 0);
	serve_start(s, with, 50);
}

static int
ask(const struct serve *s, const char *path_and_query, const char *version)
{
	char request[256];
	int fd = serve_connect(s->path);

	snprintf(
	    request, sizeof(request), "GET %s HTTP/%s\r\nHost: x\r\n\r\n", path_and_query, version);
	serve_send(fd, request, strlen(request));
	return fd;
}

/* Take the chunks apart in place; returns the length, or -1 when the last chunk is not there. */
static ssize_t
dechunk(char *body)
{
	char *in = body, *out = body;
	const char *stop = body + strlen(body);

	for (;;) {
		char *end;
		size_t size = strtoul(in, &end, 16);

		if (end == in || strncmp(end, "\r\n", 2) != 0)
			return -1;
		if (size == 0)
			return out - body;
		if ((size_t)(stop - end) < size + 4)
			return -1;
		memmove(out, end + 2, size);
		out += size;
		in = end + 2 + size + 2;
	}
}

static void
check_letters(const char *data, size_t len)
{
	size_t i = 0;

	while (i < len && data[i] == (char)('a' + i % 26))
		i++;
	ck_assert_msg(i == len, "at %zu", i);
}

static void
wait_count(atomic_uint *count, unsigned n)
{
	for (int i = 0; i < 60000 && atomic_load(count) < n; i++)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(count), n);
}

START_TEST(test_whole)
{
	/* edged-management.md 1.2, 2.4: chunked, text/plain; to the last byte; HTTP/1.0 until close */
	static const size_t sizes[] = { 0, 1, SMALL, LARGE };
	struct serve s;

	start(&s, &config);
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		size_t want = sizes[i / 2];
		char target[64];
		char *answer, *body;
		ssize_t len;
		int fd;

		snprintf(target, sizeof(target), "/logs?api-version=1&n=%zu", want);
		fd = ask(&s, target, i % 2 ? "1.0" : "1.1");
		answer = serve_read_all(fd, i % 2 ? 5000 : 200);
		ck_assert_uint_eq(serve_status(answer), 200);
		ck_assert_str_eq(serve_header(answer, "content-type"), "text/plain");
		ck_assert_ptr_null(serve_header(answer, "content-length"));
		body = answer + (serve_body(answer) - answer);
		if (i % 2 == 0)
			ck_assert_str_eq(serve_header(answer, "transfer-encoding"), "chunked");
		len = i % 2 ? (ssize_t)strlen(body) : dechunk(body);
		ck_assert_int_eq(len, (ssize_t)want);
		check_letters(body, want);
		free(answer);
		close(fd);
	}
	serve_wait_open(&s, 0);
	serve_stop(&s);
	ck_assert_uint_eq(atomic_load(&n_done), 2 * ARRAY_LEN(sizes));
	ck_assert_uint_eq(atomic_load(&n_cancelled), 0);
}
END_TEST

START_TEST(test_kept_after_stream)
{
	static const char more[] = "GET /now?api-version=1 HTTP/1.1\r\n\r\n";
	struct serve s;
	char *answer;
	int fd;

	start(&s, &config);
	fd = ask(&s, "/inline?api-version=1&n=10", "1.1");
	serve_send(fd, more, strlen(more));
	answer = serve_read_all(fd, 300);
	ck_assert_msg(
	    strstr(answer, "\r\nA\r\nabcdefghij\r\n0\r\n\r\nHTTP/1.1 204 ") != NULL, "%s", answer);
	free(answer);
	close(fd);
	serve_stop(&s);
}
END_TEST

START_TEST(test_broken_source)
{
	/* a source that fails cuts the connection: the client sees no last chunk */
	struct serve s;
	char *answer;
	int fd;

	start(&s, &config);
	fd = ask(&s, "/logs?api-version=1&n=1000&then=fail", "1.1");
	answer = serve_read_all(fd, 5000);
	ck_assert_uint_eq(serve_status(answer), 200);
	ck_assert_ptr_null(strstr(answer, "\r\n0\r\n\r\n"));
	ck_assert(serve_closed(fd, 0));
	free(answer);
	close(fd);
	serve_stop(&s);
	ck_assert_uint_eq(atomic_load(&n_done), 1);
}
END_TEST

START_TEST(test_data_at_once)
{
	/* what the source has said comes at once, though more may follow only much later */
	struct serve s;
	char *answer;
	int fd;

	start(&s, &config);
	fd = ask(&s, "/logs?api-version=1&n=26&then=quiet", "1.1");
	answer = serve_read_all(fd, 300);
	ck_assert_ptr_nonnull(strstr(answer, "\r\nabcdefghijklmnopqrstuvwxyz\r\n"));
	free(answer);
	close(fd);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_client_leaves)
{
	/* the source is cancelled when its reader leaves, though it has nothing to say and nothing is written */
	struct serve s;
	int fd[8];

	start(&s, &config);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = ask(&s, "/logs?api-version=1&n=3&then=quiet", "1.1");
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char byte;

		ck_assert_int_eq(recv(fd[i], &byte, 1, 0), 1);
	}
	usleep(50 * 1000);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	wait_count(&n_done, ARRAY_LEN(fd));
	ck_assert_uint_eq(atomic_load(&n_cancelled), ARRAY_LEN(fd));
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_slow_reader)
{
	/* a reader that does not read holds up its own source only, and is cut after idle_ms */
	struct http_server_config hasty = config;
	struct serve s;
	char *answer;
	int fd;

	hasty.idle_ms = 400;
	start(&s, &hasty);
	fd = ask(&s, "/logs?api-version=1&n=5000000", "1.1");
	answer = serve_exchange(s.path, "GET /now?api-version=1 HTTP/1.1\r\n\r\n");
	ck_assert_uint_eq(serve_status(answer), 204);
	free(answer);
	wait_count(&n_done, 1);
	close(fd);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_bounded)
{
	/* decisions.md, Limits: every queue a bound; the pool and the polling threads stay free */
	struct serve s;
	int fd[16];
	char *answer;

	start(&s, &config);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char byte;

		fd[i] = ask(&s, "/logs?api-version=1&n=1&then=quiet", "1.1");
		ck_assert_int_eq(recv(fd[i], &byte, 1, 0), 1);
	}
	answer = serve_exchange(s.path, "GET /logs?api-version=1&n=1 HTTP/1.1\r\n\r\n");
	ck_assert_uint_eq(serve_status(answer), 500);
	ck_assert_str_eq(serve_body(answer), "{\"message\":\"busy\"}");
	free(answer);
	wait_count(&n_done, 1);
	close(fd[0]);
	wait_count(&n_done, 2);
	/* the thread is free a moment after its source is done */
	for (unsigned status = 0, tries = 0; status != 200; tries++) {
		usleep(20 * 1000);
		answer = serve_exchange(s.path, "GET /logs?api-version=1&n=1000 HTTP/1.1\r\n\r\n");
		status = serve_status(answer);
		free(answer);
		ck_assert_uint_lt(tries, 1000);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	serve_wait_open(&s, 0);
	serve_stop(&s);
	ck_assert_uint_eq(atomic_load(&n_done), 18);
}
END_TEST

START_TEST(test_stop)
{
	/* endless streams end with the grace, their sources cancelled */
	struct serve s;
	uint64_t began;
	int quiet, full;
	char byte;

	start(&s, &config);
	quiet = ask(&s, "/logs?api-version=1&n=1&then=quiet", "1.1");
	full = ask(&s, "/logs?api-version=1&n=5000000", "1.1");
	ck_assert_int_eq(recv(quiet, &byte, 1, 0), 1);
	ck_assert_int_eq(recv(full, &byte, 1, 0), 1);
	began = clock_mono_ms();
	http_server_stop(s.server, 100);
	ck_assert_uint_lt(clock_mono_ms() - began, 15000);
	ck_assert_uint_eq(atomic_load(&n_done), 2);
	http_server_free(s.server);
	close(quiet);
	close(full);
}
END_TEST

TEST_MAIN("http/server_stream", test_whole, test_kept_after_stream, test_broken_source,
    test_data_at_once, test_client_leaves, test_slow_reader, test_bounded, test_stop)
