#include "tests/identityd/cloud_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "identityd/provision.h"
#include "tests/fake/tpmd.h"

#define DPS_URL	 "https://dps.demo:443/0ne/registrations/dev-1/*"
#define OLD_URL	 "https://old.demo/devices/dev-old/modules*"
#define NEW_URL	 "https://new.demo/devices/dev-new/modules*"
#define LISTED	 "[]"
#define ACCEPTED "{\"operationId\":\"op1\",\"status\":\"assigning\"}"
#define ASSIGNED                                                                                   \
	"{\"operationId\":\"op1\",\"status\":\"assigned\",\"registrationState\":{\"assignedHub\":" \
	"\"new.demo\",\"deviceId\":\"dev-new\"}}"

#define BY_DPS                                                                                \
	"{\"source\":\"dps\",\"global_endpoint\":\"https://dps.demo/\",\"scope_id\":\"0ne\"," \
	"\"attestation\":{\"method\":\"symmetric_key\",\"registration_id\":\"dev-1\","        \
	"\"symmetric_key\":\"device-id\"}}"
#define BY_HAND                                                                              \
	"{\"source\":\"manual\",\"iothub_hostname\":\"old.demo\",\"device_id\":\"dev-old\"," \
	"\"authentication\":{\"method\":\"sas\",\"device_id_pk\":\"device-id\"}}"

static struct world w;
static struct snapshot *box;
static struct state *state;
static struct modules *modules;
static struct provision *provision;
static struct err err;

static void
done_with(void *content)
{
	settings_done(content);
}

static void
setup(const char *provisioning, const char *principals)
{
	static unsigned n;
	struct settings settings = { 0 };
	struct provision_config config = { 0 };
	AUTO(str_freep) char *text = NULL;
	char name[16];

	snprintf(name, sizeof(name), "home%u", n++);
	err = (struct err){ 0 };
	world_begin(&w);
	ck_ok(str_format(&text, &err,
	    "{\"hostname\":\"h\",\"homedir\":\"%s\",\"provisioning\":%s,\"principal\":[%s]}",
	    support_path(name), provisioning, principals));
	ck_ok(fields_read_text(settings_fields, &settings, text_of(text), &err));
	ck_ok(settings_check(&settings, &err));
	ck_ok(state_open(settings.homedir, &state, &err));
	ck_ok(snapshot_new(&settings, sizeof(settings), done_with, &box, &err));
	ck_ok(modules_new(w.cloud, w.keyd, state, &modules, &err));
	config.settings = box;
	config.cloud = w.cloud;
	config.modules = modules;
	config.state = state;
	ck_ok(provision_new(&config, &provision, &err));
	w.pauses.limit = 1; /* one attempt, unless a test wants more */
}

static void
teardown(void)
{
	ck_assert(snapshot_idle(box));
	provision_free(provision);
	modules_free(modules);
	state_free(state);
	snapshot_free(box);
	world_end(&w);
}

static void
remember_old(void)
{
	AUTO(device_unrefp) struct device *old = NULL;

	ck_ok(device_new("old.demo", NULL, "dev-old", "device-id", &old, &err));
	ck_ok(state_device_commit(state, old, &err));
}

/* In force now, and what a restart would serve without a network. */
static void
check_device(const char *hub, const char *id)
{
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(device_info_done) struct device_info info = { 0 };

	ck_ok(provision_device(provision, 0, &d, &err));
	ck_assert_str_eq(d->hub, hub);
	ck_assert_str_eq(d->id, id);
	ck_ok(state_device_load(state, &info, &err));
	ck_assert_str_eq(info.hub, hub);
	ck_assert_str_eq(info.device_id, id);
}

static void
dps_works(void)
{
	answer("PUT", DPS_URL, 202, ACCEPTED);
	answer("GET", DPS_URL, 200, ASSIGNED);
}

START_TEST(test_first_start)
{
	setup(BY_DPS, "");
	w.pauses.limit = 0;
	dps_works();
	answer("GET", NEW_URL, 200, LISTED);
	provision_run(provision);
	check_device("new.demo", "dev-new");
	ck_assert_uint_eq(fake_https_count(), 3);
	teardown();
}
END_TEST

START_TEST(test_first_start_hub_away)
{
	/* nothing to lose: the name that DPS gave is served and kept */
	setup(BY_DPS, "");
	w.pauses.limit = 2; /* the first one is between register and poll */
	dps_works();
	provision_run(provision);
	check_device("new.demo", "dev-new");
	teardown();
}
END_TEST

START_TEST(test_offline)
{
	/* user-needs.md R2: a restart without network serves the old identity, and DPS is not asked */
	setup(BY_DPS, "");
	remember_old();
	provision_run(provision);
	check_device("old.demo", "dev-old");
	ck_assert_uint_eq(fake_https_asked("PUT", DPS_URL), 0);
	teardown();
}
END_TEST

