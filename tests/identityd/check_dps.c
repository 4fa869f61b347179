#include "tests/identityd/cloud_support.h"

#include "identityd/dps.h"

#define REGISTER "https://dps.demo:8443/0ne00AB/registrations/Dev-1/register?api-version=2021-06-01"
#define POLL                                                                               \
	"https://dps.demo:8443/0ne00AB/registrations/Dev-1/operations/op%2F1?api-version=" \
	"2021-06-01"
#define ACCEPTED "{\"operationId\":\"op/1\",\"status\":\"assigning\"}"
/* as recorded (data/transcripts/cloud.txt), names changed */
#define ASSIGNED                                                                             \
	"{\"operationId\": \"op/1\", \"status\": \"assigned\", \"registrationState\": "      \
	"{\"registrationId\": \"Dev-1\", \"assignedHub\": \"hub.demo:8444\", \"deviceId\": " \
	"\"dev-1\", \"status\": \"assigned\", \"substatus\": \"initialAssignment\", "        \
	"\"createdDateTimeUtc\": \"2026-01-01T00:00:00Z\", \"lastUpdatedDateTimeUtc\": "     \
	"\"2026-01-01T00:00:00Z\", \"etag\": \"e\"}}"

static struct world w;

static struct dps_params
params(void)
{
	return (struct dps_params){
		.endpoint = "https://dps.demo:8443/some/path",
		.scope_id = "0ne00AB",
		.registration_id = "Dev-1",
		.key_id = "device-id",
	};
}

static void
rule(const char *method, const char *url, unsigned turns, unsigned status, const char *body,
    int retry_after)
{
	struct fake_https_rule r = { method, url, turns, ERR_OK, status, body, retry_after };

	fake_https_add(&r);
}

START_TEST(test_flow)
{
	AUTO(dps_assignment_done) struct dps_assignment got = { 0 };
	struct dps_params p = params();
	struct err err = { 0 };

	world_begin(&w);
	p.payload = "{\"a\":1}";
	rule("PUT", REGISTER, 1, 202, ACCEPTED, 3);
	rule("GET", POLL, 1, 202, ACCEPTED, 0);
	rule("GET", POLL, 1, 200, "{\"operationId\":\"op/1\",\"status\":\"Unassigned\"}", 4);
	rule("GET", POLL, 0, 200, ASSIGNED, 0);
	ck_ok(dps_register(w.cloud, &p, &got, &err));
	ck_assert_str_eq(got.hub, "hub.demo:8444");
	ck_assert_str_eq(got.device_id, "dev-1");
	ck_assert_uint_eq(fake_https_count(), 4);
	ck_assert_str_eq(
	    fake_https_seen(0)->body, "{\"registrationId\":\"Dev-1\",\"payload\":{\"a\":1}}");
	ck_assert_str_eq(fake_https_seen(1)->body, "");
	/* a token for each request; audience lower case, `/` stays (identityd.md 6.1) */
	ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 4);
	for (size_t i = 0; i < 4; i++)
		ck_assert_ptr_nonnull(strstr(fake_https_seen(i)->headers,
		    "SharedAccessSignature sr=0ne00ab/registrations/dev-1&sig="));
	ck_assert_ptr_nonnull(strstr(fake_https_seen(3)->headers, "&skn=registration\n"));
	/* Retry-After is honoured */
	ck_assert_uint_eq(w.pauses.n, 3);
	ck_assert_uint_eq(w.pauses.at[0], 3000);
	ck_assert_uint_eq(w.pauses.at[1], 2000);
	ck_assert_uint_eq(w.pauses.at[2], 4000);
	world_end(&w);
}
END_TEST

