/*
 * keyd_stall SOCKET REQUESTS - how long requests for keys in files take, one after the other: signatures with keys that are open,
 * and among them keys that are opened, made and deleted.
 *
 * Prints "max-us p99-us p50-us"; a request that fails ends it with 1.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/keyd.h"

#define OPENED \
	300 /* more than keyd keeps open, so that each of them has to be opened when its turn comes */

static struct keyd_client *client;
static char *pair, *key;
static struct err why;

static void
must(enum err_code code)
{
	if (code)
		errx(1, "%s (%s)", why.text, err_name(code));
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
sign(const char *handle, enum keyd_mech mech)
{
	struct bytes digest = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	AUTO(bytes_done) struct bytes signature = { 0 };

	must(keyd_client_sign(client, handle, mech, &digest, &signature, &why));
}

static void
open_one(unsigned i)
{
	AUTO(str_freep) char *handle = NULL;
	char id[32];

	snprintf(id, sizeof(id), "stall-%u", i % OPENED);
	must(keyd_client_load_key(client, id, &handle, &why));
}

static void
make_one(unsigned i)
{
	AUTO(str_freep) char *handle = NULL;
	char id[32];

	snprintf(id, sizeof(id), "stall-new-%u", i);
	must(keyd_client_create_key(client, id, KEYD_USE_SIGN, NULL, &handle, &why));
	must(keyd_client_delete_key(client, handle, &why));
}

static void
request(unsigned i)
{
	if (i % 50 == 0)
		make_one(i);
	else if (i % 5 == 0)
		open_one(i / 5);
	else
		sign(i % 2 ? pair : key, i % 2 ? KEYD_ECDSA : KEYD_HMAC_SHA256);
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int
main(int argc, char **argv)
{
	struct unix_client_config config = { .timeout_ms = 60000 };
	unsigned n = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	double *us = calloc(n + 1, sizeof(*us));

	if (n == 0 || !us)
		errx(2, "usage: keyd_stall SOCKET REQUESTS");
	config.path = argv[1];
	must(keyd_client_new(&config, &client, &why));
	must(keyd_client_create_key_pair(client, "stall-pair", NULL, &pair, &why));
	for (unsigned i = 0; i < OPENED; i++) {
		char id[32];

		str_freep(&key);
		snprintf(id, sizeof(id), "stall-%u", i);
		must(keyd_client_create_key(client, id, KEYD_USE_SIGN, NULL, &key, &why));
	}
	for (unsigned i = 0; i < n; i++) {
		double begun = now_us();

		request(i);
		us[i] = now_us() - begun;
	}
	qsort(us, n, sizeof(*us), by_size);
	printf("%.0f %.0f %.0f\n", us[n - 1], us[n * 99 / 100], us[n / 2]);
	keyd_client_free(client);
	str_freep(&pair);
	str_freep(&key);
	free(us);
	return 0;
}
