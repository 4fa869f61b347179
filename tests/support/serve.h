#ifndef TESTS_SUPPORT_SERVE_H
#define TESTS_SUPPORT_SERVE_H

#include "http/server.h"
#include "tests/support/support.h"

/* A server on a socket of its own in the test's directory, and raw bytes over it. */
struct serve {
	struct http_server *server;
	const char *path;
	unsigned listener;
};

void serve_start(struct serve *s, const struct http_server_config *config, unsigned per_uid);
/* Stop it without grace and free it. */
void serve_stop(struct serve *s);
int serve_bind(const char *path);
int serve_connect(const char *path);
void serve_send(int fd, const char *bytes, size_t len);
/* Until the peer closes, or nothing comes for ms; freed by the caller, never NULL. */
char *serve_read_all(int fd, int ms);
/* One answer: head, and body by its content-length; what came when the peer closes or 10 s pass.  Freed by the caller. */
char *serve_read_answer(int fd);
/* The bytes on a connection of their own, and one answer. */
char *serve_exchange(const char *path, const char *bytes);
/* Has the peer closed within ms, after no further byte? */
bool serve_closed(int fd, int ms);
unsigned serve_status(const char *answer);
/* Behind the head; "" when there is none. */
const char *serve_body(const char *answer);
/* Value of a header (name in lower case), NULL when absent; overwritten by the next call. */
const char *serve_header(const char *answer, const char *name);
/* Wait until the server has n connections open. */
void serve_wait_open(const struct serve *s, unsigned n);

#endif
