#ifndef PLATFORM_PRIVS_H
#define PLATFORM_PRIVS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define PRIVS_GROUPS_MAX 16

struct privs_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[PRIVS_GROUPS_MAX]; /* supplementary */
	size_t n_groups;
};

/*
 * Resolve "NAME" through the passwd and group files, or numeric "UID:GID[,GID...]", which needs no entry
 * (decisions.md, Users).  ERR_NOT_FOUND: no such user; the text names the remedy.
 */
enum err_code privs_lookup(const char *spec, struct privs_user *ret, struct err *err) MUST_CHECK;

/* Become that user for good: groups, gid, uid, all capabilities and the bounding set gone.  Root only. */
enum err_code privs_become(const struct privs_user *user, struct err *err) MUST_CHECK;

/* no_new_privs, no capabilities in any set; non-dumpable unless keep_dumpable (sanitizers, architecture.md 4). */
enum err_code privs_lock(int keep_dumpable, struct err *err) MUST_CHECK;

#endif
