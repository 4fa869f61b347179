#ifndef EDGED_PROTO_H
#define EDGED_PROTO_H

#include <stddef.h>

#include "base/err.h"

struct pool;

/*
 * What edged and its workload process say to each other over a SOCK_SEQPACKET pair (decisions.md, edged's processes).
 * Both ends are in proto.c.
 *
 * The child is hostile to edged: it parses what modules send.  So edged takes three questions from it and nothing else, each
 * frame's size and strings are checked against one table of frame kinds, and an odd frame ends the connection (and so the child).
 *
 *   frame                    from    carries                            descriptors
 *   PROTO_LISTENER_ADD       edged   module, container id               1, a listening socket
 *   PROTO_LISTENER_DROP      edged   module
 *   PROTO_MODULES_LIST       child   seq
 *   PROTO_DIAL               child   seq, enum proto_peer
 *   PROTO_CONTAINER_OF       child   seq, module
 *   PROTO_ANSWER             edged   seq, error code and text, or:      DIAL: 1, a connected socket
 *                                    text in parts (list, container id)
 *
 * A frame is a fixed header (kind, seq, length, and for PROTO_ANSWER: error code, status, "more follows") and length bytes; at
 * most PROTO_FRAME_MAX in all.  Strings are bounded by the lengths below, hold no NUL and are not terminated on the wire.
 */
#define PROTO_FD	   3 /* the child's end, after exec */
#define PROTO_FRAME_MAX	   (64 * 1024)
#define PROTO_MODULE_MAX   128
#define PROTO_CONTAINER_ID 64 /* hex digits of an engine's container id; none: the legacy socket */
#define PROTO_LIST_MAX	   (16 * 1024 * 1024)
#define PROTO_LEGACY	   "" /* module of the old socket that all modules share */

/* Whom the child may ask to be connected to. */
enum proto_peer { PROTO_KEYD, PROTO_CERTD, PROTO_IDENTITYD, PROTO_PEERS };

/* --- edged's end */

struct proto_answers {
	/* The body of GET /modules, as JSON text; free with str_freep. */
	enum err_code (*modules_list)(void *ctx, char **ret_json, struct err *err);
	/* A socket connected to that daemon; the credentials that it sees are edged's. */
	enum err_code (*dial)(void *ctx, enum proto_peer peer, int *ret_fd, struct err *err);
	/* The full id of the container that now has this module's name and is ours; ERR_NOT_FOUND: none. */
	enum err_code (*container_of)(
	    void *ctx, const char *module, char ret_id[PROTO_CONTAINER_ID + 1], struct err *err);
};

struct proto_server;

/*
 * Take edged's end of a pair (owned from here on).  Questions run on pool, at most 16 at a time; more wait in the socket.
 */
enum err_code proto_server_new(int fd, const struct proto_answers *answers, void *ctx,
    struct pool *pool, struct proto_server **ret, struct err *err) MUST_CHECK;
/* Read the child's questions until it is gone, says something odd (ERR_PROTOCOL), or proto_server_shut is called. */
enum err_code proto_server_run(struct proto_server *s, struct err *err) MUST_CHECK;
/* Make proto_server_run return; from any thread. */
void proto_server_shut(struct proto_server *s);
/* Waits for questions in work. */
void proto_server_free(struct proto_server *s);

/*
 * Hand over a listening socket (borrowed, the child gets a duplicate), or say that one is no more.  From any thread; bounded: a child
 * that does not read for 5 s is ERR_TIMEOUT and shut.
 *   container_id   64 hex digits, or "" for PROTO_LEGACY
 */
enum err_code proto_listener_add(struct proto_server *s, const char *module,
    const char *container_id, int fd, struct err *err) MUST_CHECK;
enum err_code proto_listener_drop(
    struct proto_server *s, const char *module, struct err *err) MUST_CHECK;

/* --- the child's end */

struct proto_events {
	/* A socket to serve (owned by the callee).  A second one of the same module replaces the first. */
	void (*listener_add)(void *ctx, const char *module, const char *container_id, int fd);
	void (*listener_drop)(void *ctx, const char *module);
	/* edged is gone: end. */
	void (*gone)(void *ctx);
};

struct proto_client;

/* Take the child's end; proto_client_run reads it on a thread of its own and calls the events from there. */
enum err_code proto_client_new(int fd, const struct proto_events *events, void *ctx,
    struct proto_client **ret, struct err *err) MUST_CHECK;
enum err_code proto_client_run(struct proto_client *c, struct err *err) MUST_CHECK;
void proto_client_shut(struct proto_client *c);
void proto_client_free(struct proto_client *c);

/* The three questions.  Block, at most 65 s for the list and 10 s else (ERR_TIMEOUT); from any thread that may wait. */
enum err_code proto_modules_list(
    struct proto_client *c, char **ret_json, struct err *err) MUST_CHECK;
enum err_code proto_dial(
    struct proto_client *c, enum proto_peer peer, int *ret_fd, struct err *err) MUST_CHECK;
enum err_code proto_container_of(struct proto_client *c, const char *module,
    char ret_id[PROTO_CONTAINER_ID + 1], struct err *err) MUST_CHECK;

#endif
