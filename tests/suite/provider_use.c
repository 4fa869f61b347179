/*
 * provider_use CHECK ARGUMENT... - a program that is not ours uses keys of keyd through edgekeep.so, which openssl.cnf has loaded.
 * It knows libcrypto and nothing of edgekeep.  Each check stands for a trap of design/provider.md in module mode; it says what is
 * wrong and exits 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/conf.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned char message[] = "to be signed";

static void
fail(const char *what)
{
	printf("%s\n", what);
	ERR_print_errors_fp(stdout);
	fflush(stdout);
	_exit(1);
}

#define MUST(what)                   \
	do {                         \
		if (!(what))         \
			fail(#what); \
	} while (0)

/* --- keys */

static EVP_PKEY *
try_open(OSSL_LIB_CTX *libctx, const char *uri)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, libctx, NULL, NULL, NULL, NULL, NULL, NULL);
	OSSL_STORE_INFO *info = store ? OSSL_STORE_load(store) : NULL;
	EVP_PKEY *key = info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;

	OSSL_STORE_INFO_free(info);
	OSSL_STORE_close(store);
	return key;
}

static EVP_PKEY *
open_key(OSSL_LIB_CTX *libctx, const char *uri)
{
	EVP_PKEY *key;

	/* libcrypto 3.0 itself leaves an error here: it looks for a file of that name first */
	ERR_set_mark();
	key = try_open(libctx, uri);
	if (!key)
		fail(uri);
	ERR_pop_to_mark();
	return key;
}

static EVP_PKEY *
read_pem(const char *path)
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

/* The public half alone, in the default provider: it has never met edgekeep. */
static EVP_PKEY *
public_of(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	const unsigned char *at;
	int len = i2d_PUBKEY(key, &der);
	EVP_PKEY *public;

	at = der;
	public = len > 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
	OPENSSL_free(der);
	return public;
}

static bool
sign(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const char *md, unsigned char *out, size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = EVP_DigestSignInit_ex(ctx, NULL, md, libctx, NULL, key, NULL) == 1 &&
		    EVP_DigestSign(ctx, out, len, message, sizeof(message)) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

/* Sign through edgekeep, and let the default provider judge. */
static bool
sign_judged(OSSL_LIB_CTX *libctx, EVP_PKEY *key, const char *md)
{
	unsigned char signature[1024];
	size_t len = sizeof(signature);
	EVP_PKEY *public = public_of(key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = public && sign(libctx, key, md, signature, &len) &&
		    EVP_DigestVerifyInit_ex(ctx, NULL, md, NULL, NULL, public, NULL) == 1 &&
		    EVP_DigestVerify(ctx, signature, len, message, sizeof(message)) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	return good;
}

/* --- traps */

/* trap 1: URI - libcrypto's own keys are made, exported and judged as if there were no edgekeep */
static void
check_default_unharmed(char **argv)
{
	EVP_PKEY *keys[] = { EVP_EC_gen("P-256"), EVP_RSA_gen(2048), open_key(NULL, argv[0]) };
	const char *const provider[] = { "default", "default", "edgekeep" };

	for (int i = 0; i < 3; i++) {
		MUST(keys[i]);
		MUST(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(keys[i])),
			 provider[i]) == 0);
		MUST(sign_judged(NULL, keys[i], "SHA256"));
		EVP_PKEY_free(keys[i]);
	}
}

/* trap 2: URI - no way out for the private half; asking for it does not spoil the key */
static void
check_no_export(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	OSSL_PARAM *params = NULL;
	BIGNUM *number = NULL;
	BIO *out = BIO_new(BIO_s_mem());

	MUST(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params) != 1 && !params);
	MUST(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1);
	MUST(i2d_PrivateKey(key, NULL) <= 0);
	MUST(BIO_pending(out) == 0);
	MUST(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number) != 1);
	MUST(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &number) != 1);
	MUST(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params) == 1);
	MUST(sign_judged(NULL, key, "SHA256"));
	OSSL_PARAM_free(params);
	BIO_free(out);
	EVP_PKEY_free(key);
}

