#include "tests/support/support.h"

#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void
write_all_levels(const char *text)
{
	log_error("%s", text);
	log_warn("%s", text);
	log_info("%s", text);
	log_debug("%s", text);
	log_write(LOG_LEVEL_TRACE, "%s", text);
	log_write(LOG_LEVEL_OFF, "%s", text);
}

/* What a run of write_all_levels leaves on stderr. */
static char *
logged(const char *filter, const char *text)
{
	int saved = dup(STDERR_FILENO);
	int fd = open(support_path("log"), O_CREAT | O_TRUNC | O_RDWR, 0600);
	struct bytes out;

	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	log_init(filter, "target");
	write_all_levels(text);
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	close(saved);
	close(fd);
	out = support_read(support_path("log"));
	return (char *)out.data;
}

static size_t
lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* contracts/common.md 1, Logging */
START_TEST(test_format)
{
	AUTO(str_freep) char *out = logged("trace", "text");
	regex_t shape;

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
	ck_assert_int_eq(
	    regcomp(&shape,
		"^<3>" STAMP " \\[ERR!] - text\n<4>" STAMP " \\[WARN] - text\n"
		"<6>" STAMP " \\[INFO] - text\n<7>" STAMP " \\[DBUG] - \\[target] text\n"
		"<7>" STAMP " \\[TRCE] - \\[target] text\n$",
		REG_EXTENDED | REG_NOSUB),
	    0);
	ck_assert_msg(regexec(&shape, out, 0, NULL, 0) == 0, "%s", out);
	regfree(&shape);
}
END_TEST

/* decisions.md, AZIOT_LOG */
static const struct {
	const char *filter;
	size_t lines;
} filters[] = {
	{ NULL, 3 },
	{ "", 3 },
	{ "off", 0 },
	{ "error", 1 },
	{ "warn", 2 },
	{ "info", 3 },
	{ "debug", 4 },
	{ "trace", 5 },
	{ "DEBUG", 4 },
	{ "aziot=debug", 4 },
	{ "warn,aziot=debug,hyper=off", 4 },
	{ "nonsense", 3 },
	{ "nonsense,warn", 2 },
	{ ",,", 3 },
	{ "a=", 3 },
	{ "debugg", 3 },
};

START_TEST(test_filter)
{
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		AUTO(str_freep) char *out = logged(filters[i].filter, "x");

		ck_assert_msg(lines(out) == filters[i].lines, "%s: %s",
		    filters[i].filter ? filters[i].filter : "NULL", out);
		ck_assert_int_eq(log_enabled(LOG_LEVEL_OFF), false);
	}
}
END_TEST

/* No input forges a record. */
START_TEST(test_one_line)
{
	AUTO(str_freep) char *out = logged("error", "a\n<3>forged\r\t\x1b[2J\x7f\x01 \xc3\xa9");

	ck_assert_uint_eq(lines(out), 1);
	ck_assert_ptr_nonnull(
	    strstr(out, "] - a\\x0a<3>forged\\x0d\\x09\\x1b[2J\\x7f\\x01 \xc3\xa9\n"));
}
END_TEST

/* ECMA-48: C1 controls steer terminals as their 7-bit forms do, as U+0080..U+009F or as bare bytes. */
START_TEST(test_c1)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "a\xc2\x9b"
		  "2J",
		    "] - a\\xc2\\x9b2J\n" },
		{ "a\x9b"
		  "2J",
		    "] - a\\x9b2J\n" },
		{ "\xc2\x80\xc2\x9f\xc2\xa0", "] - \\xc2\\x80\\xc2\\x9f\xc2\xa0\n" },
		{ "\xe2\x82\xac \xf0\x9f\x94\x91", "] - \xe2\x82\xac \xf0\x9f\x94\x91\n" },
		/* RFC 3629: over-long, surrogate, beyond the last, cut short */
		{ "\xc0\x8a", "] - \\xc0\\x8a\n" },
		{ "\xe0\x82\x9b", "] - \\xe0\\x82\\x9b\n" },
		{ "\xed\xa0\x80", "] - \\xed\\xa0\\x80\n" },
		{ "\xf4\x90\x80\x80", "] - \\xf4\\x90\\x80\\x80\n" },
		{ "\xe2\x82", "] - \\xe2\\x82\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *out = logged("error", rows[i].text);

		ck_assert_msg(strstr(out, rows[i].want) != NULL, "row %zu: %s", i, out);
	}
}
END_TEST

/* common.md 1: the error, and each "caused by" */
START_TEST(test_causes)
{
	AUTO(str_freep)
	char *out = logged("error", "outer\ncaused by: middle\nx\ncaused by: inner");

	ck_assert_uint_eq(lines(out), 3);
	ck_assert_ptr_nonnull(strstr(out, "[ERR!] - outer\n<3>"));
	ck_assert_ptr_nonnull(strstr(out, "[ERR!] - caused by: middle\\x0ax\n<3>"));
	ck_assert_ptr_nonnull(strstr(out, "[ERR!] - caused by: inner\n"));
}
END_TEST

START_TEST(test_long)
{
	char text[10000];
	AUTO(str_freep) char *out = NULL;
	AUTO(str_freep) char *escaped = NULL;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	out = logged("error", text);
	ck_assert_uint_eq(lines(out), 1);
	memset(text, '\n', sizeof(text) - 1);
	escaped = logged("error", text);
	ck_assert_uint_eq(lines(escaped), 1);
	ck_assert_uint_le(strlen(escaped), 4096);
}
END_TEST

TEST_MAIN("base/log", test_format, test_filter, test_one_line, test_c1, test_causes, test_long)
