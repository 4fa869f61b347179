/*
 * floor [--spawner] [--tpm PORT] SOCKET - the least that a daemon of ours can weigh: the libraries, processes,
 * threads and warm-up of that daemon (a server, a key, a signature, a JSON object, a filter), and no product code.
 * Prints "ready" and waits.
 *
 *   --spawner     a second process, forked as platform/spawn.h does it, that only waits
 *   --tpm PORT    with FLOOR_TSS: of a simulator that tpm2-tss is initialised over
 *
 * Built three times: as it is for keyd, certd and edged, with FLOOR_CURL for identityd, with FLOOR_TSS for tpmd.
 */
#include <err.h>
#include <getopt.h>
#include <jansson.h>
#include <malloc.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef FLOOR_CURL
#include <curl/curl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#endif
#ifdef FLOOR_TSS
#include <dlfcn.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#endif

#define POLLING 2u
#define WAITING 3 /* acceptor, timer, and the pool's one thread */

#ifdef FLOOR_CURL
/* Name resolution as common/http/https_client, and a first context, which libcurl would make for its first transfer. */
static void
warm_up_curl(void)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		errx(1, "no libcurl");
	if (getaddrinfo("localhost", "443", &hints, &found) == 0)
		freeaddrinfo(found);
	SSL_CTX_free(SSL_CTX_new(TLS_client_method()));
}
#endif

#ifdef FLOOR_TSS
static void
warm_up_tss(const char *port)
{
	void *library = dlopen("libtss2-tcti-swtpm.so.0", RTLD_NOW | RTLD_LOCAL);
	TSS2_TCTI_INFO_FUNC info =
	    library ? (TSS2_TCTI_INFO_FUNC)dlsym(library, TSS2_TCTI_INFO_SYMBOL) : NULL;
	TSS2_TCTI_CONTEXT *tcti = NULL;
	ESYS_CONTEXT *esys = NULL;
	uint8_t two[2];
	size_t size = 0, at = 0;
	char where[64];

	setenv("TSS2_LOG", "all+NONE", 0);
	snprintf(where, sizeof(where), "host=127.0.0.1,port=%s", port);
	if (Tss2_MU_UINT16_Marshal(1, two, sizeof(two), &at) || !info ||
	    info()->init(NULL, &size, where))
		errx(1, "no tpm2-tss");
	tcti = calloc(1, size);
	if (!tcti || info()->init(tcti, &size, where) || Esys_Initialize(&esys, tcti, NULL))
		errx(1, "no TPM on port %s", port);
}
#endif

static void
sign_once(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	uint8_t digest[32] = { 1 }, sig[80];
	size_t len = sizeof(sig);

	if (EVP_PKEY_sign_init(ctx) <= 0 ||
	    EVP_PKEY_sign(ctx, sig, &len, digest, sizeof(digest)) <= 0)
		errx(1, "could not sign");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void
filter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, SCMP_SYS(ptrace), 0) ||
	    seccomp_load(ctx))
		errx(1, "no filter");
	seccomp_release(ctx);
}

/* Ends with the process that it belongs to. */
static void
spawner(void)
{
	pid_t parent = getpid();

	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		filter();
		pause();
		_exit(0);
	}
}

static enum MHD_Result
serve(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *len, void **con_cls)
{
	(void)cls, (void)connection, (void)url, (void)method, (void)version, (void)data, (void)len;
	(void)con_cls;
	return MHD_NO;
}

static void *
wait_for_ever(void *arg)
{
	pause();
	return arg;
}

static int
listen_on(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 9))
		err(1, "%s", path);
	return fd;
}

static void
start_threads(void)
{
	pthread_t thread;

	if (!MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
				  MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME,
		0, NULL, NULL, serve, NULL, MHD_OPTION_CONNECTION_LIMIT, POLLING * 512u,
		MHD_OPTION_THREAD_POOL_SIZE, POLLING, MHD_OPTION_END))
		errx(1, "no server");
	for (int i = 0; i < WAITING; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			errx(1, "no thread");
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "spawner", 0, NULL, 's' },
		{ "tpm", 1, NULL, 't' }, { 0 } };
	const char *tpm_port = NULL;
	int option;
	bool spawns = false;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 's':
			spawns = true;
			break;
		case 't':
			tpm_port = optarg;
			break;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		errx(2, "usage: floor [--spawner] [--tpm PORT] SOCKET");
	mallopt(M_ARENA_MAX, 4); /* as platform/daemon.c */
	listen_on(argv[optind]);
	tzset();
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS |
				OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
	    NULL);
	if (spawns)
		spawner();
	sign_once();
#ifdef FLOOR_CURL
	warm_up_curl();
#endif
#ifdef FLOOR_TSS
	warm_up_tss(tpm_port);
#else
	(void)tpm_port;
#endif
	free(json_dumps(json_pack("{s:s}", "a", "b"), 0));
	filter();
	start_threads();
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
