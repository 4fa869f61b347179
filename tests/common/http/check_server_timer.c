#include "tests/support/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static enum err_code
done_soon(void *service, const struct request *req, struct response *resp, struct err *err)
{
	const char *ms = request_query(req, "ms");
	char *text = NULL;

	(void)service;
	usleep((useconds_t)atoi(ms ? ms : "0") * 1000);
	if (str_copy(&text, "{\"done\":true}", err))
		return err->code;
	return response_json_text(resp, 200, &text);
}

static const char *const versions[] = { "1", NULL };

static const struct route routes[] = {
	{ "GET", "/now", "1", 0, INLINE, done_soon, 0 },
	{ "POST", "/now", "1", 0, INLINE, done_soon, 0 },
	{ "GET", "/wait", "1", 0, WORKER, done_soon, 0 },
	{ "GET", "/hurry", "1", 0, WORKER, done_soon, 300 },
};

static const struct route_table table = {
	.daemon = "test",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

#define HEAD_MS 400
#define BODY_MS 300
#define IDLE_MS 2000
#define SLACK	4000 /* what a busy machine may add */

static const struct http_server_config config = {
	.table = &table, .head_ms = HEAD_MS, .body_ms = BODY_MS, .idle_ms = IDLE_MS
};

#define V " HTTP/1.1\r\nHost: x\r\n"

static const struct {
	const char *line;
	const char *bytes;
	unsigned status; /* 0: closed without a byte */
	unsigned after_ms;
} slow[] = {
	/* common.md 5.5: body not complete in 5 s: 408 `deadline has elapsed`; the value is configured here */
	{ "5.5 none of the body", "POST /now?api-version=1" V "Content-Length: 2\r\n\r\n", 408,
	    BODY_MS },
	{ "5.5 part of the body", "POST /now?api-version=1" V "Content-Length: 2\r\n\r\n{", 408,
	    BODY_MS },
	{ "5.5 chunked, no last chunk",
	    "POST /now?api-version=1" V "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 408,
	    BODY_MS },
	{ "5.5 PUT, too", "PUT /now?api-version=1" V "Content-Length: 2\r\n\r\n{", 408, BODY_MS },
	/* architecture.md 3: the same timer gives the head's deadline and the idle time-out */
	{ "nothing at all", "", 0, HEAD_MS },
	{ "part of a request line", "GET /n", 0, HEAD_MS },
	{ "part of the headers", "GET /now?api-version=1" V "X-Slow: ", 0, HEAD_MS },
};

START_TEST(test_slow)
{
	struct serve s;

	serve_start(&s, &config, 10);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		int fd = serve_connect(s.path);
		uint64_t began = clock_mono_ms(), took;
		char *answer;

		serve_send(fd, slow[i].bytes, strlen(slow[i].bytes));
		answer = serve_read_all(fd, 5000);
		took = clock_mono_ms() - began;
		ck_assert_msg(
		    serve_status(answer) == slow[i].status, "%s: %s", slow[i].line, answer);
		if (slow[i].status == 408) {
			ck_assert_str_eq(
			    serve_body(answer), "{\"message\":\"deadline has elapsed\"}");
			ck_assert_str_eq(serve_header(answer, "content-type"), "application/json");
			ck_assert_str_eq(serve_header(answer, "content-length"), "34");
			ck_assert_uint_eq(strlen(serve_body(answer)), 34);
		}
		ck_assert_msg(took + 20 >= slow[i].after_ms && took < slow[i].after_ms + SLACK,
		    "%s: after %llu ms", slow[i].line, (unsigned long long)took);
		free(answer);
		close(fd);
	}
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_drip)
{
	/* a byte now and then does not put the deadlines off */
	static const char head[] =
	    "GET /now?api-version=1 HTTP/1.1\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char body[] = "POST /now?api-version=1" V "Content-Length: 1000\r\n\r\n";
	struct serve s;
	uint64_t began;
	char *answer;
	int fd;

	serve_start(&s, &config, 10);
	fd = serve_connect(s.path);
	began = clock_mono_ms();
	for (size_t i = 0; i < strlen(head) && !serve_closed(fd, 50); i++)
		serve_send(fd, head + i, 1);
	ck_assert_uint_lt(clock_mono_ms() - began, 2 * HEAD_MS + SLACK);
	close(fd);
	fd = serve_connect(s.path);
	began = clock_mono_ms();
	serve_send(fd, body, strlen(body));
	for (int i = 0; i < 10; i++) {
		serve_send(fd, "{", 1);
		usleep(50 * 1000);
	}
	answer = serve_read_all(fd, 5000);
	ck_assert_uint_eq(serve_status(answer), 408);
	ck_assert_uint_lt(clock_mono_ms() - began, 10 * 50 + BODY_MS + SLACK);
	free(answer);
	close(fd);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_idle)
{
	/* a kept connection is closed after idle_ms, not before, and each request puts that off */
	static const char request[] = "GET /now?api-version=1" V "\r\n";
	struct serve s;
	uint64_t began;
	int fd;

	serve_start(&s, &config, 10);
	fd = serve_connect(s.path);
	for (int i = 0; i < 3; i++) {
		char *answer;

		serve_send(fd, request, strlen(request));
		answer = serve_read_answer(fd);
		ck_assert_uint_eq(serve_status(answer), 200);
		free(answer);
		usleep((IDLE_MS / 2 - 100) * 1000);
	}
	began = clock_mono_ms();
	ck_assert(serve_closed(fd, 10000));
	ck_assert_uint_lt(clock_mono_ms() - began, IDLE_MS + SLACK);
	close(fd);
	serve_stop(&s);
}
END_TEST

