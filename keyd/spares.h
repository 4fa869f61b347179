#ifndef KEYD_SPARES_H
#define KEYD_SPARES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A few contexts of one key that no thread uses now: to make one takes longer than to sign with it.  All zero is empty.
 * Both functions may be called by several threads at once.
 */
#define SPARES 8

struct spares {
	_Atomic(void *) at[SPARES];
};

/* One of them, which is the caller's then; NULL: there is none. */
void *spares_take(struct spares *s);
/* Keep it for the next; false when there are enough, and it stays the caller's. */
bool spares_give(struct spares *s, void *context);

#endif
