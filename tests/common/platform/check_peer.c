#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/peer.h"

static int
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	return fd;
}

/* A child, uid and gid changed where we are root, that connects and waits to be told to end. */
static pid_t
connect_from_child(const char *path, uid_t uid, gid_t gid)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	pid_t pid = fork();
	int fd;

	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (setegid(gid) || seteuid(uid) || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		_exit(1);
	_exit(read(fd, addr.sun_path, 1) == 0 ? 0 : 1);
}

/* The judge: the kernel's own record, read as text. */
static uint64_t
start_ticks(pid_t pid)
{
	AUTO(str_freep)
	char *out = support_sh("sed 's/^.*) //' /proc/%d/stat | cut -d' ' -f20", pid);

	return strtoull(out, NULL, 10);
}

START_TEST(test_credentials)
{
	const char *path = support_path("s");
	AUTO(fd_closep) int listener = listen_at(path);
	uid_t uid = getuid() == 0 ? 61200 : getuid();
	gid_t gid = getuid() == 0 ? 61201 : getgid();
	AUTO(peer_done) struct peer peer = { .pidfd = -1 };
	struct err err = { 0 };
	int fd, status;
	pid_t child;

	if (getuid() == 0) {
		AUTO(str_freep)
		char *none = support_sh("chmod 711 %s; chmod 666 %s", support_tmpdir(), path);

		ck_assert_str_eq(none, "");
	} else {
		printf("SKIP not root: a peer of another uid\n");
	}
	child = connect_from_child(path, uid, gid);
	fd = accept(listener, NULL, NULL);
	ck_assert_int_ge(fd, 0);
	ck_ok(peer_of(fd, true, &peer, &err));
	ck_assert_uint_eq(peer.uid, uid);
	ck_assert_uint_eq(peer.gid, gid);
	ck_assert_int_eq(peer.pid, child);
	ck_assert_uint_ge(peer.accepted_ticks, start_ticks(child));
	ck_assert_uint_le(
	    peer.accepted_ticks - start_ticks(child), 60 * (uint64_t)sysconf(_SC_CLK_TCK));
	ck_assert_int_eq(peer.pidfd >= 0, peer_has_pidfd());
	if (peer.pidfd >= 0) {
		AUTO(str_freep)
		char *pid =
		    support_sh("sed -n 's/^Pid:\\t//p' /proc/%d/fdinfo/%d", getpid(), peer.pidfd);

		ck_assert_int_eq(atoi(pid), child);
	}
	close(fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_without_pidfd)
{
	AUTO(peer_done) struct peer peer = { 0 };
	struct err err = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_ok(peer_of(pair[0], false, &peer, &err));
	ck_assert_int_eq(peer.pidfd, -1);
	ck_assert_int_eq(peer.pid, getpid());
	close(pair[0]);
	close(pair[1]);
}
END_TEST

START_TEST(test_no_peer)
{
	AUTO(fd_closep) int inet = socket(AF_INET, SOCK_STREAM, 0);
	AUTO(fd_closep) int unconnected = socket(AF_UNIX, SOCK_STREAM, 0);
	struct peer peer = { .pidfd = -1 };
	struct err err = { 0 };

	ck_err(peer_of(-1, true, &peer, &err), ERR_IO);
	ck_err(peer_of(STDIN_FILENO, true, &peer, &err), ERR_IO);
	ck_err(peer_of(inet, true, &peer, &err), ERR_IO);
	ck_err(peer_of(unconnected, true, &peer, &err), ERR_IO);
	ck_assert_int_eq(peer.pidfd, -1);
}
END_TEST

TEST_MAIN("platform/peer", test_credentials, test_without_pidfd, test_no_peer)
