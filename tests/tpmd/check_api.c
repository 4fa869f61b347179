#include "tests/support/support.h"

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "http/route.h"
#include "tpmd/api.h"
#include "tpmd/service.h"

/*
 * tpmd's routes as far as they go without a TPM, which the suite has: who may call, and what is refused before a TPM is asked.  There
 * is none here, so a request that got further would crash.
 */
#define KEY_USER 7000

static struct tpmd_config_principal principals[] = { { 6999 }, { KEY_USER } };
static struct tpmd tpmd = { .config.principals = { principals, ARRAY_LEN(principals) } };

static json_t *
call(uint32_t uid, const char *method, const char *path, const char *body, unsigned *ret_status)
{
	const struct peer peer = { .uid = uid, .gid = uid, .pidfd = -1 };
	char target[256];
	const struct route_input in = {
		.peer = &peer, .method = method, .target = target, .body = text_of(body)
	};
	struct response resp = { 0 };
	json_t *out;

	log_init("off", "tpmd");
	snprintf(target, sizeof(target), "%s?api-version=2020-09-01", path);
	route_run(&tpmd_routes, &tpmd, &in, &resp);
	*ret_status = resp.status;
	out = json_loadb(resp.body, resp.body_len, 0, NULL);
	ck_assert_ptr_nonnull(out);
	response_done(&resp);
	return out;
}

/* The whole table: guarded rows refuse strangers, before they look at members. */
START_TEST(test_strangers)
{
	size_t guarded = 0;

	for (size_t i = 0; i < tpmd_routes.n_routes; i++) {
		const struct route *row = &tpmd_routes.routes[i];
		unsigned status = 0;
		json_t *body;

		if (strncmp(row->path, "/keys/", 6) != 0)
			continue;
		guarded++;
		ck_assert_int_eq(row->where, WORKER);
		body = call(1, row->method, row->path, "{}", &status);
		ck_assert_uint_eq(status, 401);
		ck_assert_str_eq(json_string_value(json_object_get(body, "message")),
		    "user 1 is not authorized to use keys of the TPM");
		json_decref(body);
		json_decref(call(KEY_USER, row->method, row->path, "{}", &status));
		ck_assert_uint_eq(status, 422);
		json_decref(call(0, row->method, row->path, "{}", &status));
		ck_assert_uint_eq(status, 422);
	}
	ck_assert_uint_eq(guarded, 5);
}
END_TEST

#define BYTES65                                                                          \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAA="
#define BYTES129                                                                                 \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

START_TEST(test_refused)
{
	static const struct {
		const char *path, *body;
		unsigned status;
		const char *named;
	} rows[] = {
		{ "/keys/create", NULL, 400, "missing request body" },
		{ "/keys/create", "[]", 422, "" },
		{ "/keys/create", "{\"algorithm\":null}", 422, "algorithm" },
		{ "/keys/create", "{\"algorithm\":5}", 422, "algorithm" },
		{ "/keys/create", "{\"algorithm\":\"aes-256\"}", 422, "algorithm" },
		{ "/keys/import", "{\"key\":\"A\"}", 422, "key" },
		{ "/keys/import", "{\"key\":\"\"}", 400, "key" },
		{ "/keys/import", "{\"key\":\"" BYTES65 "\"}", 400, "key" },
		{ "/keys/seal", "{\"data\":5}", 422, "data" },
		{ "/keys/seal", "{\"data\":\"\"}", 400, "data" },
		{ "/keys/seal", "{\"data\":\"" BYTES129 "\"}", 400, "data" },
		{ "/keys/unseal", "{\"public\":\"\"}", 422, "private" },
		{ "/keys/unseal", "{\"public\":\"\",\"private\":\"\"}", 400, "public" },
		{ "/keys/sign",
		    "{\"public\":\"AAA=\",\"private\":\"AAA=\",\"algorithm\":\"ECDSA\"}", 422,
		    "data" },
		{ "/keys/sign",
		    "{\"public\":\"AAA=\",\"private\":\"AAA=\",\"algorithm\":\"AEAD\",\"data\":"
		    "\"\"}",
		    422, "algorithm" },
		{ "/keys/sign",
		    "{\"public\":\"AAA=\",\"private\":\"AAA=\",\"algorithm\":\"ECDSA\",\"data\":"
		    "\"\"}",
		    400, "public" },
		/* no key, no TPM: contracts/tpmd.md 1 */
		{ "/import_auth_key", "{\"key\":\"anVuaw==\"}", 500, "internal error" },
		{ "/import_auth_key", NULL, 400, "missing request body" },
		{ "/sign_with_auth_key", "{\"data\":null}", 422, "data" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned status = 0;
		json_t *body = call(KEY_USER, "POST", rows[i].path, rows[i].body, &status);
		const char *message = json_string_value(json_object_get(body, "message"));

		ck_assert_msg(status == rows[i].status && message && strstr(message, rows[i].named),
		    "%s %s: %u %s", rows[i].path, rows[i].body ? rows[i].body : "", status,
		    message ? message : "");
		json_decref(body);
	}
}
END_TEST

TEST_MAIN("tpmd/api", test_strangers, test_refused)
