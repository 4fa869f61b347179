#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/pattern.h"
#include "tests/certd/rig.h"
#include "wire/status.h"

static void
respp(struct response *resp)
{
	response_done(resp);
}

static void
jsonp(json_t **json)
{
	json_decref(*json);
}

static const char config_text[] =
    "[cert_issuance.local_ca]\ncert = \"local-ca\"\npk = \"local-ca-pk\"\n"
    "[cert_issuance.leaf]\nmethod = \"local_ca\"\ncommon_name = \"leaf-from-config\"\n"
    "expiry_days = 7\n"
    "[cert_issuance.selfie]\nmethod = \"self_signed\"\n"
    "[preloaded_certs]\nlocal-ca = \"file://%s\"\ndevice-id-cert = \"file://%s\"\n"
    "other-ca = \"file://%s\"\n"
    "aziot-edged-trust-bundle = [\"local-ca\", \"other-ca\", \"absent\"]\n"
    "[[principal]]\nuid = 994\ncerts = [\"leaf*\", \"imp\", \"new/*\"]\n";

static struct certd *
new_certd(void)
{
	AUTO(str_freep) char *toml = NULL;
	AUTO(str_freep) char *ca = NULL;
	AUTO(str_freep) char *other = NULL;
	struct certd *s;
	struct err err = { 0 };

	ck_ok(str_format(&toml, &err, config_text, support_path("local-ca.pem"),
	    support_path("device.pem"), support_path("other-ca.pem")));
	s = rig_new(toml);
	ca = rig_ca("local-ca", "local-ca-pk", RIG_EC RIG_CA);
	other = rig_ca("other-ca", "other-pk", RIG_EC "-subj /CN=mock-iot-provision");
	return s;
}

/* --- rows */

