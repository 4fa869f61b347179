#include "tests/keyd/fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const struct peer root = { .pidfd = -1 };

static void
begin(void)
{
	fixture_begin();
	pool_set_may_block(true);
}

static void
restart(void)
{
	fixture_restart();
	pool_set_may_block(true);
}

static char *
create(const char *id)
{
	char *handle = NULL;
	struct err err = { 0 };

	ck_ok(keys_create(keyd.keys, &root, id, KEYD_USE_SIGN, NULL, &handle, &err));
	return handle;
}

static char *
create_pair(const char *id, const char *preferred)
{
	char *handle = NULL;
	struct err err = { 0 };

	ck_ok(keys_create_pair(keyd.keys, &root, id, preferred, &handle, &err));
	return handle;
}

/* The HMAC of nothing, which tells keys apart. */
static struct bytes
mac_of(const char *handle)
{
	struct bytes none = { 0 }, out = { 0 };
	struct err err = { 0 };

	ck_ok(keys_sign(keyd.keys, &root, handle, KEYD_HMAC_SHA256, &none, &out, &err));
	return out;
}

static void
is_dead(const char *handle)
{
	struct bytes none = { 0 }, out = { 0 };
	struct err err = { 0 };

	ck_err(
	    keys_sign(keyd.keys, &root, handle, KEYD_HMAC_SHA256, &none, &out, &err), ERR_INVALID);
}

static char *
parameter(const char *handle, const char *name)
{
	char *value = NULL;
	struct err err = { 0 };

	ck_ok(keys_parameter(keyd.keys, handle, name, &value, &err));
	return value;
}

/* keyd.md 4.3; each tried in turn, here the first works */
static const struct {
	const char *preferred, *algorithm;
} preferences[] = {
	{ NULL, "prime256v1" },
	{ "*", "prime256v1" },
	{ "ec-p256", "prime256v1" },
	{ "rsa-2048", "2048 bit" },
	{ "rsa-2048:*", "2048 bit" },
	{ "rsa-4096:*", "4096 bit" },
	{ "ec-p256:rsa-4096:*", "prime256v1" },
	{ "foo:rsa-2048:ec-p256", "2048 bit" },
	{ "::*", "prime256v1" },
	{ "rsa-2048:rsa-2048", "2048 bit" },
	{ "ec-p384:*", "secp384r1" },
	{ "ed25519", "ED25519" },
	{ "rsa-3072:ec-p256", "3072 bit" },
};

START_TEST(test_preferences)
{
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(preferences); i++) {
		if (support_valgrind() && strstr(preferences[i].algorithm, "bit") &&
		    strcmp(preferences[i].preferred, "rsa-2048:*") != 0)
			continue; /* one RSA key made is enough for memory */
		AUTO(str_freep) char *handle = create_pair("k", preferences[i].preferred);
		AUTO(str_freep)
		char *says = support_sh(
		    "openssl pkey -in %s/home/keys/k-*.key -noout -text", support_tmpdir());

		ck_assert_msg(strstr(says, preferences[i].algorithm) != NULL, "%s: %s",
		    preferences[i].preferred, says);
		ck_ok(keys_delete_pair(keyd.keys, &root, handle, &err));
	}
	fixture_end();
}
END_TEST

/* keyd.md 4.3: an existing pair stays whatever its algorithm, and whatever the list says */
START_TEST(test_existing_pair)
{
	static const char *const lists[] = { NULL, "rsa-2048", "rsa-4096", "foo" };

	begin();
	{
		AUTO(str_freep) char *first = create_pair("k", "ec-p256");
		AUTO(str_freep) char *point = parameter(first, "ec-point");

		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			AUTO(str_freep) char *again = create_pair("k", lists[i]);
			AUTO(str_freep) char *same = parameter(again, "ec-point");

			ck_assert_str_eq(point, same);
			ck_assert_str_eq(first, again);
			restart();
		}
	}
	fixture_end();
}
END_TEST

