#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "http/route.h"
#include "platform/pool.h"

/* A daemon in small: what its handlers were given comes back as `{"said":"..."}`. */
struct said {
	char *said;
};
FIELDS_ARM(said_fields, said, STR(said, "said", REQUIRED));

struct asked {
	char *name;
};
FIELDS_ARM(asked_fields, asked, STR(name, "name", REQUIRED));

enum who { ANYBODY, ROOT };

struct service {
	unsigned calls;
};

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

	((struct service *)service)->calls++;
	snprintf(text, sizeof(text), "%s %s %s %s %s type=%s", req->method, req->path,
	    req->api_version, req->params[0] ? req->params[0] : "-",
	    req->params[1] ? req->params[1] : "-",
	    request_query(req, "type") ? request_query(req, "type") : "-");
	return say(resp, text, err);
}

static enum err_code
post_thing(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct asked in = { 0 };
	enum err_code code;

	((struct service *)service)->calls++;
	if (fields_read(asked_fields, &in, req->body, err))
		return err->code;
	code = say(resp, in.name, err);
	fields_done(asked_fields, &in);
	return code;
}

/* The same by the message that the row declares. */
static enum err_code
post_message(void *service, const struct request *req, struct response *resp, struct err *err)
{
	const struct asked *in = request_message(req, err);

	((struct service *)service)->calls++;
	return in ? say(resp, in->name, err) : err->code;
}

/* What the body was is all that matters. */
static enum err_code
any_body(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service;
	return say(resp, req->body ? "body" : "none", err);
}

static enum err_code
try_thing(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)req;
	((struct service *)service)->calls++;
	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "not loaded");
	return say(resp, "waited", err);
}

static enum err_code
fail_with(void *service, const struct request *req, struct response *resp, struct err *err)
{
	enum err_code code = (enum err_code)atoi(req->params[0]);

	(void)service;
	if (say(resp, "half made", err))
		return err->code;
	err_set(err, code, "inner");
	err_wrap(err, "outer");
	err->status = 409;
	return code;
}

static enum err_code
no_answer(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req, (void)resp, (void)err;
	return ERR_OK;
}

static enum err_code
no_content(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service, (void)req, (void)err;
	return response_empty(resp, 204);
}

static enum err_code
authorize(void *service, const struct route *row, const struct request *req, struct err *err)
{
	(void)service;
	if (row->who == ROOT && req->peer->uid != 0)
		return err_set(err, ERR_DENIED, "user %u is not root", (unsigned)req->peer->uid);
	return ERR_OK;
}

static const char *const versions[] = { "2018-06-28", "2020-07-07", "2021-12-01", NULL };

static const struct route routes[] = {
	{ "GET", "/things", "2018-06-28", ANYBODY, INLINE, get_thing, 0 },
	{ "GET", "/things/", "2018-06-28", ANYBODY, INLINE, get_thing, 0 },
	{ "GET", "/thing/{a}", "2018-06-28", ANYBODY, INLINE, get_thing, 0 },
	{ "GET", "/thing/{a}/part/{b}", "2018-06-28", ANYBODY, INLINE, get_thing, 0 },
	{ "POST", "/thing", "2018-06-28", ANYBODY, INLINE, post_thing, 0 },
	{ "DELETE", "/thing", "2018-06-28", ANYBODY, INLINE, post_thing, 0 },
	{ "PUT", "/thing", "2018-06-28", ANYBODY, INLINE, post_thing, 0 },
	{ "GET", "/thing", "2018-06-28", ANYBODY, INLINE, any_body, 0 },
	{ "POST", "/late", "2020-07-07", ANYBODY, INLINE, any_body, 0 },
	{ "POST", "/guarded", "2018-06-28", ROOT, INLINE, post_thing, 0 },
	{ "GET", "/try", "2018-06-28", ANYBODY, TRY, try_thing, 0 },
	{ "GET", "/wait", "2018-06-28", ANYBODY, WORKER, try_thing, 0 },
	{ "GET", "/inline", "2018-06-28", ANYBODY, INLINE, try_thing, 0 },
	{ "GET", "/fail/{code}", "2018-06-28", ANYBODY, INLINE, fail_with, 0 },
	{ "GET", "/mute", "2018-06-28", ANYBODY, INLINE, no_answer, 0 },
	{ "GET", "/empty", "2018-06-28", ANYBODY, INLINE, no_content, 0 },
};

static const struct route_table table = {
	.daemon = "test",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
	.authorize = authorize,
};

