#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/digest.h"
#include "data/uri.h"
#include "tests/demo/demo.h"

enum err_code
demo_env(const char *name, const char **ret, struct err *err)
{
	const char *value = getenv(name);

	if (!value || !*value)
		return err_set(err, ERR_CONFIG, "%s is not set", name);
	*ret = value;
	return ERR_OK;
}

bool
demo_broken(const char *what)
{
	const char *broken = getenv("DEMO_BREAK");

	return broken && strcmp(broken, what) == 0;
}

void
demo_step(const char *role, const char *fmt, ...)
{
	static uint64_t began;
	char text[512];
	va_list ap;

	if (!began)
		began = clock_mono_ms();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf(
	    "DEMO %s: %s [%llu ms]\n", role, text, (unsigned long long)(clock_mono_ms() - began));
	fflush(stdout);
}

enum err_code
demo_client(const char *uri_env, struct unix_client **ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	const char *uri = NULL;

	if (demo_env(uri_env, &uri, err) || uri_unix_path(uri, &path, err))
		return err->code;
	return unix_client_new(
	    &(struct unix_client_config){ .path = path, .host = "edged" }, ret, err);
}

void
demo_clientp(struct unix_client **c)
{
	unix_client_free(*c);
}

enum err_code
demo_call(struct unix_client *c, const char *method, const char *target, const char *body,
    unsigned want, struct demo_answer *ret, struct err *err)
{
	struct http_call call = { .method = method, .target = target, .body = text_of(body) };
	AUTO(http_reply_done) struct http_reply reply = { 0 };

	if (unix_client_call(c, &call, &reply, err))
		return err->code;
	if (reply.status != want)
		return err_set(err, ERR_PEER, "%s %s: %u %.*s", method, target, reply.status,
		    (int)reply.body.len, reply.body.len ? (const char *)reply.body.data : "");
	return ret ? fields_read_text(demo_answer_fields, ret, text_of_bytes(&reply.body), err)
		   : ERR_OK;
}

FIELDS(demo_answer, STR(certificate, "certificate", OPTIONAL),
    STR(generation_id, "generationId", OPTIONAL), STR(digest, "digest", OPTIONAL));

static enum err_code
trust(SSL_CTX *ctx, const char *pem, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert;
	int n = 0;

	while (bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	return n ? ERR_OK : err_set(err, ERR_INVALID, "no certificate to trust");
}

static int
connect_to(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list))
		return -1;
	for (a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen))
			fd_closep(&fd);
	}
	freeaddrinfo(list);
	return fd;
}

enum err_code
demo_tls_connect(
    const char *host, const char *port, const char *pem, SSL **ret_ssl, struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	int fd = -1;

	if (!ctx)
		return err_openssl(err, "TLS");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (trust(ctx, pem, err) == ERR_OK) {
		/* the peer may still be starting */
		for (int tries = 0; fd < 0 && tries < 100; tries++) {
			fd = connect_to(host, port);
			if (fd < 0)
				usleep(100 * 1000);
		}
		ssl = fd < 0 ? NULL : SSL_new(ctx);
		if (!ssl)
			err_set(err, ERR_UNREACHABLE, "could not connect to %s:%s", host, port);
	}
	SSL_CTX_free(ctx);
	if (!ssl) {
		fd_closep(&fd);
		return err->code;
	}
	SSL_set_tlsext_host_name(ssl, host);
	SSL_set1_host(ssl, host);
	SSL_set0_rbio(ssl, BIO_new_socket(fd, BIO_CLOSE));
	BIO_up_ref(SSL_get_rbio(ssl));
	SSL_set0_wbio(ssl, SSL_get_rbio(ssl));
	if (SSL_connect(ssl) != 1) {
		long verdict = SSL_get_verify_result(ssl);

		err_set(err, ERR_DENIED, "TLS with %s: %s", host,
		    verdict == X509_V_OK ? "handshake failed"
					 : X509_verify_cert_error_string(verdict));
		ERR_clear_error();
		SSL_free(ssl);
		return err->code;
	}
	*ret_ssl = ssl;
	return ERR_OK;
}
