#include "http/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "data/uri.h"
#include "platform/pool.h"

struct message {
	char *message;
};

FIELDS_ARM(message_fields, message, STR(message, "message", REQUIRED));

const struct route_status route_status_identity[ERR_CODES] = {
	[ERR_INVALID] = { 400, SHOW_CHAIN },
	[ERR_NO_BODY] = { 400, SHOW_CHAIN },
	[ERR_SYNTAX] = { 422, SHOW_CHAIN },
	[ERR_DENIED] = { 401, SHOW_CHAIN },
	[ERR_BUSY] = { 500, SHOW_OUTER },
	[ERR_INTERNAL] = { 500, SHOW_FIXED, "internal error" },
};

/* The message that a row declares. */
struct request_message {
	fields_fn *table;
	void *value; /* NULL: not read yet */
	size_t room; /* of what its members point to, behind it; 0: they own it */
};

/* One request, resolved: everything in req points into text, body or the input's lasting parts. */
struct route_match {
	const struct route *row;
	struct request req;
	struct request_message message;
	struct json_t *body;
	struct http_query *query;
	char text[];
};

/* ---- answers ---- */

/* Cut text may end within a character; whatever is no UTF-8 must not keep the rest from being said. */
static void
make_utf8(char *text)
{
	if (uri_utf8_valid(text_of(text)))
		return;
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			*text = '?';
}

void
route_message(struct response *resp, unsigned status, const char *text)
{
	char copy[ERR_TEXT_MAX];
	struct message message = { copy };
	struct err err = { 0 };
	size_t len = strnlen(text, sizeof(copy) - 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	make_utf8(copy);
	if (response_json(resp, status, message_fields, &message, &err))
		response_empty(resp, status);
}

static void
log_chain(enum log_level level, const char *text)
{
	while (log_enabled(level) && *text) {
		size_t len = strcspn(text, "\n");

		log_write(level, "!!! %.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static const struct route_status *
status_of(const struct route_table *table, enum err_code code)
{
	static const struct route_status internal = { 500, SHOW_FIXED, "internal error" };

	if (code < ERR_CODES && table->status[code].status)
		return &table->status[code];
	return table->status[ERR_INTERNAL].status ? &table->status[ERR_INTERNAL] : &internal;
}

void
route_error(const struct route_table *table, const struct err *err, struct response *resp)
{
	const struct route_status *row = status_of(table, err->code);
	unsigned status = row->status;
	char outer[ERR_TEXT_MAX];

	log_chain(row->show == SHOW_FIXED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, err->text);
	if (row->pass_peer_status && err->status >= 400 && err->status <= 599)
		status = err->status;
	switch (row->show) {
	case SHOW_CHAIN:
		route_message(resp, status, err->text);
		break;
	case SHOW_OUTER:
		memcpy(outer, err->text, sizeof(outer));
		outer[strcspn(outer, "\n")] = '\0';
		route_message(resp, status, outer);
		break;
	default:
		route_message(resp, status, row->fixed ? row->fixed : "internal error");
	}
}

/* ---- target ---- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode %XX, and '+' as a space in forms; a broken escape stays as it is.  Never longer than what came in. */
static size_t
decode(const char *in, size_t len, bool form, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '%' && i + 2 < len && hex_digit(in[i + 1]) >= 0 &&
		    hex_digit(in[i + 2]) >= 0) {
			out[n++] = (char)(hex_digit(in[i + 1]) << 4 | hex_digit(in[i + 2]));
			i += 2;
		} else {
			out[n++] = form && in[i] == '+' ? ' ' : in[i];
		}
	}
	out[n] = '\0';
	return n;
}

/* One name or value of the query; what cannot be text becomes '?', so that it equals nothing that is looked for. */
static size_t
decode_form(const char *in, size_t len, char *out)
{
	size_t n = decode(in, len, true, out);
	bool ascii = true;

	for (size_t i = 0; i < n; i++) {
		if (out[i] == '\0')
			out[i] = '?';
		ascii &= (unsigned char)out[i] < 0x80;
	}
	if (!ascii)
		make_utf8(out);
	return n + 1;
}

static void
parse_query(struct route_match *m, struct text query, char *out)
{
	const char *p = query.data, *end = query.data + query.len;

	while (p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p));
		const char *stop = amp ? amp : end;
		const char *equals = memchr(p, '=', (size_t)(stop - p));
		const char *name_end = equals ? equals : stop;

		if (stop > p) {
			struct http_query *q = &m->query[m->req.n_query++];

			q->name = out;
			out += decode_form(p, (size_t)(name_end - p), out);
			q->value = out;
			if (equals)
				out += decode_form(equals + 1, (size_t)(stop - equals - 1), out);
			else
				*out++ = '\0';
		}
		p = stop + 1;
	}
}