#define V   "?api-version=2020-07-07"
#define OLD "?api-version=2018-06-28"

static const struct row {
	const char *line; /* of the contract */
	const char *method, *target, *type, *body;
	unsigned status;
	const char *answer; /* NULL: any */
} rows[] = {
	/* common.md 5, evaluation order */
	{ "5.1 api-version absent", "GET", "/things", NULL, NULL, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "5.1 also for unknown paths", "GET", "/nothing", NULL, NULL, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "5.1 before the method", "PATCH", "/things", NULL, NULL, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "5.2 not in the list", "GET", "/things?api-version=2020-09-01-preview", NULL, NULL, 400,
	    "{\"message\":\"invalid api-version \\\"2020-09-01-preview\\\"\"}" },
	{ "5.2 empty", "GET", "/things?api-version=", NULL, NULL, 400,
	    "{\"message\":\"invalid api-version \\\"\\\"\"}" },
	{ "5.2 before the path", "GET", "/nothing?api-version=1", NULL, NULL, 400,
	    "{\"message\":\"invalid api-version \\\"1\\\"\"}" },
	{ "5.2 debug-escaped", "GET", "/things?api-version=a%22b%5Cc%0A%01%7F", NULL, NULL, 400,
	    "{\"message\":\"invalid api-version "
	    "\\\"a\\\\\\\"b\\\\\\\\c\\\\n\\\\u{1}\\\\u{7f}\\\"\"}" },
	{ "5.2 apostrophe and accent as they are", "GET", "/things?api-version='%C3%A9", NULL, NULL,
	    400, "{\"message\":\"invalid api-version \\\"'\xc3\xa9\\\"\"}" },
	{ "5.2 a NUL behind it is part of it", "GET", "/things?api-version=2020-07-07%00", NULL,
	    NULL, 400, NULL },
	{ "5.2 no UTF-8", "GET", "/things?api-version=2020-07-07%ff", NULL, NULL, 400, NULL },
	{ "5.3 minimum version reached", "POST", "/late" V, NULL, NULL, 200,
	    "{\"said\":\"none\"}" },
	{ "5.3 below the minimum version", "POST", "/late" OLD, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.3 ids decoded once, after matching", "GET", "/thing/a%2Fb%2541" V, NULL, NULL, 200,
	    "{\"said\":\"GET /thing/a%2Fb%2541 2020-07-07 a/b%41 - type=-\"}" },
	{ "5.3 two ids", "GET", "/thing/%24edgeHub/part/$x" V, NULL, NULL, 200,
	    "{\"said\":\"GET /thing/%24edgeHub/part/$x 2020-07-07 $edgeHub $x type=-\"}" },
	{ "5.3 '+' is a plus in a path", "GET", "/thing/a+b" V, NULL, NULL, 200,
	    "{\"said\":\"GET /thing/a+b 2020-07-07 a+b - type=-\"}" },
	{ "5.3 a broken escape stays", "GET", "/thing/a%zz%4" V, NULL, NULL, 200,
	    "{\"said\":\"GET /thing/a%zz%4 2020-07-07 a%zz%4 - type=-\"}" },
	{ "5.3 id of no character", "GET", "/thing/" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.3 id with a slash", "GET", "/thing/a/b" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.3 id that is no UTF-8", "GET", "/thing/a%ff" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.3 id with NUL", "GET", "/thing/a%00b" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.4 no route", "GET", "/nothing" V, NULL, NULL, 404, "{\"message\":\"not found\"}" },
	{ "5.4 before the body", "POST", "/nothing" V, NULL, "{", 404,
	    "{\"message\":\"not found\"}" },
	{ "5 trailing slash is significant", "GET", "/try/" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "edged-management 1.5 a row of its own for the slash", "GET", "/things/" V, NULL, NULL,
	    200, "{\"said\":\"GET /things/ 2020-07-07 - - type=-\"}" },
	{ "5 not encoded letters in a literal", "GET", "/%74hings" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "5.5 GET: body ignored", "GET", "/thing" V, NULL, "{", 200, "{\"said\":\"none\"}" },
	{ "5.5 POST: JSON without a type", "POST", "/thing" V, NULL, "{\"name\":\"x\"}", 200,
	    "{\"said\":\"x\"}" },
	{ "5.5 POST: application/json", "POST", "/thing" V, "application/json", "{\"name\":\"x\"}",
	    200, "{\"said\":\"x\"}" },
	{ "5.5 POST: with a parameter", "POST", "/thing" V, "application/json; charset=utf-8",
	    "{\"name\":\"x\"}", 200, "{\"said\":\"x\"}" },
	{ "5.5 POST: trimmed before ;", "POST", "/thing" V, " application/json ;x",
	    "{\"name\":\"x\"}", 200, "{\"said\":\"x\"}" },
	{ "5.5 POST: unreadable type", "POST", "/thing" V, "text\xff", "{\"name\":\"x\"}", 200,
	    "{\"said\":\"x\"}" },
	{ "5.5 POST: type is case-sensitive", "POST", "/thing" V, "Application/JSON",
	    "{\"name\":\"x\"}", 400, "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: other type, body dropped", "POST", "/thing" V, "text/plain", "{", 400,
	    "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: empty body", "POST", "/thing" V, "application/json", "", 400,
	    "{\"message\":\"missing request body\"}" },
	{ "5.5 POST: no JSON", "POST", "/thing" V, NULL, "{\"name\":", 422, NULL },
	{ "5.5 POST: something behind it", "POST", "/thing" V, NULL, "{\"name\":\"x\"} x", 422,
	    NULL },
	{ "5.5 POST: body not needed", "POST", "/late" V, NULL, NULL, 200, "{\"said\":\"none\"}" },
	{ "5.5 DELETE: with a body", "DELETE", "/thing" V, NULL, "{\"name\":\"x\"}", 200,
	    "{\"said\":\"x\"}" },
	{ "5.5 DELETE: no JSON", "DELETE", "/thing" V, NULL, "x", 422, NULL },
	{ "5.5 DELETE: other type", "DELETE", "/thing" V, "text/plain", "{\"name\":\"x\"}", 400,
	    "{\"message\":\"missing request body\"}" },
	{ "5.5 PUT: JSON", "PUT", "/thing" V, NULL, "{\"name\":\"x\"}", 200, "{\"said\":\"x\"}" },
	{ "5.5 PUT: other type", "PUT", "/thing" V, "text/plain", "{\"name\":\"x\"}", 415,
	    "{\"message\":\"request body must be application/json\"}" },
	{ "5.5 PUT: other type without a body", "PUT", "/thing" V, "text/plain", "", 415,
	    "{\"message\":\"request body must be application/json\"}" },
	{ "5.5 PUT: empty body", "PUT", "/thing" V, NULL, "", 422, NULL },
	{ "5.6 HEAD", "HEAD", "/thing" V, NULL, NULL, 400, "{\"message\":\"method not allowed\"}" },
	{ "5.6 PATCH", "PATCH", "/thing" V, NULL, "{", 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5.6 OPTIONS", "OPTIONS", "/thing" V, NULL, NULL, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5.6 method is case-sensitive", "get", "/thing" V, NULL, NULL, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5.6 not implemented by the path", "POST", "/things" V, NULL, "{}", 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "5.6 after the body parse", "POST", "/things" V, NULL, "{", 422, NULL },
	{ "5.6 after the type of PUT", "PUT", "/things" V, "text/plain", "{", 415, NULL },
	/* common.md 5, query */
	{ "5 query is form-decoded", "GET", "/things?type=a+b%2Bc&api-version=2020%2D07%2d07", NULL,
	    NULL, 200, "{\"said\":\"GET /things 2020-07-07 - - type=a b+c\"}" },
	{ "5 names too", "GET", "/things?api%2Dversion=2020-07-07", NULL, NULL, 200, NULL },
	{ "5 last api-version wins", "GET", "/things?api-version=x&api-version=2020-07-07", NULL,
	    NULL, 200, NULL },
	{ "5 last api-version wins, though wrong", "GET",
	    "/things?api-version=2020-07-07&api-version=x", NULL, NULL, 400,
	    "{\"message\":\"invalid api-version \\\"x\\\"\"}" },
	{ "5 first of others wins", "GET", "/things" V "&type=1&type=2", NULL, NULL, 200,
	    "{\"said\":\"GET /things 2020-07-07 - - type=1\"}" },
	{ "5 empty pairs and missing =", "GET", "/things?&&type&=x&api-version=2020-07-07&", NULL,
	    NULL, 200, "{\"said\":\"GET /things 2020-07-07 - - type=\"}" },
	/* common.md 6 */
	{ "6 null like absent", "POST", "/thing" V, NULL, "{\"name\":null}", 422, NULL },
	{ "6 unknown members ignored", "POST", "/thing" V, NULL, "{\"x\":[1],\"name\":\"x\"}", 200,
	    "{\"said\":\"x\"}" },
	{ "6 a duplicated member", "POST", "/thing" V, NULL, "{\"name\":\"x\",\"name\":\"y\"}", 422,
	    NULL },
	/* client-facts.md */
	{ "facts 1 absolute-form", "GET", "http://foo/things" V, NULL, NULL, 200,
	    "{\"said\":\"GET /things 2020-07-07 - - type=-\"}" },
	{ "facts 1 without a path", "GET", "http://foo" V, NULL, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "facts 1 a scheme in the query is none", "GET", "/things" V "&type=http://x/y", NULL,
	    NULL, 200, "{\"said\":\"GET /things 2020-07-07 - - type=http://x/y\"}" },
	{ "facts 1 nor in what is no target", "GET", "x?y=http://foo/things" V, NULL, NULL, 400,
	    NULL },
	{ "facts 1 fragment", "GET", "/things" V "#x", NULL, NULL, 200, NULL },
	{ "facts 7 name raw", "GET", "/thing/$edgeHub" V, NULL, NULL, 200,
	    "{\"said\":\"GET /thing/$edgeHub 2020-07-07 $edgeHub - type=-\"}" },
	/* edged-management.md 1.3 */
	{ "1.3.7 JSON before authorization", "POST", "/guarded" V, NULL, "{", 422, NULL },
	{ "1.3.7 authorization before a missing body", "POST", "/guarded" V, NULL, NULL, 401,
	    "{\"message\":\"user 1000 is not root\"}" },
	/* architecture.md 3 */
	{ "TRY runs again where it may wait", "GET", "/try" V, NULL, NULL, 200,
	    "{\"said\":\"waited\"}" },
	{ "WORKER runs where it may wait", "GET", "/wait" V, NULL, NULL, 200,
	    "{\"said\":\"waited\"}" },
	{ "INLINE may not wait", "GET", "/inline" V, NULL, NULL, 500,
	    "{\"message\":\"internal error\"}" },
	{ "no answer is an error", "GET", "/mute" V, NULL, NULL, 500,
	    "{\"message\":\"internal error\"}" },
};

static const struct peer stranger = { .uid = 1000, .gid = 1000, .pid = 1, .pidfd = -1 };

static void
ask(const struct route_table *t, const char *method, const char *target, const char *type,
    const char *body, struct response *resp)
{
	struct service service = { 0 };
	struct route_input in = { .peer = &stranger,
		.method = method,
		.target = target,
		.content_type = type,
		.body = text_of(body) };

	log_init("off", "test");
	route_run(t, &service, &in, resp);
}

static void
check_rows(const struct route_table *t)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct response resp = { 0 };

		ask(t, r->method, r->target, r->type, r->body, &resp);
		ck_assert_msg(resp.status == r->status, "%s: %u instead of %u: %s", r->line,
		    resp.status, r->status, resp.body);
		ck_assert_str_eq(resp.content_type, "application/json");
		ck_assert_uint_eq(resp.body_len, strlen(resp.body));
		ck_assert_msg(
		    !r->answer || strcmp(resp.body, r->answer) == 0, "%s: %s", r->line, resp.body);
		if (r->status != 200)
			ck_assert_msg(strncmp(resp.body, "{\"message\":\"", 12) == 0, "%s: %s",
			    r->line, resp.body);
		response_done(&resp);
		ck_assert(!pool_may_block());
	}
}

