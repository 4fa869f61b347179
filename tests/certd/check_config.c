#include "tests/certd/rig.h"

START_TEST(test_whole)
{
	/* every key of contracts/certd.md 5 */
	struct certd_config config = rig_config(
	    "max_requests = 25\n"
	    "[cert_issuance.est]\n"
	    "trusted_certs = [\"est-server-ca-1\"]\n"
	    "username = \"u\"\npassword = \"p\"\n"
	    "identity_cert = \"est-id\"\nidentity_pk = \"est-id-pk\"\n"
	    "bootstrap_identity_cert = \"b\"\nbootstrap_identity_pk = \"b-pk\"\n"
	    "[cert_issuance.est.identity_auto_renew]\n"
	    "rotate_key = false\nthreshold = \"50%\"\nretry = \"10min\"\n"
	    "[cert_issuance.est.urls]\n"
	    "default = \"https://est.plant.example/.well-known/est\"\n"
	    "[cert_issuance.local_ca]\ncert = \"ca\"\npk = \"ca-pk\"\n"
	    "[cert_issuance.device-id]\n"
	    "method = \"est\"\nurl = \"https://est2.example/est\"\nusername = \"u2\"\n"
	    "password = \"p2\"\ncommon_name = \"press-17\"\n"
	    "[cert_issuance.a]\nmethod = \"local_ca\"\nexpiry_days = 7\n"
	    "[cert_issuance.a.subject]\nST = \"Antarctica\"\nCN = \"x\"\nL = \"AQ\"\n"
	    "[cert_issuance.\"b/c d\"]\nmethod = \"self_signed\"\nallow_ca = false\n"
	    "[preloaded_certs]\n"
	    "ca = \"file:///var/secrets/local%20ca.pem\"\nbundle = [\"ca\", \"x\"]\n"
	    "[[principal]]\nuid = 994\ncerts = [\"device-id*\"]\n"
	    "[[principal]]\nuid = 0\ncerts = []\n"
	    "[endpoints]\naziot_certd = \"fd://3\"\naziot_keyd = \"unix:///run/k.sock\"\n");
	const struct certd_rule *rule;

	ck_assert_int_eq(config.max_requests, 25);
	ck_assert_str_eq(config.issuance.est->trusted_certs.at[0], "est-server-ca-1");
	ck_assert_str_eq(config.issuance.est->auth.bootstrap_pk, "b-pk");
	ck_assert_int_eq(config.issuance.est->auto_renew->threshold.amount, 50);
	ck_assert_str_eq(config.issuance.est->urls.at[0].key, "default");
	ck_assert_str_eq(config.issuance.local_ca->pk, "ca-pk");
	/* est and local_ca are no certificate ids */
	ck_assert_uint_eq(config.issuance.rules.n, 3);
	ck_assert_ptr_null(certd_config_rule(&config, "est"));
	rule = certd_config_rule(&config, "device-id");
	ck_assert_int_eq(rule->method, CERTD_EST);
	ck_assert_int_eq(rule->expiry_days, 30);
	ck_assert_str_eq(rule->auth.password, "p2");
	rule = certd_config_rule(&config, "a");
	ck_assert_int_eq(rule->expiry_days, 7);
	/* one RDN per entry in byte order of the names */
	ck_assert_str_eq(rule->subject.at[0].key, "CN");
	ck_assert_str_eq(rule->subject.at[1].key, "L");
	ck_assert_str_eq(rule->subject.at[2].key, "ST");
	ck_assert_ptr_nonnull(certd_config_rule(&config, "b/c d"));
	ck_assert_str_eq(certd_config_preloaded(&config, "ca")->path, "/var/secrets/local ca.pem");
	ck_assert_uint_eq(certd_config_preloaded(&config, "bundle")->ids.n, 2);
	ck_assert_int_eq(config.principals.at[0].uid, 994);
	ck_assert_str_eq(config.endpoints.certd, "fd://3");
	certd_config_done(&config);
}
END_TEST

START_TEST(test_defaults)
{
	struct certd_config config = rig_config("[cert_issuance]\n[preloaded_certs]\n");

	ck_assert_int_eq(config.max_requests, 10);
	ck_assert_ptr_null(config.issuance.est);
	ck_assert_ptr_null(config.endpoints.keyd);
	certd_config_done(&config);
}
END_TEST

