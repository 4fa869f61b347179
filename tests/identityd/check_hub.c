#include "identityd/hub.h"

#include "tests/identityd/cloud_support.h"

#define V	 "?api-version=2017-11-08-preview"
#define DEVICE	 "https://Hub.demo:8444/devices/Dev%2B%2417/modules"
#define AUDIENCE "SharedAccessSignature sr=hub.demo:8444/devices/"
#define MODULE \
	"{\"moduleId\":\"$m\",\"deviceId\":\"Dev+$17\",\"generationId\":\"6378\",\"etag\":\"e\"}"

static struct world w;
static struct device *device;
static struct err err;

static void
begin(const char *gateway)
{
	err = (struct err){ 0 };
	world_begin(&w);
	ck_ok(device_new("Hub.demo:8444", gateway, "Dev+$17", "device-id", &device, &err));
}

static void
finish(void)
{
	device_unrefp(&device);
	world_end(&w);
}

enum call { LIST, GET, CREATE, SET_KEYS, DELETE };

/* That call about module `$m`; what comes back besides the code is thrown away. */
static enum err_code
call(enum call what)
{
	const struct hub_ask ask = { .cloud = w.cloud, .device = device, .once = true };
	AUTO(hub_module_list_done) struct hub_module_list list = { 0 };
	AUTO(hub_module_done) struct hub_module got = { 0 };
	const struct hub_module module = {
		.module_id = (char *)"$m",
		.managed_by = (char *)"IotEdge",
		.generation_id = (char *)"6378",
	};

	err = (struct err){ 0 };
	switch (what) {
	case LIST:
		return hub_list(&ask, &list, &err);
	case GET:
		return hub_get(&ask, "$m", &got, &err);
	case CREATE:
		return hub_create(&ask, "$m", &got, &err);
	case SET_KEYS:
		return hub_set_keys(&ask, &module, "cHJpbWFyeQ==", "c2Vjb25kYXJ5", &got, &err);
	case DELETE:
		return hub_delete(&ask, "$m", &err);
	}
	return ERR_INTERNAL;
}

/* cloud-iothub.md 1 and 2: what each call puts on the wire; ids are encoded, all but what is unreserved */
static const struct {
	enum call call;
	const char *method, *url;
	bool if_match;
	const char *body;
	unsigned status;
	const char *answer;
} asked[] = {
	{ LIST, "GET", DEVICE V, false, "", 200, "[" MODULE "," MODULE "]" },
	{ LIST, "GET", DEVICE V, false, "", 200, "[]" },
	{ GET, "GET", DEVICE "/%24m" V, false, "", 200, MODULE },
	{ CREATE, "PUT", DEVICE "/%24m" V, false, "{\"moduleId\":\"$m\",\"deviceId\":\"Dev+$17\"}",
	    200, MODULE },
	{ CREATE, "PUT", DEVICE "/%24m" V, false, "{\"moduleId\":\"$m\",\"deviceId\":\"Dev+$17\"}",
	    201, MODULE },
	{ SET_KEYS, "PUT", DEVICE "/%24m" V, true,
	    "{\"moduleId\":\"$m\",\"managedBy\":\"IotEdge\",\"deviceId\":\"Dev+$17\","
	    "\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"cHJpbWFyeQ==\","
	    "\"secondaryKey\":\"c2Vjb25kYXJ5\"},\"type\":\"sas\"}}",
	    200, MODULE },
	{ DELETE, "DELETE", DEVICE "/%24m" V, true, "", 204, "" },
	{ DELETE, "DELETE", DEVICE "/%24m" V, true, "", 200, "" },
};

START_TEST(test_asked)
{
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		const struct fake_https_seen *seen;

		begin(NULL);
		answer(NULL, "*", asked[i].status, asked[i].answer);
		ck_assert_msg(call(asked[i].call) == ERR_OK, "row %zu: %s", i, err.text);
		ck_assert_uint_eq(fake_https_count(), 1);
		seen = fake_https_seen(0);
		ck_assert_str_eq(seen->method, asked[i].method);
		ck_assert_str_eq(seen->url, asked[i].url);
		ck_assert_str_eq(seen->body, asked[i].body);
		ck_assert(
		    (strcasestr(seen->headers, "if-match: *\n") != NULL) == asked[i].if_match);
		ck_assert_ptr_nonnull(strstr(seen->headers, AUDIENCE));
		ck_assert_ptr_null(strstr(seen->headers, "skn="));
		finish();
	}
}
END_TEST

/* cloud-iothub.md 3: asked at the parent, by a token for the hub */
START_TEST(test_gateway)
{
	begin("parent.plant:443");
	answer("GET", "https://parent.plant:443/devices/*", 200, MODULE);
	ck_ok(call(GET));
	ck_assert_ptr_nonnull(strstr(fake_https_seen(0)->headers, AUDIENCE));
	finish();
}
END_TEST

#define WHO	 "Hub client error\ncaused by: "
#define NO_SUCH	 "module identity not found"
#define UNUSABLE WHO "the answer cannot be understood\ncaused by: "

