#ifndef EDGED_ATTEST_H
#define EDGED_ATTEST_H

#include "platform/peer.h"

/*
 * Is the process at the other end of a connection one of a container's?  Never by the engine's `top` (contracts/docker.md 6, 7).
 * Used by edged (guarded management routes, against edgeAgent's container) and by its workload process.
 *
 * The process is pinned by peer->pidfd, or by pidfd_open and its start time where the kernel has no SO_PEERPIDFD; its cgroup is read
 * from /proc and believed only if the process still lives afterwards.  A dead, recycled or unreadable process is denied, never guessed.
 */

#define ATTEST_ID_LEN 64 /* hex digits of a container id */

/*
 *   container_id   the full id, 64 lower-case hex digits
 * ERR_DENIED: not a process of that container, or not to be told; the text is for the log, the wire says `forbidden`.
 * Source: contracts/docker.md 7, edged-weaknesses.md A9.
 */
enum err_code attest_peer(
    const struct peer *peer, const char *container_id, struct err *err) MUST_CHECK;

/*
 * The container that the text of a /proc/PID/cgroup file names: the outermost path segment that holds 64 hex digits, the same on every
 * line that has one ("/docker/ID", "docker-ID.scope", "libpod-ID" and so on; where version 1 and 2 of control groups are mixed, some lines
 * name none: measured).  Below it a container may make groups of any name,
 * so inner segments say nothing.
 * ERR_NOT_FOUND: a process of the host, or lines that disagree.
 */
enum err_code attest_cgroup_container(
    const char *cgroup_text, char ret_id[ATTEST_ID_LEN + 1], struct err *err) MUST_CHECK;

#endif
