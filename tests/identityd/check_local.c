#include "tests/support/support.h"

#include "identityd/local.h"
#include "tests/fake/certd.h"

/* identityd.md 1, localIdOpts; what is malformed counts as absent */
static const struct {
	const char *options;
	bool server;
} rows[] = {
	{ NULL, false },
	{ "{\"type\":\"x509\"}", false },
	{ "{\"type\":\"x509\",\"attributes\":\"client\"}", false },
	{ "{\"type\":\"x509\",\"attributes\":\"server\"}", true },
	{ "{\"type\":\"x509\",\"attributes\":\"server\",\"more\":1}", true },
	{ "{\"type\":\"sas\",\"attributes\":\"server\"}", false },
	{ "{\"attributes\":\"server\"}", false },
	{ "{\"type\":\"x509\",\"attributes\":\"both\"}", false },
	{ "\"server\"", false },
	{ "[]", false },
};

START_TEST(test_options)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_msg(local_wants_server(rows[i].options) == rows[i].server, "row %zu", i);
}
END_TEST

START_TEST(test_refused)
{
	struct settings_domain domain = { .domain = (char *)"d" };
	struct settings s = { .hostname = (char *)"h" };
	struct unix_client_config none = { 0 };
	struct certd_client *certd = NULL;
	struct identity got = { 0 };
	struct err err = { 0 };

	fake_certd_reset();
	ck_ok(certd_client_new(&none, &certd, &err));
	ck_err(local_issue(certd, &s, "m", false, &got, &err), ERR_CONFIG);
	s.localid = &domain;
	ck_err(local_issue(certd, &s, "a/b", false, &got, &err), ERR_INVALID);
	fake_certd_fail(ERR_PEER, 500, "no rule");
	ck_err(local_issue(certd, &s, "m", false, &got, &err), ERR_INTERNAL);
	ck_assert_ptr_null(got.local);
	certd_client_free(certd);
	fake_certd_reset();
}
END_TEST

TEST_MAIN("identityd/local", test_options, test_refused)