/* contracts/certd.md 5; each refusal names the key */
static const struct {
	const char *toml, *key;
} wrong[] = {
	{ "max_requests = 1", "homedir_path" },
	{ "homedir_path = 1", "homedir_path" },
	{ "homedir_path = \"\"", "homedir_path" },
	{ "homedir_path = \"/h\"\nmax_requests = 0", "max_requests" },
	{ "homedir_path = \"/h\"\nmax_requests = \"10\"", "max_requests" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\n", "cert_issuance.a.method" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"magic\"",
	    "cert_issuance.a.method" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"self_signed\"\nexpiry_days = 0",
	    "cert_issuance.a.expiry_days" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"self_signed\"\nexpiry_days = -1",
	    "cert_issuance.a.expiry_days" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"self_signed\"\n"
	  "expiry_days = 1000001",
	    "cert_issuance.a.expiry_days" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"est\"\nurl = \"ftp://x/\"",
	    "cert_issuance.a.url" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"est\"\nurl = \"no url\"",
	    "cert_issuance.a.url" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"est\"\ncommon_name = 1",
	    "cert_issuance.a.common_name" },
	{ "homedir_path = \"/h\"\n[cert_issuance.a]\nmethod = \"est\"\nsubject = { CN = 1 }",
	    "cert_issuance.a.subject.CN" },
	{ "homedir_path = \"/h\"\n[cert_issuance.est.urls]\ndefault = \"x\"",
	    "cert_issuance.est.urls.default" },
	{ "homedir_path = \"/h\"\n[cert_issuance.est.identity_auto_renew]\nrotate_key = true",
	    "cert_issuance.est.identity_auto_renew" },
	{ "homedir_path = \"/h\"\n[cert_issuance.local_ca]\ncert = \"a\"",
	    "cert_issuance.local_ca.pk" },
	{ "homedir_path = \"/h\"\n[cert_issuance.est]\ntrusted_certs = \"a\"",
	    "cert_issuance.est.trusted_certs" },
	{ "homedir_path = \"/h\"\n[preloaded_certs]\na = 1", "preloaded_certs.a" },
	{ "homedir_path = \"/h\"\n[preloaded_certs]\na = [1]", "preloaded_certs.a" },
	{ "homedir_path = \"/h\"\n[preloaded_certs]\na = \"https://x/\"", "preloaded_certs.a" },
	{ "homedir_path = \"/h\"\n[preloaded_certs]\na = \"/plain\"", "preloaded_certs.a" },
	{ "homedir_path = \"/h\"\n[[principal]]\ncerts = []", "principal[0].uid" },
	{ "homedir_path = \"/h\"\n[[principal]]\nuid = 1", "principal[0].certs" },
	{ "homedir_path = \"/h\"\n[[principal]]\nuid = -1\ncerts = []", "principal[0].uid" },
	{ "homedir_path = \"/h\"\n[[principal]]\nuid = 4294967296\ncerts = []",
	    "principal[0].uid" },
	{ "homedir_path = \"/h\"\n[endpoints]\naziot_keyd = \"http://h:1\"",
	    "endpoints.aziot_keyd" },
	{ "homedir_path = \"/h\"\n[endpoints]\naziot_keyd = \"fd://3\"", "endpoints.aziot_keyd" },
	{ "homedir_path = \"/h\"\n[endpoints]\naziot_certd = \"http://h:1\"",
	    "endpoints.aziot_certd" },
	{ "homedir_path = \"/h\"\nhomedir_path = \"/h\"", "config.toml:2" },
};

START_TEST(test_wrong)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct certd_config config = { 0 };
		struct config_source from = { support_path("config.toml"), "/nonexistent" };
		struct err err = { 0 };

		support_write(from.file, wrong[i].toml);
		ck_assert_msg(certd_config_load(&from, true, &config, &err) == ERR_CONFIG, "%s: %s",
		    wrong[i].toml, err.text);
		ck_assert_msg(strstr(err.text, wrong[i].key), "%s: %s", wrong[i].toml, err.text);
		ck_assert_ptr_null(config.homedir);
	}
}
END_TEST

