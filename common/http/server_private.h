#ifndef HTTP_SERVER_PRIVATE_H
#define HTTP_SERVER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "http/server.h"

/*
 * Shared by the parts of the server, by nobody else: server (life of it), server_accept (listeners and new connections),
 * server_exchange (requests and answers), server_stream (streamed answers), server_timer (deadlines).
 */
struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct conn;
struct stream;

#define SERVER_CONNS_MAX   4096
#define SERVER_STREAMS_MAX 16
#define SERVER_JOB_MS	   30000 /* for a job whose row says nothing */

/* Connections that one uid has open on one listener. */
struct uid_count {
	uid_t uid;
	unsigned n;
};

struct listener {
	struct listener *next;
	unsigned id;
	int fd; /* -1: closed */
	unsigned per_uid;
	void *tag;
	void (*done)(void *tag);
	bool closed;	/* by http_server_unlisten */
	bool accepting; /* the acceptor is using fd */
	unsigned refs;	/* connections, and the acceptor while it works here */
	struct uid_count *uids;
	size_t n_uids, cap_uids;
};

/*
 * What a connection is at, and until when it may be.  Phase and deadline are one atomic word, so whoever ends a phase, polling
 * thread, timer, pool or stop, wins against all others, and a deadline that was renewed meanwhile cannot be missed.
 */
enum phase {
	PHASE_NEW,     /* handed to libmicrohttpd, not yet seen there */
	PHASE_HEAD,    /* the first, or the rest of a later, request head is awaited */
	PHASE_READING, /* its body */
	PHASE_RUNNING, /* in the polling thread */
	PHASE_POOLED,  /* suspended, in the pool's hands */
	PHASE_DONE,    /* the pool has answered, the polling thread is to send it */
	PHASE_LATE,    /* the pool has not answered in time */
	PHASE_WRITING,
	PHASE_STREAM_WAIT, /* suspended until the stream's thread has more */
	PHASE_IDLE,	   /* between requests */
	PHASE_CUT,	   /* to be closed without more words */
};

#define NEVER ((UINT64_C(1) << 60) - 1)

struct conn {
	struct conn *prev, *next; /* in server.conns, under server.lock */
	struct http_server *server;
	struct listener *listener;
	struct peer peer;
	uint64_t id;
	int fd;		     /* valid from PHASE_HEAD until it leaves server.conns */
	bool left;	     /* out of server.conns, under server.lock */
	atomic_uint refs;    /* libmicrohttpd, and each exchange */
	atomic_ullong state; /* deadline << 4 | phase */
	struct MHD_Connection *mhd;
	struct stream *stream; /* under server.lock */
};

struct http_server {
	struct http_server_config config;
	unsigned tick_ms; /* the shortest of all deadlines */

	pthread_mutex_t lock; /* guards all up to the next blank line */
	pthread_cond_t timer_wake;
	pthread_cond_t changed; /* a connection or a stream ended */
	struct listener *listeners;
	unsigned last_listener;
	struct conn *conns;
	uint64_t last_conn;
	unsigned n_conns, n_streams;
	bool timer_stop;

	atomic_bool stopping;
	atomic_uint open;
	atomic_ulong served;
	int epoll, wake, reserve;
	struct MHD_Daemon *mhd;
	struct pool *pool;
	pthread_t acceptor, timer;
	bool has_acceptor, has_timer;
	bool stuck; /* a thread did not come back: memory that it uses stays */
};

/* --- connections (server_accept.c) */

/* Move from one of the phases whose bits are set in from; false when it is in another by now. */
bool conn_move(struct conn *c, unsigned from, enum phase to, uint64_t deadline);
enum phase conn_phase(const struct conn *c);
/* A reference less; frees the connection and, with its last one, an unlistened listener. */
void conn_put(struct conn *c);
/* Out of server.conns: its place is free for another.  Under server.lock. */
void conn_leave(struct conn *c);
/* Cut it from outside, whatever it is at.  Under server.lock. */
void conn_cut(struct conn *c);

void *server_accept_main(void *server);
/* Release what is left of listeners when nothing runs any more. */
void server_listeners_free(struct http_server *s);

/* --- deadlines (server_timer.c) */
void *server_timer_main(void *server);
/* Write a whole answer with its message around libmicrohttpd and end the connection.  The descriptor must be valid. */
void server_answer_raw(int fd, const char *status_line, const char *message);

/* --- requests (server_exchange.c) */
enum err_code server_mhd_start(struct http_server *s, struct err *err) MUST_CHECK;
void server_mhd_stop(struct http_server *s);
bool server_mhd_add(struct http_server *s, struct conn *c, int fd);
void server_mhd_resume(struct conn *c);

/* --- streams (server_stream.c) */

/* Take over source and start its thread.  NULL when there are too many or none could be started; source is then done. */
struct stream *stream_start(struct conn *c, const struct http_stream *source, bool chunked);
/* The answer that sends it; it owns the stream. */
struct MHD_Response *stream_response(struct stream *st);
/* Its connection's descriptor, for the acceptor to see the client hang up. */
void server_watch_hang_up(struct http_server *s, struct conn *c);
/* Nobody wants the rest.  Under server.lock. */
void stream_abandon(struct stream *st);

#endif
