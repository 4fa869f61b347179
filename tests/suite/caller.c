/*
 * caller - how a process in a container, honest or not, calls a Unix socket.  Runs inside the suite's containers.
 *
 *   caller sleep                                    do nothing, for ever
 *   caller ask SOCKET METHOD TARGET [BODY]          one request; prints the status.  Without BODY
 *                                                   any but GET asks for a signature
 *   caller first SOCKET METHOD TARGET [BODY]        the same, then sleeps: a container's first process
 *   caller orphan SOCKET METHOD TARGET [BODY]       connect in a child that ends, ask over its connection
 *   caller give SOCKET MEETING                      connect, then hand the connection to whoever comes to MEETING
 *   caller bench SOCKET METHOD TARGET N kept|each   N signatures over one connection or one each; prints the median
 *                                                   and the 99th percentile of their microseconds
 *   caller take MEETING METHOD TARGET [BODY]        take a connection there and ask over it
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

static int
dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(to.sun_path))
		fail("socket");
	memcpy(to.sun_path, path, strlen(path) + 1);
	for (int tries = 0; connect(fd, (struct sockaddr *)&to, sizeof(to)); tries++) {
		if (tries == 50)
			fail("connect");
		usleep(100 * 1000);
	}
	return fd;
}

static void
send_fd(int over, int fd)
{
	char byte = 'x';
	struct iovec part = { &byte, 1 };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	if (sendmsg(over, &msg, 0) != 1)
		fail("sendmsg");
}

static int
receive_fd(int over)
{
	char byte;
	struct iovec part = { &byte, 1 };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	int fd;

	if (recvmsg(over, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		fail("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* One request over a connection; prints the status and, behind it, the body. */
static void
ask(int fd, const char *method, const char *target, const char *body)
{
	static char answer[65536];
	size_t used = 0;
	const char *end;
	ssize_t n;

	if (!body)
		body = strcmp(method, "GET") == 0 ? "" : "{\"data\":\"aGVsbG8=\"}";
	if (dprintf(fd,
		"%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
		"%zu\r\n"
		"Connection: close\r\n\r\n%s",
		method, target, strlen(body), body) < 0)
		fail("write");
	while (used < sizeof(answer) - 1 &&
	       (n = read(fd, answer + used, sizeof(answer) - 1 - used)) > 0)
		used += (size_t)n;
	answer[used] = '\0';
	end = strstr(answer, "\r\n\r\n");
	printf("%.3s %s\n", used > 12 ? answer + 9 : "000", end ? end + 4 : "");
	fflush(stdout);
}

/* --- how long it takes */

/* The answer, which is short and says its length or not, but comes in one write; its status must be 200. */
static void
sign(int fd, const char *method, const char *target, bool last)
{
	char answer[4096];
	ssize_t n;

	if (dprintf(fd,
		"%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
		"19\r\n%s\r\n{\"data\":\"aGVsbG8=\"}",
		method, target, last ? "Connection: close\r\n" : "") < 0)
		fail("write");
	n = read(fd, answer, sizeof(answer));
	if (n <= 12 || memcmp(answer + 9, "200", 3) != 0)
		fail("no signature");
}

static long
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static int
by_value(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void
bench(const char *path, const char *method, const char *target, size_t n, bool kept)
{
	long *us = calloc(n, sizeof(*us));
	int fd = kept ? dial(path) : -1;

	if (!us)
		fail("calloc");
	for (size_t i = 0; i < n; i++) {
		us[i] = now_us();
		if (!kept)
			fd = dial(path);
		sign(fd, method, target, !kept);
		if (!kept)
			close(fd);
		us[i] = now_us() - us[i];
	}
	qsort(us, n, sizeof(*us), by_value);
	printf("%ld %ld\n", us[n / 2], us[n * 99 / 100]);
	free(us);
}

/* A connection whose maker has ended. */
static int
orphan(const char *path)
{
	int pair[2], fd;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("socketpair");
	child = fork();
	if (child == 0) {
		send_fd(pair[1], dial(path));
		_exit(0);
	}
	fd = receive_fd(pair[0]);
	if (waitpid(child, NULL, 0) != child)
		fail("waitpid");
	return fd;
}

static void
give(const char *path, const char *meeting)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = dial(path), listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", meeting);
	unlink(meeting);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1))
		fail("listen");
	peer = accept(listener, NULL, NULL);
	if (peer < 0)
		fail("accept");
	send_fd(peer, fd);
	pause();
}

/* As a container's first process we have no default action for SIGTERM. */
static void
end(int signal)
{
	(void)signal;
	_exit(0);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *body = argc > 5 ? argv[5] : NULL;

	signal(SIGTERM, end);
	if (strcmp(what, "sleep") == 0)
		pause();
	if (strcmp(what, "give") == 0 && argc == 4)
		give(argv[2], argv[3]);
	if (argc < 5)
		return 2;
	if (strcmp(what, "ask") == 0 || strcmp(what, "first") == 0)
		ask(dial(argv[2]), argv[3], argv[4], body);
	else if (strcmp(what, "bench") == 0 && argc == 7 && atoi(body) > 0)
		bench(argv[2], argv[3], argv[4], (size_t)atoi(body), strcmp(argv[6], "kept") == 0);
	else if (strcmp(what, "orphan") == 0)
		ask(orphan(argv[2]), argv[3], argv[4], body);
	else if (strcmp(what, "take") == 0)
		ask(receive_fd(dial(argv[2])), argv[3], argv[4], body);
	else
		return 2;
	if (strcmp(what, "first") == 0)
		pause();
	return 0;
}