/* @CSR@ in a body stands for a good request as JSON text, @H@ for the local CA's key handle */
static const struct {
	const char *title;
	uid_t uid;
	const char *method, *target, *body;
	unsigned status;
	const char *answer; /* see data/pattern.h; NULL: no body */
} rows[] = {
	/* contracts/certd.md 1 */
	{ "create by rule", 0, "POST", "/certificates" V, "{\"certId\":\"leaf\",\"csr\":@CSR@}",
	    201, "{\"pem\":\"-----BEGIN CERTIFICATE-----\\n*\\n-----END CERTIFICATE-----\\n\"}" },
	{ "null is absent (common.md 6)", 0, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":@CSR@,\"issuer\":null}", 201, "{\"pem\":\"*\"}" },
	{ "unknown members are ignored (common.md 6)", 0, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":@CSR@,\"x\":[1]}", 201, "{\"pem\":\"*\"}" },
	{ "create by issuer", 0, "POST", "/certificates" V,
	    "{\"certId\":\"new/m:g\",\"csr\":@CSR@,\"issuer\":{\"certId\":\"local-ca\","
	    "\"privateKeyHandle\":\"@H@\"}}",
	    201, "{\"pem\":\"*\"}" },
	{ "and read back by an encoded id", 1, "GET", "/certificates/new%2Fm%3Ag" V, NULL, 200,
	    "{\"pem\":\"*\"}" },
	{ "a principal may create", 994, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":@CSR@}", 201, "{\"pem\":\"*\"}" },
	{ "a stranger may not", 995, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":@CSR@}", 401,
	    "{\"message\":\"user 995 is not authorized to modify the cert leaf\"}" },
	{ "order in POST: authorization first", 995, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":\"junk\",\"issuer\":{\"certId\":\"nope\","
	    "\"privateKeyHandle\":\"x\"}}",
	    401, "*" },
	{ "then the CSR", 0, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":\"junk\",\"issuer\":{\"certId\":\"nope\","
	    "\"privateKeyHandle\":\"x\"}}",
	    400, "{\"message\":\"parameter \\\"csr\\\" has an invalid value\\ncaused by: *" },
	{ "then the issuer", 0, "POST", "/certificates" V,
	    "{\"certId\":\"leaf\",\"csr\":@CSR@,\"issuer\":{\"certId\":\"nope\","
	    "\"privateKeyHandle\":\"x\"}}",
	    400,
	    "{\"message\":\"parameter \\\"issuer.certId\\\" has an invalid value\\ncaused by: not "
	    "found\"}" },
	{ "no rule", 0, "POST", "/certificates" V, "{\"certId\":\"other\",\"csr\":@CSR@}", 500,
	    "{\"message\":\"internal error\"}" },
	{ "self_signed without a key", 0, "POST", "/certificates" V,
	    "{\"certId\":\"selfie\",\"csr\":@CSR@}", 500, "{\"message\":\"internal error\"}" },
	{ "a bad handle is internal", 0, "POST", "/certificates" V,
	    "{\"certId\":\"m\",\"csr\":@CSR@,\"issuer\":{\"certId\":\"local-ca\","
	    "\"privateKeyHandle\":\"x\"}}",
	    500, "{\"message\":\"internal error\"}" },
	{ "a list cannot be created", 0, "POST", "/certificates" V,
	    "{\"certId\":\"aziot-edged-trust-bundle\",\"csr\":@CSR@,\"issuer\":{\"certId\":"
	    "\"local-ca\",\"privateKeyHandle\":\"@H@\"}}",
	    500, "{\"message\":\"internal error\"}" },
	{ "import", 994, "PUT", "/certificates/imp" V, "{\"pem\":\"junk\"}", 201,
	    "{\"pem\":\"junk\"}" },
	{ "imported", 1, "GET", "/certificates/imp" V, NULL, 200, "{\"pem\":\"junk\"}" },
	{ "import by a stranger", 995, "PUT", "/certificates/imp" V, "{\"pem\":\"junk\"}", 401,
	    "{\"message\":\"user 995 is not authorized to modify the cert imp\"}" },
	{ "import over a list", 0, "PUT", "/certificates/aziot-edged-trust-bundle" V,
	    "{\"pem\":\"x\"}", 500, "{\"message\":\"internal error\"}" },
	{ "import over a preloaded id", 0, "PUT", "/certificates/device-id-cert" V,
	    "{\"pem\":\"p\"}", 201, "{\"pem\":\"p\"}" },
	{ "non-ASCII text as it came", 0, "PUT", "/certificates/imp" V, "{\"pem\":\"\xc3\xa9\\n\"}",
	    201, "{\"pem\":\"\xc3\xa9\\n\"}" },
	{ "delete by a stranger", 995, "DELETE", "/certificates/imp" V, NULL, 401,
	    "{\"message\":\"user 995 is not authorized to modify the cert imp\"}" },
	{ "delete with a body", 994, "DELETE", "/certificates/imp" V, "{\"any\":1}", 204, NULL },
	{ "delete again", 994, "DELETE", "/certificates/imp" V, NULL, 204, NULL },
	{ "delete with a body that is no JSON", 994, "DELETE", "/certificates/imp" V, "{", 422,
	    "*" },
	{ "delete a list", 0, "DELETE", "/certificates/aziot-edged-trust-bundle" V, NULL, 500,
	    "{\"message\":\"internal error\"}" },
	{ "get of an unknown id", 1, "GET", "/certificates/nope" V, NULL, 400,
	    "{\"message\":\"parameter \\\"id\\\" has an invalid value\\ncaused by: not found\"}" },
	/* contracts/common.md 5 */
	{ "no api-version", 0, "GET", "/certificates/leaf", NULL, 400,
	    "{\"message\":\"api-version not specified\"}" },
	{ "another api-version", 0, "GET", "/certificates/leaf?api-version=2021-05-01", NULL, 400,
	    "{\"message\":\"invalid api-version \\\"2021-05-01\\\"\"}" },
	{ "no such path", 0, "GET", "/certificate/leaf" V, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "a further segment", 0, "GET", "/certificates/a/b" V, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "trailing slash", 0, "POST", "/certificates/" V, "{}", 404,
	    "{\"message\":\"not found\"}" },
	{ "no list", 0, "GET", "/certificates" V, NULL, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "no PATCH", 0, "PATCH", "/certificates/leaf" V, NULL, 400,
	    "{\"message\":\"method not allowed\"}" },
	{ "no body", 0, "POST", "/certificates" V, NULL, 400,
	    "{\"message\":\"missing request body\"}" },
	{ "PUT without a body", 0, "PUT", "/certificates/imp" V, NULL, 422, "{\"message\":\"*\"}" },
	{ "not JSON", 0, "POST", "/certificates" V, "{", 422, "{\"message\":\"*\"}" },
	{ "not an object", 0, "POST", "/certificates" V, "[]", 422, "{\"message\":\"*\"}" },
	{ "a member twice (common.md 6)", 0, "PUT", "/certificates/imp" V,
	    "{\"pem\":\"a\",\"pem\":\"b\"}", 422, "{\"message\":\"*\"}" },
};

