#include "edged/engine_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/uri.h"

#define TIMEOUT_MS	60000
#define VERSION_MS	3000 /* the first question to an engine: one that hangs is as good as away */
#define STOP_TIMEOUT_MS 300000 /* a container may ask for more grace than the engine's 10 s */

/* API versions whose answers we read alike (contracts/docker.md 1) */
#define OLDEST_MINOR 40
#define WANT_MINOR   41
#define NEWEST_MINOR 52

#define OWNER_FILTER "{\"label\":[\"" ENGINE_OWNER_LABEL "=" ENGINE_OWNER_VALUE "\"]}"

enum err_code
engine_new(const struct engine_config *config, struct engine **ret, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));
	struct unix_client_config http = {
		.path = config->socket,
		.host = "docker",
		.timeout_ms = config->timeout_ms ? config->timeout_ms : TIMEOUT_MS,
	};

	if (!e)
		return err_nomem(err);
	e->timeout_ms = http.timeout_ms;
	pthread_mutex_init(&e->lock, NULL);
	if (str_copy(&e->socket, config->socket, err) || unix_client_new(&http, &e->http, err)) {
		engine_free(e);
		return err->code;
	}
	*ret = e;
	return ERR_OK;
}

void
engine_free(struct engine *e)
{
	if (!e)
		return;
	unix_client_free(e->http);
	pthread_mutex_destroy(&e->lock);
	free(e->socket);
	free(e);
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

enum err_code
engine_name_check(const char *name, struct err *err)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!is_alnum(name[i]) && (i == 0 || !strchr("_.-", name[i])))
			return err_set(err, ERR_INVALID, "invalid module name");
	if (len < 2 || len > ENGINE_NAME_MAX)
		return err_set(err, ERR_INVALID, "invalid module name");
	return ERR_OK;
}

/* --- API version */

/* "1.NN" -> NN; -1 for anything else. */
static int
minor_of(const char *version)
{
	int minor = -1;
	char rest;

	if (!version || sscanf(version, "1.%3d%c", &minor, &rest) != 1)
		return -1;
	return minor;
}

static enum err_code
choose_version(const struct engine_version *v, char ret[16], struct err *err)
{
	int max = minor_of(v->api_version), min = minor_of(v->min_api_version);
	int minor = WANT_MINOR;

	if (max < WANT_MINOR)
		minor = max;
	if (min > WANT_MINOR)
		minor = max < NEWEST_MINOR ? max : NEWEST_MINOR;
	if (minor < OLDEST_MINOR || min > NEWEST_MINOR)
		return err_set(err, ERR_PROTOCOL,
		    "the container engine speaks API %s to %s, and 1.%d to 1.%d is needed",
		    v->min_api_version ? v->min_api_version : "?", v->api_version, OLDEST_MINOR,
		    NEWEST_MINOR);
	snprintf(ret, 16, "1.%d", minor);
	return ERR_OK;
}

static enum err_code
ask_version(struct engine *e, struct engine_version *ret, struct err *err)
{
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	struct http_call call = {
		.method = "GET", .target = "/version", .idempotent = true, .timeout_ms = VERSION_MS
	};
	struct engine_ask ask = { .want = 200 };

	if (unix_client_call(e->http, &call, &reply, err) || engine_judge(&ask, &reply, err) ||
	    fields_read_text(engine_version_fields, ret, text_of_bytes(&reply.body), err))
		return err->code;
	return ERR_OK;
}

static enum err_code
learn_version(struct engine *e, char ret[16], struct err *err)
{
	AUTO(engine_version_done) struct engine_version v = { 0 };

	if (ask_version(e, &v, err))
		return err->code;
	return choose_version(&v, ret, err);
}

enum err_code
engine_describe(struct engine *e, char **ret, struct err *err)
{
	AUTO(engine_version_done) struct engine_version v = { 0 };
	char agreed[16];

	if (ask_version(e, &v, err) || choose_version(&v, agreed, err))
		return err->code;
	return str_format(ret, err, "%s, API %s", v.version ? v.version : "no version", agreed);
}

enum err_code
engine_negotiate(struct engine *e, char ret_version[16], struct err *err)
{
	char version[16];

	pthread_mutex_lock(&e->lock);
	memcpy(version, e->version, sizeof(version));
	pthread_mutex_unlock(&e->lock);
	if (!version[0]) {
		if (learn_version(e, version, err))
			return err_wrap(
			    err, "the container engine at %s does not answer", e->socket);
		pthread_mutex_lock(&e->lock);
		memcpy(e->version, version, sizeof(version));
		pthread_mutex_unlock(&e->lock);
	}
	memcpy(ret_version, version, sizeof(version));
	return ERR_OK;
}