/* S11 of index-identity.md: lists in lists end, whatever they name */
START_TEST(test_lists)
{
	static const struct {
		const char *toml;
		const char *ids[6];
	} rows[] = {
		{ "l = [\"a\", \"b\"]", { "a", "b" } },
		{ "l = []", { 0 } },
		{ "l = [\"l\"]", { 0 } },
		{ "l = [\"a\", \"l\", \"b\"]", { "a", "b" } },
		{ "l = [\"a\", \"a\"]", { "a", "a" } },
		{ "l = [\"a\", \"m\", \"d\"]\nm = [\"b\", \"c\"]", { "a", "b", "c", "d" } },
		{ "l = [\"m\"]\nm = [\"a\", \"l\"]", { "a" } },
		{ "l = [\"m\", \"m\"]\nm = [\"n\", \"n\"]\nn = [\"o\", \"o\"]\no = [\"x\"]",
		    { "x" } },
		{ "l = [\"f\", \"g\"]\nf = \"file:///x.pem\"", { "f", "g" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *toml = NULL;
		struct certd_config config;
		const struct certd_ids *ids;
		struct err err = { 0 };
		size_t n = 0;

		ck_ok(str_format(&toml, &err, "[preloaded_certs]\n%s\n", rows[i].toml));
		config = rig_config(toml);
		ids = &certd_config_preloaded(&config, "l")->ids;
		for (; rows[i].ids[n]; n++)
			ck_assert_msg(n < ids->n && strcmp(ids->at[n], rows[i].ids[n]) == 0,
			    "%s: id %zu", rows[i].toml, n);
		ck_assert_msg(ids->n == n, "%s: %zu ids", rows[i].toml, ids->n);
		certd_config_done(&config);
	}
}
END_TEST

START_TEST(test_lists_bounded)
{
	struct buf deep = { 0 }, wide = { 0 };
	struct config_source from = { support_path("config.toml"), "/nonexistent" };
	struct certd_config config = { 0 };
	struct err err = { 0 };

	buf_puts(&deep, "homedir_path = \"/h\"\n[preloaded_certs]\n");
	for (int i = 0; i < 20; i++)
		buf_printf(&deep, "l%d = [\"l%d\"]\n", i, i + 1);
	support_write(from.file, (char *)deep.data);
	ck_err(certd_config_load(&from, true, &config, &err), ERR_CONFIG);
	buf_puts(&wide, "homedir_path = \"/h\"\n[preloaded_certs]\nl = [");
	for (int i = 0; i < 300; i++)
		buf_printf(&wide, "\"a%d\",", i);
	buf_puts(&wide, "]\n");
	support_write(from.file, (char *)wide.data);
	ck_err(certd_config_load(&from, true, &config, &err), ERR_CONFIG);
	buf_done(&deep);
	buf_done(&wide);
}
END_TEST

/* S6 of index-identity.md, and the Edge CA of contracts/edged-workload.md 3.4 */
START_TEST(test_may_be_ca)
{
	static const struct {
		const char *id;
		bool may;
	} rows[] = {
		{ "self", true },
		{ "self-no", false },
		{ "by-ca", false },
		{ "by-ca-yes", true },
		{ "aziot-edged-ca", true },
		{ "aziot-edged-ca-temp", true },
		{ "unknown", false },
	};
	struct certd_config config =
	    rig_config("[cert_issuance.local_ca]\ncert = \"c\"\npk = \"p\"\n"
		       "[cert_issuance.self]\nmethod = \"self_signed\"\n"
		       "[cert_issuance.self-no]\nmethod = \"self_signed\"\nallow_ca = false\n"
		       "[cert_issuance.by-ca]\nmethod = \"local_ca\"\n"
		       "[cert_issuance.by-ca-yes]\nmethod = \"local_ca\"\nallow_ca = true\n"
		       "[cert_issuance.aziot-edged-ca]\nmethod = \"local_ca\"\n"
		       "[cert_issuance.aziot-edged-ca-temp]\nmethod = \"local_ca\"\n");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_msg(
		    certd_may_be_ca(&config, rows[i].id) == rows[i].may, "%s", rows[i].id);
	certd_config_done(&config);
}
END_TEST

/* what `config apply` writes for upstream is read without a word */
START_TEST(test_golden)
{
	static const char *const cases[] = { "apply-edge/ca-certs-est", "apply-edge/ca-certs",
		"apply-edge/ca-quickstart", "apply-identity/dps-x509-est-bootstrap-auto-renew",
		"apply-identity/dps-x509-pkcs11-localca", "apply-identity/manual-x509-est-custom" };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO(str_freep) char *name = NULL;
		struct certd_config config = { 0 };
		struct config_source from = { NULL, "/nonexistent" };
		struct err err = { 0 };

		ck_ok(str_format(&name, &err, "%s/certd.toml", cases[i]));
		from.file = support_shared_data(name);
		if (!from.file)
			return;
		ck_ok(certd_config_load(&from, true, &config, &err));
		ck_assert_str_eq(config.homedir, "/var/lib/aziot/certd");
		certd_config_done(&config);
	}
}
END_TEST

TEST_MAIN("certd/config", test_whole, test_defaults, test_wrong, test_lists, test_lists_bounded,
    test_may_be_ca, test_golden)
