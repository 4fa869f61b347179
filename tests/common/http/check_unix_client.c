#include "tests/support/serve.h"

#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/unix_client.h"

struct said {
	char *said;
};
FIELDS_DECLARE(said);
FIELDS(said, STR(said, "said", REQUIRED));

/* ---- a peer that says what it is told to ---- */

enum then { CLOSE, KEEP, HANG };

struct peer_script {
	const char *path;
	const char *answer; /* to each request */
	size_t len;
	bool bytewise; /* each byte read by the client before the next is sent */
	enum then then;
	bool deaf;	     /* close at accept, without reading */
	bool early;	     /* answer before the body is read, and never read it */
	unsigned deaf_first; /* so many connections deaf, then as told */
	unsigned keep_n; /* KEEP: requests per connection, then close without a word; 0: for ever */
	unsigned pause_ms;     /* before the answer */
	const char *once_sent; /* sent after the answer, unasked */

	int fd;
	pthread_t thread;
	pthread_mutex_t lock;				/* of last */
	atomic_uint connections, requests, ended, told; /* told: how often once_sent was sent */
	struct buf last; /* the last request; read it after peer_stop */
};

static bool
read_request(struct peer_script *p, int fd)
{
	struct buf in = { 0 };
	char piece[4096];
	size_t want = 0;

	while (want == 0 || in.len < want) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		const char *end, *length;

		if (n <= 0) {
			buf_done(&in);
			return false;
		}
		buf_add(&in, piece, (size_t)n);
		end = strstr((const char *)in.data, "\r\n\r\n");
		if (!end)
			continue;
		length = serve_header((const char *)in.data, "content-length");
		want = (size_t)(end + 4 - (const char *)in.data) +
		       (length && !p->early ? strtoul(length, NULL, 10) : 0);
	}
	pthread_mutex_lock(&p->lock);
	buf_done(&p->last);
	p->last = in;
	pthread_mutex_unlock(&p->lock);
	atomic_fetch_add(&p->requests, 1);
	return true;
}

static void
answer(struct peer_script *p, int fd)
{
	if (p->pause_ms)
		usleep(p->pause_ms * 1000);
	if (!p->bytewise)
		serve_send(fd, p->answer, p->len);
	for (size_t i = 0; p->bytewise && i < p->len; i++) {
		int unread = 1;

		serve_send(fd, p->answer + i, 1);
		while (ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0)
			sched_yield();
	}
	if (p->once_sent) {
		serve_send(fd, p->once_sent, strlen(p->once_sent));
		atomic_fetch_add(&p->told, 1);
	}
}

static void
serve_connection(struct peer_script *p, int fd)
{
	unsigned n = 0;

	if (p->deaf || atomic_load(&p->connections) <= p->deaf_first)
		return;
	while (read_request(p, fd)) {
		if (p->then == KEEP && p->keep_n && n == p->keep_n)
			return;
		if (p->then != HANG)
			answer(p, fd);
		n++;
		if (p->then == CLOSE)
			return;
	}
}

struct peer_connection {
	struct peer_script *script;
	int fd;
};

static void *
connection_main(void *arg)
{
	struct peer_connection *c = arg;

	serve_connection(c->script, c->fd);
	close(c->fd);
	atomic_fetch_add(&c->script->ended, 1);
	free(c);
	return NULL;
}

static void *
peer_main(void *arg)
{
	struct peer_script *p = arg;
	pthread_t threads[512];
	size_t n = 0;
	int fd;

	while (n < ARRAY_LEN(threads) && (fd = accept(p->fd, NULL, NULL)) >= 0) {
		struct peer_connection *c = malloc(sizeof(*c));

		*c = (struct peer_connection){ p, fd };
		atomic_fetch_add(&p->connections, 1);
		ck_assert_int_eq(pthread_create(&threads[n++], NULL, connection_main, c), 0);
	}
	while (n)
		pthread_join(threads[--n], NULL);
	return NULL;
}

