#include "edged/disks.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "base/mem.h"
#include "edged/kernel_file.h"

#define DISKS_MAX 64

/* "SSD" or "HDD" by the device's own word; upstream's word where there is none. */
static const char *
kind_of(dev_t dev)
{
	static const char *const places[] = { "/sys/dev/block/%u:%u/queue/rotational",
		"/sys/dev/block/%u:%u/../queue/rotational" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		AUTO(str_freep) char *rotational = NULL;
		char path[128];

		snprintf(path, sizeof(path), places[i], major(dev), minor(dev));
		rotational = kernel_file_line(path);
		if (rotational)
			return strcmp(rotational, "0") == 0 ? "SSD" : "HDD";
	}
	return "Unknown(-1)";
}

static bool
seen(const struct edged_resources *r, const char *name)
{
	for (size_t i = 0; i < r->disks.n; i++)
		if (strcmp(r->disks.at[i].name, name) == 0)
			return true;
	return false;
}

static enum err_code
add(struct edged_resources *r, const struct mntent *mount, struct err *err)
{
	struct edged_disk *at;
	struct statvfs space;
	struct stat st;

	if (strncmp(mount->mnt_fsname, "/dev/", 5) != 0 || seen(r, mount->mnt_fsname) ||
	    r->disks.n == DISKS_MAX || statvfs(mount->mnt_dir, &space) || stat(mount->mnt_dir, &st))
		return ERR_OK;
	at = reallocarray(r->disks.at, r->disks.n + 1, sizeof(*at));
	if (!at)
		return err_nomem(err);
	r->disks.at = at;
	at = &at[r->disks.n++];
	*at = (struct edged_disk){
		.available_space = (int64_t)space.f_bavail * (int64_t)space.f_frsize,
		.total_space = (int64_t)space.f_blocks * (int64_t)space.f_frsize,
	};
	if (str_copy(&at->name, mount->mnt_fsname, err) ||
	    str_copy(&at->file_system, mount->mnt_type, err) ||
	    str_copy(&at->file_type, kind_of(st.st_dev), err))
		return err->code;
	return ERR_OK;
}

enum err_code
disks_read(struct edged_resources *ret, struct err *err)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char line[4096];
	enum err_code code = ERR_OK;

	if (!mounts)
		return ERR_OK;
	while (!code && getmntent_r(mounts, &entry, line, sizeof(line)))
		code = add(ret, &entry, err);
	endmntent(mounts);
	return code;
}
