#include "tests/peer/cloudsim/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define BODY_MAX	((size_t)1 << 20)
#define CONNECTIONS_MAX 256
#define IDLE_S		60
#define HANG_MAX_MS	(10 * 60 * 1000)
#define HANG_LOOK_MS	100
#define OVERSIZE	((size_t)2 << 20)

struct http {
	struct sim *sim;
	struct MHD_Daemon *mhd;
};

/* One request being received. */
struct incoming {
	struct buf body;
	bool begun;
};

/* An answer that is written piece by piece: chunked as DPS does it, or cut short as a fault wants it. */
struct outgoing {
	char *text;
	size_t len;
	bool cut;
};

static void
on_log(void *ctx, const char *fmt, va_list ap)
{
	/* a client that gives up is nothing to report */
	(void)ctx, (void)fmt, (void)ap;
}

/* The path stays as it was sent: the request is judged by it. */
static size_t
on_unescape(void *ctx, struct MHD_Connection *c, char *text)
{
	(void)ctx, (void)c;
	return strlen(text);
}

static ssize_t
on_write(void *ctx, uint64_t at, char *out, size_t max)
{
	const struct outgoing *o = ctx;
	size_t end = o->cut ? o->len / 2 : o->len;
	size_t n;

	if (at >= end)
		return o->cut ? MHD_CONTENT_READER_END_WITH_ERROR
			      : MHD_CONTENT_READER_END_OF_STREAM;
	n = end - (size_t)at < max ? end - (size_t)at : max;
	memcpy(out, o->text + at, n);
	return (ssize_t)n;
}

static void
on_written(void *ctx)
{
	struct outgoing *o = ctx;

	free(o->text);
	free(o);
}

static char *
oversized(size_t *ret_len)
{
	char *text = malloc(OVERSIZE + 3);

	if (!text)
		abort();
	memset(text, ' ', OVERSIZE);
	text[0] = '{';
	memcpy(text + OVERSIZE, "}\n", 3);
	*ret_len = OVERSIZE + 2;
	return text;
}

static struct MHD_Response *
make_response(const struct exchange *x, enum deed deed)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	bool chunked = x->dps;

	if (!o)
		abort();
	if (deed == DEED_OVERSIZED) {
		o->text = oversized(&o->len);
	} else {
		o->text = deed == DEED_NOT_JSON ? strdup("<html>Service Unavailable</html>")
			  : x->json		? json_dumps(x->json, 0)
						: strdup("");
		o->len = o->text ? strlen(o->text) : 0;
	}
	o->cut = deed == DEED_TRUNCATE;
	return MHD_create_response_from_callback(
	    chunked && o->len ? MHD_SIZE_UNKNOWN : o->len, 4096, on_write, o, on_written);
}

static void
add_headers(struct MHD_Response *r, const struct exchange *x)
{
	char seconds[16];

	MHD_add_response_header(r, "x-ms-request-id", "00000000-0000-0000-0000-000000000000");
	if (x->json)
		MHD_add_response_header(r, "Content-Type", "application/json; charset=utf-8");
	if (x->retry_after) {
		snprintf(seconds, sizeof(seconds), "%d", x->retry_after);
		MHD_add_response_header(r, "Retry-After", seconds);
	}
	if (x->error_header)
		MHD_add_response_header(
		    r, x->dps ? "x-ms-error-code" : "iothub-errorcode", x->error_header);
}

/* Say nothing until the client has gone, or the simulator ends. */
static void
hang(struct sim *s, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct pollfd gone = { info ? info->connect_fd : -1, POLLRDHUP, 0 };
	bool stopping = false;

	for (int ms = 0; ms < HANG_MAX_MS && !stopping; ms += HANG_LOOK_MS) {
		if (poll(&gone, 1, HANG_LOOK_MS) > 0)
			return;
		pthread_mutex_lock(&s->lock);
		stopping = s->stopping;
		pthread_mutex_unlock(&s->lock);
	}
}

static bool
from_loopback(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *from = info ? info->client_addr : NULL;

	if (from && from->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)from)->sin_addr.s_addr) >>
			   24 ==
		       IN_LOOPBACKNET;
	return from && from->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)from)->sin6_addr);
}

