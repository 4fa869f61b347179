#include "tests/support/support.h"

#include <pwd.h>
#include <string.h>

#include "tpmd/config.h"

static enum err_code
load(const char *text, struct tpmd_config *ret, struct err *err)
{
	const struct config_source from = { support_path("config.toml"), support_path("config.d") };

	support_write(from.file, text);
	return tpmd_config_load(&from, ret, err);
}

/* contracts/tpmd.md 4 */
START_TEST(test_defaults)
{
	AUTO(tpmd_config_done) struct tpmd_config c = { 0 };
	struct err err = { 0 };

	ck_ok(load("", &c, &err));
	ck_assert_int_eq(c.max_requests, 10);
	ck_assert_str_eq(c.tcti, "device");
	ck_assert_int_eq(c.auth_key_index, 0x000100);
	ck_assert(c.bus_encryption);
	ck_assert_ptr_null(c.hierarchies.endorsement);
	ck_assert_ptr_null(c.endpoints.aziot_tpmd);
}
END_TEST

START_TEST(test_values)
{
	AUTO(tpmd_config_done) struct tpmd_config c = { 0 };
	struct err err = { 0 };

	ck_ok(load("tcti = \"\"\nbus_encryption = false\nmax_requests = 3\nauth_key_index = "
		   "0\n[hierarchy_authorization]\n"
		   "endorsement = \"e\"\nowner = \"o\"\n[endpoints]\naziot_tpmd = \"unix:///x\"\n",
	    &c, &err));
	ck_assert_str_eq(c.tcti, "");
	ck_assert_int_eq(c.max_requests, 3);
	ck_assert_int_eq(c.auth_key_index, 0);
	ck_assert(!c.bus_encryption);
	ck_assert_str_eq(c.hierarchies.endorsement, "e");
	ck_assert_str_eq(c.hierarchies.owner, "o");
	ck_assert_str_eq(c.endpoints.aziot_tpmd, "unix:///x");
}
END_TEST

START_TEST(test_refused)
{
	static const struct {
		const char *text, *named;
	} rows[] = {
		{ "auth_key_index = \"0x000100\"\n", "auth_key_index" }, /* tpmd.md 4: rejected */
		{ "auth_key_index = 0x800000\n", "auth_key_index" },
		{ "\nauth_key_index = -1\n", "config.toml:2" },
		{ "max_requests = 0\n", "max_requests" },
		{ "tcti = 5\n", "tcti" },
		{ "bus_encryption = 1\n", "bus_encryption" },
		{ "[hierarchy_authorization]\nowner = "
		  "\"12345678901234567890123456789012345678901234567890123456789012345\"\n",
		    "hierarchy_authorization.owner" },
		{ "tcti = \n", "config.toml:1" },
		{ "[[principal]]\nuid = -1\n", "principal" },
		{ "[[principal]]\nkeys = [\"*\"]\n", "uid" },
		{ "principal = 5\n", "principal" },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tpmd_config c = { 0 };

		ck_err(load(rows[i].text, &c, &err), ERR_CONFIG);
		ck_assert_msg(strstr(err.text, rows[i].named), "%s", err.text);
	}
}
END_TEST

/* tpmd(8): who may use keys of the TPM; without a word the user aziotks, who may not be there. */
START_TEST(test_principals)
{
	AUTO(tpmd_config_done) struct tpmd_config none = { 0 }, two = { 0 };
	struct err err = { 0 };
	const struct passwd *user = getpwnam("aziotks");

	ck_ok(load("", &none, &err));
	ck_assert_uint_eq(none.principals.n, user ? 1 : 0);
	if (user)
		ck_assert_int_eq(none.principals.at[0].uid, user->pw_uid);
	ck_ok(load("[[principal]]\nuid = 7\n[[principal]]\nuid = 4294967295\n", &two, &err));
	ck_assert_uint_eq(two.principals.n, 2);
	ck_assert_int_eq(two.principals.at[0].uid, 7);
	ck_assert_int_eq(two.principals.at[1].uid, 4294967295);
}
END_TEST

/* What upstream's own tool wrote for devices with and without a TPM. */
START_TEST(test_golden)
{
	static const char *const cases[] = { "apply-identity/dps-tpm/tpmd.toml",
		"apply-edge/dps-tpm/tpmd.toml", "apply-identity/manual-symmetric-key/tpmd.toml" };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(tpmd_config_done) struct tpmd_config c = { 0 };
		const char *path = support_shared_data(cases[i]);
		const struct config_source from = { path, support_path("config.d") };

		if (path)
			ck_ok(tpmd_config_load(&from, &c, &err));
	}
}
END_TEST

TEST_MAIN("tpmd/config", test_defaults, test_values, test_refused, test_principals, test_golden)