/* decisions.md, Handles: import and move keep handles alive, a delete ends them for good, also over a restart */
START_TEST(test_epochs)
{
	struct bytes value = { (uint8_t *)"imported", 8 };
	struct err err = { 0 };

	begin();
	{
		AUTO(str_freep) char *first = create("k");
		AUTO(str_freep) char *imported = NULL;
		AUTO(str_freep) char *second = NULL;
		AUTO(str_freep) char *derived = NULL;
		AUTO(str_freep) char *none = NULL;
		AUTO(bytes_done) struct bytes before = mac_of(first);
		AUTO(bytes_done) struct bytes after = { 0 };

		ck_ok(keys_derive(keyd.keys, &root, first, &value, &derived, &err));
		ck_ok(keys_create(keyd.keys, &root, "k", KEYD_USE_SIGN, &value, &imported, &err));
		ck_assert_str_eq(first, imported);
		after = mac_of(first);
		ck_assert(!bytes_equal(&before, &after));
		restart();
		bytes_done(&before);
		before = mac_of(first);
		ck_assert(bytes_equal(&before, &after));

		ck_ok(keys_delete(keyd.keys, &root, first, &err));
		is_dead(first);
		is_dead(derived);
		/* keyd.md 4.5: 204 also when the key is gone already */
		ck_ok(keys_delete(keyd.keys, &root, first, &err));
		second = create("k");
		ck_assert_str_ne(first, second);
		is_dead(first);
		is_dead(derived);
		ck_err(keys_derive(keyd.keys, &root, first, &value, &none, &err), ERR_INVALID);
		/* nor does the dead handle delete the new key */
		ck_ok(keys_delete(keyd.keys, &root, first, &err));
		bytes_done(&before);
		before = mac_of(second);
		restart();
		is_dead(first);
		bytes_done(&after);
		after = mac_of(second);
		ck_assert(bytes_equal(&before, &after));
	}
	fixture_end();
}
END_TEST

/* keyd.md 4.4: the target is replaced; running users of both ids go on (decisions.md, Handles) */
START_TEST(test_move)
{
	struct err err = { 0 };

	begin();
	{
		AUTO(str_freep) char *key = create_pair("key", NULL);
		AUTO(str_freep) char *temp = create_pair("key-temp", NULL);
		AUTO(str_freep) char *old_point = parameter(key, "ec-point");
		AUTO(str_freep) char *new_point = parameter(temp, "ec-point");
		AUTO(str_freep) char *moved = NULL;
		AUTO(str_freep) char *none = NULL;

		ck_assert_str_ne(old_point, new_point);
		ck_ok(keys_move_pair(keyd.keys, &root, "key-temp", "key", &err));
		moved = parameter(key, "ec-point");
		ck_assert_str_eq(moved, new_point);
		ck_err(keys_parameter(keyd.keys, temp, "ec-point", &none, &err), ERR_INVALID);
		ck_err(keys_load_pair(keyd.keys, &root, "key-temp", &none, &err), ERR_INVALID);
		ck_err(keys_move_pair(keyd.keys, &root, "key-temp", "key", &err), ERR_INTERNAL);
		free(support_sh("test 1 = $(ls %s/home/keys | wc -l)", support_tmpdir()));
	}
	fixture_end();
}
END_TEST

