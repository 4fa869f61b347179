#include "edged/engine_call.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/uri.h"

/*
 * Answers without an end: logs that are followed, events.  They are kept in a list, so that engine_cancel can wake whoever
 * waits for data that may never come.
 */

#define EVENT_LINE_MAX (1024 * 1024)
#define EVENTS_FILTER \
	"{\"type\":[\"container\"],\"label\":[\"" ENGINE_OWNER_LABEL "=" ENGINE_OWNER_VALUE "\"]}"

struct engine_stream {
	struct engine *engine;
	struct engine_stream *next;
	struct unix_client_body *body;
};

static enum err_code
stream_enlist(struct engine_stream *s, struct err *err)
{
	struct engine *e = s->engine;
	bool cancelled;

	pthread_mutex_lock(&e->lock);
	cancelled = e->cancelled;
	if (!cancelled) {
		s->next = e->streams;
		e->streams = s;
	}
	pthread_mutex_unlock(&e->lock);
	return cancelled ? err_set(err, ERR_UNREACHABLE, "the daemon is stopping") : ERR_OK;
}

static void
stream_delist(struct engine_stream *s)
{
	pthread_mutex_lock(&s->engine->lock);
	for (struct engine_stream **at = &s->engine->streams; *at; at = &(*at)->next)
		if (*at == s) {
			*at = s->next;
			break;
		}
	pthread_mutex_unlock(&s->engine->lock);
}

void
engine_stream_close(struct engine_stream *s)
{
	if (!s)
		return;
	stream_delist(s);
	unix_client_body_close(s->body);
	free(s);
}

static void
stream_closep(struct engine_stream **s)
{
	engine_stream_close(*s);
}

static enum err_code
stream_open(struct engine *e, const char *path, struct engine_stream **ret, struct err *err)
{
	AUTO(stream_closep) struct engine_stream *s = NULL;
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(str_freep) char *target = NULL;
	struct engine_ask ask = { .method = "GET", .path = path, .want = 200 };
	struct http_call call;

	if (engine_prepare(e, &ask, &target, &call, err))
		return err->code;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_nomem(err);
	s->engine = e;
	if (unix_client_open(e->http, &call, &reply, &s->body, err))
		return engine_failed(e, err);
	if (engine_judge(&ask, &reply, err) || stream_enlist(s, err))
		return err->code;
	*ret = s;
	s = NULL;
	return ERR_OK;
}

ssize_t
engine_stream_read(struct engine_stream *s, char *out, size_t max)
{
	return unix_client_body_read(s->body, out, max);
}

void
engine_stream_cancel(struct engine_stream *s)
{
	unix_client_body_cancel(s->body);
}

void
engine_cancel(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->cancelled = true;
	for (struct engine_stream *s = e->streams; s; s = s->next)
		unix_client_body_cancel(s->body);
	pthread_mutex_unlock(&e->lock);
}

/* --- logs */

enum err_code
engine_logs_open(struct engine *e, const char *container, const struct engine_logs *want,
    struct engine_stream **ret, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };
	AUTO(str_freep) char *path = NULL;

	if (engine_name_check(container, err))
		return err->code;
	buf_printf(&b, "/containers/%s/logs?stdout=true&stderr=true&follow=%s&timestamps=%s",
	    container, want->follow ? "true" : "false", want->timestamps ? "true" : "false");
	buf_printf(&b, "&since=%lld", (long long)want->since);
	if (want->until >= 0)
		buf_printf(&b, "&until=%lld", (long long)want->until);
	if (want->tail >= 0)
		buf_printf(&b, "&tail=%lld", (long long)want->tail);
	else
		buf_puts(&b, "&tail=all");
	if (buf_take_string(&b, &path, err))
		return err->code;
	return stream_open(e, path, ret, err);
}

/* --- events: one JSON object a line */

static void
event_line(const struct engine_listener *listener, void *ctx, struct text line)
{
	AUTO(engine_event_done) struct engine_event event = { 0 };
	struct err err = { 0 };
	const char *name;

	/* a line that cannot be read is no reason to hear no more of them */
	if (fields_read_text(engine_event_fields, &event, line, &err) || !event.action ||
	    !event.actor.id)
		return;
	name = engine_label(&event.actor.attributes, "name");
	listener->event(ctx, event.action, event.actor.id, name ? name : "");
}

static void
event_lines(const struct engine_listener *listener, void *ctx, struct buf *b)
{
	const uint8_t *end;

	while (b->len && (end = memchr(b->data, '\n', b->len))) {
		size_t len = (size_t)(end - b->data);

		if (len > 1)
			event_line(listener, ctx, (struct text){ (const char *)b->data, len });
		buf_consume(b, len + 1);
	}
}

enum err_code
engine_events(struct engine *e, const struct engine_listener *listener, void *ctx, struct err *err)
{
	AUTO(stream_closep) struct engine_stream *s = NULL;
	AUTO(buf_done) struct buf b = { .max = EVENT_LINE_MAX };
	AUTO(str_freep) char *filter = NULL;
	AUTO(str_freep) char *path = NULL;
	char chunk[4096];
	ssize_t n;

	if (uri_encode(URI_FORM, text_of(EVENTS_FILTER), &filter, err) ||
	    str_format(&path, err, "/events?filters=%s", filter) || stream_open(e, path, &s, err))
		return err->code;
	listener->opened(ctx);
	while ((n = engine_stream_read(s, chunk, sizeof(chunk))) > 0) {
		buf_add(&b, chunk, (size_t)n);
		if (b.failed)
			return err_set(err, ERR_PROTOCOL, "an event of the engine is too long");
		event_lines(listener, ctx, &b);
	}
	return err_set(err, ERR_UNREACHABLE, "the engine's event stream ended");
}
