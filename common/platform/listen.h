#ifndef PLATFORM_LISTEN_H
#define PLATFORM_LISTEN_H

#include <sys/types.h>

#include "base/err.h"

/*
 * Listening sockets: inherited from systemd or bound here (contracts/common.md 3, edged-management.md 1.1),
 * without upstream's traps (edged-weaknesses.md B3: with LISTEN_FDS=1 the descriptor serves only the one
 * listener that a daemon names as its main one, never every name asked for).
 */

/* daemon_main calls this and listen_set_owner before spec's open, where listen_open is called.
 * Read LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES once, set FD_CLOEXEC, and remove them from the environment.
 * ERR_CONFIG: more names than descriptors or fewer; a descriptor that is no listening AF_UNIX stream socket. */
enum err_code listen_init(struct err *err) MUST_CHECK;

/* Started as root: socket files made from now on belong to the service user and its group (common.md 3). */
void listen_set_owner(uid_t uid, gid_t gid);

/*
 * Get a listening socket.
 *   uri    "unix:///path", "fd://N" or "fd://name"; anything else, TCP above all, is ERR_CONFIG
 *   name   systemd's descriptor name for it (the unit's), which wins over a unix:// uri; NULL: bind only
 *   sole   with LISTEN_FDS=1 and no matching name take that one (the four identity daemons)
 *   mode   of the socket file when bound here, e.g. 0660
 * The descriptor is blocking and FD_CLOEXEC; an inherited one is the same number at every call, so ask once for each.
 * Paths are at most 107 bytes; missing directories are not made.  May be called by any thread (the umask stays).
 * An old socket file is replaced, an empty directory there removed; anything else in the way is ERR_CONFLICT.
 */
enum err_code listen_open(const char *uri, const char *name, int sole, mode_t mode, int *ret_fd,
    struct err *err) MUST_CHECK;

#endif
