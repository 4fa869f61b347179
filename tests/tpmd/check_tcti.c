#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "tpmd/tcti.h"

/* contracts/tpmd.md 4, tpm2.md 4: "NAME[:CONF]" */
START_TEST(test_parse)
{
	static const struct {
		const char *spec;
		enum err_code code;
		const char *module, *conf;
		bool simulator;
	} rows[] = {
		{ "device", ERR_OK, "device", NULL, false },
		{ "", ERR_OK, "device", NULL, false },
		{ "device:", ERR_OK, "device", NULL, false },
		{ "device:/dev/tpmrm0", ERR_OK, "device", "/dev/tpmrm0", false },
		{ "swtpm:port=2321", ERR_OK, "swtpm", "port=2321", true },
		{ "swtpm:host=::1,port=2321", ERR_OK, "swtpm", "host=::1,port=2321", true },
		{ "mssim", ERR_OK, "mssim", NULL, true },
		{ "tabrmd", ERR_CONFIG, NULL, NULL, false },
		{ "tabrmd:bus_type=session", ERR_CONFIG, NULL, NULL, false },
		{ "cmd:sh -c true", ERR_CONFIG, NULL, NULL, false },
		{ ":x", ERR_CONFIG, NULL, NULL, false },
		{ "../../tmp/evil", ERR_CONFIG, NULL, NULL, false },
		{ "/tmp/libtss2-tcti-evil.so.0", ERR_CONFIG, NULL, NULL, false },
		{ "Device", ERR_CONFIG, NULL, NULL, false },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(tcti_name_done) struct tcti_name name = { 0 };

		ck_err(tcti_parse(rows[i].spec, &name, &err), rows[i].code);
		if (rows[i].code)
			continue;
		ck_assert_str_eq(name.module, rows[i].module);
		ck_assert_pstr_eq(name.conf, rows[i].conf);
		ck_assert_int_eq(tcti_is_simulator(&name), rows[i].simulator);
	}
}
END_TEST

START_TEST(test_load)
{
	AUTO(tcti_name_done) struct tcti_name unknown = { 0 }, absent = { 0 };
	struct tcti *t = NULL;
	TSS2_TCTI_CONTEXT *connection = NULL;
	struct err err = { 0 };

	ck_ok(tcti_parse("nosuch", &unknown, &err));
	ck_err(tcti_load(&unknown, &t, &err), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, "nosuch"));
	setenv("TSS2_LOG", "all+NONE", 1);
	ck_ok(tcti_parse("device:/nonexistent", &absent, &err));
	ck_ok(tcti_load(&absent, &t, &err));
	ck_assert_str_eq(tcti_text(t), "device:/nonexistent");
	ck_err(tcti_connect(t, &connection, &err), ERR_UNREACHABLE);
	tcti_free(t);
}
END_TEST

TEST_MAIN("tpmd/tcti", test_parse, test_load)
