#include "tests/support/serve.h"

#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

struct said {
	char *said;
};
FIELDS_DECLARE(said);
FIELDS(said, STR(said, "said", REQUIRED));

static enum err_code
say(struct response *resp, const char *text, struct err *err)
{
	struct said said = { (char *)(uintptr_t)text };

	return response_json(resp, 200, said_fields, &said, err);
}

static enum err_code
get_thing(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char text[600];

	(void)service;
	snprintf(text, sizeof(text), "%s type=%s uid=%u", req->params[0],
	    request_query(req, "type") ? request_query(req, "type") : "-",
	    (unsigned)req->peer->uid);
	return say(resp, text, err);
}

static enum err_code
echo(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(said_done) struct said in = { 0 };

	(void)service;
	if (said_read(&in, req->body, err))
		return err->code;
	return say(resp, in.said, err);
}

static enum err_code
no_content(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req, (void)err;
	return response_empty(resp, 204);
}

static enum err_code
created(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct said said = { (char[]){ "made" } };

	(void)service, (void)req;
	return response_json(resp, 201, said_fields, &said, err);
}

static enum err_code
try_thing(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req;
	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "not loaded");
	return say(resp, "waited", err);
}

#define MUCH (4U << 20)

static atomic_uint begun; /* calls of wait_long */

static void
wait_count(const atomic_uint *count, unsigned n)
{
	for (int i = 0; i < 30000 && atomic_load(count) < n; i++)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(count), n);
}

static enum err_code
wait_long(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service;
	atomic_fetch_add(&begun, 1);
	usleep((useconds_t)atoi(request_query(req, "ms")) * 1000);
	return say(resp, pool_may_block() ? "waited" : "on the polling thread", err);
}

static atomic_uint n_sent;

static void
count_sent(void *ctx)
{
	atomic_fetch_add((atomic_uint *)ctx, 1);
}

/* More than a socket takes by itself. */
static enum err_code
say_much(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char *much = malloc(MUCH);

	(void)service, (void)req;
	if (!much)
		return err_nomem(err);
	memset(much, 'x', MUCH - 1);
	much[MUCH - 1] = '\0';
	(void)response_json_text(resp, 200, &much);
	resp->sent = count_sent;
	resp->sent_ctx = &n_sent;
	return ERR_OK;
}

static atomic_uint at_gate;
static atomic_bool gate_open;

static enum err_code
wait_at_gate(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req;
	atomic_fetch_add(&at_gate, 1);
	while (!atomic_load(&gate_open))
		usleep(1000);
	return say(resp, "through", err);
}

static const char *const versions[] = { "2020-07-07", NULL };

static const struct route routes[] = {
	{ "GET", "/thing/{id}", "2020-07-07", 0, INLINE, get_thing, 0 },
	{ "POST", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "DELETE", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "PUT", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "POST", "/worker-echo", "2020-07-07", 0, WORKER, echo, 0 },
	{ "DELETE", "/thing/{id}", "2020-07-07", 0, INLINE, no_content, 0 },
	{ "POST", "/created", "2020-07-07", 0, INLINE, created, 0 },
	{ "GET", "/try", "2020-07-07", 0, TRY, try_thing, 0 },
	{ "GET", "/wait", "2020-07-07", 0, WORKER, wait_long, 0 },
	{ "GET", "/gate", "2020-07-07", 0, WORKER, wait_at_gate, 0 },
	{ "GET", "/much", "2020-07-07", 0, INLINE, say_much, 0 },
	{ "GET", "/worker-much", "2020-07-07", 0, WORKER, say_much, 0 },
};