/* keyd.md 4.7: the base need not exist; a pair's PEM text is the base key */
START_TEST(test_derive)
{
	struct bytes data = { (uint8_t *)"data", 4 };
	struct err err = { 0 };

	begin();
	{
		AUTO(str_freep) char *pair = create_pair("pair", NULL);
		AUTO(str_freep) char *base = create("base");
		AUTO(str_freep) char *of_pair = NULL;
		AUTO(str_freep) char *orphan = NULL;
		AUTO(str_freep) char *judge = NULL;
		AUTO(bytes_done) struct bytes key = { 0 };
		AUTO(bytes_done) struct bytes want = { 0 };

		ck_ok(keys_derive(keyd.keys, &root, pair, &data, &of_pair, &err));
		ck_ok(keys_export_derived(keyd.keys, &root, of_pair, &key, &err));
		judge = support_sh("cd %s/home/keys && printf data | openssl mac -digest SHA256 "
				   "-macopt hexkey:$(xxd -p -c 9999 pair-*) HMAC",
		    support_tmpdir());
		want = support_hex(judge);
		ck_assert(bytes_equal(&key, &want));

		free(support_sh("rm %s/home/keys/base-*", support_tmpdir()));
		keys_forget(keyd.keys);
		ck_ok(keys_derive(keyd.keys, &root, base, &data, &orphan, &err));
		bytes_done(&key);
		ck_err(keys_export_derived(keyd.keys, &root, orphan, &key, &err), ERR_INVALID);
	}
	fixture_end();
}
END_TEST

/* The lengths of ids: bounded where a key is made, free where one is found. */
START_TEST(test_ids)
{
	static const char *const ids[] = { "", " ", "a/b", "../../etc/passwd", "%41",
		("gr\xc3\xbc\xc3\x9f"
		 "e \xf0\x9f\x94\x91"),
		"a\nb", "\"\\" };
	char id[KEYD_ID_MAX + 2];
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		AUTO(str_freep) char *handle = create(ids[i]);
		AUTO(bytes_done) struct bytes mac = mac_of(handle);

		ck_assert_uint_eq(mac.len, 32);
	}
	free(support_sh("test %zu = $(find %s/home/keys -name '*.key' | wc -l)", ARRAY_LEN(ids),
	    support_tmpdir()));
	memset(id, 'i', sizeof(id) - 1);
	id[KEYD_ID_MAX] = '\0';
	{
		AUTO(str_freep) char *handle = create(id);
		AUTO(str_freep) char *none = NULL;

		ck_assert_uint_le(strlen(handle), KEYD_HANDLE_MAX);
		id[KEYD_ID_MAX] = 'i';
		id[KEYD_ID_MAX + 1] = '\0';
		ck_err(keys_create(keyd.keys, &root, id, KEYD_USE_SIGN, NULL, &none, &err),
		    ERR_INVALID);
		ck_err(keys_create_pair(keyd.keys, &root, id, NULL, &none, &err), ERR_INVALID);
		/* an older device may have it */
		free(support_sh("cd %1$s/home/keys && printf secret > "
				"%2$s-$(printf %2$s | sha256sum | cut -c1-64).key",
		    support_tmpdir(), id));
		ck_ok(keys_load(keyd.keys, &root, id, &none, &err));
	}
	fixture_end();
}
END_TEST

/* Nothing of a damaged key is replaced, whoever asks (decisions.md, malformed key file). */
START_TEST(test_damaged)
{
	AUTO(str_freep) char *handle = NULL;
	AUTO(str_freep) char *before = NULL;
	AUTO(str_freep) char *after = NULL;
	struct err err = { 0 };

	begin();
	free(create_pair("k", NULL));
	free(support_sh("truncate -s 100 %s/home/keys/k-*", support_tmpdir()));
	keys_forget(keyd.keys);
	before = listing();
	ck_err(keys_load_pair(keyd.keys, &root, "k", &handle, &err), ERR_INTERNAL);
	ck_err(keys_create_pair(keyd.keys, &root, "k", NULL, &handle, &err), ERR_INTERNAL);
	free(support_sh("truncate -s 0 %s/home/keys/k-*", support_tmpdir()));
	keys_forget(keyd.keys);
	str_freep(&before);
	before = listing();
	ck_err(
	    keys_create(keyd.keys, &root, "k", KEYD_USE_SIGN, NULL, &handle, &err), ERR_INTERNAL);
	ck_err(keys_load(keyd.keys, &root, "k", &handle, &err), ERR_INTERNAL);
	ck_err(keys_create_pair(keyd.keys, &root, "k", NULL, &handle, &err), ERR_INTERNAL);
	after = listing();
	ck_assert_str_eq(before, after);
	fixture_end();
}
END_TEST

