#ifndef EDGED_ENGINE_H
#define EDGED_ENGINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/mem.h"
#include "wire/edged.h"
#include "wire/engine.h"

/*
 * The container engine as function calls (contracts/docker.md): dockerd 20.10 and up, Podman.  Every call blocks.
 *
 * Errors: ERR_PEER with err->status and the engine's message; ERR_UNREACHABLE (also no answer at all: the engine is away); ERR_TIMEOUT (60 s until
 * the answer's head); ERR_PROTOCOL.  A container is named by its id or its name; both are checked (edged-weaknesses.md A1) and escaped.
 * Thread-safe.
 */
struct engine;

#define ENGINE_NAME_MAX 128

#define ENGINE_OWNER_LABEL "net.azure-devices.edge.owner"
#define ENGINE_OWNER_VALUE "Microsoft.Azure.Devices.Edge.Agent"
#define ENGINE_IMAGE_LABEL "net.azure-devices.edge.original-image"

struct engine_config {
	const char *socket;  /* path, copied */
	unsigned timeout_ms; /* until the head of an answer; 0: 60,000 */
};

enum err_code engine_new(
    const struct engine_config *config, struct engine **ret, struct err *err) MUST_CHECK;
void engine_free(struct engine *e);

/* [A-Za-z0-9][A-Za-z0-9_.-]*, 2 to 128 characters.  ERR_INVALID. */
enum err_code engine_name_check(const char *name, struct err *err) MUST_CHECK;

/*
 * Agree on an API version: 1.41, or where the engine's range lies elsewhere the newest that both know.  Called by every other
 * function when needed; here to learn early.
 */
enum err_code engine_negotiate(struct engine *e, char ret_version[16], struct err *err) MUST_CHECK;
/* The engine's own version and the API's that is spoken with it, "20.10.24, API 1.41"; asked anew at each call. */
enum err_code engine_describe(struct engine *e, char **ret, struct err *err) MUST_CHECK;
/* What /info calls ServerVersion; "" when it gives none. */
enum err_code engine_server_version(struct engine *e, char **ret, struct err *err) MUST_CHECK;

/* body: the create body's JSON text.  ret_id: the full id. */
enum err_code engine_create(struct engine *e, const char *name, const char *body, char **ret_id,
    struct err *err) MUST_CHECK;
enum err_code engine_inspect(struct engine *e, const char *container, struct engine_container *ret,
    struct err *err) MUST_CHECK;
/* Containers, stopped ones too, with the owner label. */
enum err_code engine_list(struct engine *e, struct engine_items *ret, struct err *err) MUST_CHECK;
/* Success too when it runs already. */
enum err_code engine_start(struct engine *e, const char *container, struct err *err) MUST_CHECK;
/* grace_s -1: the engine's own.  Success too when it does not run. */
enum err_code engine_stop(
    struct engine *e, const char *container, int grace_s, struct err *err) MUST_CHECK;
enum err_code engine_restart(struct engine *e, const char *container, struct err *err) MUST_CHECK;
/* With force; volumes are kept. */
enum err_code engine_remove(struct engine *e, const char *container, struct err *err) MUST_CHECK;
/* One stats object as JSON text, after one measuring period of the engine. */
enum err_code engine_stats(
    struct engine *e, const char *container, char **ret_json, struct err *err) MUST_CHECK;

struct engine_logs {
	bool follow, timestamps;
	int64_t since, until; /* Unix seconds; until -1: none */
	int64_t tail;	      /* lines; -1: all */
};
/* A body that comes piece by piece. */
struct engine_stream;
enum err_code engine_logs_open(struct engine *e, const char *container,
    const struct engine_logs *want, struct engine_stream **ret, struct err *err) MUST_CHECK;
/* Up to max bytes as they come; 0 at the end; -1 when the connection broke. */
ssize_t engine_stream_read(struct engine_stream *s, char *out, size_t max);
/* Make a read that waits return -1; from any thread, the stream not yet closed. */
void engine_stream_cancel(struct engine_stream *s);
void engine_stream_close(struct engine_stream *s);

/*
 * Pull an image by its full text ("registry/name:tag", "name@sha256:...").  Without tag or digest `latest` is meant, never all tags.  The
 * stream is read to its end, and the image looked up afterwards (docker.md 4).  auth NULL: none.
 */
enum err_code engine_pull(struct engine *e, const char *image,
    const struct edged_registry_auth *auth, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: not here. */
enum err_code engine_image_id(
    struct engine *e, const char *image, char **ret_id, struct err *err) MUST_CHECK;

enum err_code engine_network_find(
    struct engine *e, const char *name, bool *ret_found, struct err *err) MUST_CHECK;
enum err_code engine_network_create(
    struct engine *e, const struct engine_network_req *req, struct err *err) MUST_CHECK;

/*
 * Events of owner-labelled containers, until the connection ends (ERR_UNREACHABLE) or engine_cancel is
 * called.  opened is called once, when the engine has accepted the question: what happens from then on
 * will be heard of.  name is the container's, "" where the engine gives none.
 */
struct engine_listener {
	void (*opened)(void *ctx);
	void (*event)(void *ctx, const char *action, const char *id, const char *name);
};
enum err_code engine_events(struct engine *e, const struct engine_listener *listener, void *ctx,
    struct err *err) MUST_CHECK;

/* End all streams and refuse new ones: the daemon stops. */
void engine_cancel(struct engine *e);

#endif
