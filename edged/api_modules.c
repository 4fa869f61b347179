#include "edged/api.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "edged/modules.h"
#include "edged/service.h"
#include "edged/view.h"
#include "edged/when.h"
#include "http/server.h"

/* The name in a path; upstream's clients may put a slash before it. */
static const char *
name_of(const struct request *req)
{
	return req->params[0] + (req->params[0][0] == '/');
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/* --- a spec from the wire */

struct spec {
	struct edged_module_spec body;
	struct edged_module_settings settings;
	struct module_spec spec; /* borrows from both */
};

static void
spec_done(struct spec *s)
{
	edged_module_spec_done(&s->body);
	edged_module_settings_done(&s->settings);
}

static enum err_code
policy_of(const char *text, enum edged_pull_policy *ret, struct err *err)
{
	if (!text || strcasecmp(text, "on-create") == 0)
		*ret = EDGED_PULL_ON_CREATE;
	else if (strcasecmp(text, "never") == 0)
		*ret = EDGED_PULL_NEVER;
	else
		return err_set(err, ERR_INVALID, "invalid imagePullPolicy");
	return ERR_OK;
}

static enum err_code
env_check(const struct edged_module_config *config, struct err *err)
{
	for (size_t i = 0; i < config->env.n; i++) {
		const char *key = config->env.at[i].key;

		for (size_t j = 0; j < i; j++)
			if (strcmp(config->env.at[j].key, key) == 0)
				return err_set(err, ERR_INVALID, "duplicate env var key: %s", key);
		if (!*key || strchr(key, '='))
			return err_set(err, ERR_INVALID, "invalid env var key: %s", key);
	}
	return ERR_OK;
}

static enum err_code
spec_read(struct spec *s, const struct request *req, struct err *err)
{
	struct err settings = { 0 };

	if (edged_module_spec_read(&s->body, req->body, err))
		return err->code;
	if (is_blank(s->body.name))
		return err_set(err, ERR_INVALID, "invalid parameter: name");
	if (is_blank(s->body.type))
		return err_set(err, ERR_INVALID, "invalid parameter: type");
	if (policy_of(s->body.image_pull_policy, &s->spec.pull, err) ||
	    env_check(&s->body.config, err))
		return err->code;
	if (fields_read_text(edged_module_settings_fields, &s->settings,
		text_of(s->body.config.settings), &settings))
		return err_set(err, settings.code == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID,
		    "invalid Docker config: %s", settings.text);
	if (strcmp(s->body.type, "docker") != 0)
		return err_set(err, ERR_INTERNAL, "invalid module type: \"%s\"", s->body.type);
	s->spec.name = s->body.name;
	s->spec.settings = &s->settings;
	s->spec.env = s->body.config.env.at;
	s->spec.n_env = s->body.config.env.n;
	return ERR_OK;
}

/* --- answers */

/* The caller's own settings again, but for the registry's credentials (edged-weaknesses.md A13). */
static enum err_code
echo(const struct spec *s, const struct edged_module_status *status, struct response *resp,
    struct err *err)
{
	struct edged_module_settings shown = s->settings;
	AUTO(str_freep) char *settings = NULL;
	struct edged_module module = {
		.id = (char *)"id",
		.name = s->body.name,
		.type = (char *)"docker",
		.config = s->body.config,
		.status = *status,
	};

	shown.auth = NULL;
	if (fields_write_text(edged_module_settings_fields, &shown, &settings, err))
		return err->code;
	module.config.settings = settings;
	return response_json(resp, 201, edged_module_fields, &module, err);
}

enum err_code
edged_module_list_get(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(edged_module_list_done) struct edged_module_list list = { 0 };

	(void)req;
	if (modules_list(edged->modules, &list, err))
		return err->code;
	return response_json(resp, 200, edged_module_list_fields, &list, err);
}

enum err_code
edged_module_get(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(edged_module_done) struct edged_module module = { 0 };

	if (modules_get(edged->modules, name_of(req), &module, err))
		return err->code;
	return response_json(resp, 200, edged_module_fields, &module, err);
}

enum err_code
edged_module_create(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(spec_done) struct spec spec = { 0 };
	AUTO(edged_module_done) struct edged_module made = { 0 };

	if (spec_read(&spec, req, err) || modules_create(edged->modules, &spec.spec, err) ||
	    modules_get(edged->modules, spec.spec.name, &made, err))
		return err->code;
	return echo(&spec, &made.status, resp, err);
}

/* --- replacing */

struct replacement {
	struct edged *edged;
	struct spec spec;
	uid_t caller;
	bool start;
};

static void
replacement_end(struct replacement *r, const struct err *err)
{
	if (err->code)
		log_error("could not replace module %s: %s", r->spec.spec.name, err->text);
	spec_done(&r->spec);
	free(r);
}

static void
replacement_run(void *job)
{
	struct replacement *r = job;
	struct err err = { 0 };

	(void)!modules_replace(r->edged->modules, r->spec.spec.name, &r->spec.spec, r->start, &err);
	replacement_end(r, &err);
}

static void
replacement_begin(void *ctx)
{
	struct replacement *r = ctx;
	struct err err = { 0 };

	if (pool_submit(http_server_pool(r->edged->server), r->caller, replacement_run, r, &err))
		replacement_end(r, &err);
}

/*
 * edgeAgent asks for its own replacement: it must have the answer before its container is stopped, so the work begins when the
 * answer has been sent.  Where it then fails, edgeAgent stays as it is and will ask again.
 */
static enum err_code
replace_later(struct edged *edged, const struct request *req, struct spec *spec, bool start,
    struct response *resp, struct err *err)
{
	struct replacement *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem(err);
	*r = (struct replacement){
		.edged = edged, .spec = *spec, .caller = req->peer->uid, .start = start
	};
	r->spec.spec.settings = &r->spec.settings;
	*spec = (struct spec){ 0 };
	resp->sent = replacement_begin;
	resp->sent_ctx = r;
	return ERR_OK;
}

static enum err_code
start_param(const struct request *req, bool *ret, struct err *err)
{
	const char *text = request_query(req, "start");

	if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(err, ERR_INVALID, "invalid parameter: start");
	*ret = text && strcmp(text, "true") == 0;
	return ERR_OK;
}

enum err_code
edged_module_replace(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	const char *name = name_of(req);
	AUTO(spec_done) struct spec spec = { 0 };
	struct edged_module_status status = { 0 };
	bool start = false;

	if (spec_read(&spec, req, err) || start_param(req, &start, err))
		return err->code;
	status.runtime_status.status = (char *)(start ? "running" : "stopped");
	if (strcmp(name, EDGED_AGENT_NAME) == 0 && strcmp(spec.spec.name, name) == 0) {
		if (modules_check(edged->modules, &spec.spec, err) ||
		    echo(&spec, &status, resp, err))
			return err->code;
		return replace_later(edged, req, &spec, start, resp, err);
	}
	if (modules_replace(edged->modules, name, &spec.spec, start, err))
		return err->code;
	return echo(&spec, &status, resp, err);
}

/* --- acting */

enum err_code
edged_module_delete(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;

	if (modules_remove(edged->modules, name_of(req), err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
edged_module_act(void *service, const struct request *req, struct response *resp, struct err *err)
{
	static const struct {
		const char *action;
		enum err_code (*run)(struct modules *m, const char *name, struct err *err);
	} actions[] = {
		{ "start", modules_start },
		{ "stop", modules_stop },
		{ "restart", modules_restart },
	};
	struct edged *edged = service;

	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcasecmp(req->params[1], actions[i].action) == 0) {
			if (actions[i].run(edged->modules, name_of(req), err))
				return err->code;
			return response_empty(resp, 204);
		}
	return err_set(err, ERR_NOT_FOUND, "not found");
}

enum err_code
edged_module_prepare_update(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	AUTO(spec_done) struct spec spec = { 0 };

	if (spec_read(&spec, req, err))
		return err->code;
	if (strcmp(spec.spec.name, name_of(req)) != 0)
		return err_set(err, ERR_INVALID, "module name in spec does not match URI");
	if (modules_pull(edged->modules, &spec.spec, err))
		return err->code;
	return response_empty(resp, 204);
}

/* --- logs */

static enum err_code
flag_param(const struct request *req, const char *name, bool *ret, struct err *err)
{
	const char *text = request_query(req, name);

	if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(err, ERR_INVALID, "invalid parameter: %s", name);
	*ret = text && strcmp(text, "true") == 0;
	return ERR_OK;
}

static enum err_code
time_param(
    const struct request *req, const char *name, int64_t absent, int64_t *ret, struct err *err)
{
	const char *text = request_query(req, name);
	struct err why = { 0 };

	*ret = absent;
	if (text && when_parse(text, clock_unix(), ret, &why))
		return err_set(err, ERR_INVALID, "invalid parameter: %s", name);
	return ERR_OK;
}

static enum err_code
tail_param(const struct request *req, int64_t *ret, struct err *err)
{
	const char *text = request_query(req, "tail");
	unsigned long long lines = 0;
	char *end = NULL;

	*ret = -1;
	if (!text || strcmp(text, "all") == 0)
		return ERR_OK;
	if (*text >= '0' && *text <= '9')
		lines = strtoull(text, &end, 10);
	if (!end || *end)
		return err_set(err, ERR_INVALID, "invalid parameter: tail");
	/* more than any log has; the engine's number is a signed one */
	*ret = lines > INT64_MAX ? -1 : (int64_t)lines;
	return ERR_OK;
}

static ssize_t
logs_read(void *ctx, char *out, size_t max)
{
	return engine_stream_read(ctx, out, max);
}

static void
logs_done(void *ctx)
{
	engine_stream_close(ctx);
}

static void
logs_cancel(void *ctx)
{
	engine_stream_cancel(ctx);
}

enum err_code
edged_module_logs(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct edged *edged = service;
	struct engine_stream *stream = NULL;
	struct engine_logs want;

	if (flag_param(req, "follow", &want.follow, err) ||
	    flag_param(req, "timestamps", &want.timestamps, err) ||
	    tail_param(req, &want.tail, err) || time_param(req, "since", 0, &want.since, err) ||
	    time_param(req, "until", -1, &want.until, err) ||
	    modules_logs(edged->modules, name_of(req), &want, &stream, err))
		return err->code;
	return response_stream(resp, 200, "text/plain",
	    &(struct http_stream){
		.read = logs_read, .done = logs_done, .cancel = logs_cancel, .ctx = stream });
}
