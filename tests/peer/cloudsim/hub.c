#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/clock.h"
#include "tests/peer/cloudsim/sim.h"

/* IoT Hub's registry of module identities, and the door for telemetry: contracts/cloud-iothub.md. */

#define ID_MAX 128

const char *const error_shape_names[] = { "classic", "json", "edgehub", "empty", NULL };

/* The shapes that clients must be able to read (cloud-iothub.md 4). */
static json_t *
error_body(enum error_shape shape, int code, const char *name)
{
	AUTO(str_freep) char *inner = NULL;
	char message[128], now[CLOCK_RFC3339_LEN];
	json_t *details;

	clock_rfc3339(clock_unix(), "Z", now);
	snprintf(message, sizeof(message), "ErrorCode:%s;%s", name, name);
	switch (shape) {
	case ERRORS_CLASSIC:
		return json_pack(
		    "{s:s, s:s}", "Message", message, "ExceptionMessage", "Tracking ID:cloudsim");
	case ERRORS_JSON:
		details = json_pack("{s:i, s:s, s:s, s:s}", "errorCode", code, "trackingId",
		    "cloudsim", "message", name, "timestampUtc", now);
		inner = json_dumps(details, JSON_COMPACT);
		json_decref(details);
		return json_pack("{s:s, s:s}", "Message", inner, "ExceptionMessage", "");
	case ERRORS_EDGEHUB:
		return json_pack("{s:s}", "errorMessage", name);
	default:
		return NULL;
	}
}

void
hub_refuse(struct sim *s, struct exchange *x, unsigned status, int code, const char *name,
    const char *verdict)
{
	x->status = status;
	x->verdict = verdict;
	x->error_header = name;
	x->json = error_body(s->errors, code, name);
}

/* --- the registry */

static char *
random_b64(size_t len)
{
	uint8_t random[64];
	char *out = NULL;
	struct err err;

	if (RAND_bytes(random, (int)len) != 1 || b64_encode(B64_STD, random, len, &out, &err))
		abort();
	return out;
}

/* "*" is answered with a fresh tag at each change. */
static void
touch(json_t *module)
{
	AUTO(str_freep) char *etag = random_b64(9);

	json_object_set_new(module, "etag", json_string(etag));
}

static json_t *
module_new(const char *device, const char *id)
{
	AUTO(str_freep) char *primary = random_b64(32);
	AUTO(str_freep) char *secondary = random_b64(32);
	char generation[24];
	uint64_t random;
	json_t *module;

	RAND_bytes((uint8_t *)&random, sizeof(random));
	snprintf(generation, sizeof(generation), "%llu",
	    (unsigned long long)(100000000000000000U + random % 900000000000000000U));
	module = json_pack("{s:s, s:s, s:s, s:n, s:s, s:s, s:s, s:s, s:i, s:{s:s, s:{s:s, s:s}}}",
	    "moduleId", id, "deviceId", device, "generationId", generation, "managedBy", "etag", "",
	    "connectionState", "Disconnected", "connectionStateUpdatedTime", "0001-01-01T00:00:00",
	    "lastActivityTime", "0001-01-01T00:00:00", "cloudToDeviceMessageCount", 0,
	    "authentication", "type", "sas", "symmetricKey", "primaryKey", primary, "secondaryKey",
	    secondary);
	touch(module);
	return module;
}

enum err_code
sim_put_device(
    struct sim *s, const char *id, const struct bytes *keys, size_t n_keys, struct err *err)
{
	static const char *const of_edge[] = { "$edgeAgent", "$edgeHub" };
	json_t *device = json_object_get(s->devices, id), *list = json_array();