static const struct route_table table = {
	.daemon = "test",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

static struct http_server_config config = { .table = &table };

#define V    "?api-version=2020-07-07"
#define END  " HTTP/1.1\r\n\r\n"
#define HOST " HTTP/1.1\r\nHost: keyd.sock\r\n"
#define X10  "xxxxxxxxxx"

static const struct row {
	const char *line; /* of the contract */
	const char *bytes;
	unsigned status;
	const char *body;
} rows[] = {
	/* contracts/common.md 5, table */
	{ "5 HTTP/1.1 without Host", "GET /thing/a" V END, 200, "{\"said\":\"a type=- uid=%u\"}" },
	{ "5 HTTP/1.0", "GET /thing/a" V " HTTP/1.0\r\n\r\n", 200,
	    "{\"said\":\"a type=- uid=%u\"}" },
	{ "5 Content-Length", "POST /echo" V HOST "Content-Length: 14\r\n\r\n{\"said\":\"abc\"}",
	    200, "{\"said\":\"abc\"}" },
	{ "5 chunked",
	    "POST /echo" V HOST
	    "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"said\r\n8\r\n\":\"abc\"}\r\n0\r\n\r\n",
	    200, "{\"said\":\"abc\"}" },
	{ "5 Expect: 100-continue",
	    "POST /echo" V HOST
	    "Expect: 100-continue\r\nContent-Length: 14\r\n\r\n{\"said\":\"abc\"}",
	    200, "{\"said\":\"abc\"}" },
	{ "5 HEAD on a known path", "HEAD /thing/a" V END, 400, NULL },
	{ "5 PATCH on a known path", "PATCH /thing/a" V END, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5 OPTIONS on a known path", "OPTIONS /thing/a" V END, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5 a method nobody knows", "BREW /thing/a" V END, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5 trailing slash", "GET /try/" V END, 404, "{\"message\":\"not found\"}" },
	{ "5 WORKER", "GET /wait" V "&ms=1" END, 200, "{\"said\":\"waited\"}" },
	{ "5 TRY", "GET /try" V END, 200, "{\"said\":\"waited\"}" },
	{ "5 WORKER with a body",
	    "POST /worker-echo" V HOST "Content-Length: 14\r\n\r\n{\"said\":\"abc\"}", 200,
	    "{\"said\":\"abc\"}" },
	{ "5 204", "DELETE /thing/a" V END, 204, "" },
	/* evaluation order */
	{ "5.1 api-version absent", "GET /nothing" END, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "5.2 api-version unknown", "GET /nothing?api-version=%22x" END, 400,
	    "{\"message\":\"invalid api-version \\\"\\\\\\\"x\\\"\"}" },
	{ "5.3 ids matched encoded, decoded once", "GET /thing/a%2Fb%2541" V END, 200,
	    "{\"said\":\"a/b%41 type=- uid=%u\"}" },
	{ "5.3 no UTF-8", "GET /thing/%ff" V END, 404, "{\"message\":\"not found\"}" },
	{ "5.4 no route", "GET /nothing" V END, 404, "{\"message\":\"not found\"}" },
	{ "5.5 GET: body ignored", "GET /thing/a" V HOST "Content-Length: 1\r\n\r\n{", 200,
	    "{\"said\":\"a type=- uid=%u\"}" },
	{ "5.5 POST: empty body", "POST /echo" V HOST "Content-Length: 0\r\n\r\n", 400,
	    "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: no length at all", "POST /echo" V END, 400,
	    "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: other type",
	    "POST /echo" V HOST
	    "Content-Type: text/plain\r\nContent-Length: 14\r\n\r\n{\"said\":\"abc\"}",
	    400, "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: no JSON", "POST /echo" V HOST "Content-Length: 1\r\n\r\n{", 422, NULL },
	{ "5.5 DELETE: as POST",
	    "DELETE /echo" V HOST "Content-Length: 14\r\n\r\n{\"said\":\"abc\"}", 200,
	    "{\"said\":\"abc\"}" },
	{ "5.5 PUT: other type",
	    "PUT /echo" V HOST
	    "Content-Type: text/plain\r\nContent-Length: 14\r\n\r\n{\"said\":\"abc\"}",
	    415, "{\"message\":\"request body must be application/json\"}" },
	{ "5.5 PUT: empty body", "PUT /echo" V HOST "Content-Length: 0\r\n\r\n", 422, NULL },
	{ "5.6 after the body parse", "POST /thing/a" V HOST "Content-Length: 1\r\n\r\n{", 422,
	    NULL },
	{ "5 query: '+' and %XX", "GET /thing/a" V "&type=x+y%2B%26" END, 200,
	    "{\"said\":\"a type=x y+& uid=%u\"}" },
	{ "5 query: last api-version, first other",
	    "GET /thing/a?api-version=x&type=1&type=2&api-version=2020-07-07" END, 200,
	    "{\"said\":\"a type=1 uid=%u\"}" },
	/* contracts/common.md 6 */
	{ "6 null like absent", "POST /echo" V HOST "Content-Length: 13\r\n\r\n{\"said\":null}",
	    422, NULL },
	{ "6 unknown members ignored",
	    "POST /echo" V HOST "Content-Length: 20\r\n\r\n{\"x\":1,\"said\":\"abc\"}", 200,
	    "{\"said\":\"abc\"}" },
	{ "6 a duplicated member",
	    "POST /echo" V HOST "Content-Length: 23\r\n\r\n{\"said\":\"a\",\"said\":\"b\"}", 422,
	    NULL },
	/* contracts/client-facts.md */
	{ "facts 1 absolute-form", "GET http://foo/thing/a" V " HTTP/1.1\r\nHost: foo\r\n\r\n", 200,
	    "{\"said\":\"a type=- uid=%u\"}" },
	{ "facts 1 absolute-form POST",
	    "POST http://aziot/echo" V
	    " HTTP/1.1\r\nHost: aziot\r\nContent-Length: 14\r\n\r\n{\"said\":\"abc\"}",
	    200, "{\"said\":\"abc\"}" },
	{ "facts 4 uhttp: a path as Host, content-length: 0 on GET",
	    "GET /thing/a" V
	    " HTTP/1.1\r\nHost: /run/aziot/identityd.sock:0\r\ncontent-length: 0\r\n\r\n",
	    200, "{\"said\":\"a type=- uid=%u\"}" },
	{ "facts 4 Host of the diagnostics container (edged-management 1.5)",
	    "GET /thing/a" V
	    " HTTP/1.1\r\nHost: unix:///var/run/iotedge/mgmt.sock\r\nConnection: Close\r\n\r\n",
	    200, "{\"said\":\"a type=- uid=%u\"}" },
	{ "facts 4 Host twice", "GET /thing/a" V " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 200,
	    "{\"said\":\"a type=- uid=%u\"}" },
	{ "facts 5 POST without Content-Type",
	    "POST /echo" V HOST "Content-Length: 14\r\n\r\n{\"said\":\"abc\"}", 200,
	    "{\"said\":\"abc\"}" },
	{ "facts 5 charset",
	    "POST /echo" V HOST "Content-Type: application/json; charset=utf-8\r\nContent-Length: "
	    "14\r\n\r\n{\"said\":\"abc\"}",
	    200, "{\"said\":\"abc\"}" },
	{ "facts 6 version missing", "GET /thing/a" END, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "facts 7 name encoded", "GET /thing/%24edgeAgent" V END, 200,
	    "{\"said\":\"$edgeAgent type=- uid=%u\"}" },
	{ "facts 7 name raw", "GET /thing/$edgeHub" V END, 200,
	    "{\"said\":\"$edgeHub type=- uid=%u\"}" },
	{ "facts 8 Connection: close", "GET /thing/a" V HOST "Connection: close\r\n\r\n", 200,
	    "{\"said\":\"a type=- uid=%u\"}" },
	{ "facts 9 an error is JSON with a message", "DELETE /nothing" V END, 404,
	    "{\"message\":\"not found\"}" },
	{ "facts 10 a creation's 201", "POST /created" V END, 201, "{\"said\":\"made\"}" },
	{ "facts 11 text byte for byte, escapes in either case",
	    "POST /echo" V HOST "Content-Length: 32\r\n\r\n"
	    "{\"said\":\"a%2fb%2Fc\\n1577836800\"}",
	    200, "{\"said\":\"a%%2fb%%2Fc\\n1577836800\"}" },
	{ "facts 12 PEM as plain text",
	    "POST /echo" V HOST "Content-Length: 73\r\n\r\n"
	    "{\"said\":\"-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n\"}",
	    200,
	    "{\"said\":\"-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n\"}" },
	{ "facts 15 unknown path 404", "GET /x" V END, 404, "{\"message\":\"not found\"}" },
	{ "facts 15 wrong method 400", "PUT /thing/a" V HOST "Content-Length: 2\r\n\r\n{}", 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5 malformed head: blank in the target", "GET /thing/a b" V END, 400,
	    "{\"message\":\"malformed request head\"}" },
	{ "5 malformed head: blank before a colon",
	    "POST /echo" V HOST "Content-Length : 14\r\n\r\n{\"said\":\"abc\"}", 400,
	    "{\"message\":\"malformed request head\"}" },
	/* docs/compat.md */
	{ "compat: two lengths that disagree",
	    "POST /echo" V HOST
	    "Content-Length: 14\r\nContent-Length: 13\r\n\r\n{\"said\":\"abc\"}",
	    400, "{\"message\":\"request with a doubtful length\"}" },
	{ "compat: a length beside chunks",
	    "POST /echo" V HOST "Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    400, "{\"message\":\"request with a doubtful length\"}" },
	{ "compat: a transfer coding other than chunked",
	    "POST /echo" V HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400,
	    "{\"message\":\"request with a doubtful length\"}" },
};

/* What every answer has to be for the clients of common.md 7 and client-facts.md 2, 8. */
static void
check_shape(const struct row *r, const char *answer)
{
	const char *from = strncmp(answer, "HTTP/1.1 100", 12) == 0 ? serve_body(answer) : answer;
	size_t head = (size_t)(serve_body(from) - from), headers = 0, spaces = 0;
	const char *reason;

	ck_assert_msg(head > 0 && head <= 512, "%s: a head of %zu bytes", r->line, head);
	for (const char *p = from; p < from + head - 2; p++)
		headers += p[0] == '\r' && p[1] == '\n';
	ck_assert_msg(headers - 1 <= 16, "%s: %zu headers", r->line, headers);
	for (reason = from; *reason != '\r'; reason++)
		spaces += *reason == ' ' && reason[1] != '\r';
	ck_assert_msg(spaces >= 2, "%s: no reason phrase: %.40s", r->line, from);
	ck_assert_ptr_null(serve_header(from, "transfer-encoding"));
	if (r->status == 204) {
		ck_assert_ptr_null(serve_header(from, "content-type"));
		ck_assert_ptr_null(serve_header(from, "content-length"));
		return;
	}
	ck_assert_str_eq(serve_header(from, "content-type"), "application/json");
	ck_assert_ptr_nonnull(serve_header(from, "content-length"));
}

static void
check_row(const struct row *r, const char *answer)
{
	const char *from = strncmp(answer, "HTTP/1.1 100", 12) == 0 ? serve_body(answer) : answer;
	char want[256];

	ck_assert_msg(serve_status(from) == r->status, "%s: %s", r->line, answer);
	check_shape(r, answer);
	if (!r->body)
		return;
	snprintf(want, sizeof(want), r->body, (unsigned)getuid());
	ck_assert_msg(strcmp(serve_body(from), want) == 0, "%s: %s", r->line, answer);
}

static bool
is_head(const struct row *r)
{
	return strncmp(r->bytes, "HEAD", 4) == 0;
}

START_TEST(test_rows)
{
	struct serve s;

	log_init("off", "test");
	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *answer;

		if (is_head(&rows[i]))
			continue;
		answer = serve_exchange(s.path, rows[i].bytes);
		check_row(&rows[i], answer);
		free(answer);
	}
	serve_stop(&s);
}
END_TEST

/* Until the server has read what was sent, or has closed. */
static void
wait_read(int fd)
{
	int unread = 1;

	while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0)
		sched_yield();
}

/* Every row again, a byte at a time, each one read by the server before the next is sent. */
START_TEST(test_byte_by_byte)
{
	struct serve s;

	log_init("off", "test");
	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		size_t len = strlen(r->bytes);
		char *answer;
		int fd;

		if (is_head(r))
			continue;
		fd = serve_connect(s.path);
		for (size_t at = 0; at < len; at++) {
			struct pollfd pfd = { .fd = fd, .events = POLLIN };

			serve_send(fd, r->bytes + at, 1);
			if (poll(&pfd, 1, 0) == 0)
				wait_read(fd);
		}
		answer = serve_read_answer(fd);
		check_row(r, answer);
		free(answer);
		close(fd);
	}
	serve_stop(&s);
}
END_TEST

