#include "tests/support/support.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "platform/daemon.h"
#include "platform/memory.h"

/* What realloc leaves behind and free gives back is looked at where it was: no build that watches for that may try. */
START_TEST(test_wiped)
{
	volatile uint8_t *was;
	uint8_t *data, *moved;

	ck_assert(memory_wipe_freed());
	ck_assert_ptr_null(OPENSSL_malloc(0));
	data = OPENSSL_malloc(1000);
	memset(data, 's', 1000);
	was = data;
	moved = OPENSSL_realloc(data, 100000);
	ck_assert_ptr_ne(moved, NULL);
	for (size_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(moved[i], 's');
	/* the allocator's own links stand in the first bytes */
	for (size_t i = 32; i < 1000 && !daemon_instrumented(); i++)
		ck_assert_uint_ne(was[i], 's');
	ck_assert_ptr_eq(OPENSSL_realloc(moved, 50), moved);
	memset(moved, 's', 1000);
	was = moved;
	OPENSSL_free(moved);
	for (size_t i = 32; i < 1000 && !daemon_instrumented(); i++)
		ck_assert_uint_ne(was[i], 's');
	ck_assert_ptr_null(OPENSSL_realloc(OPENSSL_realloc(NULL, 10), 0));
}
END_TEST

START_TEST(test_too_late)
{
	/* in one process with the test before it, it was in time */
	if (daemon_instrumented())
		return;
	OPENSSL_free(OPENSSL_malloc(1));
	ck_assert(!memory_wipe_freed());
}
END_TEST

/* Is the map that holds that address locked? */
static bool
is_locked(const void *at)
{
	AUTO(str_freep)
	char *flags = support_sh("awk -v at=%lx '"
				 "/^[0-9a-f]+-[0-9a-f]+ / {split($1, ends, \"-\"); "
				 "here = ends[1] \"\" <= at \"\" && at \"\" < ends[2] \"\"} "
				 "here && /^VmFlags/ {print; exit}' /proc/%d/smaps",
	    (unsigned long)(uintptr_t)at, (int)getpid());

	return strstr(flags, " lo") != NULL;
}

/* Below a limit what is locked is bounded, and no allocation fails for it; what was allocated before is locked, too. */
START_TEST(test_heap)
{
	struct rlimit limit = { 8 << 20, 8 << 20 };
	char *before, *chunks[400];
	enum memory_lock lock;

	if (daemon_instrumented())
		return;
	before = malloc(5000);
	memset(before, 'b', 5000);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	lock = memory_lock();
	ck_assert_int_ne(lock, MEMORY_NOT_LOCKED);
	if (lock == MEMORY_ALL_LOCKED) { /* whoever may raise any limit is not bounded by one */
		free(before);
		return;
	}
	ck_assert(is_locked(before));
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
		chunks[i] = malloc(60000);
		ck_assert_ptr_nonnull(chunks[i]);
		memset(chunks[i], 'c', 60000);
	}
	ck_assert(is_locked(chunks[0]));
	ck_assert(is_locked(chunks[40]));
	ck_assert(!is_locked(chunks[399]));
	for (size_t i = 0; i < ARRAY_LEN(chunks); i++)
		free(chunks[i]);
	/* the heap does not shrink below what is locked */
	free(before);
	for (size_t i = 0; i < 50; i++) {
		chunks[i] = malloc(60000);
		ck_assert(i % 10 != 0 || is_locked(chunks[i]));
	}
	for (size_t i = 0; i < 50; i++)
		free(chunks[i]);
}
END_TEST

START_TEST(test_names)
{
	ck_assert_str_eq(memory_lock_name(MEMORY_NOT_LOCKED), "not locked");
	ck_assert_str_eq(memory_lock_name(MEMORY_HEAP_LOCKED), "heap locked");
	ck_assert_str_eq(memory_lock_name(MEMORY_ALL_LOCKED), "all locked");
}
END_TEST

TEST_MAIN("platform/memory", test_wiped, test_too_late, test_heap, test_names)
