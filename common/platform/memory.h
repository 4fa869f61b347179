#ifndef PLATFORM_MEMORY_H
#define PLATFORM_MEMORY_H

#include <stdbool.h>

/*
 * Memory of a process that holds keys: none of it in swap, and none of what libcrypto frees left as it was.  (Our own buffers are
 * wiped by base/, jansson's by data/json.h; core files and other processes are kept out by privs_lock.)
 */
enum memory_lock {
	MEMORY_NOT_LOCKED,
	MEMORY_HEAP_LOCKED, /* the first MEMORY_RESERVE bytes of the heap, which idle keys fit into; not stacks */
	MEMORY_ALL_LOCKED, /* now and whatever comes */
};

#define MEMORY_RESERVE ((size_t)4 * 1024 * 1024)

/* Have libcrypto wipe what it frees.  Before its first use, else false. */
bool memory_wipe_freed(void);

/*
 * Lock as much as may be; while still root, before the first key.  RLIMIT_MEMLOCK is raised if that is permitted.  Everything is
 * locked only where it ends up without limit (LimitMEMLOCK=infinity in the unit): below one, an allocation over the limit would
 * fail, and so anybody could have keyd fail.  Pages count once they are used (MCL_ONFAULT).
 */
enum memory_lock memory_lock(void);

/* "all locked", "heap locked", "not locked". */
const char *memory_lock_name(enum memory_lock lock);

#endif
