#include "http/unix_client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/kept.h"

#define HEAD_MAX     ((size_t)64 * 1024)
#define HEADERS_MAX  100
#define INTERIM_MAX  8	  /* 1xx answers before the real one */
#define LINE_BYTES   1024 /* bytes of a chunk's size line or of a trailer line */
#define TRAILERS_MAX 32
#define PIECE	     ((size_t)16 * 1024)
#define TIMEOUT_MS   30000
#define ANSWER_MAX   ((size_t)16 * 1024 * 1024)
#define TRIES	     3
#define GUEST_LEAST  10 /* ms: a guest's first pause at most; each further one up to twice as long */
#define GUEST_GROWTH 5	/* times */
#define FOR_EVER     UINT64_MAX

struct unix_client {
	struct sockaddr_un address;
	char *host;
	unsigned timeout_ms;
	size_t answer_max;
	bool guest;
	enum err_code (*dial)(void *ctx, int *ret_fd, struct err *err);
	void *dial_ctx;
	struct kept kept;
};

enum framing { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_EOF };

/* One connection while an answer is read from it. */
struct wire {
	int fd;
	bool reused;	   /* it has served a call before */
	bool sent, heard;  /* a byte of the request went, a byte of the answer came */
	uint64_t deadline; /* monotonic ms; FOR_EVER */
	char *in;	   /* HEAD_MAX bytes: what was read and not yet taken is in[start..end) */
	size_t start, end, touched;

	bool keep; /* the connection may serve another call */
	enum framing framing;
	uint64_t left;	 /* of the body, or of the present chunk */
	bool in_chunk;	 /* CHUNKED: left and the CRLF behind it are of a chunk that was begun */
	bool body_ended; /* nothing more to read, trailers included */
};

/* ---- a client ---- */

enum err_code
unix_client_new(const struct unix_client_config *config, struct unix_client **ret, struct err *err)
{
	const char *path = config->path ? config->path : "";
	struct unix_client *c;

	if (strlen(path) >= sizeof(c->address.sun_path))
		return err_set(err, ERR_INVALID, "socket path %s is too long", path);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_nomem(err);
	if (str_copy(&c->host, config->host ? config->host : "localhost", err)) {
		free(c);
		return err->code;
	}
	c->address.sun_family = AF_UNIX;
	memcpy(c->address.sun_path, path, strlen(path) + 1);
	c->timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_MS;
	c->answer_max = config->answer_max ? config->answer_max : ANSWER_MAX;
	c->guest = config->guest;
	c->dial = config->dial;
	c->dial_ctx = config->dial_ctx;
	*ret = c;
	return ERR_OK;
}

void
unix_client_free(struct unix_client *c)
{
	if (!c)
		return;
	kept_done(&c->kept);
	free(c->host);
	free(c);
}

/* ---- a connection ---- */

static void
wire_done(struct wire *w)
{
	fd_closep(&w->fd);
	mem_wipe(w->in, w->touched);
	free(w->in);
	w->in = NULL;
}

/* Give it back when a further call may use it. */
static void
wire_finish(struct unix_client *c, struct wire *w)
{
	if (w->keep && !c->guest && w->body_ended && w->start == w->end)
		kept_put(&c->kept, fd_take(&w->fd));
	wire_done(w);
}

static enum err_code
broken(const struct unix_client *c, struct err *err)
{
	if (errno == 0)
		return err_set(
		    err, ERR_UNREACHABLE, "%s closed the connection", c->address.sun_path);
	err_errno(err, "connection to %s", c->address.sun_path);
	err->code = ERR_UNREACHABLE;
	return err->code;
}

/* Until the descriptor is ready for events, or ERR_TIMEOUT. */
static enum err_code
wait_ready(const struct wire *w, short events, struct err *err)
{
	struct pollfd pfd = { .fd = w->fd, .events = events };
	int n;

	do {
		int left = w->deadline == FOR_EVER ? -1 : clock_left_ms(w->deadline);

		n = poll(&pfd, 1, left);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, "poll");
	return n ? ERR_OK : err_set(err, ERR_TIMEOUT, "no answer in time");
}

