#include "platform/memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"

/* Below the size from which malloc maps memory of its own, above a page. */
#define GROWING ((size_t)120 * 1024)

/* --- wiped */

static void *
take(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return size ? malloc(size) : NULL;
}

static void
give_back(void *data, const char *file, int line)
{
	(void)file, (void)line;
	if (data)
		mem_wipe(data, malloc_usable_size(data));
	free(data);
}

static void *
change(void *data, size_t size, const char *file, int line)
{
	size_t has = data ? malloc_usable_size(data) : 0;
	void *moved;

	if (data && size > 0 && size <= has)
		return data;
	moved = take(size, file, line);
	if (moved && data)
		memcpy(moved, data, has);
	if (moved || size == 0)
		give_back(data, file, line);
	return moved;
}

bool
memory_wipe_freed(void)
{
	return CRYPTO_set_mem_functions(take, change, give_back) == 1;
}

/* --- locked */

/* Where the heap begins; NULL: nowhere that can be found. */
static char *
heap_start(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long from = 0;
	char line[256];

	if (!maps)
		return NULL;
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[heap]") && sscanf(line, "%lx-", &from) == 1)
			break;
	fclose(maps);
	return (char *)from;
}

/*
 * One arena, with room to lock, which is kept when the heap shrinks (M_TOP_PAD counts then, too): what is allocated beyond is not
 * locked, but fails nowhere.
 */
static bool
lock_heap(void)
{
	char *from;
	char *volatile grown; /* else the compiler spares both calls */

	/* what starting took goes back while it may, and the heap ends where it is used, so that it has to grow */
	malloc_trim(0);
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, (int)(2 * MEMORY_RESERVE));
	mallopt(M_TOP_PAD, (int)MEMORY_RESERVE);
	grown = malloc(GROWING);
	from = heap_start();
	free(grown);
	return grown && from && mlock2(from, (size_t)((char *)sbrk(0) - from), MLOCK_ONFAULT) == 0;
}

enum memory_lock
memory_lock(void)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit limit = { 0 };

	(void)setrlimit(RLIMIT_MEMLOCK, &none);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return MEMORY_ALL_LOCKED;
	return lock_heap() ? MEMORY_HEAP_LOCKED : MEMORY_NOT_LOCKED;
}

const char *
memory_lock_name(enum memory_lock lock)
{
	static const char *const names[] = { [MEMORY_NOT_LOCKED] = "not locked",
		[MEMORY_HEAP_LOCKED] = "heap locked",
		[MEMORY_ALL_LOCKED] = "all locked" };

	return names[lock];
}
