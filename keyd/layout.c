#include "keyd/layout.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/pattern.h"

#define FILE_NAME  "file"
#define TOKEN_NAME "token"
#define FILE_URI   "file:"

const char *const keyd_backend_types[] = { "file", "pkcs11", "tpm", "plugin", NULL };

void
layout_done(struct layout *layout)
{
	for (size_t i = 0; i < STORES_MAX; i++) {
		free(layout->preloaded[i]);
		free(layout->parameters[i]);
	}
	free(layout->rules);
	free(layout->nowhere);
	*layout = (struct layout){ 0 };
}

/* --- the places */

static enum err_code
bad(const struct keyd_config_backend *b, const char *what, struct err *err)
{
	return err_set(err, ERR_CONFIG, "backends.%s: %s", b->name, what);
}

/* Each type needs some settings and cannot use others; a wrong one would seem to be in force. */
static enum err_code
check_backend(const struct keyd_config_backend *b, struct err *err)
{
	bool file = b->type == KEYD_BACKEND_FILE, plugin = b->type == KEYD_BACKEND_PLUGIN;
	bool pkcs11 = b->type == KEYD_BACKEND_PKCS11;

	if (file != (strcmp(b->name, FILE_NAME) == 0))
		return bad(b, "\"file\" is the name and the type of one place only", err);
	if (strcmp(b->name, TOKEN_NAME) == 0)
		return bad(b, "this name stands for aziot_keys.pkcs11_lib_path", err);
	if ((pkcs11 || plugin) != (b->library != NULL))
		return bad(b, "library is for pkcs11 and plugin, which need it", err);
	if (b->token && !pkcs11)
		return bad(b, "token is for pkcs11", err);
	if ((b->wrap || b->worker) && !file)
		return bad(b, "wrap and worker are for file", err);
	if (b->wrap && strcmp(b->wrap, "tpm") != 0 && strcmp(b->wrap, "credential") != 0)
		return bad(b, "wrap is \"tpm\" or \"credential\"", err);
	if (file && !b->worker && (b->network || b->paths.n > 0 || b->deadline_ms))
		return bad(b, "network, paths and deadline_ms are for a worker", err);
	if (b->parameters.n > 0 && !plugin)
		return bad(b, "parameters are for plugin", err);
	if ((b->paths.n > 0 || b->network) && !pkcs11 && !plugin)
		return bad(b, "paths and network are for pkcs11 and plugin", err);
	for (size_t i = 0; i < b->paths.n; i++)
		if (b->paths.at[i][0] != '/')
			return bad(b, "paths are absolute", err);
	return ERR_OK;
}

static enum err_code
add_parameters(struct layout *l, size_t i, const fields_map *map, struct err *err)
{
	struct backend_config *config = &l->store[i].config;

	l->parameters[i] = calloc(map->n + 1, sizeof(*l->parameters[i]));
	if (!l->parameters[i])
		return err_nomem(err);
	for (size_t j = 0; j < map->n; j++)
		l->parameters[i][j] =
		    (struct backend_parameter){ map->at[j].key, map->at[j].value };
	config->parameters = l->parameters[i];
	config->n_parameters = map->n;
	return ERR_OK;
}

static struct store_config *
add_store(struct layout *l, const char *type, const struct backend_config *config)
{
	struct store_config *store = &l->store[l->stores.n_stores++];

	*store = (struct store_config){ .backend = stores_backend(type), .config = *config };
	return store;
}

static enum err_code
add_backend(struct layout *l, const struct keyd_config *c, const struct keyd_config_backend *b,
    struct err *err)
{
	const struct backend_config config = {
		.name = b->name,
		.homedir = c->places.homedir_path,
		.any_id = b->type != KEYD_BACKEND_PKCS11 || b->token,
		.library = b->library,
		.token = b->token,
		.tpmd = c->endpoints.aziot_tpmd,
	};
	size_t i = l->stores.n_stores;

	if (check_backend(b, err))
		return err->code;
	if (b->type == KEYD_BACKEND_FILE)
		return ERR_OK; /* is there already */
	if (i == STORES_MAX)
		return err_set(err, ERR_CONFIG, "more than %d places for keys", STORES_MAX);
	add_store(l, keyd_backend_types[b->type], &config)->by_rule = true;
	l->from[i] = b;
	if (!l->store[i].backend)
		return bad(b, "this build has no backend of that type", err);
	return add_parameters(l, i, &b->parameters, err);
}

static const struct keyd_config_backend *
backend_named(const struct keyd_config *c, const char *name)
{
	for (size_t i = 0; i < c->backends.n; i++)
		if (strcmp(c->backends.at[i].name, name) == 0)
			return &c->backends.at[i];
	return NULL;
}

