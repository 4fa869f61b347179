#include "platform/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* Connected once, before the policy; later a write() is all that is needed. */
static int notify_fd = -1;

void
notify_open(void)
{
	const struct timeval patience = { .tv_sec = 1 };
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO(fd_closep) int fd = -1;
	socklen_t len;

	if (path && (path[0] == '/' || path[0] == '@') && path[1] &&
	    strlen(path) < sizeof(addr.sun_path)) {
		memcpy(addr.sun_path, path, strlen(path));
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
		if (addr.sun_path[0] == '@')
			addr.sun_path[0] = '\0'; /* an abstract name */
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, len) == 0 &&
		    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0)
			notify_fd = fd_take(&fd);
	}
	unsetenv("NOTIFY_SOCKET"); /* not for processes that we start */
}

static void
tell(const char *text)
{
	/* nobody to complain to: the supervisor that does not listen will time out by itself */
	if (notify_fd >= 0 && write(notify_fd, text, strlen(text)) < 0)
		return;
}

void
notify_ready(void)
{
	tell("READY=1");
}

void
notify_status(const char *fmt, ...)
{
	char text[512] = "STATUS=";
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	va_end(ap);
	for (char *p = text + used; *p; p++)
		if (*p == '\n') /* would begin another assignment */
			*p = ' ';
	tell(text);
}

void
notify_stopping(void)
{
	tell("STOPPING=1");
}

void
notify_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	tell(text);
}
