#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "data/fields.h"
#include "platform/peer.h"

/* What a handler is given and what it gives back; shared by http/server and http/route. */

#define HTTP_BODY_MAX	(1024 * 1024) /* bytes of a request's body; over it: 413 */
#define HTTP_PARAMS_MAX 4	      /* {captures} in one route's path */

struct http_query {
	char *name, *value; /* form-decoded */
};

struct request_message;

struct request {
	const struct peer *peer;
	const char *method;
	const char *path; /* as sent, still encoded, without query; absolute-form already cut */
	const char *api_version;
	/* NULL: none, one to be treated as none (common.md 5), or one that request_message has at hand */
	const struct json_t *body;
	struct request_message *message;
	const char *params
	    [HTTP_PARAMS_MAX]; /* the route's captures, percent-decoded, valid UTF-8 without NUL */
	const struct http_query *query;
	size_t n_query;
	void *tag; /* of the listener that the connection came in on */
};

/* The first (or last, as api-version) value of a query parameter; NULL when absent. */
const char *request_query(const struct request *req, const char *name);
const char *request_query_last(const struct request *req, const char *name);

/*
 * The body as the message that the route's row declares; it lives as long as the request, and belongs to it.
 * NULL with err set: ERR_NO_BODY, ERR_SYNTAX as of fields_read.
 */
const void *request_message(const struct request *req, struct err *err) MUST_CHECK;

/*
 * Feeds a streamed answer, on a thread of its own, so read may block for as long as it likes.
 *   read    write at most max bytes to out, return how many, 0 at the end, -1 on failure (cuts the connection)
 *   done    called once in any case, when read will not be called again; may be NULL
 *   cancel  called from another thread when nobody wants the rest (client gone, server stopping): make a read that waits
 *           return soon.  Never after done.  NULL: the thread is stuck until read returns by itself
 */
struct http_stream {
	ssize_t (*read)(void *ctx, char *out, size_t max);
	void (*done)(void *ctx);
	void (*cancel)(void *ctx);
	void *ctx;
};

struct response {
	unsigned status;
	const char *content_type; /* static; NULL with an empty body */
	char *body;		  /* owned; wiped when freed */
	size_t body_len;
	struct http_stream stream; /* read set: streamed, chunked, body unused */
	/*
	 * Called once, when an answer with a body has been sent or nobody can have it any more, on any thread, so it must not wait;
	 * NULL: nobody asks.
	 */
	void (*sent)(void *ctx);
	void *sent_ctx;
};

/* Answer with a message by its table: `content-type: application/json`. */
enum err_code response_json(struct response *resp, unsigned status, fields_fn *table,
    const void *message, struct err *err) MUST_CHECK;
/* Answer without a body (204). */
enum err_code response_empty(struct response *resp, unsigned status);
/* Answer with JSON text already made; takes *text. */
enum err_code response_json_text(struct response *resp, unsigned status, char **text);
enum err_code response_stream(struct response *resp, unsigned status, const char *content_type,
    const struct http_stream *stream);
void response_done(struct response *resp);

#endif
