#include "tests/support/support.h"

#include "ctl/keyd_role.h"

/* as packaging/install.sh puts them, and as make does */
static const struct {
	const char *self;
	unsigned i;
	const char *want; /* NULL: none */
} rows[] = {
	{ "/usr/bin/edgekeep", 0, "/usr/bin/keyd" },
	{ "/usr/bin/edgekeep", 1, "/usr/bin/../libexec/aziot-identity-service/aziot-keyd" },
	{ "/home/x/build/bin/edgekeep", 0, "/home/x/build/bin/keyd" },
	{ "/usr/bin/edgekeep", 2, NULL },
	{ "edgekeep", 0, NULL },
};

START_TEST(test_program)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *program = NULL;
		struct err err = { 0 };
		enum err_code code = keyd_role_program(rows[i].self, rows[i].i, &program, &err);

		ck_assert_int_eq(code, rows[i].want ? ERR_OK : ERR_NOT_FOUND);
		if (rows[i].want)
			ck_assert_str_eq(program, rows[i].want);
	}
}
END_TEST

TEST_MAIN("ctl/keyd_role", test_program)
