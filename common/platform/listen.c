#include "platform/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

#define FDS_START 3 /* sd_listen_fds(3) */
#define FDS_MAX	  64
#define BACKLOG	  128

/* What this process was given at its start; written once by listen_init, before any thread. */
static struct {
	int n;
	char *names; /* the copy that name[] points into */
	const char *name[FDS_MAX];
	uid_t uid;
	gid_t gid;
	bool change_owner;
} given;

void
listen_set_owner(uid_t uid, gid_t gid)
{
	given.uid = uid;
	given.gid = gid;
	given.change_owner = true;
}

static bool
parse_number(const char *text, long max, long *ret)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n > max)
		return false;
	*ret = n;
	return true;
}

static int
option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

static enum err_code
check_given(int fd, struct err *err)
{
	if (fcntl(fd, F_SETFD, FD_CLOEXEC))
		return err_set(err, ERR_CONFIG, "inherited descriptor %d is not open", fd);
	if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM ||
	    option(fd, SO_ACCEPTCONN) != 1)
		return err_set(err, ERR_CONFIG,
		    "inherited descriptor %d is not a listening Unix stream socket", fd);
	return ERR_OK;
}

static enum err_code
take_names(const char *list, int want, struct err *err)
{
	int n = 0;
	char *rest, *name;

	if (str_copy(&given.names, list, err))
		return err->code;
	rest = given.names;
	while ((name = strsep(&rest, ":"))) {
		if (n < want)
			given.name[n] = name;
		n++;
	}
	if (n != want)
		return err_set(
		    err, ERR_CONFIG, "LISTEN_FDNAMES has %d names for %d descriptors", n, want);
	return ERR_OK;
}

static enum err_code
take_given(const char *fds, const char *names, struct err *err)
{
	long n;

	if (!parse_number(fds, FDS_MAX, &n))
		return err_set(
		    err, ERR_CONFIG, "LISTEN_FDS=%s is not a number up to %d", fds, FDS_MAX);
	for (long i = 0; i < n; i++)
		if (check_given(FDS_START + (int)i, err))
			return err->code;
	if (n > 0 && names && take_names(names, (int)n, err))
		return err->code;
	given.n = (int)n;
	return ERR_OK;
}

enum err_code
listen_init(struct err *err)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	enum err_code code = ERR_OK;
	long number;

	/* LISTEN_PID of another process: the variables were meant for an ancestor of ours */
	if (pid && fds && parse_number(pid, 0x7fffffff, &number) && number == getpid())
		code = take_given(fds, getenv("LISTEN_FDNAMES"), err);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return code;
}

static bool
find_given(const char *name, int *ret_fd)
{
	for (int i = 0; i < given.n; i++) {
		if (given.name[i] && strcmp(given.name[i], name) == 0) {
			*ret_fd = FDS_START + i;
			return true;
		}
	}
	return false;
}

/* "fd://N" counts as descriptors do; a number that was not passed in is nobody's listener. */
static enum err_code
open_fd_uri(const char *uri, const char *which, int *ret_fd, struct err *err)
{
	long fd;

	if (parse_number(which, 0x7fffffff, &fd)) {
		if (fd < FDS_START || fd >= FDS_START + given.n)
			return err_set(
			    err, ERR_CONFIG, "%s: no such descriptor was passed in", uri);
		*ret_fd = (int)fd;
		return ERR_OK;
	}
	if (!find_given(which, ret_fd))
		return err_set(
		    err, ERR_CONFIG, "%s: no descriptor of this name was passed in", uri);
	return ERR_OK;
}

/* Make way for a new socket: what an earlier run left, or the directory that an engine makes of a missing bind source. */
static enum err_code
clear_path(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? ERR_OK : err_errno(err, "could not look at %s", path);
	if (S_ISDIR(st.st_mode)) {
		if (rmdir(path) == 0)
			return ERR_OK;
		if (errno == ENOTEMPTY || errno == EEXIST)
			return err_set(err, ERR_CONFLICT, "%s is a directory with content", path);
		return err_errno(err, "could not remove the directory %s", path);
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFLICT, "%s is in the way and is no socket", path);
	if (unlink(path))
		return err_errno(err, "could not remove the old socket %s", path);
	return ERR_OK;
}

/*
 * The socket file never has more than its final mode: bind() makes it with the mode of the descriptor, less the umask.
 * (Changing the umask instead would touch files that other threads make at that moment.)
 */
static enum err_code
bind_at(int fd, const struct sockaddr_un *addr, mode_t mode, struct err *err)
{
	const char *path = addr->sun_path;

	if (fchmod(fd, mode & 0600))
		return err_errno(err, "could not set the mode of a socket");
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return err_errno(err, "could not bind %s", path);
	if (given.change_owner && lchown(path, given.uid, given.gid))
		return err_errno(err, "could not give %s to user %u", path, given.uid);
	if (fchmodat(AT_FDCWD, path, mode, 0))
		return err_errno(err, "could not set the mode of %s", path);
	if (listen(fd, BACKLOG))
		return err_errno(err, "could not listen on %s", path);
	return ERR_OK;
}

static enum err_code
open_path(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	AUTO(fd_closep) int fd = -1;

	if (path[0] != '/')
		return err_set(err, ERR_CONFIG, "unix://%s: the path must be absolute", path);
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ERR_CONFIG, "%s is longer than %zu bytes", path,
		    sizeof(addr.sun_path) - 1);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (clear_path(path, err))
		return err->code;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "could not make a socket");
	if (bind_at(fd, &addr, mode, err))
		return err->code;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

enum err_code
listen_open(const char *uri, const char *name, int sole, mode_t mode, int *ret_fd, struct err *err)
{
	static const char unix_scheme[] = "unix://", fd_scheme[] = "fd://";

	if (strncmp(uri, fd_scheme, strlen(fd_scheme)) == 0)
		return open_fd_uri(uri, uri + strlen(fd_scheme), ret_fd, err);
	if (strncmp(uri, unix_scheme, strlen(unix_scheme)) != 0)
		return err_set(err, ERR_CONFIG, "%s: only unix:// and fd:// are served", uri);
	if (name && find_given(name, ret_fd))
		return ERR_OK;
	if (name && sole && given.n == 1) {
		*ret_fd = FDS_START;
		return ERR_OK;
	}
	return open_path(uri + strlen(unix_scheme), mode, ret_fd, err);
}