/* trap 3: URI - a request and a certificate that hold our key are verified with it */
static void
check_verify(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	X509_REQ *req = X509_REQ_new();
	X509 *cert = X509_new(), *read;
	unsigned char *der = NULL;
	const unsigned char *at;

	MUST(X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_sign(req, key, EVP_sha256()) > 0);
	MUST(X509_REQ_verify(req, key) == 1);
	MUST(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)) == 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	MUST(X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha384()) > 0);
	MUST(X509_verify(cert, key) == 1 && X509_check_private_key(cert, key) == 1);
	/* as read from a file: its key is the default provider's */
	MUST(i2d_X509(cert, &der) > 0);
	at = der;
	read = d2i_X509(NULL, &at, i2d_X509(cert, NULL));
	MUST(read && X509_check_private_key(read, key) == 1 && X509_verify(read, key) == 1);
	MUST(ERR_peek_error() == 0);
	X509_free(read);
	OPENSSL_free(der);
	X509_REQ_free(req);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* trap 4: URI - a context goes on after a signature, as each final works on a copy of it */
static void
check_finals(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]), *public = public_of(key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *judge = EVP_MD_CTX_new();
	unsigned char signature[1024];

	MUST(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1);
	for (int i = 1; i <= 3; i++) {
		size_t len = sizeof(signature);

		MUST(EVP_DigestSignUpdate(ctx, message, sizeof(message)) == 1);
		MUST(EVP_DigestSignFinal(ctx, signature, &len) == 1);
		EVP_MD_CTX_reset(judge);
		MUST(EVP_DigestVerifyInit_ex(judge, NULL, "SHA256", NULL, NULL, public, NULL) == 1);
		for (int j = 0; j < i; j++)
			EVP_DigestVerifyUpdate(judge, message, sizeof(message));
		MUST(EVP_DigestVerifyFinal(judge, signature, len) == 1);
	}
	EVP_MD_CTX_free(ctx);
	EVP_MD_CTX_free(judge);
	EVP_PKEY_free(public);
	EVP_PKEY_free(key);
}

/* trap 5: URI - TLS says SHA2-256 for SHA256 */
static void
check_digest_names(char **argv)
{
	static const char *const names[] = { "SHA256", "SHA2-256", "sha256", "SHA384", "SHA2-512" };
	EVP_PKEY *key = open_key(NULL, argv[0]);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		MUST(sign_judged(NULL, key, names[i]));
	EVP_PKEY_free(key);
}

/* trap 6: URI PEM - the host's error queue is as it was */
static void
check_queue(char **argv)
{
	unsigned long error;
	EVP_PKEY *key, *from_pem;

	ERR_raise(ERR_LIB_USER, 42);
	error = ERR_peek_error();
	key = open_key(NULL, argv[0]);
	MUST(sign_judged(NULL, key, "SHA256"));
	from_pem = read_pem(argv[1]);
	MUST(from_pem && EVP_PKEY_eq(key, from_pem) == 1);
	MUST(ERR_peek_error() == error && ERR_peek_last_error() == error);
	EVP_PKEY_free(from_pem);
	EVP_PKEY_free(key);
}

/* traps 6, 1: CNF URI - in a library context of the program's own, its children among themselves */
static void
check_own_context(char **argv)
{
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
	EVP_PKEY *key;

	MUST(OSSL_LIB_CTX_load_config(libctx, argv[0]) == 1);
	key = open_key(libctx, argv[1]);
	MUST(sign_judged(libctx, key, "SHA256"));
	EVP_PKEY_free(key);
	OSSL_LIB_CTX_free(libctx);
}

/* trap 7: PEM... - files that libcrypto reads private keys from, ours and ordinary, also behind a certificate */
static void
check_pem_files(char **argv)
{
	for (; *argv; argv++) {
		EVP_PKEY *key = read_pem(*argv);

		if (!key || !sign_judged(NULL, key, "SHA256") || ERR_peek_error())
			fail(*argv);
		EVP_PKEY_free(key);
	}
}

/* trap 8: NAME... - files that hold no usable key: refused, with at least one error to print */
static void
check_bad_pem_files(char **argv)
{
	for (; *argv; argv++) {
		EVP_PKEY *key = read_pem(*argv);

		if (key || !ERR_peek_error())
			fail(*argv);
		ERR_clear_error();
	}
}

static void
sign_times(EVP_PKEY *key, int n)
{
	for (int i = 0; i < n; i++)
		MUST(sign_judged(NULL, key, "SHA256"));
}

