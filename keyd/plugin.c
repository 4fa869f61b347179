#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "keyd/plugin_key.h"

/*
 * Keys in an OEM's shared object with upstream's C interface (contracts/keyabi.md; docs/key-backends.md for its author).  It has
 * no handles: an opened key is its id, and the library finds it anew for every use.  This runs in a worker process, so that
 * what the library breaks is its own.
 */

/* --- open and close */

struct setting {
	const char *name, *value;
};

static AZIOT_KEYS_RC
set_parameter(plugin_calls *f, const void *arguments)
{
	const struct setting *s = arguments;

	return f->set_parameter(s->name, s->value);
}

/* A value may be a PIN, so no message tells it. */
static enum err_code
set(struct plugin *p, const char *name, const char *value, struct err *err)
{
	const struct setting s = { name, value };

	if (library_run(p->library, "set_parameter", set_parameter, &s, err))
		return err_wrap_code(
		    err, ERR_CONFIG, "parameter %s of backend %s", name, p->config->name);
	return ERR_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct backend_parameter *)a)->name,
	    ((const struct backend_parameter *)b)->name);
}

static enum err_code
set_all(struct plugin *p, struct err *err)
{
	size_t n = p->config->n_parameters;
	struct backend_parameter *sorted = calloc(n + 1, sizeof(*sorted));
	enum err_code code = ERR_OK;

	if (!sorted)
		return err_nomem(err);
	if (n > 0)
		memcpy(sorted, p->config->parameters, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (size_t i = 0; i < n && code == ERR_OK; i++)
		code = set(p, sorted[i].name, sorted[i].value, err);
	free(sorted);
	return code;
}

static enum err_code
set_preloaded(struct plugin *p, struct err *err)
{
	for (size_t i = 0; i < p->config->n_preloaded; i++) {
		const struct backend_preloaded *key = &p->config->preloaded[i];
		AUTO(str_freep) char *name = NULL;

		if (str_format(&name, err, "preloaded_key:%s", key->id) ||
		    set(p, name, key->uri, err))
			return err->code;
	}
	return ERR_OK;
}

static void
plugin_close(void *ctx)
{
	struct plugin *p = ctx;

	if (!p)
		return;
	library_free(p->library);
	free(p);
}

static enum err_code
plugin_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	struct plugin *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	p->config = config;
	if (library_load(config->library, &p->library, err) || set_all(p, err) ||
	    set_preloaded(p, err)) {
		plugin_close(p);
		return err->code;
	}
	if (!library_calls(p->library)->move_key_pair)
		log_warn("backend %s has version 2.0 of the interface: moving or deleting its keys "
			 "succeeds and does nothing",
		    config->name);
	*ret_ctx = p;
	return ERR_OK;
}

/* --- by id */

struct by_id {
	const char *id;
	const char *to_or_algorithms;
	unsigned usage;
	const struct bytes *value;
};

static AZIOT_KEYS_RC
create_key(plugin_calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->create_key_if_not_exists(a->id, a->usage);
}

static AZIOT_KEYS_RC
create_pair(plugin_calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->create_key_pair_if_not_exists(a->id, a->to_or_algorithms);
}

static AZIOT_KEYS_RC
import_key(plugin_calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->import_key(a->id, plugin_data(a->value), a->value->len, a->usage);
}

static AZIOT_KEYS_RC
move_pair(plugin_calls *f, const void *arguments)
{
	const struct by_id *a = arguments;

	return f->move_key_pair ? f->move_key_pair(a->id, a->to_or_algorithms) : AZIOT_KEYS_RC_OK;
}

/* The interface has two functions, for two kinds of key; an id here has one key, of whichever kind. */
static AZIOT_KEYS_RC
delete_both(plugin_calls *f, const void *arguments)
{
	const struct by_id *a = arguments;
	AZIOT_KEYS_RC rc;

	if (!f->delete_key || !f->delete_key_pair)
		return AZIOT_KEYS_RC_OK;
	rc = f->delete_key(a->id);
	return rc ? rc : f->delete_key_pair(a->id);
}

/*
 * ERR_NOT_FOUND only where the library says of both kinds that there is none: any trouble may hide a key.  What follows is a
 * call of create_..._if_not_exists, where the library decides a second time.
 */
