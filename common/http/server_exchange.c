#include "http/server_private.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * Of a connection, for its request's head and what libmicrohttpd keeps of it.  Above 32 KiB it maps and unmaps the memory
 * for each connection, which makes a connection per request, as most clients have it, cost three times as much.
 */
#define HEAD_BYTES  ((size_t)32 * 1024)
#define HEADERS_MAX 100
/* A body over HTTP_BODY_MAX is read to its end up to here, so that the client hears of the 413 rather than of a reset. */
#define DRAIN_MAX ((size_t)8 * 1024 * 1024)

static const char too_large[] = "request body is too large";

#define IN(phase) (1U << (phase))

/* A request and its answer.  The polling side and a job in the pool each hold a reference. */
struct exchange {
	struct conn *conn;
	atomic_uint refs;
	bool old;	 /* HTTP/1.0 */
	bool begun;	 /* the head has been looked at */
	bool answered;	 /* an answer has been queued */
	bool over;	 /* the body is longer than HTTP_BODY_MAX */
	size_t received; /* bytes of body so far */
	uint64_t began_ms;
	const char *method;	  /* libmicrohttpd's, as long as the request */
	const char *content_type; /* the same */
	struct buf body;
	struct route_match *match;
	struct response resp;
	unsigned long long word; /* PHASE_POOLED's, to be replaced by the job */
	char target[];
};

