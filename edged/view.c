#include "edged/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edged/engine.h"
#include "edged/when.h"

struct shown_options {
	fields_map labels;
};

static const struct fields *shown_options_fields(void);
FIELDS_ARM(
    shown_options_fields, shown_options, TABLE(labels, "Labels", REQUIRED, fields_pair_fields));

const char *
view_name(const char *engine_name)
{
	return engine_name[0] == '/' ? engine_name + 1 : engine_name;
}

static const char *
status_of(const struct engine_state *s)
{
	static const struct {
		const char *engine, *shown;
	} states[] = {
		{ "created", "stopped" },
		{ "paused", "stopped" },
		{ "restarting", "stopped" },
		{ "running", "running" },
		{ "dead", "dead" },
	};

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(s->status, states[i].engine) == 0)
			return states[i].shown;
	/* removing, exited, and words of engines to come */
	return s->has_exit_code && s->exit_code == 0 ? "stopped" : "failed";
}

/* A time the engine gives, or nothing for "never" and for what is no time. */
static enum err_code
time_copy(char **ret, const char *text, struct err *err)
{
	char utc[WHEN_UTC_LEN];

	if (!text || when_utc(text, utc, err))
		return ERR_OK;
	return str_copy(ret, utc, err);
}

static enum err_code
exit_copy(const struct engine_state *s, struct edged_module_status *ret, struct err *err)
{
	AUTO(str_freep) char *finished = NULL;
	struct edged_exit_status *exit;

	if (time_copy(&finished, s->finished_at, err))
		return err->code;
	if (!finished || !s->has_exit_code)
		return ERR_OK;
	exit = ret->exit_status = calloc(1, sizeof(*exit));
	if (!exit)
		return err_nomem(err);
	exit->exit_time = finished;
	finished = NULL;
	return str_format(&exit->status_code, err, "%lld", (long long)s->exit_code);
}

enum err_code
view_status(const struct engine_state *s, struct edged_module_status *ret, struct err *err)
{
	AUTO(edged_module_status_done) struct edged_module_status out = { 0 };

	if (time_copy(&out.start_time, s->started_at, err) || exit_copy(s, &out, err) ||
	    str_copy(&out.runtime_status.status, status_of(s), err))
		return err->code;
	err_clear(err);
	*ret = out;
	out = (struct edged_module_status){ 0 };
	return ERR_OK;
}

static enum err_code
settings_text(const struct engine_container *c, char **ret, struct err *err)
{
	const char *image = engine_label(&c->config.labels, ENGINE_IMAGE_LABEL);
	struct shown_options options = { .labels = c->config.labels };
	AUTO(str_freep) char *options_text = NULL;
	struct edged_module_settings settings = {
		.image = (char *)(image ? image : view_name(c->name)),
		.image_hash = c->image,
	};

	if (fields_write_text(shown_options_fields, &options, &options_text, err))
		return err->code;
	settings.create_options = options_text;
	return fields_write_text(edged_module_settings_fields, &settings, ret, err);
}

enum err_code
view_module(const struct engine_container *c, struct edged_module *ret, struct err *err)
{
	AUTO(edged_module_done) struct edged_module out = { 0 };

	if (str_copy(&out.id, "id", err) || str_copy(&out.name, view_name(c->name), err) ||
	    str_copy(&out.type, "docker", err) || settings_text(c, &out.config.settings, err) ||
	    view_status(&c->state, &out.status, err))
		return err->code;
	*ret = out;
	out = (struct edged_module){ 0 };
	return ERR_OK;
}
