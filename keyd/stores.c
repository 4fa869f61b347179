#include "keyd/stores.h"

#include <stdlib.h>
#include <string.h>

#include "data/pattern.h"

struct store {
	const struct store_config *from;
	const struct backend *backend; /* from's own, or the one in front of it */
	struct backend_config config;
	void *ctx;
};

struct stores {
	const struct stores_config *config;
	struct store at[STORES_MAX];
	size_t n;
};

const char *
backend_preloaded_uri(const struct backend_config *config, const char *id)
{
	for (size_t i = 0; i < config->n_preloaded; i++)
		if (strcmp(config->preloaded[i].id, id) == 0)
			return config->preloaded[i].uri;
	return NULL;
}

/* --- open and close */

static enum err_code
open_store(
    struct store *store, const struct store_config *from, const struct mech *mech, struct err *err)
{
	store->from = from;
	store->backend = from->front ? from->front : from->backend;
	store->config = from->config;
	store->config.mech = mech;
	return store->backend->open(&store->config, &store->ctx, err);
}

enum err_code
stores_open(const struct stores_config *config, const struct mech *mech, struct stores **ret,
    struct err *err)
{
	struct stores *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	s->config = config;
	for (; s->n < config->n_stores && s->n < STORES_MAX; s->n++)
		if (open_store(&s->at[s->n], &config->stores[s->n], mech, err)) {
			err_wrap(
			    err, "keys cannot be kept in %s", config->stores[s->n].config.name);
			stores_close(s);
			return err->code;
		}
	*ret = s;
	return ERR_OK;
}

void
stores_close(struct stores *s)
{
	if (!s)
		return;
	while (s->n > 0) {
		struct store *store = &s->at[--s->n];

		store->backend->close(store->ctx);
	}
	free(s);
}

/* --- where an id lives */

struct places {
	struct store *at[STORES_MAX];
	size_t n;
};

static struct store *
store_named(struct stores *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->at[i].config.name, name) == 0)
			return &s->at[i];
	return NULL;
}

static struct store *
store_by_rule(struct stores *s, const char *id)
{
	for (size_t i = 0; i < s->config->n_rules; i++) {
		const struct store_rule *rule = &s->config->rules[i];

		for (size_t j = 0; j < rule->n_patterns; j++)
			if (pattern_match(rule->patterns[j], id))
				return store_named(s, rule->store);
	}
	return NULL;
}

static bool
is_nowhere(const struct stores *s, const char *id)
{
	for (size_t i = 0; i < s->config->n_nowhere; i++)
		if (strcmp(s->config->nowhere[i], id) == 0)
			return true;
	return false;
}

static struct store *
store_of_preloaded(struct stores *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (backend_preloaded_uri(&s->at[i].config, id))
			return &s->at[i];
	return NULL;
}

bool
stores_is_preloaded(struct stores *s, const char *id)
{
	return store_of_preloaded(s, id) != NULL;
}

static struct places
places_of(struct stores *s, const char *id)
{
	struct store *preloaded = store_of_preloaded(s, id), *ruled;
	struct places p = { 0 };

	if (is_nowhere(s, id))
		return p;
	if (preloaded) {
		p.at[p.n++] = preloaded;
		return p;
	}
	if (s->config->n_rules > 0) {
		ruled = store_by_rule(s, id);
		if (ruled && ruled->config.any_id)
			p.at[p.n++] = ruled;
		return p;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i].config.any_id && !s->at[i].from->by_rule)
			p.at[p.n++] = &s->at[i];
	return p;
}

struct pool *
stores_pool(struct stores *s, const char *id)
{
	const struct places p = places_of(s, id);

	for (size_t i = 0; i < p.n; i++)
		if (p.at[i]->backend->pool)
			return p.at[i]->backend->pool(p.at[i]->ctx);
	return NULL;
}

/* --- reading */

enum err_code
stores_find(struct stores *s, const char *id, struct key **ret, struct err *err)
{
	const struct places p = places_of(s, id);
	enum err_code code = err_set(err, ERR_NOT_FOUND, "there is no key %s", id);

	for (size_t i = 0; i < p.n && code == ERR_NOT_FOUND; i++)
		code = p.at[i]->backend->find(p.at[i]->ctx, id, ret, err);
	return code;
}

