#include "tests/support/support.h"

#include "data/renewal.h"

/* contracts/certd.md 3: `N%` (1..99), `Nmin`, `Nday` (N > 0) */
START_TEST(test_spans)
{
	static const struct {
		const char *in;
		int unit;
		int64_t amount; /* 0: refused */
	} rows[] = {
		{ "80%", RENEWAL_PERCENT, 80 },
		{ "1%", RENEWAL_PERCENT, 1 },
		{ "99%", RENEWAL_PERCENT, 99 },
		{ "30min", RENEWAL_MINUTES, 30 },
		{ "10day", RENEWAL_DAYS, 10 },
		{ "100%", 0, 0 },
		{ "0%", 0, 0 },
		{ "0min", 0, 0 },
		{ "-1day", 0, 0 },
		{ "+1day", 0, 0 },
		{ "1.5day", 0, 0 },
		{ "10days", 0, 0 },
		{ "10 day", 0, 0 },
		{ " 10day", 0, 0 },
		{ "10", 0, 0 },
		{ "%", 0, 0 },
		{ "", 0, 0 },
		{ "99999999999999999999min", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct renewal_span span = { -1, -1 };
		struct err err = { 0 };

		ck_err(renewal_span_parse(rows[i].in, &span, &err),
		    rows[i].amount ? ERR_OK : ERR_SYNTAX);
		ck_assert_int_eq(span.amount, rows[i].amount ? rows[i].amount : -1);
		ck_assert_int_eq(span.unit, rows[i].amount ? rows[i].unit : -1);
	}
}
END_TEST

/* contracts/certd.md 3: all three required when the table is present */
START_TEST(test_policy)
{
	static const struct {
		const char *in;
		enum err_code want;
	} rows[] = {
		{ "{\"rotate_key\":false,\"threshold\":\"80%\",\"retry\":\"5min\"}", ERR_OK },
		{ "{\"threshold\":\"80%\",\"retry\":\"4%\"}", ERR_SYNTAX },
		{ "{\"rotate_key\":true,\"retry\":\"4%\"}", ERR_SYNTAX },
		{ "{\"rotate_key\":true,\"threshold\":\"80%\"}", ERR_SYNTAX },
		{ "{\"rotate_key\":1,\"threshold\":\"80%\",\"retry\":\"4%\"}", ERR_SYNTAX },
		{ "{\"rotate_key\":true,\"threshold\":80,\"retry\":\"4%\"}", ERR_SYNTAX },
		{ "{\"rotate_key\":true,\"threshold\":\"80%\",\"retry\":\"4h\"}", ERR_SYNTAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct renewal_policy policy = { 0 };
		struct err err = { 0 };

		ck_err(fields_read_text(renewal_policy_fields, &policy, text_of(rows[i].in), &err),
		    rows[i].want);
		if (rows[i].want == ERR_OK)
			ck_assert(!policy.rotate_key && policy.threshold.amount == 80 &&
				  policy.retry.unit == RENEWAL_MINUTES);
	}
}
END_TEST

TEST_MAIN("data/renewal", test_spans, test_policy)