	if (!device) {
		device = json_pack("{s:{}}", "modules");
		for (size_t i = 0; s->edge && i < ARRAY_LEN(of_edge); i++) {
			json_t *module = module_new(id, of_edge[i]);

			json_object_set_new(module, "managedBy", json_string("IotEdge"));
			json_object_set_new(json_object_get(device, "modules"), of_edge[i], module);
		}
		json_object_set_new(s->devices, id, device);
	}
	for (size_t i = 0; i < n_keys; i++) {
		AUTO(str_freep) char *text = NULL;

		if (b64_encode(B64_STD, keys[i].data, keys[i].len, &text, err))
			abort();
		json_array_append_new(list, json_string(text));
	}
	json_object_set_new(device, "keys", list);
	return sim_save(s, err);
}

/* The change just made must be on disk before it is confirmed. */
static bool
saved(struct sim *s, struct exchange *x)
{
	struct err err;

	if (!sim_save(s, &err))
		return true;
	fprintf(stderr, "edgekeep-cloudsim: %s\n", err.text);
	hub_refuse(s, x, 500, 500001, "ServerError", "broken");
	return false;
}

/* --- who may */

static bool
api_version_fits(const char *version)
{
	/* YYYY-MM-DD, perhaps with -preview behind */
	if (!version || strlen(version) < 10)
		return false;
	for (int i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? version[i] != '-' : version[i] < '0' || version[i] > '9')
			return false;
	return !version[10] || strcmp(version + 10, "-preview") == 0;
}

static size_t
decode_keys(const json_t *first, const json_t *second, struct bytes keys[2])
{
	const json_t *from[] = { first, second };
	struct err err;
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (json_is_string(from[i]) &&
		    !b64_decode(B64_STD, text_of(json_string_value(from[i])), &keys[n], &err))
			n++;
	return n;
}

/* A token for least or anything between it and what is asked for, signed by one of these two keys. */
static bool
check_token(struct sim *s, struct exchange *x, const char *least, const char *most,
    const json_t *first, const json_t *second)
{
	struct bytes keys[2] = { 0 };
	struct claim claim = { least, most, NULL, keys, decode_keys(first, second, keys) };
	size_t key = 0;
	const char *verdict =
	    verify_token(x->authorization, &claim, clock_unix(), s->max_lifetime_s, &key);
	bool good = strcmp(verdict, "accepted") == 0;

	bytes_done(&keys[0]);
	bytes_done(&keys[1]);
	if (good)
		x->key = key ? "secondary" : "primary";
	else
		hub_refuse(s, x, 401, 401002, "IotHubUnauthorizedAccess", verdict);
	return good;
}

/* Device credentials act on the device's own modules only (cloud-iothub.md 3).  Returns the device, or NULL when refused. */
static json_t *
admit(struct sim *s, struct exchange *x)
{
	json_t *device = json_object_get(s->devices, x->device), *keys;
	char least[512], most[1024];

	if (!api_version_fits(x->api_version)) {
		hub_refuse(s, x, 400, 400001, "InvalidProtocolVersion", "bad-api-version");
		return NULL;
	}
	if (!device) {
		hub_refuse(s, x, 401, 401002, "IotHubUnauthorizedAccess", "unknown-device");
		return NULL;
	}
	snprintf(least, sizeof(least), "%s/devices/%s", s->hub, x->device);
	snprintf(most, sizeof(most), "%s/modules%s%s", least, x->module ? "/" : "",
	    x->module ? x->module : "");
	keys = json_object_get(device, "keys");
	if (!check_token(s, x, least, most, json_array_get(keys, 0), json_array_get(keys, 1)))
		return NULL;
	return device;
}

/* As admit, for one module of it that must be there. */
static json_t *
admit_module(struct sim *s, struct exchange *x, json_t **ret_modules)
{
	json_t *device = admit(s, x), *module;

	if (!device)
		return NULL;
	*ret_modules = json_object_get(device, "modules");
	module = json_object_get(*ret_modules, x->module);
	if (!module)
		hub_refuse(s, x, 404, 404010, "ModuleNotFound", "unknown-module");
	return module;
}

