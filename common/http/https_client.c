#include "http/https_client.h"

#include <curl/curl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "crypto/digest.h"
#include "crypto/x509.h"

#define KEPT_MAX	   4
#define BODY_MAX	   (1024 * 1024)
#define TIMEOUT_DEFAULT_MS 30000
#define RETRY_AFTER_MAX	   300

struct https_client {
	STACK_OF(X509) * trust; /* besides the system's; NULL: none */
	STACK_OF(X509) * chain; /* client certificate, leaf first; NULL: none */
	EVP_PKEY *key;
	char *
	    proxy; /* with its user and password; "": none, which keeps libcurl from the environment */

	pthread_mutex_t lock;
	CURL *kept[KEPT_MAX]; /* idle handles with their connections, last in first out */
	size_t n_kept;
};

/* One call under way. */
struct transfer {
	struct buf body;
	bool head_seen;
	int retry_after;
	const char *setup_failed; /* step of the TLS set-up that failed */
	char reason[CURL_ERROR_SIZE];
};

enum err_code
https_client_warm_up(struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return err_set(err, ERR_INTERNAL, "could not initialise libcurl");
	/* loads the resolver's modules while files may still be opened; what it finds is of no interest */
	if (getaddrinfo("localhost", "443", &hints, &found) == 0)
		freeaddrinfo(found);
	return ERR_OK;
}

/* Each member of a colon-separated list. */
static enum err_code
add_path_list(struct sandbox_paths *paths, const char *list, struct err *err)
{
	for (const char *from = list; *from;) {
		size_t len = strcspn(from, ":");
		AUTO(str_freep) char *path = NULL;

		if (len && (str_format(&path, err, "%.*s", (int)len, from) ||
			       sandbox_paths_add(paths, path, SANDBOX_READ, err)))
			return err->code;
		from += len + (from[len] == ':');
	}
	return ERR_OK;
}

enum err_code
https_client_trust_paths(struct sandbox_paths *paths, struct err *err)
{
	/* Debian's hashed directory links to /etc/ssl/certs, and its entries to the packages' own places */
	static const char *const behind_links[] = { "/etc/ssl", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates" };
	const char *file = getenv(X509_get_default_cert_file_env());
	const char *dirs = getenv(X509_get_default_cert_dir_env());

	if (sandbox_paths_add(
		paths, file ? file : X509_get_default_cert_file(), SANDBOX_READ, err) ||
	    add_path_list(paths, dirs ? dirs : X509_get_default_cert_dir(), err))
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(behind_links); i++)
		if (sandbox_paths_add(paths, behind_links[i], SANDBOX_READ, err))
			return err->code;
	return ERR_OK;
}

static const char *
environment_proxy(void)
{
	const char *proxy = getenv("HTTPS_PROXY");

	if (!proxy || !*proxy)
		proxy = getenv("https_proxy");
	return proxy && *proxy ? proxy : "";
}

