/*
 * unit NOTICES [NAME=PATH]... -- COMMAND [ARGUMENT...] - what systemd does for a unit with sockets and Type=notify: makes the
 * listening sockets, hands them over as sd_listen_fds(3) has it, and writes what the daemon tells (sd_notify(3)) to the file
 * NOTICES, a line each.  The process becomes COMMAND; a child of it listens to the notices and ends with it.
 */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static void
write_notices(int from, const char *path)
{
	FILE *out = fopen(path, "we");
	char text[1024];
	ssize_t len;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (out && (len = recv(from, text, sizeof(text) - 1, 0)) > 0) {
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
	int i, n = 0, notices;

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
	if (fork() == 0)
		write_notices(notices, argv[1]);
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
