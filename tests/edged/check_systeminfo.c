#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "edged/systeminfo.h"

/* os-release(5) */
START_TEST(test_os_release)
{
	static const char file[] =
	    "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\nVARIANT_ID='iot' \n"
	    "EMPTY=\nXID=no\n# ID=no\nBUILD_ID=last";
	static const struct {
		const char *key, *want;
	} rows[] = { { "ID", "debian" }, { "VERSION_ID", "12" }, { "VARIANT_ID", "iot" },
		{ "BUILD_ID", "last" }, { "EMPTY", NULL }, { "NONE", NULL } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *value = NULL;
		struct err err = { 0 };

		ck_ok(systeminfo_os_release(TEXT(file), rows[i].key, &value, &err));
		ck_assert_msg(!value == !rows[i].want, "%s", rows[i].key);
		if (value)
			ck_assert_str_eq(value, rows[i].want);
	}
}
END_TEST

/* uname, nproc and free judge */
START_TEST(test_machine)
{
	struct edged_config config = { 0 };
	struct systeminfo *s = NULL;
	struct edged_systeminfo shown;
	AUTO(edged_resources_done) struct edged_resources r = { 0 };
	struct err err = { 0 };
	char *text;

	ck_ok(systeminfo_new(&config, &s, &err));
	systeminfo_show(s, "20.10.24", &shown);
	ck_assert_str_eq(shown.os_type, "Linux");
	ck_assert_str_eq(shown.server_version, "20.10.24");
	text = support_sh("uname -r");
	ck_assert_str_eq(shown.kernel_release, text);
	free(text);
	text = support_sh("nproc --all");
	ck_assert_int_eq(shown.cpus, atoll(text));
	free(text);
	systeminfo_show(s, "", &shown);
	ck_assert_ptr_null(shown.server_version);
	ck_ok(systeminfo_resources(s, &r, &err));
	text = support_sh("free -b | awk '/^Mem:/ {print $2}'");
	ck_assert_int_eq(r.total_ram, atoll(text));
	free(text);
	ck_assert_int_gt(r.used_ram, 0);
	ck_assert_int_lt(r.used_ram, r.total_ram);
	ck_assert_int_le(r.process_uptime, 60);
	ck_assert(r.used_cpu >= 0 && r.used_cpu <= 100);
	for (size_t i = 0; i < r.disks.n; i++) {
		ck_assert_int_ge(r.disks.at[i].total_space, r.disks.at[i].available_space);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(r.disks.at[i].name, r.disks.at[j].name);
	}
	systeminfo_free(s);
}
END_TEST

/* edged-management.md 2.4, "any other"; edged-weaknesses.md D12: no member twice */
START_TEST(test_additional)
{
	struct fields_pair pairs[] = { { (char *)"site", (char *)"plant" },
		{ (char *)"product_name", (char *)"press" }, { (char *)"version", (char *)"99" },
		{ (char *)"kernel", (char *)"MyOS" }, { (char *)"cpus", (char *)"1" } };
	struct edged_config config = { .additional_info = { pairs, ARRAY_LEN(pairs) } };
	AUTO(str_freep) char *text = NULL;
	AUTO(json_freep) struct json_t *json = NULL;
	struct systeminfo *s = NULL;
	struct edged_systeminfo shown;
	struct err err = { 0 };

	ck_ok(systeminfo_new(&config, &s, &err));
	systeminfo_show(s, "x", &shown);
	ck_ok(fields_write_text(edged_systeminfo_fields, &shown, &text, &err));
	ck_ok(json_read(text_of(text), &json, &err)); /* refuses a member that is there twice */
	ck_assert_ptr_nonnull(strstr(text, "\"site\":\"plant\""));
	ck_assert_ptr_nonnull(strstr(text, "\"product_name\":\"press\""));
	ck_assert_ptr_nonnull(strstr(text, "\"osType\":\"MyOS\""));
	ck_assert_ptr_null(strstr(text, "\"99\""));
	systeminfo_free(s);
}
END_TEST

TEST_MAIN("edged/systeminfo", test_os_release, test_machine, test_additional)
