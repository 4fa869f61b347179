#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/sandbox_impl.h"

/*
 * Landlock (Documentation/userspace-api/landlock.rst) by its system calls, with our own names for its constants: the
 * headers of the build machine may be older than the kernel that we run on.
 *
 * What it does for us: a role opens, makes, renames and removes only below its declared paths; it executes nothing; where
 * the kernel can, it binds no TCP port, connects to none without AF_INET, and reaches no abstract socket and no process
 * outside.  What it cannot do: it does not stop connect() to a path-name socket, nor use of descriptors opened before, nor
 * stat() and chdir().  A role that must not reach a socket has no socket() or connect() in its filter.
 */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_ALL_ABI1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,	/* ABI 2: rename and link between directories */
	FS_TRUNCATE = 1 << 14,	/* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */

	NET_BIND_TCP = 1 << 0, /* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,

	SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,

	RULE_PATH_BENEATH = 1,
	CREATE_RULESET_VERSION = 1,
};

struct ruleset {
	uint64_t fs;
	uint64_t net;	/* from ABI 4 */
	uint64_t scope; /* from ABI 6 */
};

struct path_rule {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

int
sandbox_landlock_abi(void)
{
	/* a fact about the kernel, kept because the policy forbids asking again; one more than the answer, 0 before */
	static atomic_int kept;
	int abi = atomic_load(&kept) - 1;

	if (abi < 0) {
		abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
		abi = abi < 0 ? 0 : abi;
		atomic_store(&kept, abi + 1);
	}
	return abi;
}

static uint64_t
handled_fs(int abi)
{
	return FS_ALL_ABI1 | (abi >= 2 ? FS_REFER : 0u) | (abi >= 3 ? FS_TRUNCATE : 0u) |
	       (abi >= 5 ? FS_IOCTL_DEV : 0u);
}

static uint64_t
rights_of(unsigned access, mode_t type, uint64_t handled)
{
	uint64_t rights = 0;

	if (access & SANDBOX_READ)
		rights |= FS_READ_FILE | FS_READ_DIR;
	if (access & SANDBOX_WRITE)
		rights |= FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG | FS_MAKE_DIR | FS_MAKE_SOCK |
			  FS_REMOVE_FILE | FS_REMOVE_DIR | FS_REFER;
	/* a directory is one of devices that come and go (/dev/bus/usb), or has none: nobody can make them */
	if ((S_ISCHR(type) || S_ISDIR(type)) && access & SANDBOX_WRITE)
		rights |= FS_IOCTL_DEV;
	if (!S_ISDIR(type)) /* the kernel refuses rights of directories on a file */
		rights &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	return rights & handled;
}

static enum err_code
add_path(int ruleset, const struct sandbox_path *path, uint64_t handled, struct err *err)
{
	AUTO(fd_closep) int fd = open(path->path, O_PATH | O_CLOEXEC);
	struct path_rule rule = { .parent = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		/* what cannot be reached now cannot be used either; the use will say so */
		log_debug("sandbox: %s is left out: %m", path->path);
		return ERR_OK;
	}
	rule.access = rights_of(path->access, st.st_mode, handled);
	if (rule.access && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0))
		return err_errno(err, "landlock rule for %s", path->path);
	return ERR_OK;
}

enum err_code
landlock_apply(const struct sandbox_role *role, const struct sandbox_paths *paths, struct err *err)
{
	const int abi = sandbox_landlock_abi();
	const bool inet = sandbox_has_family(role, AF_INET) || sandbox_has_family(role, AF_INET6);
	const struct ruleset attr = { handled_fs(abi), NET_BIND_TCP | (inet ? 0u : NET_CONNECT_TCP),
		SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL };
	const size_t size = (abi >= 6 ? 3 : abi >= 4 ? 2 : 1) * sizeof(uint64_t);
	AUTO(fd_closep) int ruleset = -1;

	if (abi == 0) {
		log_warn(
		    "sandbox: this kernel has no Landlock; files are guarded by their modes only");
		return ERR_OK;
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return err_errno(err, "landlock_create_ruleset");
	for (size_t i = 0; i < paths->n; i++)
		if (add_path(ruleset, &paths->at[i], attr.fs, err))
			return err->code;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_errno(err, "could not set no_new_privs");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0))
		return err_errno(err, "landlock_restrict_self");
	return ERR_OK;
}
