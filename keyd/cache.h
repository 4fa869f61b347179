#ifndef KEYD_CACHE_H
#define KEYD_CACHE_H

#include "keyd/backend.h"

/*
 * Opened keys by id, the most recently used ones, so that using a key opens no file; and claims, which keep calls that
 * change or open one id from running side by side.  The lock inside is never held across I/O.
 */
struct cache;

enum err_code cache_new(size_t max, struct cache **ret, struct err *err) MUST_CHECK;
void cache_free(struct cache *c);

/* A new reference to the key of that id, or NULL. */
struct key *cache_get(struct cache *c, const char *id);
/* Keep key (a reference of the cache's own) in place of one of the same id; the oldest gives way. */
void cache_put(struct cache *c, struct key *key);
void cache_drop(struct cache *c, const char *id);
void cache_clear(struct cache *c);
/* How often it was cleared. */
uint64_t cache_clears(struct cache *c);
/* As cache_put, unless it was cleared since it said `clears`: the key was found before, and may be an old one. */
void cache_put_since(struct cache *c, struct key *key, uint64_t clears);

/* Give back a reference; the last one frees the key.  For AUTO(). */
void key_putp(struct key **key);

/* The right to open or change one id; lives on the stack of who holds it.  The empty value holds nothing. */
struct cache_claim {
	struct cache *cache;
	const char *id; /* borrowed */
	struct cache_claim *next;
};

/* Wait for the right.  With two ids take the one that sorts first, first. */
void cache_claim(struct cache *c, const char *id, struct cache_claim *ret);
void cache_release(struct cache_claim *claim); /* for AUTO() */

#endif
