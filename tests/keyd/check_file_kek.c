#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keyd/file_kek.h"
#include "tests/fake/tpmd.h"

static struct backend_config config;

static void
begin(const char *wrap)
{
	config = (struct backend_config){ .wrap = wrap, .homedir = support_tmpdir() };
	fake_tpmd_reset();
	setenv("CREDENTIALS_DIRECTORY", support_tmpdir(), 1);
}

static struct bytes
get(bool may_make)
{
	struct bytes kek = { 0 };
	struct err err = { 0 };

	ck_ok(file_kek_get(&config, may_make, &kek, &err));
	ck_assert_uint_eq(kek.len, 32);
	return kek;
}

/* Refused with a text that tells what to do. */
static void
refused(bool may_make, const char *remedy)
{
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_err(file_kek_get(&config, may_make, &none, &err), ERR_INTERNAL);
	ck_assert_ptr_null(none.data);
	ck_assert_msg(strstr(err.text, remedy) != NULL, "%s: %s", remedy, err.text);
}

START_TEST(test_credential)
{
	AUTO(bytes_done) struct bytes kek = { 0 };

	begin("credential");
	ck_assert(!file_kek_is_new(&config));
	refused(true, "LoadCredentialEncrypted=");
	support_write(support_path("edgekeep-kek"), "0123456789abcdef0123456789abcde");
	refused(true, "systemd-creds");
	support_write(support_path("edgekeep-kek"), "0123456789abcdef0123456789abcdef0");
	refused(true, "systemd-creds");
	support_write(support_path("edgekeep-kek"), "0123456789abcdef0123456789abcdef");
	kek = get(false);
	ck_assert(text_equal(text_of_bytes(&kek), "0123456789abcdef0123456789abcdef"));
	unsetenv("CREDENTIALS_DIRECTORY");
	refused(true, "CREDENTIALS_DIRECTORY is not set");
}
END_TEST

/* Made once, sealed, and the same ever after; never in the clear on disk. */
START_TEST(test_tpm)
{
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	AUTO(bytes_done) struct bytes blob = { 0 };
	struct stat st;

	begin("tpm");
	ck_assert(file_kek_is_new(&config));
	refused(false, "put it back from a backup");
	first = get(true);
	ck_assert(!file_kek_is_new(&config));
	ck_assert_int_eq(stat(support_path("kek.tpm"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	blob = support_read(support_path("kek.tpm"));
	ck_assert_ptr_null(memmem(blob.data, blob.len, first.data, first.len));
	second = get(false);
	ck_assert(bytes_equal(&first, &second));
	config.homedir = NULL;
	refused(true, "needs homedir_path");
}
END_TEST

static const struct {
	enum err_code code;
	unsigned status;
	const char *remedy;
} lasting[] = {
	{ ERR_PEER, 400, "of another TPM" },
	{ ERR_PEER, 401, "[[principal]]" },
	{ ERR_PROTOCOL, 0, "tpmd's log" },
};

/* What passes is waited for; what lasts is told at once, and the blob stays what it was. */
START_TEST(test_tpmd_fails)
{
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };

	begin("tpm");
	fake_tpmd_fail_times(ERR_UNREACHABLE, 0, 2);
	first = get(true);
	before = support_read(support_path("kek.tpm"));
	fake_tpmd_fail_times(ERR_PEER, 500, 2);
	after = get(true);
	ck_assert(bytes_equal(&first, &after));
	for (size_t i = 0; i < ARRAY_LEN(lasting); i++) {
		fake_tpmd_fail_times(lasting[i].code, lasting[i].status, 1);
		refused(true, lasting[i].remedy);
	}
	bytes_done(&after);
	after = support_read(support_path("kek.tpm"));
	ck_assert(bytes_equal(&before, &after));
}
END_TEST

START_TEST(test_damaged_blob)
{
	static const char *const blobs[] = { "", "{", "{}", "{\"public\":5}" };

	begin("tpm");
	for (size_t i = 0; i < ARRAY_LEN(blobs); i++) {
		AUTO(bytes_done) struct bytes after = { 0 };

		support_write(support_path("kek.tpm"), blobs[i]);
		refused(true, "damaged");
		after = support_read(support_path("kek.tpm"));
		ck_assert(text_equal(text_of_bytes(&after), blobs[i]));
	}
}
END_TEST

TEST_MAIN("keyd/file_kek", test_credential, test_tpm, test_tpmd_fails, test_damaged_blob)