/* Every row again in two pieces, cut at every place. */
START_TEST(test_two_pieces)
{
	struct serve s;

	log_init("off", "test");
	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		size_t len = strlen(r->bytes);

		for (size_t at = 1; at < len && !is_head(r); at++) {
			int fd = serve_connect(s.path);
			char *answer;

			serve_send(fd, r->bytes, at);
			wait_read(fd);
			serve_send(fd, r->bytes + at, len - at);
			answer = serve_read_answer(fd);
			check_row(r, answer);
			free(answer);
			close(fd);
		}
	}
	serve_stop(&s);
}
END_TEST

/* Every row again, over and over on one connection as long as the server keeps it. */
START_TEST(test_kept)
{
	struct serve s;
	unsigned opened = 0, closing = 0;
	int fd = -1;

	log_init("off", "test");
	serve_start(&s, &config, 2);
	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			char *answer;
			const char *last;

			if (is_head(&rows[i]))
				continue;
			if (fd < 0) {
				serve_wait_open(&s, 0);
				fd = serve_connect(s.path);
				opened++;
			}
			serve_send(fd, rows[i].bytes, strlen(rows[i].bytes));
			answer = serve_read_answer(fd);
			check_row(&rows[i], answer);
			last = serve_header(
			    strncmp(answer, "HTTP/1.1 100", 12) == 0 ? serve_body(answer) : answer,
			    "connection");
			if (last && strcasecmp(last, "close") == 0) {
				ck_assert(serve_closed(fd, 5000));
				close(fd);
				fd = -1;
				closing++;
			}
			free(answer);
		}
	close(fd);
	/* only HTTP/1.0, `Connection: close`, a malformed head and a doubtful length end a connection */
	ck_assert_uint_eq(closing, 3 * 8);
	ck_assert_uint_le(opened, closing + 1);
	serve_stop(&s);
}
END_TEST

