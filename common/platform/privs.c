#include "platform/privs.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/* One decimal id, up to a comma, a colon or the end; (id)-1 means "unchanged" to the kernel and is no id. */
static bool
parse_id(const char **at, unsigned *ret)
{
	unsigned long id = 0;
	const char *p = *at;

	for (; *p >= '0' && *p <= '9' && id <= 0xffffffff; p++)
		id = id * 10 + (unsigned long)(*p - '0');
	if (p == *at || id >= 0xffffffff)
		return false;
	*ret = (unsigned)id;
	*at = p;
	return true;
}

static bool
parse_ids(const char *p, struct privs_user *user)
{
	if (!parse_id(&p, &user->uid) || *p++ != ':' || !parse_id(&p, &user->gid))
		return false;
	while (*p)
		if (*p++ != ',' || user->n_groups == PRIVS_GROUPS_MAX ||
		    !parse_id(&p, &user->groups[user->n_groups++]))
			return false;
	return true;
}

static enum err_code
lookup_numeric(const char *spec, struct privs_user *ret, struct err *err)
{
	struct privs_user user = { 0 };

	if (!parse_ids(spec, &user))
		return err_set(err, ERR_INVALID,
		    "user %s is not UID:GID[,GID...] with at most %d further groups", spec,
		    PRIVS_GROUPS_MAX);
	*ret = user;
	return ERR_OK;
}

static enum err_code
lookup_name(const char *name, struct privs_user *ret, struct err *err)
{
	struct privs_user user = { 0 };
	gid_t groups[PRIVS_GROUPS_MAX + 1]; /* getgrouplist counts the primary group too */
	int n = (int)ARRAY_LEN(groups);
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw)
		return err_set(err, ERR_NOT_FOUND,
		    "no user %s; install the package or pass --user NAME or --user "
		    "UID:GID[,GID...]",
		    name);
	user.uid = pw->pw_uid;
	user.gid = pw->pw_gid;
	if (getgrouplist(name, user.gid, groups, &n) < 0)
		return err_set(
		    err, ERR_INVALID, "user %s is in more than %d groups", name, PRIVS_GROUPS_MAX);
	for (int i = 0; i < n && user.n_groups < PRIVS_GROUPS_MAX; i++)
		if (groups[i] != user.gid)
			user.groups[user.n_groups++] = groups[i];
	*ret = user;
	return ERR_OK;
}

enum err_code
privs_lookup(const char *spec, struct privs_user *ret, struct err *err)
{
	if (spec[0] >= '0' && spec[0] <= '9')
		return lookup_numeric(spec, ret, err);
	return lookup_name(spec, ret, err);
}

/* By hand rather than by libcap: two system calls do not need a library. */
static int
caps_get(struct __user_cap_data_struct caps[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return (int)syscall(SYS_capget, &header, caps);
}

static enum err_code
drop_caps(struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	/* kernels before 4.3 have no ambient set to clear */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return err_errno(err, "could not clear the ambient capabilities");
	if (syscall(SYS_capset, &header, none))
		return err_errno(err, "could not drop the capabilities");
	return ERR_OK;
}

/*
 * Without CAP_SETPCAP the bounding set cannot be changed; it bounds only what exec of a privileged file could give, and
 * no_new_privs, which privs_lock sets, gives nothing.
 */
static enum err_code
drop_bounding(struct err *err)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EPERM)
			return err_errno(
			    err, "could not drop capability %lu from the bounding set", cap);
	return ERR_OK;
}

static enum err_code
verify(const struct privs_user *user, struct err *err)
{
	struct __user_cap_data_struct caps[2] = { 0 };
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (getresuid(&ruid, &euid, &suid) || getresgid(&rgid, &egid, &sgid) || caps_get(caps))
		return err_errno(err, "could not read the credentials back");
	if (ruid != user->uid || euid != user->uid || suid != user->uid || rgid != user->gid ||
	    egid != user->gid || sgid != user->gid)
		return err_set(err, ERR_INTERNAL, "the user was not changed");
	if (caps[0].permitted | caps[1].permitted | caps[0].effective | caps[1].effective |
	    caps[0].inheritable | caps[1].inheritable)
		return err_set(err, ERR_INTERNAL, "capabilities are left");
	if (user->uid != 0 && (setresuid(0, 0, 0) == 0 || setgroups(0, NULL) == 0))
		return err_set(err, ERR_INTERNAL, "the change of user can be undone");
	return ERR_OK;
}

enum err_code
privs_become(const struct privs_user *user, struct err *err)
{
	/* the bounding set first, while we may; the groups before the uid that allows them */
	if (drop_bounding(err))
		return err->code;
	if (setgroups(user->n_groups, user->groups))
		return err_errno(err, "could not set the supplementary groups");
	if (setresgid(user->gid, user->gid, user->gid))
		return err_errno(err, "could not become group %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid))
		return err_errno(err, "could not become user %u", user->uid);
	if (drop_caps(err))
		return err->code;
	return verify(user, err);
}

enum err_code
privs_lock(int keep_dumpable, struct err *err)
{
	static const struct rlimit no_core = { 0, 0 };

	if (drop_bounding(err) || drop_caps(err))
		return err->code;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_errno(err, "could not set no_new_privs");
	if (setrlimit(RLIMIT_CORE, &no_core))
		return err_errno(err, "could not forbid core files");
	/* a change of user has made the process non-dumpable, and LeakSanitizer says nothing about such a one */
	if (prctl(PR_SET_DUMPABLE, keep_dumpable ? 1 : 0, 0, 0, 0))
		return err_errno(err, "could not set dumpable");
	return ERR_OK;
}
