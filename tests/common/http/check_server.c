#include "tests/support/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
try_thing(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req;
	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "not loaded");
	return say(resp, "waited", err);
}

static enum err_code
wait_long(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service;
	usleep((useconds_t)atoi(request_query(req, "ms")) * 1000);
	return say(resp, pool_may_block() ? "waited" : "on the polling thread", err);
}

static const char *const versions[] = { "2020-07-07", NULL };

static const struct route routes[] = {
	{ "GET", "/thing/{id}", "2020-07-07", 0, INLINE, get_thing, 0 },
	{ "POST", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "DELETE", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "PUT", "/echo", "2020-07-07", 0, INLINE, echo, 0 },
	{ "POST", "/worker-echo", "2020-07-07", 0, WORKER, echo, 0 },
	{ "DELETE", "/thing/{id}", "2020-07-07", 0, INLINE, no_content, 0 },
	{ "GET", "/try", "2020-07-07", 0, TRY, try_thing, 0 },
	{ "GET", "/wait", "2020-07-07", 0, WORKER, wait_long, 0 },
	{ "GET", "/hurry", "2020-07-07", 0, WORKER, wait_long, 200 },
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
	{ "facts 15 unknown path 404", "GET /x" V END, 404, "{\"message\":\"not found\"}" },
	{ "facts 15 wrong method 400", "PUT /thing/a" V HOST "Content-Length: 2\r\n\r\n{}", 400,
	    "{\"message\":\"method not allowed\"}" },
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

START_TEST(test_rows)
{
	struct serve s;

	log_init("off", "test");
	serve_start(&s, &config, 50);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *answer = strncmp(rows[i].bytes, "HEAD", 4) == 0
				   ? NULL
				   : serve_exchange(s.path, rows[i].bytes);

		if (answer)
			check_row(&rows[i], answer);
		free(answer);
	}
	serve_stop(&s);
}
END_TEST

TEST_MAIN("http/server", test_rows)
