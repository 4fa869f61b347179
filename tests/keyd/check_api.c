#include "tests/keyd/fixture.h"

#include "wire/status.h"

/*
 * Rows: one request each, sent to a keyd that has
 *   SYM   "dev-sym", a symmetric key of 32 bytes 00..1f       PAIR  "dev-ec", P-256
 *   RSA   "dev-rsa", RSA 2048                                 DER   derived from SYM with "x"
 * whose handles stand for $SYM, $PAIR, $RSA, $DER in bodies.
 */
static char *sym, *pair, *rsa, *derived;

static void
begin(void)
{
	char body[1024];

	fixture_begin();
	sym = must(1000, "POST /key",
	    "{\"keyId\":\"dev-sym\",\"usage\":\"sign\",\"keyBytes\":"
	    "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}",
	    "keyHandle");
	pair = must(1000, "POST /keypair", "{\"keyId\":\"dev-ec\"}", "keyHandle");
	fixture_rsa("dev-rsa", 2048);
	rsa = must(1000, "POST /keypair",
	    "{\"keyId\":\"dev-rsa\",\"preferredAlgorithms\":\"rsa-2048\"}", "keyHandle");
	snprintf(body, sizeof(body), "{\"baseKeyHandle\":\"%s\",\"derivationData\":\"eA==\"}", sym);
	derived = must(65534, "POST /derivedkey", body, "keyHandle");
}

static void
end(void)
{
	free(sym);
	free(pair);
	free(rsa);
	free(derived);
	fixture_end();
}

/* Put the handles in. */
static char *
fill(const char *body)
{
	const struct {
		const char *name, *value;
	} handles[] = { { "$SYM", sym }, { "$PAIR", pair }, { "$RSA", rsa }, { "$DER", derived } };
	char *out = NULL;
	size_t size = 0;
	FILE *to;

	if (!body)
		return NULL;
	to = open_memstream(&out, &size);
	while (*body) {
		size_t i = 0;

		while (i < ARRAY_LEN(handles) &&
		       strncmp(body, handles[i].name, strlen(handles[i].name)) != 0)
			i++;
		if (i < ARRAY_LEN(handles)) {
			fputs(handles[i].value, to);
			body += strlen(handles[i].name);
		} else {
			fputc(*body++, to);
		}
	}
	fclose(to);
	return out;
}

#define BAD_VALUE  "a parameter has an invalid value"
#define BAD_HANDLE "parameter \"handle\" has an invalid value\ncaused by: invalid handle"
#define BAD_MECH                                                    \
	"parameter \"mechanism\" has an invalid value\ncaused by: " \
	"mechanism cannot be used with this key type"

