#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>

#include "keyd/config.h"
#include "platform/pool.h"

static enum err_code
load(const char *text, struct keyd_config *ret, struct err *err)
{
	const struct config_source from = { support_path("config.toml"), support_path("config.d") };

	support_write(from.file, text);
	return keyd_config_load(&from, ret, err);
}

/* keyd.md 5: all of it optional */
START_TEST(test_empty)
{
	AUTO(keyd_config_done) struct keyd_config c = { 0 };
	struct err err = { 0 };

	ck_ok(load("", &c, &err));
	ck_assert_int_eq(c.max_requests, 10);
	ck_assert_ptr_null(c.places.homedir_path);
	ck_assert_ptr_null(c.endpoints.aziot_keyd);
	ck_assert_uint_eq(c.principals.n, 0);
	ck_assert_uint_eq(c.preloaded.n, 0);
}
END_TEST

START_TEST(test_full)
{
	AUTO(keyd_config_done) struct keyd_config c = { 0 };
	struct err err = { 0 };

	ck_ok(load("max_requests = 25\n"
		   "[aziot_keys]\n"
		   "homedir_path = \"/var/lib/aziot/keyd\"\n"
		   "[preloaded_keys]\n"
		   "device-id = \"file:///var/secrets/device%20id.pem\"\n"
		   "\"est.id\" = \"file:///est\"\n"
		   "[[principal]]\n"
		   "uid = 4294967295\n"
		   "keys = [\"a*\", \"b\"]\n"
		   "[[principal]]\n"
		   "uid = 1\n"
		   "keys = []\n"
		   "[endpoints]\n"
		   "aziot_keyd = \"unix:///tmp/keyd.sock\"\n"
		   "aziot_tpmd = \"unix:///tmp/tpmd.sock\"\n"
		   "aziot_certd = \"unix:///tmp/certd.sock\"\n",
	    &c, &err));
	ck_assert_int_eq(c.max_requests, 25);
	ck_assert_str_eq(c.places.homedir_path, "/var/lib/aziot/keyd");
	ck_assert_uint_eq(c.preloaded.n, 2);
	ck_assert_str_eq(c.preloaded.at[0].id, "device-id");
	ck_assert_str_eq(c.preloaded.at[0].uri, "file:///var/secrets/device%20id.pem");
	ck_assert_str_eq(c.preloaded.at[1].id, "est.id");
	ck_assert_uint_eq(c.principals.n, 2);
	ck_assert_int_eq(c.principals.at[0].uid, UINT32_MAX);
	ck_assert_uint_eq(c.principals.at[0].keys.n, 2);
	ck_assert_str_eq(c.principals.at[0].keys.at[0], "a*");
	ck_assert_str_eq(c.endpoints.aziot_keyd, "unix:///tmp/keyd.sock");
	ck_assert_str_eq(c.endpoints.aziot_tpmd, "/tmp/tpmd.sock");
}
END_TEST

#define USE "[[use]]\nuid = 1\nkeys = [\"a\"]\n"

