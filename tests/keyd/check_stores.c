#include "tests/support/support.h"

#include <stdio.h>
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

/* --- which place an id belongs to */

/* A place that remembers the one id that it was given last. */
struct shelf {
	const char *name;
	enum err_code says; /* to everything */
	char id[32];
};

static struct shelf shelves[] = { { .name = "token" }, { .name = "file" }, { .name = "hsm" } };

static enum err_code
shelf_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < ARRAY_LEN(shelves); i++)
		if (strcmp(shelves[i].name, config->name) == 0)
			*ret_ctx = &shelves[i];
	return ERR_OK;
}

static enum err_code
answer_of(const struct shelf *s, struct err *err)
{
	return s->says ? err_set(err, s->says, "told to") : ERR_OK;
}

static enum err_code
shelf_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	const struct shelf *s = ctx;

	(void)ret;
	if (answer_of(s, err))
		return err->code;
	return strcmp(s->id, id) == 0 ? ERR_OK : err_set(err, ERR_NOT_FOUND, "not here");
}

static enum err_code
put(struct shelf *s, const char *id, struct err *err)
{
	if (answer_of(s, err))
		return err->code;
	snprintf(s->id, sizeof(s->id), "%s", id);
	return ERR_OK;
}

static enum err_code
shelf_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	(void)usage;
	return put(ctx, id, err);
}

static enum err_code
shelf_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	(void)algorithm;
	return put(ctx, id, err);
}

static enum err_code
shelf_import(void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	(void)usage, (void)value;
	return put(ctx, id, err);
}

static enum err_code
shelf_move(void *ctx, const char *from, const char *to, struct err *err)
{
	(void)from;
	return put(ctx, to, err);
}

static enum err_code
shelf_remove(void *ctx, const char *id, struct err *err)
{
	struct shelf *s = ctx;

	(void)err;
	if (strcmp(s->id, id) == 0)
		s->id[0] = '\0';
	return ERR_OK;
}

static const struct backend shelf_backend = {
	.name = "shelf",
	.open = shelf_open,
	.close = place_close,
	.find = shelf_find,
	.create_key = shelf_create_key,
	.create_pair = shelf_create_pair,
	.import_key = shelf_import,
	.move = shelf_move,
	.remove = shelf_remove,
};

static const struct backend_preloaded on_token[] = { { "pre", "pkcs11:object=x" } };
static const struct backend_preloaded in_file[] = { { "dev-pre", "file:///x" } };
static const struct store_config three[] = {
	{ .backend = &shelf_backend,
	    .config = { .name = "token",
		.any_id = true,
		.preloaded = on_token,
		.n_preloaded = 1 } },
	{ .backend = &shelf_backend,
	    .config = { .name = "file", .any_id = true, .preloaded = in_file, .n_preloaded = 1 } },
	{ .backend = &shelf_backend, .by_rule = true, .config = { .name = "hsm", .any_id = true } },
};
static const char *const dev[] = { "dev-*", "one" };
static const char *const dev_file[] = { "dev-file" };
static const char *const all[] = { "*" };
static const char *const away[] = { "away" };
static const struct store_rule narrow[] = { { dev_file, 1, "file" }, { dev, 2, "hsm" } };
static const struct store_rule wide[] = { { dev, 2, "hsm" }, { all, 1, "file" } };

static struct stores *
open_three(const struct store_rule *rules, size_t n_rules)
{
	static struct stores_config config;
	struct stores *stores = NULL;
	struct err err = { 0 };

	config = (struct stores_config){ three, ARRAY_LEN(three), rules, n_rules, away, 1 };
	for (size_t i = 0; i < ARRAY_LEN(shelves); i++)
		shelves[i] = (struct shelf){ .name = shelves[i].name };
	ck_ok(stores_open(&config, NULL, &stores, &err));
	return stores;
}

/* The only place that has the id, or NULL. */
static const char *
where_is(const char *id)
{
	const char *where = NULL;

	for (size_t i = 0; i < ARRAY_LEN(shelves); i++)
		if (strcmp(shelves[i].id, id) == 0) {
			ck_assert_ptr_null(where);
			where = shelves[i].name;
		}
	return where;
}