START_TEST(test_rejected)
{
	/* the hub does not know the device any more: DPS is asked, and what it says replaces the old once proven */
	static const unsigned statuses[] = { 401, 403, 404 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		setup(BY_DPS, "");
		w.pauses.limit = 0;
		remember_old();
		answer("GET", OLD_URL, statuses[i], "");
		dps_works();
		answer("GET", NEW_URL, 200, LISTED);
		provision_run(provision);
		check_device("new.demo", "dev-new");
		teardown();
	}
}
END_TEST

START_TEST(test_not_rejected)
{
	/* a hub that is busy, down or odd is no reason to register anew */
	static const unsigned statuses[] = { 400, 413, 429, 500, 503 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		setup(BY_DPS, "");
		w.pauses.limit = 12;
		remember_old();
		answer("GET", OLD_URL, statuses[i], "");
		dps_works();
		provision_run(provision);
		check_device("old.demo", "dev-old");
		ck_assert_uint_eq(fake_https_asked("PUT", DPS_URL), 0);
		teardown();
	}
}
END_TEST

/* Every step of a reprovisioning with every fault: the old identity stays, in force and on disk. */
static const struct fake_https_rule faults[] = {
	{ .fail = ERR_UNREACHABLE },
	{ .fail = ERR_TIMEOUT },
	{ .fail = ERR_PROTOCOL },
	{ .fail = ERR_DENIED },
	{ .status = 401, .body = "{\"message\":\"Unauthorized\"}" },
	{ .status = 404, .body = "" },
	{ .status = 429, .body = "" },
	{ .status = 500, .body = "" },
	{ .status = 200, .body = "{\"cut" },
	{ .status = 200, .body = "\"text\"" },
	{ .status = 202, .body = "" },
};
static const struct {
	const char *method, *url;
} steps[] = {
	{ "PUT", DPS_URL },
	{ "GET", DPS_URL },
	{ "GET", NEW_URL },
};

START_TEST(test_nothing_lost)
{
	for (size_t s = 0; s < ARRAY_LEN(steps); s++)
		for (size_t f = 0; f < ARRAY_LEN(faults); f++) {
			struct fake_https_rule rule = faults[f];

			setup(BY_DPS, "");
			w.pauses.limit = 0;
			remember_old();
			answer("GET", OLD_URL, 200, LISTED);
			provision_run(provision);
			rule.method = steps[s].method;
			rule.url = steps[s].url;
			fake_https_add(&rule);
			dps_works();
			answer("GET", NEW_URL, 200, LISTED);
			ck_assert_msg(
			    provision_again(provision, &err) != ERR_OK, "step %zu fault %zu", s, f);
			check_device("old.demo", "dev-old");
			teardown();
		}
}
END_TEST

START_TEST(test_again)
{
	setup(BY_DPS, "");
	w.pauses.limit = 0;
	remember_old();
	answer("GET", OLD_URL, 200, LISTED);
	dps_works();
	answer("GET", NEW_URL, 200, LISTED);
	provision_run(provision);
	check_device("old.demo", "dev-old");
	ck_ok(provision_again(provision, &err));
	check_device("new.demo", "dev-new");
	teardown();
}
END_TEST

START_TEST(test_manual)
{
	/* no network is needed for who we are */
	setup(BY_HAND, "");
	provision_run(provision);
	{
		AUTO(device_unrefp) struct device *d = NULL;

		ck_ok(provision_device(provision, 0, &d, &err));
		ck_assert_str_eq(d->id, "dev-old");
	}
	w.pauses.limit = 0;
	answer("GET", OLD_URL, 200, LISTED);
	provision_run(provision);
	check_device("old.demo", "dev-old");
	teardown();
}
END_TEST

START_TEST(test_damaged_memory)
{
	/* warned of, and kept until DPS has given another one */
	setup(BY_DPS, "");
	{
		AUTO(snapshot_putp) const struct settings *s = snapshot_get(box);
		AUTO(str_freep) char *path = NULL;
		struct bytes left;

		ck_ok(str_format(&path, &err, "%s/device_info", s->homedir));
		support_write(path, "hub_name = \"old");
		provision_run(provision);
		left = support_read(path);
		ck_assert_str_eq((char *)left.data, "hub_name = \"old");
		bytes_done(&left);
	}
	dps_works();
	answer("GET", NEW_URL, 200, LISTED);
	w.pauses.limit = 0;
	provision_run(provision);
	check_device("new.demo", "dev-new");
	teardown();
}
END_TEST

