#include "tests/support/support.h"

#include "identityd/principals.h"

/* contracts/identityd.md 2: callers, operations, and the one dropped principal */
static struct settings_principal list[] = {
	{ .uid = 1000, .name = (char *)"daemon" },
	{ .uid = 1001, .name = (char *)"second" },
	{ .uid = 1201, .name = (char *)"opc", .has_idtype = true, .idtype = ID_MODULE },
	{ .uid = 1202, .name = (char *)"loc", .has_idtype = true, .idtype = ID_LOCAL },
	{ .uid = 1203, .name = (char *)"dev", .has_idtype = true, .idtype = ID_DEVICE },
	{ .uid = 1204, .name = (char *)"none", .has_idtype = true },
	{ .uid = 1205, .name = (char *)"early", .has_idtype = true, .idtype = ID_DEVICE },
	{ .uid = 1205, .name = (char *)"late", .has_idtype = true, .idtype = ID_MODULE },
};
static const struct settings settings = { .principals = { list, ARRAY_LEN(list) } };

static const struct {
	uint32_t uid;
	enum operation op;
	const char *module;
	bool allowed;
} rows[] = {
	{ 0, OP_GET_DEVICE, NULL, true },
	{ 0, OP_REPROVISION, NULL, true },
	{ 0, OP_GET_MODULE, "x", true },
	{ 1000, OP_CREATE_MODULE, NULL, true },
	{ 1000, OP_SELF, NULL, true },
	/* "only the first principal without idtype counts; later ones are dropped" */
	{ 1001, OP_GET_DEVICE, NULL, false },
	{ 1001, OP_ANY, NULL, true },
	{ 1201, OP_GET_DEVICE, NULL, false },
	{ 1201, OP_GET_MODULE, "opc", true },
	{ 1201, OP_GET_MODULE, "opc2", false },
	{ 1201, OP_GET_MODULE, "OPC", false },
	{ 1201, OP_SELF, NULL, true },
	{ 1201, OP_CREATE_MODULE, NULL, false },
	{ 1201, OP_DELETE_MODULE, NULL, false },
	{ 1201, OP_UPDATE_MODULE, NULL, false },
	{ 1201, OP_LIST_MODULES, NULL, false },
	{ 1201, OP_REPROVISION, NULL, false },
	{ 1202, OP_GET_MODULE, "loc", true },
	{ 1203, OP_GET_DEVICE, NULL, true },
	{ 1203, OP_SELF, NULL, true },
	{ 1203, OP_GET_MODULE, "dev", false },
	{ 1204, OP_SELF, NULL, false },
	{ 1204, OP_GET_DEVICE, NULL, false },
	/* "duplicate uid: last entry wins" */
	{ 1205, OP_GET_DEVICE, NULL, false },
	{ 1205, OP_GET_MODULE, "late", true },
	{ 4711, OP_ANY, NULL, true },
	{ 4711, OP_SELF, NULL, false },
	{ 4711, OP_GET_MODULE, "opc", false },
};

START_TEST(test_matrix)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct caller caller = principals_classify(&settings, rows[i].uid);

		ck_assert_msg(
		    principals_allow(&caller, rows[i].op, rows[i].module) == rows[i].allowed,
		    "row %zu: uid %u", i, rows[i].uid);
	}
}
END_TEST

START_TEST(test_root_demoted)
{
	/* "the list is consulted first, so root can be demoted by a principal entry" */
	struct settings_principal root = {
		.uid = 0, .name = (char *)"m", .has_idtype = true, .idtype = ID_MODULE
	};
	struct settings demoting = { .principals = { &root, 1 } };
	struct caller caller = principals_classify(&demoting, 0);

	ck_assert_int_eq(caller.class, CALLER_HOST);
	ck_assert(!principals_allow(&caller, OP_REPROVISION, NULL));
	ck_assert(principals_allow(&caller, OP_GET_MODULE, "m"));
}
END_TEST

START_TEST(test_others)
{
	ck_assert_uint_eq(principals_dropped(&settings), 1);
	ck_assert_ptr_nonnull(principals_local(&settings, "loc"));
	ck_assert_ptr_null(principals_local(&settings, "opc"));
}
END_TEST

TEST_MAIN("identityd/principals", test_matrix, test_root_demoted, test_others)
