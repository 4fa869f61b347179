#include "certd/principals.h"

#include "tests/certd/rig.h"

/* contracts/certd.md 1 and common.md 8 */
static const struct {
	uid_t uid;
	const char *id;
	bool may;
} rows[] = {
	{ 0, "anything", true },
	{ 0, "", true },
	{ 994, "device-id", true },
	{ 994, "device-id-temp", true },
	{ 994, "other", true }, /* entries for the same uid add up */
	{ 994, "another", false },
	{ 994, "Device-id", false },
	{ 995, "device-id", false },
	{ 995, "aziot-edged/module/m:g:server", true },
	{ 996, "device-id", false },
};

START_TEST(test_rows)
{
	struct certd_config config =
	    rig_config("[[principal]]\nuid = 994\ncerts = [\"device-id*\"]\n"
		       "[[principal]]\nuid = 995\ncerts = [\"x\", \"aziot-edged/module/*\"]\n"
		       "[[principal]]\nuid = 994\ncerts = [\"other\"]\n");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { 0 };

		ck_assert_msg(principals_may_write(&config, rows[i].uid, rows[i].id, &err) ==
				  (rows[i].may ? ERR_OK : ERR_DENIED),
		    "uid %u, %s", (unsigned)rows[i].uid, rows[i].id);
		if (rows[i].uid == 996)
			ck_assert_str_eq(
			    err.text, "user 996 is not authorized to modify the cert device-id");
	}
	certd_config_done(&config);
}
END_TEST

TEST_MAIN("certd/principals", test_rows)