START_TEST(test_one_read)
{
	/* common.md 7, the blocking client: its first read, of 512 bytes, must return the whole head */
	static const char request[] = "GET /thing/a" V END;
	struct serve s;

	serve_start(&s, &config, 50);
	for (int i = 0; i < 50; i++) {
		int fd = serve_connect(s.path);
		char answer[513] = "";
		ssize_t n;

		serve_send(fd, request, strlen(request));
		n = recv(fd, answer, sizeof(answer) - 1, 0);
		ck_assert_int_gt(n, 0);
		ck_assert_msg(strstr(answer, "\r\n\r\n{\"said\":\"a") != NULL, "%s", answer);
		close(fd);
	}
	serve_stop(&s);
}
END_TEST

START_TEST(test_head)
{
	/* common.md 5: 400, and what follows on the connection is not taken for its body */
	static const char two[] = "HEAD /thing/a" V END "GET /thing/b" V END;
	struct serve s;
	char *answer;
	int fd;

	serve_start(&s, &config, 50);
	fd = serve_connect(s.path);
	serve_send(fd, two, strlen(two));
	answer = serve_read_all(fd, 300);
	ck_assert_uint_eq(serve_status(answer), 400);
	ck_assert_int_eq(strncmp(serve_body(answer), "HTTP/1.1 200 OK\r\n", 17), 0);
	ck_assert_ptr_nonnull(strstr(answer, "{\"said\":\"b "));
	free(answer);
	close(fd);
	serve_stop(&s);
}
END_TEST

