/*
 * bare SOCKET - what an HTTP server on libmicrohttpd costs at the least, for comparison: the flags and the thread layout of
 * common/http (an acceptor that feeds a pool of two epoll threads without a listener), the body read, a constant answered.
 */
#include <err.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* of the size of a P-256 signature's answer */
static char answer[] = "{\"signature\":\"MEUCIQCe4d+nwYncTRrei+KSNy1UoHRNzEJ/rTM68zq/"
		       "O9Qk1QIgKOowm+A6zl8tesLMtO9M2YAc9I/"
		       "jnmCtZIPyoHi/okE=\"}";

struct body {
	char data[8192];
	size_t len;
};

static enum MHD_Result
serve(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *len, void **con_cls)
{
	struct body *body = *con_cls;
	struct MHD_Response *response;
	enum MHD_Result result;

	(void)cls, (void)url, (void)method, (void)version;
	if (!body) {
		*con_cls = body = malloc(sizeof(*body));
		if (body)
			body->len = 0;
		return body ? MHD_YES : MHD_NO;
	}
	if (*len) {
		if (*len > sizeof(body->data) - body->len)
			return MHD_NO;
		memcpy(body->data + body->len, data, *len);
		body->len += *len;
		*len = 0;
		return MHD_YES;
	}
	response =
	    MHD_create_response_from_buffer(sizeof(answer) - 1, answer, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, "content-type", "application/json");
	result = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return result;
}

static void
completed(void *cls, struct MHD_Connection *connection, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	(void)cls, (void)connection, (void)why;
	free(*con_cls);
	*con_cls = NULL;
}

static void
silent(void *cls, const char *fmt, va_list ap)
{
	(void)cls, (void)fmt, (void)ap;
}

int
main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct MHD_Daemon *daemon;
	int listener, fd;

	if (argc != 2)
		errx(2, "usage: bare SOCKET");
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	daemon = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
				      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME,
	    0, NULL, NULL, serve, NULL, MHD_OPTION_EXTERNAL_LOGGER, silent, NULL,
	    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)32 * 1024, MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
	if (!daemon || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 128))
		err(1, "%s", argv[1]);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		MHD_add_connection(daemon, fd, (struct sockaddr *)&at, sizeof(at));
	err(1, "accept");
}
