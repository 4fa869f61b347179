#include "tests/identityd/cloud_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "identityd/api.h"
#include "platform/pool.h"
#include "tests/fake/certd.h"

#define HUB  "https://localhost:18443/devices/mock-iot-provision/modules"
#define GEN1 "12241078590072250"
#define M1   "{\"moduleId\":\"m1\",\"deviceId\":\"mock-iot-provision\",\"generationId\":\"" GEN1 "\"}"
#define HOSTMOD                                                                            \
	"{\"moduleId\":\"hostmod1\",\"deviceId\":\"mock-iot-provision\",\"generationId\":" \
	"\"947120927434992427\"}"

/* the configuration under which data/transcripts/identityd.txt was recorded */
#define SETTINGS                                                                                   \
	"{\"hostname\":\"h\",\"homedir\":\"%s\",\"cloud_retries\":0,\"provisioning\":{\"source\":" \
	"\"dps\",\"global_endpoint\":\"https://localhost:18443/\",\"scope_id\":\"scope123\","      \
	"\"attestation\":{\"method\":\"symmetric_key\",\"registration_id\":\"mock-iot-"            \
	"provision\","                                                                             \
	"\"symmetric_key\":\"device-id\"}},\"localid\":{\"domain\":\"d\"},\"principal\":[{"        \
	"\"uid\":"                                                                                 \
	"65534,\"name\":\"hostmod1\",\"idtype\":[\"module\"]},{\"uid\":65533,\"name\":\"loc1\","   \
	"\"idtype\":[\"local\"],\"localid\":{\"type\":\"x509\"}}]}"

static const struct daemon_spec spec = { .name = "identityd" };
static const struct daemon process = { .spec = &spec, .sandbox = SANDBOX_OFF };
static struct world w;
static struct identityd *service;
static struct err err;

static void
setup(const char *format)
{
	static unsigned n;
	struct settings settings = { 0 };
	AUTO(str_freep) char *text = NULL;
	char name[16];

	snprintf(name, sizeof(name), "home%u", n++);
	err = (struct err){ 0 };
	pool_set_may_block(true);
	world_begin(&w);
	fake_certd_reset();
	ck_ok(str_format(&text, &err, format, support_path(name)));
	ck_ok(fields_read_text(settings_fields, &settings, text_of(text), &err));
	ck_ok(settings_check(&settings, &err));
	ck_ok(identityd_new(&settings, &service, &err));
	ck_ok(identityd_prepare(service, &err));
	service->first_verdict_ms = 0;
	service->daemon = &process;
}

/* A device of the last time, so that DPS is not asked. */
static void
remember(void)
{
	AUTO(device_unrefp) struct device *d = NULL;

	ck_ok(device_new("localhost:18443", NULL, "mock-iot-provision", "device-id", &d, &err));
	ck_ok(state_device_commit(service->state, d, &err));
}

static void
hub_works(void)
{
	answer("GET", HUB "[?]*", 200, "[" HOSTMOD "," M1 "]");
	answer("GET", HUB "/hostmod1?*", 200, HOSTMOD);
	answer(NULL, HUB "/nope?*", 404, "{\"Message\": \"ErrorCode:ModuleNotFound\"}");
	answer(NULL, HUB "/loc1?*", 404, "{\"Message\": \"ErrorCode:ModuleNotFound\"}");
	answer("GET", HUB "/m1?*", 200, M1);
	answer("PUT", HUB "/m1?*", 200, M1);
	answer("PUT", HUB "/hostmod1?*", 200, HOSTMOD);
	answer_n("DELETE", HUB "/m1?*", 1, 204, "");
	answer("DELETE", HUB "/m1?*", 404, "");
	answer(
	    "PUT", "*/registrations/*", 202, "{\"operationId\":\"op\",\"status\":\"assigning\"}");
}

static void
teardown(void)
{
	identityd_free(service);
	fake_certd_reset();
	world_end(&w);
}