/* Requests that are refused, and leave the home as it was; message NULL: any. */
static const struct {
	const char *contract, *what, *body;
	uint32_t uid;
	unsigned status;
	const char *message;
} refused[] = {
	/* usage */
	{ "keyd.md 4.1: usage required, also for import", "POST /key",
	    "{\"keyId\":\"k\",\"keyBytes\":\"AA==\"}", 0, 422, NULL },
	{ "keyd.md 4.1: empty usage", "POST /key", "{\"keyId\":\"k\",\"usage\":\"\"}", 0, 422,
	    NULL },
	{ "keyd.md 4.1: unknown usage", "POST /key", "{\"keyId\":\"k\",\"usage\":\"sign,fly\"}", 0,
	    422, NULL },
	{ "keyd.md 4.1: no spaces", "POST /key", "{\"keyId\":\"k\",\"usage\":\"sign, derive\"}", 0,
	    422, NULL },
	{ "keyd.md 4.1: nothing behind the last comma", "POST /key",
	    "{\"keyId\":\"k\",\"usage\":\"sign,\"}", 0, 422, NULL },
	{ "keyd.md 4.1: empty keyBytes fail; compat.md: and write nothing", "POST /key",
	    "{\"keyId\":\"k\",\"usage\":\"sign\",\"keyBytes\":\"\"}", 0, 500, "internal error" },
	{ "keyd.md 4.1: an existing key is not emptied", "POST /key",
	    "{\"keyId\":\"dev-sym\",\"usage\":\"sign\",\"keyBytes\":\"\"}", 0, 500,
	    "internal error" },
	{ "common.md 6: strict base64", "POST /key",
	    "{\"keyId\":\"k\",\"usage\":\"sign\",\"keyBytes\":\"AA\"}", 0, 422, NULL },
	/* ids */
	{ "keyd.md 1: no NUL in ids", "POST /key", "{\"keyId\":\"k\\u0000\",\"usage\":\"sign\"}", 0,
	    422, NULL },
	{ "decisions.md: the id is refused to everybody", "POST /key",
	    "{\"keyId\":\"handle-validation-key\",\"usage\":\"sign\"}", 0, 401,
	    "user 0 is not authorized to access the key handle-validation-key" },
	{ "decisions.md: the id is refused to everybody", "GET /key/handle-validation-key", NULL, 0,
	    401, "user 0 is not authorized to access the key handle-validation-key" },
	/* load */
	{ "keyd.md 4.2: absent", "GET /key/nope", NULL, 0, 400, BAD_VALUE },
	{ "keyd.md 4.2: absent", "GET /keypair/nope", NULL, 0, 400, BAD_VALUE },
	{ "keyd.md 4.2: malformed, here no PEM", "GET /keypair/dev-sym", NULL, 0, 500,
	    "internal error" },
	{ "keyd.md 4.2: extra slash", "GET /key/dev-sym/", NULL, 0, 404, "not found" },
	{ "keyd.md 4.2: no id", "GET /key/", NULL, 0, 404, "not found" },
	{ "common.md 5.3: undecodable id", "GET /key/%ff", NULL, 0, 404, "not found" },
	{ "keyd.md 3: stranger", "GET /key/dev-sym", NULL, 1001, 401,
	    "user 1001 is not authorized to access the key dev-sym" },
	{ "keyd.md 3: not his id", "GET /key/other", NULL, 1000, 401,
	    "user 1000 is not authorized to access the key other" },
	/* create pairs */
	{ "keyd.md 4.3: empty result", "POST /keypair",
	    "{\"keyId\":\"k\",\"preferredAlgorithms\":\"\"}", 0, 400, BAD_VALUE },
	{ "keyd.md 4.3: unknown names skipped", "POST /keypair",
	    "{\"keyId\":\"k\",\"preferredAlgorithms\":\"EC-P256:rsa:ed448\"}", 0, 400, BAD_VALUE },
	/* move */
	{ "keyd.md 4.4: body needed", "POST /keypair/k", NULL, 0, 400, "missing request body" },
	{ "keyd.md 4.4: identical", "POST /keypair/dev-ec", "{\"from\":\"dev-ec\"}", 0, 400,
	    "source and destination for move are identical" },
	{ "keyd.md 4.4: on /key", "POST /key/k", "{\"from\":\"dev-sym\"}", 0, 400,
	    "invalid type \"key\"" },
	{ "keyd.md 4.4: source missing", "POST /keypair/k", "{\"from\":\"nope\"}", 0, 500,
	    "internal error" },
	{ "keyd.md 3: the target counts", "POST /keypair/other", "{\"from\":\"dev-ec\"}", 1000, 401,
	    "user 1000 is not authorized to access the key other" },
	{ "keyd.md 3: the source counts", "POST /keypair/dev-k", "{\"from\":\"other\"}", 1000, 401,
	    "user 1000 is not authorized to access the key other" },
	/* delete */
	{ "keyd.md 4.5: wrong kind", "DELETE /key", "{\"keyHandle\":\"$PAIR\"}", 0, 400,
	    "parameter \"handle\" has an invalid value\ncaused by: handle is not for a key" },
	{ "keyd.md 4.5: wrong kind", "DELETE /keypair", "{\"keyHandle\":\"$SYM\"}", 0, 400,
	    "parameter \"handle\" has an invalid value\ncaused by: handle is not for a key pair" },
	{ "keyd.md 4.5: a derived key is neither", "DELETE /key", "{\"keyHandle\":\"$DER\"}", 0,
	    400, "parameter \"handle\" has an invalid value\ncaused by: handle is not for a key" },
	{ "decisions.md: deletes need a principal, too", "DELETE /key", "{\"keyHandle\":\"$SYM\"}",
	    1001, 401, "user 1001 is not authorized to access the key dev-sym" },
	{ "keyd.md 2: bad handle", "DELETE /key", "{\"keyHandle\":\"ek1.AAAA\"}", 0, 400,
	    BAD_HANDLE },
	/* parameters */
	{ "keyd.md 4.6: unknown name", "POST /parameters/bogus", "{\"keyHandle\":\"$PAIR\"}", 0,
	    400, BAD_VALUE },
	{ "keyd.md 4.6: not of RSA", "POST /parameters/ec-point", "{\"keyHandle\":\"$RSA\"}", 0,
	    400, BAD_VALUE },
	{ "keyd.md 4.6: not of EC", "POST /parameters/rsa-exponent", "{\"keyHandle\":\"$PAIR\"}", 0,
	    400, BAD_VALUE },
	/* derived keys */
	{ "keyd.md 4.7: nested", "POST /derivedkey",
	    "{\"baseKeyHandle\":\"$DER\",\"derivationData\":\"eA==\"}", 0, 400,
	    "parameter \"handle\" has an invalid value\ncaused by: nested derived keys are not "
	    "supported, import the outer derived key first" },
	{ "keyd.md 4.7: export of a key", "POST /derivedkey/export", "{\"keyHandle\":\"$SYM\"}", 0,
	    400,
	    "parameter \"handle\" has an invalid value\ncaused by: handle is not for a derived "
	    "key" },
	/* sign */
	{ "keyd.md 4.8: ECDSA with a key", "POST /sign",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":"
	    "\"ERERERERERERERERERERERERERERERERERERERERERE=\"}}",
	    0, 400, BAD_MECH },
	{ "keyd.md 4.8: ECDSA with a derived key", "POST /sign",
	    "{\"keyHandle\":\"$DER\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":"
	    "\"ERERERERERERERERERERERERERERERERERERERERERE=\"}}",
	    0, 400, BAD_MECH },
	{ "keyd.md 4.8: HMAC with a pair", "POST /sign",
	    "{\"keyHandle\":\"$PAIR\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":"
	    "\"\"}}",
	    0, 400, BAD_MECH },
	{ "keyd.md 4.8: ECDSA with RSA", "POST /sign",
	    "{\"keyHandle\":\"$RSA\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":"
	    "\"ERERERERERERERERERERERERERERERERERERERERERE=\"}}",
	    0, 400, BAD_VALUE },
	{ "style.md: a digest of 20 bytes at least", "POST /sign",
	    "{\"keyHandle\":\"$PAIR\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"AAAA\"}"
	    "}",
	    0, 400, BAD_VALUE },
	{ "keyd.md 2: upstream's handle", "POST /sign",
	    "{\"keyHandle\":\"sr=e30=&sig=AAAA\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{"
	    "\"message\":\"\"}}",
	    0, 400, BAD_HANDLE },
	{ "keyd.md 4.8: the other's parameters", "POST /sign",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"digest\":"
	    "\"AAAA\"}}",
	    0, 422, NULL },
	{ "common.md 6: a repeated member", "POST /sign",
	    "{\"keyHandle\":\"$SYM\",\"keyHandle\":\"$SYM\",\"algorithm\":\"HMAC-SHA256\","
	    "\"parameters\":{\"message\":\"\"}}",
	    0, 422, NULL },
	/* encrypt, decrypt */
	{ "client-facts.md 13: empty IV", "POST /encrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"\",\"aad\":"
	    "\"\"}"
	    ",\"plaintext\":\"\"}",
	    0, 500, "internal error" },
	{ "keyd.md 4.9: AEAD with a pair", "POST /encrypt",
	    "{\"keyHandle\":\"$PAIR\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AA==\","
	    "\"aad\":\"\"},\"plaintext\":\"\"}",
	    0, 400, BAD_MECH },
	{ "keyd.md 4.9: AEAD without parameters", "POST /encrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"plaintext\":\"\"}", 0, 422, NULL },
	{ "keyd.md 4.9: RSA with a key", "POST /encrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"AA==\"}", 0, 400,
	    BAD_MECH },
	{ "keyd.md 4.9: RSA with EC", "POST /encrypt",
	    "{\"keyHandle\":\"$PAIR\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"AA==\"}", 0, 400,
	    BAD_VALUE },
	{ "keyd.md 4.9: length of the modulus", "POST /encrypt",
	    "{\"keyHandle\":\"$RSA\",\"algorithm\":\"RSA-NO-PADDING\",\"plaintext\":\"AA==\"}", 0,
	    500, "internal error" },
	{ "keyd.md 4.9: no decryption by RSA", "POST /decrypt",
	    "{\"keyHandle\":\"$RSA\",\"algorithm\":\"RSA-NO-PADDING\",\"ciphertext\":\"AA==\"}", 0,
	    400, BAD_MECH },
	{ "keyd.md 4.9: no decryption by RSA", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"RSA-PKCS1\",\"ciphertext\":\"AA==\"}", 0, 400,
	    BAD_MECH },
	{ "keyd.md 4.9: shorter than 17 bytes", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AA==\","
	    "\"aad\":"
	    "\"\"},\"ciphertext\":\"AgAAAAAAAAAAAAAAAAAAAA==\"}",
	    0, 400, BAD_VALUE },
	{ "keyd.md 4.9: version 3", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AA==\","
	    "\"aad\":"
	    "\"\"},\"ciphertext\":\"AwAAAAAAAAAAAAAAAAAAAAAA\"}",
	    0, 400, BAD_VALUE },
	{ "keyd.md 4.9: tag", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AA==\","
	    "\"aad\":"
	    "\"\"},\"ciphertext\":\"AgAAAAAAAAAAAAAAAAAAAAAA\"}",
	    0, 500, "internal error" },
	/* order and methods, common.md 5 */
	{ "common.md 5.6", "PUT /keypair/k", "{}", 0, 400, "method not allowed" },
	{ "common.md 5.6", "GET /sign", NULL, 0, 400, "method not allowed" },
	{ "common.md 5.6", "DELETE /key/k", "{}", 0, 400, "method not allowed" },
	{ "common.md 5.5: parsed before the method is judged", "DELETE /sign", "{", 0, 422, NULL },
	{ "common.md 5.4", "GET /keys", NULL, 0, 404, "not found" },
	{ "common.md 5: slash counts", "POST /sign/", "{}", 0, 404, "not found" },
};

