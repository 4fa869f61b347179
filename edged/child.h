#ifndef EDGED_CHILD_H
#define EDGED_CHILD_H

#include "edged/proto.h"
#include "platform/spawn.h"

struct listeners;

/*
 * edged's care of its workload process: have the spawner exec it, hand it the listeners, answer its questions, and start
 * another, after a pause that grows from 0.1 s to 10 s, when it has ended.
 */
struct child;

struct child_config {
	struct spawner *spawner;
	struct listeners *listeners;
	const struct proto_answers *answers;
	/*
	 * The spawner is gone, and with it every workload process to come: none can be started by this process any more.  Called once,
	 * on the thread of child_start, which ends then.
	 */
	void (*lost)(void *ctx);
	void *ctx; /* of answers and lost */
};

enum err_code child_new(
    const struct child_config *config, struct child **ret, struct err *err) MUST_CHECK;
/* Start the thread that does all this; after the policy.  pool: where the process's questions are answered. */
enum err_code child_start(struct child *c, struct pool *pool, struct err *err) MUST_CHECK;
/* Is there a workload process at this moment?  False for c = NULL. */
bool child_serves(struct child *c);
/* End the process and the thread. */
void child_stop(struct child *c);
void child_free(struct child *c);

#endif