static const struct {
	const char *what;
	unsigned put_status;
	const char *put_body;
	unsigned poll_status;
	const char *poll_body;
	enum err_code code; /* ERR_OK: assigned */
	const char *text;
} rows[] = {
	{ "assigned at once", 200, ASSIGNED, 0, NULL, ERR_OK, NULL },
	{ "upper case", 202, ACCEPTED, 200,
	    "{\"status\":\"ASSIGNED\",\"registrationState\":{\"assignedHub\":\"h\",\"deviceId\":"
	    "\"d\",\"errorCode\":null,\"new\":[1]}}",
	    ERR_OK, NULL },
	/* cloud-dps.md 2: error bodies in both spellings */
	{ "wrong key", 401,
	    "{\"errorCode\":401002,\"trackingId\":\"t\",\"message\":\"Unauthorized\"}", 0, NULL,
	    ERR_PEER, "DPS client error\ncaused by: Unauthorized (error code 401002)" },
	{ "unknown scope", 404, "{\"code\":404201,\"errorMessage\":\"no\\nsuch\"}", 0, NULL,
	    ERR_PEER, "DPS client error\ncaused by: no?such (error code 404201)" },
	{ "no body", 403, "", 0, NULL, ERR_PEER,
	    "DPS client error\ncaused by: unexpected HTTP status code: 403" },
	{ "HTML", 404, "<html>", 0, NULL, ERR_PEER,
	    "DPS client error\ncaused by: unexpected HTTP status code: 404" },
	{ "down", 503, "", 0, NULL, ERR_UNREACHABLE,
	    "DPS client error\ncaused by: unexpected HTTP status code: 503" },
	{ "failed", 202, ACCEPTED, 200,
	    "{\"status\":\"failed\",\"registrationState\":{\"errorCode\":400209,\"errorMessage\":"
	    "\"no hub\"}}",
	    ERR_PEER, "DPS client error\ncaused by: the registration is not assigned: no hub" },
	{ "disabled", 202, ACCEPTED, 200, "{\"status\":\"disabled\"}", ERR_PEER,
	    "DPS client error\ncaused by: the registration is not assigned: disabled" },
	{ "poll refused", 202, ACCEPTED, 404, "{\"message\":\"gone\"}", ERR_PEER,
	    "DPS client error\ncaused by: gone" },
	{ "no operation", 202, "{\"status\":\"assigning\"}", 0, NULL, ERR_PROTOCOL,
	    "DPS client error\ncaused by: the answer names no operation" },
	{ "no JSON", 202, "nonsense", 0, NULL, ERR_PROTOCOL, NULL },
	{ "cut off", 202, ACCEPTED, 200, "{\"status\":\"assigned\",\"registr", ERR_PROTOCOL, NULL },
	{ "empty", 202, "", 0, NULL, ERR_PROTOCOL, NULL },
	{ "no hub", 202, ACCEPTED, 200, "{\"status\":\"assigned\"}", ERR_PROTOCOL, NULL },
	{ "hub with a path", 202, ACCEPTED, 200,
	    "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"h/../"
	    "x\",\"deviceId\":"
	    "\"d\"}}",
	    ERR_PROTOCOL, NULL },
	{ "hub with credentials", 202, ACCEPTED, 200,
	    "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"u@h\",\"deviceId\":"
	    "\"d\"}}",
	    ERR_PROTOCOL, NULL },
	{ "device id with a slash", 202, ACCEPTED, 200,
	    "{\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":\"h\",\"deviceId\":"
	    "\"a/b\"}}",
	    ERR_PROTOCOL, NULL },
};

START_TEST(test_answers)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(dps_assignment_done) struct dps_assignment got = { 0 };
		struct dps_params p = params();
		struct err err = { 0 };
		enum err_code code;

		world_begin(&w);
		rule("PUT", REGISTER, 0, rows[i].put_status, rows[i].put_body, 0);
		if (rows[i].poll_body)
			rule("GET", POLL, 0, rows[i].poll_status, rows[i].poll_body, 0);
		code = dps_register(w.cloud, &p, &got, &err);
		ck_assert_msg(
		    code == rows[i].code, "%s: %s: %s", rows[i].what, err_name(code), err.text);
		if (rows[i].text)
			ck_assert_str_eq(err.text, rows[i].text);
		ck_assert(!got.hub == (code != ERR_OK));
		world_end(&w);
	}
}
END_TEST

START_TEST(test_endless)
{
	/* upstream polls for ever; here the whole registration has a deadline */
	AUTO(dps_assignment_done) struct dps_assignment got = { 0 };
	struct dps_params p = params();
	struct err err = { 0 };

	world_begin(&w);
	p.overall_ms = 1500;
	rule("PUT", REGISTER, 0, 202, ACCEPTED, 1);
	rule("GET", POLL, 0, 202, ACCEPTED, 2);
	ck_err(dps_register(w.cloud, &p, &got, &err), ERR_TIMEOUT);
	ck_assert_str_eq(err.text, "DPS client error\ncaused by: no hub was assigned in time");
	ck_assert_uint_eq(fake_https_count(), 2);
	world_end(&w);
}
END_TEST

START_TEST(test_token_renewed)
{
	/* cloud-dps.md 4: re-mint once on 401 */
	AUTO(dps_assignment_done) struct dps_assignment got = { 0 };
	struct dps_params p = params();
	struct err err = { 0 };

	world_begin(&w);
	rule("PUT", REGISTER, 0, 202, ACCEPTED, 0);
	rule("GET", POLL, 1, 401, "{\"message\":\"expired\"}", 0);
	rule("GET", POLL, 0, 200, ASSIGNED, 0);
	ck_ok(dps_register(w.cloud, &p, &got, &err));
	ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 3);
	world_end(&w);
}
END_TEST

TEST_MAIN("identityd/dps", test_flow, test_answers, test_endless, test_token_renewed)
