/*
 * handshakes URI CERT N [PID] - N TLS handshakes in memory, in this process, with the server's private key behind URI (a provider of
 * openssl.cnf) and the certificate in CERT: ECDSA or RSA-PSS, TLS 1.3 and 1.2 in turn.  After some that warm up libcrypto's caches,
 * resident memory must not grow, and the process PID (keyd) must hold as many descriptors all the time.
 * Prints one line of figures; exits 1 when either fails.
 */
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 10
#define WARM_UP 600
/* A few pages are no slope: a leak of 4 bytes a handshake would be 40 KiB in a full run's 10,000. */
#define NOISE_KIB 32

static void
fail(const char *what)
{
	fprintf(stderr, "handshakes: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static EVP_PKEY *
open_key(const char *uri)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
	OSSL_STORE_INFO *info = store ? OSSL_STORE_load(store) : NULL;
	EVP_PKEY *key = info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;

	if (!key)
		fail("cannot open the key");
	OSSL_STORE_INFO_free(info);
	OSSL_STORE_close(store);
	return key;
}

static void
handshake(SSL_CTX *ctx, int version)
{
	SSL *client = SSL_new(ctx), *server = SSL_new(ctx);
	BIO *to_server, *to_client;
	int done = 0;

	BIO_new_bio_pair(&to_server, 0, &to_client, 0);
	SSL_set_bio(client, to_server, to_server);
	SSL_set_bio(server, to_client, to_client);
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	SSL_set_max_proto_version(server, version);
	for (int i = 0; i < 20 && done != 2; i++)
		done = (SSL_do_handshake(client) == 1) + (SSL_do_handshake(server) == 1);
	if (done != 2)
		fail("no handshake");
	SSL_free(client);
	SSL_free(server);
}

static long
resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		fail("/proc/self/statm");
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int
descriptors_now(const char *pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
	dir = opendir(path);
	if (!dir)
		fail(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* The least within a while: the last connections of a handshake may not be closed yet at keyd's end. */
static int
descriptors(const char *pid)
{
	int least = pid ? descriptors_now(pid) : 0;

	for (int i = 0; pid && i < 20; i++) {
		int n;

		usleep(5000);
		n = descriptors_now(pid);
		least = n < least ? n : least;
	}
	return least;
}

int
main(int argc, char **argv)
{
	long rss[SAMPLES + 1], grown;
	int fds[SAMPLES + 1], uneven = 0, n;
	struct timespec from, to;
	const char *pid = argc > 4 ? argv[4] : NULL;
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	EVP_PKEY *key;

	if (argc < 4 || (n = atoi(argv[3])) < SAMPLES)
		fail("usage: handshakes URI CERT N [PID]");
	key = open_key(argv[1]);
	if (SSL_CTX_use_certificate_file(ctx, argv[2], SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1 ||
	    SSL_CTX_load_verify_file(ctx, argv[2]) != 1)
		fail("key and certificate");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* the measuring has memory of its own, from its first time on */
	resident_kib();
	descriptors(pid);
	for (int sample = 0; sample <= SAMPLES; sample++) {
		for (int i = 0; i < (sample ? n / SAMPLES : WARM_UP); i++)
			handshake(ctx, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION);
		if (!sample)
			clock_gettime(CLOCK_MONOTONIC, &from);
		rss[sample] = resident_kib();
		fds[sample] = descriptors(pid);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	for (int i = 0; i <= SAMPLES; i++)
		uneven |= fds[i] != fds[0];
	grown = rss[SAMPLES] - rss[0];
	printf("%d handshakes in %.1f s; %d before them; RSS after each tenth", n,
	    (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9, WARM_UP);
	for (int i = 0; i <= SAMPLES; i++)
		printf(" %ld", rss[i]);
	printf(" KiB; keyd's descriptors");
	for (int i = 0; i <= SAMPLES; i++)
		printf(" %d", fds[i]);
	printf("; errors left %d\n", ERR_peek_error() != 0);
	EVP_PKEY_free(key);
	SSL_CTX_free(ctx);
	return grown > NOISE_KIB || uneven || ERR_peek_error() != 0;
}