static void
ask(const char *method, const char *target, uid_t uid, const char *body, struct response *resp)
{
	struct peer peer = { .uid = uid, .gid = uid, .pidfd = -1 };
	struct route_input in = { .peer = &peer, .method = method, .target = target };

	in.body = text_of(body);
	route_run(&identityd_routes, service, &in, resp);
}

/* Take out the value of each member of that name: handles are opaque, keys random. */
static void
mask(char *text, const char *name)
{
	for (char *at = text; (at = strstr(at, name));) {
		char *end;

		at += strlen(name);
		end = strchr(at, '"');
		ck_assert_ptr_nonnull(end);
		ck_assert_uint_gt(end - at, 0);
		memmove(at, end, strlen(end) + 1);
	}
}

static void
mask_handles(char *text)
{
	mask(text, "\"keyHandle\":\"");
}

/* --- the recorded exchanges --- */

/* docs/compat.md: what is answered otherwise, and on purpose */
static const struct {
	const char *title;
	unsigned status;
	const char *body;
} differences[] = {
	{ "get absent module type=aziot", 400, "{\"message\":\"module identity not found\"}" },
	{ "update absent module type=aziot", 400, "{\"message\":\"module identity not found\"}" },
	{ "update absent module", 400, "{\"message\":\"module identity not found\"}" },
	{ "delete module again type=aziot", 400, "{\"message\":\"module identity not found\"}" },
	{ "caller identity as local principal (as uid 65533)", 400,
	    "{\"message\":\"module identity not found\"}" },
};

struct recorded {
	char title[128], method[16], target[256];
	char body[2048], want[4096];
	unsigned status;
	bool in_body, in_want;
};

static void
play(const struct recorded *r)
{
	AUTO(response_done) struct response resp = { 0 };
	unsigned status = r->status;
	const char *want = r->want, *as = strstr(r->title, "(as uid ");
	AUTO(str_freep) char *got = NULL;
	char masked[4096];

	for (size_t i = 0; i < ARRAY_LEN(differences); i++)
		if (strcmp(differences[i].title, r->title) == 0) {
			status = differences[i].status;
			want = differences[i].body;
		}
	ask(r->method, r->target, as ? (uid_t)atoi(as + 8) : 0, r->body, &resp);
	got = strndup(resp.body ? resp.body : "", resp.body_len);
	ck_assert_msg(
	    resp.status == status, "%s: %u %s, wanted %u", r->title, resp.status, got, status);
	snprintf(masked, sizeof(masked), "%s", want);
	mask_handles(masked);
	mask_handles(got);
	ck_assert_msg(strcmp(got, masked) == 0, "%s: %s, wanted %s", r->title, got, masked);
	if (resp.body_len)
		ck_assert_str_eq(resp.content_type, "application/json");
	else
		ck_assert_ptr_null(resp.content_type);
}

static void
take_line(struct recorded *r, char *line)
{
	char version[16], *text = line + (line[1] == ' ' ? 2 : 1);

	if (line[0] == '>' && !r->method[0])
		ck_assert_int_eq(sscanf(text, "%15s %255s %15s", r->method, r->target, version), 3);
	else if (line[0] == '>' && !*text)
		r->in_body = true;
	else if (line[0] == '>' && r->in_body)
		snprintf(r->body, sizeof(r->body), "%s", text);
	else if (line[0] == '<' && !r->status)
		ck_assert_int_eq(sscanf(text, "HTTP/1.1 %u", &r->status), 1);
	else if (line[0] == '<' && !*text)
		r->in_want = true;
	else if (line[0] == '<' && r->in_want)
		snprintf(r->want, sizeof(r->want), "%s", text);
}

