#include "certd/issue.h"

#include "tests/certd/rig.h"

/* What is issued is judged by the openssl command. */

static const char config_text[] =
    "[cert_issuance.local_ca]\ncert = \"local-ca\"\npk = \"local-ca-pk\"\n"
    "[cert_issuance.leaf]\nmethod = \"local_ca\"\ncommon_name = \"leaf-from-config\"\n"
    "expiry_days = 7\n"
    "[cert_issuance.leaf.subject]\nO = \"ignored\"\n"
    "[cert_issuance.rdns]\nmethod = \"local_ca\"\n"
    "[cert_issuance.rdns.subject]\nST = \"Antarctica\"\nO = \"Plant\"\nL = \"AQ\"\n"
    "CN = \"x\"\n"
    "[cert_issuance.long]\nmethod = \"local_ca\"\n"
    "common_name = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaTAIL\"\n"
    "[cert_issuance.over]\nmethod = \"local_ca\"\n"
    "[cert_issuance.over.subject]\n"
    "O = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaTAIL\"\n"
    "[cert_issuance.self]\nmethod = \"self_signed\"\n"
    "[cert_issuance.by-est]\nmethod = \"est\"\nurl = \"https://est.example/\"\n"
    "[cert_issuance.aziot-edged-ca]\nmethod = \"local_ca\"\n"
    "[preloaded_certs]\nl = [\"leaf\"]\n";

static char *
issue(struct certd *s, const char *id, const char *csr, const char *issuer, const char *handle)
{
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	const struct issue_request req = { id, text_of(csr), issuer, handle };
	struct err err = { 0 };
	char *pem = NULL;

	ck_ok(issue_certificate(s->store, config, &req, &pem, &err));
	support_write(support_path("got.pem"), pem);
	return pem;
}

static void
assert_refused(struct certd *s, const char *id, const char *csr, const char *issuer,
    const char *handle, enum err_code code, const char *text)
{
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	const struct issue_request req = { id, text_of(csr), issuer, handle };
	AUTO(str_freep)
	char *before =
	    support_sh("cd %s && ls -l --time-style=full-iso", support_path("home/certs"));
	AUTO(str_freep) char *after = NULL;
	AUTO(str_freep) char *pem = NULL;
	struct err err = { 0 };

	ck_assert_msg(
	    issue_certificate(s->store, config, &req, &pem, &err) == code, "%s: %s", id, err.text);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s: %s", id, err.text);
	ck_assert_ptr_null(pem);
	after = support_sh("cd %s && ls -l --time-style=full-iso", support_path("home/certs"));
	ck_assert_str_eq(after, before);
}

static void
assert_openssl(const char *what, const char *want)
{
	AUTO(str_freep)
	char *got = support_sh(
	    "openssl x509 -in %s -noout %s | tr '\\n' ';'", support_path("got.pem"), what);

	ck_assert_msg(strstr(got, want) != NULL, "%s: no '%s' in '%s'", what, want, got);
}

static void
assert_verifies(const char *options, const char *ca)
{
	AUTO(str_freep)
	char *verdict = support_sh(
	    "cd %s && openssl verify %s -CAfile %s got.pem", support_tmpdir(), options, ca);

	ck_assert_str_eq(verdict, "got.pem: OK");
}

static struct certd *
new_with_ca(void)
{
	AUTO(str_freep) char *ca = NULL;
	struct certd *s = rig_new(config_text);
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	struct err err = { 0 };

	ca = rig_ca("ca", "local-ca-pk", RIG_EC RIG_CA);
	ck_ok(store_write(s->store, config, "local-ca", text_of(ca), &err));
	return s;
}

START_TEST(test_local_ca)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(str_freep)
	char *csr = rig_csr("-subj /CN=leaf-in-csr -addext subjectAltName=DNS:leaf.test "
			    "-addext extendedKeyUsage=clientAuth");
	AUTO(str_freep) char *pem = issue(s, "leaf", csr, NULL, NULL);
	AUTO(str_freep) char *stored = NULL;
	AUTO(str_freep) char *tail = NULL;
	struct err err = { 0 };

	assert_verifies("-x509_strict -purpose sslclient -verify_hostname leaf.test", "ca.pem");
	/* contracts/certd.md 5: common_name wins over subject */
	assert_openssl("-subject -nameopt RFC2253", "subject=CN=leaf-from-config;");
	assert_openssl("-issuer -nameopt RFC2253", "issuer=CN=local-ca;");
	assert_openssl("-checkend 604790", "not expire");
	assert_openssl("-checkend 604810 || true", "will expire");
	/* contracts/certd.md 2: written to the cert's location and returned; then the issuer's chain */
	ck_ok(store_read(s->store, config, "leaf", &stored, &err));
	ck_assert_str_eq(stored, pem);
	tail = support_sh(
	    "cd %s && sed '1,/-----END/d' got.pem | cmp - ca.pem && echo same", support_tmpdir());
	ck_assert_str_eq(tail, "same");
	/* by id: one load, its parameters, one signature; nothing else is asked of keyd */
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 1);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_PARAMETER), 3);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 1);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), 5);
}
END_TEST