static void
wait_for(pid_t child)
{
	int status;

	MUST(waitpid(child, &status, 0) == child);
	if (status)
		fail(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "child has failed");
}

/* trap 8: URI - a fork: child, its child, and parent sign side by side */
static void
check_fork(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	pid_t children[4];

	sign_times(key, 1);
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			pid_t inner;

			sign_times(key, 20);
			inner = fork();
			sign_times(key, 20);
			if (inner == 0)
				_exit(0);
			wait_for(inner);
			EVP_PKEY_free(key);
			exit(0); /* with all of libcrypto's clearing up */
		}
	}
	sign_times(key, 40);
	for (int i = 0; i < 4; i++)
		wait_for(children[i]);
	sign_times(key, 5);
	EVP_PKEY_free(key);
}

/* trap 8: URI - more processes of one user than keyd has connections for him, as nginx and others have them: each signs now and then */
static void
check_many(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	pid_t children[24];

	for (int i = 0; i < 24; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			for (int j = 0; j < 10; j++) {
				sign_times(key, 1);
				usleep(20 * 1000);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 24; i++)
		wait_for(children[i]);
	EVP_PKEY_free(key);
}

static volatile bool enough;

static EVP_PKEY_CTX *
ready_to_sign(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);

	MUST(ctx && EVP_PKEY_sign_init(ctx) == 1);
	return ctx;
}

static bool
sign_raw(EVP_PKEY_CTX *ctx)
{
	static const unsigned char hash[32] = "a hash of thirty-two bytes .....";
	unsigned char signature[1024];
	size_t len = sizeof(signature);

	return EVP_PKEY_sign(ctx, signature, &len, hash, sizeof(hash)) == 1;
}

static void *
sign_until(void *ctx)
{
	while (!enough)
		MUST(sign_raw(ctx));
	return NULL;
}

/*
 * trap 8: URI - forks in the midst of other threads' calls to keyd: nothing of ours is left locked in the child.  (Contexts are made
 * beforehand: in the making libcrypto holds locks of its own, which a fork does leave.)
 */
static void
check_fork_with_threads(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	EVP_PKEY_CTX *contexts[5];
	pthread_t threads[4];

	for (int i = 0; i < 5; i++)
		contexts[i] = ready_to_sign(key);
	for (int i = 0; i < 4; i++)
		MUST(pthread_create(&threads[i], NULL, sign_until, contexts[i]) == 0);
	for (int i = 0; i < 50; i++) {
		pid_t child = fork();

		if (child == 0) {
			alarm(20);
			if (!sign_raw(contexts[4]) || !sign_raw(contexts[4]))
				fail("in the child");
			_exit(0);
		}
		wait_for(child);
	}
	enough = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 5; i++)
		EVP_PKEY_CTX_free(contexts[i]);
	EVP_PKEY_free(key);
}

/* trap 8: URI FILE - the program closes what it does not know, as daemons do, and opens files of its own under those numbers */
static void
check_closed(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	int files[16];
	off_t total = 0;

	sign_times(key, 1);
	for (int fd = 3; fd < 64; fd++)
		close(fd);
	for (int i = 0; i < 16; i++)
		MUST((files[i] = open(argv[1], O_RDWR | O_CREAT | O_APPEND, 0600)) >= 0);
	sign_times(key, 3);
	for (int i = 0; i < 16; i++) {
		MUST(fcntl(files[i], F_GETFD) >= 0);
		total += lseek(files[i], 0, SEEK_END);
	}
	MUST(total == 0);
	EVP_PKEY_free(key);
}

/* trap 8: URI - keyd is started anew while we wait for a line on stdin; SIGPIPE has its default action */
static void
check_restart(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);

	sign_times(key, 1);
	printf("ready\n");
	fflush(stdout);
	MUST(getchar() != EOF);
	sign_times(key, 2);
	EVP_PKEY_free(key);
}

