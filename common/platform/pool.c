#include "platform/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

struct job {
	uint32_t owner;
	pool_run *fn;
	void *arg;
};

/* One thread of the pool and whom it works for. */
struct worker {
	struct pool *pool;
	pthread_t thread;
	bool busy;
	uint32_t owner;
};

struct pool {
	pthread_mutex_t lock; /* guards everything below; never held while a job runs */
	pthread_cond_t work;  /* a job came, a share became free, or the end */
	pthread_cond_t idle;  /* a job ended */
	bool stopping;
	unsigned n_workers, n_busy; /* threads that are there; those at work */
	unsigned workers_max;
	unsigned n_queued, queue_max;
	struct job *queue; /* oldest first */
	struct worker workers[];
};

static _Thread_local bool may_block;
static _Thread_local struct pool *wanted;

bool
pool_may_block(void)
{
	return may_block;
}

void
pool_set_may_block(bool yes)
{
	may_block = yes;
}

void
pool_want(struct pool *pool)
{
	wanted = pool;
}

struct pool *
pool_wanted(void)
{
	struct pool *pool = wanted;

	wanted = NULL;
	return pool;
}

/* Half, but never nothing. */
static unsigned
share_of(unsigned n)
{
	return n < 2 ? 1 : n / 2;
}

static unsigned
running_for(const struct pool *pool, uint32_t owner)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->n_workers; i++)
		n += pool->workers[i].busy && pool->workers[i].owner == owner;
	return n;
}

static unsigned
queued_for(const struct pool *pool, uint32_t owner)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pool->n_queued; i++)
		n += pool->queue[i].owner == owner;
	return n;
}

/* The oldest job whose owner has a thread left of its share, or n_queued.  The queue is short, so it is searched in order. */
static unsigned
next_job(const struct pool *pool)
{
	unsigned i = 0;

	while (i < pool->n_queued &&
	       running_for(pool, pool->queue[i].owner) >= share_of(pool->workers_max))
		i++;
	return i;
}

static bool
take_job(struct pool *pool, struct job *ret)
{
	unsigned i = next_job(pool);

	if (i == pool->n_queued)
		return false;
	*ret = pool->queue[i];
	pool->n_queued--;
	memmove(
	    &pool->queue[i], &pool->queue[i + 1], (pool->n_queued - i) * sizeof(pool->queue[0]));
	return true;
}

/* Is there work for a thread that waits?  One that is woken for nothing costs as much as a short job. */
static bool
wants_thread(const struct pool *pool)
{
	return pool->n_busy < pool->n_workers && next_job(pool) < pool->n_queued;
}

static void
work_on(struct worker *self, const struct job *job)
{
	struct pool *pool = self->pool;
	bool more;

	self->busy = true;
	self->owner = job->owner;
	pool->n_busy++;
	more = wants_thread(pool);
	pthread_mutex_unlock(&pool->lock);
	if (more)
		pthread_cond_signal(&pool->work);
	job->fn(job->arg);
	pthread_mutex_lock(&pool->lock);
	self->busy = false;
	pool->n_busy--;
	pthread_cond_broadcast(&pool->idle);
}

static void *
worker_main(void *arg)
{
	struct worker *self = arg;
	struct pool *pool = self->pool;
	struct job job;

	pool_set_may_block(true);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		/* after its own job a thread looks again, so a share that it frees is never overlooked */
		if (take_job(pool, &job))
			work_on(self, &job);
		else if (pool->stopping && pool->n_queued == 0)
			break;
		else
			pthread_cond_wait(&pool->work, &pool->lock);
	}
	/* the last queued job may have been taken while others waited for it */
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void
init_sync(struct pool *pool)
{

	pthread_mutex_init(&pool->lock, NULL);
	clock_cond_init(&pool->work);
	clock_cond_init(&pool->idle);
}

/* Under the lock. */
static enum err_code
add_worker(struct pool *pool, struct err *err)
{
	struct worker *worker = &pool->workers[pool->n_workers];

	worker->pool = pool;
	errno = pthread_create(&worker->thread, NULL, worker_main, worker);
	if (errno)
		return err_errno(err, "could not start a thread");
	pool->n_workers++;
	return ERR_OK;
}

/* Threads come as they are needed, for most pools never need most of theirs.  The first one is there from the start. */
static void
grow(struct pool *pool)
{
	struct err unable = { 0 };

	/* where there can be no more, those that are there come to the job later */
	if (next_job(pool) < pool->n_queued && pool->n_queued > pool->n_workers - pool->n_busy &&
	    pool->n_workers < pool->workers_max)
		(void)add_worker(pool, &unable);
}

enum err_code
pool_new(unsigned threads, unsigned queue, struct pool **ret, struct err *err)
{
	enum err_code code;
	struct pool *pool;

	if (threads == 0 || queue == 0)
		return err_set(err, ERR_INTERNAL, "a pool needs a thread and a place in the queue");
	pool = calloc(1, sizeof(*pool) + threads * sizeof(pool->workers[0]));
	if (!pool)
		return err_nomem(err);
	init_sync(pool);
	pool->workers_max = threads;
	pool->queue_max = queue;
	pool->queue = calloc(queue, sizeof(pool->queue[0]));
	if (!pool->queue) {
		pool_free(pool);
		return err_nomem(err);
	}
	pthread_mutex_lock(&pool->lock);
	code = add_worker(pool, err);
	pthread_mutex_unlock(&pool->lock);
	if (code) {
		pool_free(pool);
		return code;
	}
	*ret = pool;
	return ERR_OK;
}

enum err_code
pool_submit(struct pool *pool, uint32_t owner, pool_run *fn, void *job, struct err *err)
{
	enum err_code code = ERR_OK;
	bool wake = false;

	pthread_mutex_lock(&pool->lock);
	if (pool->stopping || pool->n_queued == pool->queue_max ||
	    queued_for(pool, owner) >= share_of(pool->queue_max)) {
		code = err_set(err, ERR_BUSY, "busy");
	} else {
		pool->queue[pool->n_queued++] = (struct job){ owner, fn, job };
		grow(pool);
		wake = wants_thread(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	/* behind the lock, or who is woken would wait for that */
	if (wake)
		pthread_cond_signal(&pool->work);
	return code;
}

unsigned
pool_stop(struct pool *pool, unsigned grace_ms)
{
	uint64_t until = clock_mono_ms() + grace_ms;
	unsigned left;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	while (
	    pool->n_busy + pool->n_queued > 0 && clock_cond_wait(&pool->idle, &pool->lock, until))
		continue;
	left = pool->n_busy + pool->n_queued;
	pool->n_queued = 0;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	return left;
}

void
pool_free(struct pool *pool)
{
	unsigned busy;

	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pool->n_queued = 0;
	busy = pool->n_busy;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	if (busy > 0)
		return; /* threads that did not come back in time still use it: the end of the process frees it */
	for (unsigned i = 0; i < pool->n_workers; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->queue);
	free(pool);
}
