#include "identityd/state.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "crypto/digest.h"
#include "data/toml.h"

#define FILE_MAX ((size_t)1024 * 1024)

struct state {
	char *device_info, *prev_state, *modules; /* paths */
	unsigned deletes;			  /* backups dropped so far */
};

/* `local_gateway_hostname` is there even without a parent: it then names the hub. */
FIELDS(device_info, STR(hub, "hub_name", REQUIRED | NONEMPTY),
    STR(gateway, "local_gateway_hostname", OPTIONAL),
    STR(device_id, "device_id", REQUIRED | NONEMPTY));

/* --- opening: remove what a crash left of a write --- */

static void
sweep(const char *homedir, const char *modules)
{
	struct dirent *e;
	DIR *d = opendir(modules);

	file_sweep(homedir);
	if (!d)
		return;
	while ((e = readdir(d))) {
		AUTO(str_freep) char *path = NULL;
		struct err err = { 0 };

		if (e->d_name[0] != '.' &&
		    str_format(&path, &err, "%s/%s", modules, e->d_name) == ERR_OK)
			file_sweep(path);
	}
	closedir(d);
}

enum err_code
state_open(const char *homedir, struct state **ret, struct err *err)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	if (str_format(&s->device_info, err, "%s/device_info", homedir) ||
	    str_format(&s->prev_state, err, "%s/prev_state", homedir) ||
	    str_format(&s->modules, err, "%s/modules", homedir) ||
	    file_mkdirs(homedir, 0700, err)) {
		state_free(s);
		return err->code;
	}
	sweep(homedir, s->modules);
	*ret = s;
	return ERR_OK;
}

void
state_free(struct state *s)
{
	if (!s)
		return;
	str_freep(&s->device_info);
	str_freep(&s->prev_state);
	str_freep(&s->modules);
	free(s);
}

/* --- device_info --- */

static bool
says_unprovisioned(const struct bytes *content)
{
	static const char word[] = "unprovisioned";
	size_t n = sizeof(word) - 1;

	if (content->len < n || memcmp(content->data, word, n) != 0)
		return false;
	while (n < content->len && strchr(" \t\r\n", content->data[n]))
		n++;
	return n == content->len;
}

enum err_code
state_device_load(struct state *s, struct device_info *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes content = { 0 };
	AUTO(toml_freep) struct toml *tree = NULL;
	AUTO(json_freep) struct json_t *json = NULL;

	if (file_read(s->device_info, FILE_MAX, &content, err))
		return err->code;
	if (content.len == 0 || says_unprovisioned(&content))
		return err_set(err, ERR_NOT_FOUND, "the device is not provisioned");
	if (toml_parse("device_info", text_of_bytes(&content), &tree, err) ||
	    toml_to_json(tree, &json, err))
		return err->code;
	return device_info_read(ret, json, err);
}

static bool
info_names(const struct device_info *info, const struct device *d)
{
	return strcmp(info->hub, d->hub) == 0 && strcmp(info->device_id, d->id) == 0 &&
	       strcmp(info->gateway ? info->gateway : info->hub, d->gateway) == 0;
}

bool
state_device_is(struct state *s, const struct device *d)
{
	AUTO(device_info_done) struct device_info info = { 0 };
	struct err err = { 0 };

	return state_device_load(s, &info, &err) == ERR_OK && info_names(&info, d);
}

/* Host names and device ids hold no character that TOML would want escaped (device_new has seen to it). */
static enum err_code
device_write(struct state *s, const struct device *d, struct err *err)
{
	AUTO(str_freep) char *text = NULL;

	if (str_format(&text, err,
		"hub_name = \"%s\"\nlocal_gateway_hostname = \"%s\"\ndevice_id = \"%s\"\n", d->hub,
		d->gateway, d->id))
		return err->code;
	return file_write(s->device_info, 0600, text, strlen(text), err);
}

/* "<modules>/<sha256 of hub>-<sha256 of device id>" */
static enum err_code
backup_dir(const struct state *s, const struct device *d, char **ret, struct err *err)
{
	uint8_t digest[SHA256_LEN];
	char hub[2 * SHA256_LEN + 1], id[2 * SHA256_LEN + 1];

	if (digest_sha256(d->hub, strlen(d->hub), digest, err))
		return err->code;
	digest_hex(digest, sizeof(digest), hub);
	if (digest_sha256(d->id, strlen(d->id), digest, err))
		return err->code;
	digest_hex(digest, sizeof(digest), id);
	return str_format(ret, err, "%s/%s-%s", s->modules, hub, id);
}

static enum err_code
backup_path(const struct state *s, const struct device *d, const char *module_id, char **ret,
    struct err *err)
{
	AUTO(str_freep) char *dir = NULL;
	AUTO(str_freep) char *name = NULL;

	if (backup_dir(s, d, &dir, err) || digest_file_name(module_id, "", &name, err))
		return err->code;
	return str_format(ret, err, "%s/%s", dir, name);
}