START_TEST(test_busy_is_not_slow)
{
	/* neither deadline runs while the handler does */
	static const char request[] = "GET /wait?api-version=1&ms=1000" V "\r\n";
	struct serve s;
	char *answer;

	serve_start(&s, &config, 10);
	answer = serve_exchange(s.path, request);
	ck_assert_uint_eq(serve_status(answer), 200);
	free(answer);
	serve_stop(&s);
}
END_TEST

START_TEST(test_job_deadline)
{
	/* decisions.md, Limits: every job has a deadline; the connection is of use afterwards */
	static const char hurry[] = "GET /hurry?api-version=1&ms=900" V "\r\n";
	static const char now[] = "GET /now?api-version=1" V "\r\n";
	struct serve s;
	uint64_t began = clock_mono_ms();
	char *answer;
	int fd;

	log_init("off", "test");
	serve_start(&s, &config, 10);
	fd = serve_connect(s.path);
	serve_send(fd, hurry, strlen(hurry));
	answer = serve_read_answer(fd);
	ck_assert_uint_eq(serve_status(answer), 500);
	ck_assert_str_eq(serve_body(answer), "{\"message\":\"internal error\"}");
	ck_assert_uint_lt(clock_mono_ms() - began, 300 + SLACK);
	free(answer);
	serve_send(fd, now, strlen(now));
	answer = serve_read_answer(fd);
	ck_assert_uint_eq(serve_status(answer), 200);
	free(answer);
	close(fd);
	usleep(700 * 1000);
	serve_stop(&s);
}
END_TEST

START_TEST(test_reader_too_slow)
{
	/* a client that asks and never reads does not hold its slot for ever */
	static const char request[] = "GET /now?api-version=1" V "\r\n";
	struct serve s;
	int fd;

	serve_start(&s, &config, 10);
	fd = serve_connect(s.path);
	for (int i = 0; i < 20000; i++)
		if (send(fd, request, strlen(request), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			break;
	serve_wait_open(&s, 0);
	close(fd);
	serve_stop(&s);
}
END_TEST

TEST_MAIN("http/server_timer", test_slow, test_drip, test_idle, test_busy_is_not_slow,
    test_job_deadline, test_reader_too_slow)