START_TEST(test_transcript)
{
	const char *path = support_shared_data("transcripts/identityd.txt");
	struct recorded r = { 0 };
	char line[8192];
	unsigned n = 0;
	FILE *f;

	if (!path)
		return;
	setup(SETTINGS);
	remember();
	hub_works();
	/* certd had no issuance rule for them */
	fake_certd_fail(ERR_PEER, 500, "internal error");
	answer("GET", "*/registrations/*", 200,
	    "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"localhost:18443\","
	    "\"deviceId\":\"mock-iot-provision\"}}");
	provision_run(service->provision);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "### ", 4) == 0) {
			if (r.status)
				play(&r);
			r = (struct recorded){ 0 };
			snprintf(r.title, sizeof(r.title), "%s", line + 4);
			n++;
		} else {
			take_line(&r, line);
		}
	}
	play(&r);
	fclose(f);
	ck_assert_uint_eq(n, 38);
	teardown();
}
END_TEST

/* --- what upstream's identityd sent to the cloud, and what it was answered --- */

struct sent {
	char method[16], target[256], resource[128], body[512];
	bool if_match, in_body;
	unsigned status;
	char answer[4096];
};

static void
take_sent(struct sent *r, const char *line)
{
	static const char sr[] = "> authorization: SharedAccessSignature ";

	if (line[0] == '>' && !r->method[0])
		ck_assert_int_eq(sscanf(line, "> %15s %255s", r->method, r->target), 2);
	else if (strncmp(line, sr, sizeof(sr) - 1) == 0)
		ck_assert_int_eq(sscanf(line + sizeof(sr) - 1, "%127[^&]", r->resource), 1);
	else if (strcmp(line, "> if-match: *") == 0)
		r->if_match = true;
	else if (strcmp(line, "> ") == 0 || strcmp(line, ">") == 0)
		r->in_body = true;
	else if (line[0] == '>' && r->in_body)
		snprintf(r->body, sizeof(r->body), "%s", line + 2);
	else if (line[0] == '<' && !r->status)
		r->status = (unsigned)atoi(line + 2);
	else if (line[0] == '<')
		snprintf(r->answer, sizeof(r->answer), "%s", line + 2);
}

/* The complete exchanges of the transcript, at most max. */
static size_t
read_sent(const char *path, struct sent *out, size_t max)
{
	char line[8192];
	size_t n = 0;
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	memset(out, 0, max * sizeof(*out));
	while (n < max && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			take_sent(&out[n], line);
		else if (out[n].status)
			n++;
	}
	fclose(f);
	return n;
}

static void
compare_sent(const struct sent *want, const struct fake_https_seen *got)
{
	AUTO(str_freep) char *url = NULL;
	AUTO(str_freep) char *sr = NULL;
	AUTO(str_freep) char *body = NULL;
	char wanted[512];

	ck_ok(str_format(&url, &err, "https://localhost:18443%s", want->target));
	ck_ok(str_format(&sr, &err, "SharedAccessSignature %s&sig=", want->resource));
	ck_ok(str_copy(&body, got->body, &err));
	snprintf(wanted, sizeof(wanted), "%s", want->body);
	for (size_t i = 0; i < 2; i++) {
		mask(wanted, i ? "\"primaryKey\":\"" : "\"secondaryKey\":\"");
		mask(body, i ? "\"primaryKey\":\"" : "\"secondaryKey\":\"");
	}
	ck_assert_str_eq(got->method, want->method);
	ck_assert_str_eq(got->url, url);
	ck_assert_str_eq(body, wanted);
	ck_assert_ptr_nonnull(strstr(got->headers, sr));
	ck_assert(!strstr(got->headers, "If-Match: *") == !want->if_match);
}

