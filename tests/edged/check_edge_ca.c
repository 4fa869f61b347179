#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"
#include "edged/edge_ca.h"
#include "provider/provider.h"
#include "tests/fake/certd.h"
#include "tests/fake/keyd.h"

static struct keyd_client *keyd;
static struct certd_client *certd;

static void
begin(void)
{
	struct unix_client_config none = { 0 };
	struct keyd_client *former = keyd; /* of the case before, where all run in one process */
	struct err err = { 0 };

	fake_keyd_reset();
	fake_certd_reset();
	certd_client_free(certd);
	ck_ok(keyd_client_new(&none, &keyd, &err));
	ck_ok(certd_client_new(&none, &certd, &err));
	ck_ok(provider_install(keyd, &err));
	keyd_client_free(former);
}

static char *
openssl_says(const char *pem, const char *options)
{
	support_write(support_path("cert.pem"), pem);
	return support_sh("openssl x509 -in %s -noout %s", support_path("cert.pem"), options);
}

/* edged-workload.md 3.4: subject, extensions, no issuer named; openssl judges */
START_TEST(test_first)
{
	struct edged_edge_ca_config config = { .cert = (char *)"aziot-edged-ca",
		.key = (char *)"aziot-edged-ca" };
	struct edge_ca ca;
	struct err err = { 0 };
	char *text;

	begin();
	ca = (struct edge_ca){ keyd, certd, &config };
	ck_ok(edge_ca_ensure(&ca, "press-07", &err));
	ck_assert(fake_keyd_has_pair("aziot-edged-ca"));
	ck_assert_str_eq(fake_certd_last_issuer(), "");
	ck_assert_ptr_nonnull(fake_certd_get("aziot-edged-ca"));
	text = openssl_says(
	    fake_certd_get("aziot-edged-ca"), "-subject -ext basicConstraints,keyUsage");
	ck_assert_ptr_nonnull(strstr(text, "CN = aziot-edge CA press-07"));
	ck_assert_ptr_nonnull(strstr(text, "X509v3 Basic Constraints: critical"));
	ck_assert_ptr_nonnull(strstr(text, "CA:TRUE, pathlen:0"));
	ck_assert_ptr_nonnull(strstr(text, "X509v3 Key Usage: critical"));
	ck_assert_ptr_nonnull(strstr(text, "Digital Signature, Certificate Sign"));
	free(text);
}
END_TEST

START_TEST(test_subject)
{
	struct fields_pair pairs[] = { { (char *)"CN", (char *)"edge CA" },
		{ (char *)"O", (char *)"Presses" } };
	struct edged_edge_ca_config config = {
		.cert = (char *)"c", .key = (char *)"k", .subject = { pairs, 2 }
	};
	struct edge_ca ca;
	struct err err = { 0 };
	char *text;

	begin();
	ca = (struct edge_ca){ keyd, certd, &config };
	ck_ok(edge_ca_ensure(&ca, "press-07", &err));
	text = openssl_says(fake_certd_get("c"), "-subject");
	ck_assert_str_eq(text, "subject=CN = edge CA, O = Presses");
	free(text);
}
END_TEST

/* one that is there is left alone */
START_TEST(test_present)
{
	struct edged_edge_ca_config config = { .cert = (char *)"c", .key = (char *)"k" };
	struct edge_ca ca;
	struct err err = { 0 };

	begin();
	ca = (struct edge_ca){ keyd, certd, &config };
	fake_certd_put("c", fake_certd_ca());
	ck_ok(edge_ca_ensure(&ca, "press-07", &err));
	ck_assert_str_eq(fake_certd_get("c"), fake_certd_ca());
	ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 0);
}
END_TEST

/* an answer that is no answer must not replace a CA */
START_TEST(test_no_answer)
{
	static const struct {
		enum err_code code;
		uint16_t status;
	} rows[] = { { ERR_UNREACHABLE, 0 }, { ERR_TIMEOUT, 0 }, { ERR_PEER, 500 },
		{ ERR_BUSY, 0 } };
	struct edged_edge_ca_config config = { .cert = (char *)"c", .key = (char *)"k" };
	struct edge_ca ca;
	struct err err = { 0 };

	begin();
	ca = (struct edge_ca){ keyd, certd, &config };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_certd_fail(rows[i].code, rows[i].status, "no");
		ck_err(edge_ca_ensure(&ca, "press-07", &err), rows[i].code);
		ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 0);
	}
	fake_certd_fail(ERR_OK, 0, "");
	fake_keyd_fail(FAKE_CREATE_KEY_PAIR, 0, ERR_UNREACHABLE, 0, "no");
	ck_err(edge_ca_ensure(&ca, "press-07", &err), ERR_UNREACHABLE);
	ck_ok(edge_ca_ensure(&ca, "press-07", &err));
}
END_TEST

TEST_MAIN("edged/edge_ca", test_first, test_subject, test_present, test_no_answer)