static void
remove_backups_in(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d))) {
		AUTO(str_freep) char *path = NULL;
		struct err err = { 0 };

		if (e->d_name[0] != '.' &&
		    str_format(&path, &err, "%s/%s", dir, e->d_name) == ERR_OK)
			unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

/* Backups of other devices: nobody will ask for them again.  What cannot be removed only takes space. */
static void
prune_backups(const struct state *s, const char *keep_dir)
{
	struct dirent *e;
	DIR *d = opendir(s->modules);

	if (!d)
		return;
	while ((e = readdir(d))) {
		AUTO(str_freep) char *path = NULL;
		struct err err = { 0 };

		if (e->d_name[0] == '.' || str_format(&path, &err, "%s/%s", s->modules, e->d_name))
			continue;
		if (strcmp(path, keep_dir) != 0)
			remove_backups_in(path);
	}
	closedir(d);
}

enum err_code
state_device_commit(struct state *s, const struct device *d, struct err *err)
{
	AUTO(str_freep) char *dir = NULL;

	if (state_device_is(s, d))
		return ERR_OK;
	if (backup_dir(s, d, &dir, err) || file_remove(s->prev_state, err) ||
	    device_write(s, d, err))
		return err->code;
	prune_backups(s, dir);
	return ERR_OK;
}

/* --- prev_state --- */

enum err_code
state_prev_modules(struct state *s, const struct device *d, name_list *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes content = { 0 };
	enum err_code code;

	if (!state_device_is(s, d))
		return ERR_OK;
	code = file_read(s->prev_state, FILE_MAX, &content, err);
	if (code == ERR_NOT_FOUND)
		return ERR_OK;
	if (code)
		return code;
	/* unreadable: as if absent, since without it nothing is ever deleted from the hub */
	if (settings_prev_modules(text_of_bytes(&content), ret, err) == ERR_NOMEM)
		return err->code;
	return ERR_OK;
}

enum err_code
state_prev_save(struct state *s, const struct settings *settings, struct err *err)
{
	AUTO(str_freep) char *text = NULL;
	AUTO(bytes_done) struct bytes old = { 0 };

	if (settings_write_toml(settings, &text, err))
		return err->code;
	if (file_read(s->prev_state, FILE_MAX, &old, err) == ERR_OK && old.len == strlen(text) &&
	    memcmp(old.data, text, old.len) == 0)
		return ERR_OK;
	return file_write(s->prev_state, 0600, text, strlen(text), err);
}

/* --- backups --- */

enum err_code
state_backup_load(struct state *s, const struct device *d, const char *module_id,
    struct hub_module *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	AUTO(bytes_done) struct bytes content = { 0 };
	AUTO(hub_module_done) struct hub_module module = { 0 };

	if (backup_path(s, d, module_id, &path, err) || file_read(path, FILE_MAX, &content, err))
		return err->code;
	if (fields_read_text(hub_module_fields, &module, text_of_bytes(&content), err) ||
	    strcmp(module.module_id, module_id) != 0 || !module.generation_id)
		return err_set(err, ERR_NOT_FOUND, "the backup of %s is unreadable", module_id);
	*ret = module;
	module = (struct hub_module){ 0 };
	return ERR_OK;
}

static bool
holds(const char *path, const char *text)
{
	AUTO(bytes_done) struct bytes old = { 0 };
	struct err err = { 0 };

	return file_read(path, FILE_MAX, &old, &err) == ERR_OK &&
	       text_equal(text_of_bytes(&old), text);
}

enum err_code
state_backup_save(struct state *s, const struct device *d, const struct hub_module *module,
    unsigned since, struct err *err)
{
	struct hub_module bare = *module; /* borrows */
	AUTO(str_freep) char *dir = NULL;
	AUTO(str_freep) char *path = NULL;
	AUTO(str_freep) char *text = NULL;

	bare.authentication = NULL;
	if (backup_dir(s, d, &dir, err) || backup_path(s, d, module->module_id, &path, err) ||
	    fields_write_text(hub_module_fields, &bare, &text, err))
		return err->code;
	if (holds(path, text))
		return ERR_OK;
	if (file_mkdirs(dir, 0700, err) || file_write(path, 0600, text, strlen(text), err))
		return err_wrap_code(err, ERR_IO, "could not save the backup");
	/* a delete counts first and unlinks then, so one of the two of us sees the other */
	if (state_backup_epoch(s) != since)
		return file_remove(path, err);
	return ERR_OK;
}

enum err_code
state_backup_drop(struct state *s, const struct device *d, const char *module_id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	__atomic_add_fetch(&s->deletes, 1, __ATOMIC_SEQ_CST);
	if (backup_path(s, d, module_id, &path, err))
		return err->code;
	return file_remove(path, err);
}

unsigned
state_backup_epoch(const struct state *s)
{
	return __atomic_load_n(&s->deletes, __ATOMIC_SEQ_CST);
}
