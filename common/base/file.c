#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err_code
file_read(const char *path, size_t max, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	/* O_NONBLOCK: a FIFO planted at the path must not hang us */
	AUTO(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "could not open %s", path);
	if (fstat(fd, &st))
		return err_errno(err, "could not stat %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is not a regular file", path);
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return err_set(err, ERR_INVALID, "%s is longer than %zu bytes", path, max);
	if (bytes_alloc(&out, (size_t)st.st_size, err))
		return err->code;
	while (used < out.len) {
		n = read(fd, out.data + used, out.len - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "could not read %s", path);
		if (n == 0)
			break;
		used += (size_t)n;
	}
	out.len = used;
	*ret = bytes_take(&out);
	return ERR_OK;
}

static enum err_code
write_all(int fd, const char *path, const void *data, size_t len, struct err *err)
{
	const char *from = data;

	while (len > 0) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "could not write %s", path);
		from += n;
		len -= (size_t)n;
	}
	return ERR_OK;
}

enum err_code
file_sync_dir(const char *path, struct err *err)
{
	AUTO(str_freep) char *dir = NULL;
	const char *slash = strrchr(path, '/');
	AUTO(fd_closep) int fd = -1;

	if (!slash) {
		if (str_copy(&dir, ".", err))
			return err->code;
	} else {
		dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
		if (!dir)
			return err_nomem(err);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "could not open %s", dir);
	if (fsync(fd))
		return err_errno(err, "could not sync %s", dir);
	return ERR_OK;
}

/* *ret_tmp names the file even where it could not be made. */
static int
open_beside(const char *path, char **ret_tmp, struct err *err)
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash - path) + 1 : 0;

	for (unsigned i = 0;; i++) {
		int fd;

		str_freep(ret_tmp);
		if (str_format(ret_tmp, err, "%.*s.new-%u", dir_len, path, i))
			return -1;
		fd = open(*ret_tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
}

void
file_sweep(const char *dir)
{
	char path[PATH_MAX];
	unsigned absent = 0; /* numbers in a row */

	/* by whole paths: unlinkat() is no call that a daemon's policy has */
	for (unsigned i = 0; absent < FILE_WRITERS_MAX; i++) {
		if (snprintf(path, sizeof(path), "%s/.new-%u", dir, i) >= (int)sizeof(path))
			return;
		absent = unlink(path) ? absent + 1 : 0;
	}
}

/* Write the content to a fresh temporary file beside path; *ret_tmp names it. */
static enum err_code
write_beside(
    const char *path, mode_t mode, const void *data, size_t len, char **ret_tmp, struct err *err)
{
	AUTO(str_freep) char *tmp = NULL;
	AUTO(fd_closep) int fd = open_beside(path, &tmp, err);

	if (!tmp)
		return err->code;
	if (fd < 0)
		return err_errno(err, "could not create a file beside %s", path);
	if (fchmod(fd, mode))
		err_errno(err, "could not set the mode of %s", tmp);
	else if (write_all(fd, tmp, data, len, err) == ERR_OK) {
		if (fsync(fd) == 0) {
			*ret_tmp = tmp;
			tmp = NULL;
			return ERR_OK;
		}
		err_errno(err, "could not sync %s", tmp);
	}
	unlink(tmp);
	return err->code;
}

enum err_code
file_write(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
{
	AUTO(str_freep) char *tmp = NULL;

	if (write_beside(path, mode, data, len, &tmp, err))
		return err->code;
	if (rename(tmp, path)) {
		err_errno(err, "could not replace %s", path);
		unlink(tmp);
		return err->code;
	}
	return file_sync_dir(path, err);
}

enum err_code
file_create(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
{
	AUTO(str_freep) char *tmp = NULL;
	int failed, number;

	if (write_beside(path, mode, data, len, &tmp, err))
		return err->code;
	failed = link(tmp, path);
	number = errno;
	unlink(tmp);
	errno = number;
	if (failed && number == EEXIST)
		return err_set(err, ERR_CONFLICT, "%s exists already", path);
	if (failed)
		return err_errno(err, "could not create %s", path);
	return file_sync_dir(path, err);
}

enum err_code
file_rename(const char *from, const char *to, struct err *err)
{
	if (rename(from, to))
		return err_errno(err, "could not rename %s to %s", from, to);
	return file_sync_dir(to, err);
}

enum err_code
file_remove(const char *path, struct err *err)
{
	if (unlink(path)) {
		if (errno == ENOENT)
			return ERR_OK;
		return err_errno(err, "could not remove %s", path);
	}
	return file_sync_dir(path, err);
}

/* Make one directory with exactly this mode, whatever the umask; success when the name exists. */
static enum err_code
make_dir(const char *path, mode_t mode, struct err *err)
{
	AUTO(fd_closep) int fd = -1;

	if (mkdir(path, mode & 0700)) {
		if (errno == EEXIST)
			return ERR_OK;
		return err_errno(err, "could not make the directory %s", path);
	}
	if ((mode & 07777) == (mode & 0700))
		return ERR_OK;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode))
		return err_errno(err, "could not set the mode of %s", path);
	return ERR_OK;
}

enum err_code
file_mkdirs(const char *path, mode_t mode, struct err *err)
{
	AUTO(str_freep) char *part = NULL;
	struct stat st;

	if (str_copy(&part, path, err))
		return err->code;
	for (char *p = part + 1; p[-1]; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (make_dir(part, mode, err))
			return err->code;
		*p = was;
	}
	if (stat(path, &st))
		return err_errno(err, "could not stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_CONFLICT, "%s is not a directory", path);
	return ERR_OK;
}