static enum err_code
add_stores(struct layout *l, const struct keyd_config *c, struct err *err)
{
	const struct keyd_config_backend *file = backend_named(c, FILE_NAME);
	const char *homedir = c->places.homedir_path;

	if (c->places.pkcs11_lib_path) {
		add_store(l, "pkcs11",
		    &(struct backend_config){ .name = TOKEN_NAME,
			.homedir = homedir,
			.library = c->places.pkcs11_lib_path,
			.token = c->places.pkcs11_base_slot,
			.any_id = c->places.pkcs11_base_slot != NULL });
		if (!l->store[0].backend)
			return err_set(err, ERR_CONFIG,
			    "aziot_keys.pkcs11_lib_path: this build has no "
			    "backend for tokens");
	}
	l->from[l->stores.n_stores] = file;
	add_store(l, "file",
	    &(struct backend_config){ .name = FILE_NAME,
		.homedir = homedir,
		.any_id = homedir != NULL,
		.wrap = file ? file->wrap : NULL,
		.tpmd = c->endpoints.aziot_tpmd });
	for (size_t i = 0; i < c->backends.n; i++)
		if (add_backend(l, c, &c->backends.at[i], err))
			return err->code;
	return ERR_OK;
}

static size_t
store_named(const struct layout *l, const char *name)
{
	size_t i = 0;

	while (i < l->stores.n_stores && strcmp(l->store[i].config.name, name) != 0)
		i++;
	return i;
}

/* --- which ids belong to them */

static enum err_code
add_rules(struct layout *l, const struct keyd_config *c, struct err *err)
{
	l->rules = calloc(c->placements.n + 1, sizeof(*l->rules));
	if (!l->rules)
		return err_nomem(err);
	for (size_t i = 0; i < c->placements.n; i++) {
		const struct keyd_config_placement *p = &c->placements.at[i];
		size_t at = store_named(l, p->backend);

		if (at == l->stores.n_stores)
			return err_set(err, ERR_CONFIG,
			    "placement[%zu].backend: there is no backend %s", i, p->backend);
		if (!l->store[at].config.any_id)
			return err_set(err, ERR_CONFIG,
			    "placement[%zu].backend: %s has no place for keys; set %s", i,
			    p->backend,
			    l->store[at].backend == stores_backend("file") ? "homedir_path"
									   : "its token");
		l->rules[i] = (struct store_rule){ .patterns = (const char *const *)p->keys.at,
			.n_patterns = p->keys.n,
			.store = p->backend };
	}
	l->stores.rules = l->rules;
	l->stores.n_rules = c->placements.n;
	return ERR_OK;
}

static const char *
placed_at(const struct keyd_config *c, const char *id)
{
	for (size_t i = 0; i < c->placements.n; i++)
		for (size_t j = 0; j < c->placements.at[i].keys.n; j++)
			if (pattern_match(c->placements.at[i].keys.at[j], id))
				return c->placements.at[i].backend;
	return NULL;
}

/* The store of a preloaded key; n_stores where there is none. */
static size_t
store_of_preloaded(
    const struct layout *l, const struct keyd_config *c, const struct keyd_config_preloaded *p)
{
	const char *name = placed_at(c, p->id);
	size_t at;

	if (strncmp(p->uri, FILE_URI, strlen(FILE_URI)) == 0)
		return store_named(l, FILE_NAME);
	at = name ? store_named(l, name) : l->stores.n_stores;
	if (at < l->stores.n_stores && (l->store[at].backend == stores_backend("pkcs11") ||
					   l->store[at].backend == stores_backend("plugin")))
		return at;
	return store_named(l, TOKEN_NAME);
}

static enum err_code
add_preloaded(struct layout *l, const struct keyd_config *c, struct err *err)
{
	size_t most = c->preloaded.n + 1;

	l->nowhere = calloc(most, sizeof(*l->nowhere));
	if (!l->nowhere)
		return err_nomem(err);
	for (size_t i = 0; i < l->stores.n_stores; i++) {
		l->preloaded[i] = calloc(most, sizeof(*l->preloaded[i]));
		if (!l->preloaded[i])
			return err_nomem(err);
		l->store[i].config.preloaded = l->preloaded[i];
	}
	for (size_t i = 0; i < c->preloaded.n; i++) {
		const struct keyd_config_preloaded *p = &c->preloaded.at[i];
		size_t at = store_of_preloaded(l, c, p);

		if (at == l->stores.n_stores)
			l->nowhere[l->stores.n_nowhere++] = p->id;
		else
			l->preloaded[at][l->store[at].config.n_preloaded++] =
			    (struct backend_preloaded){ p->id, p->uri };
	}
	l->stores.nowhere = l->nowhere;
	return ERR_OK;
}

enum err_code
layout_make(const struct keyd_config *config, struct layout *ret, struct err *err)
{
	*ret = (struct layout){ 0 };
	ret->stores.stores = ret->store;
	if (add_stores(ret, config, err) || add_rules(ret, config, err) ||
	    add_preloaded(ret, config, err)) {
		layout_done(ret);
		return err->code;
	}
	return ERR_OK;
}

enum err_code
layout_check_swapped(const struct layout *layout, const char *path, struct err *err)
{
	if (access(path, F_OK))
		return ERR_OK;
	for (size_t i = 0; i < layout->stores.n_stores; i++)
		if (layout->store[i].backend == stores_backend("plugin"))
			return ERR_OK;
	return err_set(err, ERR_CONFIG,
	    "%s may hold this device's keys, and nothing says so: name it as the library of a "
	    "[backends.NAME] of type \"plugin\" and place keys there, or remove it",
	    path);
}

bool
layout_in_worker(const struct layout *layout, size_t store)
{
	const struct keyd_config_backend *from = layout->from[store];

	return layout->store[store].backend != stores_backend("file") || (from && from->worker);
}
