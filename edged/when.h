#ifndef EDGED_WHEN_H
#define EDGED_WHEN_H

#include <stdint.h>

#include "base/err.h"

/* Times as the management API reads and writes them (contracts/edged-management.md 2.3, 2.4). */

/*
 * A point in time of a query: RFC 3339, seconds since the epoch, or a duration counted back from now ("1 day",
 * "2h30m", "90 s").  ERR_INVALID.
 */
enum err_code when_parse(
    const char *text, int64_t now, int64_t *ret_unix, struct err *err) MUST_CHECK;

#define WHEN_UTC_LEN sizeof("2031-04-05T06:07:08.123456789Z")

/*
 * RFC 3339 with any offset, as engines write it, into UTC with `Z` and a fraction of 0, 3, 6 or 9 digits.  ERR_NOT_FOUND:
 * the year 1, by which engines say "never".  ERR_INVALID: no such time.
 */
enum err_code when_utc(const char *text, char out[WHEN_UTC_LEN], struct err *err) MUST_CHECK;

#endif