static struct conn *
conn_of(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static struct exchange *
exchange_new(struct conn *c, const char *target)
{
	size_t len = strlen(target) + 1;
	struct exchange *x = malloc(sizeof(*x) + len); /* not calloc: see bytes_alloc */

	if (!x)
		return NULL;
	memset(x, 0, sizeof(*x));
	memcpy(x->target, target, len);
	x->conn = c;
	x->body.max = HTTP_BODY_MAX;
	x->began_ms = clock_mono_ms();
	atomic_init(&x->refs, 1);
	atomic_fetch_add(&c->refs, 1);
	return x;
}

static void
exchange_put(struct exchange *x)
{
	if (atomic_fetch_sub(&x->refs, 1) > 1)
		return;
	route_match_free(x->match);
	response_done(&x->resp);
	buf_done(&x->body);
	conn_put(x->conn);
	free(x);
}

/* ---- answers ---- */

static void
log_request(const struct exchange *x, unsigned status)
{
	if (log_enabled(LOG_LEVEL_DEBUG))
		log_write(LOG_LEVEL_DEBUG, "<-- %s %.*s --> %u, uid %u, %llu ms", x->method,
		    (int)strcspn(x->target, "?"), x->target, status, (unsigned)x->conn->peer.uid,
		    (unsigned long long)(clock_mono_ms() - x->began_ms));
}

static void
body_sent(void *exchange)
{
	struct exchange *x = exchange;

	response_done(&x->resp);
	exchange_put(x);
}

/* libmicrohttpd's form of x->resp; *ret_to is what the connection does while it is sent. */
static struct MHD_Response *
make_response(struct exchange *x)
{
	struct response *resp = &x->resp;
	struct MHD_Response *made;

	if (resp->stream.read) {
		struct http_stream source = resp->stream;
		struct stream *st;

		resp->stream = (struct http_stream){ 0 };
		st = stream_start(x->conn, &source, !x->old);
		if (st)
			return stream_response(st);
		route_message(resp, 500, "busy");
	}
	if (!resp->body)
		return MHD_create_response_from_buffer(
		    0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
	atomic_fetch_add(&x->refs, 1);
	made = MHD_create_response_from_buffer_with_free_callback_cls(
	    resp->body_len, resp->body, body_sent, x);
	if (!made)
		exchange_put(x);
	return made;
}

/* Send x->resp. */
static enum MHD_Result
send_response(struct MHD_Connection *mhd, struct exchange *x, bool close)
{
	struct http_server *s = x->conn->server;
	struct MHD_Response *made = make_response(x);
	enum MHD_Result result = MHD_NO;

	if (!made)
		return MHD_NO;
	if (conn_move(x->conn,
		IN(PHASE_READING) | IN(PHASE_RUNNING) | IN(PHASE_DONE) | IN(PHASE_LATE),
		PHASE_WRITING, clock_coarse_ms() + s->config.idle_ms) &&
	    (!x->resp.content_type ||
		MHD_add_response_header(made, "content-type", x->resp.content_type)) &&
	    (!(close || atomic_load(&s->stopping)) ||
		MHD_add_response_header(made, "connection", "close"))) {
		x->answered = true;
		result = MHD_queue_response(mhd, x->resp.status, made);
		atomic_fetch_add(&s->served, 1);
		log_request(x, x->resp.status);
	}
	MHD_destroy_response(made);
	return result;
}

static enum MHD_Result
refuse(struct MHD_Connection *mhd, struct exchange *x, unsigned status, const char *text)
{
	response_done(&x->resp);
	route_message(&x->resp, status, text);
	return send_response(mhd, x, true);
}

/* ---- in the pool ---- */

/* End PHASE_POOLED with an answer, unless timer or stop were first.  Takes what is in resp in any case. */
static void
publish(struct exchange *x, struct response *resp)
{
	struct conn *c = x->conn;
	unsigned long long word = x->word;

	/* under the lock, so that a stop that finds the phase ended finds the connection resumed, too */
	pthread_mutex_lock(&c->server->lock);
	if (atomic_compare_exchange_strong(&c->state, &word, NEVER << 4 | PHASE_DONE)) {
		x->resp = *resp;
		*resp = (struct response){ 0 };
		MHD_resume_connection(c->mhd);
	}
	pthread_mutex_unlock(&c->server->lock);
	response_done(resp);
}

static void
run_job(void *exchange)
{
	struct exchange *x = exchange;
	struct conn *c = x->conn;
	const struct http_server_config *config = &c->server->config;
	struct response resp = { 0 };

	if (atomic_load(&c->state) == x->word) {
		(void)route_handle(config->table, config->service, x->match, &resp);
		publish(x, &resp);
	}
	exchange_put(x);
}

void
server_mhd_resume(struct conn *c)
{
	MHD_resume_connection(c->mhd);
}

/* Suspend, then hand over: from then on whoever ends the phase resumes, be it the job, the timer or the stop. */
static enum MHD_Result
to_pool(struct MHD_Connection *mhd, struct exchange *x)
{
	struct conn *c = x->conn;
	struct http_server *s = c->server;
	struct pool *pool = pool_wanted();
	unsigned limit_ms = route_of(x->match)->deadline_ms;
	uint64_t deadline = clock_mono_ms() + (limit_ms ? limit_ms : SERVER_JOB_MS);
	struct response resp = { 0 };
	struct err err = { 0 };

	MHD_suspend_connection(mhd);
	x->word = deadline << 4 | PHASE_POOLED;
	if (!conn_move(c, IN(PHASE_RUNNING), PHASE_POOLED, deadline)) {
		MHD_resume_connection(mhd);
		return MHD_YES;
	}
	atomic_fetch_add(&x->refs, 1);
	if (pool_submit(pool ? pool : s->pool, c->peer.uid, run_job, x, &err)) {
		route_error(s->config.table, &err, &resp);
		publish(x, &resp);
		exchange_put(x);
	}
	return MHD_YES;
}

/* ---- a request as it comes ---- */

struct head {
	const char *length, *content_type;
	unsigned n_headers, n_chunked;
	bool expects, doubtful, malformed;
};

/* Letters of a name (RFC 9110, 5.6.2); libmicrohttpd lets any through, even none, and "Content-Length " is no length to it. */
static bool
is_token(const char *name)
{
	static const bool letters[256] = { ['0' ... '9'] = true,
		['A' ... 'Z'] = true,
		['a' ... 'z'] = true,
		['!'] = true,
		['#'] = true,
		['$'] = true,
		['%'] = true,
		['&'] = true,
		['\''] = true,
		['*'] = true,
		['+'] = true,
		['-'] = true,
		['.'] = true,
		['^'] = true,
		['_'] = true,
		['`'] = true,
		['|'] = true,
		['~'] = true };

	if (!*name)
		return false;
	for (; *name; name++)
		if (!letters[(unsigned char)*name])
			return false;
	return true;
}

/* No blank and no control in a target: what stands behind one is not what was asked for. */
static bool
is_plain(const char *target)
{
	for (; *target; target++)
		if ((unsigned char)*target <= 0x20 || *target == 0x7f)
			return false;
	return true;
}

static void
look_at_content(struct head *h, const char *name, const char *value)
{
	if (strcasecmp(name, "content-length") == 0) {
		h->doubtful |= h->length && strcmp(h->length, value) != 0;
		h->length = value;
	} else if (strcasecmp(name, "content-type") == 0 && !h->content_type) {
		h->content_type = value;
	}
}

static enum MHD_Result
look_at_header(void *head, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct head *h = head;

	(void)kind;
	h->n_headers++;
	h->malformed |= !is_token(name);
	value = value ? value : "";
	switch (name[0] | 0x20) {
	case 'c':
		look_at_content(h, name, value);
		break;
	case 't':
		if (strcasecmp(name, "transfer-encoding") == 0) {
			h->doubtful |= strcasecmp(value, "chunked") != 0 || h->n_chunked > 0;
			h->n_chunked++;
		}
		break;
	case 'e':
		h->expects |= strcasecmp(name, "expect") == 0;
		break;
	}
	return MHD_YES;
}

/* The head is complete: what is wrong with it is answered before any of the body is read. */
static enum MHD_Result
begin(struct MHD_Connection *mhd, struct exchange *x)
{
	struct conn *c = x->conn;
	struct head h = { 0 };
	unsigned long long length;

	x->begun = true;
	if (!conn_move(
		c, IN(PHASE_HEAD), PHASE_READING, clock_coarse_ms() + c->server->config.body_ms))
		return MHD_NO;
	MHD_get_connection_values(mhd, MHD_HEADER_KIND, look_at_header, &h);
	if (h.n_headers > HEADERS_MAX)
		return refuse(mhd, x, 431, "too many headers");
	if (h.malformed || !is_plain(x->target))
		return refuse(mhd, x, 400, "malformed request head");
	/* lengths that disagree are how one request is passed off as two (RFC 9112, 6.3) */
	if (h.doubtful || (h.length && h.n_chunked))
		return refuse(mhd, x, 400, "request with a doubtful length");
	x->content_type = h.content_type;
	length = h.length ? strtoull(h.length, NULL, 10) : 0;
	x->over = length > HTTP_BODY_MAX;
	if (x->over && (h.expects || length > DRAIN_MAX))
		return refuse(mhd, x, 413, too_large);
	return MHD_YES;
}

static enum MHD_Result
take_body(struct exchange *x, const char *data, size_t len)
{
	struct conn *c = x->conn;

	x->received += len;
	if (x->received > HTTP_BODY_MAX && !x->over) {
		x->over = true;
		buf_done(&x->body);
	}
	if (!x->over)
		buf_add(&x->body, data, len);
	mem_wipe((void *)(uintptr_t)data, len);
	if (x->received <= DRAIN_MAX)
		return MHD_YES;
	/* libmicrohttpd can say nothing before the end of a body that has none */
	if (conn_move(c, IN(PHASE_READING), PHASE_CUT, NEVER))
		server_answer_raw(c->fd, "413 Content Too Large", too_large);
	return MHD_NO;
}

static enum MHD_Result
run(struct MHD_Connection *mhd, struct exchange *x)
{
	struct conn *c = x->conn;
	const struct http_server_config *config = &c->server->config;
	struct route_input in = { .peer = &c->peer,
		.method = x->method,
		.target = x->target,
		.content_type = x->content_type,
		.tag = c->listener->tag };

	if (!conn_move(c, IN(PHASE_READING), PHASE_RUNNING, NEVER))
		return MHD_NO;
	if (x->over)
		return refuse(mhd, x, 413, too_large);
	if (x->body.failed)
		return MHD_NO;
	in.body = (struct text){ (const char *)x->body.data, x->body.len };
	x->match = route_resolve(config->table, &in, &x->resp);
	buf_done(&x->body);
	if (x->match && (route_of(x->match)->where == WORKER ||
			    !route_handle(config->table, config->service, x->match, &x->resp)))
		return to_pool(mhd, x);
	return send_response(mhd, x, false);
}

static enum MHD_Result
on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *data, size_t *len, void **exchange)
{
	struct exchange *x = *exchange;

	(void)cls, (void)url;
	if (!x)
		return MHD_NO;
	x->method = method;
	x->old = strcmp(version, "HTTP/1.0") == 0;
	if (!x->begun)
		return begin(mhd, x);
	if (*len) {
		size_t n = *len;

		*len = 0;
		return take_body(x, data, n);
	}
	switch (conn_phase(x->conn)) {
	case PHASE_READING:
		return run(mhd, x);
	case PHASE_DONE:
		return send_response(mhd, x, false);
	case PHASE_LATE: {
		struct err err = { 0 };

		err_set(&err, ERR_TIMEOUT, "deadline has elapsed");
		route_error(x->conn->server->config.table, &err, &x->resp);
		return send_response(mhd, x, false);
	}
	default:
		return MHD_NO;
	}
}

/* The request line is there: the target as it was sent, which no other callback shows whole. */
static void *
on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
	struct http_server *s = cls;
	struct conn *c = conn_of(mhd);
	struct exchange *x;
	char *query;

	if (!c)
		return NULL;
	(void)conn_move(c, IN(PHASE_IDLE), PHASE_HEAD, clock_coarse_ms() + s->config.head_ms);
	x = exchange_new(c, target);
	/*
	 * It would take the query apart as well, which is route's task, and some 500 parameters use up its memory in a place where
	 * it can then neither answer nor close.  The target stands in its own buffer: the query is ended before it begins.
	 */
	query = strchr(target, '?');
	if (query)
		query[1] = '\0';
	return x;
}