/* `*`, `"*"` or the module's tag, with or without quotes. */
static bool
tag_fits(const char *if_match, const json_t *module)
{
	size_t len = strlen(if_match);
	const char *etag = json_string_value(json_object_get(module, "etag"));

	if (len >= 2 && if_match[0] == '"' && if_match[len - 1] == '"') {
		if_match++;
		len -= 2;
	}
	return text_equal((struct text){ if_match, len }, "*") ||
	       text_equal((struct text){ if_match, len }, etag);
}

/* --- handlers */

static void
answer(struct exchange *x, unsigned status, const json_t *json)
{
	x->status = status;
	x->json = json_deep_copy(json);
}

void
hub_list(struct sim *s, struct exchange *x)
{
	json_t *device = admit(s, x), *module;
	const char *id;

	if (!device)
		return;
	x->status = 200;
	x->json = json_array();
	json_object_foreach(json_object_get(device, "modules"), id, module)
	    json_array_append_new(x->json, json_deep_copy(module));
}

void
hub_get(struct sim *s, struct exchange *x)
{
	json_t *modules, *module = admit_module(s, x, &modules);

	if (module)
		answer(x, 200, module);
}

void
hub_delete(struct sim *s, struct exchange *x)
{
	json_t *modules, *module = admit_module(s, x, &modules);

	if (!module)
		return;
	if (!x->if_match || !tag_fits(x->if_match, module)) {
		hub_refuse(s, x, 412, 412001, "PreconditionFailed",
		    x->if_match ? "stale-if-match" : "no-if-match");
		return;
	}
	json_object_del(modules, x->module);
	if (saved(s, x))
		x->status = 204;
}

/* Keys of 16 to 64 bytes in base64, both of them. */
static bool
symmetric_key_valid(const json_t *key)
{
	static const char *const names[] = { "primaryKey", "secondaryKey" };

	if (!json_is_object(key))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO(bytes_done) struct bytes bytes = { 0 };
		const char *text = json_string_value(json_object_get(key, names[i]));
		struct err err;

		if (!text || b64_decode(B64_STD, text_of(text), &bytes, &err) || bytes.len < 16 ||
		    bytes.len > 64)
			return false;
	}
	return true;
}

static bool
authentication_valid(const json_t *authentication)
{
	static const char *const types[] = { "sas", "selfSigned", "certificateAuthority", "none" };
	const char *type = json_string_value(json_object_get(authentication, "type"));
	const json_t *key = json_object_get(authentication, "symmetricKey");

	if (!authentication || json_is_null(authentication))
		return true;
	for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
		if (strcmp(type, types[i]) == 0)
			return strcmp(type, "sas") == 0 ? symmetric_key_valid(key) : true;
	return false;
}

/* Characters of cloud-iothub.md 1. */
static bool
id_valid(const char *id)
{
	size_t len = strlen(id);

	return len && len <= ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			  "-.+%_#*?!(),=@$'") == len;
}

static bool
same_id(const json_t *body, const char *name, const char *wanted)
{
	const char *id = json_string_value(json_object_get(body, name));

	return id && strcmp(id, wanted) == 0;
}

/* The module that a PUT describes; NULL when refused. */
static json_t *
read_module(struct sim *s, struct exchange *x)
{
	json_t *body;

	if (!x->content_type || strncasecmp(x->content_type, "application/json", 16) != 0 ||
	    (x->content_type[16] && !strchr("; ", x->content_type[16]))) {
		hub_refuse(s, x, 415, 415000, "UnsupportedMediaType", "wrong-content-type");
		return NULL;
	}
	body = json_loadb(x->body.data, x->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(body))
		hub_refuse(s, x, 400, 400006, "DeserializationError", "bad-body");
	else if (!same_id(body, "moduleId", x->module) || !same_id(body, "deviceId", x->device))
		hub_refuse(s, x, 400, 400004, "ArgumentInvalid", "id-mismatch");
	else if (!id_valid(x->module))
		hub_refuse(s, x, 400, 400004, "ArgumentInvalid", "bad-module-id");
	else if (!authentication_valid(json_object_get(body, "authentication")))
		hub_refuse(s, x, 400, 400004, "ArgumentInvalid", "bad-authentication");
	else
		return body;
	json_decref(body);
	return NULL;
}