START_TEST(test_subjects)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=in-csr/O=x");
	AUTO(str_freep) char *rdns = NULL;
	AUTO(str_freep) char *cut = NULL;
	AUTO(str_freep) char *own = NULL;

	/* contracts/certd.md 5: one RDN per entry in byte order of the names; CN cut to 64; others not */
	rdns = issue(s, "rdns", csr, NULL, NULL);
	assert_openssl("-subject -nameopt compat", "subject=/CN=x/L=AQ/O=Plant/ST=Antarctica;");
	cut = issue(s, "long", csr, NULL, NULL);
	assert_openssl("-subject -nameopt RFC2253",
	    "subject=CN=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;");
	assert_refused(s, "over", csr, NULL, NULL, ERR_INTERNAL, "configured subject");
	own = issue(s, "aziot-edged-ca", csr, NULL, NULL);
	assert_openssl("-subject -nameopt compat", "subject=/CN=in-csr/O=x;");
	assert_openssl("-checkend 2591990", "not expire");
	assert_openssl("-checkend 2592010 || true", "will expire");
}
END_TEST

START_TEST(test_explicit_issuer)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=m");
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *deep = NULL;
	AUTO(str_freep) char *again = NULL;

	pem = issue(s, "aziot-edged/module/m:g:server", csr, "local-ca", "fake:pair:local-ca-pk");
	assert_verifies("", "ca.pem");
	/* contracts/certd.md 2.1: explicit handles need no principal, so the key is not loaded by id */
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 0);
	/* edged-workload.md 3.2: a rule for the exact id overrides lifetime and subject */
	deep = issue(s, "leaf", csr, "local-ca", "fake:pair:local-ca-pk");
	assert_openssl("-subject -nameopt RFC2253", "subject=CN=leaf-from-config;");
	assert_openssl("-checkend 604810 || true", "will expire");
	/* a rule that says EST is about issuing without an issuer */
	again = issue(s, "by-est", csr, "local-ca", "fake:pair:local-ca-pk");
	ck_assert_uint_eq(strlen(again) > 0, 1);
}
END_TEST

START_TEST(test_self_signed)
{
	AUTO(rig_freep) struct certd *s = rig_new(config_text);
	AUTO(str_freep) char *csr = NULL;
	AUTO(str_freep) char *other = NULL;
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *count = NULL;

	csr = rig_csr_of_pair("self", "-subj /CN=me -addext basicConstraints=critical,CA:TRUE");
	pem = issue(s, "self", csr, NULL, NULL);
	assert_verifies("-check_ss_sig", "got.pem");
	assert_openssl("-subject -issuer -nameopt RFC2253", "subject=CN=me;issuer=CN=me;");
	/* contracts/certd.md 2.1: only itself */
	count = support_sh("grep -c BEGIN %s", support_path("got.pem"));
	ck_assert_str_eq(count, "1");
	other = rig_csr("-subj /CN=other");
	assert_refused(s, "self", other, NULL, NULL, ERR_INVALID,
	    "parameter \"csr\" has an invalid value\ncaused by: ");
}
END_TEST

START_TEST(test_rsa_issuer)
{
	AUTO(rig_freep) struct certd *s = rig_new(config_text);
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=m");
	AUTO(str_freep) char *ca = NULL;
	AUTO(str_freep) char *pem = NULL;
	struct err err = { 0 };

	ca = rig_ca("ca", "local-ca-pk", "-newkey rsa:2048 " RIG_CA);
	ck_ok(store_write(s->store, config, "local-ca", text_of(ca), &err));
	pem = issue(s, "leaf", csr, NULL, NULL);
	assert_verifies("-x509_strict", "ca.pem");
	assert_openssl("-text", "sha256WithRSAEncryption");
}
END_TEST

/* the issuer's whole chain follows (contracts/certd.md 2.1) */
START_TEST(test_intermediate)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(str_freep) char *ca_csr = NULL;
	AUTO(str_freep) char *csr = NULL;
	AUTO(str_freep) char *edge = NULL;
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *count = NULL;

	ca_csr = rig_csr_of_pair("edge-pk",
	    "-subj /CN=edge -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext "
	    "keyUsage=critical,digitalSignature,keyCertSign");
	edge = issue(s, "aziot-edged-ca", ca_csr, NULL, NULL);
	csr = rig_csr("-subj /CN=m");
	pem = issue(s, "mod", csr, "aziot-edged-ca", "fake:pair:edge-pk");
	assert_verifies("-x509_strict -untrusted got.pem", "ca.pem");
	count = support_sh("grep -c BEGIN %s", support_path("got.pem"));
	ck_assert_str_eq(count, "3");
}
END_TEST

