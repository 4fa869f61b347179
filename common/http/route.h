#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/http.h"

/*
 * One table per daemon says everything about its surface; route_dispatch applies the contract's order to a request
 * (contracts/common.md 5, evaluation order 1-6): api-version present, known; path with minimum version; body by method and
 * content type; method; then who may call; then the handler.
 */
enum route_where {
	INLINE, /* on the polling thread: short, CPU-bound, cannot wait */
	TRY, /* on the polling thread first; ERR_WOULD_BLOCK runs the same handler again in the pool */
	WORKER, /* in the pool at once */
};

typedef enum err_code route_handler(
    void *service, const struct request *req, struct response *resp, struct err *err);

struct route {
	const char *method;
	const char *
	    path; /* "/key/{id}": {x} is one segment of at least one character, matched undecoded */
	const char *since; /* first api-version */
	int who;	   /* the daemon's own enum; given to authorize */
	enum route_where where;
	route_handler *handler;
	unsigned deadline_ms; /* of the job in the pool; 0: 30,000 */
	fields_fn
	    *message; /* what the handler takes from request_message; NULL: it reads req->body */
};

/* How one error code is shown by this daemon. */
enum route_show {
	SHOW_CHAIN, /* text with its causes, a line each */
	SHOW_OUTER, /* first line only */
	SHOW_FIXED, /* the row's own text, e.g. "internal error"; the chain goes to the log as an error */
	SHOW_QUIET, /* the row's own text, e.g. "forbidden"; the chain goes to the log as information */
};

struct route_status {
	unsigned status; /* 0: the code's row is absent, taken as ERR_INTERNAL's */
	enum route_show show;
	const char *fixed;
	bool pass_peer_status; /* ERR_PEER: answer with err->status (edged and the engine) */
};

/*
 * The map of keyd, certd, identityd and tpmd (contracts/common.md 5, error body): ERR_CODES rows for route_table.status.
 * A daemon with other rows copies what it needs: `[ERR_DENIED] = { 403, SHOW_QUIET, "forbidden" }`.
 */
extern const struct route_status route_status_identity[ERR_CODES];

struct route_table {
	const char *daemon;	     /* for the log */
	const char *const *versions; /* accepted api-versions, oldest first, NULL-terminated */
	const struct route *routes;
	size_t n_routes;
	const struct route_status *status; /* ERR_CODES rows */
	/* May this peer call this row?  NULL: all may.  Runs before the handler, after the body has been parsed, where the handler runs. */
	enum err_code (*authorize)(
	    void *service, const struct route *row, const struct request *req, struct err *err);
};

struct route_input {
	const struct peer *peer;
	const char *method, *target; /* request target as sent */
	const char *content_type;    /* NULL: absent */
	struct text body;
	void *tag;
};

/*
 * The whole life of one request without a socket: what tests of handlers call.  Runs authorisation and handler in this thread
 * (TRY rows a second time with pool_may_block when they would block).  Always fills resp.
 */
void route_run(const struct route_table *table, void *service, const struct route_input *in,
    struct response *resp);

/* The steps of it, for http/server: */
struct route_match;
/* Everything up to authorisation.  Returns a match to run, or NULL with resp filled (an error answer). */
struct route_match *route_resolve(
    const struct route_table *table, const struct route_input *in, struct response *resp);
const struct route *route_of(const struct route_match *match);
/* Authorise and run the handler.  Returns false for ERR_WOULD_BLOCK of a TRY row outside the pool, true with resp filled. */
bool route_handle(const struct route_table *table, void *service, struct route_match *match,
    struct response *resp);
void route_match_free(struct route_match *match);
/* Fill resp with the daemon's answer to an error. */
void route_error(const struct route_table *table, const struct err *err, struct response *resp);
/* `{"message":text}` with a status, for answers outside the table (404, 408, ...). */
void route_message(struct response *resp, unsigned status, const char *text);

#endif
