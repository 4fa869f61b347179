#include "base/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/support/support.h"

struct content {
	int *a, *b; /* always the same number */
};

static atomic_uint n_done;

static void
content_done(void *content)
{
	struct content *c = content;

	ck_assert_int_eq(*c->a, *c->b);
	*c->a = -1;
	free(c->a);
	free(c->b);
	atomic_fetch_add(&n_done, 1);
}

static struct content
content_of(int n)
{
	struct content c = { malloc(sizeof(int)), malloc(sizeof(int)) };

	ck_assert(c.a && c.b);
	*c.a = *c.b = n;
	return c;
}

static struct snapshot *
begin(int n)
{
	struct content first = content_of(n);
	struct snapshot *s = NULL;
	struct err err = { 0 };

	atomic_store(&n_done, 0);
	ck_ok(snapshot_new(&first, sizeof(first), content_done, &s, &err));
	ck_assert_ptr_null(first.a);
	return s;
}

static void
replace(struct snapshot *s, int n)
{
	struct content next = content_of(n);
	struct err err = { 0 };

	ck_ok(snapshot_set(s, &next, &err));
	ck_assert_ptr_null(next.a);
}

/* who has a content keeps it, whatever is put in its place, and the last one releases it */
START_TEST(test_replaced)
{
	struct snapshot *s = begin(1);
	const struct content *one = snapshot_get(s), *again = snapshot_get(s), *two;

	ck_assert_ptr_eq(one, again);
	replace(s, 2);
	two = snapshot_get(s);
	ck_assert_int_eq(*one->a, 1);
	ck_assert_int_eq(*two->a, 2);
	ck_assert(!snapshot_idle(s));
	snapshot_putp(&one);
	ck_assert_ptr_null(one);
	snapshot_putp(&one); /* nothing */
	ck_assert_uint_eq(atomic_load(&n_done), 0);
	snapshot_putp(&again);
	ck_assert_uint_eq(atomic_load(&n_done), 1);
	snapshot_putp(&two);
	ck_assert(snapshot_idle(s));
	ck_assert_uint_eq(atomic_load(&n_done), 1);
	replace(s, 3);
	ck_assert_uint_eq(atomic_load(&n_done), 2);
	snapshot_free(s);
	ck_assert_uint_eq(atomic_load(&n_done), 3);
	snapshot_free(NULL);
}
END_TEST

/* a handler that outlives its daemon's end still has its configuration */
START_TEST(test_outlived)
{
	struct snapshot *s = begin(1);
	const struct content *one = snapshot_get(s), *two;

	replace(s, 2);
	two = snapshot_get(s);
	snapshot_free(s);
	ck_assert_uint_eq(atomic_load(&n_done), 0);
	ck_assert_int_eq(*one->a, 1);
	snapshot_putp(&one);
	ck_assert_int_eq(*two->a, 2);
	snapshot_putp(&two);
	ck_assert_uint_eq(atomic_load(&n_done), 2);
}
END_TEST

static void *
read_all(void *s)
{
	for (int i = 0; i < 5000; i++) {
		AUTO(snapshot_putp) const struct content *c = snapshot_get(s);

		ck_assert_int_eq(*c->a, *c->b);
		ck_assert_int_ge(*c->a, 1);
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct snapshot *s = begin(1);
	pthread_t readers[2];

	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_all, s), 0);
	for (int i = 2; i <= 200; i++)
		replace(s, i);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		pthread_join(readers[i], NULL);
	ck_assert(snapshot_idle(s));
	snapshot_free(s);
	ck_assert_uint_eq(atomic_load(&n_done), 200);
}
END_TEST

TEST_MAIN("base/snapshot", test_replaced, test_outlived, test_threads)