static enum err_code
reopen(struct err *err)
{
	static struct store_config file;
	struct keys_config config;

	file = fixture_store();
	config = fixture_config(&file);
	return keys_open(&config, keyd.policy, &keyd.keys, err);
}

/* decisions.md, Handles: K is 0600, never replaced; lost: refuse to start, with the remedy */
START_TEST(test_secret)
{
	const char *path = support_path("home/handles.key");
	AUTO(bytes_done) struct bytes secret = { 0 };
	struct stat st;
	struct err err = { 0 };

	begin();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, 32);
	secret = support_read(path);
	keys_close(keyd.keys);
	keyd.keys = NULL;

	ck_assert_int_eq(remove(path), 0);
	ck_err(reopen(&err), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "backup"));
	ck_assert_int_ne(stat(path, &st), 0);
	support_write(path, "short");
	ck_err(reopen(&err), ERR_INTERNAL);
	support_write(path, "much longer than the thirty-two bytes that it should have");
	ck_err(reopen(&err), ERR_INTERNAL);
	ck_ok(file_write(path, 0600, secret.data, secret.len, &err));
	ck_ok(reopen(&err));
	keys_close(keyd.keys);
	/* the remedy that the message names */
	free(support_sh("cd %s/home && rm -r handles.key epochs", support_tmpdir()));
	ck_ok(reopen(&err));
	fixture_end();
}
END_TEST

/* keyd.md 5: without homedir only preloaded keys work */
START_TEST(test_no_homedir)
{
	struct backend_preloaded preloaded = { "pre", NULL };
	const struct store_config file = { .backend = &file_backend,
		.config = { .name = "file", .preloaded = &preloaded, .n_preloaded = 1 } };
	const struct keys_config config = { .stores = { .stores = &file, .n_stores = 1 } };
	AUTO(str_freep) char *uri = NULL;
	AUTO(str_freep) char *handle = NULL;
	AUTO(bytes_done) struct bytes mac = { 0 };
	struct err err = { 0 };

	begin();
	ck_ok(str_format(&uri, &err, "file://%s", support_path("pre.key")));
	preloaded.uri = uri;
	keys_close(keyd.keys);
	ck_ok(keys_open(&config, keyd.policy, &keyd.keys, &err));
	ck_err(keys_create(keyd.keys, &root, "k", KEYD_USE_SIGN, NULL, &handle, &err), ERR_INVALID);
	ck_assert_str_eq(err.text, "no way to create keys");
	ck_err(keys_create_pair(keyd.keys, &root, "k", NULL, &handle, &err), ERR_INVALID);
	ck_assert_str_eq(err.text, "no way to create keys");
	support_write(support_path("pre.key"), "secret");
	ck_ok(keys_load(keyd.keys, &root, "pre", &handle, &err));
	mac = mac_of(handle);
	ck_err(keys_delete(keyd.keys, &root, handle, &err), ERR_INVALID);
	fixture_end();
}
END_TEST

/* Two names of one file: what is done by one counts for the other at once, as upstream reads it anew each time. */
START_TEST(test_shared_file)
{
	AUTO(str_freep) char *uri = NULL;
	struct backend_preloaded both[] = { { "one", NULL }, { "other", NULL } };
	struct store_config file = fixture_store();
	const struct keys_config config = fixture_config(&file);
	struct bytes value = { (uint8_t *)"imported", 8 };
	struct err err = { 0 };

	begin();
	ck_ok(str_format(&uri, &err, "file://%s", support_path("home/shared.key")));
	both[0].uri = both[1].uri = uri;
	file.config.preloaded = both;
	file.config.n_preloaded = ARRAY_LEN(both);
	keys_close(keyd.keys);
	ck_ok(keys_open(&config, keyd.policy, &keyd.keys, &err));
	{
		AUTO(str_freep) char *one = create("one");
		AUTO(str_freep) char *other = create("other");
		AUTO(str_freep) char *again = NULL;
		AUTO(bytes_done) struct bytes first = mac_of(one);
		AUTO(bytes_done) struct bytes same = mac_of(other);
		AUTO(bytes_done) struct bytes changed = { 0 };

		ck_assert(bytes_equal(&first, &same));
		ck_ok(keys_create(keyd.keys, &root, "one", KEYD_USE_SIGN, &value, &again, &err));
		changed = mac_of(other);
		ck_assert(!bytes_equal(&first, &changed));
		ck_ok(keys_delete(keyd.keys, &root, one, &err));
		is_dead(other);
	}
	fixture_end();
}
END_TEST