START_TEST(test_refusals)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=m");
	AUTO(str_freep) char *ca_csr = rig_csr("-subj /CN=m -addext basicConstraints=CA:TRUE");
	AUTO(str_freep) char *leaf = issue(s, "leaf", csr, NULL, NULL);
	const struct {
		const char *id, *csr, *issuer, *handle;
		enum err_code code;
		const char *text;
	} rows[] = {
		/* contracts/certd.md 1 */
		{ "leaf", "junk", NULL, NULL, ERR_INVALID,
		    "parameter \"csr\" has an invalid value" },
		{ "leaf", "", NULL, NULL, ERR_INVALID, "parameter \"csr\" has an invalid value" },
		{ "m", csr, "nope", "x", ERR_INVALID,
		    "parameter \"issuer.certId\" has an invalid value\ncaused by: not found" },
		{ "unconfigured", csr, NULL, NULL, ERR_INTERNAL, "no issuance method" },
		{ "by-est", csr, NULL, NULL, ERR_INTERNAL, "EST" },
		{ "self", csr, NULL, NULL, ERR_INTERNAL, "a parameter has an invalid value" },
		{ "m", csr, "local-ca", "garbage", ERR_INTERNAL, "invalid handle" },
		{ "l", csr, "local-ca", "fake:pair:local-ca-pk", ERR_INTERNAL, "list" },
		/* S6 of index-identity.md */
		{ "leaf", ca_csr, NULL, NULL, ERR_INVALID,
		    "parameter \"csr\" has an invalid value" },
		{ "m", ca_csr, "local-ca", "fake:pair:local-ca-pk", ERR_INVALID, "CA" },
		/* the issuer is a CA, and the key its own */
		{ "m", csr, "leaf", "fake:pair:local-ca-pk", ERR_INTERNAL, "not a CA" },
		{ "m", csr, "local-ca", "fake:pair:stranger", ERR_INTERNAL, "does not fit" },
		{ "m", csr, "junk", "fake:pair:local-ca-pk", ERR_INTERNAL, "unusable" },
	};
	struct err err = { 0 };

	ck_assert_ptr_nonnull(leaf);
	ck_ok(store_write(s->store, config, "junk", TEXT("junk"), &err));
	fake_keyd_put_pair("stranger", EVP_EC_gen("P-256"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_refused(s, rows[i].id, rows[i].csr, rows[i].issuer, rows[i].handle,
		    rows[i].code, rows[i].text);
}
END_TEST

/* keyd fails at each of its calls: an error with its words, nothing stored, and the next attempt works */
START_TEST(test_keyd_fails)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=m");

	for (unsigned skip = 0; skip < 5; skip++) {
		AUTO(str_freep) char *pem = NULL;

		fake_keyd_fail(FAKE_ANY, skip, ERR_TIMEOUT, 0, "keyd took too long");
		assert_refused(s, "leaf", csr, NULL, NULL, ERR_INTERNAL, "keyd took too long");
		pem = issue(s, "leaf", csr, NULL, NULL);
	}
}
END_TEST

/* a store that cannot be written: an error, not a certificate that nobody finds again */
START_TEST(test_store_fails)
{
	AUTO(rig_freep) struct certd *s = new_with_ca();
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=m");
	const struct issue_request req = { "m", text_of(csr), "local-ca", "fake:pair:local-ca-pk" };
	AUTO(str_freep) char *gone = NULL;
	AUTO(str_freep) char *pem = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&gone, &err,
	    "[preloaded_certs]\nlocal-ca = \"file://%s\"\nm = \"file://%s\"\n",
	    support_path("ca.pem"), support_path("no/such/dir/m.pem")));
	{
		struct certd_config other = rig_config(gone);

		ck_ok(snapshot_set(s->settings, &other, &err));
	}
	snapshot_putp(&config);
	config = snapshot_get(s->settings);
	ck_err(issue_certificate(s->store, config, &req, &pem, &err), ERR_INTERNAL);
	ck_assert_ptr_null(pem);
}
END_TEST

TEST_MAIN("certd/issue", test_local_ca, test_subjects, test_explicit_issuer, test_self_signed,
    test_rsa_issuer, test_intermediate, test_refusals, test_keyd_fails, test_store_fails)
