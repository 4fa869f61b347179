#include "certd/store.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/certd/rig.h"

static void
donep(struct certd_config *config)
{
	certd_config_done(config);
}

static struct store *
open_store(void)
{
	struct store *s = NULL;
	struct err err = { 0 };

	ck_ok(store_open(support_path("home"), &s, &err));
	return s;
}

static void
freep(struct store **s)
{
	store_free(*s);
}

static void
assert_text(struct store *s, const struct certd_config *config, const char *id, const char *want)
{
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	if (!want) {
		ck_err(store_read(s, config, id, &text, &err), ERR_NOT_FOUND);
		ck_assert_str_eq(err.text, "not found");
		return;
	}
	ck_ok(store_read(s, config, id, &text, &err));
	ck_assert_str_eq(text, want);
}

static mode_t
mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_mode & 07777;
}

START_TEST(test_own)
{
	AUTO(donep) struct certd_config config = rig_config("");
	AUTO(freep) struct store *s = open_store();
	struct err err = { 0 };
	/* contracts/certd.md 4 and keyd.md 6: <A>-<hex SHA-256>.cer */
	const char *path =
	    support_path("home/certs/deviceid-"
			 "bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer");

	assert_text(s, &config, "device-id", NULL);
	ck_ok(store_write(s, &config, "device-id", TEXT("one"), &err));
	assert_text(s, &config, "device-id", "one");
	ck_assert_uint_eq(mode_of(path), 0600);
	ck_assert_uint_eq(mode_of(support_path("home/certs")), 0700);
	ck_ok(store_write(s, &config, "device-id", TEXT("two"), &err));
	assert_text(s, &config, "device-id", "two");
	ck_ok(store_write(s, &config, "device-id", TEXT(""), &err));
	assert_text(s, &config, "device-id", "");
	ck_ok(store_delete(s, &config, "device-id", &err));
	ck_ok(store_delete(s, &config, "device-id", &err));
	assert_text(s, &config, "device-id", NULL);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* What a crash left of a write goes at the next start. */
START_TEST(test_sweep)
{
	struct store *first = open_store(), *second;

	store_free(first);
	support_write(support_path("home/certs/.new-0"), "half");
	second = open_store();
	ck_assert_int_ne(access(support_path("home/certs/.new-0"), F_OK), 0);
	store_free(second);
}
END_TEST

/* ids are data, not paths */
START_TEST(test_hostile_ids)
{
	static const char *const ids[] = { "../../etc/passwd", "/etc/passwd", ".", "..", "", "a/b",
		"aziot-edged/module/m:g:server", "\xc3\xa9", "a\nb" };
	AUTO(donep) struct certd_config config = rig_config("");
	AUTO(freep) struct store *s = open_store();
	AUTO(str_freep) char *files = NULL;
	char over[300];
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_ok(store_write(s, &config, ids[i], text_of(ids[i]), &err));
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		assert_text(s, &config, ids[i], ids[i]);
	files = support_sh(
	    "ls %s | grep -cE '^[A-Za-z0-9]*-[0-9a-f]{64}[.]cer$'", support_path("home/certs"));
	ck_assert_int_eq(atoi(files), ARRAY_LEN(ids));
	memset(over, 'a', sizeof(over) - 1);
	over[sizeof(over) - 1] = '\0';
	assert_text(s, &config, over, NULL);
	ck_err(store_writable(s, &config, over, &err), ERR_INVALID);
	ck_err(store_write(s, &config, over, TEXT("x"), &err), ERR_INVALID);
	ck_ok(store_delete(s, &config, over, &err));
}
END_TEST

START_TEST(test_preloaded)
{
	AUTO(str_freep) char *toml = NULL;
	AUTO(donep) struct certd_config config = { 0 };
	AUTO(freep) struct store *s = open_store();
	struct err err = { 0 };
	const char *path = support_path("pre.pem");

	ck_ok(str_format(&toml, &err, "[preloaded_certs]\npre = \"file://%s\"\n", path));
	config = rig_config(toml);
	assert_text(s, &config, "pre", NULL);
	/* contracts/certd.md 4: written and deleted there */
	ck_ok(store_write(s, &config, "pre", TEXT("new"), &err));
	ck_assert_uint_eq(mode_of(path), 0644);
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_ok(store_write(s, &config, "pre", TEXT("newer"), &err));
	ck_assert_uint_eq(mode_of(path), 0640);
	assert_text(s, &config, "pre", "newer");
	ck_ok(store_delete(s, &config, "pre", &err));
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_list)
{
	AUTO(donep)
	struct certd_config config =
	    rig_config("[preloaded_certs]\nl = [\"a\", \"missing\", \"b\", \"l\", \"c\"]\n");
	AUTO(freep) struct store *s = open_store();
	struct err err = { 0 };

	/* contracts/certd.md 4: all missing is not found */
	assert_text(s, &config, "l", NULL);
	ck_ok(store_write(s, &config, "a", TEXT("A\n"), &err));
	ck_ok(store_write(s, &config, "b", TEXT("B"), &err));
	ck_ok(store_write(s, &config, "c", TEXT("C"), &err));
	/* in order, missing ones left out; no two texts run together */
	assert_text(s, &config, "l", "A\nB\nC");
	ck_err(store_write(s, &config, "l", TEXT("x"), &err), ERR_INTERNAL);
	ck_err(store_delete(s, &config, "l", &err), ERR_INTERNAL);
	ck_err(store_writable(s, &config, "l", &err), ERR_INTERNAL);
}
END_TEST

/* what an operator may have put in a preloaded file's place */
START_TEST(test_odd_files)
{
	AUTO(str_freep) char *toml = NULL;
	AUTO(str_freep) char *text = NULL;
	AUTO(donep) struct certd_config config = { 0 };
	AUTO(freep) struct store *s = open_store();
	const char *path = support_path("pre.pem");
	struct err err = { 0 };
	char *big;

	ck_ok(str_format(
	    &toml, &err, "[preloaded_certs]\npre = \"file://%s\"\nl = [\"pre\"]\n", path));
	config = rig_config(toml);
	support_write(path, "\xff\xfe");
	ck_err(store_read(s, &config, "pre", &text, &err), ERR_INTERNAL);
	ck_err(store_read(s, &config, "l", &text, &err), ERR_INTERNAL);
	big = calloc(1, STORE_TEXT_MAX + 2);
	memset(big, 'a', STORE_TEXT_MAX + 1);
	support_write(path, big);
	free(big);
	ck_err(store_read(s, &config, "pre", &text, &err), ERR_INTERNAL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_err(store_read(s, &config, "pre", &text, &err), ERR_INTERNAL);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_err(store_read(s, &config, "pre", &text, &err), ERR_INTERNAL);
	ck_assert_ptr_null(text);
}
END_TEST

TEST_MAIN("certd/store", test_own, test_sweep, test_hostile_ids, test_preloaded, test_list,
    test_odd_files)
