#include "http/https_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/x509.h"
#include "tests/support/support.h"

#define PATIENCE_MS 30000 /* TLS takes its time under valgrind on a busy machine */

#define MIB (1024 * 1024)

/* --- a peer that says exactly what a row wants, over TLS or in the clear (as a proxy) */

struct peer {
	int fd, port;
	SSL_CTX *ssl; /* NULL: in the clear */
	const char *answer;
	size_t padding;	  /* bytes of 'x' after answer */
	bool close_after; /* end the connection behind the answer */
	bool hang;	  /* read the request, never answer */
	pthread_t thread;

	pthread_mutex_t lock;
	unsigned connections;
	char seen[8192];  /* the last request */
	char client[256]; /* subject of the client's certificate */
	int client_chain; /* certificates it sent */
};

struct peer_conn {
	struct peer *peer;
	int fd;
};

static ssize_t
conn_read(SSL *ssl, int fd, char *out, size_t max)
{
	return ssl ? SSL_read(ssl, out, (int)max) : read(fd, out, max);
}

static bool
conn_write(SSL *ssl, int fd, const char *data, size_t len)
{
	while (len) {
		size_t part = len > 16384 ? 16384 : len;
		ssize_t n = ssl ? SSL_write(ssl, data, (int)part) : write(fd, data, part);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* One request with its body into seen; false at the end of the connection. */
static bool
read_request(struct peer *p, SSL *ssl, int fd)
{
	char text[8192] = "";
	size_t used = 0, want = 0;

	for (;;) {
		char *end = strstr(text, "\r\n\r\n");
		const char *length = strcasestr(text, "content-length:");

		if (end) {
			want = (size_t)(end + 4 - text) +
			       (length ? strtoul(length + 15, NULL, 10) : 0);
			if (used >= want)
				break;
		}
		ssize_t n = conn_read(ssl, fd, text + used, sizeof(text) - 1 - used);
		if (n <= 0)
			return false;
		used += (size_t)n;
		text[used] = '\0';
	}
	pthread_mutex_lock(&p->lock);
	memcpy(p->seen, text, sizeof(text));
	pthread_mutex_unlock(&p->lock);
	return true;
}

static bool
write_answer(struct peer *p, SSL *ssl, int fd)
{
	static const char block[] =
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	if (!conn_write(ssl, fd, p->answer, strlen(p->answer)))
		return false;
	for (size_t left = p->padding; left;) {
		size_t n = left < sizeof(block) - 1 ? left : sizeof(block) - 1;

		if (!conn_write(ssl, fd, block, n))
			return false;
		left -= n;
	}
	return true;
}

static void
note_client(struct peer *p, SSL *ssl)
{
	X509 *cert = SSL_get1_peer_certificate(ssl);

	pthread_mutex_lock(&p->lock);
	if (cert)
		X509_NAME_oneline(X509_get_subject_name(cert), p->client, sizeof(p->client));
	p->client_chain = sk_X509_num(SSL_get_peer_cert_chain(ssl));
	pthread_mutex_unlock(&p->lock);
	X509_free(cert);
}

static void *
serve_connection(void *arg)
{
	struct peer_conn conn = *(struct peer_conn *)arg;
	struct peer *p = conn.peer;
	SSL *ssl = p->ssl ? SSL_new(p->ssl) : NULL;
	bool good = true;

	free(arg);
	if (ssl) {
		SSL_set_fd(ssl, conn.fd);
		good = SSL_accept(ssl) == 1;
		if (good)
			note_client(p, ssl);
	}
	while (good && read_request(p, ssl, conn.fd)) {
		if (p->hang) {
			struct pollfd gone = { conn.fd, POLLIN, 0 };

			poll(&gone, 1, 10000);
			break;
		}
		if (!write_answer(p, ssl, conn.fd) || p->close_after)
			break;
	}
	if (ssl && good)
		SSL_shutdown(ssl);
	SSL_free(ssl);
	ERR_clear_error();
	close(conn.fd);
	return NULL;
}

static void *
serve(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		struct peer_conn *conn = malloc(sizeof(*conn));
		pthread_t thread;

		conn->peer = p;
		conn->fd = accept(p->fd, NULL, NULL);
		if (conn->fd < 0) {
			free(conn);
			return NULL;
		}
		pthread_mutex_lock(&p->lock);
		p->connections++;
		pthread_mutex_unlock(&p->lock);
		pthread_create(&thread, NULL, serve_connection, conn);
		pthread_detach(thread);
	}
}

static void
peer_start(struct peer *p, const char *cert)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);

	signal(SIGPIPE, SIG_IGN);
	pthread_mutex_init(&p->lock, NULL);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(p->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(p->fd, 16), 0);
	ck_assert_int_eq(getsockname(p->fd, (struct sockaddr *)&at, &len), 0);
	p->port = ntohs(at.sin_port);
	if (cert) {
		p->ssl = SSL_CTX_new(TLS_server_method());
		ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(p->ssl, support_path(cert)), 1);
		ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(
				     p->ssl, support_path("server.key"), SSL_FILETYPE_PEM),
		    1);
	}
	ck_assert_int_eq(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void
peer_stop(struct peer *p)
{
	shutdown(p->fd, SHUT_RDWR);
	close(p->fd);
	pthread_join(p->thread, NULL);
	usleep(50000); /* the last connection's thread is detached */
	SSL_CTX_free(p->ssl);
}

/* --- certificates, by openssl(1) */

static void
make_certs(void)
{
	free(support_sh(
	    "cd %s && exec 2>/dev/null\n"
	    "ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	    "$1.key "
	    "-days 2 -subj /CN=$1 -out $1.pem; }\n"
	    "ca root; ca stranger\n"
	    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	    "server.key "
	    "-subj /CN=server -out server.csr\n"
	    "issue() { printf \"$4\" >ext; openssl x509 -req -in $1 -CA $2.pem -CAkey $2.key "
	    "-CAcreateserial -days $5 -extfile ext -out $3; }\n"
	    "issue server.csr root good.pem 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2\n"
	    "issue server.csr root misnamed.pem 'subjectAltName=DNS:other.example' 2\n"
	    "issue server.csr root expired.pem 'subjectAltName=DNS:localhost,IP:127.0.0.1' -1\n"
	    "issue server.csr stranger strange.pem 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2\n"
	    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout mid.key "
	    "-subj "
	    "/CN=mid -out mid.csr; issue mid.csr root mid.pem 'basicConstraints=critical,CA:TRUE' "
	    "2\n"
	    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	    "device.key "
	    "-subj /CN=device-1 -out device.csr; issue device.csr mid device.pem '' 2\n"
	    "cat device.pem mid.pem >device-chain.pem\n"
	    "mkdir hashed && cp root.pem hashed && openssl rehash hashed",
	    support_tmpdir()));
}

static char *
pem(const char *name)
{
	struct bytes content = support_read(support_path(name));

	return (char *)content.data;
}

static struct https_client *
client_new(const struct https_client_config *config)
{
	struct https_client *c = NULL;
	struct err err = { 0 };

	ck_ok(https_client_new(config, &c, &err));
	return c;
}

/* A client that trusts root.pem besides the system's. */
static struct https_client *
trusting_client(void)
{
	char *root = pem("root.pem");
	struct https_client *c =
	    client_new(&(struct https_client_config){ .extra_trust = root, .proxy = "" });

	free(root);
	return c;
}

static enum err_code
get(struct https_client *c, int port, const char *path, struct https_reply *ret, struct err *err)
{
	char url[256];
	struct https_call call = { .method = "GET", .url = url, .timeout_ms = PATIENCE_MS };

	snprintf(url, sizeof(url), "https://127.0.0.1:%d%s", port, path);
	return https_client_call(c, &call, ret, err);
}

#define PLAIN "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

/* --- cases */

START_TEST(test_request)
{
	struct peer p = { .answer = "HTTP/1.1 201 Created\r\ncontent-type: application/json; "
				    "charset=utf-8\r\ncontent-length: 2\r\n\r\n{}" };
	struct err err = { 0 };
	struct https_reply reply = { 0 };
	const char *headers[] = { "content-type: application/json", "if-match: *", NULL };
	char url[128], want[512];

	make_certs();
	peer_start(&p, "good.pem");
	struct https_client *c = trusting_client();
	snprintf(url, sizeof(url), "https://localhost:%d/a%%2Fb?api-version=1", p.port);
	struct https_call call = { "PUT", url, headers, TEXT("{\"x\":1}"), PATIENCE_MS };
	ck_ok(https_client_call(c, &call, &reply, &err));
	ck_assert_uint_eq(reply.status, 201);
	ck_assert_int_eq(reply.retry_after, -1);
	ck_assert_str_eq(reply.content_type, "application/json; charset=utf-8");
	ck_assert(text_equal(text_of_bytes(&reply.body), "{}"));
	snprintf(want, sizeof(want),
	    "PUT /a%%2Fb?api-version=1 HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: "
	    "edgekeep/%s\r\n"
	    "Accept: */*\r\ncontent-type: application/json\r\nif-match: *\r\nContent-Length: 7\r\n"
	    "\r\n{\"x\":1}",
	    p.port, EDGEKEEP_VERSION);
	ck_assert_str_eq(p.seen, want);
	https_reply_done(&reply);

	/* no body: nothing is made up, but a length of zero where the method has a body */
	call = (struct https_call){ .method = "DELETE", .url = url, .timeout_ms = PATIENCE_MS };
	ck_ok(https_client_call(c, &call, &reply, &err));
	ck_assert_ptr_null(strcasestr(p.seen, "content-"));
	https_reply_done(&reply);
	call.method = "PUT";
	ck_ok(https_client_call(c, &call, &reply, &err));
	ck_assert_ptr_nonnull(strcasestr(p.seen, "content-length: 0\r\n"));
	ck_assert_ptr_null(strcasestr(p.seen, "content-type"));
	https_reply_done(&reply);
	https_client_free(c);
	peer_stop(&p);
}
END_TEST

/* decisions.md, Trust: OpenSSL's default paths, SSL_CERT_FILE and SSL_CERT_DIR honoured */
START_TEST(test_trust)
{
	static const struct {
		const char *what, *cert, *file, *dirs;
		bool extra;
		enum err_code want;
	} rows[] = {
		{ "unknown issuer", "good.pem", NULL, NULL, false, ERR_DENIED },
		{ "extra trust", "good.pem", NULL, NULL, true, ERR_OK },
		{ "SSL_CERT_FILE", "good.pem", "root.pem", NULL, false, ERR_OK },
		{ "SSL_CERT_DIR", "good.pem", NULL, "hashed", false, ERR_OK },
		{ "extra besides the system's", "strange.pem", "stranger.pem", NULL, true, ERR_OK },
		{ "another issuer", "strange.pem", "root.pem", "hashed", true, ERR_DENIED },
		{ "another name", "misnamed.pem", "root.pem", NULL, true, ERR_DENIED },
		{ "expired", "expired.pem", "root.pem", NULL, true, ERR_DENIED },
	};
	struct err err = { 0 };

	make_certs();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer p = { .answer = PLAIN };
		struct https_reply reply = { 0 };

		unsetenv("SSL_CERT_FILE");
		unsetenv("SSL_CERT_DIR");
		if (rows[i].file)
			setenv("SSL_CERT_FILE", support_path(rows[i].file), 1);
		if (rows[i].dirs) {
			char list[256];

			snprintf(list, sizeof(list), "/nonexistent:%s", support_path(rows[i].dirs));
			setenv("SSL_CERT_DIR", list, 1);
		}
		peer_start(&p, rows[i].cert);
		struct https_client *c =
		    rows[i].extra ? trusting_client()
				  : client_new(&(struct https_client_config){ .proxy = "" });
		enum err_code code = get(c, p.port, "/", &reply, &err);
		ck_assert_msg(
		    code == rows[i].want, "%s: %s: %s", rows[i].what, err_name(code), err.text);
		https_reply_done(&reply);
		https_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_trust_paths)
{
	struct sandbox_paths paths = { 0 };
	struct err err = { 0 };
	bool a = false, b = false, file = false;

	setenv("SSL_CERT_FILE", "/x/file.pem", 1);
	setenv("SSL_CERT_DIR", "/x/a::/x/b:", 1);
	ck_ok(https_client_trust_paths(&paths, &err));
	for (size_t i = 0; i < paths.n; i++) {
		ck_assert_uint_eq(paths.at[i].access, SANDBOX_READ);
		ck_assert_uint_gt(strlen(paths.at[i].path), 1);
		file |= strcmp(paths.at[i].path, "/x/file.pem") == 0;
		a |= strcmp(paths.at[i].path, "/x/a") == 0;
		b |= strcmp(paths.at[i].path, "/x/b") == 0;
	}
	ck_assert(file && a && b);
	sandbox_paths_done(&paths);
}
END_TEST

START_TEST(test_answers)
{
#define STATUS(head) "HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n" head "\r\n"
	static const struct {
		const char *what, *answer;
		size_t padding;
		bool close_after;
		enum err_code code;
		unsigned status;
		int retry_after;
		size_t body_len;
	} rows[] = {
		{ "retry-after", STATUS("Retry-After: 7\r\n"), 0, false, ERR_OK, 429, 7, 0 },
		{ "with spaces", STATUS("RETRY-AFTER: \t12 \r\n"), 0, false, ERR_OK, 429, 12, 0 },
		{ "zero", STATUS("retry-after:0\r\n"), 0, false, ERR_OK, 429, 1, 0 },
		{ "too long", STATUS("retry-after: 301\r\n"), 0, false, ERR_OK, 429, 300, 0 },
		{ "overflow", STATUS("retry-after: 99999999999999999999999\r\n"), 0, false, ERR_OK,
		    429, 300, 0 },
		{ "date", STATUS("retry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\n"), 0, false,
		    ERR_OK, 429, -1, 0 },
		{ "digits and more", STATUS("retry-after: 12a\r\n"), 0, false, ERR_OK, 429, -1, 0 },
		{ "negative", STATUS("retry-after: -5\r\n"), 0, false, ERR_OK, 429, -1, 0 },
		{ "empty", STATUS("retry-after:\r\n"), 0, false, ERR_OK, 429, -1, 0 },
		{ "chunked",
		    "HTTP/1.1 202 A\r\ntransfer-encoding: "
		    "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		    0, false, ERR_OK, 202, -1, 5 },
		{ "interim head", "HTTP/1.1 103 Hints\r\nretry-after: 9\r\n\r\n" PLAIN, 0, false,
		    ERR_OK, 200, -1, 2 },
		{ "no content", "HTTP/1.1 204 No Content\r\n\r\n", 0, false, ERR_OK, 204, -1, 0 },
		{ "redirect not followed",
		    "HTTP/1.1 302 F\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
		    0, false, ERR_OK, 302, -1, 0 },
		{ "until close", "HTTP/1.0 200 OK\r\n\r\nabc", 0, true, ERR_OK, 200, -1, 3 },
		{ "exactly the limit", "HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n", MIB,
		    false, ERR_OK, 200, -1, MIB },
		{ "over the limit", "HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n", MIB + 1,
		    false, ERR_PROTOCOL, 0, 0, 0 },
		{ "truncated", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", 0, true,
		    ERR_PROTOCOL, 0, 0, 0 },
		{ "truncated chunk",
		    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", 0, true,
		    ERR_PROTOCOL, 0, 0, 0 },
		{ "not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", 0, true, ERR_PROTOCOL, 0, 0, 0 },
		{ "closed at once", "", 0, true, ERR_UNREACHABLE, 0, 0, 0 },
	};
	struct err err = { 0 };

	make_certs();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer p = { .answer = rows[i].answer,
			.padding = rows[i].padding,
			.close_after = rows[i].close_after };
		struct https_reply reply = { .retry_after = 0 };

		peer_start(&p, "good.pem");
		struct https_client *c = trusting_client();
		enum err_code code = get(c, p.port, "/p?secret=1", &reply, &err);
		ck_assert_msg(
		    code == rows[i].code, "%s: %s: %s", rows[i].what, err_name(code), err.text);
		ck_assert_msg(reply.status == rows[i].status, "%s: %u", rows[i].what, reply.status);
		ck_assert_msg(reply.retry_after == rows[i].retry_after, "%s: %d", rows[i].what,
		    reply.retry_after);
		ck_assert_msg(
		    reply.body.len == rows[i].body_len, "%s: %zu", rows[i].what, reply.body.len);
		if (code)
			ck_assert_msg(!strstr(err.text, "secret") && strstr(err.text, "/p failed"),
			    "%s", err.text);
		https_reply_done(&reply);
		https_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_deadline)
{
	struct peer p = { .answer = "", .hang = true };
	struct err err = { 0 };
	struct https_reply reply = { 0 };
	char url[64];
	uint64_t from;

	make_certs();
	peer_start(&p, "good.pem");
	struct https_client *c = trusting_client();
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", p.port);
	from = clock_mono_ms();
	ck_err(https_client_call(c,
		   &(struct https_call){ .method = "GET", .url = url, .timeout_ms = 400 }, &reply,
		   &err),
	    ERR_TIMEOUT);
	ck_assert_uint_lt(clock_mono_ms() - from, 3000);
	https_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_unreachable)
{
	struct peer p = { .answer = PLAIN };
	struct err err = { 0 };
	struct https_reply reply = { 0 };

	make_certs();
	peer_start(&p, "good.pem");
	peer_stop(&p);
	struct https_client *c = trusting_client();
	ck_err(get(c, p.port, "/", &reply, &err), ERR_UNREACHABLE);
	ck_err(https_client_call(c,
		   &(struct https_call){ .method = "GET",
		       .url = "https://no-such-name.invalid/",
		       .timeout_ms = PATIENCE_MS },
		   &reply, &err),
	    ERR_UNREACHABLE);
	ck_err(
	    https_client_call(c,
		&(struct https_call){ .method = "GET", .url = "http://127.0.0.1/" }, &reply, &err),
	    ERR_INVALID);
	ck_err(https_client_call(
		   c, &(struct https_call){ .method = "GET", .url = "https://" }, &reply, &err),
	    ERR_INVALID);
	https_client_free(c);
}
END_TEST

START_TEST(test_old_tls)
{
	struct peer p = { .answer = PLAIN };
	struct err err = { 0 };
	struct https_reply reply = { 0 };

	make_certs();
	peer_start(&p, "good.pem");
	SSL_CTX_set_security_level(p.ssl, 0);
	SSL_CTX_set_max_proto_version(p.ssl, TLS1_1_VERSION);
	struct https_client *c = trusting_client();
	ck_err(get(c, p.port, "/", &reply, &err), ERR_UNREACHABLE);
	https_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_kept)
{
	struct peer p = { .answer = PLAIN };
	struct err err = { 0 };

	make_certs();
	peer_start(&p, "good.pem");
	struct https_client *c = trusting_client();
	for (int i = 0; i < 5; i++) {
		struct https_reply reply = { 0 };

		ck_ok(get(c, p.port, "/", &reply, &err));
		ck_assert(text_equal(text_of_bytes(&reply.body), "ok"));
		https_reply_done(&reply);
	}
	ck_assert_uint_eq(p.connections, 1);
	/* a peer that closes kept connections costs a new one, not a failure */
	p.close_after = true;
	for (int i = 0; i < 3; i++) {
		struct https_reply reply = { 0 };

		ck_ok(get(c, p.port, "/", &reply, &err));
		https_reply_done(&reply);
		usleep(20000);
	}
	https_client_free(c);
	peer_stop(&p);
}
END_TEST

START_TEST(test_client_certificate)
{
	struct peer p = { .answer = PLAIN };
	struct err err = { 0 };
	struct https_reply reply = { 0 };
	char *root, *chain, *key_pem;
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	struct https_client *c = NULL;

	make_certs();
	root = pem("root.pem"), chain = pem("device-chain.pem"), key_pem = pem("device.key");
	ck_ok(x509_key_read(text_of(key_pem), &key, &err));
	peer_start(&p, "good.pem");
	SSL_CTX_load_verify_file(p.ssl, support_path("root.pem"));
	SSL_CTX_set_verify(p.ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);

	struct https_client_config config = { root, chain, key, "" };
	ck_ok(https_client_new(&config, &c, &err));
	ck_ok(get(c, p.port, "/", &reply, &err));
	https_reply_done(&reply);
	ck_assert_str_eq(p.client, "/CN=device-1");
	ck_assert_int_eq(p.client_chain, 1); /* a server sees the chain without the leaf */
	https_client_free(c);

	c = trusting_client();
	ck_assert_int_ne(get(c, p.port, "/", &reply, &err), ERR_OK);
	https_client_free(c);

	config.key = NULL;
	ck_err(https_client_new(&config, &c, &err), ERR_INVALID);
	config.key = key;
	config.cert_chain = root; /* another key's */
	ck_ok(https_client_new(&config, &c, &err));
	ck_err(get(c, p.port, "/", &reply, &err), ERR_CRYPTO);
	https_client_free(c);
	free(root), free(chain), free(key_pem);
	peer_stop(&p);
}
END_TEST

/* common.md 9 */
START_TEST(test_proxy)
{
	static const struct {
		const char *what, *upper, *lower, *credentials;
	} rows[] = {
		{ "upper case", "http://%s", NULL, NULL },
		{ "lower case", NULL, "http://%s", NULL },
		{ "empty upper case", "", "http://%s", NULL },
		{ "upper case wins", "http://%s", "http://127.0.0.1:1", NULL },
		{ "userinfo", "http://us%%65r:p%%40ss@%s", NULL, "dXNlcjpwQHNz" },
		{ "without a scheme", "%s", NULL, NULL },
	};
	struct err err = { 0 };

	setenv("NO_PROXY", "*", 1);
	setenv("no_proxy", "*", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer p = {
			.answer = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: "
				  "0\r\nretry-after: 3\r\n\r\n"
		};
		struct https_reply reply = { 0 };
		char at[32], value[128], line[128];

		peer_start(&p, NULL);
		snprintf(at, sizeof(at), "127.0.0.1:%d", p.port);
		unsetenv("HTTPS_PROXY");
		unsetenv("https_proxy");
		if (rows[i].upper) {
			snprintf(value, sizeof(value), rows[i].upper, at);
			setenv("HTTPS_PROXY", value, 1);
		}
		if (rows[i].lower) {
			snprintf(value, sizeof(value), rows[i].lower, at);
			setenv("https_proxy", value, 1);
		}
		struct https_client *c = client_new(&(struct https_client_config){ 0 });
		struct https_call call = { .method = "GET",
			.url = "https://hub.example:444/x?y",
			.timeout_ms = PATIENCE_MS };
		ck_err(https_client_call(c, &call, &reply, &err), ERR_UNREACHABLE);
		ck_assert_msg(strncmp(p.seen, "CONNECT hub.example:444 HTTP/1.1\r\n", 34) == 0,
		    "%s: %s", rows[i].what, p.seen);
		snprintf(line, sizeof(line), "Proxy-Authorization: Basic %s\r\n",
		    rows[i].credentials ? rows[i].credentials : "");
		ck_assert_msg(
		    !strstr(p.seen, line) == !rows[i].credentials, "%s: %s", rows[i].what, p.seen);
		ck_assert_msg(!strstr(err.text, "ss"), "%s", err.text);
		https_client_free(c);
		peer_stop(&p);
	}
}
END_TEST

START_TEST(test_bad_proxy)
{
	static const char *const rows[] = { "socks5://u:hunter2@127.0.0.1:1",
		"http://u:hunter2@:x/", "file:///etc/hunter2", "http://" };
	struct err err = { 0 };
	struct https_client *c = NULL;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv("HTTPS_PROXY", rows[i], 1);
		ck_err(https_client_new(&(struct https_client_config){ 0 }, &c, &err), ERR_CONFIG);
		ck_assert_ptr_null(strstr(err.text, "hunter2"));
	}
}
END_TEST

struct caller {
	struct https_client *client;
	int port;
};

static void *
call_often(void *arg)
{
	const struct caller *caller = arg;
	struct err err = { 0 };

	for (int i = 0; i < 8; i++) {
		struct https_reply reply = { 0 };

		if (get(caller->client, caller->port, "/", &reply, &err))
			return arg;
		https_reply_done(&reply);
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct peer p = { .answer = PLAIN };
	pthread_t threads[8];

	make_certs();
	peer_start(&p, "good.pem");
	struct caller caller = { trusting_client(), p.port };
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, call_often, &caller), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed = NULL;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	https_client_free(caller.client);
	peer_stop(&p);
}
END_TEST

START_TEST(test_warm_up)
{
	struct err err = { 0 };

	ck_ok(https_client_warm_up(&err));
}
END_TEST

TEST_MAIN("http/https_client", test_warm_up, test_request, test_trust, test_trust_paths,
    test_answers, test_deadline, test_unreachable, test_old_tls, test_kept, test_client_certificate,
    test_proxy, test_bad_proxy, test_threads)