static char *
replace(const char *text, const char *what, const char *with)
{
	const char *at = strstr(text, what);
	struct err err = { 0 };
	char *out = NULL;

	if (at)
		ck_ok(str_format(
		    &out, &err, "%.*s%s%s", (int)(at - text), text, with, at + strlen(what)));
	else
		ck_ok(str_copy(&out, text, &err));
	return out;
}

/* Put a request and the local CA's handle into a row's body. */
static char *
fill(const char *body, const char *csr)
{
	AUTO(str_freep) char *quoted = NULL;
	AUTO(str_freep) char *once = NULL;
	AUTO(jsonp) json_t *text = json_string(csr);

	if (!body)
		return NULL;
	quoted = json_dumps(text, JSON_ENCODE_ANY);
	once = replace(body, "@CSR@", quoted);
	return replace(once, "@H@", "fake:pair:local-ca-pk");
}

START_TEST(test_rows)
{
	AUTO(rig_freep) struct certd *s = new_certd();
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=leaf-in-csr");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *body = fill(rows[i].body, csr);
		AUTO(respp)
		struct response resp =
		    rig_call(s, rows[i].uid, rows[i].method, rows[i].target, body);
		AUTO(str_freep) char *text = strndup(resp.body ? resp.body : "", resp.body_len);

		ck_assert_msg(resp.status == rows[i].status, "%s: status %u: %s", rows[i].title,
		    resp.status, text);
		if (rows[i].answer)
			ck_assert_msg(
			    pattern_match(rows[i].answer, text), "%s: %s", rows[i].title, text);
		else
			ck_assert_msg(resp.body_len == 0, "%s: %s", rows[i].title, text);
	}
}
END_TEST

/* every guarded row of the table as a stranger (architecture.md 2, rule 4): 401, and nothing changes */
START_TEST(test_strangers)
{
	AUTO(rig_freep) struct certd *s = new_certd();
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=x");
	AUTO(str_freep) char *body = rig_create_body("leaf", csr, NULL, NULL);
	size_t guarded = 0;

	for (size_t i = 0; i < certd_routes.n_routes; i++) {
		const struct route *row = &certd_routes.routes[i];
		AUTO(str_freep) char *path = replace(row->path, "{id}", "leaf");
		AUTO(str_freep) char *target = NULL;
		AUTO(respp) struct response resp = { 0 };
		struct err err = { 0 };

		if (strcmp(row->method, "GET") == 0)
			continue;
		ck_ok(str_format(&target, &err, "%s" V, path));
		resp = rig_call(s, 4242, row->method, target,
		    strcmp(row->method, "POST") == 0 ? body : "{\"pem\":\"x\"}");
		ck_assert_msg(resp.status == 401, "%s %s: %u", row->method, row->path, resp.status);
		guarded++;
	}
	ck_assert_uint_eq(guarded, 3);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), 0);
	ck_assert_int_ne(access(support_path("home/certs/leaf"), F_OK), 0);
}
END_TEST

START_TEST(test_bundle)
{
	AUTO(rig_freep) struct certd *s = new_certd();
	AUTO(respp)
	struct response resp =
	    rig_call(s, 4242, "GET", "/certificates/aziot-edged-trust-bundle" V, NULL);
	AUTO(str_freep) char *pem = rig_pem(&resp);
	AUTO(str_freep)
	char *want = support_sh("cd %s && cat local-ca.pem other-ca.pem && echo", support_tmpdir());

	ck_assert_uint_eq(resp.status, 200);
	ck_assert_str_eq(pem, want);
}
END_TEST