START_TEST(test_pipelined)
{
	static const char requests[] =
	    "POST /worker-echo" V HOST "Content-Length: 12\r\n\r\n{\"said\":\"1\"}"
	    "GET /thing/2" V END "POST /echo" V HOST
	    "Content-Length: 12\r\nConnection: close\r\n\r\n{\"said\":\"3\"}";
	struct serve s;
	char *answer, *one, *two, *three;
	int fd;

	serve_start(&s, &config, 50);
	fd = serve_connect(s.path);
	serve_send(fd, requests, strlen(requests));
	answer = serve_read_all(fd, 5000);
	one = strstr(answer, "{\"said\":\"1\"}");
	two = strstr(answer, "{\"said\":\"2 ");
	three = strstr(answer, "{\"said\":\"3\"}");
	ck_assert(one && two && three && one < two && two < three);
	free(answer);
	close(fd);
	serve_stop(&s);
}
END_TEST

/* A GET with n headers of their own, and one that is filler bytes long. */
static char *
ask_with_headers(const struct serve *s, unsigned n, size_t filler, size_t target)
{
	struct buf request = { 0 };
	char *answer;

	buf_puts(&request, "GET /thing/");
	for (size_t i = 0; i < target; i++)
		buf_puts(&request, "a");
	buf_puts(&request, V " HTTP/1.1\r\n");
	for (unsigned i = 0; i < n; i++)
		buf_printf(&request, "X-%u: y\r\n", i);
	if (filler) {
		buf_puts(&request, "X-Filler: ");
		for (size_t i = 0; i < filler; i++)
			buf_puts(&request, "z");
		buf_puts(&request, "\r\n");
	}
	buf_puts(&request, "\r\n");
	answer = serve_exchange(s->path, (const char *)request.data);
	buf_done(&request);
	return answer;
}

static const struct {
	const char *line; /* of contracts/common.md 5, header limits */
	unsigned headers;
	size_t filler, target;
	unsigned status, or_status;
	bool json;
} heads[] = {
	{ "100 headers", 100, 0, 1, 200, 200, true },
	{ "more than 100 headers: 431", 101, 0, 1, 431, 431, true },
	{ "a head of 24 KiB", 0, 24 * 1024, 1, 200, 200, true },
	{ "100 headers and 20 KiB", 99, 20 * 1024, 1, 200, 200, true },
	{ "a target of 16 KiB", 0, 0, 16384, 200, 200, true },
	{ "compat: a head over the limit", 0, 80000, 1, 431, 431, false },
	{ "compat: far over the limit", 0, 1000000, 1, 431, 431, false },
	{ "compat: a target over the limit", 0, 0, 80000, 414, 431, false },
};

START_TEST(test_heads)
{
	struct serve s;

	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		char *answer =
		    ask_with_headers(&s, heads[i].headers, heads[i].filler, heads[i].target);
		unsigned status = serve_status(answer);

		ck_assert_msg(status == heads[i].status || status == heads[i].or_status,
		    "%s: %.200s", heads[i].line, answer);
		if (heads[i].json && heads[i].target < 100)
			ck_assert_str_eq(serve_header(answer, "content-type"), "application/json");
		free(answer);
	}
	serve_stop(&s);
}
END_TEST

