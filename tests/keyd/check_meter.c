#include "tests/support/support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/meter.h"

#define DAY  86400
#define NOON (20000LL * DAY + DAY / 2) /* of some day */

static struct meter *
new_meter(void)
{
	struct meter *m = NULL;
	struct err err = { 0 };

	ck_ok(meter_new(support_path("count"), &m, &err));
	return m;
}

static enum meter_answer
take(struct meter *m, uint32_t per_second, uint64_t per_day, uint64_t now_ms, int64_t now)
{
	const struct meter_limits limits = { per_second, per_day };
	enum meter_answer answer = METER_GRANTED;
	struct err err = { 0 };

	ck_ok(meter_take(m, &limits, now_ms, now, &answer, &err));
	return answer;
}

static void
take_many(struct meter *m, unsigned n, uint64_t per_day, int64_t now)
{
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(take(m, 0, per_day, 0, now), METER_GRANTED);
}

/* A second begins with the first use after the last one ended; the steps in milliseconds, three uses a second. */
START_TEST(test_second)
{
	static const struct {
		uint64_t now_ms;
		enum meter_answer answer;
	} steps[] = {
		{ 700, METER_GRANTED },
		{ 700, METER_GRANTED },
		{ 1699, METER_GRANTED },
		{ 1699, METER_SECOND_FULL },
		{ 1700, METER_GRANTED },
		{ 1701, METER_GRANTED },
		{ 1600, METER_GRANTED }, /* a thread that read its clock earlier */
		{ 2699, METER_SECOND_FULL },
		{ 9000, METER_GRANTED },
		{ 9999, METER_GRANTED },
		{ 9999, METER_GRANTED },
		{ 9999, METER_SECOND_FULL },
		{ 10000, METER_GRANTED },
	};
	struct meter *m = new_meter();

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		ck_assert_msg(
		    take(m, 3, 0, steps[i].now_ms, NOON) == steps[i].answer, "step %zu", i);
	meter_free(m);
	ck_assert_int_ne(access(support_path("count"), F_OK), 0); /* seconds are not kept */
}
END_TEST

START_TEST(test_day)
{
	struct meter *m = new_meter();

	take_many(m, 3, 3, NOON);
	ck_assert_int_eq(take(m, 0, 3, 0, NOON), METER_DAY_FULL);
	ck_assert_int_eq(meter_next_day(m), 20001LL * DAY);
	ck_assert_int_eq(take(m, 0, 3, 0, 20001LL * DAY - 1), METER_DAY_FULL);
	/* a limit that was raised, and lowered */
	ck_assert_int_eq(take(m, 0, 4, 0, NOON), METER_GRANTED);
	ck_assert_int_eq(take(m, 0, 2, 0, NOON), METER_DAY_FULL);
	take_many(m, 3, 3, 20001LL * DAY);
	ck_assert_int_eq(take(m, 0, 3, 0, 20001LL * DAY), METER_DAY_FULL);
	/* a clock that was set back gives nothing back */
	ck_assert_int_eq(take(m, 0, 3, 0, NOON), METER_DAY_FULL);
	ck_assert_int_eq(take(m, 0, 3, 0, -1), METER_DAY_FULL);
	take_many(m, 1, 3, 20002LL * DAY);
	/* what the second refuses is not charged to the day */
	ck_assert_int_eq(take(m, 1, 3, 0, 20002LL * DAY), METER_SECOND_FULL);
	take_many(m, 2, 3, 20002LL * DAY);
	meter_free(m);
}
END_TEST

/* What a use finds on disk afterwards, and how a new process goes on. */
START_TEST(test_kept)
{
	struct meter *m = new_meter(), *crashed;
	AUTO(str_freep) char *text = NULL;

	take_many(m, 1, 500, NOON);
	text = support_sh("cat %s; stat -c %%a %s", support_path("count"), support_path("count"));
	ck_assert_str_eq(text, "2024-10-04T00:00:00Z 5\n600"); /* date -u -d @1728000000 */
	take_many(m, 5, 500, NOON);
	str_freep(&text);
	text = support_sh("cat %s", support_path("count"));
	ck_assert_str_eq(text, "2024-10-04T00:00:00Z 10");
	crashed = m; /* its end writes nothing that the next one sees */
	m = new_meter();
	take_many(m, 490, 500, NOON); /* 4 were lost */
	ck_assert_int_eq(take(m, 0, 500, 0, NOON), METER_DAY_FULL);
	take_many(m, 1, 500, NOON + DAY);
	meter_free(m);
	str_freep(&text);
	text = support_sh("cat %s", support_path("count"));
	ck_assert_str_eq(text, "2024-10-05T00:00:00Z 1"); /* exact at a clean end */
	m = new_meter();
	/* the day before is over for good, also for a new process */
	take_many(m, 499, 500, NOON);
	ck_assert_int_eq(take(m, 0, 500, 0, NOON), METER_DAY_FULL);
	meter_free(m);
	meter_free(crashed);
}
END_TEST

