#include "tests/identityd/cloud_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "identityd/modules.h"

#define HUB    "https://hub.demo:8444/devices/press-17/modules"
#define V      "?api-version=2017-11-08-preview"
#define MODULE HUB "/moduleA" V
/* identityd.md 6.4: master 00..1f, generation 638000000000000000 */
#define PRIMARY	  "/spYkU88fmaDW41XvItxencUS2CUXUA9wUzE58I0ujA="
#define SECONDARY "hfRcIageqITVBhxlKYxWojN4fdpVSvemE2p7ewH6uFY="
#define GEN	  "638000000000000000"
/* the hub's answer in the recorded shape (data/transcripts/cloud.txt) */
#define ANSWER(primary)                                                                         \
	"{\"moduleId\": \"moduleA\", \"deviceId\": \"press-17\", \"generationId\": \"" GEN      \
	"\", \"managedBy\": null, \"etag\": \"x\", \"connectionState\": \"Disconnected\", "     \
	"\"authentication\": {\"type\": \"sas\", \"symmetricKey\": {\"primaryKey\": \"" primary \
	"\", \"secondaryKey\": \"E4jXWxZ0F7EBuiTFMSAqXj8oWsfHe3UabNVy7AmILSc=\"}}}"
#define FRESH	    ANSWER("D9WBvDbL2iWTsnYlQs35xnbK/Ay81TP4ytEbjBNLC8I=")
#define OURS	    ANSWER(PRIMARY)
#define CREATE_BODY "{\"moduleId\":\"moduleA\",\"deviceId\":\"press-17\"}"
/* recorded body of the second PUT */
#define UPDATE_BODY                                                                       \
	"{\"moduleId\":\"moduleA\",\"deviceId\":\"press-17\",\"authentication\":"         \
	"{\"symmetricKey\":{\"primaryKey\":\"" PRIMARY "\",\"secondaryKey\":\"" SECONDARY \
	"\"},\"type\":\"sas\"}}"

static struct world w;
static struct state *state;
static struct device *device;
static struct modules *modules;
static struct identity got;
static struct err err;

static void
setup(void)
{
	static unsigned n;
	char name[16];

	snprintf(name, sizeof(name), "home%u", n++);
	err = (struct err){ 0 };
	world_begin(&w);
	ck_ok(state_open(support_path(name), &state, &err));
	ck_ok(device_new("hub.demo:8444", NULL, "press-17", "device-id", &device, &err));
	ck_ok(modules_new(w.cloud, w.keyd, state, &modules, &err));
}

static void
teardown(void)
{
	identity_done(&got);
	modules_free(modules);
	device_unrefp(&device);
	state_free(state);
	world_end(&w);
}

static bool
has_backup(void)
{
	AUTO(hub_module_done) struct hub_module backup = { 0 };
	struct err ignored = { 0 };

	return state_backup_load(state, device, "moduleA", &backup, &ignored) == ERR_OK;
}

static void
put_backup(const char *generation)
{
	struct hub_module m = { .module_id = (char *)"moduleA",
		.generation_id = (char *)generation };

	ck_ok(state_backup_save(state, device, &m, state_backup_epoch(state), &err));
}

/* The identity object as a whole, as it goes out. */
static void
check_identity(const char *generation)
{
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *want = NULL;

	ck_ok(fields_write_text(identity_fields, &got, &text, &err));
	ck_ok(str_format(&want, &err,
	    "{\"type\":\"aziot\",\"spec\":{\"hubName\":\"hub.demo:8444\",\"gatewayHost\":"
	    "\"hub.demo:8444\",\"deviceId\":\"press-17\",\"moduleId\":\"moduleA\",\"genId\":\"%s\","
	    "\"auth\":{\"type\":\"sas\",\"keyHandle\":\"%s\"}}}",
	    generation, got.auth->key_handle));
	ck_assert_str_eq(text, want);
}

START_TEST(test_create)
{
	setup();
	answer_n("PUT", MODULE, 1, 200, FRESH);
	answer("PUT", MODULE, 200, OURS);
	ck_ok(modules_create(modules, device, "moduleA", &got, &err));
	check_identity(GEN);
	ck_assert_uint_eq(fake_https_count(), 2);
	ck_assert_str_eq(fake_https_seen(0)->body, CREATE_BODY);
	ck_assert_ptr_null(strstr(fake_https_seen(0)->headers, "If-Match"));
	ck_assert_str_eq(fake_https_seen(1)->body, UPDATE_BODY);
	ck_assert_ptr_nonnull(strstr(fake_https_seen(1)->headers, "If-Match: *\n"));
	ck_assert_ptr_nonnull(strstr(fake_https_seen(1)->headers,
	    "SharedAccessSignature sr=hub.demo:8444/devices/press-17&sig="));
	ck_assert_ptr_null(strstr(fake_https_seen(1)->headers, "skn"));
	ck_assert(has_backup());
	teardown();
}
END_TEST

