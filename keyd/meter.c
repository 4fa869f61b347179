#include "keyd/meter.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

#define DAY	    86400
#define SECOND_MS   1000
#define STAMP_LEN   (sizeof("2031-04-05T06:07:08Z") - 1)
#define LINE_MAX    (STAMP_LEN + sizeof(" 18446744073709551615\n") - 1)
#define CHUNKS	    100 /* of a day's limit */
#define DAY_UNKNOWN INT64_MIN

struct meter {
	char *path;

	pthread_mutex_t
	    lock; /* guards what follows; never held while the file is read or written */
	pthread_cond_t back;
	bool away;   /* somebody is at the file */
	bool loaded; /* the file counts for what follows */
	int64_t day; /* the latest that something was counted for */
	uint64_t used;
	uint64_t reserved; /* what the file says, at least used */
	uint64_t second_ms;
	uint32_t used_in_second;
};

/* --- the file */

/* Whole days, also before 1970. */
static int64_t
day_of(int64_t now)
{
	return now / DAY - (now % DAY < 0);
}

static bool
parse_line(const char *line, int64_t *ret_day, uint64_t *ret_count)
{
	char stamp[STAMP_LEN + 1];
	int64_t begin;
	char *end;

	if (strlen(line) < STAMP_LEN + 2 || line[STAMP_LEN] != ' ' || line[STAMP_LEN + 1] < '0' ||
	    line[STAMP_LEN + 1] > '9')
		return false;
	snprintf(stamp, sizeof(stamp), "%s", line);
	if (!clock_read_rfc3339(stamp, &begin) || begin % DAY)
		return false;
	*ret_day = day_of(begin);
	errno = 0;
	*ret_count = strtoull(line + STAMP_LEN + 1, &end, 10);
	return errno == 0 && strcmp(end, "\n") == 0;
}

static enum err_code
read_count(const struct meter *m, int64_t *ret_day, uint64_t *ret_count, struct err *err)
{
	AUTO(bytes_done) struct bytes line = { 0 };
	enum err_code code = file_read(m->path, LINE_MAX, &line, err);

	if (code == ERR_NOT_FOUND) {
		err_clear(err);
		*ret_day = DAY_UNKNOWN;
		*ret_count = 0;
		return ERR_OK;
	}
	if (code && code != ERR_INVALID)
		return code;
	if (code || !parse_line((const char *)line.data, ret_day, ret_count))
		return err_set(err, ERR_INTERNAL,
		    "%s is damaged: remove it to begin this day's count anew", m->path);
	return ERR_OK;
}

static enum err_code
write_count(const struct meter *m, int64_t day, uint64_t count, struct err *err)
{
	char stamp[CLOCK_RFC3339_LEN], line[LINE_MAX + 1];
	int len;

	clock_rfc3339(day * DAY, "Z", stamp);
	len = snprintf(line, sizeof(line), "%s %" PRIu64 "\n", stamp, count);
	return file_write(m->path, 0600, line, (size_t)len, err);
}

/* --- begin and end */

enum err_code
meter_new(const char *path, struct meter **ret, struct err *err)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(err);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->back, NULL);
	m->day = DAY_UNKNOWN;
	if (str_copy(&m->path, path, err)) {
		meter_free(m);
		return err->code;
	}
	*ret = m;
	return ERR_OK;
}

void
meter_free(struct meter *m)
{
	struct err err = { 0 };

	if (!m)
		return;
	if (m->reserved != m->used && write_count(m, m->day, m->used, &err))
		err_clear(&err);
	str_freep(&m->path);
	pthread_cond_destroy(&m->back);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* --- counting; the lock is held but for the way to the file */

/* False: somebody else was there, and all must be looked at again. */
static bool
go_away(struct meter *m)
{
	if (m->away) {
		pthread_cond_wait(&m->back, &m->lock);
		return false;
	}
	m->away = true;
	pthread_mutex_unlock(&m->lock);
	return true;
}

static void
come_back(struct meter *m)
{
	pthread_mutex_lock(&m->lock);
	m->away = false;
	pthread_cond_broadcast(&m->back);
}

static enum err_code
load(struct meter *m, struct err *err)
{
	int64_t day = 0;
	uint64_t count = 0;
	enum err_code code;

	if (!go_away(m))
		return ERR_OK;
	code = read_count(m, &day, &count, err);
	come_back(m);
	if (code)
		return code;
	m->loaded = true;
	if (day >= m->day) {
		m->day = day;
		m->used = m->reserved = count;
	}
	return ERR_OK;
}

static uint64_t
ahead_of(const struct meter *m, uint64_t per_day)
{
	uint64_t chunk = per_day / CHUNKS ? per_day / CHUNKS : 1;

	return chunk < per_day - m->used ? m->used + chunk : per_day;
}

static enum err_code
reserve(struct meter *m, uint64_t per_day, struct err *err)
{
	int64_t day = m->day;
	uint64_t count = ahead_of(m, per_day);
	enum err_code code;

	if (!go_away(m))
		return ERR_OK;
	code = write_count(m, day, count, err);
	come_back(m);
	if (code)
		return err_wrap(err, "could not count a use");
	if (day == m->day)
		m->reserved = count;
	return ERR_OK;
}

static bool
day_is_full(const struct meter *m, uint64_t per_day, int64_t now)
{
	return per_day && day_of(now) <= m->day && m->used >= per_day;
}

/* Threads come with clocks read in another order. */
static bool
second_is_over(const struct meter *m, uint64_t now_ms)
{
	return m->used_in_second == 0 || now_ms >= m->second_ms + SECOND_MS;
}

static bool
second_is_full(const struct meter *m, uint32_t per_second, uint64_t now_ms)
{
	return per_second && m->used_in_second >= per_second && !second_is_over(m, now_ms);
}

static void
count(struct meter *m, bool of_day, uint64_t now_ms)
{
	m->used += of_day;
	if (second_is_over(m, now_ms)) {
		m->second_ms = now_ms;
		m->used_in_second = 0;
	}
	m->used_in_second++;
}

static enum err_code
take(struct meter *m, const struct meter_limits *limits, uint64_t now_ms, int64_t now,
    enum meter_answer *ret, struct err *err)
{
	for (;;) {
		if (limits->per_day && !m->loaded) {
			if (load(m, err))
				return err->code;
			continue;
		}
		if (day_is_full(m, limits->per_day, now)) {
			*ret = METER_DAY_FULL;
			return ERR_OK;
		}
		if (second_is_full(m, limits->per_second, now_ms)) {
			*ret = METER_SECOND_FULL;
			return ERR_OK;
		}
		if (limits->per_day && day_of(now) > m->day) {
			m->day = day_of(now);
			m->used = m->reserved = 0;
		}
		if (!limits->per_day || m->used < m->reserved)
			break;
		if (reserve(m, limits->per_day, err))
			return err->code;
	}
	count(m, limits->per_day, now_ms);
	*ret = METER_GRANTED;
	return ERR_OK;
}

enum err_code
meter_take(struct meter *m, const struct meter_limits *limits, uint64_t now_ms, int64_t now,
    enum meter_answer *ret, struct err *err)
{
	enum err_code code;

	pthread_mutex_lock(&m->lock);
	code = take(m, limits, now_ms, now, ret, err);
	pthread_mutex_unlock(&m->lock);
	return code;
}

int64_t
meter_next_day(struct meter *m)
{
	int64_t day;

	pthread_mutex_lock(&m->lock);
	day = m->day;
	pthread_mutex_unlock(&m->lock);
	return (day + 1) * DAY;
}
