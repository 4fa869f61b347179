#include "tests/support/support.h"

#include <string.h>

#include "keyd/policy.h"

static const char *const device[] = { "device-id", "est-*" };
static const char *const master[] = { "aziot_identityd_master_id" };
static const char *const all[] = { "*" };

static const struct policy_rule rules[] = {
	{ 1000, device, ARRAY_LEN(device) },
	{ 1001, all, ARRAY_LEN(all) },
	{ 1000, master, ARRAY_LEN(master) },
	{ 1002, NULL, 0 },
};

/* contracts/keyd.md 3, common.md 8; the last rows: decisions.md, Handles */
static const struct {
	uint32_t uid;
	const char *id;
	bool allowed;
} rows[] = {
	{ 0, "anything", true },
	{ 0, "", true },
	{ 1000, "device-id", true },
	{ 1000, "est-id", true },
	{ 1000, "est-", true },
	{ 1000, "aziot_identityd_master_id", true },
	{ 1000, "Device-id", false },
	{ 1000, "device-id2", false },
	{ 1001, "device-id", true },
	{ 1002, "device-id", false },
	{ 1003, "device-id", false },
	{ UINT32_MAX, "device-id", false },
	{ 0, "handle-validation-key", false },
	{ 1001, "handle-validation-key", false },
};

static enum err_code
allow(struct policy *p, uint32_t uid, const char *id, struct err *err)
{
	const struct peer peer = { .uid = uid, .gid = uid, .pidfd = -1 };

	return policy_allow(p, &peer, id, err);
}

START_TEST(test_rows)
{
	struct policy *p = NULL;
	struct err err = { 0 };

	ck_ok(policy_new(&p, &err));
	ck_ok(policy_set(p, rules, ARRAY_LEN(rules), &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *text = NULL;

		if (rows[i].allowed) {
			ck_ok(allow(p, rows[i].uid, rows[i].id, &err));
			continue;
		}
		ck_err(allow(p, rows[i].uid, rows[i].id, &err), ERR_DENIED);
		ck_ok(str_format(&text, &err, "user %u is not authorized to access the key %s",
		    rows[i].uid, rows[i].id));
		(void)allow(p, rows[i].uid, rows[i].id, &err);
		ck_assert_str_eq(err.text, text);
	}
	policy_free(p);
}
END_TEST

/* contracts/keyd.md 5: principals reload at run time; what is gone is refused */
START_TEST(test_replaced)
{
	struct policy *p = NULL;
	struct err err = { 0 };

	ck_ok(policy_new(&p, &err));
	ck_err(allow(p, 1001, "x", &err), ERR_DENIED);
	ck_ok(policy_set(p, rules, ARRAY_LEN(rules), &err));
	ck_ok(allow(p, 1001, "x", &err));
	ck_ok(policy_set(p, NULL, 0, &err));
	ck_err(allow(p, 1001, "x", &err), ERR_DENIED);
	ck_ok(allow(p, 0, "x", &err));
	policy_free(p);
}
END_TEST

TEST_MAIN("keyd/policy", test_rows, test_replaced)