START_TEST(test_many_parameters)
{
	/* common.md 5, query: as many as the head holds */
	struct buf request = { 0 };
	struct serve s;
	char *answer;

	buf_puts(&request, "GET /thing/x?");
	for (int i = 0; i < 8000; i++)
		buf_puts(&request, "a&");
	buf_puts(&request, "type=last&api-version=2020-07-07 HTTP/1.1\r\n\r\n");
	serve_start(&s, &config, 50);
	answer = serve_exchange(s.path, (const char *)request.data);
	ck_assert_uint_eq(serve_status(answer), 200);
	ck_assert_ptr_nonnull(strstr(answer, "type=last"));
	free(answer);
	buf_done(&request);
	serve_stop(&s);
}
END_TEST

START_TEST(test_garbage)
{
	/* common.md 5: a malformed head is answered with 400 and closed, or closed; the server lives on */
	static const char *const garbage[] = {
		"\r\n\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /thing/a" V "\r\n\r\n",
		"GET /thing/a" V " HTTP/2.0\r\n\r\n",
		"GET /thing/a" V " HTTP/1.1\r\nno colon\r\n\r\n",
		"GET /thing/a" V " HTTP/1.1\r\n: empty\r\n\r\n",
		"POST /echo" V HOST "Content-Length: -1\r\n\r\n",
		"POST /echo" V HOST "Content-Length: 99999999999999999999\r\n\r\n",
		"POST /echo" V HOST "Content-Length: 1x\r\n\r\n{",
		"POST /echo" V HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /echo" V HOST "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
		"POST /echo" V HOST
		"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	};
	struct http_server_config hasty = config;
	struct serve s;
	char *answer;

	log_init("off", "test");
	hasty.head_ms =
	    300; /* libmicrohttpd waits on for the end of a first line after the end of the connection */
	serve_start(&s, &hasty, 50);
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		int fd = serve_connect(s.path);
		unsigned status;

		serve_send(fd, garbage[i], strlen(garbage[i]));
		shutdown(fd, SHUT_WR);
		answer = serve_read_all(fd, 5000);
		status = serve_status(answer);
		ck_assert_msg(
		    !*answer || (status >= 400 && status <= 505), "%s: %s", garbage[i], answer);
		free(answer);
		close(fd);
	}
	answer = serve_exchange(s.path, "GET /thing/a" V END);
	ck_assert_uint_eq(serve_status(answer), 200);
	free(answer);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

/* ---- bodies ---- */

/* A POST whose body is a JSON document of len bytes, sent with its length or in chunks. */
static void
send_body(int fd, size_t len, bool chunked, const char *more)
{
	struct buf request = { 0 };

	buf_printf(&request, "POST /echo" V HOST "%s", more);
	if (chunked)
		buf_printf(&request, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
	else
		buf_printf(&request, "Content-Length: %zu\r\n\r\n", len);
	buf_puts(&request, "{\"said\":\"");
	for (size_t i = strlen("{\"said\":\"\"}"); i < len; i++)
		buf_puts(&request, "x");
	buf_puts(&request, "\"}");
	if (chunked)
		buf_puts(&request, "\r\n0\r\n\r\n");
	serve_send(fd, (const char *)request.data, request.len);
	buf_done(&request);
}

START_TEST(test_body_limit)
{
	/* http.h: HTTP_BODY_MAX; compat.md: the limit itself */
	static const struct {
		size_t len;
		bool chunked;
		unsigned status;
	} sizes[] = {
		{ 100000, false, 200 },
		{ 100000, true, 200 },
		{ HTTP_BODY_MAX, false, 200 },
		{ HTTP_BODY_MAX, true, 200 },
		{ HTTP_BODY_MAX + 1, false, 413 },
		{ HTTP_BODY_MAX + 1, true, 413 },
		{ 3 * HTTP_BODY_MAX, false, 413 },
		{ 9 * HTTP_BODY_MAX, true, 413 },
	};
	struct serve s;

	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		int fd = serve_connect(s.path);
		char *answer;

		send_body(fd, sizes[i].len, sizes[i].chunked, "");
		answer = serve_read_answer(fd);
		ck_assert_msg(
		    serve_status(answer) == sizes[i].status, "%zu: %.300s", sizes[i].len, answer);
		ck_assert_str_eq(serve_header(answer, "content-type"), "application/json");
		if (sizes[i].status == 413)
			ck_assert_str_eq(
			    serve_body(answer), "{\"message\":\"request body is too large\"}");
		else
			ck_assert_uint_eq(strlen(serve_body(answer)), sizes[i].len);
		free(answer);
		close(fd);
	}
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_refused_unread)
{
	/* what is announced as too long is refused before it comes */
	static const char *const announced[] = {
		"POST /echo" V HOST "Content-Length: 1099511627776\r\n\r\n",
		"POST /echo" V HOST "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n",
	};
	struct serve s;

	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(announced); i++) {
		int fd = serve_connect(s.path);
		char *answer;

		serve_send(fd, announced[i], strlen(announced[i]));
		answer = serve_read_answer(fd);
		ck_assert_msg(serve_status(answer) == 413, "%s", answer);
		ck_assert(serve_closed(fd, 5000));
		free(answer);
		close(fd);
	}
	serve_stop(&s);
}
END_TEST

