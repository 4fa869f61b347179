#ifndef KEYD_REMOTE_H
#define KEYD_REMOTE_H

#include "keyd/backend.h"
#include "keyd/worker_proto.h"
#include "platform/pool.h"
#include "platform/spawn.h"

/*
 * keyd's end of its key workers (worker.h): each is started by the spawner, watched, ended when a call to it passes its deadline
 * or it answers something odd, and started again after a pause that grows from 0.1 s to 30 s.
 *
 * A worker has a pool of its own here, its lane, whose threads wait for it: a worker that hangs fills its lane, and nobody else waits.
 * A call is made once.  One that the worker's end cut short, or that comes in the pause, is ERR_UNREACHABLE or ERR_TIMEOUT, which
 * say that it may be tried again, and never ERR_NOT_FOUND.
 */
struct remotes; /* all of them */
struct remote;	/* one */

struct remotes_config {
	struct spawner *spawner;
	/* The spawner is gone, and no worker can be started any more.  Called once for each worker, on a thread of its own. */
	void (*lost)(void *ctx);
	void *ctx;
};

struct remote_config {
	const char *name;     /* of the place; borrowed */
	const char *role;     /* that the spawner execs; a literal */
	unsigned channels;    /* calls at a time, at most WORKER_CHANNELS_MAX */
	unsigned deadline_ms; /* of one call */
};

enum err_code remotes_new(
    const struct remotes_config *config, struct remotes **ret, struct err *err) MUST_CHECK;
/* Before the start.  What is returned lives as long as the group. */
enum err_code remotes_add(struct remotes *all, const struct remote_config *config,
    struct remote **ret, struct err *err) MUST_CHECK;
/* Start workers and threads; after the policy.  It waits for none of them. */
enum err_code remotes_start(struct remotes *all, struct err *err) MUST_CHECK;
/* End every worker and with it each call, some 2 s at most.  NULL is allowed, here and below. */
void remotes_stop(struct remotes *all);
/* After remotes_stop, and when nobody uses one any more. */
void remotes_free(struct remotes *all);

/* How a worker is, for status. */
struct remote_state {
	const char *name;  /* of the place */
	const char *state; /* "serving", "starting", "restarting", "stopped" */
	bool serves;
	unsigned restarts;
	char trouble
	    [ERR_TEXT_MAX]; /* what ended the last one, or kept it from starting; "" so far nothing */
};

size_t remotes_count(const struct remotes *all);
void remotes_state(struct remotes *all, size_t i, struct remote_state *ret);

/* The lane: the pool whose threads may wait for this worker.  There from remotes_start to remotes_free. */
struct pool *remote_pool(const struct remote *r);
/*
 * Ask the worker.  Only where pool_may_block() says yes.
 *   ret   may be NULL where nothing is given back
 * Errors are the backend's own (backend.h), ERR_UNREACHABLE and ERR_TIMEOUT as above, ERR_INVALID: an id or data beyond what can be
 * carried.
 */
enum err_code remote_call(struct remote *r, const struct worker_question *q, struct bytes *ret,
    struct err *err) MUST_CHECK;

/* A place for keys whose work is done by config->remote.  Its keys hold an id and nothing secret. */
extern const struct backend remote_backend; /* remote_backend.c */

#endif
