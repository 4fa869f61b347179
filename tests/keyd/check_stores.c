#include "tests/support/support.h"

#include <string.h>

#include "keyd/stores.h"

/* A place that makes what it is told to make and notes what was asked. */
struct place {
	enum err_code says[KEY_ALGORITHMS];
	enum key_algorithm asked[KEY_ALGORITHMS];
	size_t n_asked;
};

static struct place place;

static enum err_code
place_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	(void)config, (void)err;
	*ret_ctx = &place;
	return ERR_OK;
}

static void
place_close(void *ctx)
{
	(void)ctx;
}

static enum err_code
place_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	struct place *p = ctx;
	enum err_code code = p->says[algorithm];

	(void)id;
	p->asked[p->n_asked++] = algorithm;
	return code ? err_set(err, code, "told to") : ERR_OK;
}

static const struct backend place_backend = {
	.name = "place",
	.open = place_open,
	.close = place_close,
	.create_pair = place_create_pair,
};

#define NONE KEY_ALGORITHMS

/* index-identity.md R11: each algorithm in turn until one works, and no other place; a place in trouble is not asked again */
static const struct {
	const char *preferred;
	enum key_algorithm works; /* all others: says */
	enum err_code says, want;
	size_t n_asked;
	enum key_algorithm asked[KEY_ALGORITHMS];
} rows[] = {
	{ NULL, KEY_RSA_2048, ERR_UNSUPPORTED, ERR_OK, 2, { KEY_EC_P256, KEY_RSA_2048 } },
	{ "*", NONE, ERR_UNSUPPORTED, ERR_UNSUPPORTED, 2, { KEY_EC_P256, KEY_RSA_2048 } },
	{ "ed25519:ec-p384:rsa-3072:rsa-4096:ec-p256", KEY_RSA_4096, ERR_UNSUPPORTED, ERR_OK, 4,
	    { KEY_ED25519, KEY_EC_P384, KEY_RSA_3072, KEY_RSA_4096 } },
	{ "rsa-4096:*:rsa-2048", KEY_RSA_2048, ERR_CRYPTO, ERR_OK, 3,
	    { KEY_RSA_4096, KEY_EC_P256, KEY_RSA_2048 } },
	{ "ed448:rsa-2048:rsa-2048:", KEY_RSA_2048, ERR_INVALID, ERR_OK, 1, { KEY_RSA_2048 } },
	{ "rsa-2048:rsa-2048:ec-p256", KEY_EC_P256, ERR_UNSUPPORTED, ERR_OK, 2,
	    { KEY_RSA_2048, KEY_EC_P256 } },
	{ "*", KEY_RSA_2048, ERR_UNREACHABLE, ERR_UNREACHABLE, 1, { KEY_EC_P256 } },
	{ "*", KEY_RSA_2048, ERR_IO, ERR_IO, 1, { KEY_EC_P256 } },
	{ "ed448", KEY_EC_P256, ERR_UNSUPPORTED, ERR_INVALID, 0, { 0 } },
};

START_TEST(test_in_turn)
{
	const struct store_config one = { .backend = &place_backend,
		.config = { .name = "place", .any_id = true } };
	const struct stores_config config = { .stores = &one, .n_stores = 1 };
	struct stores *stores = NULL;
	struct err err = { 0 };

	ck_ok(stores_open(&config, NULL, &stores, &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		place = (struct place){ 0 };
		for (size_t j = 0; j < KEY_ALGORITHMS; j++)
			place.says[j] = j == rows[i].works ? ERR_OK : rows[i].says;
		ck_assert_int_eq(
		    stores_create_pair(stores, "k", rows[i].preferred, &err), rows[i].want);
		ck_assert_uint_eq(place.n_asked, rows[i].n_asked);
		ck_assert_mem_eq(
		    place.asked, rows[i].asked, sizeof(place.asked[0]) * place.n_asked);
	}
	stores_close(stores);
}
END_TEST

TEST_MAIN("keyd/stores", test_in_turn)