START_TEST(test_continue)
{
	/* common.md 5: Expect: 100-continue honoured, before the body is sent */
	struct serve s;
	char *answer;
	int fd;

	serve_start(&s, &config, 50);
	fd = serve_connect(s.path);
	serve_send(fd, rows[4].bytes, strlen(rows[4].bytes) - 14);
	answer = serve_read_all(fd, 200);
	ck_assert_str_eq(answer, "HTTP/1.1 100 Continue\r\n\r\n");
	free(answer);
	serve_send(fd, "{\"said\":\"abc\"}", 14);
	answer = serve_read_answer(fd);
	ck_assert_uint_eq(serve_status(answer), 200);
	free(answer);
	close(fd);
	serve_stop(&s);
}
END_TEST

/* ---- pool and end ---- */

START_TEST(test_many_at_once)
{
	struct serve s;
	int fd[40];

	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = serve_connect(s.path);
		serve_send(fd[i], rows[11].bytes, strlen(rows[11].bytes));
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char *answer = serve_read_answer(fd[i]);

		/* one uid holds at most half the queue (decisions.md, Limits) */
		ck_assert(serve_status(answer) == 200 ||
			  strcmp(serve_body(answer), "{\"message\":\"busy\"}") == 0);
		free(answer);
		close(fd[i]);
	}
	serve_stop(&s);
}
END_TEST

START_TEST(test_busy)
{
	/* decisions.md, Limits: full: 500 `busy`; the polling threads go on meanwhile */
	static const char request[] = "GET /gate" V END;
	struct http_server_config small = config;
	struct pollfd waiting[3];
	struct serve s;
	unsigned busy = 0;
	char *answer;

	log_init("off", "test");
	small.workers = 1;
	small.queue = 1;
	atomic_store(&at_gate, 0);
	atomic_store(&gate_open, false);
	serve_start(&s, &small, 50);
	/* one runs, one is queued, and for the third there is no place */
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		waiting[i] = (struct pollfd){ .fd = serve_connect(s.path), .events = POLLIN };
		serve_send(waiting[i].fd, request, strlen(request));
		while (atomic_load(&at_gate) == 0)
			usleep(1000);
	}
	ck_assert_int_eq(poll(waiting, ARRAY_LEN(waiting), 10000), 1);
	answer = serve_exchange(s.path, rows[0].bytes);
	ck_assert_uint_eq(serve_status(answer), 200);
	free(answer);
	atomic_store(&gate_open, true);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		answer = serve_read_answer(waiting[i].fd);
		if (serve_status(answer) == 500) {
			ck_assert_str_eq(serve_body(answer), "{\"message\":\"busy\"}");
			busy++;
		} else {
			ck_assert_uint_eq(serve_status(answer), 200);
		}
		free(answer);
		close(waiting[i].fd);
	}
	ck_assert_uint_eq(busy, 1);
	serve_stop(&s);
}
END_TEST

START_TEST(test_client_leaves_pool)
{
	/* the client is gone before the pool has its answer */
	struct serve s;
	int fd;

	serve_start(&s, &config, 50);
	for (int i = 0; i < 5; i++) {
		fd = serve_connect(s.path);
		serve_send(fd, "GET /wait" V "&ms=30" END, strlen("GET /wait" V "&ms=30" END));
		close(fd);
	}
	usleep(10 * 1000);
	serve_wait_open(&s, 0);
	serve_stop(&s);
}
END_TEST

