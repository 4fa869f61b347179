#ifndef DEMO_DEMO_H
#define DEMO_DEMO_H

#include <openssl/ssl.h>

#include "http/unix_client.h"

/*
 * The demo's container program.  One binary, one role per container: the agent creates the two modules through the management
 * socket as the Edge Agent does; "web" serves TLS with a certificate from its workload socket; "meter" talks to it and to the hub.
 * Each step is one line on stdout: "DEMO <role>: <what happened>", with its time since the role began.
 */
int demo_agent(struct err *err);
int demo_web(struct err *err);
int demo_meter(struct err *err);

/* An environment variable that must be there; ERR_CONFIG names it. */
enum err_code demo_env(const char *name, const char **ret, struct err *err) MUST_CHECK;
/* Does $DEMO_BREAK name this fault? */
bool demo_broken(const char *what);
void demo_step(const char *role, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A client for a unix:// URI found in the environment. */
enum err_code demo_client(
    const char *uri_env, struct unix_client **ret, struct err *err) MUST_CHECK;
void demo_clientp(struct unix_client **c);
/* The members of answers that the demo reads; absent ones stay NULL. */
struct demo_answer {
	char *certificate, *generation_id, *digest;
};
FIELDS_DECLARE(demo_answer);

/*
 * One call with a JSON body (NULL: none); anything but the wanted status is ERR_PEER with the answer's text.
 * ret NULL: the answer's body is not read.
 */
enum err_code demo_call(struct unix_client *c, const char *method, const char *target,
    const char *body, unsigned want, struct demo_answer *ret, struct err *err) MUST_CHECK;

/* Connect TLS to host:port, trusting only the certificates in pem, name checked; *ret_ssl: SSL_free closes. */
enum err_code demo_tls_connect(
    const char *host, const char *port, const char *pem, SSL **ret_ssl, struct err *err) MUST_CHECK;

#endif
