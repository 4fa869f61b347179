#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "keyd/backend.h"
#include "keyd/pkcs11_make.h"
#include "platform/pool.h"

/*
 * Keys on PKCS#11 tokens: one Cryptoki module, and the tokens on it that the configuration names (contracts/pkcs11.md).  A key's label is
 * its id, or what its own URI says.  Nothing of a key but its public half ever comes out of the token.
 *
 *	pkcs11_rv	what return values mean
 *	pkcs11_module	the module, its slots
 *	pkcs11_notes	what must not be forgotten when the process ends
 *	pkcs11_token	sessions, login, recovery
 *	pkcs11_object	objects by name; what counts while one replaces another
 *	pkcs11_public	public halves, signatures
 *	pkcs11_use	one operation with one key
 *	pkcs11_make	making, replacing, moving, removing
 *	pkcs11_key	an opened key
 */
struct pkcs11_backend {
	const struct backend_config *config;
	struct pkcs11_module *module;
	struct pkcs11_notes *notes;
	struct pkcs11_uri *at; /* of the preloaded ids in their order, then config->token's */
	size_t n;
	struct pkcs11_uris uris;
	struct pkcs11_token **tokens; /* of each URI; the same where they name the same */
};

/* --- open and close */

static void
pkcs11_close(void *ctx)
{
	struct pkcs11_backend *b = ctx;

	if (!b)
		return;
	for (size_t i = 0; b->tokens && i < b->n; i++) {
		size_t first = 0;

		while (b->tokens[first] != b->tokens[i])
			first++;
		if (first == i)
			pkcs11_token_free(b->tokens[i]);
	}
	pkcs11_notes_free(b->notes);
	pkcs11_module_close(b->module);
	for (size_t i = 0; i < b->n; i++)
		pkcs11_uri_done(&b->at[i]);
	free(b->tokens);
	free(b->at);
	free(b);
}

static enum err_code
check_uri(const struct pkcs11_uri *uri, const char *whose, struct err *err)
{
	if (!uri->has_slot && !uri->token && !uri->serial)
		return err_set(
		    err, ERR_CONFIG, "%s: its URI names no token, serial or slot-id", whose);
	if (uri->type == PKCS11_URI_PUBLIC || uri->type == PKCS11_URI_CERT ||
	    uri->type == PKCS11_URI_DATA)
		return err_set(err, ERR_CONFIG, "%s: its URI is not one of a key", whose);
	if (uri->ignored)
		log_warn("%s: its URI says things that are ignored: %s", whose, uri->ignored);
	return ERR_OK;
}

static enum err_code
add_uri(struct pkcs11_backend *b, const char *text, const char *whose, struct err *err)
{
	struct pkcs11_uri *uri = &b->at[b->n];
	size_t same = 0;

	if (pkcs11_uri_parse(text, uri, err))
		return err_wrap_code(err, ERR_CONFIG, "%s", whose);
	b->uris.n = ++b->n;
	if (check_uri(uri, whose, err))
		return err->code;
	while (!pkcs11_uri_same_token(&b->at[same], uri))
		same++;
	if (same == b->n - 1)
		return pkcs11_token_new(b->module, uri, &b->uris, b->notes, &b->tokens[same], err);
	b->tokens[b->n - 1] = b->tokens[same];
	return ERR_OK;
}

static enum err_code
add_uris(struct pkcs11_backend *b, struct err *err)
{
	const struct backend_config *config = b->config;

	b->at = calloc(config->n_preloaded + 1, sizeof(*b->at));
	b->tokens = calloc(config->n_preloaded + 1, sizeof(struct pkcs11_token *));
	if (!b->at || !b->tokens)
		return err_nomem(err);
	b->uris.at = b->at;
	for (size_t i = 0; i < config->n_preloaded; i++)
		if (add_uri(b, config->preloaded[i].uri, config->preloaded[i].id, err))
			return err->code;
	return config->token ? add_uri(b, config->token, config->name, err) : ERR_OK;
}

static enum err_code
nothing(struct pkcs11_session *s, void *arg, struct err *err)
{
	(void)s, (void)arg, (void)err;
	return ERR_OK;
}

