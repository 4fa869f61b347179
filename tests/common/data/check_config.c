#include "tests/support/message.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "data/config.h"

/* A main file and drop-ins below the test's directory. */
static struct config_source
source(void)
{
	return (struct config_source){ support_path("main.toml"), support_path("config.d") };
}

static void
dropin(const char *name, const char *text)
{
	struct err err = { 0 };
	char path[64];

	ck_ok(file_mkdirs(support_path("config.d"), 0700, &err));
	snprintf(path, sizeof(path), "config.d/%s", name);
	support_write(support_path(path), text);
}

static void
is_every(const struct every *m, const char *want)
{
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(fields_write_text(every_fields, m, &text, &err));
	ck_assert_msg(strstr(text, want), "%s not in %s", want, text);
}

static const char inside[] = "inside = { name = 'n' }\n";

static void
reads(const char *want)
{
	AUTO(every_done) struct every m = { 0 };
	struct config_source from = source();
	struct err err = { 0 };

	ck_ok(config_read(&from, every_fields, &m, true, &err));
	is_every(&m, want);
}

/* contracts/common.md 2.1 and 2.2: what is missing is empty */
START_TEST(test_missing)
{
	struct config_source from = source();
	struct every m = { 0 };
	struct part part = { 0 };
	struct err err = { 0 };
	AUTO(str_freep) char *want = NULL;

	ck_ok(config_read(&from, every_fields, &m, true, &err));
	ck_err(config_read(&from, part_fields, &part, true, &err), ERR_CONFIG);
	ck_ok(str_format(&want, &err, "%s:1: key name: missing", from.file));
	dropin("a.toml", inside);
	reads("\"inside\":{\"name\":\"n\"");
	ck_assert_int_eq(unlink(support_path("config.d/a.toml")), 0);
	support_write(support_path("main.toml"), inside);
	reads("\"inside\":{\"name\":\"n\"");
}
END_TEST

/* contracts/common.md 2.2: byte order of the names; 2.3: tables merge, arrays concatenate, anything else is replaced */
START_TEST(test_order)
{
	support_write(support_path("main.toml"),
	    "inside = { name = 'main', uid = 1 }\nstr = 'main'\nstrs = ['main']\n");
	dropin("b.toml", "str = 'b'\nstrs = ['b']\n[inside]\nname = 'b'\n");
	dropin("a.toml", "str = 'a'\nstrs = ['a']\n[inside]\nuid = 2\n");
	dropin("B.toml", "str = 'B'\nstrs = ['B']\n");
	dropin("10.toml", "strs = ['10']\n");
	dropin("9.toml", "strs = ['9']\n");
	reads("\"str\":\"b\"");
	reads("\"strs\":[\"main\",\"10\",\"9\",\"B\",\"a\",\"b\"]");
	reads("\"inside\":{\"name\":\"b\",\"uid\":2}");
}
END_TEST

/* contracts/common.md 2.2: regular files with the extension toml and nothing else */
START_TEST(test_skipped)
{
	static const char *const other[] = { "a.toml.bak", "a.TOML", "a.toml~", ".toml", "toml",
		"a.tomlx", "a.json" };

	support_write(support_path("main.toml"), inside);
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		dropin(other[i], "this is not TOML");
	ck_assert_int_eq(mkdir(support_path("config.d/dir.toml"), 0700), 0);
	ck_assert_int_eq(mkfifo(support_path("config.d/fifo.toml"), 0600), 0);
	dropin(".hidden.toml", "str = 'hidden'");
	reads("\"str\":\"hidden\"");
}
END_TEST

/* What config_read says on stderr, as one text to free. */
static char *
warnings(bool warn)
{
	AUTO(every_done) struct every m = { 0 };
	struct config_source from = source();
	int saved = dup(STDERR_FILENO);
	int log = open(support_path("log"), O_CREAT | O_TRUNC | O_RDWR, 0600);
	struct err err = { 0 };
	struct bytes text;

	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	ck_ok(config_read(&from, every_fields, &m, warn, &err));
	ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
	close(saved);
	close(log);
	text = support_read(support_path("log"));
	return (char *)text.data;
}

/* decisions.md, config.d symlinks: skipped as upstream, with a warning that names the path */
START_TEST(test_symlinks)
{
	AUTO(str_freep) char *said = NULL;

	support_write(support_path("main.toml"), inside);
	dropin("a.toml", "");
	support_write(support_path("target"), "str = 'linked'");
	ck_assert_int_eq(symlink(support_path("target"), support_path("config.d/b.toml")), 0);
	ck_assert_int_eq(symlink("nowhere", support_path("config.d/c.toml")), 0);
	ck_assert_int_eq(symlink("nowhere", support_path("config.d/d.conf")), 0);
	said = warnings(false);
	ck_assert_ptr_nonnull(strstr(said, support_path("config.d/b.toml")));
	ck_assert_ptr_nonnull(strstr(said, support_path("config.d/c.toml")));
	ck_assert_ptr_null(strstr(said, "d.conf"));
	reads("{\"nulls\"");
}
END_TEST

