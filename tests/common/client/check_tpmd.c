#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>

#include "client/tpmd.h"
#include "http/server.h"
#include "platform/listen.h"

/* A tpmd that answers what the cases expect, behind the server that the real one has (contracts/tpmd.md 1). */

static enum err_code
get_keys(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char *text = NULL;

	(void)service, (void)req;
	if (str_copy(
		&text, "{\"endorsement_key\":\"AToAAQ==\",\"storage_root_key\":\"ARoAAQ==\"}", err))
		return err->code;
	return response_json_text(resp, 200, &text);
}

/* Answers with what it was sent, so that the client's form of it shows. */
static enum err_code
sign(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char *text = NULL;

	(void)service;
	if (json_write(req->body, &text, err))
		return err->code;
	if (strcmp(text, "{\"data\":\"aGVsbG8=\"}") != 0) {
		err_set(err, ERR_INVALID, "got %s", text);
		str_freep(&text);
		return err->code;
	}
	str_freep(&text);
	if (str_copy(&text, "{\"digest\":\"L/I=\"}", err))
		return err->code;
	return response_json_text(resp, 200, &text);
}

static enum err_code
import(void *service, const struct request *req, struct response *resp, struct err *err)
{
	char *text = NULL;
	bool good;

	(void)service;
	if (json_write(req->body, &text, err))
		return err->code;
	good = strcmp(text, "{\"key\":\"AQI=\"}") == 0;
	str_freep(&text);
	if (!good)
		return err_set(err, ERR_INTERNAL, "the TPM said no");
	if (str_copy(&text, "{}", err))
		return err->code;
	return response_json_text(resp, 200, &text);
}

static const char *const versions[] = { "2020-09-01", NULL };

static const struct route routes[] = {
	{ "GET", "/get_tpm_keys", "2020-09-01", 0, WORKER, get_keys },
	{ "POST", "/import_auth_key", "2020-09-01", 0, WORKER, import },
	{ "POST", "/sign_with_auth_key", "2020-09-01", 0, WORKER, sign },
};

static const struct route_table table = {
	.daemon = "tpmd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};

START_TEST(test_calls)
{
	const struct http_server_config server_config = { .table = &table };
	const struct unix_client_config config = { .path = support_path("tpmd.sock"),
		.timeout_ms = 5000 };
	AUTO(tpmd_keys_resp_done) struct tpmd_keys_resp keys = { 0 };
	AUTO(bytes_done) struct bytes digest = { 0 };
	struct bytes hello = { (uint8_t *)"hello", 5 }, key = { (uint8_t *)"\1\2", 2 };
	struct http_server *server = NULL;
	struct tpmd_client *c = NULL;
	struct err err = { 0 };
	char uri[256];
	unsigned id;
	int fd;

	snprintf(uri, sizeof(uri), "unix://%s", config.path);
	ck_ok(listen_open(uri, NULL, 0, 0600, &fd, &err));
	ck_ok(http_server_new(&server_config, &server, &err));
	ck_ok(http_server_listen(server, fd, 10, NULL, &id, &err));
	ck_ok(http_server_start(server, &err));
	ck_ok(tpmd_client_new(&config, &c, &err));

	ck_ok(tpmd_client_keys(c, &keys, &err));
	ck_assert_uint_eq(keys.endorsement_key.len, 4);
	ck_assert_mem_eq(keys.endorsement_key.data, "\x01\x3a\x00\x01", 4);
	ck_assert_mem_eq(keys.storage_root_key.data, "\x01\x1a\x00\x01", 4);
	ck_ok(tpmd_client_sign(c, &hello, &digest, &err));
	ck_assert_uint_eq(digest.len, 2);
	ck_assert_mem_eq(digest.data, "\x2f\xf2", 2);
	ck_ok(tpmd_client_import(c, &key, &err));
	ck_err(tpmd_client_import(c, &hello, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 500);
	ck_assert_ptr_nonnull(strstr(err.text, "internal error"));

	http_server_stop(server, 1000);
	http_server_free(server);
	ck_err(tpmd_client_keys(c, &keys, &err), ERR_UNREACHABLE);
	tpmd_client_free(c);
}
END_TEST

TEST_MAIN("client/tpmd", test_calls)