/* trap 8: URI - keyd does not answer: an error, in the time that openssl.cnf gives */
static void
check_deadline(char **argv)
{
	unsigned char signature[1024];
	size_t len = sizeof(signature);
	struct timespec from, to;
	EVP_PKEY *key = open_key(NULL, argv[0]);
	char text[512];

	sign_times(key, 1);
	printf("ready\n");
	fflush(stdout);
	MUST(getchar() != EOF);
	clock_gettime(CLOCK_MONOTONIC, &from);
	MUST(!sign(NULL, key, "SHA256", signature, &len));
	clock_gettime(CLOCK_MONOTONIC, &to);
	MUST(to.tv_sec - from.tv_sec < 5);
	ERR_error_string_n(ERR_peek_error(), text, sizeof(text));
	MUST(strstr(text, "edgekeep") && strstr(text, "no answer from keyd in time"));
	EVP_PKEY_free(key);
}

static bool
is_mapped(const char *name)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, name) != NULL;
	if (f)
		fclose(f);
	return found;
}

/* Bytes that each of many rounds leaves behind: the configuration loaded, the key used, all let go. */
static long
left_by(const char *cnf, const char *uri)
{
	enum { WARM_UP = 10, ROUNDS = 60 };
	size_t before = 0;

	for (int i = 0; i < WARM_UP + ROUNDS; i++) {
		OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();
		EVP_PKEY *key;

		MUST(OSSL_LIB_CTX_load_config(libctx, cnf) == 1);
		key = uri ? open_key(libctx, uri) : EVP_PKEY_Q_keygen(libctx, NULL, "EC", "P-256");
		MUST(sign_judged(libctx, key, "SHA256"));
		MUST(!uri || is_mapped("edgekeep.so"));
		EVP_PKEY_free(key);
		OSSL_LIB_CTX_free(libctx);
		if (i == WARM_UP)
			before = mallinfo2().uordblks;
	}
	return ((long)mallinfo2().uordblks - (long)before) / ROUNDS;
}

/* trap 8: CNF URI PLAIN - loaded, used and unloaded, again and again: no descriptor or mapping stays, nor memory (libcrypto 3.0 itself
 * leaks a kilobyte for each configuration that it reads, so without edgekeep in PLAIN) */
static void
check_unload(char **argv)
{
	long plain = left_by(argv[2], NULL), ours = left_by(argv[0], argv[1]);
	int probe = dup(0);

	MUST(!is_mapped("edgekeep.so"));
	MUST(probe == 3);
	MUST(ours < plain + 256);
}

static void *
sign_some(void *key)
{
	sign_times(key, 50);
	return NULL;
}

/* URI - one key in several threads */
static void
check_threads(char **argv)
{
	EVP_PKEY *key = open_key(NULL, argv[0]);
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		MUST(pthread_create(&threads[i], NULL, sign_some, key) == 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	EVP_PKEY_free(key);
}

/* trap 10: URI URI - an id and a handle name the same key */
static void
check_same(char **argv)
{
	EVP_PKEY *one = open_key(NULL, argv[0]), *other = open_key(NULL, argv[1]);

	MUST(EVP_PKEY_eq(one, other) == 1);
	MUST(sign_judged(NULL, other, "SHA256"));
	EVP_PKEY_free(one);
	EVP_PKEY_free(other);
}

static const struct {
	const char *name;
	void (*run)(char **argv);
	int least;
} checks[] = {
	{ "default-unharmed", check_default_unharmed, 1 },
	{ "no-export", check_no_export, 1 },
	{ "verify", check_verify, 1 },
	{ "finals", check_finals, 1 },
	{ "digest-names", check_digest_names, 1 },
	{ "queue", check_queue, 2 },
	{ "own-context", check_own_context, 2 },
	{ "pem-files", check_pem_files, 1 },
	{ "bad-pem-files", check_bad_pem_files, 1 },
	{ "fork", check_fork, 1 },
	{ "many", check_many, 1 },
	{ "fork-with-threads", check_fork_with_threads, 1 },
	{ "closed", check_closed, 2 },
	{ "restart", check_restart, 1 },
	{ "deadline", check_deadline, 1 },
	{ "unload", check_unload, 3 },
	{ "threads", check_threads, 1 },
	{ "same", check_same, 2 },
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(checks) / sizeof(checks[0]); i++)
		if (strcmp(argv[1], checks[i].name) == 0 && argc - 2 >= checks[i].least) {
			checks[i].run(argv + 2);
			return 0;
		}
	fprintf(stderr, "usage: provider_use CHECK ARGUMENT...\n");
	return 2;
}
