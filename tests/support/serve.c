#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define PATIENCE_MS 60000

static struct sockaddr_un
address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	return address;
}

int
serve_bind(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 128), 0);
	return fd;
}

int
serve_connect(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0,
	    "connect to %s: %s", path, strerror(errno));
	return fd;
}

void
serve_start(struct serve *s, const struct http_server_config *config, unsigned per_uid)
{
	struct err err = { 0 };

	s->path = support_path("server.sock");
	ck_ok(http_server_new(config, &s->server, &err));
	ck_ok(
	    http_server_listen(s->server, serve_bind(s->path), per_uid, NULL, &s->listener, &err));
	ck_ok(http_server_start(s->server, &err));
}

void
serve_stop(struct serve *s)
{
	http_server_stop(s->server, 0);
	http_server_free(s->server);
	unlink(s->path);
}

void
serve_send(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the server has closed: what it said is to be read */
		bytes += n;
		len -= (size_t)n;
	}
}

/* One recv; 0 at the end or when nothing came for ms. */
static size_t
receive(int fd, struct buf *in, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char piece[65536];
	ssize_t n;

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	n = recv(fd, piece, sizeof(piece), 0);
	if (n <= 0)
		return 0;
	buf_add(in, piece, (size_t)n);
	return (size_t)n;
}

static char *
text_in(struct buf *in)
{
	struct err err = { 0 };
	char *text = NULL;

	ck_ok(buf_take_string(in, &text, &err));
	return text;
}

char *
serve_read_all(int fd, int ms)
{
	struct buf in = { 0 };

	while (receive(fd, &in, ms) > 0)
		continue;
	return text_in(&in);
}

static bool
is_whole(const struct buf *in)
{
	const char *answer = (const char *)in->data;
	const char *body = in->len ? strstr(answer, "\r\n\r\n") : NULL;
	const char *length = body ? serve_header(answer, "content-length") : NULL;

	if (!body || serve_status(answer) == 100)
		return body && in->len > (size_t)(body + 4 - answer) &&
		       strstr(body + 4, "\r\n\r\n") &&
		       (in->len - (size_t)(strstr(body + 4, "\r\n\r\n") + 4 - answer) >=
			   strtoul(length ? length : "0", NULL, 10));
	if (!length)
		return serve_status(answer) == 204;
	return in->len - (size_t)(body + 4 - answer) >= strtoul(length, NULL, 10);
}

char *
serve_read_answer(int fd)
{
	struct buf in = { 0 };

	while (!is_whole(&in) && receive(fd, &in, PATIENCE_MS) > 0)
		continue;
	return text_in(&in);
}

char *
serve_exchange(const char *path, const char *bytes)
{
	int fd = serve_connect(path);
	char *answer;

	serve_send(fd, bytes, strlen(bytes));
	answer = serve_read_answer(fd);
	close(fd);
	return answer;
}

bool
serve_closed(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&pfd, 1, ms) > 0 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

unsigned
serve_status(const char *answer)
{
	unsigned status = 0;

	return sscanf(answer, "HTTP/1.%*1[01] %3u", &status) == 1 ? status : 0;
}

const char *
serve_body(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

const char *
serve_header(const char *answer, const char *name)
{
	static char value[256];
	const char *end = strstr(answer, "\r\n\r\n");

	for (const char *p = strstr(answer, "\r\n"); p && p < end; p = strstr(p + 2, "\r\n")) {
		const char *line = p + 2;
		size_t len = strlen(name);

		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " ");
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r"), line);
		return value;
	}
	return NULL;
}

void
serve_wait_open(const struct serve *s, unsigned n)
{
	uint64_t deadline = clock_mono_ms() + PATIENCE_MS;
	unsigned long served;
	unsigned open;

	do {
		http_server_stats(s->server, &open, &served);
		if (open == n)
			return;
		usleep(1000);
	} while (clock_mono_ms() < deadline);
	ck_abort_msg("%u connections open instead of %u", open, n);
}