/* Path and query of a target: without scheme and authority (client-facts.md 1), without fragment. */
static void
split_target(const char *target, struct text *ret_path, struct text *ret_query)
{
	const char *scheme_end = target[0] == '/' ? NULL : strstr(target, "://");
	size_t len;

	if (scheme_end && scheme_end < target + strcspn(target, "/?#")) {
		target = scheme_end + 3;
		target += strcspn(target, "/?#");
	}
	len = strcspn(target, "?#");
	*ret_path = len ? (struct text){ target, len } : TEXT("/");
	target += len;
	*ret_query = (struct text){ "", 0 };
	if (*target == '?')
		*ret_query = (struct text){ target + 1, strcspn(target + 1, "#") };
}

static struct route_match *
match_new(const struct route_input *in, char **ret_scratch)
{
	struct text path, query;
	struct route_match *m;
	size_t n_query = 1, pairs_at, size;

	split_target(in->target, &path, &query);
	for (size_t i = 0; i < query.len; i++)
		n_query += query.data[i] == '&';
	/* path, its captures, names and values of the query with two terminators a pair, method */
	size = sizeof(*m) + 2 * path.len + HTTP_PARAMS_MAX + 2 + query.len + 2 * n_query +
	       strlen(in->method) + 1;
	pairs_at = (size + _Alignof(struct http_query) - 1) & ~(_Alignof(struct http_query) - 1);
	m = malloc(pairs_at + n_query * sizeof(struct http_query));
	if (!m)
		return NULL;
	*m = (struct route_match){ .req = { .peer = in->peer, .tag = in->tag } };
	m->query = (struct http_query *)(void *)((char *)m + pairs_at);
	m->req.query = m->query;
	*ret_scratch = m->text;
	m->req.path = memcpy(*ret_scratch, path.data, path.len);
	(*ret_scratch)[path.len] = '\0';
	*ret_scratch += path.len + 1;
	m->req.method = memcpy(*ret_scratch, in->method, strlen(in->method) + 1);
	*ret_scratch += strlen(in->method) + 1;
	parse_query(m, query, *ret_scratch);
	*ret_scratch += query.len + 2 * n_query;
	return m;
}

/* ---- the contract's order ---- */

/* The value as Rust's {:?} shows it, without the quotes around. */
static void
add_debug(struct buf *out, const char *value)
{
	static const char named[] = "\t\n\r\"\\", names[] = "tnr\"\\";

	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		const char *at = strchr(named, *p);

		if (at)
			buf_printf(out, "\\%c", names[at - named]);
		else if (*p < 0x20 || *p == 0x7f)
			buf_printf(out, "\\u{%x}", *p);
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			buf_printf(out, "\\u{%x}", *++p);
		else
			buf_add(out, p, 1);
	}
}

static void
refuse_version(struct response *resp, const char *version)
{
	struct buf text = { .max = ERR_TEXT_MAX };

	buf_puts(&text, "invalid api-version \"");
	add_debug(&text, version);
	buf_puts(&text, "\"");
	route_message(resp, 400, text.failed ? "invalid api-version" : (const char *)text.data);
	buf_done(&text);
}

static bool
check_version(const struct route_table *table, struct request *req, struct response *resp)
{
	req->api_version = request_query_last(req, "api-version");
	if (!req->api_version) {
		route_message(resp, 400, "api-version not specified");
		return false;
	}
	for (const char *const *v = table->versions; *v; v++)
		if (strcmp(*v, req->api_version) == 0)
			return true;
	refuse_version(resp, req->api_version);
	return false;
}