/* Now, while no policy is in force, a module may open what it needs; a token that is not there may come later. */
static void
warm_up(const struct pkcs11_backend *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct err err = { 0 };

		if (pkcs11_token_uri(b->tokens[i]) == &b->at[i] &&
		    pkcs11_token_work(b->tokens[i], PKCS11_SHARED, nothing, NULL, &err))
			log_warn("backend %s: %s", b->config->name, err.text);
	}
}

static enum err_code
pkcs11_open_backend(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	struct pkcs11_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(err);
	b->config = config;
	if (pkcs11_notes_new(config->notes, &b->notes, err) ||
	    pkcs11_module_open(config->library, &b->module, NULL, err) || add_uris(b, err)) {
		pkcs11_close(b);
		return err->code;
	}
	warm_up(b);
	*ret_ctx = b;
	return ERR_OK;
}

/* --- ids */

/* The place borrows from the backend and from id. */
static enum err_code
place_of(const struct pkcs11_backend *b, const char *id, struct pkcs11_place *ret, struct err *err)
{
	size_t i = 0, n_preloaded = b->config->n_preloaded;

	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "a token is to be asked");
	while (i < n_preloaded && strcmp(b->config->preloaded[i].id, id) != 0)
		i++;
	if (i == b->n)
		return err_set(err, ERR_NOT_FOUND, "no token is configured for other keys");
	*ret = (struct pkcs11_place){ .token = b->tokens[i] };
	if (i == n_preloaded)
		ret->name.label = id;
	else
		ret->name = (struct pkcs11_name){ b->at[i].object, &b->at[i].id, b->at[i].type };
	return ERR_OK;
}

static enum err_code
pkcs11_find_key(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct pkcs11_place place;

	if (place_of(ctx, id, &place, err))
		return err->code;
	return pkcs11_key_open(&place, id, ret, err);
}

static enum err_code
pkcs11_key_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	struct pkcs11_place place;

	if (place_of(ctx, id, &place, err))
		return err->code;
	return pkcs11_exists(&place, ret, err);
}

static enum err_code
pkcs11_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	const struct pkcs11_backend *b = ctx;
	struct pkcs11_place place;

	if (place_of(b, id, &place, err))
		return err->code;
	return pkcs11_make_key(&place, b->config->mech, usage, NULL, err);
}

static enum err_code
pkcs11_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	struct pkcs11_place place;

	if (place_of(ctx, id, &place, err))
		return err->code;
	return pkcs11_make_pair(&place, algorithm, err);
}

static enum err_code
pkcs11_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct pkcs11_backend *b = ctx;
	struct pkcs11_place place;

	if (place_of(b, id, &place, err))
		return err->code;
	return pkcs11_make_key(&place, b->config->mech, usage, value, err);
}

static enum err_code
pkcs11_move_key(void *ctx, const char *from, const char *to, struct err *err)
{
	struct pkcs11_place source, target;

	if (place_of(ctx, from, &source, err) || place_of(ctx, to, &target, err))
		return err->code;
	return pkcs11_move(&source, &target, err);
}

static enum err_code
pkcs11_remove_key(void *ctx, const char *id, struct err *err)
{
	struct pkcs11_place place;

	if (place_of(ctx, id, &place, err))
		return err->code;
	return pkcs11_remove(&place, err);
}

const struct backend pkcs11_backend = {
	.name = "pkcs11",
	.open = pkcs11_open_backend,
	.close = pkcs11_close,
	.exists = pkcs11_key_exists,
	.find = pkcs11_find_key,
	.key_free = pkcs11_key_free,
	.create_key = pkcs11_create_key,
	.create_pair = pkcs11_create_pair,
	.import_key = pkcs11_import_key,
	.move = pkcs11_move_key,
	.remove = pkcs11_remove_key,
	.check = pkcs11_key_check,
	.parameter = pkcs11_key_parameter,
	.sign = pkcs11_key_sign,
	.encrypt = pkcs11_key_encrypt,
	.decrypt = pkcs11_key_decrypt,
	.derive = pkcs11_key_derive,
};
