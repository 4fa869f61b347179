#include "keyd/file_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "crypto/digest.h"
#include "data/uri.h"
#include "keyd/file_kek.h"
#include "keyd/wrap.h"

#define SUFFIX ".key"

struct file_store {
	const struct backend_config *config;
	char *dir;	   /* NULL: no homedir */
	struct wrap *wrap; /* NULL: new files are plain, and wrapped ones stay closed */
};

/* --- the lock: of who writes one file, LOCK_SH; of who rewrites any of them, LOCK_EX */

/* Held as long as the descriptor is open; each holder has its own, as a lock belongs to the opened file. */
static enum err_code
lock(const struct file_store *s, int how, int *ret_fd, struct err *err)
{
	AUTO(fd_closep) int fd = -1;

	if (!s->dir)
		return ERR_OK;
	fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "could not open %s", s->dir);
	while (flock(fd, how))
		if (errno != EINTR)
			return err_errno(err, "could not lock %s", s->dir);
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

/* --- open and close */

/* The directory of a preloaded key, where it is our own: in others we write nothing, nor does what lies there concern us. */
static enum err_code
sweep_preloaded(const char *uri, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct stat st;

	if (uri_file_path(uri, &path, err))
		return err->code;
	*strrchr(path, '/') = '\0';
	if (stat(path, &st) == 0 && st.st_uid == geteuid())
		file_sweep(path);
	return ERR_OK;
}

/* What a crash left of a write; nobody writes while the lock is held. */
static enum err_code
sweep(const struct file_store *s, struct err *err)
{
	AUTO(fd_closep) int held = -1;

	if (lock(s, LOCK_EX, &held, err))
		return err->code;
	if (s->dir)
		file_sweep(s->dir);
	for (size_t i = 0; i < s->config->n_preloaded; i++)
		if (sweep_preloaded(s->config->preloaded[i].uri, err))
			return err->code;
	return ERR_OK;
}

static enum err_code
read_raw(const char *path, struct bytes *ret, struct err *err)
{
	enum err_code code = file_read(path, BACKEND_KEY_MAX + WRAP_OVERHEAD, ret, err);

	/* a damaged file is an error of ours: it may be all that is left of a device's identity */
	if (code == ERR_INVALID)
		code = err->code = ERR_INTERNAL;
	return code;
}

static bool
note_wrapped(void *found, const char *path)
{
	AUTO(bytes_done) struct bytes raw = { 0 };
	struct err err = { 0 };

	if (read_raw(path, &raw, &err) == ERR_OK)
		*(bool *)found = wrap_is_wrapped(&raw);
	return !*(bool *)found;
}

static enum err_code
open_wrap(struct file_store *s, struct err *err)
{
	AUTO(bytes_done) struct bytes kek = { 0 };
	bool found = false;

	if (!s->config->wrap)
		return ERR_OK;
	if (file_kek_is_new(s->config) && file_store_each(s, note_wrapped, &found, err))
		return err->code;
	if (file_kek_get(s->config, !found, &kek, err))
		return err->code;
	return wrap_new(s->config->mech, &kek, &s->wrap, err);
}

static enum err_code
open_in(struct file_store *s, struct err *err)
{
	const char *homedir = s->config->homedir;

	if (homedir &&
	    (str_format(&s->dir, err, "%s/keys", homedir) || file_mkdirs(s->dir, 0700, err)))
		return err->code;
	return sweep(s, err) ? err->code : open_wrap(s, err);
}

enum err_code
file_store_open(const struct backend_config *config, struct file_store **ret, struct err *err)
{
	struct file_store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	s->config = config;
	if (open_in(s, err)) {
		file_store_close(s);
		return err->code;
	}
	*ret = s;
	return ERR_OK;
}

void
file_store_close(struct file_store *s)
{
	if (!s)
		return;
	wrap_free(s->wrap);
	str_freep(&s->dir);
	free(s);
}

enum err_code
file_store_path(const struct file_store *s, const char *id, char **ret, struct err *err)
{
	const char *preloaded = backend_preloaded_uri(s->config, id);
	AUTO(str_freep) char *name = NULL;

	if (preloaded)
		return uri_file_path(preloaded, ret, err);
	if (!s->dir)
		return err_set(err, ERR_NOT_FOUND, "there is no homedir");
	if (digest_file_name(id, SUFFIX, &name, err))
		return err->code;
	return str_format(ret, err, "%s/%s", s->dir, name);
}

/* --- one file */

/* The key in the bytes of a file. */
static enum err_code
take_off(const struct file_store *s, const char *path, const struct bytes *raw, struct bytes *ret,
    struct err *err)
{
	AUTO(bytes_done) struct bytes content = { 0 };

	if (wrap_is_wrapped(raw) ? wrap_open(s->wrap, path, raw, &content, err)
				 : bytes_copy(&content, raw->data, raw->len, err))
		return err->code;
	if (content.len == 0)
		return err_set(err, ERR_INTERNAL, "key file %s is empty", path);
	if (content.len > BACKEND_KEY_MAX)
		return err_set(err, ERR_INTERNAL, "key file %s is longer than %d bytes", path,
		    BACKEND_KEY_MAX);
	*ret = bytes_take(&content);
	return ERR_OK;
}

enum err_code
file_store_read(const struct file_store *s, const char *path, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes raw = { 0 };

	if (read_raw(path, &raw, err))
		return err->code;
	return take_off(s, path, &raw, ret, err);
}