static void
on_completed(
    void *cls, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode why)
{
	struct http_server *s = cls;
	struct exchange *x = *exchange;

	(void)mhd, (void)why;
	*exchange = NULL;
	if (!x)
		return;
	(void)conn_move(x->conn, ~(IN(PHASE_NEW) | IN(PHASE_POOLED) | IN(PHASE_CUT)), PHASE_IDLE,
	    clock_coarse_ms() + s->config.idle_ms);
	exchange_put(x);
}

/* ---- connections ---- */

/* A connection travels through libmicrohttpd as the client's address. */
static socklen_t
wrap_conn(struct sockaddr_un *address, struct conn *c)
{
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path, &c, sizeof(c));
	return sizeof(*address);
}

static struct conn *
unwrap_conn(struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct conn *c;

	memcpy(
	    &c, ((const struct sockaddr_un *)(const void *)info->client_addr)->sun_path, sizeof(c));
	return c;
}

static void
on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
	struct http_server *s = cls;
	struct conn *c;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		c = unwrap_conn(mhd);
		c->mhd = mhd;
		*socket_context = c;
		/* cut before its first word */
		if (!conn_move(c, IN(PHASE_NEW), PHASE_HEAD, clock_mono_ms() + s->config.head_ms))
			shutdown(c->fd, SHUT_RDWR);
		return;
	}
	c = *socket_context;
	pthread_mutex_lock(&s->lock);
	conn_leave(c);
	pthread_mutex_unlock(&s->lock);
	conn_put(c);
}

