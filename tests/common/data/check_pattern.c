#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "data/pattern.h"

/* contracts/common.md 8: whole string, case-sensitive, Unicode scalar values, `*` any run, `?` exactly one, no escapes */
static const struct {
	const char *pattern, *id;
	bool match;
} rows[] = {
	{ "device-id", "device-id", true },
	{ "device-id", "device-id2", false },
	{ "device-id", "device-i", false },
	{ "device-id", "Device-id", false },
	{ "", "", true },
	{ "", "a", false },
	{ "*", "", true },
	{ "*", "anything at all", true },
	{ "**", "", true },
	{ "?", "", false },
	{ "?", "a", true },
	{ "?", "ab", false },
	{ "?", "\xc3\xa9", true },
	{ "?", "\xf0\x9f\x94\x91", true },
	{ "??", "\xc3\xa9", false },
	{ "*?", "\xc3\xa9", true },
	{ "device-id*", "device-id-temp", true },
	{ "device-id*", "device-id", true },
	{ "*-temp", "device-id-temp", true },
	{ "*-temp", "device-id-temp2", false },
	{ "aziot-edged/module/*", "aziot-edged/module/m:g:server", true },
	{ "aziot-edged/module/*:server", "aziot-edged/module/m:g:server", true },
	{ "aziot-edged/module/*:server", "aziot-edged/module/m:identity", false },
	{ "a*b*c", "a-b-b-c", true },
	{ "a*b*c", "acb", false },
	{ "*ab*ab*", "abab", true },
	{ "*ab*ab*", "aba", false },
	{ "*aab", "aaaab", true },
	{ "a?c",
	    "a\xe2\x82\xac"
	    "c",
	    true },
	{ "\\*", "*", false },
	{ "\\*", "\\x", true },
	{ "[ab]", "a", false },
	{ "[ab]", "[ab]", true },
};

START_TEST(test_rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_msg(pattern_match(rows[i].pattern, rows[i].id) == rows[i].match,
		    "pattern '%s', id '%s'", rows[i].pattern, rows[i].id);
}
END_TEST

/* a pattern that makes a backtracking matcher run for ever */
START_TEST(test_bounded)
{
	char pattern[257], id[4001];
	uint64_t start = clock_mono_ms();

	for (size_t i = 0; i < sizeof(pattern) - 1; i += 2)
		memcpy(pattern + i, "a*", 2);
	pattern[sizeof(pattern) - 2] = 'b';
	pattern[sizeof(pattern) - 1] = '\0';
	memset(id, 'a', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	ck_assert(!pattern_match(pattern, id));
	ck_assert_uint_lt(clock_mono_ms() - start, 2000);
}
END_TEST

TEST_MAIN("data/pattern", test_rows, test_bounded)
