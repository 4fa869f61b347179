#include "keyd/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHAINS 512 /* a power of two, over twice the keys that are kept */

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct key *chains[CHAINS];
	struct key *newest, *oldest;
	size_t n, max;
	uint64_t clears;
	struct cache_claim *claims;
};

enum err_code
cache_new(size_t max, struct cache **ret, struct err *err)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->released, NULL);
	c->max = max;
	*ret = c;
	return ERR_OK;
}

void
cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_clear(c);
	pthread_cond_destroy(&c->released);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void
key_put(struct key *key)
{
	if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1)
		key->backend->key_free(key);
}

void
key_putp(struct key **key)
{
	key_put(*key);
	*key = NULL;
}

static void
key_hold(struct key *key)
{
	atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
}

/* FNV-1a; principals choose ids, but the number of kept keys bounds what a bad choice costs. */
static struct key **
chain_of(struct cache *c, const char *id)
{
	uint32_t hash = 2166136261u;

	for (; *id; id++)
		hash = (hash ^ (uint8_t)*id) * 16777619u;
	return &c->chains[hash % CHAINS];
}

static struct key **
find(struct cache *c, const char *id)
{
	struct key **at = chain_of(c, id);

	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->chain;
	return at;
}

static void
age_remove(struct cache *c, struct key *key)
{
	*(key->newer ? &key->newer->older : &c->newest) = key->older;
	*(key->older ? &key->older->newer : &c->oldest) = key->newer;
}

static void
age_push(struct cache *c, struct key *key)
{
	key->newer = NULL;
	key->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = key;
	c->newest = key;
}

/* Take the key at *at out; its reference goes to the caller, who gives it back outside the lock. */
static struct key *
take_out(struct cache *c, struct key **at)
{
	struct key *key = *at;

	if (key) {
		*at = key->chain;
		age_remove(c, key);
		c->n--;
	}
	return key;
}

struct key *
cache_get(struct cache *c, const char *id)
{
	struct key *key;

	pthread_mutex_lock(&c->lock);
	key = *find(c, id);
	if (key) {
		key_hold(key);
		if (key != c->newest) {
			age_remove(c, key);
			age_push(c, key);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return key;
}

static void
put_in(struct cache *c, struct key *key)
{
	struct key **chain = chain_of(c, key->id);

	key_hold(key);
	key->chain = *chain;
	*chain = key;
	age_push(c, key);
	c->n++;
}

/* clears NULL: it does not matter. */
static void
put_if(struct cache *c, struct key *key, const uint64_t *clears)
{
	struct key *same = NULL, *last = NULL;

	pthread_mutex_lock(&c->lock);
	if (!clears || *clears == c->clears) {
		same = take_out(c, find(c, key->id));
		if (c->n == c->max)
			last = take_out(c, find(c, c->oldest->id));
		put_in(c, key);
	}
	pthread_mutex_unlock(&c->lock);
	key_put(same);
	key_put(last);
}

void
cache_put(struct cache *c, struct key *key)
{
	put_if(c, key, NULL);
}

void
cache_put_since(struct cache *c, struct key *key, uint64_t clears)
{
	put_if(c, key, &clears);
}

uint64_t
cache_clears(struct cache *c)
{
	uint64_t clears;

	pthread_mutex_lock(&c->lock);
	clears = c->clears;
	pthread_mutex_unlock(&c->lock);
	return clears;
}

void
cache_drop(struct cache *c, const char *id)
{
	struct key *key;

	pthread_mutex_lock(&c->lock);
	key = take_out(c, find(c, id));
	pthread_mutex_unlock(&c->lock);
	key_put(key);
}

void
cache_clear(struct cache *c)
{
	struct key *key;

	pthread_mutex_lock(&c->lock);
	c->clears++;
	pthread_mutex_unlock(&c->lock);
	do {
		pthread_mutex_lock(&c->lock);
		key = c->oldest ? take_out(c, find(c, c->oldest->id)) : NULL;
		pthread_mutex_unlock(&c->lock);
		key_put(key);
	} while (key);
}

/* --- claims: few at a time, one per thread that may wait, so a list is enough */

static bool
is_claimed(const struct cache *c, const char *id)
{
	const struct cache_claim *claim = c->claims;

	while (claim && strcmp(claim->id, id) != 0)
		claim = claim->next;
	return claim != NULL;
}

void
cache_claim(struct cache *c, const char *id, struct cache_claim *ret)
{
	pthread_mutex_lock(&c->lock);
	while (is_claimed(c, id))
		pthread_cond_wait(&c->released, &c->lock);
	*ret = (struct cache_claim){ .cache = c, .id = id, .next = c->claims };
	c->claims = ret;
	pthread_mutex_unlock(&c->lock);
}

void
cache_release(struct cache_claim *claim)
{
	struct cache *c = claim->cache;
	struct cache_claim **at;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	at = &c->claims;
	while (*at != claim)
		at = &(*at)->next;
	*at = claim->next;
	pthread_cond_broadcast(&c->released);
	pthread_mutex_unlock(&c->lock);
	claim->cache = NULL;
}