bool
server_mhd_add(struct http_server *s, struct conn *c, int fd)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = wrap_conn(&address, c);

	return MHD_add_connection(s->mhd, fd, (const struct sockaddr *)&address, len) == MHD_YES;
}

/* Paths and queries are decoded by route, after matching: left as they are. */
static size_t
keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void)cls, (void)mhd;
	return strlen(text);
}

/* It complains, several times a request, that a Unix socket has no TCP options. */
static void
drop_log(void *cls, const char *fmt, va_list ap)
{
	(void)cls, (void)fmt, (void)ap;
}

enum err_code
server_mhd_start(struct http_server *s, struct err *err)
{
	struct MHD_OptionItem pool[] = {
		{ MHD_OPTION_THREAD_POOL_SIZE, s->config.threads, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	if (s->config.threads < 2)
		pool[0] = pool[1];
	s->mhd = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
				      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME,
	    0, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, s, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
	    MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    HEAD_BYTES, MHD_OPTION_CONNECTION_LIMIT, s->config.threads * SERVER_CONNS_MAX,
	    MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
	if (!s->mhd)
		return err_set(err, ERR_INTERNAL, "could not start libmicrohttpd");
	return ERR_OK;
}

void
server_mhd_stop(struct http_server *s)
{
	if (s->mhd)
		MHD_stop_daemon(s->mhd);
	s->mhd = NULL;
}
