/*
 * load SOCKET PIDS CLIENTS kept|each SECONDS TARGET BODY-FILE - send one request again and again and measure (measure.h): PIDS
 * are those of the server.  "each" makes a connection per request.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bench/measure.h"

static const char *socket_path;
static char *request;
static size_t request_len;

static int
dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "%s", socket_path);
	return fd;
}

/* Head and body by Content-Length; the status must be 200. */
static void
exchange(int fd)
{
	char answer[4096];
	const char *length, *end;
	size_t used = 0, want = 0;

	if (write(fd, request, request_len) != (ssize_t)request_len)
		err(1, "write");
	do {
		ssize_t n = read(fd, answer + used, sizeof(answer) - 1 - used);

		if (n <= 0)
			errx(1, "the connection was closed");
		used += (size_t)n;
		answer[used] = '\0';
		end = strstr(answer, "\r\n\r\n");
		if (end && !want) {
			length = strcasestr(answer, "\r\ncontent-length:");
			if (strncmp(answer, "HTTP/1.1 200", 12) != 0 || !length)
				errx(1, "answered %s", answer);
			want = (size_t)(end + 4 - answer) + strtoul(length + 17, NULL, 10);
		}
	} while (!want || used < want);
}

static void
once(void *client)
{
	int kept = *(const int *)client, fd = kept < 0 ? dial() : kept;

	exchange(fd);
	if (kept < 0)
		close(fd);
}

static void *
open_kept(size_t client)
{
	static int fds[256];

	if (client >= sizeof(fds) / sizeof(fds[0]))
		errx(1, "too many clients");
	fds[client] = dial();
	return &fds[client];
}

static void *
open_each(size_t client)
{
	static int none = -1;

	(void)client;
	return &none;
}

static void
make_request(const char *target, const char *body_file)
{
	char body[8192];
	FILE *file = fopen(body_file, "re");
	size_t len = file ? fread(body, 1, sizeof(body), file) : 0;
	int n;

	if (!file)
		err(1, "%s", body_file);
	fclose(file);
	n = asprintf(&request,
	    "POST %s HTTP/1.1\r\nhost: keyd.sock\r\ncontent-type: application/json\r\n"
	    "content-length: %zu\r\n\r\n%.*s",
	    target, len, (int)len, body);
	if (n < 0)
		err(1, NULL);
	request_len = (size_t)n;
}

int
main(int argc, char **argv)
{
	if (argc != 8)
		errx(2, "usage: load SOCKET PIDS CLIENTS kept|each SECONDS TARGET BODY-FILE");
	socket_path = argv[1];
	make_request(argv[6], argv[7]);
	measure(&(struct measure){
	    .clients = strtoul(argv[3], NULL, 10),
	    .seconds = strtod(argv[5], NULL),
	    .pids = argv[2],
	    .open = strcmp(argv[4], "kept") == 0 ? open_kept : open_each,
	    .once = once,
	});
	return 0;
}