/* cloud-iothub.md 4: the shapes of errors, and what each means; then answers that are none */
static const struct {
	enum call call;
	unsigned status;
	const char *answer;
	enum err_code code;
	const char *text; /* its beginning */
	bool device;	  /* the hub no longer takes the device */
} refused[] = {
	{ GET, 401, "{\"Message\":\"ErrorCode:IotHubUnauthorizedAccess;Unauthorized\"}", ERR_PEER,
	    WHO "ErrorCode:IotHubUnauthorizedAccess;Unauthorized", true },
	{ GET, 401, "", ERR_PEER, WHO "unexpected HTTP status code: 401", true },
	{ LIST, 403, "<html>", ERR_PEER, WHO "unexpected HTTP status code: 403", true },
	{ LIST, 404, "{\"Message\":\"ErrorCode:DeviceNotFound;x\"}", ERR_PEER,
	    WHO "ErrorCode:DeviceNotFound;x", true },
	{ GET, 404, "{\"Message\":\"{\\\"errorCode\\\":404001}\"}", ERR_PEER, WHO "{", true },
	{ GET, 404, "{\"Message\":\"ErrorCode:DeviceNotFound;x\"}", ERR_PEER,
	    WHO "ErrorCode:DeviceNotFound;x", true },
	{ GET, 404, "{\"Message\":\"ErrorCode:ModuleNotFound;x\"}", ERR_NOT_FOUND, NO_SUCH, false },
	{ GET, 404, "", ERR_NOT_FOUND, NO_SUCH, false },
	{ GET, 204, "", ERR_NOT_FOUND, NO_SUCH, false },
	{ SET_KEYS, 412, "", ERR_NOT_FOUND, NO_SUCH, false },
	{ DELETE, 404, "", ERR_NOT_FOUND, NO_SUCH, false },
	{ DELETE, 412, "", ERR_NOT_FOUND, NO_SUCH, false },
	{ CREATE, 409, "{\"Message\":\"ErrorCode:ModuleAlreadyExistsOnDevice;x\"}", ERR_CONFLICT,
	    "the module exists already", false },
	{ CREATE, 413, "{\"errorMessage\":\"too\\nmany\"}", ERR_PEER, WHO "too?many", false },
	{ GET, 400, "{\"errorMessage\":\"no\"}", ERR_PEER, WHO "no", false },
	{ GET, 500, "{\"errorMessage\":\"offline\"}", ERR_UNREACHABLE, WHO "offline", false },
	{ GET, 503, "", ERR_UNREACHABLE, WHO "unexpected HTTP status code: 503", false },
	{ LIST, 204, "", ERR_PEER, WHO "unexpected HTTP status code: 204", false },
	/* a PUT may be answered by 201, a GET may not */
	{ GET, 201, MODULE, ERR_PEER, WHO "unexpected HTTP status code: 201", false },
	{ GET, 200, "", ERR_PROTOCOL, UNUSABLE, false },
	{ GET, 200, "{\"moduleId\":\"$m\"", ERR_PROTOCOL, UNUSABLE, false },
	{ GET, 200, "[" MODULE "]", ERR_PROTOCOL, UNUSABLE, false },
	{ LIST, 200, MODULE, ERR_PROTOCOL, UNUSABLE, false },
	{ GET, 200, "{\"moduleId\":\"$n\",\"deviceId\":\"Dev+$17\",\"generationId\":\"1\"}",
	    ERR_PROTOCOL, WHO "the answer is about another module", false },
	/* it becomes part of key names, and of what is signed */
	{ CREATE, 200,
	    "{\"moduleId\":\"$m\",\"deviceId\":\"Dev+$17\",\"generationId\":\"a b/../c\"}",
	    ERR_PROTOCOL, WHO "the answer has no usable generation id", false },
};

START_TEST(test_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		begin(NULL);
		answer(NULL, "*", refused[i].status, refused[i].answer);
		ck_assert_msg(call(refused[i].call) == refused[i].code &&
				  strncmp(err.text, refused[i].text, strlen(refused[i].text)) == 0,
		    "row %zu: %s: %s", i, err_name(err.code), err.text);
		ck_assert_msg(hub_rejects_device(&err) == refused[i].device, "row %zu", i);
		finish();
	}
}
END_TEST

/* what fails before the hub is asked names who failed */
START_TEST(test_no_token)
{
	begin(NULL);
	fake_keyd_fail(FAKE_SIGN, 0, ERR_UNREACHABLE, 0, "keyd is away");
	ck_assert_int_ne(call(GET), ERR_OK);
	ck_assert_msg(strncmp(err.text, "Key client error", 16) == 0, "%s", err.text);
	ck_assert(!hub_rejects_device(&err));
	ck_assert_uint_eq(fake_https_count(), 0);
	finish();
	begin(NULL); /* no rule: the connection is refused */
	ck_assert_int_eq(call(GET), ERR_UNREACHABLE);
	ck_assert_msg(strncmp(err.text, WHO, strlen(WHO)) == 0, "%s", err.text);
	finish();
}
END_TEST

TEST_MAIN("identityd/hub", test_asked, test_gateway, test_refused, test_no_token)