START_TEST(test_refused)
{
	AUTO(str_freep) char *before = NULL;
	AUTO(str_freep) char *after = NULL;

	begin();
	before = listing();
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		AUTO(str_freep) char *body = fill(refused[i].body);
		AUTO(answer_done)
		struct answer a = call(refused[i].uid, refused[i].what, body);
		const char *message = member(&a, "message");

		ck_assert_msg(a.status == refused[i].status && message && *message,
		    "%s: %s: %u instead of %u: %s", refused[i].contract, refused[i].what, a.status,
		    refused[i].status, message);
		ck_assert_msg(!refused[i].message || strcmp(message, refused[i].message) == 0,
		    "%s: %s: '%s'", refused[i].contract, refused[i].what, message);
	}
	after = listing();
	ck_assert_str_eq(before, after);
	end();
}
END_TEST

/* Requests with one right answer; of value only what follows from the contract. */
static const struct {
	const char *contract, *what, *body;
	const char *name, *value;
} granted[] = {
	{ "keyd.md 4.9, the vector", "POST /encrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":"
	    "\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"plaintext\":\"aGVsbG8=\"}",
	    "ciphertext", "AmbZ2bLayrptPV5S+RxSgdiTIDhb2w==" },
	{ "keyd.md 4.9, the vector", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":"
	    "\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"ciphertext\":"
	    "\"AmbZ2bLayrptPV5S+RxSgdiTIDhb2w==\"}",
	    "plaintext", "aGVsbG8=" },
	{ "keyd.md 4.9: version 1 is read", "POST /decrypt",
	    "{\"keyHandle\":\"$SYM\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":"
	    "\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"ciphertext\":"
	    "\"Acq6bT1eUvkcUoHYkyA4W9tm2dmy2g==\"}",
	    "plaintext", "aGVsbG8=" },
	{ "keyd.md 4.6", "POST /parameters/algorithm", "{\"keyHandle\":\"$PAIR\"}", "value",
	    "ECDSA" },
	{ "keyd.md 4.6", "POST /parameters/algorithm", "{\"keyHandle\":\"$RSA\"}", "value", "RSA" },
	{ "keyd.md 4.6", "POST /parameters/ec-curve-oid", "{\"keyHandle\":\"$PAIR\"}", "value",
	    "BggqhkjOPQMBBw==" },
	{ "keyd.md 4.6", "POST /parameters/rsa-exponent", "{\"keyHandle\":\"$RSA\"}", "value",
	    "AQAB" },
};

