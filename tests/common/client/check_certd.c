#include "client/certd.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/serve.h"

/*
 * A server that answers by the contract's codes and says what it was asked, so that method, path, id and body of each call are
 * seen as certd sees them (contracts/certd.md 1).
 */
static enum err_code
echo(const struct request *req, unsigned status, const char *more, struct response *resp,
    struct err *err)
{
	AUTO(certd_pem_msg_done) struct certd_pem_msg out = { 0 };

	if (str_format(&out.pem, err, "%s %s %s", req->method,
		req->params[0] ? req->params[0] : "-", more))
		return err->code;
	return response_json(resp, status, certd_pem_msg_fields, &out, err);
}

static enum err_code
on_create(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(certd_create_req_done) struct certd_create_req in = { 0 };
	AUTO(str_freep) char *more = NULL;

	(void)service;
	if (certd_create_req_read(&in, req->body, err) ||
	    str_format(&more, err, "%s|%s|%s|%s", in.cert_id, in.csr,
		in.issuer ? in.issuer->cert_id : "none",
		in.issuer ? in.issuer->private_key_handle : "none"))
		return err->code;
	return echo(req, 201, more, resp, err);
}

static enum err_code
on_get(void *service, const struct request *req, struct response *resp, struct err *err)
{
	(void)service;
	if (strcmp(req->params[0], "absent") == 0) {
		err_set(err, ERR_NOT_FOUND, "not found");
		return err_param(err, "id");
	}
	return echo(req, 200, "", resp, err);
}

/* Keeps what came in, for the test to look at. */
static enum err_code
on_import(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(certd_pem_msg_done) struct certd_pem_msg in = { 0 };

	if (certd_pem_msg_read(&in, req->body, err))
		return err->code;
	snprintf(service, 128, "PUT %s %s", req->params[0], in.pem);
	return response_json(resp, 201, certd_pem_msg_fields, &in, err);
}

static enum err_code
on_delete(void *service, const struct request *req, struct response *resp, struct err *err)
{
	if (strcmp(req->params[0], "denied") == 0)
		return err_set(err, ERR_DENIED, "no");
	snprintf(service, 128, "DELETE %s", req->params[0]);
	return response_empty(resp, 204);
}

static const struct route routes[] = {
	{ "POST", "/certificates", CERTD_API_VERSION, 0, INLINE, on_create },
	{ "GET", "/certificates/{id}", CERTD_API_VERSION, 0, INLINE, on_get },
	{ "PUT", "/certificates/{id}", CERTD_API_VERSION, 0, INLINE, on_import },
	{ "DELETE", "/certificates/{id}", CERTD_API_VERSION, 0, INLINE, on_delete },
};
static const char *const versions[] = { CERTD_API_VERSION, NULL };
static const struct route_table table = {
	.daemon = "certd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

static void
clientp(struct certd_client **c)
{
	certd_client_free(*c);
}

static void
assert_text(char **got, const char *want)
{
	ck_assert_str_eq(*got, want);
	str_freep(got);
}

START_TEST(test_calls)
{
	char seen[128] = "";
	const struct http_server_config server = { .table = &table, .service = seen };
	AUTO(clientp) struct certd_client *c = NULL;
	struct unix_client_config config = { 0 };
	struct serve s = { 0 };
	struct err err = { 0 };
	char *pem = NULL;

	serve_start(&s, &server, 10);
	config.path = s.path;
	ck_ok(certd_client_new(&config, &c, &err));

	ck_ok(certd_client_create(c, "id/1", "CSR\n", NULL, NULL, &pem, &err));
	assert_text(&pem, "POST - id/1|CSR\n|none|none");
	ck_ok(certd_client_create(c, "m", "CSR", "ca", "handle", &pem, &err));
	assert_text(&pem, "POST - m|CSR|ca|handle");
	/* ids of modules hold slashes, and others may hold anything */
	ck_ok(certd_client_get(c, "aziot-edged/module/m:g:server", &pem, &err));
	assert_text(&pem, "GET aziot-edged/module/m:g:server ");
	ck_ok(certd_client_get(c, "a%41 ?#\xc3\xa9", &pem, &err));
	assert_text(&pem, "GET a%41 ?#\xc3\xa9 ");
	ck_ok(certd_client_import(c, "$x", "text", &err));
	ck_assert_str_eq(seen, "PUT $x text");
	ck_ok(certd_client_delete(c, "a/b", &err));
	ck_assert_str_eq(seen, "DELETE a/b");

	/* certd's words and status come through */
	ck_err(certd_client_get(c, "absent", &pem, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 400);
	ck_assert_str_eq(err.text, "parameter \"id\" has an invalid value\ncaused by: not found");
	ck_err(certd_client_delete(c, "denied", &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 401);
	ck_assert_ptr_null(pem);
	serve_stop(&s);
	ck_err(certd_client_get(c, "x", &pem, &err), ERR_UNREACHABLE);
}
END_TEST

TEST_MAIN("client/certd", test_calls)
