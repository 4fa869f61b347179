#ifndef HTTP_UNIX_CLIENT_H
#define HTTP_UNIX_CLIENT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "data/fields.h"

/*
 * HTTP/1.1 over a Unix socket to one peer: our own daemons and the container engine (decisions.md, libcurl).  Kept connections,
 * at most 4, last in first out; deadlines; one silent retry of an idempotent request on a kept connection.
 * "Closed without a byte" on a fresh connection means over the peer's limit: three tries with back-off, then ERR_BUSY.
 * Thread-safe; blocks, so never on a polling thread.  The socket is close-on-exec; SIGPIPE is never raised.
 */
struct unix_client;

struct unix_client_config {
	const char *path;    /* of the socket (copied); at most 107 bytes */
	const char *host;    /* Host header, e.g. "keyd.sock" */
	unsigned timeout_ms; /* for a whole call unless the call says otherwise; 0: 30,000 */
	size_t answer_max;   /* bytes of an answer's body; 0: 16 MiB */
	/*
	 * One of many processes of a user (provider/), who have the peer's limit of connections among them: none is kept between
	 * calls, and over the limit it is tried anew for as long as the call may last; ERR_BUSY after that.
	 */
	bool guest;
	/* Where a connected descriptor comes from instead of connect() (edged's workload process); NULL: connect(path). */
	enum err_code (*dial)(void *ctx, int *ret_fd, struct err *err);
	void *dial_ctx;
};

enum err_code unix_client_new(
    const struct unix_client_config *config, struct unix_client **ret, struct err *err) MUST_CHECK;
void unix_client_free(struct unix_client *c);

struct http_call {
	const char *method, *target;
	const char *headers;	  /* further header lines, each ended by \r\n; NULL: none */
	const char *content_type; /* with a body; NULL: application/json */
	struct text body;	  /* data NULL: none */
	bool idempotent;	  /* may be sent twice */
	unsigned timeout_ms;	  /* 0: the client's */
};

struct http_reply {
	unsigned status;
	char content_type[64]; /* lower case, without parameters; "" when absent */
	char api_version[16];  /* value of an Api-Version header (container engines) */
	struct bytes body;     /* whole; empty with unix_client_stream */
};

/*
 * One request and its answer.  Any status is success here.
 * ERR_UNREACHABLE: no connection, or it broke.  ERR_TIMEOUT.  ERR_PROTOCOL: not HTTP, or over answer_max.  ERR_BUSY: over the limit.
 */
enum err_code unix_client_call(struct unix_client *c, const struct http_call *call,
    struct http_reply *ret, struct err *err) MUST_CHECK;

/*
 * As unix_client_call, but hands the body on as it comes, dechunked.  on_data returns false to end early (the connection is
 * dropped).  timeout_ms counts until the head; idle_ms between pieces of body, 0: for ever.
 * on_data is called for answers of status 200 only; other bodies come in ret->body.
 */
enum err_code unix_client_stream(struct unix_client *c, const struct http_call *call,
    unsigned idle_ms, bool (*on_data)(void *ctx, const char *data, size_t len), void *ctx,
    struct http_reply *ret, struct err *err) MUST_CHECK;

/* A streamed answer that is pulled rather than pushed (log forwarding); NULL status other than 200 comes with reply->body. */
struct unix_client_body;
enum err_code unix_client_open(struct unix_client *c, const struct http_call *call,
    struct http_reply *ret, struct unix_client_body **ret_body, struct err *err) MUST_CHECK;
/* Up to max bytes; 0 at the end; -1 when the connection broke. */
ssize_t unix_client_body_read(struct unix_client_body *b, char *out, size_t max);
/* From another thread: a read that waits, and each one after it, returns -1.  Not after or during close. */
void unix_client_body_cancel(struct unix_client_body *b);
void unix_client_body_close(struct unix_client_body *b);

void http_reply_done(struct http_reply *reply); /* for AUTO() */

/*
 * The rest of a call to one of our daemons: JSON body from a table, status check, answer by a table.
 *   req, req_table    NULL: no body
 *   want              expected status; anything else is ERR_PEER with the answer's "message" as text and err->status set
 *   ret, ret_table    NULL: the answer's body is ignored
 */
enum err_code unix_client_json(struct unix_client *c, const char *method, const char *target,
    bool idempotent, unsigned timeout_ms, fields_fn *req_table, const void *req, unsigned want,
    fields_fn *ret_table, void *ret, struct err *err) MUST_CHECK;

#endif