static enum err_code
look_for(struct plugin *p, const char *id, struct err *err)
{
	struct err second = { 0 };
	enum err_code code = plugin_load(p->library, id, KEY_SYMMETRIC, err);

	if (code == ERR_OK || plugin_load(p->library, id, KEY_PAIR, &second) == ERR_OK)
		return ERR_OK;
	if (code == ERR_INVALID)
		*err = second;
	return err->code == ERR_INVALID ? err_set(err, ERR_NOT_FOUND, "there is no key %s", id)
					: err->code;
}

static enum err_code
plugin_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	enum err_code code = plugin_may_block(err);

	if (code == ERR_OK)
		code = look_for(ctx, id, err);
	if (code && code != ERR_NOT_FOUND)
		return code;
	*ret = code == ERR_OK;
	return ERR_OK;
}

static void
plugin_key_free(struct key *key)
{
	str_freep(&key->id);
	free((char *)key - offsetof(struct plugin_key, key));
}

static enum err_code
plugin_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct plugin_key *k;

	if (plugin_may_block(err) || look_for(ctx, id, err))
		return err->code;
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_nomem(err);
	k->key.backend = &plugin_backend;
	k->plugin = ctx;
	atomic_init(&k->key.refs, 1);
	if (str_copy(&k->key.id, id, err)) {
		plugin_key_free(&k->key);
		return err->code;
	}
	*ret = &k->key;
	return ERR_OK;
}

/* Contract 2: DERIVE and SIGN are one bit. */
static unsigned
abi_usage(unsigned usage)
{
	return (usage & (KEYD_USE_SIGN | KEYD_USE_DERIVE) ? AZIOT_KEYS_KEY_USAGE_SIGN : 0) |
	       (usage & KEYD_USE_ENCRYPT ? AZIOT_KEYS_KEY_USAGE_ENCRYPT : 0);
}

static enum err_code
plugin_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .usage = abi_usage(usage) };

	if (plugin_may_block(err))
		return err->code;
	return library_run(p->library, "create_key_if_not_exists", create_key, &a, err);
}

static enum err_code
plugin_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	/* the names that the interface knows; a library skips others, and what it would make then is its own guess */
	static const char *const names[KEY_ALGORITHMS] = {
		[KEY_EC_P256] = "ec-p256",
		[KEY_RSA_2048] = "rsa-2048",
		[KEY_RSA_4096] = "rsa-4096",
	};
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .to_or_algorithms = names[algorithm] };
	enum err_code code;

	if (plugin_may_block(err))
		return err->code;
	if (!a.to_or_algorithms)
		return err_set(
		    err, ERR_UNSUPPORTED, "key libraries have no name for that algorithm");
	code = library_run(p->library, "create_key_pair_if_not_exists", create_pair, &a, err);
	/* trouble is no reason to try another algorithm: later there may be none */
	if (code == ERR_CRYPTO)
		code = err->code = ERR_INTERNAL;
	return code;
}

static enum err_code
plugin_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id, .usage = abi_usage(usage), .value = value };

	if (plugin_may_block(err))
		return err->code;
	return library_run(p->library, "import_key", import_key, &a, err);
}

static enum err_code
plugin_move(void *ctx, const char *from, const char *to, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = from, .to_or_algorithms = to };

	if (plugin_may_block(err))
		return err->code;
	return library_run(p->library, "move_key_pair", move_pair, &a, err);
}

static enum err_code
plugin_remove(void *ctx, const char *id, struct err *err)
{
	const struct plugin *p = ctx;
	const struct by_id a = { .id = id };

	if (plugin_may_block(err))
		return err->code;
	return library_run(p->library, "delete_key and delete_key_pair", delete_both, &a, err);
}

const struct backend plugin_backend = {
	.name = "plugin",
	.open = plugin_open,
	.close = plugin_close,
	.exists = plugin_exists,
	.find = plugin_find,
	.key_free = plugin_key_free,
	.create_key = plugin_create_key,
	.create_pair = plugin_create_pair,
	.import_key = plugin_import_key,
	.move = plugin_move,
	.remove = plugin_remove,
	.check = plugin_check,
	.parameter = plugin_parameter,
	.sign = plugin_sign,
	.encrypt = plugin_encrypt,
	.decrypt = plugin_decrypt,
	.derive = plugin_derive,
};
