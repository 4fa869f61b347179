#include <pthread.h>

#include "keyd/spares.h"
#include "tests/support/support.h"

START_TEST(test_bound)
{
	struct spares s = { { NULL } };
	int context[SPARES + 1];

	ck_assert_ptr_null(spares_take(&s));
	for (size_t i = 0; i < SPARES; i++)
		ck_assert(spares_give(&s, &context[i]));
	ck_assert(!spares_give(&s, &context[SPARES]));
	for (size_t i = 0; i < SPARES; i++)
		ck_assert_ptr_eq(spares_take(&s), &context[i]);
	ck_assert_ptr_null(spares_take(&s));
	ck_assert(spares_give(&s, &context[1]));
	ck_assert_ptr_eq(spares_take(&s), &context[1]);
}
END_TEST

/* What one thread has taken, no other gets. */
static void *
take_and_give(void *spares)
{
	for (int i = 0; i < 20000; i++) {
		int *mine = spares_take(spares);

		if (!mine)
			continue;
		if ((*mine)++)
			return mine;
		(*mine)--;
		if (!spares_give(spares, mine))
			return mine;
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct spares s = { { NULL } };
	int context[2] = { 0 };
	pthread_t threads[4];

	ck_assert(spares_give(&s, &context[0]) && spares_give(&s, &context[1]));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, &s), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *twice;

		pthread_join(threads[i], &twice);
		ck_assert_ptr_null(twice);
	}
}
END_TEST

TEST_MAIN("keyd/spares", test_bound, test_threads)