START_TEST(test_granted)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(granted); i++) {
		AUTO(str_freep) char *body = fill(granted[i].body);
		/* keyd.md 3: holding a handle is enough */
		AUTO(str_freep)
		char *value = must(65534, granted[i].what, body, granted[i].name);

		ck_assert_msg(
		    strcmp(value, granted[i].value) == 0, "%s: '%s'", granted[i].contract, value);
	}
	end();
}
END_TEST

/* keyd.md 4.7, 4.8: HMAC with the key, with a derived one, and its export, by openssl */
START_TEST(test_hmac)
{
	AUTO(str_freep) char *body = NULL;
	AUTO(str_freep) char *of_key = NULL;
	AUTO(str_freep) char *of_derived = NULL;
	AUTO(str_freep) char *exported = NULL;
	AUTO(str_freep) char *judge = NULL;
	AUTO(str_freep) char *export_judge = NULL;
	AUTO(str_freep) char *derived_judge = NULL;

	begin();
	body = fill("{\"keyHandle\":\"$SYM\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{"
		    "\"message\":\"aGVsbG8=\"}}");
	of_key = must(65534, "POST /sign", body, "signature");
	str_freep(&body);
	body = fill("{\"keyHandle\":\"$DER\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{"
		    "\"message\":\"aGVsbG8=\"}}");
	of_derived = must(65534, "POST /sign", body, "signature");
	str_freep(&body);
	body = fill("{\"keyHandle\":\"$DER\"}");
	exported = must(65534, "POST /derivedkey/export", body, "key");

	judge =
	    support_sh("k=$(printf '%%02x' $(seq 0 31)); printf hello | "
		       "openssl mac -digest SHA256 -macopt hexkey:$k HMAC | xxd -r -p | base64");
	ck_assert_str_eq(of_key, judge);
	export_judge = support_sh("k=$(printf '%%02x' $(seq 0 31)); printf x | openssl mac -digest "
				  "SHA256 -macopt hexkey:$k HMAC | xxd -r -p | base64");
	ck_assert_str_eq(exported, export_judge);
	derived_judge = support_sh(
	    "k=$(echo %s | base64 -d | xxd -p -c 99); printf hello | openssl mac -digest "
	    "SHA256 -macopt hexkey:$k HMAC | xxd -r -p | base64",
	    exported);
	ck_assert_str_eq(of_derived, derived_judge);
	end();
}
END_TEST

