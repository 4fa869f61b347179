#include "platform/peer.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

/* Clock ticks since boot, as start times in /proc/PID/stat are counted. */
static uint64_t
ticks_now(void)
{
	const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * per_second +
	       (uint64_t)now.tv_nsec / (1000000000 / per_second);
}

/*
 * A kernel that knows no SO_PEERPIDFD gives -1, which callers make up for.  Any other failure is an error: a peer that
 * makes the call fail (gone already, descriptors used up) must not get the weaker check that old kernels get.
 */
static enum err_code
pidfd_of(int fd, int *ret_pidfd, struct err *err)
{
	int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) && errno != ENOPROTOOPT)
		return err_errno(err, "could not take a pidfd of the peer");
	*ret_pidfd = pidfd;
	return ERR_OK;
}

enum err_code
peer_of(int fd, bool want_pidfd, struct peer *ret, struct err *err)
{
	struct peer peer = { .pidfd = -1 };
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return err_errno(err, "could not read the peer's credentials");
	/* the kernel fills in (uid_t)-1 for what is not a connected Unix socket */
	if (len != sizeof(cred) || cred.uid == (uid_t)-1)
		return err_set(err, ERR_IO, "the peer has no credentials");
	if (want_pidfd && pidfd_of(fd, &peer.pidfd, err))
		return err->code;
	peer.uid = cred.uid;
	peer.gid = cred.gid;
	peer.pid = cred.pid;
	peer.accepted_ticks = ticks_now();
	*ret = peer;
	return ERR_OK;
}

void
peer_done(struct peer *peer)
{
	fd_closep(&peer->pidfd);
}

static bool
probe_pidfd(void)
{
	AUTO(fd_closep) int pidfd = -1;
	socklen_t len = sizeof(pidfd);
	int pair[2];
	bool known;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return false;
	known = getsockopt(pair[0], SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0;
	close(pair[0]);
	close(pair[1]);
	return known;
}

bool
peer_has_pidfd(void)
{
	/* a fact about the kernel, kept because the policy may forbid a second probe */
	static atomic_int known;
	int answer = atomic_load(&known);

	if (answer == 0) {
		answer = probe_pidfd() ? 1 : -1;
		atomic_store(&known, answer);
	}
	return answer > 0;
}