static enum err_code
connect_path(struct unix_client *c, uint64_t deadline, int *ret_fd, struct err *err)
{
	AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int failed;

	if (fd < 0)
		return err_errno(err, "socket");
	do {
		int left = clock_left_ms(deadline);
		const struct timeval limit = { left / 1000, (left % 1000) * 1000 };

		if (left == 0)
			return err_set(err, ERR_TIMEOUT, "no connection in time");
		/* a full backlog makes connect() wait, for at most this long; signals are the host's, where we are a guest */
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		failed = connect(fd, (const struct sockaddr *)&c->address, sizeof(c->address));
	} while (failed && errno == EINTR);
	if (failed && errno == EAGAIN)
		return err_set(err, ERR_TIMEOUT, "no connection in time");
	if (failed) {
		err_errno(err, "connect to %s", c->address.sun_path);
		return err->code = ERR_UNREACHABLE;
	}
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

static enum err_code
dial(struct unix_client *c, uint64_t deadline, int *ret_fd, struct err *err)
{
	AUTO(fd_closep) int fd = -1;
	int flags;

	if (c->dial ? c->dial(c->dial_ctx, &fd, err) : connect_path(c, deadline, &fd, err))
		return err->code;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_errno(err, "fcntl");
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

/* Has the peer closed a kept connection, or sent what nobody asked for? */
static bool
is_stale(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
	       (errno != EAGAIN && errno != EWOULDBLOCK);
}

/*
 * A connection for one attempt.  What may be sent twice takes any kept one and is sent again where that broke; what may not
 * looks first.
 */
static enum err_code
wire_open(struct unix_client *c, const struct http_call *call, bool fresh, uint64_t deadline,
    struct wire *ret, struct err *err)
{
	int fd = fresh ? -1 : kept_take(&c->kept);

	while (fd >= 0 && !call->idempotent && is_stale(fd)) {
		close(fd);
		fd = kept_take(&c->kept);
	}
	*ret = (struct wire){ .fd = fd, .reused = fd >= 0, .deadline = deadline };
	if (fd < 0 && dial(c, deadline, &ret->fd, err))
		return err->code;
	ret->in = malloc(HEAD_MAX);
	if (!ret->in) {
		fd_closep(&ret->fd);
		return err_nomem(err);
	}
	return ERR_OK;
}

/* ---- sending ---- */

static bool
has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return true;
	return false;
}

static void
write_head(const struct unix_client *c, const struct http_call *call, struct buf *head)
{
	bool body = call->body.data != NULL;

	buf_printf(head, "%s %s HTTP/1.1\r\nhost: %s\r\n", call->method, call->target, c->host);
	if (body)
		buf_printf(head, "content-type: %s\r\n",
		    call->content_type ? call->content_type : "application/json");
	if (body || strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0)
		buf_printf(head, "content-length: %zu\r\n", body ? call->body.len : (size_t)0);
	if (call->headers)
		buf_puts(head, call->headers);
	buf_puts(head, "\r\n");
}

/*
 * Send head and body.  A peer that stops reading may have answered already (413), so a broken pipe is no error here:
 * what can be read decides.
 */
static enum err_code
send_request(
    const struct unix_client *c, struct wire *w, const struct http_call *call, struct err *err)
{
	AUTO(buf_done) struct buf head = { 0 };
	struct iovec part[2];
	struct msghdr msg = { .msg_iov = part, .msg_iovlen = 2 };

	write_head(c, call, &head);
	if (head.failed)
		return err_nomem(err);
	part[0] = (struct iovec){ head.data, head.len };
	part[1] = (struct iovec){ (void *)(uintptr_t)call->body.data, call->body.len };
	while (part[0].iov_len || part[1].iov_len) {
		ssize_t n = sendmsg(w->fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return ERR_OK;
		if (n < 0 && errno == EAGAIN) {
			if (wait_ready(w, POLLOUT, err))
				return err->code;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return broken(c, err);
		for (size_t i = 0; i < 2; i++) {
			size_t took = (size_t)n < part[i].iov_len ? (size_t)n : part[i].iov_len;

			if (took == 0)
				continue;
			part[i].iov_base = (char *)part[i].iov_base + took;
			part[i].iov_len -= took;
			n -= (ssize_t)took;
			w->sent = true;
		}
	}
	return ERR_OK;
}

/* ---- reading ---- */

/* At least one byte, or *ret_n 0 at the end of the connection. */
static enum err_code
receive(const struct unix_client *c, struct wire *w, char *out, size_t max, size_t *ret_n,
    struct err *err)
{
	ssize_t n;

	do {
		if (wait_ready(w, POLLIN, err))
			return err->code;
		n = recv(w->fd, out, max, 0);
	} while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n < 0)
		return broken(c, err);
	w->heard |= n > 0;
	*ret_n = (size_t)n;
	return ERR_OK;
}

/* More bytes into w->in. */
static enum err_code
fill(const struct unix_client *c, struct wire *w, struct err *err)
{
	size_t n;

	if (w->start && w->end == HEAD_MAX) {
		memmove(w->in, w->in + w->start, w->end - w->start);
		w->end -= w->start;
		w->start = 0;
	}
	if (w->end == HEAD_MAX)
		return err_set(err, ERR_PROTOCOL, "answer with too long a head");
	if (receive(c, w, w->in + w->end, HEAD_MAX - w->end, &n, err))
		return err->code;
	if (n == 0) {
		errno = 0;
		return broken(c, err);
	}
	w->end += n;
	if (w->end > w->touched)
		w->touched = w->end;
	return ERR_OK;
}

/* Take a line ended by CRLF, without it.  Valid until the next read. */
static enum err_code
read_line(
    const struct unix_client *c, struct wire *w, size_t max, struct text *ret, struct err *err)
{
	size_t seen = 0;

	for (;;) {
		char *line = w->in + w->start, *lf;
		size_t have = w->end - w->start;

		lf = memchr(line + seen, '\n', have - seen);
		if (lf && lf > line && lf[-1] == '\r' && (size_t)(lf - line) <= max) {
			*ret = (struct text){ line, (size_t)(lf - line) - 1 };
			w->start += (size_t)(lf - line) + 1;
			return ERR_OK;
		}
		if (lf || have > max)
			return err_set(err, ERR_PROTOCOL, "answer with a malformed line");
		seen = have;
		if (fill(c, w, err))
			return err->code;
	}
}

/* ---- the head ---- */

struct head {
	unsigned status;
	bool old; /* HTTP/1.0 */
	bool has_length, chunked, close;
	uint64_t length;
	struct http_reply *reply;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
parse_status(struct text line, struct head *h)
{
	const char *p = line.data;

	if (line.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1') ||
	    p[8] != ' ' || !is_digit(p[9]) || !is_digit(p[10]) || !is_digit(p[11]) ||
	    (line.len > 12 && p[12] != ' '))
		return false;
	h->old = p[7] == '0';
	h->status =
	    (unsigned)(p[9] - '0') * 100 + (unsigned)(p[10] - '0') * 10 + (unsigned)(p[11] - '0');
	return h->status >= 100 && h->status <= 599;
}

static bool
equal_caseless(struct text a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

static void
copy_text(char *out, size_t size, struct text in, bool lower)
{
	size_t n = in.len < size - 1 ? in.len : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = lower ? (char)tolower((unsigned char)in.data[i]) : in.data[i];
	out[n] = '\0';
}

static struct text
trim(struct text t)
{
	while (t.len && (*t.data == ' ' || *t.data == '\t'))
		t = (struct text){ t.data + 1, t.len - 1 };
	while (t.len && (t.data[t.len - 1] == ' ' || t.data[t.len - 1] == '\t'))
		t.len--;
	return t;
}

/* The part of t before the first stop, which is taken off. */
static struct text
cut(struct text *t, char stop)
{
	const char *at = t->len ? memchr(t->data, stop, t->len) : NULL;
	struct text first = { t->data, at ? (size_t)(at - t->data) : t->len };
	size_t used = first.len + (at != NULL);

	*t = (struct text){ t->data + used, t->len - used };
	return trim(first);
}

/* Lengths that disagree, or a length beside chunks, are how one answer is passed off as two: refused (RFC 9112, 6.3). */
static bool
take_length(struct head *h, struct text value)
{
	uint64_t length = 0;

	if (value.len == 0 || value.len > 18)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (!is_digit(value.data[i]))
			return false;
		length = length * 10 + (uint64_t)(value.data[i] - '0');
	}
	if (h->has_length && h->length != length)
		return false;
	h->has_length = true;
	h->length = length;
	return true;
}

static bool
take_header(struct head *h, struct text name, struct text value)
{
	if (equal_caseless(name, "content-length"))
		return take_length(h, value);
	if (equal_caseless(name, "transfer-encoding")) {
		bool again = h->chunked;

		h->chunked = true;
		return !again && equal_caseless(value, "chunked");
	}
	if (equal_caseless(name, "connection"))
		while (value.len)
			h->close |= equal_caseless(cut(&value, ','), "close");
	if (equal_caseless(name, "content-type"))
		copy_text(
		    h->reply->content_type, sizeof(h->reply->content_type), cut(&value, ';'), true);
	if (equal_caseless(name, "api-version"))
		copy_text(h->reply->api_version, sizeof(h->reply->api_version), value, false);
	return true;
}

static bool
parse_header(struct head *h, struct text line)
{
	static const char token[] = "!#$%&'*+-.^_`|~";
	struct text name = { line.data, 0 };

	while (
	    name.len < line.len && (isalnum((unsigned char)line.data[name.len]) ||
				       (line.data[name.len] && strchr(token, line.data[name.len]))))
		name.len++;
	if (name.len == 0 || name.len == line.len || line.data[name.len] != ':')
		return false;
	for (size_t i = name.len; i < line.len; i++)
		if (((unsigned char)line.data[i] < 0x20 && line.data[i] != '\t') ||
		    line.data[i] == 0x7f)
			return false;
	return take_header(
	    h, name, trim((struct text){ line.data + name.len + 1, line.len - name.len - 1 }));
}

/* One head, which may be an interim one. */
static enum err_code
read_one_head(const struct unix_client *c, struct wire *w, struct head *h, struct err *err)
{
	struct text line;
	size_t bytes;

	if (read_line(c, w, HEAD_MAX, &line, err))
		return err->code;
	if (!parse_status(line, h))
		return err_set(err, ERR_PROTOCOL, "answer with a malformed status line");
	bytes = line.len;
	for (unsigned n = 0; n <= HEADERS_MAX; n++) {
		if (read_line(c, w, HEAD_MAX, &line, err))
			return err->code;
		if (line.len == 0)
			return ERR_OK;
		bytes += line.len;
		if (bytes > HEAD_MAX)
			break;
		if (!parse_header(h, line))
			return err_set(err, ERR_PROTOCOL, "answer with a malformed header");
	}
	return err_set(err, ERR_PROTOCOL, "answer with too long a head");
}

static enum err_code
set_framing(struct wire *w, const struct http_call *call, const struct head *h, struct err *err)
{
	bool no_body = h->status == 204 || h->status == 304 || strcmp(call->method, "HEAD") == 0;

	if (h->chunked && (h->has_length || h->old))
		return err_set(err, ERR_PROTOCOL, "answer with a doubtful length");
	if (no_body)
		w->framing = BODY_NONE;
	else if (h->chunked)
		w->framing = BODY_CHUNKED;
	else
		w->framing = h->has_length ? BODY_LENGTH : BODY_TO_EOF;
	w->left = w->framing == BODY_LENGTH ? h->length : 0;
	w->body_ended = no_body || (w->framing == BODY_LENGTH && w->left == 0);
	w->keep = !h->close && !h->old && w->framing != BODY_TO_EOF;
	return ERR_OK;
}

static enum err_code
read_head(const struct unix_client *c, struct wire *w, const struct http_call *call,
    struct http_reply *reply, struct err *err)
{
	for (unsigned n = 0; n <= INTERIM_MAX; n++) {
		struct head h = { .reply = reply };

		*reply = (struct http_reply){ 0 };
		if (read_one_head(c, w, &h, err))
			return err->code;
		if (h.status == 101)
			break;
		if (h.status < 200)
			continue;
		reply->status = h.status;
		return set_framing(w, call, &h, err);
	}
	return err_set(err, ERR_PROTOCOL, "answer with status 1xx only");
}

/* ---- the body ---- */

/* Size of the next chunk: hex digits and nothing else. */
static enum err_code
read_chunk_size(const struct unix_client *c, struct wire *w, struct err *err)
{
	struct text line;

	if (read_line(c, w, LINE_BYTES, &line, err))
		return err->code;
	w->left = 0;
	for (size_t i = 0; i < line.len; i++) {
		char ch = line.data[i];

		if (!isxdigit((unsigned char)ch) || w->left >> 56)
			return err_set(err, ERR_PROTOCOL, "answer with a malformed chunk");
		w->left =
		    w->left << 4 |
		    (uint64_t)(is_digit(ch) ? ch - '0' : tolower((unsigned char)ch) - 'a' + 10);
	}
	return line.len ? ERR_OK : err_set(err, ERR_PROTOCOL, "answer with a malformed chunk");
}

static enum err_code
skip_trailers(const struct unix_client *c, struct wire *w, struct err *err)
{
	struct text line;

	for (unsigned n = 0; n <= TRAILERS_MAX; n++) {
		if (read_line(c, w, LINE_BYTES, &line, err))
			return err->code;
		if (line.len == 0) {
			w->body_ended = true;
			return ERR_OK;
		}
	}
	return err_set(err, ERR_PROTOCOL, "answer with too many trailers");
}

static enum err_code
next_chunk(const struct unix_client *c, struct wire *w, struct err *err)
{
	struct text line;

	if (w->in_chunk) {
		if (read_line(c, w, LINE_BYTES, &line, err))
			return err->code;
		if (line.len)
			return err_set(err, ERR_PROTOCOL, "answer with a malformed chunk");
	}
	w->in_chunk = true;
	if (read_chunk_size(c, w, err))
		return err->code;
	return w->left ? ERR_OK : skip_trailers(c, w, err);
}

/* Some bytes of the connection, at most max: what is in hand, else what comes. */
static enum err_code
take(const struct unix_client *c, struct wire *w, char *out, size_t max, size_t *ret_n,
    struct err *err)
{
	size_t have = w->end - w->start;

	if (have == 0)
		return receive(c, w, out, max, ret_n, err);
	*ret_n = have < max ? have : max;
	memcpy(out, w->in + w->start, *ret_n);
	w->start += *ret_n;
	return ERR_OK;
}

/* Up to max (not 0) bytes of the body; *ret_n is 0 at its end. */
static enum err_code
read_body(const struct unix_client *c, struct wire *w, char *out, size_t max, size_t *ret_n,
    struct err *err)
{
	if (w->framing == BODY_CHUNKED && w->left == 0 && !w->body_ended && next_chunk(c, w, err))
		return err->code;
	*ret_n = 0;
	if (w->body_ended)
		return ERR_OK;
	if (w->framing != BODY_TO_EOF && w->left < max)
		max = (size_t)w->left;
	if (take(c, w, out, max, ret_n, err))
		return err->code;
	if (w->framing == BODY_TO_EOF) {
		w->body_ended = *ret_n == 0;
		return ERR_OK;
	}
	if (*ret_n == 0) {
		errno = 0;
		return broken(c, err);
	}
	w->left -= *ret_n;
	w->body_ended = w->framing == BODY_LENGTH && w->left == 0;
	return ERR_OK;
}

static enum err_code
read_whole(const struct unix_client *c, struct wire *w, struct bytes *ret, struct err *err)
{
	AUTO(buf_done) struct buf body = { .max = c->answer_max + PIECE };
	size_t n;

	do {
		size_t want = PIECE;
		uint8_t *to;

		if (w->framing == BODY_LENGTH && w->left < want)
			want = w->left ? (size_t)w->left : 1;
		to = buf_reserve(&body, want);
		if (!to)
			return err_nomem(err);
		if (read_body(c, w, (char *)to, want, &n, err))
			return err->code;
		buf_commit(&body, n);
		if (body.len > c->answer_max ||
		    (w->framing == BODY_LENGTH && w->left > c->answer_max - body.len))
			return err_set(
			    err, ERR_PROTOCOL, "answer of more than %zu bytes", c->answer_max);
	} while (n && !w->body_ended);
	return buf_take(&body, ret, err);
}

/* ---- calls ---- */

/*
 * A guest's pauses are short at first and no two alike, as others of its user wait for the same place; then longer, as the peer
 * logs each who finds none.
 */
static uint64_t
pause_ms(const struct unix_client *c, unsigned tries)
{
	uint64_t longest = GUEST_LEAST << (tries <= GUEST_GROWTH ? tries - 1 : GUEST_GROWTH);
	struct timespec now;

	if (!c->guest)
		return (uint64_t)tries * tries * 50;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return 1 + (uint64_t)now.tv_nsec / 1000 % longest;
}

/* Wait before another try; false when there is none. */
static bool
back_off(const struct unix_client *c, unsigned tries, uint64_t deadline)
{
	uint64_t ms = pause_ms(c, tries);
	const struct timespec pause = { 0, (long)ms * 1000 * 1000 };

	if (c->guest ? ms >= (uint64_t)clock_left_ms(deadline) : tries == TRIES)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

/* Send the request and read the answer's head, on whichever connection serves it.  *ret is open on success only. */
static enum err_code
begin(struct unix_client *c, const struct http_call *call, struct wire *ret,
    struct http_reply *reply, struct err *err)
{
	uint64_t deadline = clock_mono_ms() + (call->timeout_ms ? call->timeout_ms : c->timeout_ms);
	bool fresh = false;

	if (has_control(call->method) || has_control(call->target))
		return err_set(err, ERR_INVALID, "request target holds a space or control");
	for (unsigned tries = 1;; tries++) {
		struct wire w;

		if (wire_open(c, call, fresh, deadline, &w, err))
			return err->code;
		if (!send_request(c, &w, call, err) && !read_head(c, &w, call, reply, err)) {
			*ret = w;
			return ERR_OK;
		}
		wire_done(&w);
		if (err->code != ERR_UNREACHABLE || w.heard)
			return err->code;
		if (w.reused && w.sent && !call->idempotent)
			return err->code;
		fresh = true;
		if (w.reused)
			tries--;
		else if (!back_off(c, tries, deadline))
			return err_set(
			    err, ERR_BUSY, "%s takes no more connections", c->address.sun_path);
	}
}

enum err_code
unix_client_call(
    struct unix_client *c, const struct http_call *call, struct http_reply *ret, struct err *err)
{
	struct http_reply reply;
	struct wire w;

	if (begin(c, call, &w, &reply, err))
		return err->code;
	if (read_whole(c, &w, &reply.body, err)) {
		wire_done(&w);
		return err->code;
	}
	wire_finish(c, &w);
	*ret = reply;
	return ERR_OK;
}

static enum err_code
push_body(const struct unix_client *c, struct wire *w, unsigned idle_ms,
    bool (*on_data)(void *ctx, const char *data, size_t len), void *ctx, struct err *err)
{
	char piece[PIECE];
	size_t n;

	for (;;) {
		w->deadline = idle_ms ? clock_mono_ms() + idle_ms : FOR_EVER;
		if (read_body(c, w, piece, sizeof(piece), &n, err))
			return err->code;
		if (n == 0)
			return ERR_OK;
		if (!on_data(ctx, piece, n)) {
			w->keep = false;
			return ERR_OK;
		}
	}
}

enum err_code
unix_client_stream(struct unix_client *c, const struct http_call *call, unsigned idle_ms,
    bool (*on_data)(void *ctx, const char *data, size_t len), void *ctx, struct http_reply *ret,
    struct err *err)
{
	struct http_reply reply;
	struct wire w;

	if (begin(c, call, &w, &reply, err))
		return err->code;
	if (reply.status == 200 ? push_body(c, &w, idle_ms, on_data, ctx, err)
				: read_whole(c, &w, &reply.body, err)) {
		wire_done(&w);
		return err->code;
	}
	wire_finish(c, &w);
	*ret = reply;
	return ERR_OK;
}

struct unix_client_body {
	struct unix_client *client;
	struct wire wire;
	_Atomic bool cancelled;
};

enum err_code
unix_client_open(struct unix_client *c, const struct http_call *call, struct http_reply *ret,
    struct unix_client_body **ret_body, struct err *err)
{
	struct unix_client_body *body = calloc(1, sizeof(*body));
	struct http_reply reply;

	if (!body)
		return err_nomem(err);
	body->client = c;
	if (begin(c, call, &body->wire, &reply, err)) {
		free(body);
		return err->code;
	}
	if (reply.status != 200 && read_whole(c, &body->wire, &reply.body, err)) {
		unix_client_body_close(body);
		return err->code;
	}
	body->wire.deadline = FOR_EVER;
	if (reply.status != 200) {
		unix_client_body_close(body);
		body = NULL;
	}
	*ret = reply;
	*ret_body = body;
	return ERR_OK;
}

ssize_t
unix_client_body_read(struct unix_client_body *b, char *out, size_t max)
{
	struct err err;
	size_t n;

	if (max == 0)
		return 0;
	if (b->cancelled || read_body(b->client, &b->wire, out, max, &n, &err) || b->cancelled) {
		b->wire.keep = false;
		return -1;
	}
	return (ssize_t)n;
}

void
unix_client_body_cancel(struct unix_client_body *b)
{
	b->cancelled = true;
	shutdown(b->wire.fd, SHUT_RDWR);
}

void
unix_client_body_close(struct unix_client_body *b)
{
	if (!b)
		return;
	if (b->cancelled)
		b->wire.keep = false;
	wire_finish(b->client, &b->wire);
	free(b);
}

void
http_reply_done(struct http_reply *reply)
{
	bytes_done(&reply->body);
	*reply = (struct http_reply){ 0 };
}

/* ---- our own daemons ---- */

struct answer_message {
	char *message;
};

FIELDS_ARM(answer_message_fields, answer_message, STR(message, "message", OPTIONAL));

static enum err_code
peer_error(const struct http_reply *reply, struct err *err)
{
	struct answer_message answer = { 0 };
	struct err ignored = { 0 };

	if (!fields_read_text(
		answer_message_fields, &answer, text_of_bytes(&reply->body), &ignored) &&
	    answer.message && answer.message[0])
		err_set(err, ERR_PEER, "%s", answer.message);
	else
		err_set(err, ERR_PEER, "HTTP status %u", reply->status);
	fields_done(answer_message_fields, &answer);
	err->status = (uint16_t)reply->status;
	return err->code;
}

enum err_code
unix_client_json(struct unix_client *c, const char *method, const char *target, bool idempotent,
    unsigned timeout_ms, fields_fn *req_table, const void *req, unsigned want, fields_fn *ret_table,
    void *ret, struct err *err)
{
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(str_freep) char *body = NULL;
	struct http_call call = { .method = method,
		.target = target,
		.idempotent = idempotent,
		.timeout_ms = timeout_ms };

	if (req_table && fields_write_text(req_table, req, &body, err))
		return err->code;
	call.body = text_of(body);
	if (unix_client_call(c, &call, &reply, err))
		return err->code;
	if (reply.status != want)
		return peer_error(&reply, err);
	if (ret_table && fields_read_text(ret_table, ret, text_of_bytes(&reply.body), err))
		return err->code == ERR_NOMEM
			   ? ERR_NOMEM
			   : err_wrap_code(err, ERR_PROTOCOL, "answer of %s", c->address.sun_path);
	return ERR_OK;
}
