#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t
read_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t
clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

uint64_t
clock_coarse_ms(void)
{
	return read_ms(CLOCK_MONOTONIC_COARSE);
}

int64_t
clock_unix(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

int
clock_left_ms(uint64_t deadline_ms)
{
	uint64_t now = clock_mono_ms();

	if (now >= deadline_ms)
		return 0;
	return deadline_ms - now > 0x7fffffff ? 0x7fffffff : (int)(deadline_ms - now);
}

void
clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

bool
clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ms)
{
	const struct timespec until = { .tv_sec = (time_t)(deadline_ms / 1000),
		.tv_nsec = (long)(deadline_ms % 1000) * 1000000 };

	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

void
clock_rfc3339(int64_t unix_seconds, const char *suffix, char *out)
{
	/* years 0 to 9999 have four digits, and gmtime_r() cannot fail on them */
	const int64_t first = -62167219200, last = 253402300799;
	time_t seconds = unix_seconds < first ? first : unix_seconds > last ? last : unix_seconds;
	char text[64];
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d%s", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, suffix);
	snprintf(out, CLOCK_RFC3339_LEN, "%s", text);
}

/* Do the first characters look like the template, where '0' stands for a digit? */
static bool
looks_like(const char *text, const char *template)
{
	for (; *template; text++, template ++)
		if (*template == '0' ? *text < '0' || *text > '9' : *text != *template)
			return false;
	return true;
}

static int
two_digits(const char *at)
{
	return (at[0] - '0') * 10 + at[1] - '0';
}

/* "Z" or "+hh:mm" to seconds east of Greenwich. */
static bool
read_offset(const char *at, int *ret)
{
	*ret = 0;
	if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
		return true;
	if ((at[0] != '+' && at[0] != '-') || !looks_like(at + 1, "00:00") || at[6] != '\0' ||
	    two_digits(at + 1) > 23 || two_digits(at + 4) > 59)
		return false;
	*ret = (two_digits(at + 1) * 60 + two_digits(at + 4)) * (at[0] == '-' ? -60 : 60);
	return true;
}

static const char *
skip_fraction(const char *at)
{
	if (looks_like(at, ".0"))
		for (at++; *at >= '0' && *at <= '9'; at++)
			;
	return at;
}

bool
clock_read_rfc3339(const char *text, int64_t *ret)
{
	struct tm tm = { 0 }, date;
	time_t seconds;
	int offset;

	if (!looks_like(text, "0000-00-00") || (text[10] != 'T' && text[10] != 't') ||
	    !looks_like(text + 11, "00:00:00") || !read_offset(skip_fraction(text + 19), &offset))
		return false;
	tm.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900;
	tm.tm_mon = two_digits(text + 5) - 1;
	tm.tm_mday = two_digits(text + 8);
	date = tm;
	timegm(&date); /* makes another day of one that the month does not have */
	if (date.tm_mon != tm.tm_mon || date.tm_mday != tm.tm_mday)
		return false;
	tm.tm_hour = two_digits(text + 11);
	tm.tm_min = two_digits(text + 14);
	tm.tm_sec = two_digits(text + 17);
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	seconds = timegm(&tm);
	*ret = (int64_t)seconds - offset;
	return true;
}