static enum MHD_Result
respond(struct http *h, struct MHD_Connection *c, const char *method, const char *path,
    const struct incoming *in)
{
	AUTO(str_freep) char *version = NULL;
	const char *raw_version =
	    MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "api-version");
	struct exchange x = {
		.method = method,
		.path = path,
		.authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "authorization"),
		.content_type = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "content-type"),
		.if_match = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "if-match"),
		.body = { in->body.data ? (const char *)in->body.data : "", in->body.len },
		.loopback = from_loopback(c),
	};
	enum MHD_Result result = MHD_NO;
	struct MHD_Response *r;
	enum deed deed;

	if (raw_version)
		x.api_version = version = verify_decode(raw_version, strlen(raw_version), true);
	deed = sim_serve(h->sim, &x);
	if (deed == DEED_HANG)
		hang(h->sim, c);
	if (deed != DEED_HANG && deed != DEED_DROP) {
		r = make_response(&x, deed);
		add_headers(r, &x);
		result = MHD_queue_response(c, x.status, r);
		MHD_destroy_response(r);
	}
	exchange_done(&x);
	return result;
}

static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
    const char *version, const char *data, size_t *data_size, void **con_cls)
{
	struct incoming *in = *con_cls;

	(void)version;
	if (!in) {
		in = calloc(1, sizeof(*in));
		if (!in)
			return MHD_NO;
		in->body.max = BODY_MAX;
		*con_cls = in;
		return MHD_YES;
	}
	if (*data_size) {
		buf_add(&in->body, data, *data_size);
		*data_size = 0;
		return in->body.failed ? MHD_NO : MHD_YES;
	}
	return respond(ctx, c, method, path, in);
}

static void
on_completed(
    void *ctx, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct incoming *in = *con_cls;

	(void)ctx, (void)c, (void)why;
	if (in) {
		buf_done(&in->body);
		free(in);
	}
	*con_cls = NULL;
}

/* "127.0.0.1:8443" or "[::1]:8443" */
static enum err_code
parse_address(const char *in, struct sockaddr_storage *ret, struct err *err)
{
	const char *colon = strrchr(in, ':');
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;
	size_t len = colon ? (size_t)(colon - in) : 0;
	char host[64], *end;
	unsigned long port;

	if (!colon || len >= sizeof(host) || colon[1] < '0' || colon[1] > '9' ||
	    (port = strtoul(colon + 1, &end, 10)) > 65535 || *end)
		return err_set(err, ERR_INVALID, "%s is not ADDRESS:PORT", in);
	snprintf(host, sizeof(host), "%.*s", (int)len, in);
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return ERR_OK;
	}
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1) {
			v6->sin6_family = AF_INET6;
			v6->sin6_port = htons((uint16_t)port);
			return ERR_OK;
		}
	}
	return err_set(err, ERR_INVALID, "%s does not begin with a numeric address", in);
}

enum err_code
http_start(struct sim *s, const char *address, const char *chain, const char *key,
    struct http **ret, unsigned *ret_port, struct err *err)
{
	struct sockaddr_storage at;
	const union MHD_DaemonInfo *info;
	struct http *h;

	if (parse_address(address, &at, err))
		return err->code;
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_nomem(err);
	h->sim = s;
	h->mhd = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
				      MHD_USE_POLL | MHD_USE_TLS | MHD_USE_ERROR_LOG |
				      (at.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0),
	    0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
	    MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_HTTPS_MEM_CERT, chain, MHD_OPTION_HTTPS_MEM_KEY,
	    key, MHD_OPTION_HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
	    MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U,
	    MHD_OPTION_END);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_BIND_PORT) : NULL;
	if (!info) {
		http_stop(h);
		return err_errno(err, "could not listen on %s", address);
	}
	*ret_port = info->port;
	*ret = h;
	return ERR_OK;
}

void
http_stop(struct http *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->sim->lock);
	h->sim->stopping = true;
	pthread_mutex_unlock(&h->sim->lock);
	if (h->mhd)
		MHD_stop_daemon(h->mhd);
	free(h);
}
