#include "platform/sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "platform/sandbox_impl.h"

static const char *const mode_names[] = {
	[SANDBOX_OFF] = "off",
	[SANDBOX_LOG] = "log",
	[SANDBOX_ERRNO] = "errno",
	[SANDBOX_KILL] = "kill",
};

int
sandbox_mode_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(mode_names); i++)
		if (strcmp(mode_names[i], name) == 0)
			return (int)i;
	return -1;
}

const char *
sandbox_mode_name(enum sandbox_mode mode)
{
	return mode_names[mode];
}

/* Its place, or paths->n. */
static size_t
find_path(const struct sandbox_paths *paths, const char *path)
{
	size_t i = 0;

	while (i < paths->n && strcmp(paths->at[i].path, path) != 0)
		i++;
	return i;
}

enum err_code
sandbox_paths_add(struct sandbox_paths *paths, const char *path, unsigned access, struct err *err)
{
	size_t at = find_path(paths, path);

	if (at < paths->n) {
		paths->at[at].access |= access;
		return ERR_OK;
	}
	if (paths->n == SANDBOX_PATHS_MAX)
		return err_set(
		    err, ERR_INTERNAL, "a role has more than %d paths", SANDBOX_PATHS_MAX);
	if (str_copy(&paths->at[paths->n].path, path, err))
		return err->code;
	paths->at[paths->n++].access = access;
	return ERR_OK;
}

bool
sandbox_paths_has(const struct sandbox_paths *paths, const char *path)
{
	return find_path(paths, path) < paths->n;
}

enum err_code
sandbox_paths_add_dir_of(
    struct sandbox_paths *paths, const char *file, unsigned access, struct err *err)
{
	AUTO(str_freep) char *dir = NULL;
	const char *slash = strrchr(file, '/');

	if (slash == file)
		return sandbox_paths_add(paths, file, access, err);
	if (str_format(&dir, err, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : "."))
		return err->code;
	return sandbox_paths_add(paths, dir, access, err);
}

void
sandbox_paths_done(struct sandbox_paths *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		free(paths->at[i].path);
	*paths = (struct sandbox_paths){ 0 };
}

bool
sandbox_has_family(const struct sandbox_role *role, int family)
{
	for (const int *f = role->families; f && *f != AF_UNSPEC; f++)
		if (*f == family)
			return true;
	return false;
}

enum err_code
sandbox_apply_files(const struct sandbox_role *role, const struct sandbox_paths *paths,
    enum sandbox_mode mode, struct err *err)
{
	/* log changes nothing that a role does, and Landlock cannot merely watch */
	if (mode == SANDBOX_OFF || mode == SANDBOX_LOG)
		return ERR_OK;
	if (landlock_apply(role, paths, err))
		return err_wrap(err, "could not confine %s to its files", role->name);
	return ERR_OK;
}

enum err_code
sandbox_apply(const struct sandbox_role *role, const struct sandbox_paths *paths,
    enum sandbox_mode mode, struct err *err)
{
	if (mode == SANDBOX_OFF)
		return ERR_OK;
	if (paths && sandbox_apply_files(role, paths, mode, err))
		return err->code;
	if (filter_apply(role, mode, err))
		return err_wrap(err, "could not confine %s to its system calls", role->name);
	return ERR_OK;
}
