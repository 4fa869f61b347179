#include "tests/identityd/cloud_support.h"

#include <stdio.h>
#include <stdlib.h>

#include "identityd/reconcile.h"

#define HUB "https://hub/devices/dev/modules"

static struct world w;
static struct state *state;
static struct modules *modules;
static struct device *device;
static struct settings settings;
static struct err err;
static bool proven;

static void
settings_of(const char *names)
{
	AUTO(str_freep) char *text = NULL;

	settings_done(&settings);
	ck_ok(str_format(&text, &err,
	    "{\"hostname\":\"h\",\"homedir\":\"/x\",\"provisioning\":{\"source\":\"manual\","
	    "\"iothub_hostname\":\"hub\",\"device_id\":\"dev\",\"authentication\":{\"method\":"
	    "\"sas\","
	    "\"device_id_pk\":\"device-id\"}},\"principal\":[%s]}",
	    names));
	ck_ok(fields_read_text(settings_fields, &settings, text_of(text), &err));
	ck_ok(settings_check(&settings, &err));
}

#define MODULE_PRINCIPAL(n, u) "{\"uid\":" #u ",\"name\":\"" n "\",\"idtype\":[\"module\"]}"

static void
setup(void)
{
	static unsigned n;
	char name[16];

	snprintf(name, sizeof(name), "home%u", n++);
	err = (struct err){ 0 };
	proven = false;
	world_begin(&w);
	ck_ok(state_open(support_path(name), &state, &err));
	ck_ok(modules_new(w.cloud, w.keyd, state, &modules, &err));
	ck_ok(device_new("hub", NULL, "dev", "device-id", &device, &err));
}

static void
teardown(void)
{
	settings_done(&settings);
	device_unrefp(&device);
	modules_free(modules);
	state_free(state);
	world_end(&w);
}

static enum err_code
run(void)
{
	proven = false;
	return reconcile(modules, state, &settings, device, &proven, &err);
}

static void
before(const char *names)
{
	settings_of(names);
	ck_ok(state_device_commit(state, device, &err));
	ck_ok(state_prev_save(state, &settings, &err));
}

static void
module_works(const char *id)
{
	AUTO(str_freep) char *url = NULL;
	AUTO(str_freep) char *body = NULL;

	ck_ok(str_format(&url, &err, HUB "/%s?*", id));
	ck_ok(str_format(&body, &err, "{\"moduleId\":\"%s\",\"generationId\":\"1\"}", id));
	answer("PUT", url, 200, body);
	answer("DELETE", url, 204, "");
}

static unsigned
asked(const char *method, const char *id)
{
	AUTO(str_freep) char *url = NULL;

	ck_ok(str_format(&url, &err, HUB "/%s?*", id));
	return fake_https_asked(method, url);
}

/* identityd.md 3, with R7 of index-identity.md mended */
START_TEST(test_matrix)
{
	setup();
	before(MODULE_PRINCIPAL("kept", 1) "," MODULE_PRINCIPAL("dropped", 2) "," MODULE_PRINCIPAL(
	    "lost", 3));
	settings_of(MODULE_PRINCIPAL("kept", 1) "," MODULE_PRINCIPAL(
	    "lost", 3) "," MODULE_PRINCIPAL("fresh", 4) "," MODULE_PRINCIPAL("foreign", 5));
	answer("GET", HUB "[?]*", 200,
	    "[{\"moduleId\":\"kept\",\"generationId\":\"1\"},{\"moduleId\":\"dropped\","
	    "\"generationId\":\"1\"},"
	    "{\"moduleId\":\"foreign\",\"generationId\":\"7\"},{\"moduleId\":\"$edgeAgent\","
	    "\"generationId\":\"1\"}]");
	for (size_t i = 0; i < settings.principals.n; i++)
		module_works(settings.principals.at[i].name);
	module_works("dropped");
	ck_ok(run());
	ck_assert(proven);
	ck_assert_uint_eq(asked("PUT", "kept"), 0);
	ck_assert_uint_eq(asked("DELETE", "dropped"), 1);
	/* a principal since lost in the hub, and a new one: two steps each */
	ck_assert_uint_eq(asked("PUT", "lost"), 2);
	ck_assert_uint_eq(asked("PUT", "fresh"), 2);
	/* there already, and none of ours so far: upstream deletes it; here it gets our keys */
	ck_assert_uint_eq(asked("PUT", "foreign"), 1);
	ck_assert_uint_eq(asked("DELETE", "foreign"), 0);
	ck_assert_uint_eq(asked("PUT", "%24edgeAgent"), 0);
	ck_assert_uint_eq(asked("DELETE", "%24edgeAgent"), 0);
	/* and the next time there is nothing to do */
	fake_https_reset();
	answer("GET", HUB "[?]*", 200,
	    "[{\"moduleId\":\"kept\"},{\"moduleId\":\"lost\"},{\"moduleId\":\"fresh\"},{"
	    "\"moduleId\":\"foreign\"}]");
	ck_ok(run());
	ck_assert_uint_eq(fake_https_count(), 1);
	teardown();
}
END_TEST

START_TEST(test_memory_lost)
{
	/* R7: without prev_state nothing is deleted, and what has our keys stays as it is */
	setup();
	settings_of(MODULE_PRINCIPAL("moduleA", 1));
	answer("GET", HUB "[?]*", 200,
	    "[{\"moduleId\":\"moduleA\",\"generationId\":\"638000000000000000\",\"authentication\":"
	    "{\"type\":"
	    "\"sas\",\"symmetricKey\":{\"primaryKey\":\"/"
	    "spYkU88fmaDW41XvItxencUS2CUXUA9wUzE58I0ujA=\","
	    "\"secondaryKey\":\"x\"}}},{\"moduleId\":\"other\",\"generationId\":\"1\"}]");
	ck_ok(run());
	ck_assert_uint_eq(fake_https_count(), 1);
	teardown();
}
END_TEST

START_TEST(test_refused_module)
{
	/* one module that the hub will not have keeps neither the others nor the device from their turn */
	setup();
	settings_of(MODULE_PRINCIPAL("bad", 1) "," MODULE_PRINCIPAL("good", 2));
	answer("GET", HUB "[?]*", 200, "[]");
	answer("PUT", HUB "/bad?*", 403, "{\"Message\":\"too many\"}");
	module_works("good");
	ck_err(run(), ERR_PEER);
	ck_assert_str_eq(err.text, "module bad\ncaused by: Hub client error\ncaused by: too many");
	/* nor does it look as if the device were rejected, which would have DPS asked */
	ck_assert(!hub_rejects_device(&err));
	ck_assert(proven);
	ck_assert(state_device_is(state, device));
	ck_assert_uint_eq(asked("PUT", "good"), 2);
	teardown();
}
END_TEST

START_TEST(test_not_proven)
{
	static const unsigned statuses[] = { 401, 404, 500, 429 };

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		setup();
		settings_of("");
		answer("GET", HUB "[?]*", statuses[i], "");
		ck_assert_int_ne(run(), ERR_OK);
		ck_assert(!proven);
		ck_assert(!state_device_is(state, device));
		ck_assert(hub_rejects_device(&err) == (i < 2));
		teardown();
	}
}
END_TEST

TEST_MAIN(
    "identityd/reconcile", test_matrix, test_memory_lost, test_refused_module, test_not_proven)