START_TEST(test_rows)
{
	check_rows(&table);
}
END_TEST

/* A declared message changes nothing of the order and nothing of the answers. */
START_TEST(test_message)
{
	struct route declared[ARRAY_LEN(routes)];
	struct route_table t = table;

	memcpy(declared, routes, sizeof(routes));
	for (size_t i = 0; i < ARRAY_LEN(declared); i++)
		if (declared[i].handler == post_thing) {
			declared[i].handler = post_message;
			declared[i].message = asked_fields;
		}
	t.routes = declared;
	check_rows(&t);
}
END_TEST

/* What one code looks like by a table (common.md 5, error body; edged-management.md 1.4, 2.1). */
static const struct {
	const char *line;
	enum err_code code;
	bool edged;
	unsigned status;
	const char *message;
} statuses[] = {
	{ "bad parameter 400 with its causes", ERR_INVALID, false, 400,
	    "outer\\ncaused by: inner" },
	{ "caller not allowed 401", ERR_DENIED, false, 401, "outer\\ncaused by: inner" },
	{ "JSON 422", ERR_SYNTAX, false, 422, "outer\\ncaused by: inner" },
	{ "missing body 400", ERR_NO_BODY, false, 400, "outer\\ncaused by: inner" },
	{ "busy 500 (decisions, Limits)", ERR_BUSY, false, 500, "outer" },
	{ "everything else 500, chain hidden", ERR_IO, false, 500, "internal error" },
	{ "everything else 500, chain hidden", ERR_INTERNAL, false, 500, "internal error" },
	{ "a status of a peer is not ours", ERR_PEER, false, 500, "internal error" },
	{ "a file that is absent is no parameter", ERR_NOT_FOUND, false, 500, "internal error" },
	{ "403 forbidden", ERR_DENIED, true, 403, "forbidden" },
	{ "engine's status passed on, outermost text", ERR_PEER, true, 409, "outer" },
	{ "anything else 500", ERR_TIMEOUT, true, 500, "outer" },
};