static void
peer_start(struct peer_script *p)
{
	static char path[108];
	sigset_t alarm, before;

	snprintf(path, sizeof(path), "%s/peer.sock", support_tmpdir());
	p->path = path;
	pthread_mutex_init(&p->lock, NULL);
	unlink(path);
	p->fd = serve_bind(p->path);
	/* signals are for the client's thread (test_signals) */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &before);
	ck_assert_int_eq(pthread_create(&p->thread, NULL, peer_main, p), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* After the client is freed. */
static void
peer_stop(struct peer_script *p)
{
	shutdown(p->fd, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->fd);
	buf_done(&p->last);
}

static struct unix_client *
client_of(const struct peer_script *p, unsigned timeout_ms)
{
	struct unix_client_config config = {
		.path = p->path, .host = "keyd.sock", .timeout_ms = timeout_ms, .answer_max = 100000
	};
	struct unix_client *c;
	struct err err = { 0 };

	ck_ok(unix_client_new(&config, &c, &err));
	return c;
}

static const struct http_call get = { .method = "GET", .target = "/x?y=1", .idempotent = true };

/* ---- answers, as rows ---- */

#define OK "HTTP/1.1 200 OK\r\n"

static const struct row {
	const char *line; /* RFC 9112 and what unix_client.h promises */
	const char *answer;
	enum err_code code;
	unsigned status;
	const char *body;
} rows[] = {
	{ "content-length", OK "Content-Length: 3\r\n\r\nabc", ERR_OK, 200, "abc" },
	{ "name in lower case, blanks around", OK "content-length: \t3 \r\n\r\nabc", ERR_OK, 200,
	    "abc" },
	{ "no blank", OK "content-length:3\r\n\r\nabc", ERR_OK, 200, "abc" },
	{ "the same length twice", OK "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc", ERR_OK,
	    200, "abc" },
	{ "length 0", OK "Content-Length: 0\r\n\r\n", ERR_OK, 200, "" },
	{ "to the end", OK "\r\nabc", ERR_OK, 200, "abc" },
	{ "to the end, HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nabc", ERR_OK, 200, "abc" },
	{ "chunked", OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", ERR_OK,
	    200, "abc" },
	{ "chunked, upper case and zeros",
	    OK "transfer-encoding: Chunked\r\n\r\n0A\r\n0123456789\r\n000\r\n\r\n", ERR_OK, 200,
	    "0123456789" },
	{ "chunked, trailers",
	    OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: z\r\n\r\n", ERR_OK, 200,
	    "a" },
	{ "chunked, empty", OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_OK, 200, "" },
	{ "no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ERR_OK, 200, "" },
	{ "204 has no body", "HTTP/1.1 204 No Content\r\n\r\n", ERR_OK, 204, "" },
	{ "304 has no body (docker.md 3)", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
	    ERR_OK, 304, "" },
	{ "an error is an answer", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", ERR_OK, 500,
	    "no" },
	{ "100 is skipped", "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\na", ERR_OK,
	    200, "a" },
	{ "103 is skipped",
	    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK "Content-Length: 1\r\n\r\na", ERR_OK,
	    200, "a" },
	/* hostile */
	{ "101 is none", "HTTP/1.1 101 Switching Protocols\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", ERR_PROTOCOL, 0, NULL },
	{ "HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "status of two digits", "HTTP/1.1 20 OK\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "status 600", "HTTP/1.1 600 OK\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "status 099", "HTTP/1.1 099 OK\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", ERR_PROTOCOL, 0, NULL },
	{ "bare LF after a header", OK "Content-Length: 0\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "header without colon", OK "nothing\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "header without name", OK ": x\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "blank before the colon", OK "Content-Length : 3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "folded line", OK "X: y\r\n Content-Length: 3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "control in a value", OK "X: \x01\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "CR in a value", OK "X: a\rb\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "lengths that disagree", OK "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	    ERR_PROTOCOL, 0, NULL },
	{ "length and chunks",
	    OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunks and length",
	    OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "other coding", OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ERR_PROTOCOL, 0,
	    NULL },
	{ "coding twice",
	    OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "length with a sign", OK "Content-Length: +3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "negative length", OK "Content-Length: -3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "hex length", OK "Content-Length: 0x3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "empty length", OK "Content-Length: \r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "length list", OK "Content-Length: 3, 3\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "huge length", OK "Content-Length: 99999999999999999999\r\n\r\n", ERR_PROTOCOL, 0, NULL },
	{ "length over answer_max", OK "Content-Length: 100001\r\n\r\nabc", ERR_PROTOCOL, 0, NULL },
	{ "chunk size with a sign", OK "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk size in 0x", OK "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk size with a blank", OK "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk extension", OK "Transfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "empty chunk size", OK "Transfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk size that overflows",
	    OK "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk longer than its size", OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
	    ERR_PROTOCOL, 0, NULL },
	{ "chunk of more than answer_max that breaks off",
	    OK "Transfer-Encoding: chunked\r\n\r\nfffffff\r\nab", ERR_UNREACHABLE, 0, NULL },
	{ "cut in the head", "HTTP/1.1 200 OK\r\nContent-", ERR_UNREACHABLE, 0, NULL },
	{ "cut in the body", OK "Content-Length: 3\r\n\r\nab", ERR_UNREACHABLE, 0, NULL },
	{ "cut before the last chunk", OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
	    ERR_UNREACHABLE, 0, NULL },
	{ "cut in the trailers", OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
	    ERR_UNREACHABLE, 0, NULL },
};

static void
check_answer(const struct row *r, const char *how, struct peer_script *p)
{
	struct unix_client *c = client_of(p, 5000);
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	enum err_code code = unix_client_call(c, &get, &reply, &err);

	ck_assert_msg(code == r->code, "%s, %s: %s: %s", r->line, how, err_name(code), err.text);
	if (!code) {
		ck_assert_msg(reply.status == r->status, "%s: %u", r->line, reply.status);
		ck_assert_msg(text_equal(text_of_bytes(&reply.body), r->body), "%s, %s: %s",
		    r->line, how, (const char *)reply.body.data);
	}
	http_reply_done(&reply);
	unix_client_free(c);
}

START_TEST(test_rows)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i / 2];
		struct peer_script p = {
			.answer = r->answer, .len = strlen(r->answer), .bytewise = i % 2
		};

		peer_start(&p);
		check_answer(r, i % 2 ? "byte by byte" : "whole", &p);
		peer_stop(&p);
	}
}
END_TEST

/* Every answer cut off at every place: never a success that is shorter, but for bodies that only the end ends. */
START_TEST(test_truncated)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		const char *head = strstr(r->answer, "\r\n\r\n");

		if (r->code || strstr(r->line, "to the end"))
			continue;
		for (size_t len = 1; len < strlen(r->answer); len++) {
			struct peer_script p = { .answer = r->answer, .len = len };
			struct http_reply reply = { 0 };
			struct err err = { 0 };
			struct unix_client *c;
			enum err_code code;

			/* a head that is complete without its length */
			if (head && !strncmp(head - 1, "0", 1) && len + 4 > strlen(r->answer))
				continue;
			peer_start(&p);
			c = client_of(&p, 5000);
			code = unix_client_call(c, &get, &reply, &err);
			ck_assert_msg(code == ERR_UNREACHABLE || code == ERR_PROTOCOL,
			    "%s at %zu: %s", r->line, len, err_name(code));
			http_reply_done(&reply);
			unix_client_free(c);
			peer_stop(&p);
		}
	}
}
END_TEST