START_TEST(test_status)
{
	AUTO(rig_freep) struct certd *s = new_certd();
	const struct daemon_spec spec = { .name = "certd" };
	const struct daemon daemon = { .spec = &spec, .sandbox = SANDBOX_OFF };
	AUTO(str_freep) char *csr = rig_csr("-subj /CN=x");
	AUTO(str_freep) char *body = rig_create_body("leaf", csr, NULL, NULL);
	AUTO(str_freep)
	char *other = rig_create_body("new/m", csr, "local-ca", "fake:pair:local-ca-pk");
	AUTO(respp) struct response made = { 0 };
	AUTO(respp) struct response made_other = { 0 };
	AUTO(respp) struct response junk = { 0 };
	AUTO(respp) struct response resp = { 0 };
	AUTO(status_resp_done) struct status_resp status = { 0 };
	struct err err = { 0 };
	unsigned seen = 0;

	s->daemon = &daemon;
	made = rig_call(s, 0, "POST", "/certificates" V, body);
	made_other = rig_call(s, 0, "POST", "/certificates" V, other);
	junk = rig_call(s, 0, "PUT", "/certificates/junk" V, "{\"pem\":\"junk\"}");
	resp = rig_call(s, 4242, "GET", "/status" V, NULL);
	ck_assert_uint_eq(resp.status, 200);
	ck_ok(fields_read_text(
	    status_resp_fields, &status, (struct text){ resp.body, resp.body_len }, &err));
	ck_assert(status.ok);
	ck_assert_str_eq(status.daemon, "certd");
	/* two preloaded, one by its rule, one by its file; each once, and the text that holds none not at all */
	ck_assert_uint_eq(status.certificates.n, 4);
	for (size_t i = 0; i < status.certificates.n; i++) {
		const struct status_certificate *c = &status.certificates.at[i];

		if (strcmp(c->id, "leaf") == 0) {
			ck_assert_str_eq(c->subject, "leaf-from-config");
			ck_assert(c->days_left == 6 || c->days_left == 7);
			seen |= 1;
		} else if (strcmp(c->id, "local-ca") == 0) {
			ck_assert_str_eq(c->subject, "local-ca");
			seen |= 2;
		} else if (strncmp(c->id, "newm-", 5) == 0) {
			ck_assert_str_eq(c->subject, "x");
			seen |= 4;
		}
	}
	ck_assert_uint_eq(seen, 7);
}
END_TEST

/* --- recorded exchanges with upstream */

struct exchange {
	char title[128];
	uid_t uid;
	char method[16], target[512];
	char *body, *answer;
	unsigned status;
};

static void
exchange_done(struct exchange *x)
{
	free(x->body);
	free(x->answer);
	*x = (struct exchange){ 0 };
}

/* Append a line to what was collected; nothing for empty lines between. */
static void
collect(char **text, const char *line)
{
	struct err err = { 0 };

	if (!*line)
		return;
	str_freep(text);
	ck_ok(str_copy(text, line, &err));
}

/*
 * The next exchange of a transcript: "### TITLE", then "> " lines of the request, "< " lines of the answer; bodies are one line.
 */
static bool
next_exchange(FILE *f, struct exchange *x)
{
	char *line = NULL;
	size_t size = 0;
	long at = ftell(f);
	bool any = false;

	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (strncmp(line, "### ", 4) == 0) {
			if (any) {
				fseek(f, at, SEEK_SET);
				break;
			}
			any = true;
			snprintf(x->title, sizeof(x->title), "%s", line + 4);
			if (strstr(line, "(as uid 65534)"))
				x->uid = 65534;
		} else if (line[0] == '>' && !x->method[0]) {
			ck_assert_int_eq(
			    sscanf(line, "> %15s %511s HTTP", x->method, x->target), 2);
		} else if (line[0] == '>' && line[1] == ' ' && line[2] == '{') {
			collect(&x->body, line + 2);
		} else if (line[0] == '<' && sscanf(line, "< HTTP/1.1 %u", &x->status) == 1) {
			;
		} else if (line[0] == '<' && line[1] == ' ' && line[2] == '{') {
			collect(&x->answer, line + 2);
		}
		at = ftell(f);
	}
	free(line);
	return any;
}

/* Put our keyd's handle where upstream's stood. */
static char *
with_our_handle(const char *body, const char *key_id)
{
	AUTO(jsonp) json_t *json = json_loads(body, 0, NULL);
	json_t *issuer = json_object_get(json, "issuer");
	AUTO(str_freep) char *handle = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&handle, &err, "fake:pair:%s", key_id));
	if (json_is_object(issuer))
		json_object_set_new(issuer, "privateKeyHandle", json_string(handle));
	return json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
}

