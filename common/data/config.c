#include "data/config.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"

/* The drop-in files in the order in which they are read. */
struct dropins {
	char **paths;
	size_t n;
};

static void
dropins_done(struct dropins *d)
{
	for (size_t i = 0; i < d->n; i++)
		str_freep(&d->paths[i]);
	free(d->paths);
	*d = (struct dropins){ 0 };
}

/* Whatever is wrong with the configuration is the operator's to mend; only memory is not. */
static enum err_code
config_error(struct err *err)
{
	if (err->code != ERR_NOMEM)
		err->code = ERR_CONFIG;
	return err->code;
}

/* A name that ends in ".toml" and has something before it; upstream takes ".toml" for a hidden file without extension. */
static int
is_named_toml(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name && strcmp(dot, ".toml") == 0;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Regular files only, as upstream; what is skipped although its name fits is said, since nobody else would. */
static bool
is_wanted(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return true; /* let reading it say what is wrong */
	if (S_ISLNK(st.st_mode))
		log_warn("%s is a symbolic link and not read: copy the file", path);
	return S_ISREG(st.st_mode);
}

static enum err_code
dropins_add(struct dropins *d, const char *dir, const char *name, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (str_format(&path, err, "%s/%s", dir, name))
		return err->code;
	if (!is_wanted(path))
		return ERR_OK;
	d->paths[d->n++] = path;
	path = NULL;
	return ERR_OK;
}

static enum err_code
dropins_list(struct dropins *ret, const char *dir, struct err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_named_toml, by_name);
	enum err_code code = ERR_OK;

	if (n < 0 && errno == ENOENT)
		return ERR_OK;
	if (n < 0)
		return err_errno(err, "could not read the directory %s", dir);
	ret->paths = calloc((size_t)n + 1, sizeof(char *));
	if (!ret->paths)
		code = err_nomem(err);
	for (int i = 0; i < n; i++) {
		if (!code)
			code = dropins_add(ret, dir, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	return code;
}

/* Parse one file; *ret stays NULL when it does not exist and need not. */
static enum err_code
parse_file(const char *path, bool may_be_absent, struct toml **ret, struct err *err)
{
	AUTO(bytes_done) struct bytes text = { 0 };
	enum err_code code = file_read(path, TOML_TEXT_MAX, &text, err);

	if (code == ERR_NOT_FOUND && may_be_absent) {
		err_clear(err);
		return ERR_OK;
	}
	return code ? code : toml_parse(path, text_of_bytes(&text), ret, err);
}

/* Main file, then every drop-in over it.  The nodes borrow the paths in *dropins. */
static enum err_code
merge_files(
    const struct config_source *from, struct dropins *dropins, struct toml **ret, struct err *err)
{
	AUTO(toml_freep) struct toml *root = NULL;

	if (parse_file(from->file, true, &root, err) || dropins_list(dropins, from->dir, err))
		return err->code;
	for (size_t i = 0; i < dropins->n; i++) {
		AUTO(toml_freep) struct toml *more = NULL;

		if (parse_file(dropins->paths[i], false, &more, err))
			return err->code;
		if (!root) {
			root = more;
			more = NULL;
		} else if (toml_merge(root, &more, err))
			return err->code;
	}
	/* nothing there at all is an empty table */
	if (!root && toml_parse(from->file, TEXT(""), &root, err))
		return err->code;
	*ret = root;
	root = NULL;
	return ERR_OK;
}

/* "FILE:LINE: key PATH: what is wrong", from the bare reason that err holds. */
static enum err_code
at_key(const struct toml *root, const char *path, struct err *err)
{
	const struct toml *at = toml_find(root, path);
	char reason[ERR_TEXT_MAX];

	memcpy(reason, err->text, sizeof(reason));
	return err_set(err, ERR_CONFIG, "%s:%u: key %s: %s", at->file, at->line, path, reason);
}

static void
warn_unknown(void *ctx, const char *path)
{
	const struct toml *at = toml_find(ctx, path);

	log_warn("%s:%u: key %s: not known, ignored", at->file, at->line, path);
}

static enum err_code
no_check(const void *config, char *ret_path, size_t path_size, struct err *err)
{
	(void)config, (void)ret_path, (void)path_size, (void)err;
	return ERR_OK;
}

enum err_code
config_read(
    const struct config_source *from, fields_fn *table, void *ret, bool warn, struct err *err)
{
	return config_read_checked(from, table, ret, warn, no_check, err);
}

enum err_code
config_read_checked(const struct config_source *from, fields_fn *table, void *ret, bool warn,
    config_check *check, struct err *err)
{
	AUTO(dropins_done) struct dropins dropins = { 0 };
	AUTO(toml_freep) struct toml *root = NULL;
	AUTO(json_freep) struct json_t *json = NULL;
	char path[256] = "";

	if (merge_files(from, &dropins, &root, err) || toml_to_json(root, &json, err))
		return config_error(err);
	if (fields_read_at(table, ret, json, path, sizeof(path), err))
		return err->code == ERR_SYNTAX ? at_key(root, path, err) : config_error(err);
	if (check(ret, path, sizeof(path), err)) {
		fields_done(table, ret);
		return err->code == ERR_NOMEM ? err->code : at_key(root, path, err);
	}
	if (warn)
		fields_unknown(table, json, warn_unknown, root);
	return ERR_OK;
}
