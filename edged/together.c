#include "edged/together.h"

#include <pthread.h>
#include <stdatomic.h>

#include "platform/pool.h"

#define THREADS 8

struct work {
	void (*fn)(void *ctx, size_t i);
	void *ctx;
	size_t n;
	atomic_size_t next;
};

static void *
work_run(void *arg)
{
	struct work *w = arg;
	size_t i;

	pool_set_may_block(true);
	while ((i = atomic_fetch_add(&w->next, 1)) < w->n)
		w->fn(w->ctx, i);
	return NULL;
}

void
together(size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
	struct work w = { .fn = fn, .ctx = ctx, .n = n };
	pthread_t threads[THREADS - 1];
	size_t started = 0;

	while (started < THREADS - 1 && started + 1 < n &&
	       pthread_create(&threads[started], NULL, work_run, &w) == 0)
		started++;
	(void)work_run(&w);
	while (started)
		(void)pthread_join(threads[--started], NULL);
}
