#include "base/log.h"

#include <stdarg.h>
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

/* Copy text into line so that it stays one line; returns the new length. */
static size_t
append_safe(char *line, size_t used, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";

	for (const unsigned char *p = (const unsigned char *)text; *p && used + 5 < size; p++) {
		if (*p >= 0x20 && *p != 0x7f) {
			line[used++] = (char)*p;
			continue;
		}
		memcpy(line + used, "\\x", 2);
		line[used + 2] = hex[*p >> 4];
		line[used + 3] = hex[*p & 15];
		used += 4;
	}
	return used;
}

void
log_write(enum log_level level, const char *fmt, ...)
{
	char text[2048], line[4096], stamp[CLOCK_RFC3339_LEN];
	size_t used;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clock_rfc3339(clock_unix(), "Z", stamp);
	used = (size_t)snprintf(
	    line, sizeof(line), "<%d>%s [%s] - ", levels[level].priority, stamp, levels[level].tag);
	if (level >= LOG_LEVEL_DEBUG)
		used += (size_t)snprintf(line + used, sizeof(line) - used, "[%s] ", target_name);
	used = append_safe(line, used, sizeof(line), text);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to say so */
}