START_TEST(test_create_existing)
{
	/* cloud-iothub.md 2: 409 leads to get and update, 201 is accepted, managedBy goes back as it came */
	setup();
	answer("GET", MODULE, 200,
	    "{\"moduleId\":\"moduleA\",\"managedBy\":\"IotEdge\",\"generationId\":\"" GEN "\"}");
	answer_n("PUT", MODULE, 1, 409, "{\"Message\":\"ErrorCode:ModuleAlreadyExistsOnDevice\"}");
	answer("PUT", MODULE, 201, OURS);
	ck_ok(modules_create(modules, device, "moduleA", &got, &err));
	check_identity(GEN);
	ck_assert_ptr_nonnull(strstr(fake_https_seen(2)->body, "\"managedBy\":\"IotEdge\""));
	teardown();
}
END_TEST

START_TEST(test_resumed)
{
	/* a process that died between the two steps left the hub's own keys there: the next read completes it */
	setup();
	answer("GET", MODULE, 200, FRESH);
	answer("PUT", MODULE, 200, OURS);
	ck_ok(modules_get(modules, device, "moduleA", false, &got, &err));
	ck_assert_uint_eq(fake_https_count(), 2);
	ck_assert_str_eq(fake_https_seen(1)->body, UPDATE_BODY);
	identity_done(&got);
	/* once complete, a read costs one question to the hub and one call to keyd (P3) */
	fake_keyd_fail(FAKE_EXPORT_DERIVED, 0, ERR_INTERNAL, 0, "must not be called");
	ck_ok(modules_get(modules, device, "moduleA", false, &got, &err));
	ck_assert_uint_eq(fake_https_count(), 3);
	teardown();
}
END_TEST

START_TEST(test_other_authentication)
{
	/* somebody gave the module certificates: a read changes nothing */
	setup();
	answer("GET", MODULE, 200,
	    "{\"moduleId\":\"moduleA\",\"generationId\":\"1\",\"authentication\":{\"type\":"
	    "\"selfSigned\","
	    "\"symmetricKey\":{\"primaryKey\":null,\"secondaryKey\":null}}}");
	ck_ok(modules_get(modules, device, "moduleA", false, &got, &err));
	ck_assert_uint_eq(fake_https_count(), 1);
	teardown();
}
END_TEST

static const struct {
	const char *what;
	enum err_code fail;
	unsigned status;
	const char *body;
	bool backup;
	enum err_code code;
	const char *text;
	bool backup_after;
} reads[] = {
	/* R8: absent in the hub is absent */
	{ "404", 0, 404, "{\"Message\":\"ErrorCode:ModuleNotFound\"}", true, ERR_NOT_FOUND,
	    "module identity not found", false },
	{ "404, no backup", 0, 404, "", false, ERR_NOT_FOUND, "module identity not found", false },
	{ "204", 0, 204, "", true, ERR_NOT_FOUND, "module identity not found", false },
	/* the device is gone, which says nothing about the module */
	{ "device 404", 0, 404, "{\"Message\":\"ErrorCode:DeviceNotFound;x\"}", true, ERR_OK, NULL,
	    true },
	{ "device 404, no backup", 0, 404, "{\"Message\":\"ErrorCode:DeviceNotFound;x\"}", false,
	    ERR_PEER, "Hub client error\ncaused by: ErrorCode:DeviceNotFound;x", false },
	{ "offline", ERR_UNREACHABLE, 0, NULL, true, ERR_OK, NULL, true },
	{ "offline, no backup", ERR_UNREACHABLE, 0, NULL, false, ERR_UNREACHABLE,
	    "Hub client error\ncaused by: scripted failure", false },
	{ "silent", ERR_TIMEOUT, 0, NULL, true, ERR_OK, NULL, true },
	{ "401", 0, 401, "", true, ERR_OK, NULL, true },
	{ "401, no backup", 0, 401, "", false, ERR_PEER,
	    "Hub client error\ncaused by: unexpected HTTP status code: 401", false },
	{ "500", 0, 500, "{\"errorMessage\":\"offline\"}", true, ERR_OK, NULL, true },
	{ "500, no backup", 0, 500, "{\"errorMessage\":\"offline\"}", false, ERR_UNREACHABLE,
	    "Hub client error\ncaused by: offline", false },
	{ "networkError", 0, 400, "{\"errorMessage\":\"offline\",\"networkError\":true}", false,
	    ERR_UNREACHABLE, "Hub client error\ncaused by: offline", false },
	{ "nonsense", 0, 200, "<html>", true, ERR_OK, NULL, true },
	{ "nonsense, no backup", 0, 200, "<html>", false, ERR_PROTOCOL, NULL, false },
	{ "another module", 0, 200, "{\"moduleId\":\"b\",\"generationId\":\"1\"}", false,
	    ERR_PROTOCOL, NULL, false },
	{ "no generation", 0, 200, "{\"moduleId\":\"moduleA\"}", false, ERR_INVALID, NULL, false },
};

