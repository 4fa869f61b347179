#include "certd/store.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "certd/token.h"
#include "crypto/digest.h"
#include "data/uri.h"

#define DIR_MODE       0700
#define OWN_MODE       0600 /* in our own directory nobody else reads */
#define PRELOADED_MODE 0644 /* of a preloaded file that was not there: certificates are public */

struct store {
	char *dir;
	struct token_cert *tokens; /* read at the start */
	size_t n_tokens;
	bool unread; /* the module failed */
};

enum err_code
store_open(const char *homedir, struct store **ret, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	if (str_format(&s->dir, err, "%s/certs", homedir) || file_mkdirs(s->dir, DIR_MODE, err)) {
		store_free(s);
		return err->code;
	}
	file_sweep(s->dir);
	*ret = s;
	return ERR_OK;
}

void
store_free(struct store *s)
{
	if (!s)
		return;
	str_freep(&s->dir);
	for (size_t i = 0; i < s->n_tokens; i++) {
		free((char *)(uintptr_t)s->tokens[i].uri);
		str_freep(&s->tokens[i].pem);
	}
	free(s->tokens);
	free(s);
}

/* --- certificates on tokens */

static enum err_code
collect_tokens(struct store *s, const struct certd_config *config, struct err *err)
{
	s->tokens = calloc(config->preloaded.n + 1, sizeof(*s->tokens));
	if (!s->tokens)
		return err_nomem(err);
	for (size_t i = 0; i < config->preloaded.n; i++) {
		char *uri = NULL;

		if (!config->preloaded.at[i].uri)
			continue;
		if (str_copy(&uri, config->preloaded.at[i].uri, err))
			return err->code;
		s->tokens[s->n_tokens++].uri = uri;
	}
	return ERR_OK;
}

enum err_code
store_read_tokens(struct store *s, const struct certd_config *config, struct err *err)
{
	if (collect_tokens(s, config, err) || s->n_tokens == 0)
		return err->code;
	s->unread = true;
	if (!config->pkcs11_lib_path)
		return err_set(err, ERR_CONFIG,
		    "preloaded_certs on a token need pkcs11_lib_path, which is not set");
	if (token_read(config->pkcs11_lib_path, s->tokens, s->n_tokens, err))
		return err->code;
	s->unread = false;
	return ERR_OK;
}

static enum err_code
read_token(const struct store *s, const char *uri, struct bytes *ret, struct err *err)
{
	if (s->unread)
		return err_set(
		    err, ERR_INTERNAL, "the token could not be read at the start of certd");
	for (size_t i = 0; i < s->n_tokens; i++)
		if (strcmp(s->tokens[i].uri, uri) == 0 && s->tokens[i].pem)
			return bytes_copy(ret, s->tokens[i].pem, strlen(s->tokens[i].pem), err);
	return err_set(err, ERR_NOT_FOUND, "not found");
}

/* --- files */

static enum err_code
path_of(const struct store *s, const struct certd_config *config, const char *id, char **ret,
    struct err *err)
{
	const struct certd_preloaded *preloaded = certd_config_preloaded(config, id);
	AUTO(str_freep) char *name = NULL;

	if (preloaded && preloaded->path)
		return str_copy(ret, preloaded->path, err);
	if (digest_file_name(id, ".cer", &name, err))
		return err->code;
	return str_format(ret, err, "%s/%s", s->dir, name);
}

static enum err_code
read_one(const struct store *s, const struct certd_config *config, const char *id,
    struct bytes *ret, struct err *err)
{
	const struct certd_preloaded *preloaded = certd_config_preloaded(config, id);
	AUTO(str_freep) char *path = NULL;
	enum err_code code;

	if (preloaded && preloaded->uri)
		return read_token(s, preloaded->uri, ret, err);
	code = path_of(s, config, id, &path, err);
	if (code == ERR_INVALID) /* nothing can have been stored under such an id */
		return err_set(err, ERR_NOT_FOUND, "not found");
	if (code)
		return code;
	code = file_read(path, STORE_TEXT_MAX, ret, err);
	if (code == ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, "not found");
	if (code == ERR_INVALID)
		return err_wrap_code(err, ERR_INTERNAL, "could not read cert");
	return code;
}

