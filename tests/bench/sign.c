/*
 * sign SOCKET - the sign server that one would write by hand: libmicrohttpd with its own listener and a pool of two epoll
 * threads, the one member that it needs found by a search, one P-256 key made at the start, a signing context per thread.  No
 * routes, no handles, no policy, no limits, no wiping: what keyd's rate is held against.
 */
#include <err.h>
#include <microhttpd.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static EVP_PKEY *key;

struct body {
	char data[4096];
	size_t len;
};

static EVP_PKEY_CTX *
signer(void)
{
	static _Thread_local EVP_PKEY_CTX *ctx;

	if (!ctx) {
		ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
		if (!ctx || EVP_PKEY_sign_init(ctx) <= 0)
			errx(1, "no signer");
	}
	return ctx;
}

/* Length of the answer, 0 when the request cannot be understood. */
static int
answer(const struct body *body, char *out, size_t size)
{
	static const char name[] = "\"digest\":\"";
	const char *from = memmem(body->data, body->len, name, sizeof(name) - 1), *to;
	uint8_t digest[66], sig[80];
	size_t sig_len = sizeof(sig);
	char text[4 * sizeof(sig) / 3 + 4];

	if (!from)
		return 0;
	from += sizeof(name) - 1;
	to = memchr(from, '"', (size_t)(body->data + body->len - from));
	/* 32 bytes are 44 digits, the last of them padding */
	if (!to || to - from != 44 ||
	    EVP_DecodeBlock(digest, (const unsigned char *)from, (int)(to - from)) != 33 ||
	    EVP_PKEY_sign(signer(), sig, &sig_len, digest, 32) <= 0)
		return 0;
	EVP_EncodeBlock((unsigned char *)text, sig, (int)sig_len);
	return snprintf(out, size, "{\"signature\":\"%s\"}", text);
}

static enum MHD_Result
serve(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *len, void **con_cls)
{
	struct body *body = *con_cls;
	struct MHD_Response *response;
	enum MHD_Result result;
	char text[256];
	int n;

	(void)cls, (void)url, (void)method, (void)version;
	if (!body) {
		*con_cls = body = malloc(sizeof(*body));
		if (body)
			body->len = 0;
		return body ? MHD_YES : MHD_NO;
	}
	if (*len) {
		if (*len > sizeof(body->data) - body->len)
			return MHD_NO;
		memcpy(body->data + body->len, data, *len);
		body->len += *len;
		*len = 0;
		return MHD_YES;
	}
	n = answer(body, text, sizeof(text));
	response = MHD_create_response_from_buffer((size_t)n, text, MHD_RESPMEM_MUST_COPY);
	MHD_add_response_header(response, "content-type", "application/json");
	result = MHD_queue_response(connection, n ? 200 : 400, response);
	MHD_destroy_response(response);
	return result;
}

static void
completed(void *cls, struct MHD_Connection *connection, void **con_cls,
    enum MHD_RequestTerminationCode why)
{
	(void)cls, (void)connection, (void)why;
	free(*con_cls);
	*con_cls = NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct MHD_Daemon *daemon;
	int listener;

	if (argc != 2)
		errx(2, "usage: sign SOCKET");
	key = EVP_EC_gen("P-256");
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!key || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 128))
		err(1, "%s", argv[1]);
	daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, serve, NULL,
	    MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
	    MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_END);
	if (!daemon)
		errx(1, "no server");
	for (;;)
		pause();
}
