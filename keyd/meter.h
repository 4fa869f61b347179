#ifndef KEYD_METER_H
#define KEYD_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * How often something was done within the present second and on the present day (UTC); the day's count is kept on disk.
 *
 * Disk is a part of the day's limit ahead of what was done (a hundredth of it, at least one), so that most uses write nothing
 * and a crash can only count too much: never is more than the limit done in a day.  A day ends when the clock has passed it.
 * A clock that was set back stays in the later day, so that it gives nothing back.
 *
 * The file is one line, "2026-11-22T00:00:00Z 130": the day's first second and how many are counted for it.
 */
struct meter;

struct meter_limits {
	uint32_t per_second; /* 0: no limit */
	uint64_t per_day;    /* 0: no limit */
};

enum meter_answer { METER_GRANTED, METER_SECOND_FULL, METER_DAY_FULL };

/* Opens nothing: the file is read and made when it is first needed; its directory must be there then. */
enum err_code meter_new(const char *path, struct meter **ret, struct err *err) MUST_CHECK;
/* Writes the exact count.  When that fails, what disk is ahead is lost to the day. */
void meter_free(struct meter *m);

/*
 * Count one, unless that is over a limit; both are counted or none.  Where waiting is allowed: it reads and
 * writes the file.  Any number of threads.
 *   now_ms     monotonic; a second begins with the first count after the last one ended
 *   now        Unix seconds
 * ERR_INTERNAL: the file is damaged, and stays so until it is removed.  ERR_IO, ERR_NOMEM.  Nothing is counted then.
 */
enum err_code meter_take(struct meter *m, const struct meter_limits *limits, uint64_t now_ms,
    int64_t now, enum meter_answer *ret, struct err *err) MUST_CHECK;
/* Unix seconds at which the next day begins, after METER_DAY_FULL. */
int64_t meter_next_day(struct meter *m);

#endif