/* architecture.md 3, TRY: on a polling thread nothing waits, and what would wait has done nothing yet */
START_TEST(test_would_block)
{
	struct bytes value = { (uint8_t *)"v", 1 }, none = { 0 }, out = { 0 };
	char *handle = NULL, *no = NULL;
	AUTO(str_freep) char *before = NULL;
	AUTO(str_freep) char *after = NULL;
	struct err err = { 0 };

	begin();
	handle = create("k");
	before = listing();
	pool_set_may_block(false);
	/* what is at hand needs no file: neither the key's nor its epoch's */
	ck_ok(keys_create(keyd.keys, &root, "k", KEYD_USE_SIGN, NULL, &no, &err));
	str_freep(&no);
	ck_ok(keys_load(keyd.keys, &root, "k", &no, &err));
	str_freep(&no);
	ck_ok(keys_derive(keyd.keys, &root, handle, &value, &no, &err));
	str_freep(&no);
	ck_ok(keys_sign(keyd.keys, &root, handle, KEYD_HMAC_SHA256, &none, &out, &err));
	bytes_done(&out);

	ck_err(
	    keys_create(keyd.keys, &root, "k", KEYD_USE_SIGN, &value, &no, &err), ERR_WOULD_BLOCK);
	ck_err(
	    keys_create(keyd.keys, &root, "new", KEYD_USE_SIGN, NULL, &no, &err), ERR_WOULD_BLOCK);
	ck_err(keys_create_pair(keyd.keys, &root, "new", NULL, &no, &err), ERR_WOULD_BLOCK);
	ck_err(keys_load(keyd.keys, &root, "new", &no, &err), ERR_WOULD_BLOCK);
	ck_err(keys_move_pair(keyd.keys, &root, "k", "l", &err), ERR_WOULD_BLOCK);
	ck_err(keys_delete(keyd.keys, &root, handle, &err), ERR_WOULD_BLOCK);
	keys_forget(keyd.keys);
	ck_err(keys_sign(keyd.keys, &root, handle, KEYD_HMAC_SHA256, &none, &out, &err),
	    ERR_WOULD_BLOCK);
	ck_err(keys_derive(keyd.keys, &root, handle, &value, &no, &err), ERR_WOULD_BLOCK);
	after = listing();
	ck_assert_str_eq(before, after);
	str_freep(&handle);
	fixture_end();
}
END_TEST

/* index-identity.md P1: with its directory gone, a key at hand still signs */
START_TEST(test_no_file)
{
	struct bytes digest = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	struct err err = { 0 };

	begin();
	{
		AUTO(str_freep) char *pair = create_pair("pair", NULL);
		AUTO(str_freep) char *key = create("key");
		AUTO(bytes_done) struct bytes mac = { 0 };
		AUTO(bytes_done) struct bytes sig = { 0 };

		free(support_sh("rm -r %s/home", support_tmpdir()));
		ck_ok(keys_sign(keyd.keys, &root, pair, KEYD_ECDSA, &digest, &sig, &err));
		mac = mac_of(key);
	}
	fixture_end();
}
END_TEST

struct job {
	const char *id;
	bool pair;
	char *what; /* of the key, for comparison */
};