/* Each is refused with the place and the key. */
static const struct {
	const char *contract, *text, *line, *says;
} wrong[] = {
	{ "keyd.md 5: unknown parameter", "[aziot_keys]\nhomedir_path = \"/x\"\nhome = \"/y\"\n",
	    ":3:", "aziot_keys.home" },
	{ "keyd.md 5: only known parameters", "[aziot_keys]\nHOMEDIR_PATH = \"/x\"\n",
	    ":2:", "aziot_keys.HOMEDIR_PATH" },
	{ "keyabi.md 5: a path", "[aziot_keys]\n\npkcs11_lib_path = \"x.so\"\n",
	    ":3:", "absolute path" },
	{ "keyd.md 5: a token's URI", "[aziot_keys]\npkcs11_base_slot = \"token=x\"\n",
	    ":2:", "pkcs11:" },
	{ "a misspelt setting is not in force", "[backends.hsm]\ntype = \"tpm\"\nwrpa = \"tpm\"\n",
	    ":3:", "backends.hsm.wrpa" },
	{ "no such type", "[backends.hsm]\ntype = \"hsm\"\n",
	    ":2:", "expected one of file, pkcs11, tpm, plugin" },
	{ "keyd.md 5: other scheme", "[preloaded_keys]\nk = \"http://x/y\"\n",
	    ":2:", "preloaded_keys.k" },
	{ "keyd.md 5: file:///abs/path", "[preloaded_keys]\nk = \"file://x/y\"\n",
	    ":2:", "preloaded_keys.k" },
	{ "keyd.md 5: map id to URI", "[preloaded_keys]\nk = 1\n", ":2:", "preloaded_keys.k" },
	{ "keyd.md 5: u32", "[[principal]]\nuid = -1\nkeys = []\n", ":2:", "principal[0].uid" },
	{ "keyd.md 5: u32", "[[principal]]\nuid = 4294967296\nkeys = []\n",
	    ":2:", "principal[0].uid" },
	{ "keyd.md 5: array of patterns", "[[principal]]\nuid = 1\nkeys = \"*\"\n",
	    ":3:", "principal[0].keys" },
	{ "keyd.md 5: both are needed", "[[principal]]\nuid = 1\n", ":1:", "principal[0].keys" },
	{ "keyd.md 5: integer", "max_requests = \"10\"\n", ":1:", "max_requests" },
	{ "decisions.md, [endpoints]: never TCP", "[endpoints]\naziot_keyd = \"http://h:80\"\n",
	    ":2:", "endpoints.aziot_keyd" },
	{ "keyd calls tpmd over a socket", "[endpoints]\naziot_tpmd = \"fd://tpmd\"\n",
	    ":2:", "endpoints.aziot_tpmd" },
	{ "nobody could connect", "max_requests = 0\n", ":1:", "max_requests" },
	{ "[[use]]: who", "[[use]]\nkeys = []\nverbs = []\n", ":1:", "use[0].uid: missing" },
	{ "[[use]]: which", "[[use]]\nuid = 1\nverbs = []\n", ":1:", "use[0].keys: missing" },
	{ "[[use]]: what for", "[[use]]\nuid = 1\nkeys = []\n", ":1:", "use[0].verbs: missing" },
	{ "[[use]]: u32", "[[use]]\nuid = -1\nkeys = []\nverbs = []\n", ":2:", "use[0].uid" },
	{ "[[use]]: array", USE "verbs = \"sign\"\n", ":4:", "use[0].verbs" },
	{ "[[use]]: verbs are known", USE "verbs = [\"sign\", \"verify\"]\n",
	    ":4:", "use[0].verbs[1]" },
	{ "[[use]]: verbs in lower case", USE "verbs = [\"SIGN\"]\n", ":4:", "use[0].verbs[0]" },
	{ "[[use]]: algorithms are known", USE "verbs = [\"sign\"]\nalgorithms = [\"ecdsa\"]\n",
	    ":5:", "use[0].algorithms[0]" },
	{ "[[use]]: a rate of nothing", USE "verbs = []\nrate_per_second = 0\n",
	    ":5:", "use[0].rate_per_second" },
	{ "[[use]]: whole numbers", USE "verbs = []\nuses_per_day = 1.5\n",
	    ":5:", "use[0].uses_per_day" },
	{ "[[use]]: a moment", USE "verbs = []\nnot_after = \"2027-01-01\"\n",
	    ":5:", "use[0].not_after: expected a time with offset" },
	{ "[[use]]: a moment has an offset", USE "verbs = []\nnot_after = 2027-01-01T00:00:00\n",
	    ":5:", "use[0].not_after: expected a time with offset" },
	{ "[[use]]: a misspelt limit would be none", USE "verbs = []\nuse_per_day = 5\n",
	    ":5:", "use[0].use_per_day" },
	{ "[[use]]: a place for the count", USE "verbs = []\nuses_per_day = 5\n",
	    ":1:", "use[0]: uses_per_day needs [aziot_keys] homedir_path" },
	{ "[[use]]: one rule twice", USE "verbs = [\"sign\"]\n\n" USE "verbs = [\"sign\"]\n",
	    ":6:", "use[1]: the same uid, keys, verbs and algorithms as use[0]" },
	{ "use_default", "use_default = \"allow\"\n", ":1:", "use_default" },
	{ "common.md 2: bad TOML", "[aziot_keys\n", ":1:", "" },
};

START_TEST(test_wrong)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct keyd_config c = { 0 };
		struct err err = { 0 };

		ck_err(load(wrong[i].text, &c, &err), ERR_CONFIG);
		ck_assert_msg(strstr(err.text, "config.toml") && strstr(err.text, wrong[i].line) &&
				  strstr(err.text, wrong[i].says),
		    "%s: %s", wrong[i].contract, err.text);
	}
}
END_TEST

