#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "crypto/x509.h"
#include "tests/demo/demo.h"

#define PORT 8443

/* contracts/edged-workload.md 3.2, certificate answers */
struct private_key {
	char *bytes;
};
struct server_certificate {
	struct private_key private_key;
	char *certificate;
};
FIELDS_DECLARE(private_key);
FIELDS_DECLARE(server_certificate);
FIELDS(private_key, STR(bytes, "bytes", REQUIRED));
FIELDS(server_certificate, OBJECT(private_key, "privateKey", REQUIRED, private_key_fields),
    STR(certificate, "certificate", REQUIRED));

static enum err_code
fetch(struct server_certificate *ret, struct err *err)
{
	AUTO(demo_clientp) struct unix_client *workload = NULL;
	AUTO(http_reply_done) struct http_reply reply = { 0 };
	AUTO(str_freep) char *target = NULL;
	struct http_call call = { .method = "POST", .body = TEXT("{\"commonName\":\"web\"}") };
	const char *name, *generation;

	if (demo_client("IOTEDGE_WORKLOADURI", &workload, err) ||
	    demo_env("IOTEDGE_MODULEID", &name, err) ||
	    demo_env("IOTEDGE_MODULEGENERATIONID", &generation, err))
		return err->code;
	/* the impostor asks in the other module's name, and must get nothing */
	if (str_format(&target, err,
		"/modules/%s/genid/%s/certificate/server?api-version=2020-07-07",
		demo_broken("impostor") ? "meter" : name, generation))
		return err->code;
	call.target = target;
	if (unix_client_call(workload, &call, &reply, err))
		return err->code;
	if (reply.status != 201)
		return err_set(err, ERR_PEER, "certificate refused: %u %.*s", reply.status,
		    (int)reply.body.len, reply.body.len ? (const char *)reply.body.data : "");
	return fields_read_text(server_certificate_fields, ret, text_of_bytes(&reply.body), err);
}

static enum err_code
context(const struct server_certificate *cert, SSL_CTX **ret, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	SSL_CTX *ctx;

	if (x509_key_read(text_of(cert->private_key.bytes), &key, err) ||
	    x509_chain_read(text_of(cert->certificate), &chain, err))
		return err->code;
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || SSL_CTX_use_certificate(ctx, sk_X509_value(chain, 0)) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1) {
		SSL_CTX_free(ctx);
		return err_openssl(err, "server certificate");
	}
	for (int i = 1; i < sk_X509_num(chain); i++)
		SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i));
	*ret = ctx;
	return ERR_OK;
}

static void
answer(SSL_CTX *ctx, int fd)
{
	static const char page[] = "HTTP/1.0 200 OK\r\n\r\nhello from a module\n";
	SSL *ssl = SSL_new(ctx);

	if (ssl && SSL_set_fd(ssl, fd) && SSL_accept(ssl) == 1) {
		SSL_write(ssl, page, sizeof(page) - 1);
		SSL_shutdown(ssl);
	}
	ERR_clear_error();
	SSL_free(ssl);
	close(fd);
}

int
demo_web(struct err *err)
{
	AUTO(server_certificate_done) struct server_certificate cert = { 0 };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	AUTO(fd_closep) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL_CTX *ctx = NULL;
	int one = 1;

	if (fetch(&cert, err) || context(&cert, &ctx, err))
		return 1;
	demo_step("web", "uid %d got its server certificate", (int)getuid());
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 16)) {
		err_errno(err, "listen on %d", PORT);
		return 1;
	}
	demo_step("web", "serves TLS on port %d", PORT);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			answer(ctx, fd);
	}
}
