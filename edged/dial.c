#include "edged/dial.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/mem.h"

enum err_code
dial_unix(const char *path, int *ret_fd, struct err *err)
{
	AUTO(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = 5 };

	if (fd < 0)
		return err_errno(err, "socket");
	if (strlen(path) >= sizeof(at.sun_path))
		return err_set(err, ERR_INVALID, "socket path %s is too long", path);
	memcpy(at.sun_path, path, strlen(path) + 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return err_set(
		    err, ERR_UNREACHABLE, "cannot connect to %s: %s", path, strerror(errno));
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}