static const struct {
	const char *provisioning;
	enum err_code code;
	const char *text;
} hopeless[] = {
	{ "{\"source\":\"none\"}", ERR_NOT_FOUND, "device identity not found" },
	{ "{\"source\":\"manual\",\"iothub_hostname\":\"h\",\"device_id\":\"d\",\"authentication\":"
	  "{\"method\":\"x509\",\"identity_cert\":\"c\",\"identity_pk\":\"k\"}}",
	    ERR_UNREACHABLE,
	    "the device has no identity yet\ncaused by: provisioning by X.509 certificate is not "
	    "available in this version" },
	{ "{\"source\":\"dps\",\"global_endpoint\":\"https://d/"
	  "\",\"scope_id\":\"s\",\"attestation\":"
	  "{\"method\":\"tpm\",\"registration_id\":\"r\"}}",
	    ERR_UNREACHABLE,
	    "the device has no identity yet\ncaused by: DPS registration by TPM is not available "
	    "in "
	    "this version" },
	{ "{\"source\":\"dps\",\"local_gateway_hostname\":\"g\",\"global_endpoint\":\"https://d/\","
	  "\"scope_id\":\"s\",\"attestation\":{\"method\":\"symmetric_key\",\"registration_id\":"
	  "\"r\","
	  "\"symmetric_key\":\"k\"}}",
	    ERR_UNREACHABLE,
	    "the device has no identity yet\ncaused by: DPS is not supported in nested mode" },
};

START_TEST(test_hopeless)
{
	/* said plainly, tried once, and the daemon goes on */
	for (size_t i = 0; i < ARRAY_LEN(hopeless); i++) {
		AUTO(device_unrefp) struct device *d = NULL;

		setup(hopeless[i].provisioning, "");
		provision_run(provision);
		ck_err(provision_device(provision, 1000, &d, &err), hopeless[i].code);
		ck_assert_str_eq(err.text, hopeless[i].text);
		ck_assert_uint_eq(fake_https_count(), 0);
		ck_assert_uint_eq(w.pauses.n, 0);
		teardown();
	}
}
END_TEST

START_TEST(test_tpm_remembered)
{
	/* a device that was registered by TPM before goes on: the hub's key is in the TPM */
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity identity = { 0 };
	AUTO(str_freep) char *text = NULL;

	setup("{\"source\":\"dps\",\"global_endpoint\":\"https://d/"
	      "\",\"scope_id\":\"s\",\"attestation\":"
	      "{\"method\":\"tpm\",\"registration_id\":\"r\"}}",
	    "");
	w.pauses.limit = 0;
	remember_old();
	answer("GET", OLD_URL, 200, LISTED);
	provision_run(provision);
	check_device("old.demo", "dev-old");
	ck_assert_uint_eq(fake_tpmd_signed(), 1);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_SIGN), 0);
	/* client-facts.md 16: no keyHandle */
	ck_ok(provision_device(provision, 0, &d, &err));
	ck_ok(device_identity(d, w.keyd, &identity, &err));
	ck_ok(fields_write_text(identity_fields, &identity, &text, &err));
	ck_assert_ptr_nonnull(strstr(text, "\"auth\":{\"type\":\"tpm\"}}"));
	teardown();
}
END_TEST

START_TEST(test_backoff)
{
	static const unsigned want[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };

	setup(BY_DPS, "");
	w.pauses.limit = 2 * ARRAY_LEN(want); /* each attempt has its own repeat after 3 s */
	provision_run(provision);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		ck_assert_uint_eq(w.pauses.at[2 * i], 3000);
		ck_assert_uint_eq(w.pauses.at[2 * i + 1], want[i]);
	}
	teardown();
}
END_TEST

static void *
run_in_background(void *ctx)
{
	provision_run(ctx);
	return NULL;
}

static void
slow_register(void *ctx, const char *method, const char *url)
{
	(void)ctx, (void)url;
	if (strcmp(method, "PUT") == 0)
		usleep(300000);
}

START_TEST(test_waiting)
{
	/* callers wait for the first verdict, and no longer than they said */
	AUTO(device_unrefp) struct device *d = NULL;
	pthread_t thread;

	setup(BY_DPS, "");
	w.pauses.limit = 0;
	ck_err(provision_device(provision, 30, &d, &err), ERR_UNREACHABLE);
	ck_assert_str_eq(
	    err.text, "the device has no identity yet\ncaused by: provisioning is still under way");
	dps_works();
	answer("GET", NEW_URL, 200, LISTED);
	fake_https_hook(slow_register, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_in_background, provision), 0);
	ck_err(provision_device(provision, 5000, &d, &err), ERR_OK);
	pthread_join(thread, NULL);
	check_device("new.demo", "dev-new");
	teardown();
}
END_TEST

START_TEST(test_stop)
{
	AUTO(device_unrefp) struct device *d = NULL;

	setup(BY_DPS, "");
	provision_stop(provision);
	ck_err(provision_device(provision, 60000, &d, &err), ERR_UNREACHABLE);
	ck_err(provision_again(provision, &err), ERR_BUSY);
	cloud_stop(w.cloud);
	provision_run(provision);
	ck_assert_uint_eq(fake_https_count(), 0);
	teardown();
}
END_TEST

TEST_MAIN("identityd/provision", test_first_start, test_first_start_hub_away, test_offline,
    test_rejected, test_not_rejected, test_nothing_lost, test_again, test_manual,
    test_damaged_memory, test_hopeless, test_tpm_remembered, test_backoff, test_waiting, test_stop)
