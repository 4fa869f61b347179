#include "tests/identityd/cloud_support.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static struct world w;

static void
setup(void)
{
	world_begin(&w);
}

static struct cloud_call
call_of(void)
{
	return (struct cloud_call){
		.method = "GET",
		.url = "https://hub1/x",
		.key_id = "device-id",
		.audience = "hub1.azure-devices.net/devices/dev%201",
		.deadline_ms = clock_mono_ms() + 600000,
	};
}

START_TEST(test_token)
{
	/* identityd.md 6.1: string to sign is "<audience>\n<expiry>"; HMAC by openssl as judge.  cloud-dps.md 4: some 300 s */
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	struct cloud_call call = call_of();
	const struct fake_https_seen *seen;
	struct err err = { 0 };
	char sig[128], *want;
	long long expiry;

	setup();
	call.key_name = "registration";
	call.body = "{}";
	call.if_match = true;
	answer(NULL, "*", 200, "{}");
	ck_ok(cloud_send(w.cloud, &call, &reply, &err));
	seen = fake_https_seen(0);
	ck_assert_int_eq(sscanf(seen->headers,
			     "Authorization: SharedAccessSignature "
			     "sr=hub1.azure-devices.net/devices/dev%%201&sig=%127[^&]&se=%lld&skn="
			     "registration\n",
			     sig, &expiry),
	    2);
	ck_assert_int_ge(expiry, clock_unix() + 295);
	ck_assert_int_le(expiry, clock_unix() + 301);
	want =
	    support_sh("printf 'hub1.azure-devices.net/devices/dev%%%%201\\n%lld' | openssl dgst "
		       "-sha256 -mac HMAC -macopt "
		       "hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f "
		       "-binary | base64 | sed 's/+/%%2B/g;s,/,%%2F,g;s/=/%%3D/g'",
		expiry);
	ck_assert_str_eq(sig, want);
	ck_assert_ptr_nonnull(strstr(seen->headers, "\nIf-Match: *\n"));
	ck_assert_ptr_nonnull(strstr(seen->headers, "\nContent-Type: application/json\n"));
	ck_assert_ptr_nonnull(strstr(seen->headers, "\nAccept: application/json\n"));
	ck_assert_str_eq(seen->body, "{}");
	free(want);
	world_end(&w);
}
END_TEST

static const struct {
	const char *what;
	unsigned status; /* 0: fail */
	enum err_code fail;
	int retry_after;
	bool once;
	unsigned turns;	    /* how many times it goes so, then 200 */
	unsigned requests;  /* that are made */
	unsigned tokens;    /* minted: one for each */
	unsigned final;	    /* status, 0: the failure */
	enum err_code code; /* that comes out */
	unsigned pause;	    /* the first one, ms */
} repeats[] = {
	{ "good", 200, 0, 0, false, 1, 1, 1, 200, ERR_OK, 0 },
	{ "401 once", 401, 0, 0, false, 1, 2, 2, 200, ERR_OK, 0 },
	{ "401 again", 401, 0, 0, false, 9, 2, 2, 401, ERR_OK, 0 },
	{ "401 with a backup", 401, 0, 0, true, 1, 2, 2, 200, ERR_OK, 0 },
	{ "429 with Retry-After", 429, 0, 7, false, 1, 2, 2, 200, ERR_OK, 7000 },
	{ "429 without", 429, 0, 0, false, 2, 3, 3, 200, ERR_OK, 2000 },
	{ "429 for ever", 429, 0, 1, false, 9, 5, 5, 429, ERR_OK, 1000 },
	{ "429 with a backup", 429, 0, 1, true, 9, 1, 1, 429, ERR_OK, 0 },
	{ "500 once", 500, 0, 0, false, 1, 2, 2, 200, ERR_OK, 3000 },
	{ "503 says when", 503, 0, 9, false, 1, 2, 2, 200, ERR_OK, 9000 },
	{ "500 for ever", 500, 0, 0, false, 9, 2, 2, 500, ERR_OK, 3000 },
	{ "500 with a backup", 500, 0, 0, true, 9, 1, 1, 500, ERR_OK, 0 },
	{ "refused once", 0, ERR_UNREACHABLE, 0, false, 1, 2, 2, 200, ERR_OK, 3000 },
	{ "refused", 0, ERR_UNREACHABLE, 0, false, 9, 2, 2, 0, ERR_UNREACHABLE, 3000 },
	{ "refused with a backup", 0, ERR_UNREACHABLE, 0, true, 9, 1, 1, 0, ERR_UNREACHABLE, 0 },
	{ "silent", 0, ERR_TIMEOUT, 0, false, 9, 2, 2, 0, ERR_TIMEOUT, 3000 },
	{ "cut off", 0, ERR_PROTOCOL, 0, false, 1, 2, 2, 200, ERR_OK, 3000 },
	/* a captive portal is no reason to say "you may not" */
	{ "wrong certificate", 0, ERR_DENIED, 0, false, 9, 2, 2, 0, ERR_UNREACHABLE, 3000 },
	{ "404", 404, 0, 0, false, 9, 1, 1, 404, ERR_OK, 0 },
};

