#include "tests/support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tpmd/tpm_priv.h"

/* Callers in line for a TPM, which here is a counter that only the one whose turn it is may touch. */

#define CALLERS 8
#define ROUNDS	200
#define LONG_MS 20000

static struct tpm tpm;
static unsigned at_work, begun, done;
static unsigned order[CALLERS + 1];

static void
setup(void)
{
	tpm = (struct tpm){ .lock = PTHREAD_MUTEX_INITIALIZER };
	tpm.last = &tpm.first;
	at_work = begun = done = 0;
}

struct caller {
	pthread_t thread;
	unsigned number;
	unsigned wait_ms;
	bool was_begun;
	atomic_bool left;
	struct err err;
	enum err_code code;
	struct tpm_turn turn;
};

/* By the one before, while that one still has the TPM. */
static void
begin(struct tpm *t, void *ctx)
{
	struct caller *c = ctx;

	ck_assert_ptr_eq(t, &tpm);
	ck_assert(!c->left);
	c->was_begun = true;
	begun++;
}

static void *
call(void *ctx)
{
	struct caller *c = ctx;

	c->turn = (struct tpm_turn){ .begin = begin, .ctx = c };
	c->code = tpm_take(&tpm, &c->turn, c->wait_ms, &c->err);
	if (!c->code) {
		order[done++] = c->number;
		tpm_pass(&tpm);
	}
	c->left = true;
	return NULL;
}

static bool
is_in_line(const struct caller *c)
{
	const struct tpm_turn *turn;

	pthread_mutex_lock(&tpm.lock);
	for (turn = tpm.first; turn && turn != &c->turn;)
		turn = turn->next;
	pthread_mutex_unlock(&tpm.lock);
	return turn != NULL;
}

/* Behind those who are in line; one that waits for little may have left again by then. */
static void
start(struct caller *c, unsigned number, unsigned wait_ms)
{
	*c = (struct caller){ .number = number, .wait_ms = wait_ms };
	ck_assert_int_eq(pthread_create(&c->thread, NULL, call, c), 0);
	while (!is_in_line(c) && !c->left)
		usleep(1000);
}

START_TEST(test_order)
{
	struct caller callers[CALLERS];
	struct tpm_turn mine = { 0 };
	struct err err = { 0 };

	setup();
	ck_ok(tpm_take(&tpm, &mine, 0, &err));
	for (unsigned i = 0; i < CALLERS; i++)
		start(&callers[i], i, LONG_MS);
	tpm_pass(&tpm);
	for (unsigned i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		ck_assert(callers[i].was_begun);
	}
	ck_assert_uint_eq(begun, CALLERS);
	ck_assert_uint_eq(done, CALLERS);
	for (unsigned i = 0; i < CALLERS; i++)
		ck_assert_uint_eq(order[i], i);
	/* and nobody has it now */
	ck_ok(tpm_take(&tpm, &mine, 0, &err));
	tpm_pass(&tpm);
}
END_TEST

/* Who has waited long enough leaves, from any place in line, and is not begun. */
START_TEST(test_wait)
{
	struct caller stays[3], leaves[3];
	struct tpm_turn mine = { 0 };
	struct err err = { 0 };

	setup();
	ck_ok(tpm_take(&tpm, &mine, 0, &err));
	/* the first, one between others, and the last */
	start(&leaves[0], 0, 300);
	start(&stays[0], 0, LONG_MS);
	start(&leaves[1], 0, 300);
	start(&stays[1], 1, LONG_MS);
	start(&leaves[2], 0, 300);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(leaves[i].thread, NULL);
		ck_assert_int_eq(leaves[i].code, ERR_BUSY);
		ck_assert_ptr_nonnull(strstr(leaves[i].err.text, "at one call for "));
		ck_assert(!leaves[i].was_begun);
	}
	start(&stays[2], 2, LONG_MS);
	tpm_pass(&tpm);
	for (unsigned i = 0; i < 3; i++) {
		pthread_join(stays[i].thread, NULL);
		ck_assert_int_eq(stays[i].code, ERR_OK);
		ck_assert_uint_eq(order[i], i);
	}
	ck_assert_uint_eq(done, 3);
}
END_TEST

static void *
work(void *ctx)
{
	unsigned *n = ctx;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct tpm_turn turn = { 0 };
		struct err err = { 0 };

		/* some give up at once */
		if (tpm_take(&tpm, &turn, i % 5 ? LONG_MS : 0, &err))
			continue;
		at_work++;
		ck_assert_uint_eq(at_work, 1);
		at_work--;
		tpm_pass(&tpm);
		++*n;
	}
	return NULL;
}

/* One at a time, and none is forgotten. */
START_TEST(test_crowd)
{
	pthread_t threads[CALLERS];
	unsigned n[CALLERS] = { 0 };

	setup();
	for (unsigned i = 0; i < CALLERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &n[i]), 0);
	for (unsigned i = 0; i < CALLERS; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_uint_ge(n[i], ROUNDS / 5 * 4);
	}
	ck_assert(!tpm.taken);
	ck_assert_ptr_null(tpm.first);
}
END_TEST

TEST_MAIN("tpmd/tpm_turn", test_order, test_wait, test_crowd)
