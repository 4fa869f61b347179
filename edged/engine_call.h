#ifndef EDGED_ENGINE_CALL_H
#define EDGED_ENGINE_CALL_H

#include <pthread.h>

#include "edged/engine.h"
#include "http/unix_client.h"

/* What engine.c, engine_pull.c and engine_stream.c share; nobody else includes it. */

struct engine {
	char *socket;
	unsigned timeout_ms;
	struct unix_client *http;
	pthread_mutex_t lock; /* of all below; never held across a call */
	char version[16];     /* agreed on, "" not yet */
	struct engine_stream *streams;
	bool cancelled;
};

struct engine_ask {
	const char *method;
	const char *path;    /* below the version: "/containers/json?all=true" */
	const char *headers; /* as http_call.headers */
	struct text body;    /* JSON, or data NULL */
	bool idempotent;
	unsigned timeout_ms;	/* until the head; 0: the engine's */
	unsigned want, or_want; /* good statuses; or_want 0: only one */
};

/* The ask as a call, its target with the agreed version in front; *target is to be freed after the call. */
enum err_code engine_prepare(struct engine *e, const struct engine_ask *ask, char **target,
    struct http_call *call, struct err *err) MUST_CHECK;
/* ERR_PEER with the engine's message unless the status is one of the wanted. */
enum err_code engine_judge(
    const struct engine_ask *ask, const struct http_reply *reply, struct err *err) MUST_CHECK;
/* Note a failure of transport: an engine that comes back may be another version. */
enum err_code engine_failed(struct engine *e, struct err *err);
/* prepare, call, judge.  ret may be NULL; release with http_reply_done. */
enum err_code engine_call(struct engine *e, const struct engine_ask *ask, struct http_reply *ret,
    struct err *err) MUST_CHECK;

#endif