/* keyd.md 6 without rules; with rules the first that matches, and no other place, whatever happens there (issue 3, point 1) */
static const struct {
	const struct store_rule *rules;
	size_t n_rules;
	const char *id, *place; /* NULL: lives nowhere */
} homes[] = {
	{ NULL, 0, "any", "token" },
	{ NULL, 0, "pre", "token" },
	{ NULL, 0, "dev-pre", "file" },
	{ NULL, 0, "away", NULL },
	{ narrow, 2, "dev-file", "file" }, /* both match */
	{ narrow, 2, "dev-other", "hsm" },
	{ narrow, 2, "one", "hsm" },
	{ narrow, 2, "any", NULL }, /* none does */
	{ narrow, 2, "dev-pre", "file" },
	{ narrow, 2, "pre", "token" },
	{ wide, 2, "dev-file", "hsm" },
	{ wide, 2, "any", "file" },
	{ wide, 2, "away", NULL },
	{ wide, 2, "pre", "token" },
};

START_TEST(test_homes)
{
	struct bytes value = { (uint8_t *)"v", 1 };
	struct key *key;

	for (size_t i = 0; i < ARRAY_LEN(homes); i++)
		for (int how = 0; how < 3; how++) {
			const enum err_code want = homes[i].place ? ERR_OK : ERR_INVALID;
			const char *id = homes[i].id;
			struct stores *s = open_three(homes[i].rules, homes[i].n_rules);
			struct err err = { 0 };

			if (how == 0)
				ck_err(stores_create_key(s, id, 1, &err), want);
			else if (how == 1)
				ck_err(stores_create_pair(s, id, NULL, &err), want);
			else
				ck_err(stores_import(s, id, 1, &value, &err), want);
			if (homes[i].place)
				ck_assert_str_eq(where_is(id), homes[i].place);
			else
				ck_assert_ptr_null(where_is(id));
			ck_err(stores_find(s, id, &key, &err),
			    homes[i].place ? ERR_OK : ERR_NOT_FOUND);
			stores_close(s);
		}
}
END_TEST

/* A place that is away, or can do nothing, is never stood in for by another where a rule names it; nor is a key taken for missing. */
START_TEST(test_fail_closed)
{
	static const enum err_code codes[] = { ERR_UNREACHABLE, ERR_UNSUPPORTED, ERR_IO };
	struct bytes value = { (uint8_t *)"v", 1 };

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct stores *s = open_three(wide, 2);
		struct key *key;
		struct err err = { 0 };

		shelves[2].says = codes[i];
		ck_err(stores_create_key(s, "dev-a", 1, &err), codes[i]);
		ck_err(stores_create_pair(s, "dev-a", NULL, &err), codes[i]);
		ck_err(stores_import(s, "dev-a", 1, &value, &err), codes[i]);
		ck_err(stores_find(s, "dev-a", &key, &err), codes[i]);
		ck_assert_ptr_null(where_is("dev-a"));
		stores_close(s);
	}
}
END_TEST

/* Between places nothing moves, whatever rule or preloaded id they come from. */
START_TEST(test_together)
{
	struct stores *s = open_three(wide, 2);
	struct err err = { 0 };

	ck_err(stores_move(s, "dev-a", "any", &err), ERR_INVALID);
	ck_err(stores_move(s, "dev-a", "dev-pre", &err), ERR_INVALID);
	ck_err(stores_move(s, "away", "any", &err), ERR_INVALID);
	ck_err(stores_move(s, "any", "away", &err), ERR_INVALID);
	ck_ok(stores_move(s, "dev-a", "one", &err));
	ck_assert_str_eq(where_is("one"), "hsm");
	ck_ok(stores_move(s, "any", "dev-pre", &err));
	ck_assert_str_eq(where_is("dev-pre"), "file");
	stores_close(s);
}
END_TEST

/* keyd.md 6: what the token cannot take goes to the file; the key of before, on the token, must not answer for it (4.1) */
START_TEST(test_import_elsewhere)
{
	struct bytes value = { (uint8_t *)"v", 1 };
	struct stores *s = open_three(NULL, 0);
	struct err err = { 0 };

	ck_ok(stores_import(s, "k", 1, &value, &err));
	ck_assert_str_eq(where_is("k"), "token");
	shelves[0].says = ERR_UNSUPPORTED;
	ck_ok(stores_import(s, "k", 1, &value, &err));
	ck_assert_str_eq(where_is("k"), "file");
	stores_close(s);
}
END_TEST

TEST_MAIN(
    "keyd/stores", test_in_turn, test_homes, test_fail_closed, test_together, test_import_elsewhere)