START_TEST(test_policy)
{
	AUTO(keyd_config_done) struct keyd_config c = { 0 };
	const struct peer peer = { .uid = 1000, .pidfd = -1 };
	struct policy *policy = NULL;
	struct err err = { 0 };

	ck_ok(load("[[principal]]\nuid = 1000\nkeys = [\"a\"]\n[[principal]]\nuid = 1000\n"
		   "keys = [\"b?\"]\n",
	    &c, &err));
	ck_ok(policy_new(&policy, &err));
	ck_ok(keyd_config_apply_policy(&c, policy, &err));
	ck_ok(policy_allow(policy, &peer, "a", &err));
	ck_ok(policy_allow(policy, &peer, "bc", &err));
	ck_err(policy_allow(policy, &peer, "b", &err), ERR_DENIED);
	policy_free(policy);
}
END_TEST

/* What a rule says is what permit.h is told. */
START_TEST(test_uses)
{
	static const struct {
		const char *text;
		enum err_code wanted;
	} ruleless[] = {
		{ "use_default = \"deny\"\n", ERR_DENIED },
		{ "use_default = \"contract\"\n", ERR_OK },
		{ "", ERR_OK },
	};
	AUTO(keyd_config_done) struct keyd_config c = { 0 };
	const struct peer peer = { .uid = 1000, .pidfd = -1 };
	const struct permit_config config = { .homedir = support_tmpdir() };
	struct permit *permit = NULL;
	struct err err = { 0 };

	pool_set_may_block(true);
	ck_ok(load("use_default = \"contract\"\n"
		   "[aziot_keys]\nhomedir_path = \"/x\"\n"
		   "[[use]]\nuid = 1000\nkeys = [\"a\", \"b?\"]\nverbs = [\"sign\", \"export\"]\n"
		   "algorithms = [\"ECDSA\", \"RSA-PKCS1\"]\nrate_per_second = 10\n"
		   "uses_per_day = 3\nnot_after = \"2999-01-01T00:00:00+01:00\"\n"
		   "[[use]]\nuid = 1000\nkeys = [\"c\"]\nverbs = [\"sign\"]\n"
		   "not_after = 1999-01-01T00:00:00Z\n"
		   "[[use]]\nuid = 1000\nkeys = [\"d\"]\nverbs = [\"decrypt\"]\n",
	    &c, &err));
	ck_assert_int_eq(c.uses.at[0].not_after, 32472140400); /* date -d ... +%s */
	ck_ok(permit_new(&config, &permit, &err));
	ck_ok(keyd_config_apply_permit(&c, permit, &err));
	ck_ok(permit_use(permit, &peer, "a", PERMIT_SIGN, PERMIT_ECDSA, &err));
	ck_ok(permit_use(permit, &peer, "bb", PERMIT_SIGN, PERMIT_RSA_PKCS1, &err));
	ck_ok(permit_use(permit, &peer, "bb", PERMIT_EXPORT, PERMIT_NO_ALGORITHM, &err));
	ck_err(permit_use(permit, &peer, "a", PERMIT_SIGN, PERMIT_ECDSA, &err), ERR_DENIED);
	ck_err(permit_use(permit, &peer, "a", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	ck_err(permit_use(permit, &peer, "c", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	ck_ok(permit_use(permit, &peer, "d", PERMIT_DECRYPT, PERMIT_AEAD, &err));
	ck_ok(permit_use(permit, &peer, "e", PERMIT_SIGN, PERMIT_AEAD, &err));
	c.use_default = KEYD_USE_DENY;
	ck_ok(keyd_config_apply_permit(&c, permit, &err));
	ck_err(permit_use(permit, &peer, "e", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	/* what is said holds without rules, too; where nothing is said they are what makes the difference */
	for (size_t i = 0; i < ARRAY_LEN(ruleless); i++) {
		keyd_config_done(&c);
		ck_ok(load(ruleless[i].text, &c, &err));
		ck_ok(keyd_config_apply_permit(&c, permit, &err));
		ck_err(permit_use(permit, &peer, "e", PERMIT_SIGN, PERMIT_AEAD, &err),
		    ruleless[i].wanted);
	}
	permit_free(permit);
}
END_TEST

/* What upstream's `config apply` writes for keyd is read. */
START_TEST(test_golden)
{
	const char *dir = support_shared_data("apply-identity");
	AUTO(str_freep) char *names = NULL;
	char *rest, *name;
	int n = 0;

	if (!dir)
		return;
	names = support_sh("ls %s/*/keyd.toml", dir);
	rest = names;
	while ((name = strsep(&rest, "\n"))) {
		AUTO(bytes_done) struct bytes text = support_read(name);
		AUTO(keyd_config_done) struct keyd_config c = { 0 };
		struct err err = { 0 };

		ck_ok(load((char *)text.data, &c, &err));
		n++;
	}
	ck_assert_int_ge(n, 10);
}
END_TEST

TEST_MAIN("keyd/config", test_empty, test_golden, test_full, test_wrong, test_policy, test_uses)
