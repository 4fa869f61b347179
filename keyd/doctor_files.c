#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/doctor.h"

#define OTHERS_ANY (S_IRWXG | S_IRWXO)

/* Of root, or of the user that keyd runs as, which could change it anyway? */
static bool
is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* --- keyd's directory */

static void
check_secret(struct doctor *d, const char *homedir)
{
	AUTO(str_freep) char *path = NULL;
	struct err err = { 0 };
	struct stat st;

	if (str_format(&path, &err, "%s/handles.key", homedir) || stat(path, &st))
		return; /* made at the first start */
	if (st.st_uid != geteuid() || (st.st_mode & OTHERS_ANY))
		doctor_find(d, DOCTOR_SECRET_OPEN, "%s has mode %04o and owner %u", path,
		    (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
	else
		doctor_ok(d, "%s is keyd's alone", path);
}

static void
check_directory(struct doctor *d, const char *path, const struct stat *st)
{
	if (!S_ISDIR(st->st_mode))
		doctor_find(d, DOCTOR_HOME_MISSING, "%s is no directory", path);
	else if (st->st_uid != geteuid())
		doctor_find(d, DOCTOR_HOME_OWNER, "%s is of user %u, and keyd's is %u", path,
		    (unsigned)st->st_uid, (unsigned)geteuid());
	else if (st->st_mode & OTHERS_ANY)
		doctor_find(
		    d, DOCTOR_HOME_OPEN, "%s has mode %04o", path, (unsigned)st->st_mode & 07777);
	else if (access(path, R_OK | W_OK | X_OK))
		doctor_find(d, DOCTOR_HOME_MISSING, "%s: %s", path, strerror(errno));
	else
		doctor_ok(d, "%s is keyd's alone", path);
}

void
doctor_home(struct doctor *d, const char *homedir)
{
	AUTO(str_freep) char *keys = NULL;
	struct err err = { 0 };
	struct stat st;

	if (!homedir)
		return;
	if (stat(homedir, &st)) {
		doctor_find(d, DOCTOR_HOME_MISSING, "%s: %s", homedir, strerror(errno));
		return;
	}
	check_directory(d, homedir, &st);
	check_secret(d, homedir);
	if (str_format(&keys, &err, "%s/keys", homedir) == ERR_OK && stat(keys, &st) == 0)
		check_directory(d, keys, &st);
}

/* --- a library and its directory: who may change either puts code of his own into keyd's worker */

static bool
check_closed(struct doctor *d, const char *path)
{
	struct stat st;
	mode_t bad;

	if (stat(path, &st))
		return true; /* loading it says what is wrong */
	/* Debian's /usr/local/lib belongs to a group; in a sticky directory nobody replaces another's file */
	bad = S_ISDIR(st.st_mode) ? S_IWOTH : S_IWGRP | S_IWOTH;
	if (S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX))
		bad = 0;
	if (is_ours(&st) && !(st.st_mode & bad))
		return true;
	doctor_find(d, DOCTOR_LIBRARY_OPEN, "%s has mode %04o and owner %u", path,
	    (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
	return false;
}

void
doctor_library(struct doctor *d, const char *library)
{
	const char *slash = strrchr(library, '/');
	AUTO(str_freep) char *dir = NULL;
	struct err err = { 0 };

	if (str_format(&dir, &err, "%.*s/", slash ? (int)(slash - library) : 0, library))
		return;
	if (check_closed(d, library) && check_closed(d, dir))
		doctor_ok(d, "only root and keyd may change the library");
}

/* --- a PIN */

void
doctor_pin_file(struct doctor *d, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		doctor_find(d, DOCTOR_PIN_FILE, "%s: %s", path, strerror(errno));
	else if (!is_ours(&st) || (st.st_mode & (S_IWGRP | S_IRWXO)))
		doctor_find(d, DOCTOR_PIN_FILE_OPEN, "%s has mode %04o and owner %u", path,
		    (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
	else if (access(path, R_OK))
		doctor_find(d, DOCTOR_PIN_FILE, "%s: %s", path, strerror(errno));
	else
		doctor_ok(d, "%s is closed to others", path);
}
