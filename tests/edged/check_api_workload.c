#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "edged/workload.h"
#include "tests/fake/certd.h"
#include "tests/fake/identityd.h"
#include "tests/fake/keyd.h"

/* Rows go through the route table without a socket; attestation has tests of its own, so here the caller is let in or kept out whole. */

static struct workload w;
static struct route_table let_in;
static struct workload_listener own = { .module = "web",
	.container_id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" };

static void
begin(void)
{
	struct err err = { 0 };

	fake_identityd_reset();
	fake_keyd_reset();
	fake_certd_reset();
	fake_identityd_put("web", NULL);
	fake_identityd_put("$edgeHub", "7");
	fake_keyd_put_key("web", "0123456789abcdef0123456789abcdef", 32);
	w = (struct workload){ .trust_bundle_id = "bundle", .manifest_bundle_id = "manifest" };
	ck_ok(keyd_client_new(NULL, &w.keyd, &err));
	ck_ok(certd_client_new(NULL, &w.certd, &err));
	ck_ok(identityd_client_new(NULL, &w.identityd, &err));
	ck_ok(module_keys_new(w.identityd, w.keyd, 0, &w.keys, &err));
	w.certs = (struct module_certs){ w.certd, w.keyd, "aziot-edged-ca", "aziot-edged-ca",
		"gw.example" };
	AUTO(str_freep) char *handle = NULL;
	ck_ok(keyd_client_create_key_pair(w.keyd, "aziot-edged-ca", "rsa-2048:*", &handle, &err));
	let_in = edged_workload_table;
	let_in.authorize = NULL;
}

static void
end(void)
{
	module_keys_free(w.keys);
	keyd_client_free(w.keyd);
	certd_client_free(w.certd);
	identityd_client_free(w.identityd);
}

static void
ask(const struct route_table *table, const char *method, const char *target, const char *body,
    struct response *resp)
{
	struct peer peer = { .pidfd = -1, .pid = 0 };
	struct route_input in = { .peer = &peer,
		.method = method,
		.target = target,
		.content_type = "application/json",
		.body = text_of(body),
		.tag = &own };

	route_run(table, &w, &in, resp);
}

static const struct {
	const char *what, *method, *target, *body;
	unsigned status;
	const char *has; /* in the answer */
} rows[] = {
	/* edged-workload.md 3.1; the digest is of openssl dgst -hmac */
	{ "sign", "POST", "/modules/web/genid/gen1/sign?api-version=2018-06-28",
	    "{\"keyId\":\"primary\",\"algo\":\"HMACSHA256\",\"data\":\"aGVsbG8=\"}", 200,
	    "{\"digest\":\"22i0e2PCOX6seFAlscnCEDrgbCiZgjSng7PrZFPRrXA=\"}" },
	{ "sign, generation is not compared", "POST",
	    "/modules/web/genid/other/sign?api-version=2018-06-28", "{\"data\":\"aGVsbG8=\"}", 200,
	    "digest" },
	{ "sign without a body", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28", "",
	    400, "missing parameter: request body" },
	{ "sign, malformed JSON", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28", "{",
	    422, "message" },
	{ "sign, no data", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28", "{}", 422,
	    "data" },
	{ "sign, data null", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28",
	    "{\"data\":null}", 422, "data" },
	{ "sign, not base64", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28",
	    "{\"data\":\"###\"}", 400, "invalid parameter: " },
	{ "sign, unpadded", "POST", "/modules/web/genid/g/sign?api-version=2018-06-28",
	    "{\"data\":\"aGVsbG8\"}", 400, "invalid parameter: " },
	{ "unknown module", "POST", "/modules/nobody/genid/g/sign?api-version=2018-06-28",
	    "{\"data\":\"aGVsbG8=\"}", 500, "module identity not found" },
	{ "every api-version", "POST", "/modules/web/genid/g/sign?api-version=2022-08-03",
	    "{\"data\":\"aGVsbG8=\"}", 200, "digest" },
	{ "2021-05-11 is refused", "GET", "/trust-bundle?api-version=2021-05-11", "", 400,
	    "invalid api-version \\\"2021-05-11\\\"" },
	{ "encrypt without a body", "POST",
	    "/modules/web/genid/gen1/encrypt?api-version=2018-06-28", "", 400,
	    "missing request body" },
	{ "encrypt, no iv", "POST", "/modules/web/genid/gen1/encrypt?api-version=2018-06-28",
	    "{\"plaintext\":\"aGVsbG8=\"}", 422, "initializationVector" },
	{ "encrypt", "POST", "/modules/web/genid/gen1/encrypt?api-version=2018-06-28",
	    "{\"plaintext\":\"aGVsbG8=\",\"initializationVector\":\"VEVTVA==\"}", 200,
	    "ciphertext" },
	{ "encrypt, another generation", "POST",
	    "/modules/web/genid/gen9/encrypt?api-version=2018-06-28",
	    "{\"plaintext\":\"aGVsbG8=\",\"initializationVector\":\"VEVTVA==\"}", 403,
	    "forbidden" },
	{ "decrypt, not a ciphertext", "POST",
	    "/modules/web/genid/gen1/decrypt?api-version=2018-06-28",
	    "{\"ciphertext\":\"AAAA\",\"initializationVector\":\"VEVTVA==\"}", 500, "message" },
	{ "server certificate", "POST",
	    "/modules/web/genid/gen1/certificate/server?api-version=2018-06-28",
	    "{\"commonName\":\"web\",\"expiration\":\"2027-01-01T00:00:00Z\"}", 201,
	    "{\"privateKey\":{\"type\":\"key\",\"bytes\":\"-----BEGIN PRIVATE KEY-----" },
	{ "edgeHub for the device", "POST",
	    "/modules/%24edgeHub/genid/7/certificate/server?api-version=2018-06-28",
	    "{\"commonName\":\"gw.example\"}", 201, "expiration" },
	/* edged-weaknesses.md A4 */
	{ "another's name", "POST",
	    "/modules/web/genid/gen1/certificate/server?api-version=2018-06-28",
	    "{\"commonName\":\"gw.example\"}", 403, "forbidden" },
	{ "identity certificate, body ignored", "POST",
	    "/modules/web/certificate/identity?api-version=2018-06-28", "", 201,
	    "BEGIN CERTIFICATE" },
	{ "trust bundle missing", "GET", "/trust-bundle?api-version=2020-07-07", "", 404,
	    "certificate \\\"bundle\\\" not found" },
	{ "manifest bundle missing", "GET", "/manifest-trust-bundle?api-version=2020-07-07", "",
	    200, "{\"certificate\":\"\"}" },
	{ "raw dollar in the path", "POST", "/modules/$edgeHub/genid/7/sign?api-version=2018-06-28",
	    "{\"data\":\"\"}", 500, "message" },
	{ "wrong method", "PUT", "/trust-bundle?api-version=2020-07-07", "{}", 400,
	    "method not allowed" },
};

START_TEST(test_rows)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(response_done) struct response resp = { 0 };

		ask(&let_in, rows[i].method, rows[i].target, rows[i].body, &resp);
		ck_assert_msg(resp.status == rows[i].status, "%s: %u %s", rows[i].what, resp.status,
		    resp.body);
		ck_assert_msg(strstr(resp.body, rows[i].has), "%s: %s", rows[i].what, resp.body);
	}
	end();
}
END_TEST