START_TEST(test_cloud_transcript)
{
	static const struct {
		const char *method, *target, *body;
	} calls[] = {
		{ "POST", "/identities/modules?api-version=2022-08-01",
		    "{\"type\":\"aziot\",\"moduleId\":\"m1\"}" },
		{ "POST", "/identities/modules?api-version=2022-08-01",
		    "{\"type\":\"aziot\",\"moduleId\":\"m1\"}" },
		{ "GET", "/identities/modules?api-version=2022-08-01&type=aziot", NULL },
		{ "GET", "/identities/modules/m1?api-version=2022-08-01&type=aziot", NULL },
		{ "GET", "/identities/modules/nope?api-version=2022-08-01&type=aziot", NULL },
	};
	const char *path = support_shared_data("transcripts/cloud.txt");
	struct sent sent[16];
	size_t n;

	if (!path)
		return;
	n = read_sent(path, sent, ARRAY_LEN(sent));
	ck_assert_uint_eq(n, 13);
	setup(SETTINGS);
	for (size_t i = 0; i < n; i++) {
		AUTO(str_freep) char *url = NULL;

		ck_ok(str_format(&url, &err, "https://localhost:18443%s", sent[i].target));
		*strchr(url, '?') = '*';
		answer_n(sent[i].method, url, 1, sent[i].status, sent[i].answer);
	}
	provision_run(service->provision);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		AUTO(response_done) struct response resp = { 0 };

		ask(calls[i].method, calls[i].target, 0, calls[i].body, &resp);
	}
	/* the last one, GET of m1, begins an update whose end was not recorded */
	ck_assert_uint_eq(fake_https_count(), n - 1);
	for (size_t i = 0; i < n - 1; i++)
		compare_sent(&sent[i], fake_https_seen(i));
	teardown();
}
END_TEST

/* --- what the transcript does not hold --- */

#define V "?api-version=2022-08-01"

static const struct {
	const char *method, *target;
	uid_t uid;
	const char *body;
	unsigned status;
	const char *part; /* of the answer */
} rows[] = {
	/* identityd.md 1 */
	{ "POST", "/identities/device" V, 0, "", 400, "missing request body" },
	{ "POST", "/identities/device" V, 0, "{}", 422, "type" },
	{ "POST", "/identities/device" V, 0, "{\"type\":null}", 422, "type" },
	{ "POST", "/identities/device" V, 0, "{\"type\":1}", 422, "type" },
	{ "POST", "/identities/device" V, 0, "{\"type\":\"\"}", 200, "\"deviceId\"" },
	{ "POST", "/identities/device" V, 0, "[]", 422, "message" },
	{ "POST", "/identities/modules" V, 0, "{\"type\":\"aziot\"}", 422, "moduleId" },
	{ "POST", "/identities/modules" V, 0, "{\"type\":\"x\",\"moduleId\":\"m1\"}", 400,
	    "parameter \\\"type\\\" has an invalid value\\ncaused by: invalid type: x" },
	{ "POST", "/identities/modules" V, 0, "{\"type\":\"aziot\",\"moduleId\":\" \\t\"}", 400,
	    "parameter \\\"module_id\\\"" },
	{ "POST", "/identities/modules" V, 0, "{\"type\":\"aziot\",\"moduleId\":\"../x\"}", 400,
	    "parameter \\\"module_id\\\"" },
	{ "POST", "/identities/modules" V, 0, "{\"type\":\"local\",\"moduleId\":\"loc1\"}", 400,
	    "local identity for loc1 already exists" },
	{ "GET", "/identities/modules/%20" V "&type=aziot", 0, NULL, 400, "module_id" },
	{ "GET", "/identities/modules/a%2Fb" V "&type=aziot", 0, NULL, 400, "module_id" },
	{ "GET", "/identities/modules/m1" V "&type=x", 0, NULL, 400, "invalid type: x" },
	{ "GET", "/identities/modules/m1" V "&type=aziot&type=x", 0, NULL, 200, "\"m1\"" },
	{ "PUT", "/identities/modules/m1" V "&type=aziot", 0, "{}", 200, "\"keyHandle\"" },
	{ "PUT", "/identities/modules/m1" V "&type=aziot", 0, "7", 200, "\"keyHandle\"" },
	{ "PUT", "/identities/modules/m1" V "&type=aziot", 0, "", 422, "message" },
	{ "PUT", "/identities/modules/m1" V "&type=local", 0, "{}", 400, "invalid type: local" },
	{ "DELETE", "/identities/modules/m1" V "&type=local", 0, "", 400, "invalid type: local" },
	{ "GET", "/identities/modules/" V "&type=aziot", 0, NULL, 404, "not found" },
	{ "GET", "http://foo/identities/identity" V, 0, NULL, 200, "\"deviceId\"" },
	/* authorization before type */
	{ "GET", "/identities/modules/m1" V, 65534, NULL, 401, "authorization error" },
	{ "GET", "/identities/modules/hostmod1" V, 65534, NULL, 400, "missing parameter" },
	{ "GET", "/identities/modules" V, 65534, NULL, 401, "authorization error" },
	{ "GET", "/trust-bundle" V, 4711, NULL, 200, "{\"certificate\":\"\"}" },
	{ "GET", "/identities/provisioning" V, 4711, NULL, 200, "\"scope_id\"" },
	{ "GET", "/status" V, 4711, NULL, 200,
	    "\"device\":{\"id\":\"mock-iot-provision\",\"hub\":\"localhost:18443\"" },
};