/* Ids and generation are the hub's; what the body does not name stays. */
static void
module_set(json_t *module, const json_t *body)
{
	static const char *const settable[] = { "managedBy", "authentication" };

	for (size_t i = 0; i < ARRAY_LEN(settable); i++) {
		const json_t *value = json_object_get(body, settable[i]);

		if (value && !json_is_null(value))
			json_object_set_new(module, settable[i], json_deep_copy(value));
	}
	touch(module);
}

/* Create without If-Match, update with it; NULL when refused. */
static json_t *
module_to_set(struct sim *s, struct exchange *x, json_t *modules)
{
	json_t *module = json_object_get(modules, x->module);

	if (x->if_match && !module)
		hub_refuse(s, x, 404, 404010, "ModuleNotFound", "unknown-module");
	else if (x->if_match && !tag_fits(x->if_match, module))
		hub_refuse(s, x, 412, 412001, "PreconditionFailed", "stale-if-match");
	else if (!x->if_match && module)
		hub_refuse(s, x, 409, 409301, "ModuleAlreadyExistsOnDevice", "exists");
	else if (!module && json_object_size(modules) >= s->max_modules)
		hub_refuse(s, x, 413, 413003, "TooManyModulesOnDevice", "too-many-modules");
	else if (!module) {
		module = module_new(x->device, x->module);
		json_object_set_new(modules, x->module, module);
	}
	return x->status ? NULL : module;
}

void
hub_put(struct sim *s, struct exchange *x)
{
	json_t *device = admit(s, x), *body, *module;

	if (!device)
		return;
	body = read_module(s, x);
	if (!body)
		return;
	module = module_to_set(s, x, json_object_get(device, "modules"));
	if (module) {
		module_set(module, body);
		if (saved(s, x))
			answer(x, 200, module);
	}
	json_decref(body);
}

/* A module's own token, by the keys that were registered for it. */
void
hub_event(struct sim *s, struct exchange *x)
{
	json_t *modules = json_object_get(json_object_get(s->devices, x->device), "modules");
	json_t *module = json_object_get(modules, x->module);
	json_t *authentication = json_object_get(module, "authentication");
	json_t *key = json_object_get(authentication, "symmetricKey");
	char least[1024], most[1100];

	snprintf(least, sizeof(least), "%s/devices/%s/modules/%s", s->hub, x->device, x->module);
	snprintf(most, sizeof(most), "%s/messages/events", least);
	if (!api_version_fits(x->api_version))
		hub_refuse(s, x, 400, 400001, "InvalidProtocolVersion", "bad-api-version");
	else if (!module)
		hub_refuse(s, x, 401, 401002, "IotHubUnauthorizedAccess", "unknown-module");
	else if (check_token(s, x, least, most, json_object_get(key, "primaryKey"),
		     json_object_get(key, "secondaryKey")))
		x->status = 204;
}

void
hub_event_device(struct sim *s, struct exchange *x)
{
	json_t *device = json_object_get(s->devices, x->device);
	json_t *keys = json_object_get(device, "keys");
	char least[512], most[600];

	snprintf(least, sizeof(least), "%s/devices/%s", s->hub, x->device);
	snprintf(most, sizeof(most), "%s/messages/events", least);
	if (!api_version_fits(x->api_version))
		hub_refuse(s, x, 400, 400001, "InvalidProtocolVersion", "bad-api-version");
	else if (!device)
		hub_refuse(s, x, 401, 401002, "IotHubUnauthorizedAccess", "unknown-device");
	else if (check_token(s, x, least, most, json_array_get(keys, 0), json_array_get(keys, 1)))
		x->status = 204;
}
