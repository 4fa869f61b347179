#include "ctl/status.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/support.h"

/* What `edgekeep status` shows (issue 2, point 10): one screen, aligned, at most 100 columns. */

#define NOW  1700000000
#define HASH "6bec83b4a1d7cb5cc4201b2d743404d6386f650ffed2f928f638a08a22ea9959"

/* A report where every daemon answered a second ago; its texts are constants, so nothing is freed. */
static struct status_report
well(void)
{
	static const char *const names[] = { "keyd", "certd", "identityd", "tpmd", "edged" };
	struct status_report r = { .hostname = "box" };

	for (size_t i = 0; i < STATUS_ROWS; i++)
		r.rows[i] = (struct status_row){ .daemon = names[i],
			.required = i != STATUS_TPMD,
			.answered = true,
			.status = { .ok = true,
			    .started = (char *)"2023-11-14T22:13:19Z",
			    .detail = (char *)"fine" } };
	return r;
}

static char *
screen(struct status_report *r)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	status_print_text(r, NOW, out);
	fclose(out);
	return text;
}

static void
assert_width(const char *text)
{
	for (const char *line = text, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		ck_assert_msg(end != NULL, "an unfinished line: %s", line);
		ck_assert_msg(end - line <= 100, "%zd columns: %s", end - line, text);
		ck_assert_msg(end == line || end[-1] != ' ', "a blank at the end: %s", text);
	}
}

START_TEST(test_screen)
{
	struct status_certificate certs[] = {
		{ (char *)"aziot-edged-ca", (char *)"press-07 edge CA", NULL, 89 },
		{ (char *)"aziotedgedmoduleweb123server-" HASH ".cer", (char *)"web", NULL, 29 },
		{ (char *)"old-" HASH ".pem", (char *)"", NULL, -3 },
	};
	struct status_module modules[] = {
		{ (char *)"meter", (char *)"running" },
		{ (char *)"lamp", (char *)"failed" },
		{ (char *)"edgeAgent", (char *)"running" },
	};
	struct status_device device = { (char *)"press-07", (char *)"hub.demo:8443",
		(char *)"dps, symmetric_key" };
	struct status_report r = well();
	AUTO(str_freep) char *text = NULL;

	r.rows[STATUS_CERTD].status.certificates.at = certs;
	r.rows[STATUS_CERTD].status.certificates.n = ARRAY_LEN(certs);
	r.rows[STATUS_EDGED].status.modules.at = modules;
	r.rows[STATUS_EDGED].status.modules.n = ARRAY_LEN(modules);
	r.rows[STATUS_IDENTITYD].status.device = &device;
	text = screen(&r);
	ck_assert_str_eq(text,
	    "box: all daemons can do their job\n"
	    "\n"
	    "  keyd      ok   up 1 s     fine\n"
	    "  certd     ok   up 1 s     fine\n"
	    "  identityd ok   up 1 s     fine\n"
	    "  tpmd      ok   up 1 s     fine\n"
	    "  edged     ok   up 1 s     fine\n"
	    "\n"
	    "  device        press-07 on hub.demo:8443 (dps, symmetric_key)\n"
	    "  certificates                    EXPIRED 3 days ago  old-6bec83b4a1d7cb5cc4201b2d7434"
	    "04d6386f650...\n"
	    "                web               29 days left    aziotedgedmoduleweb123server\n"
	    "                press-07 edge CA  89 days left    aziot-edged-ca\n"
	    "  modules       running: meter, edgeAgent\n"
	    "                failed: lamp\n");
	assert_width(text);
}
END_TEST

/* many of everything, and long words: the screen stays one */
START_TEST(test_much)
{
	static struct status_certificate certs[64];
	static struct status_module modules[40];
	struct status_report r = well();
	AUTO(str_freep) char *text = NULL;
	size_t lines = 0;

	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		certs[i] = (struct status_certificate){
			(char *)"an-id-of-a-length-that-nobody-who-wrote-the-layout-had-in-mind",
			(char *)"a common name that is longer than anybody had in mind", NULL,
			64 - (int64_t)i
		};
	for (size_t i = 0; i < ARRAY_LEN(modules); i++)
		modules[i] =
		    (struct status_module){ (char *)"a-module-like-many", (char *)"running" };
	r.rows[STATUS_CERTD].status.certificates.at = certs;
	r.rows[STATUS_CERTD].status.certificates.n = ARRAY_LEN(certs);
	r.rows[STATUS_EDGED].status.modules.at = modules;
	r.rows[STATUS_EDGED].status.modules.n = ARRAY_LEN(modules);
	text = screen(&r);
	assert_width(text);
	for (const char *c = text; (c = strchr(c, '\n')); c++)
		lines++;
	ck_assert_uint_le(lines, 30);
	ck_assert_ptr_nonnull(strstr(text, " 1 days left"));
	ck_assert_ptr_null(strstr(text, " 9 days left"));
	ck_assert_ptr_nonnull(strstr(text, "and 56 more that last longer"));
}
END_TEST

/* a chain of causes is wrapped, not cut; nothing of it reaches the terminal as a command */
START_TEST(test_failure)
{
	struct status_report r = well();
	AUTO(str_freep) char *text = NULL;

	r.rows[STATUS_KEYD].answered = false;
	err_set(&r.rows[STATUS_KEYD].err, ERR_UNREACHABLE, "no such socket");
	r.rows[STATUS_TPMD].answered = false;
	err_set(&r.rows[STATUS_TPMD].err, ERR_UNREACHABLE, "no such socket");
	r.rows[STATUS_EDGED].status.ok = false;
	r.rows[STATUS_EDGED].status.detail =
	    (char *)"waiting for the container engine\ncaused by: the container engine at "
		    "/var/run/docker.sock does not answer\ncaused by: \033[2J no such file";
	text = screen(&r);
	assert_width(text);
	ck_assert_ptr_nonnull(strstr(text, "box: ATTENTION\n"));
	ck_assert_ptr_nonnull(strstr(text, "  keyd      DOWN            no such socket\n"));
	ck_assert_ptr_nonnull(strstr(text, "  tpmd      -               no such socket\n"));
	ck_assert_ptr_nonnull(strstr(text, "  edged     FAIL up 1 s     waiting for"));
	ck_assert_ptr_nonnull(strstr(text, "engine;caused by:"));
	ck_assert_ptr_nonnull(strstr(text, "?[2J no such file\n"));
	ck_assert_ptr_null(strchr(text, '\033'));
}
END_TEST

TEST_MAIN("ctl/status", test_screen, test_much, test_failure)