/* A proxy that libcurl will understand; its texts on a bad one would show the password. */
static enum err_code
check_proxy(const char *proxy, struct err *err)
{
	CURLU *url = curl_url();
	char *scheme = NULL;
	bool good;

	if (!url)
		return err_nomem(err);
	good = curl_url_set(url, CURLUPART_URL, proxy, CURLU_GUESS_SCHEME) == CURLUE_OK &&
	       curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	       (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	curl_free(scheme);
	curl_url_cleanup(url);
	if (good)
		return ERR_OK;
	return err_set(err, ERR_CONFIG, "the HTTPS proxy is not an http or https URL");
}

static enum err_code
take_config(struct https_client *c, const struct https_client_config *config, struct err *err)
{
	const char *proxy = config->proxy ? config->proxy : environment_proxy();

	if (*proxy && check_proxy(proxy, err))
		return err->code;
	if (str_copy(&c->proxy, proxy, err))
		return err->code;
	if (config->extra_trust && x509_chain_read(text_of(config->extra_trust), &c->trust, err)) {
		err_wrap(err, "could not read the trusted certificates");
		return err->code;
	}
	if (!config->cert_chain != !config->key)
		return err_set(
		    err, ERR_INVALID, "a client certificate needs its key and its chain");
	if (!config->key)
		return ERR_OK;
	if (x509_chain_read(text_of(config->cert_chain), &c->chain, err)) {
		err_wrap(err, "could not read the client certificate");
		return err->code;
	}
	if (!EVP_PKEY_up_ref(config->key))
		return err_openssl(err, "could not take the client key");
	c->key = config->key;
	return ERR_OK;
}

enum err_code
https_client_new(
    const struct https_client_config *config, struct https_client **ret, struct err *err)
{
	struct https_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	pthread_mutex_init(&c->lock, NULL);
	if (take_config(c, config, err)) {
		https_client_free(c);
		return err->code;
	}
	*ret = c;
	return ERR_OK;
}

void
https_client_free(struct https_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_kept; i++)
		curl_easy_cleanup(c->kept[i]);
	x509_chainp(&c->trust);
	x509_chainp(&c->chain);
	x509_keyp(&c->key);
	str_freep(&c->proxy);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* A kept handle, which brings its open connections and found names along, or a fresh one; NULL: out of memory. */
static CURL *
handle_take(struct https_client *c)
{
	CURL *handle = NULL;

	pthread_mutex_lock(&c->lock);
	if (c->n_kept)
		handle = c->kept[--c->n_kept];
	pthread_mutex_unlock(&c->lock);
	return handle ? handle : curl_easy_init();
}

static void
handle_put(struct https_client *c, CURL *handle)
{
	/* forgets the caller's buffers, keeps the connections */
	curl_easy_reset(handle);
	pthread_mutex_lock(&c->lock);
	if (c->n_kept < KEPT_MAX) {
		c->kept[c->n_kept++] = handle;
		handle = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	curl_easy_cleanup(handle);
}

/* --- what libcurl calls back */

static size_t
on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;

	buf_add(&t->body, data, size * n);
	return t->body.failed ? CURL_WRITEFUNC_ERROR : size * n;
}

/* Seconds of a Retry-After value, or -1 where it is a date or nonsense. */
static int
retry_after_of(const char *value, size_t len)
{
	long seconds = 0;

	while (len && (*value == ' ' || *value == '\t'))
		value++, len--;
	while (len && strchr(" \t\r\n", value[len - 1]))
		len--;
	if (!len)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (value[i] < '0' || value[i] > '9')
			return -1;
		if (seconds <= RETRY_AFTER_MAX)
			seconds = seconds * 10 + (value[i] - '0');
	}
	if (seconds < 1)
		return 1;
	return seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : (int)seconds;
}

static size_t
on_header(char *line, size_t size, size_t n, void *ctx)
{
	static const char name[] = "retry-after:";
	struct transfer *t = ctx;
	size_t len = size * n;

	if (len >= 5 && strncmp(line, "HTTP/", 5) == 0) {
		/* a new head, after an interim answer too */
		t->head_seen = true;
		t->retry_after = -1;
	} else if (len >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0) {
		t->retry_after = retry_after_of(line + sizeof(name) - 1, len - (sizeof(name) - 1));
	}
	return len;
}

/* Trust in a store of its own: libcurl's may be one that it shares between connections. */
static const char *
set_trust(SSL_CTX *ssl, const struct https_client *c)
{
	X509_STORE *store = X509_STORE_new();

	if (!store)
		return "trust store";
	SSL_CTX_set_cert_store(ssl, store);
	if (!SSL_CTX_set_default_verify_paths(ssl))
		return "system trust";
	for (int i = 0; c->trust && i < sk_X509_num(c->trust); i++)
		if (!X509_STORE_add_cert(store, sk_X509_value(c->trust, i)))
			return "configured trust";
	return NULL;
}

static const char *
set_identity(SSL_CTX *ssl, const struct https_client *c)
{
	if (SSL_CTX_use_certificate(ssl, sk_X509_value(c->chain, 0)) != 1)
		return "client certificate";
	for (int i = 1; i < sk_X509_num(c->chain); i++)
		if (!SSL_CTX_add1_chain_cert(ssl, sk_X509_value(c->chain, i)))
			return "client certificate chain";
	/* checks that it fits the certificate, too */
	if (SSL_CTX_use_PrivateKey(ssl, c->key) != 1)
		return "client key";
	return NULL;
}

struct tls_setup {
	const struct https_client *client;
	struct transfer *transfer;
};

