#include "data/renewal.h"

#include <string.h>

#define AMOUNT_MAX 1000000 /* days: some 2,700 years */

const struct renewal_policy renewal_default = {
	.rotate_key = true,
	.threshold = { RENEWAL_PERCENT, 80 },
	.retry = { RENEWAL_PERCENT, 4 },
};

static const struct {
	const char *suffix;
	enum renewal_unit unit;
	int64_t max;
} units[] = {
	{ "%", RENEWAL_PERCENT, 99 },
	{ "min", RENEWAL_MINUTES, AMOUNT_MAX },
	{ "day", RENEWAL_DAYS, AMOUNT_MAX },
};

enum err_code
renewal_span_parse(const char *in, void *value, struct err *err)
{
	struct renewal_span *span = value;
	const char *at = in;
	int64_t amount = 0;

	for (; *at >= '0' && *at <= '9' && amount <= AMOUNT_MAX; at++)
		amount = amount * 10 + (*at - '0');
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(at, units[i].suffix) != 0 || amount < 1 || amount > units[i].max)
			continue;
		*span = (struct renewal_span){ units[i].unit, amount };
		return ERR_OK;
	}
	return err_set(err, ERR_SYNTAX, "expected \"N%%\" (1 to 99), \"Nmin\" or \"Nday\"");
}

FIELDS(renewal_policy, BOOL(rotate_key, "rotate_key", REQUIRED),
    PARSE(threshold, "threshold", REQUIRED, renewal_span_parse, NULL),
    PARSE(retry, "retry", REQUIRED, renewal_span_parse, NULL));
