#include "tests/support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "platform/pool.h"

/* Jobs that wait at a gate, so that a test decides how many run at once. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	unsigned entered, left;
	unsigned order[64]; /* tags in order of entry */
	bool may_block;
};

#define GATE                                                                           \
	{                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

struct ticket {
	struct gate *gate;
	unsigned tag;
};

static void
pass_gate(void *arg)
{
	struct ticket *ticket = arg;
	struct gate *gate = ticket->gate;

	pthread_mutex_lock(&gate->lock);
	gate->order[gate->entered++] = ticket->tag;
	gate->may_block = pool_may_block();
	pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	gate->left++;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

static unsigned
entered(struct gate *gate)
{
	unsigned n;

	pthread_mutex_lock(&gate->lock);
	n = gate->entered;
	pthread_mutex_unlock(&gate->lock);
	return n;
}

static void
wait_entered(struct gate *gate, unsigned n)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->entered < n)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void
open_gate(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* decisions.md, Limits: one uid holds at most half the pool */
static const struct {
	unsigned threads, queue, want_running, want_queued;
} shares[] = {
	{ 1, 1, 1, 1 },
	{ 1, 8, 1, 4 },
	{ 2, 8, 1, 4 },
	{ 3, 5, 1, 2 },
	{ 4, 64, 2, 32 },
};

static void
fill_share(unsigned threads, unsigned queue, unsigned want_running, unsigned want_queued)
{
	struct gate gate = GATE;
	struct ticket ticket = { &gate, 0 };
	struct pool *pool = NULL;
	struct err err = { 0 };
	unsigned accepted = 0;

	ck_ok(pool_new(threads, queue, &pool, &err));
	while (accepted < want_running) {
		ck_ok(pool_submit(pool, 1000, pass_gate, &ticket, &err));
		wait_entered(&gate, ++accepted);
	}
	while (accepted < 64 && pool_submit(pool, 1000, pass_gate, &ticket, &err) == ERR_OK)
		accepted++;
	ck_assert_uint_eq(accepted, want_running + want_queued);
	ck_assert_int_eq(err.code, ERR_BUSY);
	ck_assert_str_eq(err.text, "busy");
	usleep(20000);
	ck_assert_uint_eq(entered(&gate), want_running);
	open_gate(&gate);
	ck_assert_uint_eq(pool_stop(pool, 5000), 0);
	ck_assert_uint_eq(gate.left, accepted);
	ck_assert(gate.may_block);
	pool_free(pool);
}

START_TEST(test_owner_share)
{
	for (size_t i = 0; i < ARRAY_LEN(shares); i++)
		fill_share(shares[i].threads, shares[i].queue, shares[i].want_running,
		    shares[i].want_queued);
}
END_TEST

START_TEST(test_others_get_through)
{
	struct gate gate = GATE;
	struct ticket noisy = { &gate, 1 }, quiet = { &gate, 2 };
	struct pool *pool = NULL;
	struct err err = { 0 };

	ck_ok(pool_new(2, 8, &pool, &err));
	for (int i = 0; i < 4; i++)
		ck_ok(pool_submit(pool, 1000, pass_gate, &noisy, &err));
	wait_entered(&gate, 1);
	ck_ok(pool_submit(pool, 1001, pass_gate, &quiet, &err));
	wait_entered(&gate, 2);
	ck_assert_uint_eq(gate.order[0], 1);
	ck_assert_uint_eq(gate.order[1], 2);
	open_gate(&gate);
	ck_assert_uint_eq(pool_stop(pool, 5000), 0);
	ck_assert_uint_eq(gate.left, 5);
	pool_free(pool);
}
END_TEST

START_TEST(test_queue_bound)
{
	struct gate gate = GATE;
	struct ticket ticket = { &gate, 0 };
	struct pool *pool = NULL;
	struct err err = { 0 };
	unsigned accepted = 0;

	ck_ok(pool_new(1, 4, &pool, &err));
	ck_ok(pool_submit(pool, 1, pass_gate, &ticket, &err));
	wait_entered(&gate, 1);
	for (uint32_t owner = 0; owner < 16; owner++)
		accepted += pool_submit(pool, owner, pass_gate, &ticket, &err) == ERR_OK;
	ck_assert_uint_eq(accepted, 4);
	ck_err(pool_submit(pool, 99, pass_gate, &ticket, &err), ERR_BUSY);
	open_gate(&gate);
	ck_assert_uint_eq(pool_stop(pool, 5000), 0);
	ck_assert_uint_eq(gate.left, 5);
	ck_err(pool_submit(pool, 99, pass_gate, &ticket, &err), ERR_BUSY);
	pool_free(pool);
}
END_TEST

START_TEST(test_grace)
{
	static struct gate gate = GATE;
	static struct ticket ticket = { &gate, 0 };
	struct pool *pool = NULL;
	struct err err = { 0 };
	uint64_t began;

	ck_ok(pool_new(1, 8, &pool, &err));
	for (int i = 0; i < 3; i++)
		ck_ok(pool_submit(pool, 1, pass_gate, &ticket, &err));
	wait_entered(&gate, 1);
	began = clock_mono_ms();
	ck_assert_uint_eq(pool_stop(pool, 50), 3);
	ck_assert_uint_ge(clock_mono_ms() - began, 49);
	open_gate(&gate);
	ck_assert_uint_eq(pool_stop(pool, 5000), 0);
	ck_assert_uint_eq(gate.left, 1); /* the queued ones never started */
	pool_free(pool);
	pool_free(NULL);
}
END_TEST

static unsigned
count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned n = 0;

	ck_assert_ptr_nonnull(tasks);
	for (struct dirent *entry; (entry = readdir(tasks));)
		n += entry->d_name[0] != '.';
	closedir(tasks);
	return n;
}

/* an idle device pays for no thread that it never needs */
START_TEST(test_threads_on_demand)
{
	struct gate gate = GATE;
	struct ticket ticket = { &gate, 0 };
	struct pool *pool = NULL;
	struct err err = { 0 };
	const unsigned before = count_threads();

	ck_ok(pool_new(4, 64, &pool, &err));
	ck_assert_uint_eq(count_threads(), before + 1);
	for (unsigned n = 1; n <= 4; n++) {
		ck_ok(pool_submit(pool, n, pass_gate, &ticket, &err));
		wait_entered(&gate, n);
		ck_assert_uint_eq(count_threads(), before + n);
	}
	for (unsigned n = 5; n < 16; n++)
		ck_ok(pool_submit(pool, n, pass_gate, &ticket, &err));
	ck_assert_uint_eq(count_threads(), before + 4);
	open_gate(&gate);
	ck_assert_uint_eq(pool_stop(pool, 5000), 0);
	ck_assert_uint_eq(gate.left, 15);
	pool_free(pool);
	ck_assert_uint_eq(count_threads(), before);
}
END_TEST

START_TEST(test_may_block)
{
	ck_assert(!pool_may_block());
	pool_set_may_block(true);
	ck_assert(pool_may_block());
	pool_set_may_block(false);
	ck_assert(!pool_may_block());
}
END_TEST

TEST_MAIN("platform/pool", test_owner_share, test_others_get_through, test_queue_bound, test_grace,
    test_threads_on_demand, test_may_block)