static CURLcode
on_tls_setup(CURL *handle, void *ssl_ctx, void *ctx)
{
	struct tls_setup *setup = ctx;

	(void)handle;
	ERR_clear_error();
	setup->transfer->setup_failed = set_trust(ssl_ctx, setup->client);
	if (!setup->transfer->setup_failed && setup->client->chain)
		setup->transfer->setup_failed = set_identity(ssl_ctx, setup->client);
	return setup->transfer->setup_failed ? CURLE_SSL_CERTPROBLEM : CURLE_OK;
}

/* --- a call */

static bool
has_content_type(const char *const *headers)
{
	for (; headers && *headers; headers++)
		if (strncasecmp(*headers, "content-type:", 13) == 0)
			return true;
	return false;
}

static bool
list_add(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer)
		*list = longer;
	return longer;
}

static enum err_code
header_list(const struct https_call *call, struct curl_slist **ret, struct err *err)
{
	struct curl_slist *list = NULL;
	/* no round trip for permission, and no form type that libcurl would make up */
	bool good = list_add(&list, "Expect:") &&
		    (has_content_type(call->headers) || list_add(&list, "Content-Type:"));

	for (const char *const *h = call->headers; good && h && *h; h++)
		good = list_add(&list, *h);
	if (!good) {
		curl_slist_free_all(list);
		return err_nomem(err);
	}
	*ret = list;
	return ERR_OK;
}

static void
slist_freep(struct curl_slist **list)
{
	/* an Authorization line may be among them */
	for (struct curl_slist *l = *list; l; l = l->next)
		mem_wipe(l->data, strlen(l->data));
	curl_slist_free_all(*list);
	*list = NULL;
}

static bool
set_limits(CURL *h, const struct https_call *call)
{
	long timeout_ms = call->timeout_ms ? (long)call->timeout_ms : TIMEOUT_DEFAULT_MS;

	return !(
	    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https") ||
	    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) ||
	    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ||
	    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) ||
	    /* a name server that does not answer must not hold the caller beyond its deadline */
	    curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L) ||
	    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, timeout_ms) ||
	    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) ||
	    curl_easy_setopt(h, CURLOPT_MAXCONNECTS, 2L));
}

static bool
set_tls(CURL *h, struct tls_setup *setup)
{
	return !(curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
		 curl_easy_setopt(h, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
		 curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L) ||
		 curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L) ||
		 curl_easy_setopt(h, CURLOPT_PROXY_SSL_VERIFYPEER, 1L) ||
		 curl_easy_setopt(h, CURLOPT_PROXY_SSL_VERIFYHOST, 2L) ||
		 /* libcurl's built-in bundle would not honour SSL_CERT_FILE and SSL_CERT_DIR */
		 curl_easy_setopt(h, CURLOPT_CAINFO, NULL) ||
		 curl_easy_setopt(h, CURLOPT_CAPATH, NULL) ||
		 curl_easy_setopt(h, CURLOPT_PROXY_CAINFO, NULL) ||
		 curl_easy_setopt(h, CURLOPT_PROXY_CAPATH, NULL) ||
		 curl_easy_setopt(h, CURLOPT_CA_CACHE_TIMEOUT, 0L) ||
		 curl_easy_setopt(h, CURLOPT_SSL_CTX_FUNCTION, on_tls_setup) ||
		 curl_easy_setopt(h, CURLOPT_SSL_CTX_DATA, setup));
}

static bool
set_request(CURL *h, const struct https_call *call, struct curl_slist *headers)
{
	bool sends = call->body.data || strcmp(call->method, "PUT") == 0 ||
		     strcmp(call->method, "POST") == 0;

	if (curl_easy_setopt(h, CURLOPT_URL, call->url) ||
	    curl_easy_setopt(h, CURLOPT_USERAGENT, "edgekeep/" EDGEKEEP_VERSION) ||
	    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers))
		return false;
	if (strcmp(call->method, "HEAD") == 0)
		return !curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
	if (sends &&
	    (curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len) ||
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, call->body.data ? call->body.data : "")))
		return false;
	return !curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
}

static bool
set_proxy(CURL *h, const struct https_client *c)
{
	return !(curl_easy_setopt(h, CURLOPT_PROXY, c->proxy) ||
		 curl_easy_setopt(h, CURLOPT_NOPROXY, "") ||
		 curl_easy_setopt(h, CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC) ||
		 curl_easy_setopt(h, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) ||
		 curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
}

static bool
set_answer(CURL *h, struct transfer *t)
{
	return !(curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body) ||
		 curl_easy_setopt(h, CURLOPT_WRITEDATA, t) ||
		 curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header) ||
		 curl_easy_setopt(h, CURLOPT_HEADERDATA, t) ||
		 curl_easy_setopt(h, CURLOPT_ERRORBUFFER, t->reason));
}

