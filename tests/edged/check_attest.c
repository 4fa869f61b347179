#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edged/attest.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const struct {
	const char *what, *text;
	const char *id; /* NULL: a process of the host, or not to be told */
} rows[] = {
	/* contracts/docker.md 7.1 */
	{ "docker, cgroupfs, version 1",
	    "9:pids:/docker/" A "\n4:memory:/docker/" A "\n0::/docker/" A "\n", A },
	{ "docker, systemd, version 2", "0::/system.slice/docker-" A ".scope\n", A },
	{ "docker, rootless",
	    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope\n", A },
	{ "docker, parent group", "0::/edge/" A "\n", A },
	{ "docker, parent slice", "0::/edge.slice/docker-" A ".scope\n", A },
	{ "podman, cgroupfs", "0::/libpod_parent/libpod-" A "\n", A },
	{ "podman, systemd, a group below", "0::/machine.slice/libpod-" A ".scope/container\n", A },
	{ "podman, split", "0::/machine.slice/libpod-payload-" A "\n", A },
	/* ../testbed: only the version 2 line names the container */
	{ "mixed hierarchies", "4:memory:/process_api/x\n2:cpu:/\n0::/docker/" A "\n", A },
	{ "host, mixed hierarchies", "4:memory:/process_api/x\n2:cpu:/\n0::/\n", NULL },
	{ "host, version 2", "0::/system.slice/ssh.service\n", NULL },
	{ "a zombie's file", "", NULL },
	/* below its own group a container may name groups as it likes */
	{ "inner group with another's id", "0::/docker/" A "/docker/" B "\n", A },
	{ "lines that disagree", "4:memory:/docker/" A "\n0::/docker/" B "\n", NULL },
	{ "63 digits",
	    "0::/docker/"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "\n",
	    NULL },
	{ "65 digits", "0::/docker/a" A "\n", NULL },
	{ "upper case",
	    "0::/docker/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", NULL },
	{ "id in the controllers' place", "4:" A ":/\n", NULL },
	{ "no line break at the end", "0::/docker/" A, A },
};

START_TEST(test_cgroup)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char id[ATTEST_ID_LEN + 1] = "";
		struct err err = { 0 };
		enum err_code code = attest_cgroup_container(rows[i].text, id, &err);

		if (rows[i].id)
			ck_assert_msg(code == ERR_OK && strcmp(id, rows[i].id) == 0, "%s: %s",
			    rows[i].what, id);
		else
			ck_assert_msg(
			    code == ERR_NOT_FOUND, "%s: %s", rows[i].what, err_name(code));
	}
}
END_TEST

START_TEST(test_host_process)
{
	AUTO(peer_done) struct peer peer = { .pidfd = -1 };
	struct err err = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_ok(peer_of(pair[0], true, &peer, &err));
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
	/* by number, as on kernels before 6.5 */
	peer_done(&peer);
	peer.pidfd = -1;
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* valgrind 3.19 knows no pidfd_open, and so nothing can be said of processes there. */
static bool
can_open_processes(void)
{
	AUTO(fd_closep) int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		printf("SKIP there is no pidfd_open here\n");
	return fd >= 0;
}

START_TEST(test_dead_process)
{
	pid_t child;
	struct err err = { 0 };
	struct peer peer = { .pidfd = -1 };

	if (!can_open_processes())
		return;
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	peer.pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	peer.pid = child;
	peer.accepted_ticks = UINT64_MAX;
	ck_assert_int_ge(peer.pidfd, 0);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "has ended"));
	peer_done(&peer);
	/* by number: the number is free or somebody else's */
	peer.pidfd = -1;
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
}
END_TEST

START_TEST(test_younger_than_connection)
{
	struct err err = { 0 };
	/* a process that began after the connection was accepted cannot have made it */
	struct peer peer = { .pidfd = -1, .pid = getpid(), .accepted_ticks = 1 };

	if (!can_open_processes())
		return;
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
	ck_assert_ptr_nonnull(strstr(err.text, "younger"));
	peer.pid = 0;
	ck_err(attest_peer(&peer, A, &err), ERR_DENIED);
}
END_TEST

TEST_MAIN(
    "edged/attest", test_cgroup, test_host_process, test_dead_process, test_younger_than_connection)