/* Damaged is neither zero nor anything: refused until somebody has removed it; it is not written over. */
START_TEST(test_damaged)
{
	static const char *const damaged[] = { "", "\n", "5\n", "2024-10-04T00:00:00Z 5",
		"2024-10-04T00:00:00Z \n", "2024-10-04T00:00:00Z -5\n", "2024-10-04T00:00:00Z 5x\n",
		"2024-10-04T00:00:01Z 5\n", "2024-10-04T00:00:00Z 5\n6\n",
		"2024-13-04T00:00:00Z 5\n", "2024-10-04T00:00:00Z  5\n",
		"2024-10-04T00:00:00Z 5\n\n", "2024-10-04T00:00:00Z 99999999999999999999\n",
		"2024-10-04T00:00:00Z 000000000000000000000000000005\n" };
	const struct meter_limits limits = { 0, 10 };

	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		struct meter *m = new_meter();
		AUTO(bytes_done) struct bytes after = { 0 };
		enum meter_answer answer;
		struct err err = { 0 };

		support_write(support_path("count"), damaged[i]);
		ck_err(meter_take(m, &limits, 0, NOON, &answer, &err), ERR_INTERNAL);
		ck_assert_ptr_nonnull(strstr(err.text, "remove it"));
		/* the second can be judged without it */
		ck_assert_int_eq(take(m, 5, 0, 0, NOON), METER_GRANTED);
		meter_free(m);
		after = support_read(support_path("count"));
		ck_assert(text_equal(text_of_bytes(&after), damaged[i]));
	}
	{
		struct meter *m = new_meter();
		enum meter_answer answer;
		struct err err = { 0 };

		ck_err(meter_take(m, &limits, 0, NOON, &answer, &err), ERR_INTERNAL);
		unlink(support_path("count"));
		take_many(m, 10, 10, NOON);
		meter_free(m);
	}
}
END_TEST

/* Nowhere to write: nothing is granted, and nothing is counted. */
START_TEST(test_unwritable)
{
	const struct meter_limits limits = { 0, 2 };
	enum meter_answer answer = METER_DAY_FULL;
	struct meter *m = NULL;
	struct err err = { 0 };

	ck_ok(meter_new(support_path("dir/count"), &m, &err));
	for (int i = 0; i < 5; i++)
		ck_assert_int_ne(meter_take(m, &limits, 0, NOON, &answer, &err), ERR_OK);
	free(support_sh("mkdir %s/dir", support_tmpdir()));
	take_many(m, 2, 2, NOON);
	ck_assert_int_eq(take(m, 0, 2, 0, NOON), METER_DAY_FULL);
	meter_free(m);
}
END_TEST

/* --- many threads: exactly the limit */

#define THREADS 8

struct crowd {
	struct meter *m;
	unsigned granted;
};

static void *
take_all(void *arg)
{
	struct crowd *c = arg;

	while (take(c->m, 0, 1000, 0, NOON) == METER_GRANTED)
		c->granted++;
	return NULL;
}

START_TEST(test_threads)
{
	struct meter *m = new_meter();
	struct crowd crowd[THREADS];
	pthread_t threads[THREADS];
	unsigned granted = 0;

	for (int i = 0; i < THREADS; i++) {
		crowd[i] = (struct crowd){ m, 0 };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_all, &crowd[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		granted += crowd[i].granted;
	}
	ck_assert_uint_eq(granted, 1000);
	meter_free(m);
}
END_TEST

/* --- killed at any moment: never more than the limit, and at most a chunk lost for each time */

#define LIMIT 3000
#define KILLS 20

START_TEST(test_killed)
{
	unsigned *granted =
	    mmap(NULL, sizeof(*granted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *path = support_path("count"); /* of this process, for all */
	unsigned kills = 0;

	for (bool full = false; !full;) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			struct err err = { 0 };
			struct meter *m = NULL;

			ck_ok(meter_new(path, &m, &err));
			while (take(m, 0, LIMIT, 0, NOON) == METER_GRANTED)
				++*granted;
			_exit(0);
		}
		if (kills < KILLS) { /* the last one goes to the end */
			usleep((useconds_t)(random() % 8000));
			kill(pid, SIGKILL);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		full = WIFEXITED(status);
		kills += !full;
	}
	ck_assert_uint_le(*granted, LIMIT);
	/* one that was killed between the grant and our count is not seen, either */
	ck_assert_uint_ge(*granted + kills * (LIMIT / 100 + 1), LIMIT);
	munmap(granted, sizeof(*granted));
}
END_TEST

TEST_MAIN("keyd/meter", test_second, test_day, test_kept, test_damaged, test_unwritable,
    test_threads, test_killed)