START_TEST(test_bundle)
{
	AUTO(response_done) struct response resp = { 0 };

	begin();
	fake_certd_put("bundle", fake_certd_ca());
	ask(&let_in, "GET", "/trust-bundle?api-version=2020-07-07", "", &resp);
	ck_assert_uint_eq(resp.status, 200);
	ck_assert_ptr_nonnull(
	    strstr(resp.body, "{\"certificate\":\"-----BEGIN CERTIFICATE-----\\n"));
	end();
}
END_TEST

/* What certd was asked for, and what openssl makes of the certificate. */
START_TEST(test_certificate_shape)
{
	AUTO(response_done) struct response resp = { 0 };
	AUTO(response_done) struct response identity = { 0 };
	AUTO(str_freep) char *text = NULL;

	begin();
	ask(&let_in, "POST", "/modules/web/genid/gen1/certificate/server?api-version=2018-06-28",
	    "{\"commonName\":\"web\"}", &resp);
	ck_assert_str_eq(fake_certd_last_issuer(), "aziot-edged-ca|fake:pair:aziot-edged-ca");
	ck_assert_ptr_nonnull(fake_certd_get("aziot-edged/module/web:gen1:server"));
	support_write(support_path("c.pem"), fake_certd_get("aziot-edged/module/web:gen1:server"));
	text =
	    support_sh("openssl x509 -in %s -noout -subject -ext subjectAltName,extendedKeyUsage",
		support_path("c.pem"));
	ck_assert_ptr_nonnull(strstr(text, "CN = web"));
	ck_assert_ptr_nonnull(strstr(text, "DNS:web, DNS:web"));
	ck_assert_ptr_nonnull(strstr(text, "TLS Web Server Authentication"));
	str_freep(&text);
	ask(&let_in, "POST", "/modules/%24edgeHub/certificate/identity?api-version=2018-06-28", "",
	    &identity);
	support_write(
	    support_path("i.pem"), fake_certd_get("aziot-edged/module/$edgeHub:identity"));
	text =
	    support_sh("openssl x509 -in %s -noout -subject -ext subjectAltName,extendedKeyUsage",
		support_path("i.pem"));
	ck_assert_ptr_nonnull(strstr(text, "CN = $edgeHub"));
	ck_assert_ptr_nonnull(
	    strstr(text, "URI:azureiot://hub.example/devices/press-07/modules/$edgeHub"));
	ck_assert_ptr_nonnull(strstr(text, "TLS Web Client Authentication"));
	end();
}
END_TEST

/* Architecture rule 4: every guarded row, tried as a stranger; and every open one is open. */
START_TEST(test_strangers)
{
	begin();
	for (size_t i = 0; i < edged_workload_table.n_routes; i++) {
		const struct route *row = &edged_workload_table.routes[i];
		AUTO(response_done) struct response resp = { 0 };
		AUTO(str_freep) char *target = NULL;
		struct err err = { 0 };

		if (row->who != WORKLOAD_MODULE)
			continue;
		ck_ok(str_format(&target, &err, "/modules/web%s?api-version=2022-08-03",
		    strstr(row->path, "{g}") ? strstr(row->path, "/genid")
					     : "/certificate/identity"));
		ask(&edged_workload_table, row->method, target, "{}", &resp);
		ck_assert_msg(resp.status == 403, "%s: %u", row->path, resp.status);
		ck_assert_str_eq(resp.body, "{\"message\":\"forbidden\"}");
	}
	ck_assert_uint_eq(fake_identityd_calls(), 0);
	end();
}
END_TEST

/* A module's own socket serves that module only, whoever asks. */
START_TEST(test_other_modules_name)
{
	AUTO(response_done) struct response resp = { 0 };

	begin();
	ask(&edged_workload_table, "POST", "/modules/meter/genid/g/sign?api-version=2018-06-28",
	    "{\"data\":\"aGVsbG8=\"}", &resp);
	ck_assert_uint_eq(resp.status, 403);
	end();
}
END_TEST

TEST_MAIN("edged/api_workload", test_rows, test_bundle, test_certificate_shape, test_strangers,
    test_other_modules_name)
