#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edged/state.h"

static const struct state_device press = { "press-07", "contoso.azure-devices.net",
	"contoso.azure-devices.net" };

/* contracts/edged-lifecycle.md 3: openssl judges the digest over the page's own JSON */
START_TEST(test_digest)
{
	const char *dir = support_path("cache");
	AUTO(bytes_done) struct bytes file = { 0 };
	struct err err = { 0 };
	struct stat st;
	char *want;

	ck_ok(state_write(dir, &press, &err));
	want = support_sh(
	    "printf %%s '{\"device_id\":\"press-07\",\"gateway_host_name\":"
	    "\"contoso.azure-devices.net\",\"hub_name\":\"contoso.azure-devices.net\"}' |"
	    " openssl dgst -sha256 -binary | openssl base64");
	file = support_read(support_path("cache/provisioning_state"));
	ck_assert_str_eq((char *)file.data, want);
	ck_assert_int_eq(stat(support_path("cache/provisioning_state"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	free(want);
}
END_TEST

START_TEST(test_change)
{
	const char *dir = support_path("cache");
	struct state_device other = press;
	struct err err = { 0 };
	bool same = true;

	ck_ok(state_same(dir, &press, &same, &err));
	ck_assert(!same); /* a missing file is a difference */
	ck_ok(state_write(dir, &press, &err));
	ck_ok(state_same(dir, &press, &same, &err));
	ck_assert(same);
	other.gateway_host = "parent";
	ck_ok(state_same(dir, &other, &same, &err));
	ck_assert(!same);
	ck_ok(state_forget(dir, &err));
	ck_ok(state_same(dir, &press, &same, &err));
	ck_assert(!same);
	ck_ok(state_forget(dir, &err));
}
END_TEST

/* a damaged file is a difference, and replaced */
START_TEST(test_damaged)
{
	const char *dir = support_path("cache");
	struct err err = { 0 };
	bool same = true;

	ck_ok(state_write(dir, &press, &err));
	support_write(support_path("cache/provisioning_state"), "");
	ck_ok(state_same(dir, &press, &same, &err));
	ck_assert(!same);
}
END_TEST

TEST_MAIN("edged/state", test_digest, test_change, test_damaged)
