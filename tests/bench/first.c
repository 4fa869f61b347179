/*
 * first SOCKET TARGET BODY-FILE COMMAND... - milliseconds from the exec of a server to its first answer.
 *
 * Starts the command, connects to its socket as soon as there is one, sends one request, prints how long all that took and ends
 * the command.  Anything but status 200 is an error.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t
read_body(const char *path, char *body, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(body, 1, size, file) : 0;

	if (!len)
		err(1, "%s", path);
	fclose(file);
	return len;
}

static int
dial(const char *path, double until)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	while (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		if (now_ms() > until)
			return -1;
		usleep(100);
	}
	return fd;
}

/* The first answer's status line arrives in one piece: the server writes it at once. */
static int
ask(int fd, const char *target, const char *body, size_t len)
{
	char answer[4096];

	if (dprintf(fd,
		"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
		"content-length: %zu\r\n\r\n%.*s",
		target, len, (int)len, body) < 0)
		return -1;
	return read(fd, answer, sizeof(answer)) > 12 && memcmp(answer + 9, "200", 3) == 0 ? 0 : -1;
}

int
main(int argc, char **argv)
{
	char body[8192];
	double from, took;
	size_t len;
	pid_t pid;
	int bad;

	if (argc < 5)
		errx(2, "usage: first SOCKET TARGET BODY-FILE COMMAND...");
	len = read_body(argv[3], body, sizeof(body));
	unlink(argv[1]);
	from = now_ms();
	pid = fork();
	if (pid == 0) {
		execv(argv[4], argv + 4);
		err(1, "%s", argv[4]);
	}
	bad = pid < 0 || ask(dial(argv[1], from + PATIENCE_MS), argv[2], body, len);
	took = now_ms() - from;
	if (pid > 0 && (kill(pid, SIGTERM) || waitpid(pid, NULL, 0) != pid))
		err(1, "%s", argv[4]);
	if (bad)
		errx(1, "%s did not answer", argv[4]);
	printf("%.1f\n", took);
	return 0;
}