START_TEST(test_read)
{
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		struct fake_https_rule rule = { .url = MODULE,
			.fail = reads[i].fail,
			.status = reads[i].status,
			.body = reads[i].body };
		enum err_code code;

		setup();
		if (reads[i].backup)
			put_backup("77");
		fake_https_add(&rule);
		code = modules_get(modules, device, "moduleA", false, &got, &err);
		ck_assert_msg(
		    code == reads[i].code, "%s: %s: %s", reads[i].what, err_name(code), err.text);
		if (reads[i].text)
			ck_assert_str_eq(err.text, reads[i].text);
		if (code == ERR_OK)
			check_identity("77");
		ck_assert_msg(has_backup() == reads[i].backup_after, "%s", reads[i].what);
		/* with a backup nobody is kept waiting */
		ck_assert(!reads[i].backup || w.pauses.n == 0);
		teardown();
	}
}
END_TEST

START_TEST(test_prefer_backup)
{
	setup();
	put_backup("77");
	ck_ok(modules_get(modules, device, "moduleA", true, &got, &err));
	ck_assert_uint_eq(fake_https_count(), 0);
	check_identity("77");
	identity_done(&got);
	answer("GET", HUB "/other" V, 200, "{\"moduleId\":\"other\",\"generationId\":\"5\"}");
	ck_ok(modules_get(modules, device, "other", true, &got, &err));
	ck_assert_uint_eq(fake_https_count(), 1);
	teardown();
}
END_TEST

START_TEST(test_update_delete)
{
	setup();
	answer("GET", MODULE, 200, FRESH);
	answer("PUT", MODULE, 200, OURS);
	ck_ok(modules_update(modules, device, "moduleA", &got, &err));
	check_identity(GEN);
	ck_assert(has_backup());
	answer_n("DELETE", MODULE, 1, 204, "");
	ck_ok(modules_delete(modules, device, "moduleA", &err));
	ck_assert_ptr_nonnull(strstr(fake_https_seen(2)->headers, "If-Match: *\n"));
	ck_assert(!has_backup());
	answer("DELETE", MODULE, 404, "");
	ck_err(modules_delete(modules, device, "moduleA", &err), ERR_NOT_FOUND);
	answer("GET", HUB "/gone" V, 404, "");
	ck_err(modules_update(modules, device, "gone", &got, &err), ERR_NOT_FOUND);
	answer("DELETE", HUB "/gone" V, 412, "");
	ck_err(modules_delete(modules, device, "gone", &err), ERR_NOT_FOUND);
	teardown();
}
END_TEST

START_TEST(test_list)
{
	AUTO(identity_list_done) struct identity_list list = { 0 };
	AUTO(str_freep) char *text = NULL;

	setup();
	answer("GET", HUB V, 200,
	    "[" OURS ",{\"moduleId\":\"$edgeAgent\",\"deviceId\":\"press-17\"}]");
	ck_ok(modules_list(modules, device, &list, &err));
	ck_ok(fields_write_text(identity_list_fields, &list, &text, &err));
	/* list entries have no auth (identityd.md 1), as recorded */
	ck_assert_str_eq(text,
	    "{\"identities\":[{\"type\":\"aziot\",\"spec\":{\"hubName\":\"hub.demo:8444\","
	    "\"gatewayHost\":\"hub.demo:8444\",\"deviceId\":\"press-17\",\"moduleId\":\"moduleA\","
	    "\"genId\":\"" GEN "\"}},{\"type\":\"aziot\",\"spec\":{\"hubName\":\"hub.demo:8444\","
	    "\"gatewayHost\":\"hub.demo:8444\",\"deviceId\":\"press-17\",\"moduleId\":\"$"
	    "edgeAgent\"}}]}");
	teardown();
}
END_TEST