enum err_code
stores_exists(struct stores *s, const char *id, bool *ret, struct err *err)
{
	const struct places p = places_of(s, id);
	bool there = false;

	for (size_t i = 0; i < p.n && !there; i++)
		if (p.at[i]->backend->exists(p.at[i]->ctx, id, &there, err))
			return err->code;
	*ret = there;
	return ERR_OK;
}

/* --- making */

static enum err_code
no_way(struct err *err)
{
	return err_set(err, ERR_INVALID, "no way to create keys");
}

enum err_code
stores_create_key(struct stores *s, const char *id, unsigned usage, struct err *err)
{
	const struct places p = places_of(s, id);
	enum err_code code = no_way(err);

	for (size_t i = 0; i < p.n; i++) {
		code = p.at[i]->backend->create_key(p.at[i]->ctx, id, usage, err);
		if (code != ERR_UNSUPPORTED)
			break;
	}
	return code;
}

static enum err_code
remove_from(const struct places *p, size_t n, const char *id, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (p->at[i]->backend->remove(p->at[i]->ctx, id, err))
			return err->code;
	return ERR_OK;
}

enum err_code
stores_import(
    struct stores *s, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct places p = places_of(s, id);
	enum err_code code = no_way(err);
	size_t i;

	for (i = 0; i < p.n; i++) {
		code = p.at[i]->backend->import_key(p.at[i]->ctx, id, usage, value, err);
		if (code != ERR_UNSUPPORTED)
			break;
	}
	/* a key of before in a place that is asked first would go on answering to the id */
	return code ? code : remove_from(&p, i, id, err);
}

static const char *const algorithm_names[KEY_ALGORITHMS] = {
	[KEY_EC_P256] = "ec-p256",
	[KEY_RSA_2048] = "rsa-2048",
	[KEY_RSA_4096] = "rsa-4096",
	[KEY_RSA_3072] = "rsa-3072",
	[KEY_EC_P384] = "ec-p384",
	[KEY_ED25519] = "ed25519",
};

struct preference {
	enum key_algorithm at[KEY_ALGORITHMS];
	size_t n;
};

static void
prefer(struct preference *p, enum key_algorithm algorithm)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i] == algorithm)
			return;
	p->at[p->n++] = algorithm;
}

static void
prefer_name(struct preference *p, struct text name)
{
	if (text_equal(name, "*")) {
		prefer(p, KEY_EC_P256);
		prefer(p, KEY_RSA_2048);
	}
	for (size_t i = 0; i < KEY_ALGORITHMS; i++)
		if (text_equal(name, algorithm_names[i]))
			prefer(p, (enum key_algorithm)i);
}

/* Contract 4.3: unknown names are skipped. */
static struct preference
preference_of(const char *list)
{
	struct preference p = { 0 };

	if (!list)
		list = "*";
	for (;;) {
		size_t len = strcspn(list, ":");

		prefer_name(&p, (struct text){ list, len });
		if (list[len] == '\0')
			return p;
		list += len + 1;
	}
}

/* May another algorithm do where one ended so?  Not where the place itself is in trouble. */
static bool
worth_another(enum err_code code)
{
	return code == ERR_UNSUPPORTED || code == ERR_INVALID || code == ERR_CRYPTO;
}

/* Each algorithm in turn until one works, unlike upstream (index-identity.md R11); the place never changes. */
enum err_code
stores_create_pair(struct stores *s, const char *id, const char *preferred, struct err *err)
{
	const struct places places = places_of(s, id);
	const struct preference p = preference_of(preferred);
	enum err_code code = err_set(err, ERR_INVALID, "a parameter has an invalid value");

	if (places.n == 0)
		return no_way(err);
	for (size_t i = 0; i < p.n && worth_another(code); i++)
		code = places.at[0]->backend->create_pair(places.at[0]->ctx, id, p.at[i], err);
	return code;
}

/* --- moving and removing */

bool
stores_together(struct stores *s, const char *from, const char *to)
{
	const struct places source = places_of(s, from);
	const struct places target = places_of(s, to);

	return source.n > 0 && target.n > 0 && source.at[0] == target.at[0];
}

enum err_code
stores_move(struct stores *s, const char *from, const char *to, struct err *err)
{
	const struct places source = places_of(s, from);

	if (!stores_together(s, from, to))
		return err_set(err, ERR_INVALID, "the two keys live in different places");
	return source.at[0]->backend->move(source.at[0]->ctx, from, to, err);
}

enum err_code
stores_remove(struct stores *s, const char *id, struct err *err)
{
	const struct places p = places_of(s, id);

	return remove_from(&p, p.n, id, err);
}
