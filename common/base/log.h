#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/*
 * Log to stderr, one line a record: "<P>TIMESTAMP [LVL] - text", P the syslog priority that journald reads
 * (contracts/common.md 1).  Debug and trace put "[target] " before the text.  Each "caused by: " of an
 * err's text is a record of its own.  Other line breaks, control characters (C1, too) and what is no UTF-8
 * are written as \xNN, so no input can forge a record or steer a terminal.
 *
 * Architecture rule 7: log at the edges only (route layer, main, timers), and never a body, header, key, token, PIN or query.
 */
enum log_level {
	LOG_LEVEL_OFF,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_TRACE
};

/*
 * Set the level from an AZIOT_LOG value: off, error, warn, info, debug, trace, or a list with
 * target=level members, of which the highest level counts (decisions.md, AZIOT_LOG).  NULL, empty or unknown: info.
 */
void log_init(const char *filter, const char *target);

bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                           \
	do {                                                     \
		if (log_enabled(LOG_LEVEL_DEBUG))                \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