enum err_code
engine_failed(struct engine *e, struct err *err)
{
	pthread_mutex_lock(&e->lock);
	e->version[0] = '\0';
	pthread_mutex_unlock(&e->lock);
	return err->code;
}

/* --- one call */

enum err_code
engine_prepare(struct engine *e, const struct engine_ask *ask, char **target,
    struct http_call *call, struct err *err)
{
	char version[16];

	if (engine_negotiate(e, version, err) ||
	    str_format(target, err, "/v%s%s", version, ask->path))
		return err->code;
	*call = (struct http_call){
		.method = ask->method,
		.target = *target,
		.headers = ask->headers,
		.body = ask->body,
		.idempotent = ask->idempotent,
		.timeout_ms = ask->timeout_ms,
	};
	return ERR_OK;
}

enum err_code
engine_judge(const struct engine_ask *ask, const struct http_reply *reply, struct err *err)
{
	AUTO(engine_error_done) struct engine_error said = { 0 };
	struct err unread = { 0 };

	if (reply->status == ask->want || (ask->or_want && reply->status == ask->or_want))
		return ERR_OK;
	/* a proxy in between may answer with HTML, an engine with nothing: the status says enough then */
	if (fields_read_text(engine_error_fields, &said, text_of_bytes(&reply->body), &unread) ||
	    !said.message)
		err_set(
		    err, ERR_PEER, "the container engine answered with status %u", reply->status);
	else
		err_set(err, ERR_PEER, "%s", said.message);
	err->status = (uint16_t)reply->status;
	return err->code;
}

enum err_code
engine_call(struct engine *e, const struct engine_ask *ask, struct http_reply *ret, struct err *err)
{
	AUTO(http_reply_done) struct http_reply own = { 0 };
	AUTO(str_freep) char *target = NULL;
	struct http_reply *reply = ret ? ret : &own;
	struct http_call call;

	if (engine_prepare(e, ask, &target, &call, err))
		return err->code;
	if (unix_client_call(e->http, &call, reply, err))
		return engine_failed(e, err);
	return engine_judge(ask, reply, err);
}

/* A call whose answer is read by a table. */
static enum err_code
call_for(
    struct engine *e, const struct engine_ask *ask, fields_fn *table, void *ret, struct err *err)
{
	AUTO(http_reply_done) struct http_reply reply = { 0 };

	if (engine_call(e, ask, &reply, err))
		return err->code;
	if (fields_read_text(table, ret, text_of_bytes(&reply.body), err))
		return err_wrap_code(
		    err, ERR_PROTOCOL, "cannot read the container engine's answer");
	return ERR_OK;
}

static enum err_code
call_for_array(
    struct engine *e, const struct engine_ask *ask, fields_fn *table, void *ret, struct err *err)
{
	AUTO(http_reply_done) struct http_reply reply = { 0 };

	if (engine_call(e, ask, &reply, err))
		return err->code;
	if (engine_array_read(table, ret, text_of_bytes(&reply.body), err))
		return err_wrap_code(
		    err, ERR_PROTOCOL, "cannot read the container engine's answer");
	return ERR_OK;
}

/*
 * "/containers/NAME" and what follows.  The check leaves no character that would need an escape, so there is none
 * to forget.
 */
static enum err_code
container_path(char **ret, const char *container, const char *what, struct err *err)
{
	if (engine_name_check(container, err))
		return err->code;
	return str_format(ret, err, "/containers/%s%s", container, what);
}

/* POST /containers/NAME/verb */
static enum err_code
container_act(struct engine *e, const char *container, const char *verb, unsigned or_want,
    unsigned timeout_ms, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = {
		.method = "POST", .want = 204, .or_want = or_want, .timeout_ms = timeout_ms
	};

	if (container_path(&path, container, verb, err))
		return err->code;
	ask.path = path;
	return engine_call(e, &ask, NULL, err);
}

/* --- containers */