/* Heads and bodies without end. */
START_TEST(test_endless)
{
	static const struct {
		const char *line, *start, *again;
		size_t n;
	} endless[] = {
		{ "status line", "HTTP/1.1 200 ", "x", 100000 },
		{ "one header", OK "X: ", "y", 100000 },
		{ "more than 100 headers", OK, "X: y\r\n", 101 },
		{ "100 headers of 1 KiB and so over 64 KiB", OK,
		    "X: "
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		    "yyyyyyyyyyyyyyyyyyyyyyyy\r\n",
		    100 },
		{ "1xx", "", "HTTP/1.1 100 Continue\r\n\r\n", 1000 },
		{ "chunk size", OK "Transfer-Encoding: chunked\r\n\r\n", "0", 100000 },
		{ "trailers", OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n", 1000 },
		{ "chunks over answer_max", OK "Transfer-Encoding: chunked\r\n\r\n",
		    "A\r\n0123456789\r\n", 10001 },
		{ "body over answer_max", OK "\r\n", "0123456789", 10001 },
	};

	for (size_t i = 0; i < ARRAY_LEN(endless); i++) {
		struct buf bytes = { 0 };
		struct peer_script p = { 0 };
		struct row r = { endless[i].line, NULL, ERR_PROTOCOL, 0, NULL };

		buf_puts(&bytes, endless[i].start);
		for (size_t n = 0; n < endless[i].n; n++)
			buf_puts(&bytes, endless[i].again);
		p.answer = (const char *)bytes.data;
		p.len = bytes.len;
		peer_start(&p);
		check_answer(&r, "endless", &p);
		peer_stop(&p);
		buf_done(&bytes);
	}
}
END_TEST

START_TEST(test_body_at_limit)
{
	struct buf bytes = { 0 };
	struct peer_script p = { .then = KEEP };
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;

	buf_puts(&bytes, OK "Content-Length: 100000\r\n\r\n");
	for (size_t n = 0; n < 10000; n++)
		buf_puts(&bytes, "0123456789");
	p.answer = (const char *)bytes.data;
	p.len = bytes.len;
	peer_start(&p);
	c = client_of(&p, 5000);
	ck_ok(unix_client_call(c, &get, &reply, &err));
	ck_assert_uint_eq(reply.body.len, 100000);
	http_reply_done(&reply);
	unix_client_free(c);
	peer_stop(&p);
	buf_done(&bytes);
}
END_TEST

/* ---- requests ---- */

static const char ok_abc[] = OK "Content-Type: Application/JSON; charset=utf-8\r\nApi-Version: "
				"1.41\r\nContent-Length: 3\r\n\r\nabc";

START_TEST(test_request)
{
	static const struct {
		struct http_call call;
		const char *bytes;
	} calls[] = {
		{ { .method = "GET", .target = "/x" },
		    "GET /x HTTP/1.1\r\nhost: keyd.sock\r\n\r\n" },
		{ { .method = "POST", .target = "/x" },
		    "POST /x HTTP/1.1\r\nhost: keyd.sock\r\ncontent-length: 0\r\n\r\n" },
		{ { .method = "DELETE", .target = "/x" },
		    "DELETE /x HTTP/1.1\r\nhost: keyd.sock\r\n\r\n" },
		{ { .method = "PUT", .target = "/x?y=z", .body = { "{}", 2 } },
		    "PUT /x?y=z HTTP/1.1\r\nhost: keyd.sock\r\ncontent-type: application/json\r\n"
		    "content-length: 2\r\n\r\n{}" },
		{ { .method = "POST",
		      .target = "/x",
		      .headers = "X-Registry-Auth: abc\r\n",
		      .content_type = "application/x-tar",
		      .body = { "", 0 } },
		    "POST /x HTTP/1.1\r\nhost: keyd.sock\r\ncontent-type: application/x-tar\r\n"
		    "content-length: 0\r\nX-Registry-Auth: abc\r\n\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc) };
		struct http_reply reply = { 0 };
		struct err err = { 0 };
		struct unix_client *c;

		peer_start(&p);
		c = client_of(&p, 5000);
		ck_ok(unix_client_call(c, &calls[i].call, &reply, &err));
		ck_assert_str_eq(reply.content_type, "application/json");
		ck_assert_str_eq(reply.api_version, "1.41");
		ck_assert_str_eq((const char *)p.last.data, calls[i].bytes);
		http_reply_done(&reply);
		unix_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_refused_target)
{
	/* nothing that a caller was given can become a second line or request */
	static const char *const targets[] = { "/a b", "/a\r\nX: y", "/a\n", "/a\x7f", "/a\t" };
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc) };
	struct unix_client *c;

	peer_start(&p);
	c = client_of(&p, 5000);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct http_call call = { .method = "GET", .target = targets[i] };
		struct http_reply reply = { 0 };
		struct err err = { 0 };

		ck_err(unix_client_call(c, &call, &reply, &err), ERR_INVALID);
	}
	unix_client_free(c);
	peer_stop(&p);
	ck_assert_uint_eq(atomic_load(&p.connections), 0);
}
END_TEST

