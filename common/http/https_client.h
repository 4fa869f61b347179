#ifndef HTTP_HTTPS_CLIENT_H
#define HTTP_HTTPS_CLIENT_H

#include <openssl/evp.h>

#include "base/mem.h"
#include "platform/sandbox.h"

/*
 * HTTPS to the cloud (DPS, IoT Hub, EST) by libcurl; certd and identityd only.
 * Trust: OpenSSL's default paths (SSL_CERT_FILE and SSL_CERT_DIR honoured) plus extra certificates; https only, TLS 1.2 and up,
 * no redirects, proxy from HTTPS_PROXY or https_proxy and never NO_PROXY (contracts/common.md 9).
 * Thread-safe; each call has its own handle out of a small set of kept ones, so connections are reused.
 */
struct https_client;

struct https_client_config {
	const char *extra_trust; /* PEM certificates besides the system's; NULL */
	const char *cert_chain;	 /* PEM chain for client authentication; NULL: none */
	EVP_PKEY *key;	   /* its key (may live in keyd by the provider); a reference is taken */
	const char *proxy; /* NULL: environment */
};

/* curl_global_init and one getaddrinfo("localhost"); before the policy, single-threaded. */
enum err_code https_client_warm_up(struct err *err) MUST_CHECK;
/* Add the files and directories that TLS trust is read from, SSL_CERT_FILE and SSL_CERT_DIR included, to a role's paths. */
enum err_code https_client_trust_paths(struct sandbox_paths *paths, struct err *err) MUST_CHECK;

enum err_code https_client_new(const struct https_client_config *config, struct https_client **ret,
    struct err *err) MUST_CHECK;
void https_client_free(struct https_client *c);

struct https_call {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
	struct text body;	    /* data NULL: none */
	unsigned timeout_ms;	    /* for the whole call; 0: 30,000 */
};

struct https_reply {
	unsigned status;
	int retry_after; /* seconds, clamped to 1..300; -1 when absent or not a number */
	char content_type[96];
	struct bytes body; /* at most 1 MiB */
};

/*
 * Any status is success.  ERR_UNREACHABLE: name, connect, reset, proxy.  ERR_TIMEOUT.  ERR_DENIED: the peer's certificate
 * or name did not verify.  ERR_PROTOCOL: not HTTP, truncated, or over 1 MiB.
 */
enum err_code https_client_call(struct https_client *c, const struct https_call *call,
    struct https_reply *ret, struct err *err) MUST_CHECK;
void https_reply_done(struct https_reply *reply);

#endif