START_TEST(test_rows)
{
	setup(SETTINGS);
	remember();
	hub_works();
	provision_run(service->provision);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(response_done) struct response resp = { 0 };
		AUTO(str_freep) char *got = NULL;

		ask(rows[i].method, rows[i].target, rows[i].uid, rows[i].body, &resp);
		got = strndup(resp.body ? resp.body : "", resp.body_len);
		ck_assert_msg(resp.status == rows[i].status && strstr(got, rows[i].part),
		    "%s %s %s: %u %s", rows[i].method, rows[i].target,
		    rows[i].body ? rows[i].body : "", resp.status, got);
	}
	teardown();
}
END_TEST

START_TEST(test_strangers)
{
	/* architecture rule 4: every guarded row, tried by somebody whom no list names */
	unsigned guarded = 0;

	setup(SETTINGS);
	for (size_t i = 0; i < identityd_routes.n_routes; i++) {
		const struct route *r = &identityd_routes.routes[i];
		AUTO(response_done) struct response resp = { 0 };
		AUTO(str_freep) char *target = NULL;

		ck_ok(str_format(&target, &err, "%s" V "&type=aziot", r->path));
		ask(r->method, target, 4711,
		    strcmp(r->method, "GET") == 0 ? NULL
						  : "{\"type\":\"aziot\",\"moduleId\":\"x\"}",
		    &resp);
		ck_assert_uint_eq(resp.status == 401, r->who != OP_ANY);
		guarded += resp.status == 401;
	}
	ck_assert_uint_eq(guarded, 8);
	ck_assert_uint_eq(fake_https_count(), 0);
	teardown();
}
END_TEST

START_TEST(test_unprovisioned)
{
	/* decisions.md: 404 with the cause chain; edged takes it for "wait" */
	AUTO(response_done) struct response resp = { 0 };
	AUTO(response_done) struct response info = { 0 };

	setup("{\"hostname\":\"h\",\"homedir\":\"%s\",\"provisioning\":{\"source\":\"dps\","
	      "\"global_endpoint\":\"https://d\",\"scope_id\":\"s\",\"payload\":{\"uri\":\"file:///"
	      "none/x\"},"
	      "\"attestation\":{\"method\":\"tpm\",\"registration_id\":\"r\"}}}");
	provision_run(service->provision);
	ask("POST", "/identities/device" V, 0, "{\"type\":\"aziot\"}", &resp);
	ck_assert_uint_eq(resp.status, 404);
	ck_assert_ptr_nonnull(strstr(resp.body, "caused by: DPS registration by TPM"));
	/* identityd.md 8: a payload that cannot be read */
	ask("GET", "/identities/provisioning" V, 0, NULL, &info);
	ck_assert_uint_eq(info.status, 400);
	ck_assert_ptr_nonnull(strstr(info.body, "provisioning.payload"));
	teardown();
}
END_TEST