/* Subject, names, purposes and number of certificates in an answer's `pem`. */
static char *
shape_of(const char *answer)
{
	AUTO(jsonp) json_t *json = json_loads(answer, 0, NULL);
	const char *pem = json_string_value(json_object_get(json, "pem"));

	if (!pem || !strstr(pem, "BEGIN"))
		return strdup(pem ? pem : "no pem");
	support_write(support_path("shape.pem"), pem);
	return support_sh(
	    "cd %s && openssl x509 -in shape.pem -noout -subject -issuer -pubkey "
	    "-ext subjectAltName,extendedKeyUsage 2>/dev/null | grep -v -e BEGIN -e END; "
	    "grep -c BEGIN shape.pem; d() { date +%%s -d \"$(openssl x509 -in "
	    "shape.pem -noout -$1 | cut -d= -f2)\"; }; "
	    "echo days $(( ($(d enddate) - $(d startdate)) / 86400 ))",
	    support_tmpdir());
}

static void
judge(const struct exchange *x, const struct response *resp)
{
	AUTO(str_freep) char *got = strndup(resp->body ? resp->body : "", resp->body_len);
	AUTO(str_freep) char *got_shape = NULL;
	AUTO(str_freep) char *want_shape = NULL;

	ck_assert_msg(resp->status == x->status, "%s: %u instead of %u: %s", x->title, resp->status,
	    x->status, got);
	if (!x->answer) {
		ck_assert_msg(resp->body_len == 0, "%s: %s", x->title, got);
	} else if (strncmp(x->answer, "{\"pem\"", 6) != 0) {
		/* only what stands in front of libcrypto's own words is the contract's */
		size_t len = strcspn(x->answer, "\n");
		const char *own = strstr(x->answer, "caused by: error:");

		if (own)
			len = (size_t)(own - x->answer);
		ck_assert_msg(strncmp(got, x->answer, len) == 0, "%s: %s", x->title, got);
	} else if (!strstr(x->target, "preloaded") && !strstr(x->title, "preloaded cert") &&
		   !strstr(x->title, "bundle")) {
		got_shape = shape_of(got);
		want_shape = shape_of(x->answer);
		ck_assert_msg(strcmp(got_shape, want_shape) == 0, "%s:\n%s\ninstead of\n%s",
		    x->title, got_shape, want_shape);
	}
}

/* A request with one member left out, null, or of a wrong type: 422, but for the issuer, which may be left out. */
static void
spoil(struct certd *s, const struct exchange *x, const char *body)
{
	AUTO(jsonp) json_t *good = json_loads(body, 0, NULL);
	const char *name;
	json_t *value;

	json_object_foreach(good, name, value)
	{
		for (int how = 0; how < 4; how++) {
			AUTO(jsonp) json_t *bad = json_deep_copy(good);
			AUTO(str_freep) char *text = NULL;
			AUTO(respp) struct response resp = { 0 };
			bool optional = strcmp(name, "issuer") == 0;

			if (how == 0)
				json_object_del(bad, name);
			else if (how == 1)
				json_object_set_new(bad, name, json_null());
			else if (how == 2)
				json_object_set_new(bad, name, json_integer(7));
			else
				json_object_set_new(bad, name, json_array());
			text = json_dumps(bad, JSON_COMPACT);
			resp = rig_call(s, 0, x->method, x->target, text);
			if (optional && how < 2)
				ck_assert_msg(resp.status != 422, "%s: %s", x->title, text);
			else
				ck_assert_msg(resp.status == 422, "%s: %u for %s", x->title,
				    resp.status, text);
		}
	}
}

START_TEST(test_transcript)
{
	const char *path = support_shared_data("transcripts/certd.txt");
	AUTO(exchange_done) struct exchange x = { 0 };
	AUTO(rig_freep) struct certd *s = NULL;
	unsigned n = 0;
	FILE *f;

	if (!path)
		return;
	s = new_certd();
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	for (; next_exchange(f, &x); exchange_done(&x)) {
		AUTO(str_freep) char *body = NULL;
		AUTO(respp) struct response resp = { 0 };

		if (strncmp(x.target, "/certificates", 13) != 0)
			continue; /* calls of keyd in between */
		if (x.body)
			body = with_our_handle(x.body, "local-ca-pk");
		resp = rig_call(s, x.uid, x.method, x.target, body);
		judge(&x, &resp);
		if (body)
			spoil(s, &x, body);
		n++;
	}
	fclose(f);
	ck_assert_uint_eq(n, 22);
}
END_TEST

TEST_MAIN("certd/api", test_rows, test_strangers, test_bundle, test_status, test_transcript)
