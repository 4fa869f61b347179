#include "base/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static enum log_level threshold = LOG_LEVEL_INFO;
static char target_name[32] = "edgekeep";

static const struct {
	const char *word, *tag;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_OFF] = { "off", "", 0 },
	[LOG_LEVEL_ERROR] = { "error", "ERR!", 3 },
	[LOG_LEVEL_WARN] = { "warn", "WARN", 4 },
	[LOG_LEVEL_INFO] = { "info", "INFO", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", "DBUG", 7 },
	[LOG_LEVEL_TRACE] = { "trace", "TRCE", 7 },
};

static int
level_of(const char *word, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (strlen(levels[i].word) == len && strncasecmp(levels[i].word, word, len) == 0)
			return (int)i;
	return -1;
}

void
log_init(const char *filter, const char *target)
{
	int highest = -1;

	snprintf(target_name, sizeof(target_name), "%s", target);
	while (filter && *filter) {
		size_t len = strcspn(filter, ",");
		const char *equals = memchr(filter, '=', len);
		const char *word = equals ? equals + 1 : filter;
		int level = level_of(word, len - (size_t)(word - filter));

		if (level > highest)
			highest = level;
		filter += len + (filter[len] == ',');
	}
	threshold = highest < 0 ? LOG_LEVEL_INFO : (enum log_level)highest;
}

bool
log_enabled(enum log_level level)
{
	return level <= threshold && level != LOG_LEVEL_OFF;
}

/* Bytes of the UTF-8 character at p; 0 where there is none, or it would steer a terminal (C0, DEL, C1). */
static size_t
printable(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	size_t len = *p < 0x80	 ? 1
		     : *p < 0xc0 ? 0
		     : *p < 0xe0 ? 2
		     : *p < 0xf0 ? 3
		     : *p < 0xf8 ? 4
				 : 0;
	uint32_t c = len == 1 ? *p : *p & (0x7fU >> len);

	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least[len] && c != 0x7f && c >> 11 != 0x1b && c <= 0x10ffff ? len : 0;
}

/* Copy text, up to end, into line so that it stays one line; returns the new length. */
static size_t
append_safe(char *line, size_t used, size_t size, const char *text, const char *end)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)text;

	while (p < (const unsigned char *)end && used + 5 < size) {
		size_t len = printable(p);

		if (len) {
			memcpy(line + used, p, len);
			used += len;
			p += len;
			continue;
		}
		memcpy(line + used, "\\x", 2);
		line[used + 2] = hex[*p >> 4];
		line[used + 3] = hex[*p & 15];
		used += 4;
		p++;
	}
	return used;
}

static void
write_record(enum log_level level, const char *stamp, const char *text, const char *end)
{
	char line[4096];
	size_t used;

	used = (size_t)snprintf(
	    line, sizeof(line), "<%d>%s [%s] - ", levels[level].priority, stamp, levels[level].tag);
	if (level >= LOG_LEVEL_DEBUG)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "[%s] ", target_name);
	used = append_safe(line, used, sizeof(line), text, end);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to say so */
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	static const char cause[] = "\ncaused by: "; /* as err_wrap joins them */
	char text[2048], stamp[CLOCK_RFC3339_LEN];
	const char *from = text, *next;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_rfc3339(clock_unix(), "Z", stamp);
	while ((next = strstr(from, cause))) {
		write_record(level, stamp, from, next);
		from = next + 1;
	}
	write_record(level, stamp, from, from + strlen(from));
}
