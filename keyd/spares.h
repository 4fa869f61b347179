#ifndef KEYD_SPARES_H
#define KEYD_SPARES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A few contexts of one key that no thread uses now: to make one takes longer than to sign with it.  Every function but
 * init and done may be called by several threads at once.
 */
#define SPARES 8

struct spares {
	pthread_mutex_t lock;
	void *at[SPARES];
	size_t n;
};

void spares_init(struct spares *s);
/* Those left, one after the other, until NULL; then there is nothing more to release but what spares_done does. */
void *spares_take(struct spares *s);
/* Keep it for the next; false when there are enough, and it stays the caller's. */
bool spares_give(struct spares *s, void *context);
void spares_done(struct spares *s);

#endif