static enum err_code
read_list(const struct store *s, const struct certd_config *config, const struct certd_ids *ids,
    struct bytes *ret, struct err *err)
{
	AUTO(buf_done) struct buf all = { .max = STORE_TEXT_MAX };
	enum err_code code;
	bool found = false;

	for (size_t i = 0; i < ids->n; i++) {
		AUTO(bytes_done) struct bytes one = { 0 };

		code = read_one(s, config, ids->at[i], &one, err);
		if (code == ERR_NOT_FOUND)
			continue;
		if (code)
			return code;
		found = true;
		if (all.len && all.data[all.len - 1] != '\n')
			buf_puts(&all, "\n");
		buf_add(&all, one.data, one.len);
	}
	if (!found)
		return err_set(err, ERR_NOT_FOUND, "not found");
	code = buf_take(&all, ret, err);
	return code == ERR_INVALID ? err_wrap_code(err, ERR_INTERNAL, "could not read list") : code;
}

enum err_code
store_read(
    struct store *s, const struct certd_config *config, const char *id, char **ret, struct err *err)
{
	const struct certd_preloaded *preloaded = certd_config_preloaded(config, id);
	AUTO(bytes_done) struct bytes text = { 0 };

	if (preloaded && certd_preloaded_is_list(preloaded)
		? read_list(s, config, &preloaded->ids, &text, err)
		: read_one(s, config, id, &text, err))
		return err->code;
	if (!uri_utf8_valid(text_of_bytes(&text)))
		return err_set(err, ERR_INTERNAL, "cert is no text");
	if (!text.data)
		return str_copy(ret, "", err);
	*ret = (char *)bytes_take(&text).data;
	return ERR_OK;
}

/* Where a text of this id is kept; there is no such place for a list. */
static enum err_code
place_of(const struct store *s, const struct certd_config *config, const char *id, char **ret,
    struct err *err)
{
	const struct certd_preloaded *preloaded = certd_config_preloaded(config, id);

	if (preloaded && certd_preloaded_is_list(preloaded))
		return err_set(err, ERR_INTERNAL, "cert is a list of others");
	if (preloaded && preloaded->uri)
		return err_set(err, ERR_INTERNAL, "cert is on a token, which is only read");
	return path_of(s, config, id, ret, err);
}

enum err_code
store_writable(struct store *s, const struct certd_config *config, const char *id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	return place_of(s, config, id, &path, err);
}

static mode_t
mode_for(const struct certd_config *config, const char *id, const char *path)
{
	struct stat st;

	if (!certd_config_preloaded(config, id))
		return OWN_MODE;
	return stat(path, &st) == 0 ? st.st_mode & 0777 : PRELOADED_MODE;
}

enum err_code
store_write(struct store *s, const struct certd_config *config, const char *id, struct text text,
    struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (place_of(s, config, id, &path, err))
		return err->code;
	return file_write(path, mode_for(config, id, path), text.data, text.len, err);
}

enum err_code
store_delete(struct store *s, const struct certd_config *config, const char *id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	switch (place_of(s, config, id, &path, err)) {
	case ERR_OK:
		return file_remove(path, err);
	case ERR_INVALID:
		return ERR_OK; /* nothing can have been stored under such an id */
	default:
		return err->code;
	}
}

static void
dirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool
is_ours(const char *file)
{
	size_t len = strlen(file);

	return len > 4 && strcmp(file + len - 4, ".cer") == 0;
}

enum err_code
store_each(struct store *s, enum err_code (*found)(void *ctx, const char *file, struct text text),
    void *ctx, struct err *err)
{
	AUTO(dirp) DIR *dir = opendir(s->dir);
	const struct dirent *entry;

	if (!dir)
		return err_errno(err, "could not read %s", s->dir);
	while ((entry = readdir(dir)) != NULL) {
		AUTO(str_freep) char *path = NULL;
		AUTO(bytes_done) struct bytes text = { 0 };
		struct err none = { 0 };

		if (!is_ours(entry->d_name))
			continue;
		if (str_format(&path, err, "%s/%s", s->dir, entry->d_name))
			return err->code;
		if (file_read(path, STORE_TEXT_MAX, &text, &none))
			continue; /* gone meanwhile */
		if (found(ctx, entry->d_name, text_of_bytes(&text)))
			return err->code;
	}
	return ERR_OK;
}
