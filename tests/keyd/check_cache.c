#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/cache.h"

static atomic_int alive;

static void
free_plain(struct key *key)
{
	str_freep(&key->id);
	free(key);
	alive--;
}

static const struct backend plain = { .name = "plain", .key_free = free_plain };

static struct key *
new_key(const char *id)
{
	struct key *key = calloc(1, sizeof(*key));
	struct err err = { 0 };

	ck_assert_ptr_nonnull(key);
	key->backend = &plain;
	atomic_init(&key->refs, 1);
	ck_ok(str_copy(&key->id, id, &err));
	alive++;
	return key;
}

static void
put(struct cache *c, const char *id)
{
	AUTO(key_putp) struct key *key = new_key(id);

	cache_put(c, key);
}

static bool
has(struct cache *c, const char *id)
{
	AUTO(key_putp) struct key *key = cache_get(c, id);

	return key && strcmp(key->id, id) == 0;
}

START_TEST(test_bound)
{
	struct cache *c = NULL;
	struct err err = { 0 };

	ck_ok(cache_new(3, &c, &err));
	put(c, "a");
	put(c, "b");
	put(c, "c");
	ck_assert(has(c, "a")); /* used: b is the oldest now */
	put(c, "d");
	ck_assert(!has(c, "b"));
	ck_assert(has(c, "a") && has(c, "c") && has(c, "d"));
	ck_assert_int_eq(alive, 3);
	put(c, "a"); /* in its own place */
	ck_assert(has(c, "a") && has(c, "c") && has(c, "d"));
	cache_drop(c, "c");
	cache_drop(c, "nothing");
	ck_assert(!has(c, "c"));
	ck_assert_int_eq(alive, 2);
	cache_clear(c);
	ck_assert_int_eq(alive, 0);
	put(c, "e");
	cache_free(c);
	ck_assert_int_eq(alive, 0);
}
END_TEST

START_TEST(test_many)
{
	struct cache *c = NULL;
	struct err err = { 0 };
	char id[16];

	ck_ok(cache_new(256, &c, &err));
	for (int i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		put(c, id);
		ck_assert(has(c, id));
		ck_assert_int_le(alive, 256);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(id, sizeof(id), "%d", i);
		ck_assert_int_eq(has(c, id), i >= 5000 - 256);
	}
	cache_free(c);
	ck_assert_int_eq(alive, 0);
}
END_TEST

/* What was found before all was dropped may be old, and is not kept. */
START_TEST(test_since)
{
	struct cache *c = NULL;
	struct key *late = new_key("a");
	struct err err = { 0 };
	uint64_t clears;

	ck_ok(cache_new(2, &c, &err));
	clears = cache_clears(c);
	cache_put_since(c, late, clears);
	ck_assert(has(c, "a"));
	cache_clear(c);
	cache_put_since(c, late, clears);
	ck_assert(!has(c, "a"));
	cache_put_since(c, late, cache_clears(c));
	ck_assert(has(c, "a"));
	key_putp(&late);
	cache_free(c);
	ck_assert_int_eq(alive, 0);
}
END_TEST

/* A key in use outlives its place in the cache. */
START_TEST(test_reference)
{
	struct cache *c = NULL;
	struct key *held;
	struct err err = { 0 };

	ck_ok(cache_new(1, &c, &err));
	put(c, "a");
	held = cache_get(c, "a");
	put(c, "b");
	ck_assert(!has(c, "a"));
	ck_assert_int_eq(alive, 2);
	ck_assert_str_eq(held->id, "a");
	key_putp(&held);
	ck_assert_ptr_null(held);
	ck_assert_int_eq(alive, 1);
	cache_free(c);
}
END_TEST

struct race {
	struct cache *cache;
	int inside, most, rounds;
};

static void *
claim_often(void *arg)
{
	struct race *race = arg;

	for (int i = 0; i < 2000; i++) {
		AUTO(cache_release) struct cache_claim a = { 0 };
		AUTO(cache_release) struct cache_claim b = { 0 };

		cache_claim(race->cache, "a", &a);
		cache_claim(race->cache, "b", &b);
		/* guarded by the claims alone: a thread sanitizer would see it */
		race->inside++;
		if (race->inside > race->most)
			race->most = race->inside;
		race->rounds++;
		race->inside--;
	}
	return NULL;
}

START_TEST(test_claims)
{
	struct race race = { 0 };
	pthread_t threads[4];
	struct err err = { 0 };

	ck_ok(cache_new(1, &race.cache, &err));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, claim_often, &race), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(race.rounds, 8000);
	ck_assert_int_eq(race.most, 1);
	cache_free(race.cache);
}
END_TEST

TEST_MAIN("keyd/cache", test_bound, test_many, test_reference, test_since, test_claims)
