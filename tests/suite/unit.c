/*
 * unit NOTICES [NAME=PATH]... -- COMMAND [ARGUMENT...] - what systemd does for a unit with sockets and Type=notify: makes the
 * listening sockets, hands them over as sd_listen_fds(3) has it, and writes what the daemon tells (sd_notify(3)) to the file
 * NOTICES, a line each.  The process becomes COMMAND; a child of it listens to the notices and ends with it.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int
bound(int type, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || chmod(path, 0666))
		err(1, "%s", path);
	return fd;
}

/* Until the daemon, pinned by pidfd, has ended: a signal at its death would be sent by its user, who may not. */
static void
write_notices(int from, int daemon, const char *path)
{
	struct pollfd fds[] = { { .fd = from, .events = POLLIN },
		{ .fd = daemon, .events = POLLIN } };
	FILE *out = fopen(path, "we");
	char text[1024];

	while (out && poll(fds, 2, -1) > 0) {
		ssize_t len = recv(from, text, sizeof(text) - 1, MSG_DONTWAIT);

		if (len < 0 && fds[1].revents)
			break;
		if (len <= 0)
			continue;
		text[len] = '\0';
		fprintf(out, "%s\n", text);
		fflush(out);
	}
	_exit(out == NULL);
}

int
main(int argc, char **argv)
{
	char names[1024] = "", notify[128], number[16];
	int i, n = 0, notices, daemon;

	snprintf(notify, sizeof(notify), "%s.sock", argc > 1 ? argv[1] : "");
	notices = bound(SOCK_DGRAM, notify);
	for (i = 2; i < argc && strcmp(argv[i], "--") != 0; i++, n++) {
		char *path = strchr(argv[i], '=');
		size_t used = strlen(names);
		int fd;

		if (!path)
			errx(1, "%s: NAME=PATH", argv[i]);
		*path++ = '\0';
		fd = bound(SOCK_STREAM, path);
		/* out of the way of what is still to be placed, then to its place, which is inherited */
		if (listen(fd, 64) || (fd = fcntl(fd, F_DUPFD_CLOEXEC, 64)) < 0 ||
		    dup2(fd, 100 + n) < 0)
			err(1, "%s", path);
		snprintf(names + used, sizeof(names) - used, "%s%s", n ? ":" : "", argv[i]);
	}
	if (i + 1 >= argc)
		errx(1, "no command");
	daemon = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (daemon < 0)
		err(1, "pidfd_open");
	if (fork() == 0)
		write_notices(notices, daemon, argv[1]);
	close(daemon);
	for (int k = 0; k < n; k++) {
		dup2(100 + k, 3 + k);
		close(100 + k);
	}
	setenv("NOTIFY_SOCKET", notify, 1);
	if (n > 0) {
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		snprintf(number, sizeof(number), "%d", n);
		setenv("LISTEN_FDS", number, 1);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	execvp(argv[i + 1], argv + i + 1);
	err(127, "%s", argv[i + 1]);
}