static void *
create_same(void *arg)
{
	struct job *job = arg;
	AUTO(str_freep) char *handle = NULL;

	pool_set_may_block(true);
	if (job->pair) {
		handle = create_pair(job->id, NULL);
		job->what = parameter(handle, "ec-point");
	} else {
		AUTO(bytes_done) struct bytes mac = { 0 };

		handle = create(job->id);
		mac = mac_of(handle);
		job->what = calloc(1, 65);
		for (size_t i = 0; i < mac.len; i++)
			snprintf(job->what + 2 * i, 3, "%02x", mac.data[i]);
	}
	return NULL;
}

START_TEST(test_race)
{
	begin();
	for (int round = 0; round < 20; round++) {
		struct job jobs[8];
		pthread_t threads[ARRAY_LEN(jobs)];
		char id[16];

		snprintf(id, sizeof(id), "k%d", round);
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
			jobs[i] = (struct job){ id, round % 2, NULL };
			ck_assert_int_eq(
			    pthread_create(&threads[i], NULL, create_same, &jobs[i]), 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
			pthread_join(threads[i], NULL);
			ck_assert_str_eq(jobs[0].what, jobs[i].what);
			if (i > 0)
				free(jobs[i].what);
		}
		free(jobs[0].what);
	}
	fixture_end();
}
END_TEST

/* Makes, moves and deletes on few ids from many threads: every call ends, and answers one of what it may. */
static void *
churn(void *arg)
{
	static const char *const ids[] = { "a", "b", "c" };
	unsigned seed = (unsigned)(uintptr_t)arg;
	struct err err = { 0 };

	pool_set_may_block(true);
	for (int i = 0; i < 100; i++) {
		const char *id = ids[rand_r(&seed) % 3], *to = ids[rand_r(&seed) % 3];
		AUTO(str_freep) char *handle = NULL;
		enum err_code code = keys_create_pair(keyd.keys, &root, id, NULL, &handle, &err);

		ck_assert_int_eq(code, ERR_OK);
		code = keys_move_pair(keyd.keys, &root, id, to, &err);
		ck_assert(code == ERR_OK || code == ERR_INTERNAL || code == ERR_INVALID);
		if (rand_r(&seed) % 2)
			ck_ok(keys_delete_pair(keyd.keys, &root, handle, &err));
	}
	return NULL;
}

START_TEST(test_churn)
{
	pthread_t threads[4];

	begin();
	for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	free(support_sh("test -z \"$(ls %s/home/keys | grep -v '\\.key$')\"", support_tmpdir()));
	fixture_end();
}
END_TEST

/* --- a place whose keys are known by their ids alone, as those of a worker are */

static atomic_bool is_there;

static enum err_code
ids_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	(void)config, (void)err;
	*ret_ctx = &is_there;
	return ERR_OK;
}

static void
ids_close(void *ctx)
{
	(void)ctx;
}

static enum err_code
ids_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	(void)ctx, (void)id, (void)err;
	*ret = is_there;
	return ERR_OK;
}

static enum err_code
missing(struct err *err)
{
	return is_there ? ERR_OK : err_set(err, ERR_NOT_FOUND, "not there");
}

static void
ids_key_free(struct key *key)
{
	str_freep(&key->id);
	free(key);
}

static const struct backend ids_backend;

static enum err_code
ids_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct key *key;

	(void)ctx;
	if (missing(err))
		return err->code;
	key = calloc(1, sizeof(*key));
	ck_assert_ptr_nonnull(key);
	key->backend = &ids_backend;
	atomic_init(&key->refs, 1);
	key->id = strdup(id);
	*ret = key;
	return ERR_OK;
}

static enum err_code
ids_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	(void)ctx, (void)id, (void)usage, (void)err;
	is_there = true;
	return ERR_OK;
}

static enum err_code
ids_remove(void *ctx, const char *id, struct err *err)
{
	(void)ctx, (void)id, (void)err;
	is_there = false;
	return ERR_OK;
}