START_TEST(test_large_request)
{
	/* more than a socket takes at once, both ways; and an answer that comes before the body was read */
	struct buf body = { 0 };
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc) };
	struct http_call call = { .method = "POST", .target = "/x" };

	for (size_t i = 0; i < 100000; i++)
		buf_puts(&body, "0123456789abcdef0123456789abcdef");
	call.body = (struct text){ (const char *)body.data, body.len };
	for (int early = 0; early < 2; early++) {
		struct http_reply reply = { 0 };
		struct err err = { 0 };
		struct unix_client *c;

		p.early = early;
		peer_start(&p);
		c = client_of(&p, 30000); /* slow under a sanitizer on a busy machine */
		ck_ok(unix_client_call(c, &call, &reply, &err));
		ck_assert_uint_eq(reply.status, 200);
		if (!early)
			ck_assert_uint_gt(p.last.len, body.len);
		http_reply_done(&reply);
		unix_client_free(c);
		peer_stop(&p);
	}
	buf_done(&body);
}
END_TEST

/* ---- connections ---- */

static void
call_ok(struct unix_client *c, bool idempotent)
{
	struct http_call call = get;
	struct http_reply reply = { 0 };
	struct err err = { 0 };

	call.idempotent = idempotent;
	ck_ok(unix_client_call(c, &call, &reply, &err));
	ck_assert(text_equal(text_of_bytes(&reply.body), "abc"));
	http_reply_done(&reply);
}

START_TEST(test_kept)
{
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc), .then = KEEP };
	struct unix_client *c;

	peer_start(&p);
	c = client_of(&p, 5000);
	for (int i = 0; i < 20; i++)
		call_ok(c, i % 2);
	ck_assert_uint_eq(atomic_load(&p.connections), 1);
	ck_assert_uint_eq(atomic_load(&p.requests), 20);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

static void *
call_many(void *client)
{
	for (int i = 0; i < 50; i++)
		call_ok(client, true);
	return NULL;
}