START_TEST(test_local)
{
	static const struct {
		const char *method, *target, *body;
	} calls[] = {
		{ "GET", "/identities/modules/loc1" V "&type=local", NULL },
		{ "POST", "/identities/modules" V, "{\"type\":\"local\",\"moduleId\":\"loc2\"}" },
		{ "POST", "/identities/modules" V,
		    "{\"type\":\"local\",\"moduleId\":\"loc2\",\"localIdOpts\":[7]}" },
	};

	setup(SETTINGS);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		AUTO(response_done) struct response resp = { 0 };
		AUTO(identity_done) struct identity got = { 0 };
		AUTO(str_freep) char *shown = NULL;
		AUTO(str_freep) char *keys = NULL;
		const char *key = support_path("local.key"), *cert = support_path("local.crt");

		ask(calls[i].method, calls[i].target, 0, calls[i].body, &resp);
		ck_assert_uint_eq(resp.status, 200);
		ck_ok(fields_read_text(
		    identity_fields, &got, (struct text){ resp.body, resp.body_len }, &err));
		ck_assert_int_eq(got.type, IDENTITY_LOCAL);
		support_write(key, got.local->private_key);
		support_write(cert, got.local->certificate);
		/* identityd.md 5, with openssl as judge */
		shown = support_sh("openssl x509 -in %s -noout -text", cert);
		ck_assert_msg(
		    strstr(shown, "CN = loc1.h.d") || strstr(shown, "CN = loc2.h.d"), "%s", shown);
		keys = support_sh(
		    "test \"$(openssl pkey -in %s -pubout)\" = \"$(openssl x509 -in %s -noout "
		    "-pubkey)\" && head -1 %s && date -u -d \"$(openssl x509 -in %s -noout "
		    "-enddate | cut -d= -f2)\" +%%FT%%T+00:00",
		    key, cert, key, cert);
		ck_assert_ptr_nonnull(strstr(keys, "-----BEGIN PRIVATE KEY-----\n"));
		ck_assert_ptr_nonnull(strstr(keys, got.local->expiration));
	}
	teardown();
}
END_TEST

START_TEST(test_info)
{
	static const struct {
		const char *settings, *want;
	} infos[] = {
		{ "{\"hostname\":\"h\",\"homedir\":\"%s\",\"provisioning\":{\"source\":\"none\"}}",
		    "{\"source\":\"none\"}" },
		{ "{\"hostname\":\"h\",\"homedir\":\"%s\",\"provisioning\":{\"source\":\"manual\","
		  "\"iothub_hostname\":\"h\",\"device_id\":\"d\",\"authentication\":{\"method\":"
		  "\"sas\","
		  "\"device_id_pk\":\"k\"}}}",
		    "{\"source\":\"manual\",\"auth\":\"sas\"}" },
		{ "{\"hostname\":\"h\",\"homedir\":\"%s\",\"provisioning\":{\"source\":\"dps\","
		  "\"global_endpoint\":\"https://"
		  "d\",\"scope_id\":\"s\",\"attestation\":{\"method\":\"x509\","
		  "\"identity_cert\":\"c\",\"identity_pk\":\"k\",\"registration_id\":{\"L\":\"x\","
		  "\"CN\":\"dev\"}}}}",
		    "{\"source\":\"dps\",\"auth\":\"x509\",\"endpoint\":\"https://d/"
		    "\",\"scope_id\":\"s\","
		    "\"registration_id\":\"dev\",\"payload\":null}" },
	};

	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		AUTO(response_done) struct response resp = { 0 };

		setup(infos[i].settings);
		ask("GET", "/identities/provisioning" V, 0, NULL, &resp);
		ck_assert_uint_eq(resp.status, 200);
		ck_assert_str_eq(resp.body, infos[i].want);
		teardown();
	}
}
END_TEST

TEST_MAIN("identityd/api", test_transcript, test_cloud_transcript, test_rows, test_strangers,
    test_unprovisioned, test_local, test_info)