START_TEST(test_ids)
{
	static const char *const wrong[] = { "", ".", "..", "a/b", "a b", "a\nb", "\xc3\xa4", "a\"",
		"a&b" };

	setup();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		ck_err(modules_get(modules, device, wrong[i], false, &got, &err), ERR_INVALID);
		ck_err(modules_create(modules, device, wrong[i], &got, &err), ERR_INVALID);
		ck_err(modules_delete(modules, device, wrong[i], &err), ERR_INVALID);
	}
	ck_assert_uint_eq(fake_https_count(), 0);
	/* encoded once, all but unreserved (cloud-iothub.md 1) */
	answer("DELETE", "*", 204, "");
	ck_ok(modules_delete(modules, device, "$edge%Agent", &err));
	ck_assert_str_eq(fake_https_seen(0)->url, HUB "/%24edge%25Agent" V);
	teardown();
}
END_TEST

static void
swallow(void *ctx, const char *method, const char *url)
{
	(void)ctx, (void)method, (void)url;
	usleep(3100000);
}

START_TEST(test_silent_hub)
{
	/* a network that swallows packets costs one caller its time, and not each of them */
	setup();
	put_backup("77");
	fake_https_hook(swallow, NULL);
	ck_ok(modules_get(modules, device, "moduleA", false, &got, &err));
	identity_done(&got);
	for (size_t i = 0; i < 3; i++) {
		ck_ok(modules_get(modules, device, "moduleA", false, &got, &err));
		check_identity("77");
		identity_done(&got);
	}
	ck_assert_uint_eq(fake_https_count(), 1);
	/* who has no backup is sent there */
	fake_https_hook(NULL, NULL);
	ck_err(modules_get(modules, device, "other", false, &got, &err), ERR_UNREACHABLE);
	ck_assert_uint_gt(fake_https_count(), 1);
	teardown();
}
END_TEST

START_TEST(test_parent)
{
	/* cloud-iothub.md 3 and 5: the parent is asked, in the name of the hub */
	AUTO(device_unrefp) struct device *child = NULL;

	setup();
	ck_ok(device_new("Hub.demo", "parent:444", "Dev-1", "device-id", &child, &err));
	answer("GET", "https://parent:444/devices/Dev-1/modules/m" V, 200,
	    "{\"moduleId\":\"m\",\"generationId\":\"1\"}");
	ck_ok(modules_get(modules, child, "m", false, &got, &err));
	ck_assert_str_eq(got.hub_name, "Hub.demo");
	ck_assert_str_eq(got.gateway_host, "parent:444");
	ck_assert_ptr_nonnull(strstr(
	    fake_https_seen(0)->headers, "SharedAccessSignature sr=hub.demo/devices/dev-1&sig="));
	teardown();
}
END_TEST

START_TEST(test_keyd_restarted)
{
	/* a handle that keyd no longer takes is fetched anew, once */
	setup();
	put_backup("1");
	ck_ok(modules_get(modules, device, "moduleA", true, &got, &err));
	identity_done(&got);
	fake_keyd_fail(FAKE_DERIVE, 0, ERR_PEER, 400, "invalid handle");
	ck_ok(modules_get(modules, device, "moduleA", true, &got, &err));
	identity_done(&got);
	fake_keyd_fail(FAKE_DERIVE, 0, ERR_UNREACHABLE, 0, "away");
	ck_err(modules_get(modules, device, "moduleA", true, &got, &err), ERR_UNREACHABLE);
	ck_assert_str_eq(err.text, "Key client error\ncaused by: away");
	teardown();
}
END_TEST

START_TEST(test_master_made)
{
	setup();
	fake_keyd_reset();
	put_backup("1");
	ck_ok(modules_get(modules, device, "moduleA", true, &got, &err));
	ck_assert_uint_eq(fake_keyd_calls(FAKE_CREATE_KEY), 1);
	ck_assert(fake_keyd_has_key("aziot_identityd_master_id"));
	identity_done(&got);
	/* keyd that is merely away is no reason to make one */
	fake_keyd_fail(FAKE_LOAD_KEY, 0, ERR_UNREACHABLE, 0, "away");
	modules_free(modules);
	ck_ok(modules_new(w.cloud, w.keyd, state, &modules, &err));
	ck_err(modules_get(modules, device, "moduleA", true, &got, &err), ERR_UNREACHABLE);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_CREATE_KEY), 1);
	teardown();
}
END_TEST

TEST_MAIN("identityd/modules", test_create, test_create_existing, test_resumed,
    test_other_authentication, test_read, test_prefer_backup, test_update_delete, test_list,
    test_ids, test_silent_hub, test_parent, test_keyd_restarted, test_master_made)