static const struct route_status edged_status[ERR_CODES] = {
	[ERR_DENIED] = { 403, SHOW_QUIET, "forbidden" },
	[ERR_PEER] = { 500, SHOW_OUTER, NULL, true },
	[ERR_INTERNAL] = { 500, SHOW_OUTER },
};

START_TEST(test_statuses)
{
	struct route_table edged = table;

	edged.status = edged_status;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct response resp = { 0 };
		char target[64], want[128];

		snprintf(target, sizeof(target), "/fail/%d" V, statuses[i].code);
		snprintf(want, sizeof(want), "{\"message\":\"%s\"}", statuses[i].message);
		ask(statuses[i].edged ? &edged : &table, "GET", target, NULL, NULL, &resp);
		ck_assert_msg(
		    resp.status == statuses[i].status, "%s: %u", statuses[i].line, resp.status);
		ck_assert_msg(strcmp(resp.body, want) == 0, "%s: %s", statuses[i].line, resp.body);
		response_done(&resp);
	}
}
END_TEST

START_TEST(test_empty)
{
	struct response resp = { 0 };

	/* common.md 5: 204 has no content-type and no content-length */
	ask(&table, "GET", "/empty" V, NULL, NULL, &resp);
	ck_assert_uint_eq(resp.status, 204);
	ck_assert_ptr_null(resp.body);
	ck_assert_ptr_null(resp.content_type);
	response_done(&resp);
}
END_TEST

