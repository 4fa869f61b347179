#ifndef DATA_RENEWAL_H
#define DATA_RENEWAL_H

#include "data/fields.h"

/*
 * When to renew a certificate: the table `{ rotate_key, threshold, retry }` that certd, identityd and edged have in their
 * configurations (contracts/certd.md 3).  All three are required where the table is present; absent: renewal_default.
 */
enum renewal_unit { RENEWAL_PERCENT, RENEWAL_MINUTES, RENEWAL_DAYS };

struct renewal_span {
	int unit;	/* enum renewal_unit */
	int64_t amount; /* percent: 1..99 of the lifetime; minutes and days: over 0 */
};

struct renewal_policy {
	bool rotate_key;
	struct renewal_span threshold; /* share of life gone, or time before its end */
	struct renewal_span retry;     /* share of life, or interval */
};

FIELDS_DECLARE(renewal_policy);

/* `true`, `80%`, `4%` */
extern const struct renewal_policy renewal_default;

/* "N%", "Nmin" or "Nday"; for a PARSE row, value is struct renewal_span *.  ERR_SYNTAX: anything else. */
enum err_code renewal_span_parse(const char *in, void *value, struct err *err);

#endif
