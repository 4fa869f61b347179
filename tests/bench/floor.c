/*
 * floor SOCKET - the least that a daemon of ours can weigh: the same libraries, threads and warm-up as keyd (a server on a
 * socket, a key, a signature, a JSON object, a filter), and no product code.  Prints "ready" and waits.
 */
#include <err.h>
#include <jansson.h>
#include <malloc.h>
#include <microhttpd.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define POLLING 2u
#define WAITING 6 /* pool of four, acceptor, timer */

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

int
main(int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_t thread;

	if (argc != 2)
		errx(2, "usage: floor SOCKET");
	mallopt(M_ARENA_MAX, 4); /* as platform/daemon.c */
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", argv[1]);
	if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 9))
		err(1, "%s", argv[1]);
	sign_once();
	free(json_dumps(json_pack("{s:s}", "a", "b"), 0));
	filter();
	if (!MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
				  MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME,
		0, NULL, NULL, serve, NULL, MHD_OPTION_THREAD_POOL_SIZE, POLLING, MHD_OPTION_END))
		errx(1, "no server");
	for (int i = 0; i < WAITING; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			errx(1, "no thread");
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
