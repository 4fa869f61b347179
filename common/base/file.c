#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

#define TEMPORARY     ".XXXXXX" /* behind the name of what is being written */
#define TEMPORARY_LEN (sizeof(TEMPORARY) - 1)

void
file_sweep(const char *path, const char *suffix)
{
	DIR *dir = opendir(path);
	size_t suffix_len = strlen(suffix);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		const char *tail = entry->d_name + len - TEMPORARY_LEN;

		if (len > suffix_len + TEMPORARY_LEN && tail[0] == TEMPORARY[0] &&
		    memcmp(tail - suffix_len, suffix, suffix_len) == 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

/* Write the content to a fresh temporary file beside path; *ret_tmp names it. */
static enum err_code
write_beside(
    const char *path, mode_t mode, const void *data, size_t len, char **ret_tmp, struct err *err)
{
	AUTO(str_freep) char *tmp = NULL;
	AUTO(fd_closep) int fd = -1;

	if (str_format(&tmp, err, "%s" TEMPORARY, path))
		return err->code;
	fd = mkostemp(tmp, O_CLOEXEC);
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
