#include "tests/support/support.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"

#define EXITED(status)	 ((status) << 8) /* as waitpid() has it */
#define SIGNALED(signal) (signal)

/* What keyd wrote and how it ended; then the last line of the report, and whether there is more to see. */
static const struct {
	const char *what, *text;
	int wait_status;
	bool timed_out, network;
	size_t n;
	const char *kind, *place, *code, *cause; /* of the last line; NULL: not looked at */
} rows[] = {
	{ "well", "step\ttoken\tlog in\nok\ttoken\tthe PIN is right\nend\n", EXITED(0), false,
	    false, 1, "ok", "token", NULL, NULL },
	{ "a finding", "bad\thsm\tKD-305\tthe PIN is wrong\tC_Login\tcorrect it\nend\n", EXITED(0),
	    false, false, 1, "bad", "hsm", "KD-305", "C_Login" },
	{ "more places", "network\nok\tfiles\tx\nend\n", EXITED(0), false, true, 1, "ok", "files",
	    NULL, NULL },
	{ "chatty library", "hello\nbad\tx\nok\nstep\n\nend\textra\nok\tt\tx\nend\n", EXITED(0),
	    false, false, 1, "ok", "t", NULL, NULL },
	{ "crash", "ok\ttoken\tx\nstep\ttoken\tlog in\n", SIGNALED(SIGSEGV), false, false, 2, "bad",
	    "token", "KD-109", "while to log in: Segmentation fault" },
	{ "exit", "step\ttoken\tlog in\nok\ttok", EXITED(3), false, false, 1, "bad", "token",
	    "KD-109", "while to log in: status 3" },
	{ "hang", "step\ttoken\topen a session\n", SIGNALED(SIGKILL), true, false, 1, "bad",
	    "token", "KD-108", NULL },
	{ "labels that are no text",
	    "bad\ttoken\tKD-409\tt\tx\xff\xc3_\x1b[1m\xc2\x9b\xc3\xbc\tr\nend\n", EXITED(0), false,
	    false, 1, "bad", "token", "KD-409", "x??_?[1m??\xc3\xbc" },
	{ "refused call", "step\ttoken\topen a session\n", EXITED(159), false, false, 1, "bad",
	    "token", "KD-110", NULL },
};

START_TEST(test_read)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct doctor_run run = { rows[i].text, rows[i].wait_status,
			rows[i].timed_out };
		AUTO(doctor_report_done) struct doctor_report report = { 0 };
		const struct doctor_line *last;
		bool network;
		struct err err = { 0 };

		ck_ok(doctor_read(&run, &report, &network, &err));
		ck_assert_msg(report.n == rows[i].n, "%s: %zu lines", rows[i].what, report.n);
		ck_assert_int_eq(network, rows[i].network);
		last = &report.at[report.n - 1];
		ck_assert_str_eq(last->kind, rows[i].kind);
		ck_assert_str_eq(last->place, rows[i].place);
		ck_assert_int_eq(doctor_all_well(&report), strcmp(rows[i].kind, "bad") != 0);
		if (rows[i].code)
			ck_assert_str_eq(last->code, rows[i].code);
		else
			ck_assert_ptr_null(last->code);
		if (rows[i].cause)
			ck_assert_str_eq(last->cause, rows[i].cause);
	}
}
END_TEST

/* keyd that did not get as far as to examine anything has said why on standard error. */
START_TEST(test_no_report)
{
	static const struct doctor_run runs[] = {
		{ "", EXITED(1), false },
		{ "step\thsm\tload\nok\thsm\tx\nconfine\n", EXITED(1), false },
	};
	bool network;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		AUTO(doctor_report_done) struct doctor_report report = { 0 };

		ck_err(doctor_read(&runs[i], &report, &network, &err), ERR_PROTOCOL);
	}
}
END_TEST

START_TEST(test_print)
{
	const struct doctor_run run = { "ok\tfiles\tx\nnote\ttoken\tKD-408\tt\tc\tr\nend\n",
		EXITED(0), false };
	AUTO(doctor_report_done) struct doctor_report report = { 0 };
	char text[1024] = "", json[1024] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	bool network;
	struct err err = { 0 };

	ck_ok(doctor_read(&run, &report, &network, &err));
	doctor_print_text(&report, out);
	fclose(out);
	ck_assert_str_eq(text, "files\n  ok      x\n\ntoken\n  KD-408  (note) t\n          c\n"
			       "          -> r\n\nall is well\n");
	out = fmemopen(json, sizeof(json), "w");
	ck_ok(doctor_print_json(&report, out, &err));
	fclose(out);
	ck_assert_str_eq(json,
	    "{\"ok\":true,\"report\":[{\"kind\":\"ok\",\"place\":\"files\",\"text\":\"x\"},"
	    "{\"kind\":\"note\",\"place\":\"token\",\"code\":\"KD-408\",\"text\":\"t\","
	    "\"cause\":\"c\",\"remedy\":\"r\"}]}\n");
}
END_TEST

TEST_MAIN("ctl/doctor", test_read, test_no_report, test_print)