START_TEST(test_repeats)
{
	for (size_t i = 0; i < ARRAY_LEN(repeats); i++) {
		AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
		struct fake_https_rule rule = { .url = "*",
			.turns = repeats[i].turns,
			.fail = repeats[i].fail,
			.status = repeats[i].status,
			.retry_after = repeats[i].retry_after };
		struct cloud_call call = call_of();
		struct err err = { 0 };
		enum err_code code;

		setup();
		call.once = repeats[i].once;
		fake_https_add(&rule);
		answer(NULL, "*", 200, "{}");
		code = cloud_send(w.cloud, &call, &reply, &err);
		ck_assert_msg(code == repeats[i].code, "%s: %s: %s", repeats[i].what,
		    err_name(code), err.text);
		ck_assert_msg(fake_https_count() == repeats[i].requests, "%s: %zu requests",
		    repeats[i].what, fake_https_count());
		ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), repeats[i].tokens);
		ck_assert_uint_eq(reply.status, repeats[i].final);
		ck_assert_msg((w.pauses.n ? w.pauses.at[0] : 0) == repeats[i].pause, "%s: %u ms",
		    repeats[i].what, w.pauses.at[0]);
		world_end(&w);
	}
}
END_TEST

START_TEST(test_deadline)
{
	/* no wait goes beyond the deadline, and no request is given longer than is left */
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	struct cloud_call call = call_of();
	struct err err = { 0 };

	setup();
	call.deadline_ms = clock_mono_ms() + 2000;
	answer(NULL, "*", 500, "");
	ck_ok(cloud_send(w.cloud, &call, &reply, &err));
	ck_assert_uint_eq(reply.status, 500);
	ck_assert_uint_eq(w.pauses.n, 0);
	ck_assert_uint_le(fake_https_seen(0)->timeout_ms, 2000);
	call.deadline_ms = clock_mono_ms() - 1;
	ck_err(cloud_send(w.cloud, &call, &reply, &err), ERR_TIMEOUT);
	ck_assert_uint_eq(fake_https_count(), 1);
	world_end(&w);
}
END_TEST

START_TEST(test_keyd_fails)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	struct cloud_call call = call_of();
	struct err err = { 0 };

	setup();
	fake_keyd_fail(FAKE_LOAD_KEY, 0, ERR_PEER, 400, "no such key");
	ck_err(cloud_send(w.cloud, &call, &reply, &err), ERR_PEER);
	ck_assert_str_eq(err.text, "Key client error\ncaused by: no such key");
	ck_assert_uint_eq(fake_https_count(), 0);
	world_end(&w);
}
END_TEST

START_TEST(test_stop)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	struct cloud_call call = call_of();
	struct err err = { 0 };

	setup();
	cloud_stop(w.cloud);
	ck_err(cloud_send(w.cloud, &call, &reply, &err), ERR_UNREACHABLE);
	ck_assert_uint_eq(fake_https_count(), 0);
	world_end(&w);
}
END_TEST

static void *
wake_soon(void *ctx)
{
	usleep(100000);
	cloud_wake(ctx);
	return NULL;
}

START_TEST(test_pause)
{
	struct cloud_config config = { .timeout_ms = 1000 };
	struct cloud *cloud = NULL;
	struct err err = { 0 };
	pthread_t thread;
	uint64_t began;

	ck_ok(cloud_new(&config, &cloud, &err));
	/* give or take a quarter */
	began = clock_mono_ms();
	ck_ok(cloud_pause(cloud, 200, &err));
	ck_assert_uint_ge(clock_mono_ms() - began, 149);
	began = clock_mono_ms();
	ck_assert_int_eq(pthread_create(&thread, NULL, wake_soon, cloud), 0);
	ck_ok(cloud_pause(cloud, 60000, &err));
	ck_assert_uint_lt(clock_mono_ms() - began, 20000);
	pthread_join(thread, NULL);
	cloud_stop(cloud);
	ck_err(cloud_pause(cloud, 60000, &err), ERR_BUSY);
	cloud_free(cloud);
}
END_TEST

TEST_MAIN("identityd/cloud", test_pause, test_token, test_repeats, test_deadline, test_keyd_fails,
    test_stop)
