/*
 * inproc - the operations themselves, key and context kept, on one thread: "ecdsa-us hmac-us rsa-us rsa-per-second", CPU time and
 * for RSA (PKCS#1, 2048 bits) the rate, too.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

static double
us_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
cpu_us(void)
{
	return us_of(CLOCK_PROCESS_CPUTIME_ID);
}

static double
sign(EVP_PKEY *key, int padding, int n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	uint8_t digest[32] = { 1 }, sig[256];
	double from;

	if (EVP_PKEY_sign_init(ctx) <= 0 ||
	    (padding && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) <= 0))
		return -1;
	from = cpu_us();
	for (int i = 0; i < n; i++) {
		size_t len = sizeof(sig);

		if (EVP_PKEY_sign(ctx, sig, &len, digest, sizeof(digest)) <= 0)
			return -1;
	}
	from = (cpu_us() - from) / n;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return from;
}

static double
hmac(void)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *keyed = EVP_MAC_CTX_new(mac);
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					  OSSL_MAC_PARAM_DIGEST, (char[]){ "SHA256" }, 0),
		OSSL_PARAM_END };
	uint8_t key[32] = { 1 }, message[64] = { 2 }, out[32];
	double from;
	int i, n = 100000;

	EVP_MAC_init(keyed, key, sizeof(key), params);
	from = cpu_us();
	for (i = 0; i < n; i++) {
		EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(keyed);
		size_t len;

		EVP_MAC_update(ctx, message, sizeof(message));
		if (!EVP_MAC_final(ctx, out, &len, sizeof(out)))
			return -1;
		EVP_MAC_CTX_free(ctx);
	}
	from = (cpu_us() - from) / n;
	EVP_MAC_CTX_free(keyed);
	EVP_MAC_free(mac);
	return from;
}

int
main(void)
{
	EVP_PKEY *rsa_key = EVP_RSA_gen(2048);
	double ecdsa = sign(EVP_EC_gen("P-256"), 0, 10000);
	double mac = hmac();
	double from = us_of(CLOCK_MONOTONIC);
	double rsa = sign(rsa_key, RSA_PKCS1_PADDING, 1000);

	printf(
	    "%.2f %.2f %.2f %.0f\n", ecdsa, mac, rsa, 1000 * 1e6 / (us_of(CLOCK_MONOTONIC) - from));
	return 0;
}
