#include "tests/support/support.h"

#include "edged/when.h"

#define NOW 1760000000

/* contracts/edged-management.md 2.4, logs: RFC 3339, epoch seconds, or a duration counted back */
static const struct {
	const char *text;
	int64_t want; /* -1: refused */
} queries[] = {
	{ "2025-10-09T08:53:20Z", NOW },
	{ "2025-10-09T10:53:20+02:00", NOW },
	{ "2025-10-09t08:53:20.999z", NOW },
	{ "2025-10-08T22:53:20-10:00", NOW },
	{ "1760000000", NOW },
	{ "0", 0 },
	{ "4102444800", 4102444800 }, /* beyond 2038: edged-weaknesses.md B17 */
	{ "1 day", NOW - 86400 },
	{ "1d", NOW - 86400 },
	{ "2h30m", NOW - 9000 },
	{ "2 hours 30 min", NOW - 9000 },
	{ "90s", NOW - 90 },
	{ "1w", NOW - 7 * 86400 },
	{ "", -1 },
	{ "1 fortnight", -1 },
	{ "1d 2", -1 },
	{ "day", -1 },
	{ "2025-13-09T08:53:20Z", -1 },
	{ "2025-02-29T08:53:20Z", -1 },
	{ "2025-10-09T08:53:20", -1 },
	{ "2025-10-09T24:53:20Z", -1 },
	{ "2025-10-09T08:53:20+0200", -1 },
	{ "99999999999999999999", -1 },
	{ "99999999999999999999d", -1 },
	{ "1760000000 ", -1 },
	{ "9999y", -1 },
};

START_TEST(test_queries)
{
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct err err = { 0 };
		int64_t at = -7;

		if (queries[i].want < 0) {
			ck_assert_msg(when_parse(queries[i].text, NOW, &at, &err) == ERR_INVALID,
			    "%s", queries[i].text);
			ck_assert_int_eq(at, -7);
			continue;
		}
		ck_assert_msg(
		    when_parse(queries[i].text, NOW, &at, &err) == ERR_OK, "%s", queries[i].text);
		ck_assert_msg(at == queries[i].want, "%s: %lld", queries[i].text, (long long)at);
	}
}
END_TEST

/* contracts/edged-management.md 2.3, startTime: UTC, Z, fraction of 0, 3, 6 or 9 digits; docker.md 2: year 1 is null */
START_TEST(test_utc)
{
	static const struct {
		const char *in, *want;
	} rows[] = {
		{ "2026-03-01T10:00:00.123456789Z", "2026-03-01T10:00:00.123456789Z" },
		{ "2026-03-01T09:59:50.5Z", "2026-03-01T09:59:50.500Z" },
		{ "2026-03-01T09:59:50.0001Z", "2026-03-01T09:59:50.000100Z" },
		{ "2026-03-01T09:59:50Z", "2026-03-01T09:59:50Z" },
		{ "2026-03-01T00:59:50.25+02:00", "2026-02-28T22:59:50.250Z" },
		{ "0001-01-01T00:00:00Z", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[WHEN_UTC_LEN];
		struct err err = { 0 };

		if (!rows[i].want) {
			ck_err(when_utc(rows[i].in, out, &err), ERR_NOT_FOUND);
			continue;
		}
		ck_ok(when_utc(rows[i].in, out, &err));
		ck_assert_str_eq(out, rows[i].want);
	}
}
END_TEST

TEST_MAIN("edged/when", test_queries, test_utc)