/* A guarded row refuses a stranger: rules of who may call stand in the table, and this walks it. */
START_TEST(test_strangers)
{
	const char *body = NULL;

	begin();
	for (size_t i = 0; i < keyd_routes.n_routes; i++) {
		const struct route *row = &keyd_routes.routes[i];
		bool is_pair = strstr(row->path, "pair") != NULL;
		char what[64], text[1024];

		if (row->who != AUTHZ_PRINCIPAL && row->who != AUTHZ_BOTH)
			continue;
		snprintf(text, sizeof(text),
		    "{\"keyId\":\"dev-new\",\"usage\":\"sign\",\"from\":\"dev-ec\",\"keyHandle\":"
		    "\"%s\"}",
		    is_pair ? pair : sym);
		body = strcmp(row->method, "GET") == 0 ? NULL : text;
		snprintf(what, sizeof(what), "%s %.*s%s", row->method, (int)strcspn(row->path, "{"),
		    row->path, strchr(row->path, '{') ? "dev-ec" : "");
		for (uint32_t uid = 1; uid <= 3; uid++) {
			AUTO(answer_done) struct answer a = call(uid * 1001, what, body);

			ck_assert_msg(a.status == 401, "%s as a stranger: %u", what, a.status);
		}
	}
	end();
}
END_TEST

