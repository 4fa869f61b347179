#ifndef CLOUDSIM_HTTP_H
#define CLOUDSIM_HTTP_H

#include "tests/peer/cloudsim/sim.h"

/* The transport: HTTPS by libmicrohttpd, a thread per connection, so that a fault may simply wait. */
struct http;

/* address: "127.0.0.1:8443" or "[::1]:8443"; port 0: any.  chain and key: PEM, must outlive it.  Returns the port in *ret_port. */
enum err_code http_start(struct sim *s, const char *address, const char *chain, const char *key,
    struct http **ret, unsigned *ret_port, struct err *err) MUST_CHECK;
void http_stop(struct http *h);

#endif
