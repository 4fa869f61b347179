#ifndef EDGED_IDS_H
#define EDGED_IDS_H

#include <stdbool.h>

#include "base/err.h"

/*
 * Container ids by module name, kept as long as the engine's events would tell of a change.  An answer is stored only if nothing happened
 * since the question was asked.  Bounded: beyond 256 names the oldest go.
 */
struct ids;

enum err_code ids_new(struct ids **ret, struct err *err) MUST_CHECK;
void ids_free(struct ids *ids);

/* False: not known; *ret_since is then for ids_put. */
bool ids_get(struct ids *ids, const char *name, char ret_id[65], unsigned long *ret_since);
void ids_put(struct ids *ids, const char *name, const char *id, unsigned long since);
/* Forget all: something happened. */
void ids_drop(struct ids *ids);
/* Events come in, or not any more (nothing is kept then).  Forgets all. */
void ids_live(struct ids *ids, bool live);

#endif