enum err_code
engine_server_version(struct engine *e, char **ret, struct err *err)
{
	AUTO(engine_info_done) struct engine_info info = { 0 };
	struct engine_ask ask = {
		.method = "GET", .path = "/info", .idempotent = true, .want = 200
	};

	if (call_for(e, &ask, engine_info_fields, &info, err))
		return err->code;
	return str_copy(ret, info.server_version ? info.server_version : "", err);
}

enum err_code
engine_create(struct engine *e, const char *name, const char *body, char **ret_id, struct err *err)
{
	AUTO(engine_created_done) struct engine_created made = { 0 };
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "POST", .body = text_of(body), .want = 201 };

	if (engine_name_check(name, err) ||
	    str_format(&path, err, "/containers/create?name=%s", name))
		return err->code;
	ask.path = path;
	if (call_for(e, &ask, engine_created_fields, &made, err))
		return err->code;
	*ret_id = made.id;
	made.id = NULL;
	return ERR_OK;
}

enum err_code
engine_inspect(
    struct engine *e, const char *container, struct engine_container *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "GET", .idempotent = true, .want = 200 };

	if (container_path(&path, container, "/json", err))
		return err->code;
	ask.path = path;
	return call_for(e, &ask, engine_container_fields, ret, err);
}

enum err_code
engine_list(struct engine *e, struct engine_items *ret, struct err *err)
{
	AUTO(str_freep) char *filter = NULL;
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "GET", .idempotent = true, .want = 200 };

	if (uri_encode(URI_FORM, text_of(OWNER_FILTER), &filter, err) ||
	    str_format(&path, err, "/containers/json?all=true&filters=%s", filter))
		return err->code;
	ask.path = path;
	return call_for_array(e, &ask, engine_items_fields, ret, err);
}

enum err_code
engine_start(struct engine *e, const char *container, struct err *err)
{
	return container_act(e, container, "/start", 304, STOP_TIMEOUT_MS, err);
}

enum err_code
engine_stop(struct engine *e, const char *container, int grace_s, struct err *err)
{
	char verb[32] = "/stop";

	if (grace_s >= 0)
		snprintf(verb, sizeof(verb), "/stop?t=%d", grace_s);
	return container_act(e, container, verb, 304,
	    grace_s >= 0 ? (unsigned)grace_s * 1000 + e->timeout_ms : STOP_TIMEOUT_MS, err);
}

enum err_code
engine_restart(struct engine *e, const char *container, struct err *err)
{
	return container_act(e, container, "/restart", 0, STOP_TIMEOUT_MS, err);
}

enum err_code
engine_remove(struct engine *e, const char *container, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "DELETE", .want = 204, .timeout_ms = STOP_TIMEOUT_MS };

	if (container_path(&path, container, "?v=false&force=true", err))
		return err->code;
	ask.path = path;
	return engine_call(e, &ask, NULL, err);
}

enum err_code
engine_stats(struct engine *e, const char *container, char **ret_json, struct err *err)
{
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(str_freep) char *path = NULL;
	struct engine_ask ask = { .method = "GET", .idempotent = true, .want = 200 };

	if (container_path(&path, container, "/stats?stream=false", err))
		return err->code;
	ask.path = path;
	/* read and written again: the text goes into another document, so it must be one value and nothing more */
	if (engine_call(e, &ask, &reply, err) || json_read(text_of_bytes(&reply.body), &json, err))
		return err->code;
	return json_write(json, ret_json, err);
}

/* --- networks */

enum err_code
engine_network_find(struct engine *e, const char *name, bool *ret_found, struct err *err)
{
	AUTO(engine_networks_done) struct engine_networks list = { 0 };
	struct engine_ask ask = {
		.method = "GET", .path = "/networks", .idempotent = true, .want = 200
	};
	bool found = false;

	/* the engine's own name filter is an unanchored regular expression (docker.md 2), so compare here */
	if (call_for_array(e, &ask, engine_networks_fields, &list, err))
		return err->code;
	for (size_t i = 0; i < list.items.n; i++)
		found = found || strcmp(list.items.at[i].name, name) == 0;
	*ret_found = found;
	return ERR_OK;
}

enum err_code
engine_network_create(struct engine *e, const struct engine_network_req *req, struct err *err)
{
	AUTO(str_freep) char *body = NULL;
	struct engine_ask ask = { .method = "POST", .path = "/networks/create", .want = 201 };

	if (fields_write_text(engine_network_req_fields, req, &body, err))
		return err->code;
	ask.body = text_of(body);
	return engine_call(e, &ask, NULL, err);
}