/* Rows for holders of a handle refuse who has none. */
START_TEST(test_no_handle)
{
	static const char *const bad[] = { "", "ek1.",
		"ek1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };

	begin();
	for (size_t i = 0; i < keyd_routes.n_routes; i++) {
		const struct route *row = &keyd_routes.routes[i];
		char what[64], text[1024];

		if (row->who != AUTHZ_HANDLE && row->who != AUTHZ_BOTH)
			continue;
		for (size_t n = 0; n < ARRAY_LEN(bad); n++) {
			snprintf(what, sizeof(what), "%s %.*s%s", row->method,
			    (int)strcspn(row->path, "{"), row->path,
			    strchr(row->path, '{') ? "algorithm" : "");
			snprintf(text, sizeof(text),
			    "{\"keyHandle\":\"%s\",\"baseKeyHandle\":\"%s\",\"derivationData\":"
			    "\"\","
			    "\"algorithm\":\"%s\",\"parameters\":{\"message\":\"\",\"iv\":\"AA==\","
			    "\"aad\":\"\"},\"plaintext\":\"\",\"ciphertext\":\"\"}",
			    bad[n], bad[n],
			    strcmp(row->path, "/sign") == 0 ? "HMAC-SHA256" : "AEAD");
			{
				AUTO(answer_done) struct answer a = call(0, what, text);

				ck_assert_msg(a.status == 400 &&
						  strcmp(member(&a, "message"), BAD_HANDLE) == 0,
				    "%s: %u %s", what, a.status, member(&a, "message"));
			}
		}
	}
	end();
}
END_TEST

/* Both versions are served alike (common.md 5); GET /status is ours. */
START_TEST(test_versions)
{
	static const struct {
		const char *target;
		unsigned status;
	} targets[] = {
		{ "/key/dev-sym?api-version=2020-09-01", 200 },
		{ "/key/dev-sym?api-version=2021-05-01", 200 },
		{ "/key/dev%2Dsym?api-version=2021-05-01", 200 },
		{ "http://keyd.sock/key/dev-sym?api-version=2021-05-01", 200 },
		{ "/key/dev-sym?api-version=2020-09-01-preview", 400 },
		{ "/key/dev-sym?api-version=2021-12-01", 400 },
		{ "/key/dev-sym", 400 },
		{ "/nowhere", 400 },
		{ "/status?api-version=2020-09-01", 200 },
	};

	begin();
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO(answer_done)
		struct answer a = send_request(1000, "GET", targets[i].target, NULL, NULL);

		ck_assert_msg(a.status == targets[i].status, "%s: %u", targets[i].target, a.status);
	}
	end();
}
END_TEST

START_TEST(test_status)
{
	begin();
	{
		AUTO(answer_done) struct answer a = call(65534, "GET /status", NULL);

		ck_assert_str_eq(member(&a, "daemon"), "keyd");
		ck_assert(json_is_true(json_object_get(a.body, "ok")));
		answer_done(&a);
		free(support_sh("rm -r %s/home/epochs", support_tmpdir()));
		a = call(65534, "GET /status", NULL);
		ck_assert_uint_eq(a.status, 200);
		ck_assert(json_is_false(json_object_get(a.body, "ok")));
	}
	end();
}
END_TEST

TEST_MAIN("keyd/api", test_refused, test_granted, test_hmac, test_strangers, test_no_handle,
    test_versions, test_status)
