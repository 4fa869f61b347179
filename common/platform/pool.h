#ifndef PLATFORM_POOL_H
#define PLATFORM_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A bounded pool of threads for work that may wait (architecture.md 3).  Queue bounded; one owner (a uid) holds
 * at most half of threads and queue, so a noisy caller starves nobody (decisions.md, Limits).
 */
struct pool;

typedef void pool_run(void *job);

/* At most so many threads; each is started when a job finds no other one free. */
enum err_code pool_new(
    unsigned threads, unsigned queue, struct pool **ret, struct err *err) MUST_CHECK;
/* Run fn(job) on a pool thread.  ERR_BUSY: the queue, or the owner's share of it, is full. */
enum err_code pool_submit(
    struct pool *pool, uint32_t owner, pool_run *fn, void *job, struct err *err) MUST_CHECK;
/* Refuse new jobs, wait up to grace_ms for queued and running ones.  Returns how many did not end; those queued never start. */
unsigned pool_stop(struct pool *pool, unsigned grace_ms);
/* After pool_stop; NULL is allowed.  While a job still runs its pool is left to the end of the process. */
void pool_free(struct pool *pool);

/* Is the calling thread one that may wait?  Threads of a pool and those that said so; never a polling thread. */
bool pool_may_block(void);
void pool_set_may_block(bool yes);

/*
 * Which pool shall run the job that had to wait here: whoever answers ERR_WOULD_BLOCK may say so for its thread, and whoever
 * hands the job over asks once.  NULL: no wish.  So work for one peer that hangs fills that peer's threads and no others.
 */
void pool_want(struct pool *pool);
struct pool *pool_wanted(void);

#endif