/* Match a path against a pattern, still encoded; captured segments go to seg. */
static bool
match_path(const char *pattern, const char *path, struct text *seg, size_t *ret_n)
{
	size_t n = 0;

	while (*pattern) {
		if (*pattern == '{') {
			size_t len = strcspn(path, "/");

			if (len == 0 || n == HTTP_PARAMS_MAX)
				return false;
			seg[n++] = (struct text){ path, len };
			path += len;
			pattern += strcspn(pattern, "}") + 1;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	*ret_n = n;
	return *path == '\0';
}

static bool
take_params(struct request *req, const struct text *seg, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = decode(seg[i].data, seg[i].len, false, out);

		if (!uri_utf8_valid((struct text){ out, len }))
			return false;
		req->params[i] = out;
		out += len + 1;
	}
	return true;
}

/* The first row whose path matches; dates as versions compare as strings. */
static const struct route *
find_path(const struct route_table *table, struct request *req, char *scratch)
{
	struct text seg[HTTP_PARAMS_MAX];
	size_t n;

	for (const struct route *r = table->routes; r < table->routes + table->n_routes; r++)
		if (match_path(r->path, req->path, seg, &n) &&
		    strcmp(r->since, req->api_version) <= 0 && take_params(req, seg, n, scratch))
			return r;
	return NULL;
}

/* The row of the same path for the request's method. */
static const struct route *
find_method(
    const struct route_table *table, const struct route *path_row, const struct request *req)
{
	for (const struct route *r = path_row; r < table->routes + table->n_routes; r++)
		if (strcmp(r->method, req->method) == 0 && strcmp(r->path, path_row->path) == 0 &&
		    strcmp(r->since, req->api_version) <= 0)
			return r;
	return NULL;
}

/* Absent counts as JSON, and so does a value that is no plain text. */
static bool
is_json(const char *content_type)
{
	size_t len;

	if (!content_type || strcmp(content_type, "application/json") == 0)
		return true;
	for (const char *p = content_type; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || (unsigned char)*p >= 0x7f)
			return true;
	content_type += strspn(content_type, " \t");
	len = strcspn(content_type, ";");
	while (len && strchr(" \t", content_type[len - 1]))
		len--;
	return text_equal((struct text){ content_type, len }, "application/json");
}

/* The quick way, where the body is as plain as almost all are. */
static bool
read_plain(struct request_message *m, struct text body)
{
	const size_t size = m->table()->size;
	char *value = malloc(size + body.len);

	if (!value)
		return false;
	memset(value, 0, size);
	if (!fields_read_plain(m->table, value, body, value + size)) {
		mem_wipe(value, size + body.len);
		free(value);
		return false;
	}
	m->value = value;
	m->room = body.len;
	return true;
}

const void *
request_message(const struct request *req, struct err *err)
{
	struct request_message *m = req->message;
	void *value;

	if (m->value)
		return m->value;
	value = calloc(1, m->table()->size);
	if (!value) {
		err_nomem(err);
		return NULL;
	}
	if (fields_read(m->table, value, req->body, err)) {
		free(value);
		return NULL;
	}
	m->value = value;
	return value;
}

static void
message_done(struct request_message *m)
{
	if (!m->value)
		return;
	if (m->room)
		mem_wipe(m->value, m->table()->size + m->room);
	else
		fields_done(m->table, m->value);
	free(m->value);
}

static bool
parse_body(const struct route_table *table, const struct route_input *in, struct route_match *m,
    struct response *resp)
{
	bool put = strcmp(in->method, "PUT") == 0;
	struct err err;

	if (!put && strcmp(in->method, "POST") != 0 && strcmp(in->method, "DELETE") != 0)
		return true;
	if (!is_json(in->content_type)) {
		if (put)
			route_message(resp, 415, "request body must be application/json");
		return !put;
	}
	if (in->body.len == 0 && !put)
		return true;
	if (m->req.message && read_plain(&m->message, in->body))
		return true;
	if (json_read(in->body, &m->body, &err)) {
		route_error(table, &err, resp);
		return false;
	}
	m->req.body = m->body;
	return true;
}

static void
match_freep(struct route_match **m)
{
	route_match_free(*m);
}

struct route_match *
route_resolve(const struct route_table *table, const struct route_input *in, struct response *resp)
{
	AUTO(match_freep) struct route_match *m = NULL;
	struct route_match *matched;
	const struct route *path_row;
	struct err err;
	char *scratch;

	m = match_new(in, &scratch);
	if (!m) {
		err_nomem(&err);
		route_error(table, &err, resp);
		return NULL;
	}
	if (!check_version(table, &m->req, resp))
		return NULL;
	path_row = find_path(table, &m->req, scratch);
	if (!path_row) {
		route_message(resp, 404, "not found");
		return NULL;
	}
	m->row = find_method(table, path_row, &m->req);
	if (m->row && m->row->message) {
		m->message.table = m->row->message;
		m->req.message = &m->message;
	}
	if (!parse_body(table, in, m, resp))
		return NULL;
	if (!m->row) {
		route_message(resp, 400, "method not allowed");
		return NULL;
	}
	matched = m;
	m = NULL;
	return matched;
}

const struct route *
route_of(const struct route_match *match)
{
	return match->row;
}

bool
route_handle(const struct route_table *table, void *service, struct route_match *match,
    struct response *resp)
{
	const struct route *row = match->row;
	enum err_code code = ERR_OK;
	struct err err;

	err_clear(&err); /* not all of its text, with every request */
	if (table->authorize)
		code = table->authorize(service, row, &match->req, &err);
	if (!code)
		code = row->handler(service, &match->req, resp, &err);
	if (!code && resp->status)
		return true;
	response_done(resp);
	if (code == ERR_WOULD_BLOCK && row->where == TRY && !pool_may_block())
		return false;
	if (!code)
		err_set(&err, ERR_INTERNAL, "%s %s gave no answer", row->method, row->path);
	else if (code == ERR_WOULD_BLOCK)
		err_wrap_code(&err, ERR_INTERNAL, "%s %s would wait", row->method, row->path);
	route_error(table, &err, resp);
	return true;
}

void
route_match_free(struct route_match *match)
{
	if (!match)
		return;
	json_freep(&match->body);
	message_done(&match->message);
	free(match);
}

void
route_run(const struct route_table *table, void *service, const struct route_input *in,
    struct response *resp)
{
	struct route_match *m = route_resolve(table, in, resp);
	bool may_block = pool_may_block();

	if (!m)
		return;
	pool_set_may_block(m->row->where == WORKER);
	if (!route_handle(table, service, m, resp)) {
		pool_set_may_block(true);
		(void)route_handle(table, service, m, resp);
	}
	pool_set_may_block(may_block);
	route_match_free(m);
}