START_TEST(test_sent)
{
	/* told once the last byte has left, or when the client has gone without */
	static const char *const requests[] = { "GET /much" V END, "GET /worker-much" V END };
	struct serve s;

	atomic_store(&n_sent, 0);
	serve_start(&s, &config, 50);
	for (unsigned i = 0; i < 4; i++) {
		const char *request = requests[i % 2];
		int fd = serve_connect(s.path);
		char byte;

		serve_send(fd, request, strlen(request));
		ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
		usleep(20 * 1000);
		ck_assert_uint_eq(atomic_load(&n_sent), i);
		if (i < 2) {
			char *answer = serve_read_answer(fd);

			ck_assert_uint_eq(strlen(serve_body(answer)), MUCH - 1);
			free(answer);
			wait_count(&n_sent, i + 1);
		}
		close(fd);
		wait_count(&n_sent, i + 1);
	}
	serve_wait_open(&s, 0);
	serve_stop(&s);
	ck_assert_uint_eq(atomic_load(&n_sent), 4);
}
END_TEST

static void *
stop_slowly(void *server)
{
	http_server_stop(server, 5000);
	return NULL;
}

START_TEST(test_stop_in_flight)
{
	/* decisions.md, Stop: what is in flight is answered, idle connections do not hold it up */
	static const char request[] = "GET /wait" V "&ms=300" END;
	struct serve s;
	uint64_t began;
	pthread_t stopper;
	char *answer;
	int idle, fd;

	serve_start(&s, &config, 50);
	idle = serve_connect(s.path);
	serve_send(idle, rows[0].bytes, strlen(rows[0].bytes));
	answer = serve_read_answer(idle);
	free(answer);
	fd = serve_connect(s.path);
	atomic_store(&begun, 0);
	serve_send(fd, request, strlen(request));
	wait_count(&begun, 1);
	began = clock_mono_ms();
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop_slowly, s.server), 0);
	ck_assert(serve_closed(idle, 10000));
	answer = serve_read_answer(fd);
	ck_assert_uint_eq(serve_status(answer), 200);
	ck_assert_str_eq(serve_header(answer, "connection"), "close");
	ck_assert(serve_closed(fd, 10000));
	pthread_join(stopper, NULL);
	ck_assert_uint_lt(clock_mono_ms() - began, 4500); /* of 5 s of grace */
	free(answer);
	close(fd);
	close(idle);
	http_server_free(s.server);
}
END_TEST

START_TEST(test_stop_cuts)
{
	/* decisions.md, Stop: the rest is cut; nothing hangs, whatever each connection is at */
	static const char *const at[] = {
		"",
		"GET /thing/a",
		"POST /echo" V HOST "Content-Length: 100\r\n\r\n{",
		"GET /wait" V "&ms=300" END,
		"GET /wait" V "&ms=300" END,
		"GET /wait" V "&ms=300" END,
		"GET /wait" V "&ms=300" END,
	};
	struct serve s;
	uint64_t began;
	int fd[ARRAY_LEN(at)];

	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		fd[i] = serve_connect(s.path);
		serve_send(fd[i], at[i], strlen(at[i]));
	}
	usleep(100 * 1000);
	began = clock_mono_ms();
	http_server_stop(s.server, 50);
	ck_assert_uint_lt(clock_mono_ms() - began, 10000);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		ck_assert_msg(serve_closed(fd[i], 0), "%s", at[i]);
		close(fd[i]);
	}
	http_server_free(s.server);
}
END_TEST

START_TEST(test_stop_with_stuck_handler)
{
	/* pool.h: threads that do not come back in time still use what is theirs; the end does not wait for them */
	static const char request[] = "GET /gate" V END;
	struct serve s;
	int fd;

	atomic_store(&at_gate, 0);
	atomic_store(&gate_open, false);
	serve_start(&s, &config, 50);
	fd = serve_connect(s.path);
	serve_send(fd, request, strlen(request));
	wait_count(&at_gate, 1);
	http_server_stop(s.server, 50);
	ck_assert(serve_closed(fd, 0));
	close(fd);
	http_server_free(s.server);
	atomic_store(&gate_open, true);
	usleep(500 * 1000);
	http_server_free(s.server);
}
END_TEST

START_TEST(test_never_started)
{
	struct http_server *server;
	struct err err = { 0 };
	unsigned id;

	ck_ok(http_server_new(&config, &server, &err));
	ck_ok(http_server_listen(
	    server, serve_bind(support_path("server.sock")), 1, NULL, &id, &err));
	http_server_free(server);
}
END_TEST

TEST_MAIN("http/server", test_rows, test_byte_by_byte, test_two_pieces, test_kept, test_one_read,
    test_head, test_pipelined, test_heads, test_many_parameters, test_garbage, test_body_limit,
    test_refused_unread, test_continue, test_many_at_once, test_busy, test_client_leaves_pool,
    test_sent, test_stop_in_flight, test_stop_cuts, test_stop_with_stuck_handler,
    test_never_started)