typedef enum err_code file_writer(
    const char *path, mode_t mode, const void *data, size_t len, struct err *err);

/* The bytes of a file for that key, written by file_write or file_create. */
static enum err_code
put(const struct file_store *s, bool wrapped, const char *path, const struct bytes *content,
    file_writer *write_file, struct err *err)
{
	AUTO(bytes_done) struct bytes sealed = { 0 };

	if (!wrapped) {
		/* it would be taken for wrapped ever after */
		if (wrap_is_wrapped(content))
			return err_set(err, ERR_INVALID, "the key begins as wrapped key files do");
		return write_file(path, 0600, content->data, content->len, err);
	}
	if (wrap_seal(s->wrap, path, content, &sealed, err))
		return err->code;
	return write_file(path, 0600, sealed.data, sealed.len, err);
}

enum err_code
file_store_create(
    const struct file_store *s, const char *path, const struct bytes *content, struct err *err)
{
	AUTO(fd_closep) int held = -1;

	if (lock(s, LOCK_SH, &held, err))
		return err->code;
	return put(s, s->wrap != NULL, path, content, file_create, err);
}

enum err_code
file_store_write(
    const struct file_store *s, const char *path, const struct bytes *content, struct err *err)
{
	AUTO(fd_closep) int held = -1;

	if (lock(s, LOCK_SH, &held, err))
		return err->code;
	return put(s, s->wrap != NULL, path, content, file_write, err);
}

static bool
same_directory(const char *a, const char *b)
{
	size_t len = (size_t)(strrchr(a, '/') - a);

	return len == (size_t)(strrchr(b, '/') - b) && strncmp(a, b, len) == 0;
}

enum err_code
file_store_move(const struct file_store *s, const char *from, const char *to, struct err *err)
{
	AUTO(fd_closep) int held = -1;
	AUTO(bytes_done) struct bytes raw = { 0 };
	AUTO(bytes_done) struct bytes content = { 0 };

	if (lock(s, LOCK_SH, &held, err) || read_raw(from, &raw, err))
		return err->code;
	if (!s->wrap && !wrap_is_wrapped(&raw) && same_directory(from, to))
		return file_rename(from, to, err);
	/*
	 * A wrapped file is bound to its name, and a preloaded id may lie on another file system: write it anew, and let go of the
	 * source last.
	 */
	if (take_off(s, from, &raw, &content, err) ||
	    put(s, s->wrap != NULL, to, &content, file_write, err))
		return err->code;
	return file_remove(from, err);
}

enum err_code
file_store_remove(const struct file_store *s, const char *path, struct err *err)
{
	AUTO(fd_closep) int held = -1;

	if (lock(s, LOCK_SH, &held, err))
		return err->code;
	return file_remove(path, err);
}

/* --- all files */

enum err_code
file_store_change(const struct file_store *s, const char *path, bool wrapped, enum file_change *ret,
    struct err *err)
{
	AUTO(fd_closep) int held = -1;
	AUTO(bytes_done) struct bytes raw = { 0 };
	AUTO(bytes_done) struct bytes content = { 0 };
	struct stat st;
	enum err_code code;

	*ret = FILE_GONE;
	if (lock(s, LOCK_EX, &held, err))
		return err->code;
	/* the link would be replaced, and a key that is said to be wrapped lie in the clear where it led */
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, ERR_INVALID, "it is a link; what it names would stay as it is");
	code = read_raw(path, &raw, err);
	if (code)
		return code == ERR_NOT_FOUND ? ERR_OK : code;
	if (take_off(s, path, &raw, &content, err))
		return err->code;
	*ret = FILE_WAS_SO;
	if (wrap_is_wrapped(&raw) == wrapped)
		return ERR_OK;
	*ret = FILE_CHANGED;
	return put(s, wrapped, path, &content, file_write, err);
}

static enum err_code
each_preloaded(const struct file_store *s, bool (*each)(void *ctx, const char *path), void *ctx,
    struct err *err)
{
	for (size_t i = 0; i < s->config->n_preloaded; i++) {
		AUTO(str_freep) char *path = NULL;

		if (uri_file_path(s->config->preloaded[i].uri, &path, err))
			return err->code;
		if (!each(ctx, path))
			break;
	}
	return ERR_OK;
}

/* Names first: a directory that is rewritten while it is read may show a file twice or not at all. */
static int
is_key_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix_len = strlen(SUFFIX);

	return len > suffix_len && strcmp(entry->d_name + len - suffix_len, SUFFIX) == 0;
}

enum err_code
file_store_each(const struct file_store *s, bool (*each)(void *ctx, const char *path), void *ctx,
    struct err *err)
{
	struct dirent **names = NULL;
	enum err_code code = ERR_OK;
	bool more = true;
	int n = 0;

	if (s->dir)
		n = scandir(s->dir, &names, is_key_file, NULL);
	if (n < 0)
		return err_errno(err, "could not read %s", s->dir);
	for (int i = 0; i < n; i++) {
		AUTO(str_freep) char *path = NULL;

		if (more && code == ERR_OK)
			code = str_format(&path, err, "%s/%s", s->dir, names[i]->d_name);
		if (path)
			more = each(ctx, path);
		free(names[i]);
	}
	free(names);
	return code || !more ? code : each_preloaded(s, each, ctx, err);
}
