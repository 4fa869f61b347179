#include "tests/support/support.h"

#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* date -u -d @SECONDS +%FT%TZ */
static const struct {
	int64_t seconds;
	const char *text;
} dates[] = {
	{ 0, "1970-01-01T00:00:00Z" },
	{ 1700000030, "2023-11-14T22:13:50Z" },
	{ 951782399, "2000-02-28T23:59:59Z" },
	{ 951782400, "2000-02-29T00:00:00Z" },
	{ 4102444800, "2100-01-01T00:00:00Z" },
	{ 253402300799, "9999-12-31T23:59:59Z" },
	{ -1, "1969-12-31T23:59:59Z" },
	{ -62167219200, "0000-01-01T00:00:00Z" },
	/* beyond what four digits can say */
	{ 253402300800, "9999-12-31T23:59:59Z" },
	{ INT64_MAX, "9999-12-31T23:59:59Z" },
	{ INT64_MIN, "0000-01-01T00:00:00Z" },
};

START_TEST(test_rfc3339)
{
	char text[CLOCK_RFC3339_LEN];

	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		clock_rfc3339(dates[i].seconds, "Z", text);
		ck_assert_str_eq(text, dates[i].text);
	}
	clock_rfc3339(1700000030, "+00:00", text);
	ck_assert_str_eq(text, "2023-11-14T22:13:50+00:00");
}
END_TEST

/* RFC 3339, 5.6 and the examples of 5.8; the seconds by date -u -d TEXT +%s */
static const struct {
	const char *text;
	int64_t seconds; /* 0: refused */
} readable[] = {
	{ "1985-04-12T23:20:50.52Z", 482196050 },
	{ "1996-12-19T16:39:57-08:00", 851042397 },
	{ "1990-12-31T23:59:60Z", 662688000 },
	{ "1990-12-31T15:59:60-08:00", 662688000 },
	{ "1937-01-01T12:00:27.87+00:20", -1041337173 },
	{ "2027-01-01T00:00:00Z", 1798761600 },
	{ "2027-01-01t00:00:00z", 1798761600 },
	{ "2024-02-29T00:00:00Z", 1709164800 },
	{ "0000-01-01T00:00:00Z", -62167219200 },
	{ "9999-12-31T23:59:59Z", 253402300799 },
	{ "", 0 },
	{ "2027-01-01", 0 },
	{ "2027-01-01T00:00:00", 0 },
	{ "2027-01-01 00:00:00Z", 0 },
	{ "2027-01-01T00:00Z", 0 },
	{ "2027-01-01T00:00:00.Z", 0 },
	{ "2027-01-01T00:00:00,5Z", 0 },
	{ "2027-01-01T00:00:00+0100", 0 },
	{ "2027-01-01T00:00:00+24:00", 0 },
	{ "2027-01-01T00:00:00+01:60", 0 },
	{ "2027-01-01T00:00:00+01:00x", 0 },
	{ "2027-01-01T00:00:00Zx", 0 },
	{ "2027-01-01T24:00:00Z", 0 },
	{ "2027-01-01T00:60:00Z", 0 },
	{ "2027-01-01T00:00:61Z", 0 },
	{ "2027-00-01T00:00:00Z", 0 },
	{ "2027-13-01T00:00:00Z", 0 },
	{ "2027-01-00T00:00:00Z", 0 },
	{ "2027-01-32T00:00:00Z", 0 },
	{ "2027-02-29T00:00:00Z", 0 },
	{ "2100-02-29T00:00:00Z", 0 },
	{ "+027-01-01T00:00:00Z", 0 },
	{ "10000-01-01T00:00:00Z", 0 },
};

START_TEST(test_read_rfc3339)
{
	for (size_t i = 0; i < ARRAY_LEN(readable); i++) {
		int64_t seconds = 0;
		bool good = clock_read_rfc3339(readable[i].text, &seconds);

		ck_assert_msg(good == (readable[i].seconds != 0) && seconds == readable[i].seconds,
		    "%s: %lld", readable[i].text, (long long)seconds);
	}
	/* at every place one character less */
	for (size_t len = 0; len < strlen("2027-01-01T00:00:00+01:00"); len++) {
		AUTO(str_freep) char *cut = strndup("2027-01-01T00:00:00+01:00", len);
		int64_t seconds;

		ck_assert(!clock_read_rfc3339(cut, &seconds));
	}
}
END_TEST

START_TEST(test_now)
{
	uint64_t start = clock_mono_ms();
	int64_t now = clock_unix();

	ck_assert_int_ge(now, time(NULL) - 2);
	ck_assert_int_le(now, time(NULL) + 1);
	poll(NULL, 0, 20);
	ck_assert_uint_ge(clock_mono_ms(), start + 19);
}
END_TEST

START_TEST(test_left)
{
	uint64_t now = clock_mono_ms();

	ck_assert_int_eq(clock_left_ms(now), 0);
	ck_assert_int_eq(clock_left_ms(0), 0);
	ck_assert_int_gt(clock_left_ms(now + 60000), 50000);
	ck_assert_int_le(clock_left_ms(now + 60000), 60000);
	/* poll() takes an int */
	ck_assert_int_eq(clock_left_ms(UINT64_MAX), 0x7fffffff);
}
END_TEST

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static void *
wake(void *arg)
{
	struct waiter *w = arg;

	pthread_mutex_lock(&w->lock); /* which it gives up by waiting */
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

START_TEST(test_cond)
{
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER };
	uint64_t now = clock_mono_ms();
	pthread_t thread;

	clock_cond_init(&w.cond);
	pthread_mutex_lock(&w.lock);
	ck_assert(!clock_cond_wait(&w.cond, &w.lock, now));
	ck_assert(!clock_cond_wait(&w.cond, &w.lock, now + 50));
	ck_assert_uint_ge(clock_mono_ms(), now + 50);
	ck_assert_int_eq(pthread_create(&thread, NULL, wake, &w), 0);
	ck_assert(clock_cond_wait(&w.cond, &w.lock, clock_mono_ms() + 60000));
	pthread_mutex_unlock(&w.lock);
	pthread_join(thread, NULL);
	pthread_cond_destroy(&w.cond);
}
END_TEST

/* Behind by no more than two ticks of the slowest kernel, and never ahead. */
START_TEST(test_coarse)
{
	uint64_t before, coarse;

	/* a virtual machine's tick may stand still for a moment, and not a hundred times */
	for (int i = 0; i < 100; i++) {
		before = clock_mono_ms();
		coarse = clock_coarse_ms();
		ck_assert_uint_le(coarse, clock_mono_ms());
		if (coarse + 20 >= before)
			return;
		usleep(1000);
	}
	ck_abort_msg("%llu ms behind", (unsigned long long)(before - coarse));
}
END_TEST

TEST_MAIN(
    "base/clock", test_coarse, test_rfc3339, test_read_rfc3339, test_now, test_left, test_cond)
