/*
 * agent SOCKET PIDS CLIENTS SECONDS - let an SSH agent sign with its ecdsa-sha2-nistp256 key and measure (measure.h).
 * The protocol is that of draft-ietf-sshm-ssh-agent, of the messages 11 to 14: length, type, fields.
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/bench/measure.h"

enum { LIST_KEYS = 11, KEYS = 12, SIGN = 13, SIGNED = 14 };

#define ALGORITHM "ecdsa-sha2-nistp256"

static const char *socket_path;
static uint8_t request[1024];
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

static uint32_t
get_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

static void
put(const void *data, size_t len)
{
	if (len > sizeof(request) - request_len)
		errx(1, "the key is too long");
	memcpy(request + request_len, data, len);
	request_len += len;
}

static void
put_u32(uint32_t value)
{
	value = htonl(value);
	put(&value, sizeof(value));
}

/* One message, without its length; its type must be want. */
static size_t
ask(int fd, const void *message, size_t len, uint8_t want, uint8_t *answer, size_t size)
{
	size_t used = 0, all = sizeof(uint32_t);

	if (write(fd, message, len) != (ssize_t)len)
		err(1, "write");
	while (used < all) {
		ssize_t n = read(fd, answer + used, size - used);

		if (n <= 0)
			errx(1, "the agent closed");
		used += (size_t)n;
		if (used >= sizeof(uint32_t))
			all = sizeof(uint32_t) + get_u32(answer);
		if (all > size)
			errx(1, "the answer is too long");
	}
	if (all < 5 || answer[4] != want)
		errx(1, "the agent answered %d", answer[4]);
	return all;
}

/* The request for a signature of 32 bytes with the first key of the algorithm. */
static void
make_request(void)
{
	static const uint8_t list[] = { 0, 0, 0, 1, LIST_KEYS }, data[32] = { 1 };
	uint8_t answer[4096];
	int fd = dial();
	size_t len = ask(fd, list, sizeof(list), KEYS, answer, sizeof(answer)), at = 9;

	close(fd);
	while (at + 8 + sizeof(ALGORITHM) < len) {
		uint32_t blob = get_u32(answer + at);

		if (blob > len - at - 8)
			break;
		if (memcmp(answer + at + 8, ALGORITHM, sizeof(ALGORITHM) - 1) == 0) {
			put_u32((uint32_t)(1 + 4 + blob + 4 + sizeof(data) + 4));
			put(&(uint8_t){ SIGN }, 1);
			put(answer + at, 4 + blob);
			put_u32(sizeof(data));
			put(data, sizeof(data));
			put_u32(0); /* flags */
			return;
		}
		at += 4 + blob;
		at += 4 + get_u32(answer + at); /* comment */
	}
	errx(1, "the agent has no %s key", ALGORITHM);
}

static void *
open_client(size_t client)
{
	static int fds[256];

	fds[client % 256] = dial();
	return &fds[client % 256];
}

static void
once(void *fd)
{
	uint8_t answer[1024];

	(void)ask(*(int *)fd, request, request_len, SIGNED, answer, sizeof(answer));
}

int
main(int argc, char **argv)
{
	if (argc != 5)
		errx(2, "usage: agent SOCKET PIDS CLIENTS SECONDS");
	socket_path = argv[1];
	make_request();
	measure(&(struct measure){
	    .clients = strtoul(argv[3], NULL, 10),
	    .seconds = strtod(argv[4], NULL),
	    .pids = argv[2],
	    .open = open_client,
	    .once = once,
	});
	return 0;
}