START_TEST(test_kept_at_most_four)
{
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc), .then = KEEP };
	struct unix_client *c;
	pthread_t threads[8];

	p.pause_ms = 2;
	peer_start(&p);
	c = client_of(&p, 5000);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call_many, c), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(atomic_load(&p.requests), 8 * 50);
	for (int i = 0; i < 1000 && atomic_load(&p.connections) - atomic_load(&p.ended) > 4; i++)
		usleep(10 * 1000);
	ck_assert_uint_ge(atomic_load(&p.connections), 8);
	ck_assert_uint_le(atomic_load(&p.connections) - atomic_load(&p.ended), 4);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_not_kept)
{
	/* connections that may not serve twice */
	static const char *const answers[] = {
		OK "Connection: close\r\nContent-Length: 3\r\n\r\nabc",
		OK "Connection: x, Close\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		OK "Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct peer_script p = {
			.answer = answers[i], .len = strlen(answers[i]), .then = KEEP
		};
		struct unix_client *c;

		peer_start(&p);
		c = client_of(&p, 5000);
		call_ok(c, true);
		call_ok(c, true);
		ck_assert_uint_eq(atomic_load(&p.connections), 2);
		unix_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_kept_broke)
{
	/* a kept connection that the peer closed meanwhile: nobody notices, and what is not idempotent is not sent twice */
	for (int idempotent = 0; idempotent < 2; idempotent++) {
		struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc), .then = CLOSE };
		struct unix_client *c;

		peer_start(&p);
		c = client_of(&p, 5000);
		for (unsigned i = 0; i < 3; i++) {
			call_ok(c, idempotent);
			while (atomic_load(&p.ended) <= i)
				usleep(1000);
		}
		ck_assert_uint_eq(atomic_load(&p.requests), 3);
		unix_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_kept_broke_after_request)
{
	/* the peer took the request and closed: sent again when idempotent, reported when not */
	struct peer_script p = {
		.answer = ok_abc, .len = strlen(ok_abc), .then = KEEP, .keep_n = 1
	};
	struct http_call call = get;
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;

	peer_start(&p);
	c = client_of(&p, 5000);
	call_ok(c, true);
	call_ok(c, true);
	ck_assert_uint_eq(atomic_load(&p.connections), 2);
	ck_assert_uint_eq(atomic_load(&p.requests), 3);
	call.idempotent = false;
	ck_err(unix_client_call(c, &call, &reply, &err), ERR_UNREACHABLE);
	ck_assert_uint_eq(atomic_load(&p.requests), 4);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_unasked)
{
	/* what a peer says unasked on a kept connection is not taken for the next answer */
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc), .then = KEEP };
	struct unix_client *c;

	p.once_sent = OK "Content-Length: 3\r\n\r\nxyz";
	peer_start(&p);
	c = client_of(&p, 5000);
	for (unsigned i = 0; i < 3; i++) {
		call_ok(c, false);
		while (atomic_load(&p.told) <= i)
			usleep(1000);
	}
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_over_limit)
{
	/* common.md 4: over the limit: closed with no bytes.  unix_client.h: three tries with back-off, then ERR_BUSY */
	struct peer_script p = {
		.answer = ok_abc, .len = strlen(ok_abc), .then = KEEP, .deaf = true
	};
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;
	uint64_t began = clock_mono_ms();

	peer_start(&p);
	c = client_of(&p, 5000);
	ck_err(unix_client_call(c, &get, &reply, &err), ERR_BUSY);
	ck_assert_uint_eq(atomic_load(&p.connections), 3);
	ck_assert_uint_ge(clock_mono_ms() - began, 200);
	unix_client_free(c);
	peer_stop(&p);

	p = (struct peer_script){
		.answer = ok_abc, .len = strlen(ok_abc), .then = KEEP, .deaf_first = 2
	};
	peer_start(&p);
	c = client_of(&p, 5000);
	call_ok(c, false);
	ck_assert_uint_eq(atomic_load(&p.connections), 3);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_guest)
{
	/* unix_client.h, guest: nothing is kept, and a place is waited for as long as the call may last */
	struct peer_script p = {
		.answer = ok_abc, .len = strlen(ok_abc), .then = KEEP, .deaf_first = 6
	};
	struct unix_client_config config = {
		.host = "peer.sock", .timeout_ms = 5000, .guest = true
	};
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;
	enum err_code code;
	uint64_t began;

	peer_start(&p);
	config.path = p.path;
	ck_ok(unix_client_new(&config, &c, &err));
	call_ok(c, false);
	ck_assert_uint_eq(atomic_load(&p.connections), 7);
	call_ok(c, false);
	ck_assert_uint_eq(atomic_load(&p.connections), 8);
	unix_client_free(c);
	peer_stop(&p);

	p = (struct peer_script){
		.answer = ok_abc, .len = strlen(ok_abc), .then = KEEP, .deaf = true
	};
	peer_start(&p);
	config.path = p.path;
	config.timeout_ms = 1500;
	ck_ok(unix_client_new(&config, &c, &err));
	began = clock_mono_ms();
	code = unix_client_call(c, &get, &reply, &err);
	/* the time may be over in the middle of a try, too */
	ck_assert_msg(code == ERR_BUSY || code == ERR_TIMEOUT, "%s: %s", err_name(code), err.text);
	ck_assert_uint_ge(clock_mono_ms() - began, 1000);
	ck_assert_uint_gt(atomic_load(&p.connections), 3);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_unreachable)
{
	struct peer_script p = { .path = support_path("nobody.sock") };
	struct unix_client_config long_path = { 0 };
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c = client_of(&p, 1000);
	char path[200];
	int fd;

	ck_err(unix_client_call(c, &get, &reply, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "nobody.sock"));
	fd = serve_bind(p.path);
	close(fd);
	ck_err(unix_client_call(c, &get, &reply, &err), ERR_UNREACHABLE);
	unix_client_free(c);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	long_path.path = path;
	ck_err(unix_client_new(&long_path, &c, &err), ERR_INVALID);
}
END_TEST

