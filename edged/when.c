#include "edged/when.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"

/* --- RFC 3339 */

struct instant {
	int64_t unix_s;
	unsigned nanos;
	int year;
};

static int
digits(const char **at, unsigned n)
{
	int value = 0;

	for (unsigned i = 0; i < n; i++) {
		if (**at < '0' || **at > '9')
			return -1;
		value = value * 10 + (*(*at)++ - '0');
	}
	return value;
}

static int
fraction(const char **at, unsigned *nanos)
{
	unsigned scale = 100000000;

	*nanos = 0;
	if (**at != '.')
		return 0;
	(*at)++;
	if (**at < '0' || **at > '9')
		return -1;
	for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
		*nanos += (unsigned)(**at - '0') * scale;
	return 0;
}

/* "Z" or "+hh:mm"; seconds east of Greenwich. */
static int
offset(const char **at, int *seconds)
{
	int sign, hours, minutes;

	*seconds = 0;
	if (**at == 'Z' || **at == 'z') {
		(*at)++;
		return 0;
	}
	if (**at != '+' && **at != '-')
		return -1;
	sign = *(*at)++ == '-' ? -1 : 1;
	hours = digits(at, 2);
	if (hours < 0 || hours > 23 || *(*at)++ != ':')
		return -1;
	minutes = digits(at, 2);
	if (minutes < 0 || minutes > 59)
		return -1;
	*seconds = sign * (hours * 3600 + minutes * 60);
	return 0;
}

static int
field(const char **at, unsigned n, int low, int high, char then)
{
	int value = digits(at, n);

	if (value < low || value > high)
		return -1;
	if (then && *(*at)++ != then)
		return -1;
	return value;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static int
instant_parse(const char *text, struct instant *ret)
{
	const char *at = text;
	struct tm tm = { 0 };
	int year, month, day, hour, minute, second, east;

	if ((year = field(&at, 4, 0, 9999, '-')) < 0 || (month = field(&at, 2, 1, 12, '-')) < 0 ||
	    (day = field(&at, 2, 1, days_in(year, month), '\0')) < 0)
		return -1;
	if (*at != 'T' && *at != 't' && *at != ' ')
		return -1;
	at++;
	if ((hour = field(&at, 2, 0, 23, ':')) < 0 || (minute = field(&at, 2, 0, 59, ':')) < 0 ||
	    (second = field(&at, 2, 0, 60, '\0')) < 0 || fraction(&at, &ret->nanos) ||
	    offset(&at, &east) || *at)
		return -1;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = second;
	ret->year = year;
	ret->unix_s = (int64_t)timegm(&tm) - east;
	return 0;
}

enum err_code
when_utc(const char *text, char out[WHEN_UTC_LEN], struct err *err)
{
	struct instant at;
	struct tm tm;
	time_t seconds;
	size_t n;

	if (instant_parse(text, &at))
		return err_set(err, ERR_INVALID, "no time: %.40s", text);
	if (at.year <= 1)
		return err_set(err, ERR_NOT_FOUND, "never");
	seconds = (time_t)at.unix_s;
	if (!gmtime_r(&seconds, &tm) || tm.tm_year > 9999 - 1900)
		return err_set(err, ERR_INVALID, "no time: %.40s", text);
	n = strftime(out, WHEN_UTC_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	if (at.nanos == 0)
		snprintf(out + n, WHEN_UTC_LEN - n, "Z");
	else if (at.nanos % 1000000 == 0)
		snprintf(out + n, WHEN_UTC_LEN - n, ".%03uZ", at.nanos / 1000000);
	else if (at.nanos % 1000 == 0)
		snprintf(out + n, WHEN_UTC_LEN - n, ".%06uZ", at.nanos / 1000);
	else
		snprintf(out + n, WHEN_UTC_LEN - n, ".%09uZ", at.nanos);
	return ERR_OK;
}

/* --- durations: "1 day", "2h30m", "15min 2s" */

static const struct {
	const char *names[5];
	int64_t seconds;
} units[] = {
	{ { "s", "sec", "secs", "second", "seconds" }, 1 },
	{ { "m", "min", "mins", "minute", "minutes" }, 60 },
	{ { "h", "hr", "hrs", "hour", "hours" }, 3600 },
	{ { "d", "day", "days", NULL, NULL }, 86400 },
	{ { "w", "week", "weeks", NULL, NULL }, 7 * 86400 },
	{ { "M", "month", "months", NULL, NULL }, 2630016 }, /* 30.44 days */
	{ { "y", "year", "years", NULL, NULL }, 31557600 },  /* 365.25 days */
};

static int64_t
unit_seconds(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		for (size_t j = 0; j < ARRAY_LEN(units[i].names); j++) {
			const char *is = units[i].names[j];

			if (is && strlen(is) == len && memcmp(is, name, len) == 0)
				return units[i].seconds;
		}
	return -1;
}

static int
duration_parse(const char *text, int64_t *ret)
{
	int64_t sum = 0;

	for (;;) {
		int64_t value = 0, unit;
		size_t len;

		text += strspn(text, " ");
		if (!*text)
			break;
		if (*text < '0' || *text > '9')
			return -1;
		for (; *text >= '0' && *text <= '9'; text++)
			if (__builtin_mul_overflow(value, 10, &value) ||
			    __builtin_add_overflow(value, *text - '0', &value))
				return -1;
		text += strspn(text, " ");
		len = strcspn(text, " 0123456789");
		unit = unit_seconds(text, len);
		if (unit < 0 || __builtin_mul_overflow(value, unit, &value) ||
		    __builtin_add_overflow(sum, value, &sum))
			return -1;
		text += len;
	}
	*ret = sum;
	return 0;
}

/* --- what a query may hold */

static int
epoch_parse(const char *text, int64_t *ret)
{
	char *end;
	long long value;

	if ((*text < '0' || *text > '9') && *text != '-')
		return -1;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || *end || end == text)
		return -1;
	*ret = value;
	return 0;
}

enum err_code
when_parse(const char *text, int64_t now, int64_t *ret_unix, struct err *err)
{
	struct instant at;
	int64_t value;

	if (instant_parse(text, &at) == 0) {
		*ret_unix = at.unix_s;
		return ERR_OK;
	}
	if (epoch_parse(text, &value) == 0) {
		*ret_unix = value;
		return ERR_OK;
	}
	if (*text && duration_parse(text, &value) == 0 && value <= now) {
		*ret_unix = now - value;
		return ERR_OK;
	}
	return err_set(err, ERR_INVALID, "neither a time nor a duration");
}
