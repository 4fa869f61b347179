#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/route.h"
#include "platform/pool.h"

/*
 * The HTTP server of a daemon: one acceptor thread over all listeners, libmicrohttpd without a listener behind it, the pool
 * for rows that may wait (architecture.md 3, performance.md).  Unix sockets only.
 */
struct http_server;

struct http_server_config {
	const struct route_table *table;
	void *service;
	unsigned threads; /* polling threads; 0: 2 */
	unsigned workers; /* pool threads; 0: 4 */
	unsigned queue;	  /* pool queue; 0: 64 */
	bool want_pidfd;  /* take SO_PEERPIDFD of each peer (edged) */
	unsigned head_ms; /* for a request's head; 0: 10,000 */
	unsigned body_ms; /* for its body, then 408 `deadline has elapsed`; 0: 5,000 */
	unsigned idle_ms; /* between requests of a connection; 0: 60,000 */
};

/* Make the server, without starting it: no thread yet. */
enum err_code http_server_new(
    const struct http_server_config *config, struct http_server **ret, struct err *err) MUST_CHECK;

/*
 * Serve a listening socket (owned by the server from here on), before or after http_server_start.
 *   per_uid   connections one uid may hold on this listener (`max_requests`); over it: closed without a byte
 *   tag       handed to handlers as request.tag
 * Returns an id for http_server_unlisten in *ret_id.
 */
enum err_code http_server_listen(struct http_server *s, int fd, unsigned per_uid, void *tag,
    unsigned *ret_id, struct err *err) MUST_CHECK;
/*
 * Stop accepting there and close the descriptor, at once or when the connection just being accepted has been; duplicates of it
 * go on listening.  Open connections live on, and so must tag until done(tag) is called (may be NULL): at once, or later from
 * one of the server's threads.
 */
void http_server_unlisten(struct http_server *s, unsigned id, void (*done)(void *tag));

/* Start the threads; call when the policy is in force. */
enum err_code http_server_start(struct http_server *s, struct err *err) MUST_CHECK;
/* The pool behind it, for a daemon's own background work; NULL before the start. */
struct pool *http_server_pool(struct http_server *s);
/*
 * Stop accepting, let requests in flight end for grace_ms, cut the rest, join all threads.  Handlers that still run half a
 * second later are left to run.
 */
void http_server_stop(struct http_server *s, unsigned grace_ms);
/* Stops it, if need be.  While a handler still runs nothing is freed, and it may be called again. */
void http_server_free(struct http_server *s);

/* For `status` and tests: connections open now, requests answered. */
void http_server_stats(const struct http_server *s, unsigned *ret_open, unsigned long *ret_served);

#endif