/* index-identity.md U4: unknown keys are warned of, with their place; free-form tables are no typos */
START_TEST(test_unknown)
{
	AUTO(str_freep) char *said = NULL;
	AUTO(str_freep) char *quiet = NULL;
	AUTO(str_freep) char *first = NULL;
	AUTO(str_freep) char *second = NULL;
	struct err err = { 0 };

	support_write(support_path("main.toml"),
	    "Str = 1\ninside = { name = 'n' }\nraw.x = 1\nlabels.y = 'z'\n");
	dropin("a.toml", "\n[ref]\nname = 'n'\nuidd = 1\n");
	quiet = warnings(false);
	ck_assert_str_eq(quiet, "");
	said = warnings(true);
	ck_ok(str_format(&first, &err, "%s:1: key Str: not known", support_path("main.toml")));
	ck_ok(str_format(
	    &second, &err, "%s:4: key ref.uidd: not known", support_path("config.d/a.toml")));
	ck_assert_msg(strstr(said, first) && strstr(said, second), "%s", said);
	ck_assert_ptr_null(strstr(said, "raw"));
	ck_assert_ptr_null(strstr(said, "labels"));
}
END_TEST

static const struct {
	const char *main, *dropin; /* NULL: no such file */
	const char *file, *text;   /* what follows the file's path */
} refused[] = {
	{ "small = 11", "", "main.toml", ":1: key small: expected a whole number from -3 to 10" },
	{ "small = 1.0", "", "main.toml", ":1: key small: expected a whole number from -3 to 10" },
	{ "small = 1", "\n\nsmall = 99", "config.d/a.toml",
	    ":3: key small: expected a whole number from -3 to 10" },
	{ "[ref]\nuid = 1", "", "main.toml", ":1: key ref.name: missing" },
	{ "str = 'x'", "[ref]\nuid = 1", "config.d/a.toml", ":1: key ref.name: missing" },
	{ "[[parts]]\nname = 'a'", "[[parts]]\nname = 'b'\n[[parts]]\nname = 7", "config.d/a.toml",
	    ":4: key parts[2].name: expected a string" },
	{ "[labels]\n'a.b' = 1", NULL, "main.toml", ":2: key labels.\"a.b\": expected a string" },
	{ "str = 1979-05-27\nflag = 'true'", NULL, "main.toml",
	    ":2: key flag: expected true or false" },
	/* syntax: file, line, column */
	{ "str = ", NULL, "main.toml", ":1:7: expected a value" },
	{ "", "a = \"\xff\"", "config.d/a.toml", ":1:6: invalid UTF-8" },
	{ NULL, "\n[x", "config.d/a.toml", ":2:3: expected ']'" },
	{ "real = inf", NULL, "main.toml", ":1:1: not a finite number" },
};

START_TEST(test_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		AUTO(str_freep) char *want = NULL;
		struct config_source from = source();
		struct every m = { 0 };
		struct err err = { 0 };

		if (refused[i].main)
			support_write(from.file, refused[i].main);
		else
			unlink(from.file);
		if (refused[i].dropin)
			dropin("a.toml", refused[i].dropin);
		else
			unlink(support_path("config.d/a.toml"));
		ck_ok(str_format(
		    &want, &err, "%s%s", support_path(refused[i].file), refused[i].text));
		ck_err(config_read(&from, every_fields, &m, true, &err), ERR_CONFIG);
		ck_assert_ptr_null(m.str);
		ck_assert_str_eq(err.text, want);
	}
}
END_TEST

static enum err_code
refuse_seven(const void *config, char *ret_path, size_t path_size, struct err *err)
{
	const struct every *m = config;

	if (m->small != 7)
		return ERR_OK;
	snprintf(ret_path, path_size, "small");
	return err_set(err, ERR_INVALID, "not this one");
}

/* What a check refuses is told as what the table refuses: with file, line and key; and nothing is left of the value. */
START_TEST(test_checked)
{
	AUTO(str_freep) char *want = NULL;
	AUTO(every_done) struct every m = { 0 };
	struct config_source from = source();
	struct err err = { 0 };

	support_write(from.file, inside);
	dropin("a.toml", "\nsmall = 7\nstr = 'x'");
	ck_ok(str_format(
	    &want, &err, "%s:2: key small: not this one", support_path("config.d/a.toml")));
	ck_err(config_read_checked(&from, every_fields, &m, true, refuse_seven, &err), ERR_CONFIG);
	ck_assert_str_eq(err.text, want);
	ck_assert_ptr_null(m.str);
	dropin("a.toml", "small = 6\nstr = 'x'");
	ck_ok(config_read_checked(&from, every_fields, &m, true, refuse_seven, &err));
	ck_assert_str_eq(m.str, "x");
}
END_TEST

/* contracts/common.md 2.1: any error but absence is fatal */
START_TEST(test_unreadable)
{
	struct config_source from = source();
	struct every m = { 0 };
	struct err err = { 0 };

	ck_assert_int_eq(mkdir(from.file, 0700), 0);
	ck_err(config_read(&from, every_fields, &m, true, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, from.file));
	ck_assert_int_eq(rmdir(from.file), 0);
	support_write(from.file, inside);
	support_write(from.dir, "a file in place of the directory");
	ck_err(config_read(&from, every_fields, &m, true, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, from.dir));
}
END_TEST

TEST_MAIN("data/config", test_missing, test_order, test_skipped, test_symlinks, test_unknown,
    test_refused, test_checked, test_unreadable)