START_TEST(test_deadline)
{
	/* a peer that never answers, one that stops within the head, and one that drips */
	static const char drip[] = OK "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";

	for (int i = 0; i < 3; i++) {
		struct peer_script p = { .answer = i ? drip : "",
			.len = i ? strlen(drip) : 0,
			.then = i ? KEEP : HANG,
			.pause_ms = i == 2 ? 500 : 0 };
		struct http_call call = get;
		struct http_reply reply = { 0 };
		struct err err = { 0 };
		struct unix_client *c;
		uint64_t began;

		peer_start(&p);
		c = client_of(&p, 60000);
		call.timeout_ms = 200;
		began = clock_mono_ms();
		ck_err(unix_client_call(c, &call, &reply, &err), ERR_TIMEOUT);
		ck_assert_uint_ge(clock_mono_ms() - began, 190);
		ck_assert_uint_lt(clock_mono_ms() - began, 10000);
		unix_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

static void
on_alarm(int number)
{
	(void)number;
}

static void
alarms(bool on)
{
	/* no SA_RESTART: every call that waits is interrupted */
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval often = { { 0, on ? 7000 : 0 }, { 0, on ? 7000 : 0 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* signals of a program that the client is a guest in: calls go through, deadlines stay */
START_TEST(test_signals)
{
	struct peer_script p = {
		.answer = ok_abc, .len = strlen(ok_abc), .then = CLOSE, .pause_ms = 10
	};
	struct http_call call = get;
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;
	uint64_t began;

	peer_start(&p);
	c = client_of(&p, 5000);
	alarms(true);
	for (int i = 0; i < 20; i++)
		call_ok(c, true);
	alarms(false);
	unix_client_free(c);
	peer_stop(&p);

	p.path = support_path("full.sock");
	p.fd = serve_bind(p.path);
	ck_assert_int_eq(listen(p.fd, 0), 0);
	close(serve_connect(p.path)); /* still in the backlog */
	c = client_of(&p, 0);
	call.timeout_ms = 200;
	began = clock_mono_ms();
	alarms(true);
	ck_err(unix_client_call(c, &call, &reply, &err), ERR_TIMEOUT);
	alarms(false);
	ck_assert_uint_ge(clock_mono_ms() - began, 190);
	ck_assert_uint_lt(clock_mono_ms() - began, 10000);
	unix_client_free(c);
	close(p.fd);
}
END_TEST

START_TEST(test_backlog_full)
{
	/* a peer that does not even accept */
	const char *path = support_path("full.sock");
	int fd = serve_bind(path), waiting[8];
	struct peer_script p = { .path = path };
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c = client_of(&p, 200);
	uint64_t began;

	ck_assert_int_eq(listen(fd, 0), 0);
	waiting[0] = serve_connect(path);
	began = clock_mono_ms();
	ck_err(unix_client_call(c, &get, &reply, &err), ERR_TIMEOUT);
	ck_assert_uint_lt(clock_mono_ms() - began, 10000);
	unix_client_free(c);
	close(waiting[0]);
	close(fd);
}
END_TEST

/* ---- dial ---- */

static enum err_code
dial_peer(void *path, int *ret_fd, struct err *err)
{
	if (!path)
		return err_set(err, ERR_DENIED, "not yours");
	*ret_fd = serve_connect(path);
	return ERR_OK;
}

START_TEST(test_dial)
{
	struct peer_script p = { .answer = ok_abc, .len = strlen(ok_abc), .then = KEEP };
	struct unix_client_config config = { .host = "x", .dial = dial_peer };
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;

	peer_start(&p);
	config.dial_ctx = (void *)(uintptr_t)p.path;
	ck_ok(unix_client_new(&config, &c, &err));
	call_ok(c, true);
	call_ok(c, true);
	ck_assert_uint_eq(atomic_load(&p.connections), 1);
	unix_client_free(c);
	config.dial_ctx = NULL;
	ck_ok(unix_client_new(&config, &c, &err));
	ck_err(unix_client_call(c, &get, &reply, &err), ERR_DENIED);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

/* ---- streams ---- */

struct taken {
	struct buf data;
	unsigned calls, stop_after;
};

static bool
take_piece(void *ctx, const char *data, size_t len)
{
	struct taken *t = ctx;

	buf_add(&t->data, data, len);
	return ++t->calls != t->stop_after;
}

START_TEST(test_stream)
{
	/* docker.md 4: progress in chunks; dechunked, all of it, and no limit of length */
	for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i / 2];
		struct peer_script p = {
			.answer = r->answer, .len = strlen(r->answer), .bytewise = i % 2
		};
		struct taken t = { 0 };
		struct http_reply reply = { 0 };
		struct err err = { 0 };
		struct unix_client *c;
		enum err_code code;

		if (strstr(r->line, "over answer_max"))
			continue;
		peer_start(&p);
		c = client_of(&p, 5000);
		code = unix_client_stream(c, &get, 5000, take_piece, &t, &reply, &err);
		ck_assert_msg(code == r->code, "%s: %s", r->line, err_name(code));
		if (!code && r->status == 200)
			ck_assert_msg(
			    text_equal(
				(struct text){ (const char *)t.data.data, t.data.len }, r->body),
			    "%s", r->line);
		if (!code && r->status != 200) {
			ck_assert_uint_eq(t.calls, 0);
			ck_assert(text_equal(text_of_bytes(&reply.body), r->body));
		}
		http_reply_done(&reply);
		unix_client_free(c);
		peer_stop(&p);
		buf_done(&t.data);
	}
}
END_TEST

START_TEST(test_stream_ends_early)
{
	static const char two[] = OK "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n";
	struct peer_script p = { .answer = two, .len = strlen(two), .then = KEEP };
	struct taken t = { .stop_after = 1 };
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;

	peer_start(&p);
	c = client_of(&p, 5000);
	ck_ok(unix_client_stream(c, &get, 0, take_piece, &t, &reply, &err));
	ck_assert_uint_eq(t.calls, 1);
	/* silence between pieces is bounded on request */
	t.stop_after = 0;
	ck_err(unix_client_stream(c, &get, 100, take_piece, &t, &reply, &err), ERR_TIMEOUT);
	ck_assert_uint_eq(atomic_load(&p.connections), 2);
	unix_client_free(c);
	peer_stop(&p);
	buf_done(&t.data);
}
END_TEST

static void *
cancel_soon(void *body)
{
	usleep(50 * 1000);
	unix_client_body_cancel(body);
	return NULL;
}

START_TEST(test_pull)
{
	static const char endless[] = OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
	struct peer_script p = { .answer = endless, .len = strlen(endless), .then = KEEP };
	struct unix_client_body *body = NULL;
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;
	pthread_t canceller;
	char out[16];

	peer_start(&p);
	c = client_of(&p, 200);
	ck_ok(unix_client_open(c, &get, &reply, &body, &err));
	ck_assert_ptr_nonnull(body);
	ck_assert_int_eq(unix_client_body_read(body, out, 2), 2);
	ck_assert_int_eq(unix_client_body_read(body, out + 2, sizeof(out) - 2), 1);
	ck_assert_mem_eq(out, "abc", 3);
	ck_assert_int_eq(pthread_create(&canceller, NULL, cancel_soon, body), 0);
	ck_assert_int_eq(unix_client_body_read(body, out, sizeof(out)), -1);
	pthread_join(canceller, NULL);
	ck_assert_int_eq(unix_client_body_read(body, out, sizeof(out)), -1);
	unix_client_body_close(body);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_pull_whole)
{
	static const char whole[] = OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	static const char no[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc";
	struct peer_script p = { .answer = whole, .len = strlen(whole), .then = KEEP };
	struct unix_client_body *body = NULL;
	struct http_reply reply = { 0 };
	struct err err = { 0 };
	struct unix_client *c;
	char out[16];

	peer_start(&p);
	c = client_of(&p, 5000);
	for (int i = 0; i < 3; i++) {
		ck_ok(unix_client_open(c, &get, &reply, &body, &err));
		ck_assert_int_eq(unix_client_body_read(body, out, sizeof(out)), 3);
		ck_assert_int_eq(unix_client_body_read(body, out, sizeof(out)), 0);
		ck_assert_int_eq(unix_client_body_read(body, out, sizeof(out)), 0);
		unix_client_body_close(body);
	}
	/* a body that was read to its end leaves a connection of use */
	ck_assert_uint_eq(atomic_load(&p.connections), 1);
	unix_client_free(c);
	peer_stop(&p);

	p = (struct peer_script){ .answer = no, .len = strlen(no), .then = KEEP };
	peer_start(&p);
	c = client_of(&p, 5000);
	ck_ok(unix_client_open(c, &get, &reply, &body, &err));
	ck_assert_ptr_null(body);
	ck_assert_uint_eq(reply.status, 404);
	ck_assert(text_equal(text_of_bytes(&reply.body), "abc"));
	http_reply_done(&reply);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

/* ---- JSON ---- */

static const struct {
	const char *line, *status, *body;
	enum err_code code;
	unsigned peer_status;
	const char *text; /* of the error, or of the answer */
} json_rows[] = {
	{ "expected", "200 OK", "{\"said\":\"yes\",\"more\":1}", ERR_OK, 0, "yes" },
	{ "common.md 5: message", "400 Bad Request",
	    "{\"message\":\"parameter \\\"handle\\\" has an invalid value\\ncaused by: x\"}",
	    ERR_PEER, 400, "parameter \"handle\" has an invalid value\ncaused by: x" },
	{ "docker.md 1: further members", "404 Not Found",
	    "{\"cause\":\"a\",\"message\":\"b\",\"response\":404}", ERR_PEER, 404, "b" },
	{ "docker.md 1: empty", "500 Internal Server Error", "", ERR_PEER, 500, "HTTP status 500" },
	{ "docker.md 1: no JSON", "502 Bad Gateway", "<html>", ERR_PEER, 502, "HTTP status 502" },
	{ "no message", "500 Internal Server Error", "{}", ERR_PEER, 500, "HTTP status 500" },
	{ "another success than expected", "201 Created", "{\"said\":\"yes\"}", ERR_PEER, 201,
	    "HTTP status 201" },
	{ "expected, but empty", "200 OK", "", ERR_PROTOCOL, 0, NULL },
	{ "expected, but no JSON", "200 OK", "{", ERR_PROTOCOL, 0, NULL },
	{ "expected, but another message", "200 OK", "{\"say\":1}", ERR_PROTOCOL, 0, NULL },
};

START_TEST(test_json)
{
	for (size_t i = 0; i < ARRAY_LEN(json_rows); i++) {
		struct buf bytes = { 0 };
		struct peer_script p = { .then = KEEP };
		struct said req = { (char *)(uintptr_t) "please" };
		AUTO(said_done) struct said ret = { 0 };
		struct err err = { 0 };
		struct unix_client *c;
		enum err_code code;

		buf_printf(&bytes, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
		    json_rows[i].status, strlen(json_rows[i].body), json_rows[i].body);
		p.answer = (const char *)bytes.data;
		p.len = bytes.len;
		peer_start(&p);
		c = client_of(&p, 5000);
		code = unix_client_json(
		    c, "POST", "/say", true, 0, said_fields, &req, 200, said_fields, &ret, &err);
		ck_assert_msg(
		    code == json_rows[i].code, "%s: %s", json_rows[i].line, err_name(code));
		ck_assert_uint_eq(err.status, json_rows[i].peer_status);
		if (json_rows[i].text)
			ck_assert_str_eq(code ? err.text : ret.said, json_rows[i].text);
		ck_assert_ptr_nonnull(
		    strstr((const char *)p.last.data, "\r\n\r\n{\"said\":\"please\"}"));
		unix_client_free(c);
		peer_stop(&p);
		buf_done(&bytes);
	}
}
END_TEST

START_TEST(test_no_message_wanted)
{
	static const char no_content[] = "HTTP/1.1 204 No Content\r\n\r\n";
	struct peer_script p = { .answer = no_content, .len = strlen(no_content), .then = KEEP };
	struct err err = { 0 };
	struct unix_client *c;

	peer_start(&p);
	c = client_of(&p, 5000);
	ck_ok(unix_client_json(c, "DELETE", "/x", true, 0, NULL, NULL, 204, NULL, NULL, &err));
	ck_ok(unix_client_json(c, "DELETE", "/x", true, 0, NULL, NULL, 204, NULL, NULL, &err));
	ck_assert_uint_eq(atomic_load(&p.connections), 1);
	unix_client_free(c);
	peer_stop(&p);
}
END_TEST

TEST_MAIN("http/unix_client", test_rows, test_truncated, test_endless, test_body_at_limit,
    test_request, test_refused_target, test_large_request, test_kept, test_kept_at_most_four,
    test_not_kept, test_kept_broke, test_kept_broke_after_request, test_unasked, test_over_limit,
    test_guest, test_unreachable, test_deadline, test_signals, test_backlog_full, test_dial,
    test_stream, test_stream_ends_early, test_pull, test_pull_whole, test_json,
    test_no_message_wanted)
