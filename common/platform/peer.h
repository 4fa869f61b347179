#ifndef PLATFORM_PEER_H
#define PLATFORM_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Who is at the other end of a Unix socket: the credentials at connect(), taken once at accept
 * (contracts/docker.md 7.2, common.md 4).
 */
struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* in our pid namespace; 0 when not visible */
	int pidfd; /* from SO_PEERPIDFD, or -1 where the kernel has none (before 6.5) */
	uint64_t
	    accepted_ticks; /* clock ticks since boot at accept, the unit of /proc/PID/stat's start time */
};

/* Read the peer of a connected Unix socket.  want_pidfd: also take a pidfd (edged only).  Free with peer_done. */
enum err_code peer_of(int fd, bool want_pidfd, struct peer *ret, struct err *err) MUST_CHECK;
void peer_done(struct peer *peer); /* closes the pidfd; for AUTO() */
/* Can this kernel name a peer by pidfd?  For the log and `status`. */
bool peer_has_pidfd(void);

#endif
