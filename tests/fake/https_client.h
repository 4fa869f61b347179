#ifndef TESTS_FAKE_HTTPS_CLIENT_H
#define TESTS_FAKE_HTTPS_CLIENT_H

#include "http/https_client.h"

/*
 * http/https_client.h without a network: answers from a script, and a record of what was asked.  Thread-safe.
 * A request takes the first rule that fits it and has turns left; without one the call fails as a refused connection.
 */
struct fake_https_rule {
	const char *method; /* NULL: any */
	const char *url;    /* fnmatch(3) pattern */
	unsigned turns;	    /* 0: for ever */
	enum err_code fail; /* fail with this instead of answering */
	unsigned status;
	const char *body;
	int retry_after; /* 0: none */
};

void fake_https_reset(void);
/* Add a rule behind the others; strings are copied. */
void fake_https_add(const struct fake_https_rule *rule);
/* Run before each answer, outside any lock: a place to make things happen, or wait, in the middle of a call. */
void fake_https_hook(void (*hook)(void *ctx, const char *method, const char *url), void *ctx);

struct fake_https_seen {
	char method[16], url[512];
	char *headers; /* each with a line feed */
	char *body;    /* "" without */
	unsigned timeout_ms;
};
size_t fake_https_count(void);
/* The nth request since the reset; fails the test when there was none. */
const struct fake_https_seen *fake_https_seen(size_t n);
/* How many were of that method with a URL of that pattern. */
unsigned fake_https_asked(const char *method, const char *url);

#endif