static enum err_code
code_of(CURLcode failed, const struct transfer *t)
{
	switch (failed) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_GOT_NOTHING:
		return ERR_UNREACHABLE;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return t->head_seen ? ERR_PROTOCOL : ERR_UNREACHABLE;
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return ERR_DENIED;
	case CURLE_OUT_OF_MEMORY:
		return ERR_NOMEM;
	case CURLE_WRITE_ERROR:
		return t->body.failed == ERR_NOMEM ? ERR_NOMEM : ERR_PROTOCOL;
	case CURLE_URL_MALFORMAT:
		return ERR_INVALID;
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a head, which passes for HTTP/0.9 */
	case CURLE_PARTIAL_FILE:
	case CURLE_WEIRD_SERVER_REPLY:
		return ERR_PROTOCOL;
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
		return ERR_CRYPTO;
	default:
		/* what came cannot be read as HTTP */
		return t->head_seen ? ERR_PROTOCOL : ERR_INTERNAL;
	}
}

/* Queries may hold secrets, so a text names a URL without one. */
static enum err_code
describe(const struct https_call *call, const struct transfer *t, CURLcode failed, struct err *err)
{
	const char *reason = t->reason[0] ? t->reason : curl_easy_strerror(failed);
	int url_len = (int)strcspn(call->url, "?#");

	if (t->setup_failed) {
		err_openssl(err, t->setup_failed);
		err->code = ERR_CRYPTO;
	} else if (t->body.failed && t->body.failed != ERR_NOMEM) {
		err_set(err, ERR_PROTOCOL, "the answer is longer than %d bytes", BODY_MAX);
	} else {
		err_set(err, code_of(failed, t), "%s", reason);
	}
	return err_wrap(err, "%s %.*s failed", call->method, url_len, call->url);
}

static enum err_code
take_reply(CURL *h, struct transfer *t, struct https_reply *ret, struct err *err)
{
	struct https_reply reply = { .retry_after = t->retry_after };
	const char *type = NULL;
	long status = 0;

	if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) ||
	    curl_easy_getinfo(h, CURLINFO_CONTENT_TYPE, &type))
		return err_set(err, ERR_INTERNAL, "libcurl lost the answer's status");
	if (status < 100 || status > 999)
		return err_set(err, ERR_PROTOCOL, "the answer has no status");
	reply.status = (unsigned)status;
	snprintf(reply.content_type, sizeof(reply.content_type), "%s", type ? type : "");
	if (buf_take(&t->body, &reply.body, err))
		return err->code;
	*ret = reply;
	return ERR_OK;
}

static enum err_code
run(struct https_client *c, CURL *h, const struct https_call *call, struct transfer *t,
    struct https_reply *ret, struct err *err)
{
	struct tls_setup setup = { c, t };
	AUTO(slist_freep) struct curl_slist *headers = NULL;
	CURLcode failed;

	if (header_list(call, &headers, err))
		return err->code;
	if (!set_limits(h, call) || !set_tls(h, &setup) || !set_proxy(h, c) ||
	    !set_request(h, call, headers) || !set_answer(h, t))
		return err_set(err, ERR_INTERNAL, "libcurl refused an option");
	failed = curl_easy_perform(h);
	if (failed)
		return describe(call, t, failed, err);
	return take_reply(h, t, ret, err);
}

enum err_code
https_client_call(
    struct https_client *c, const struct https_call *call, struct https_reply *ret, struct err *err)
{
	struct transfer t = { .body.max = BODY_MAX, .retry_after = -1 };
	enum err_code code;
	CURL *h;

	if (strncasecmp(call->url, "https://", 8) != 0)
		return err_set(err, ERR_INVALID, "a cloud address must begin with https://");
	h = handle_take(c);
	if (!h)
		return err_nomem(err);
	code = run(c, h, call, &t, ret, err);
	buf_done(&t.body);
	if (code)
		curl_easy_cleanup(h); /* after a failure nothing of it is worth keeping */
	else
		handle_put(c, h);
	return code;
}

void
https_reply_done(struct https_reply *reply)
{
	bytes_done(&reply->body);
	*reply = (struct https_reply){ .retry_after = -1 };
}