/* While a key is checked another thread deletes it, as far as it is let; as often as this says. */
static atomic_int deletions;
static pthread_t deleters[2];
static _Thread_local bool is_deleter;

static void *
load_and_delete(void *arg)
{
	AUTO(str_freep) char *handle = NULL;
	struct err err = { 0 };

	(void)arg;
	is_deleter = true;
	pool_set_may_block(true);
	ck_ok(keys_load(keyd.keys, &root, "k", &handle, &err));
	ck_ok(keys_delete(keyd.keys, &root, handle, &err));
	return NULL;
}

static enum err_code
ids_check(struct key *key, enum key_kind kind, struct err *err)
{
	(void)key, (void)kind;
	if (!is_deleter && deletions > 0) {
		deletions--;
		ck_assert_int_eq(
		    pthread_create(&deleters[deletions], NULL, load_and_delete, NULL), 0);
		for (int i = 0; is_there && i < 100; i++)
			usleep(1000);
	}
	return missing(err);
}

static enum err_code
ids_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	(void)key, (void)mech, (void)data;
	return bytes_copy(ret, "by the base key", 15, err);
}

/* A vendor's mistake: success, and no key. */
static enum err_code
ids_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	(void)key, (void)data;
	return bytes_alloc(ret, 0, err);
}

static const struct backend ids_backend = {
	.name = "ids",
	.open = ids_open,
	.close = ids_close,
	.exists = ids_exists,
	.find = ids_find,
	.key_free = ids_key_free,
	.create_key = ids_create_key,
	.remove = ids_remove,
	.check = ids_check,
	.sign = ids_sign,
	.derive = ids_derive,
};

/* A create answers with its key, also where that goes behind keyd's back, or others delete it as often as it is made. */
START_TEST(test_create_beside_delete)
{
	const struct store_config ids = { .backend = &ids_backend,
		.config = { .name = "ids", .any_id = true } };
	const struct keys_config config = fixture_config(&ids);
	struct err err = { 0 };

	begin();
	keys_close(keyd.keys);
	ck_ok(keys_open(&config, keyd.policy, &keyd.keys, &err));
	free(create("k"));
	is_there = false;
	free(create("k"));
	deletions = 2;
	free(create("k"));
	ck_assert_int_eq(deletions, 0);
	for (size_t i = 0; i < ARRAY_LEN(deleters); i++)
		pthread_join(deleters[i], NULL);
	fixture_end();
}
END_TEST

/* No derived handle yields its base (issue 3, point 3), not even where a backend derives nothing. */
START_TEST(test_derives_nothing)
{
	const struct store_config ids = { .backend = &ids_backend,
		.config = { .name = "ids", .any_id = true } };
	const struct keys_config config = fixture_config(&ids);
	struct bytes data = { (uint8_t *)"data", 4 };
	struct err err = { 0 };

	begin();
	keys_close(keyd.keys);
	ck_ok(keys_open(&config, keyd.policy, &keyd.keys, &err));
	{
		AUTO(str_freep) char *base = create("k");
		AUTO(str_freep) char *derived = NULL;
		AUTO(bytes_done) struct bytes mac = mac_of(base);
		AUTO(bytes_done) struct bytes none = { 0 };

		ck_assert(text_equal(text_of_bytes(&mac), "by the base key"));
		ck_ok(keys_derive(keyd.keys, &root, base, &data, &derived, &err));
		ck_err(keys_sign(keyd.keys, &root, derived, KEYD_HMAC_SHA256, &data, &none, &err),
		    ERR_INTERNAL);
		ck_err(keys_export_derived(keyd.keys, &root, derived, &none, &err), ERR_INTERNAL);
	}
	fixture_end();
}
END_TEST

TEST_MAIN("keyd/keys", test_preferences, test_existing_pair, test_epochs, test_move, test_derive,
    test_ids, test_damaged, test_secret, test_no_homedir, test_shared_file, test_would_block,
    test_no_file, test_race, test_churn, test_create_beside_delete, test_derives_nothing)
