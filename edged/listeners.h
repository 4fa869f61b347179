#ifndef EDGED_LISTENERS_H
#define EDGED_LISTENERS_H

#include "base/err.h"

/*
 * The sockets that modules call: `<homedir>/mnt/<module>.sock`, one per module, and the old one that they share.  edged binds them,
 * keeps them, and hands duplicates to the workload process, so that a dying process refuses nobody: clients wait in the backlog until the
 * next one accepts (edged-lifecycle.md 4; edged-weaknesses.md B1, B2).
 *
 * A socket is bound once and lives until its container is removed.  It is never bound anew while a container has it mounted, as the
 * mount pins the old inode and everybody inside would get ECONNREFUSED.
 */
struct listeners;
struct proto_server;

/* mnt_dir: the directory (0711, made if missing), copied. */
enum err_code listeners_new(
    const char *mnt_dir, struct listeners **ret, struct err *err) MUST_CHECK;
void listeners_free(struct listeners *l); /* closes, leaves the files */

/* Does the module's socket path fit into 107 bytes?  ERR_INVALID (decisions.md, Demo and suite network). */
enum err_code listeners_name_fits(
    const struct listeners *l, const char *module, struct err *err) MUST_CHECK;

/*
 * Make sure that the module's socket listens and is served for this container: bind if there is none, tell the workload process of it, or of
 * its new container id.  Called before the engine starts the container, for existing containers only.
 */
enum err_code listeners_ensure(
    struct listeners *l, const char *module, const char *container_id, struct err *err) MUST_CHECK;
/*
 * The container that edged itself last served under this name.  A container that somebody made anew under the name, behind edged's back, is
 * not it until edged starts it.  ERR_NOT_FOUND: none.
 */
enum err_code listeners_container_of(
    struct listeners *l, const char *module, char ret_id[65], struct err *err) MUST_CHECK;
/* The container is gone: stop serving, close, unlink.  Success when there was none. */
void listeners_remove(struct listeners *l, const char *module);
/* The old shared socket (owned from here on). */
enum err_code listeners_legacy(struct listeners *l, int fd, struct err *err) MUST_CHECK;

/* A workload process is there: hand it all sockets, and each later one.  NULL: it is gone. */
void listeners_serve_by(struct listeners *l, struct proto_server *s);

#endif
