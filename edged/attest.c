#include "edged/attest.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define PROC_TEXT_MAX \
	8192 /* a cgroup file has a line per hierarchy; 4 KiB paths are far from all of them */

/* Files of /proc have no size, so file_read() does not fit. */
static enum err_code
read_proc(const char *path, char *out, size_t size, struct err *err)
{
	AUTO(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "could not open %s", path);
	while ((n = read(fd, out + used, size - 1 - used)) > 0)
		used += (size_t)n;
	if (n < 0)
		return err_errno(err, "could not read %s", path);
	if (used == size - 1)
		return err_set(err, ERR_INVALID, "%s is too long", path);
	out[used] = '\0';
	return ERR_OK;
}

/* The process that a pidfd stands for; -1 once it has been reaped. */
static enum err_code
pid_of(int pidfd, pid_t *ret, struct err *err)
{
	char path[64], text[1024];
	const char *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (read_proc(path, text, sizeof(text), err))
		return err->code;
	at = strstr(text, "\nPid:");
	if (!at)
		return err_set(err, ERR_INTERNAL, "%s names no process", path);
	*ret = (pid_t)strtol(at + strlen("\nPid:"), NULL, 10);
	return ERR_OK;
}

/* Start time of a process in clock ticks since boot: the 22nd field of its stat, counted behind the name, which may hold anything. */
static enum err_code
start_ticks(pid_t pid, uint64_t *ret, struct err *err)
{
	char path[64], text[2048];
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_proc(path, text, sizeof(text), err))
		return err->code;
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return err_set(err, ERR_INTERNAL, "%s cannot be read", path);
	*ret = strtoull(at + 1, NULL, 10);
	return ERR_OK;
}

static bool
ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/*
 * A pidfd where the kernel gave none at accept: by number, which may have been taken over since connect().  The start time narrows that
 * to processes that began before the connection was accepted (contracts/docker.md 7.2).
 */
static enum err_code
open_pid(const struct peer *peer, int *ret, struct err *err)
{
	AUTO(fd_closep) int fd = -1;
	uint64_t started = 0;

	if (peer->pid <= 0)
		return err_set(err, ERR_DENIED, "the caller's process is not visible here");
	fd = (int)syscall(SYS_pidfd_open, peer->pid, 0);
	if (fd < 0)
		return err_errno(err, "could not open process %d", (int)peer->pid);
	if (start_ticks(peer->pid, &started, err))
		return err->code;
	if (started > peer->accepted_ticks)
		return err_set(
		    err, ERR_DENIED, "process %d is younger than its connection", (int)peer->pid);
	*ret = fd_take(&fd);
	return ERR_OK;
}

static enum err_code
container_of_pidfd(int pidfd, char ret_id[ATTEST_ID_LEN + 1], struct err *err)
{
	char path[64], text[PROC_TEXT_MAX];
	pid_t pid = -1;

	if (pid_of(pidfd, &pid, err))
		return err->code;
	if (pid <= 0)
		return err_set(err, ERR_DENIED, "the calling process has ended");
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	if (read_proc(path, text, sizeof(text), err))
		return err->code;
	/* only now is it certain that the file was this process's and no successor's */
	if (ended(pidfd))
		return err_set(err, ERR_DENIED, "the calling process has ended");
	return attest_cgroup_container(text, ret_id, err);
}

enum err_code
attest_peer(const struct peer *peer, const char *container_id, struct err *err)
{
	AUTO(fd_closep) int opened = -1;
	char id[ATTEST_ID_LEN + 1];

	if (peer->pidfd < 0 && open_pid(peer, &opened, err))
		return err_wrap_code(err, ERR_DENIED, "caller not known");
	if (container_of_pidfd(peer->pidfd < 0 ? opened : peer->pidfd, id, err))
		return err_wrap_code(err, ERR_DENIED, "caller not known");
	if (strlen(container_id) != ATTEST_ID_LEN || strcmp(id, container_id) != 0)
		return err_set(err, ERR_DENIED, "the caller is a process of another container");
	return ERR_OK;
}

/* The only run of exactly 64 lower-case hex digits in a path segment. */
static bool
segment_id(const char *segment, size_t len, char ret_id[ATTEST_ID_LEN + 1])
{
	size_t run = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && (isdigit((unsigned char)segment[i]) ||
				   (segment[i] >= 'a' && segment[i] <= 'f'))) {
			run++;
			continue;
		}
		if (run == ATTEST_ID_LEN) {
			memcpy(ret_id, segment + i - run, ATTEST_ID_LEN);
			ret_id[ATTEST_ID_LEN] = '\0';
			return true;
		}
		run = 0;
	}
	return false;
}

/* The outermost segment of a path that names a container. */
static bool
path_id(const char *path, size_t len, char ret_id[ATTEST_ID_LEN + 1])
{
	while (len > 0) {
		size_t n = strcspn(path, "/\n");

		if (n > len)
			n = len;
		if (segment_id(path, n, ret_id))
			return true;
		if (n == len)
			break;
		path += n + 1;
		len -= n + 1;
	}
	return false;
}

enum err_code
attest_cgroup_container(const char *cgroup_text, char ret_id[ATTEST_ID_LEN + 1], struct err *err)
{
	char found[ATTEST_ID_LEN + 1] = "", id[ATTEST_ID_LEN + 1];

	for (const char *line = cgroup_text; *line; line += line[strcspn(line, "\n")] == '\n') {
		size_t len = strcspn(line, "\n");
		const char *first = memchr(line, ':', len);
		const char *second =
		    first ? memchr(first + 1, ':', len - (size_t)(first + 1 - line)) : NULL;

		if (second && path_id(second + 1, len - (size_t)(second + 1 - line), id)) {
			if (found[0] && strcmp(found, id) != 0)
				return err_set(
				    err, ERR_NOT_FOUND, "the control groups name two containers");
			memcpy(found, id, sizeof(found));
		}
		line += len;
	}
	if (!found[0])
		return err_set(err, ERR_NOT_FOUND, "a process of the host");
	memcpy(ret_id, found, sizeof(found));
	return ERR_OK;
}