START_TEST(test_try_before_pool)
{
	struct service service = { 0 };
	struct response resp = { 0 };
	struct route_input in = { .peer = &stranger, .method = "GET", .target = "/try" V };
	struct route_match *m = route_resolve(&table, &in, &resp);

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(route_of(m)->where, TRY);
	ck_assert(!route_handle(&table, &service, m, &resp));
	ck_assert_uint_eq(resp.status, 0);
	pool_set_may_block(true);
	ck_assert(route_handle(&table, &service, m, &resp));
	pool_set_may_block(false);
	ck_assert_uint_eq(resp.status, 200);
	ck_assert_uint_eq(service.calls, 2);
	response_done(&resp);
	route_match_free(m);
}
END_TEST

START_TEST(test_refused_before_handler)
{
	struct service service = { 0 };
	struct response resp = { 0 };
	struct route_input in = { .peer = &stranger,
		.method = "POST",
		.target = "/guarded" V,
		.body = TEXT("{\"name\":\"x\"}") };

	log_init("off", "test");
	route_run(&table, &service, &in, &resp);
	ck_assert_uint_eq(resp.status, 401);
	ck_assert_uint_eq(service.calls, 0);
	response_done(&resp);
}
END_TEST

START_TEST(test_long_and_odd)
{
	/* many parameters, a long value, and a message that has to be cut within a character */
	struct buf target = { 0 };
	struct response resp = { 0 };

	buf_puts(&target, "/things?");
	for (int i = 0; i < 20000; i++)
		buf_puts(&target, i % 3 ? "&a=b" : "&c");
	buf_puts(&target, "&api-version=");
	for (int i = 0; i < 5000; i++)
		buf_puts(&target, i ? "%C3%A9" : "x");
	ask(&table, "GET", (const char *)target.data, NULL, NULL, &resp);
	ck_assert_uint_eq(resp.status, 400);
	ck_assert(resp.body_len < 2048);
	response_done(&resp);
	route_message(&resp, 400, "caf\xc3");
	ck_assert_str_eq(resp.body, "{\"message\":\"caf?\"}");
	response_done(&resp);
	buf_done(&target);
}
END_TEST

TEST_MAIN("http/route", test_rows, test_message, test_statuses, test_empty, test_try_before_pool,
    test_refused_before_handler, test_long_and_odd)
