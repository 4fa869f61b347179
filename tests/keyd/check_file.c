#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "keyd/backend.h"
#include "keyd/cache.h"
#include "keyd/file_store.h"
#include "keyd/mech.h"
#include "platform/pool.h"

static struct mech *mech;
static struct backend_preloaded preloaded[1];
static char uri[256];
static struct backend_config config;
static void *ctx;

/* One preloaded id, from the next open on. */
static void
preload(const char *id, const char *file)
{
	snprintf(uri, sizeof(uri), "file://%s", support_path(file));
	preloaded[0] = (struct backend_preloaded){ id, uri };
}

static void
begin(void)
{
	struct err err = { 0 };

	pool_set_may_block(true);
	ck_ok(mech_new(&mech, &err));
	config = (struct backend_config){ .mech = mech, .homedir = support_path("home") };
	ck_ok(file_backend.open(&config, &ctx, &err));
}

static void
end(void)
{
	file_backend.close(ctx);
	mech_free(mech);
}

static struct key *
find(const char *id)
{
	struct key *key = NULL;
	struct err err = { 0 };

	ck_ok(file_backend.find(ctx, id, &key, &err));
	return key;
}

static struct bytes
derive(const char *id)
{
	AUTO(key_putp) struct key *key = find(id);
	struct bytes data = { (uint8_t *)"data", 4 }, out = { 0 };
	struct err err = { 0 };

	ck_ok(file_backend.derive(key, &data, &out, &err));
	return out;
}

/* contracts/keyd.md 6: the name of `device-id`; index-identity.md S4: readable by its owner alone */
START_TEST(test_name)
{
	const char *path = support_path("home/keys/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b559"
					"9a4e124a0fe6199b6b2f60e655.key");
	struct stat st;
	struct err err = { 0 };

	begin();
	ck_ok(file_backend.create_key(ctx, "device-id", KEYD_USE_SIGN, &err));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 32);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(support_path("home/keys"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	ck_ok(file_backend.create_pair(ctx, "pair", KEY_EC_P256, &err));
	free(
	    support_sh("head -1 %s/home/keys/pair-*.key | grep -x -e '-----BEGIN PRIVATE KEY-----'",
		support_tmpdir()));
	free(support_sh("test 0600 = 0$(stat -c %%a %s/home/keys/pair-*.key)", support_tmpdir()));
	end();
}
END_TEST

/* What openssl and printf wrote under upstream's names is found, and works. */
START_TEST(test_upgrade)
{
	struct bytes digest = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(str_freep) char *judge = NULL;
	AUTO(key_putp) struct key *pair = NULL;
	struct err err = { 0 };

	free(support_sh("mkdir -p %1$s/home/keys && cd %1$s/home/keys && "
			"name() { printf '%%s-%%s.key' \"$2\" \"$(printf %%s \"$1\" | sha256sum | "
			"cut -c1-64)\"; } && "
			"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "
			"\"$(name gr\xc3\xbc"
			"n/id grnid)\" && "
			"printf 'raw bytes of no special length' > \"$(name k-imp kimp)\"",
	    support_tmpdir()));
	begin();
	pair = find("gr\xc3\xbcn/id");
	ck_ok(file_backend.check(pair, KEY_PAIR, &err));
	ck_ok(file_backend.sign(pair, KEYD_ECDSA, &digest, &sig, &err));
	ck_ok(file_write(support_path("digest"), 0600, digest.data, digest.len, &err));
	ck_ok(file_write(support_path("sig"), 0600, sig.data, sig.len, &err));
	free(support_sh("cd %s && openssl pkeyutl -verify -inkey home/keys/grnid-*.key -in digest "
			"-sigfile sig",
	    support_tmpdir()));
	judge = support_sh("cd %s && printf data | openssl mac -digest SHA256 -macopt hexkey:$(xxd "
			   "-p -c 99 home/keys/kimp-*.key) HMAC",
	    support_tmpdir());
	want = support_hex(judge);
	mac = derive("k-imp");
	ck_assert(bytes_equal(&mac, &want));
	end();
}
END_TEST

/* contracts/keyd.md 4.7: a key pair's PEM text is its bytes as a base key */
START_TEST(test_pair_as_key)
{
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(str_freep) char *judge = NULL;
	struct err err = { 0 };

	begin();
	ck_ok(file_backend.create_pair(ctx, "pair", KEY_EC_P256, &err));
	judge = support_sh("cd %s && printf data | openssl mac -digest SHA256 -macopt hexkey:$(xxd "
			   "-p -c 9999 home/keys/pair-*.key) HMAC",
	    support_tmpdir());
	want = support_hex(judge);
	mac = derive("pair");
	ck_assert(bytes_equal(&mac, &want));
	end();
}
END_TEST

/* decisions.md, malformed key file: an error, and the file stays as it is */
START_TEST(test_damaged)
{
	static const char *const damaged[] = { "-----BEGIN PRIVATE KEY-----\nnonsense\n", "junk" };
	struct key *key = NULL;
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		AUTO(bytes_done) struct bytes after = { 0 };
		AUTO(str_freep) char *path = NULL;

		ck_ok(file_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
		path = support_sh("echo %s/home/keys/k-*.key", support_tmpdir());
		support_write(path, damaged[i]);
		ck_ok(file_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
		key = find("k");
		ck_err(file_backend.check(key, KEY_PAIR, &err), ERR_INTERNAL);
		ck_ok(file_backend.check(key, KEY_SYMMETRIC, &err));
		key_putp(&key);
		after = support_read(path);
		ck_assert(text_equal(text_of_bytes(&after), damaged[i]));
	}
	free(support_sh("truncate -s 0 %s/home/keys/k-*.key", support_tmpdir()));
	ck_err(file_backend.find(ctx, "k", &key, &err), ERR_INTERNAL);
	free(support_sh("truncate -s 65537 %s/home/keys/k-*.key", support_tmpdir()));
	ck_err(file_backend.find(ctx, "k", &key, &err), ERR_INTERNAL);
	free(support_sh(
	    "cd %s/home/keys && f=$(echo k-*.key) && rm $f && mkdir $f", support_tmpdir()));
	ck_err(file_backend.find(ctx, "k", &key, &err), ERR_INTERNAL);
	end();
}
END_TEST

START_TEST(test_kept)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(bytes_done) struct bytes other = { 0 };
	struct bytes value = { (uint8_t *)"new bytes", 9 };
	struct key *none = NULL;
	bool exists = false;
	struct err err = { 0 };

	begin();
	ck_err(file_backend.find(ctx, "k", &none, &err), ERR_NOT_FOUND);
	ck_ok(file_backend.exists(ctx, "k", &exists, &err));
	ck_assert(!exists);
	/* contracts/keyd.md 4.1, 4.3: an existing key is left untouched by create, replaced by import */
	ck_ok(file_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	before = derive("k");
	ck_ok(file_backend.create_key(ctx, "k", KEYD_USE_ENCRYPT, &err));
	ck_ok(file_backend.create_pair(ctx, "k", KEY_RSA_2048, &err));
	after = derive("k");
	ck_assert(bytes_equal(&before, &after));
	ck_ok(file_backend.import_key(ctx, "k", KEYD_USE_SIGN, &value, &err));
	other = derive("k");
	ck_assert(!bytes_equal(&before, &other));
	ck_ok(file_backend.exists(ctx, "k", &exists, &err));
	ck_assert(exists);
	ck_ok(file_backend.remove(ctx, "k", &err));
	ck_ok(file_backend.remove(ctx, "k", &err));
	ck_err(file_backend.find(ctx, "k", &none, &err), ERR_NOT_FOUND);
	ck_err(file_backend.move(ctx, "k", "l", &err), ERR_NOT_FOUND);
	end();
}
END_TEST

/* contracts/keyd.md 6.1: a preloaded id lives exactly where it says, other directory or not */
START_TEST(test_preloaded)
{
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	struct key *none = NULL;
	struct err err = { 0 };

	preload("pre", "elsewhere/pre.key");
	free(support_sh("mkdir %s/elsewhere", support_tmpdir()));
	begin();
	config.preloaded = preloaded;
	config.n_preloaded = 1;
	ck_err(file_backend.find(ctx, "pre", &none, &err), ERR_NOT_FOUND);
	ck_ok(file_backend.create_key(ctx, "fresh", KEYD_USE_SIGN, &err));
	first = derive("fresh");
	ck_ok(file_backend.move(ctx, "fresh", "pre", &err));
	second = derive("pre");
	ck_assert(bytes_equal(&first, &second));
	free(support_sh("test -f %1$s/elsewhere/pre.key && test -z \"$(ls %1$s/home/keys)\"",
	    support_tmpdir()));
	ck_ok(file_backend.remove(ctx, "pre", &err));
	free(support_sh("test -z \"$(ls %s/elsewhere)\"", support_tmpdir()));
	end();
}
END_TEST

/* A file that cannot be looked at, here for a link that leads to itself, is neither missing nor gone. */
START_TEST(test_out_of_reach)
{
	struct bytes value = { (uint8_t *)"v", 1 };
	struct key *none = NULL;
	bool exists = false;
	struct err err = { 0 };

	preload("pre", "loop/pre.key");
	free(support_sh("ln -s loop %s/loop", support_tmpdir()));
	begin();
	config.preloaded = preloaded;
	config.n_preloaded = 1;
	ck_err(file_backend.find(ctx, "pre", &none, &err), ERR_IO);
	ck_err(file_backend.exists(ctx, "pre", &exists, &err), ERR_IO);
	ck_err(file_backend.create_key(ctx, "pre", KEYD_USE_SIGN, &err), ERR_IO);
	ck_err(file_backend.import_key(ctx, "pre", KEYD_USE_SIGN, &value, &err), ERR_IO);
	ck_err(file_backend.remove(ctx, "pre", &err), ERR_IO);
	end();
}
END_TEST

/* --- wrapped at rest */

/* A home of keys wrapped by a credential of that content, 32 bytes. */
static void
begin_wrapped(const char *kek)
{
	struct err err = { 0 };

	pool_set_may_block(true);
	setenv("CREDENTIALS_DIRECTORY", support_tmpdir(), 1);
	support_write(support_path("edgekeep-kek"), kek);
	ck_ok(mech_new(&mech, &err));
	config = (struct backend_config){
		.mech = mech, .homedir = support_path("home"), .wrap = "credential"
	};
	ck_ok(file_backend.open(&config, &ctx, &err));
}

#define KEK   "0123456789abcdef0123456789abcdef"
#define OTHER "0123456789abcdef0123456789abcdeg"

static bool
is_wrapped(const char *pattern)
{
	AUTO(str_freep)
	char *line =
	    support_sh("head -c 22 %s/home/keys/%s-*.key | tr -d '\\0'", support_tmpdir(), pattern);

	return strcmp(line, "edgekeep wrapped key 1") == 0;
}

/* Whatever is written is wrapped, whatever was plain is read, and moved files open under their new names. */
START_TEST(test_wrapped)
{
	struct bytes digest = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	struct bytes value = { (uint8_t *)"imported", 8 };
	AUTO(bytes_done) struct bytes plain = { 0 };
	AUTO(bytes_done) struct bytes moved = { 0 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(key_putp) struct key *pair = NULL;
	struct err err = { 0 };

	begin();
	ck_ok(file_backend.create_key(ctx, "plain", KEYD_USE_SIGN, &err));
	plain = derive("plain");
	end();
	begin_wrapped(KEK);
	moved = derive("plain");
	ck_assert(bytes_equal(&plain, &moved));
	bytes_done(&moved);
	ck_ok(file_backend.create_pair(ctx, "pair", KEY_EC_P256, &err));
	ck_ok(file_backend.create_key(ctx, "key", KEYD_USE_SIGN, &err));
	ck_ok(file_backend.import_key(ctx, "imported", KEYD_USE_SIGN, &value, &err));
	ck_assert(is_wrapped("pair") && is_wrapped("key") && is_wrapped("imported"));
	ck_assert(!is_wrapped("plain"));
	free(support_sh("! grep -q imported %s/home/keys/imported-*.key", support_tmpdir()));
	ck_ok(file_backend.move(ctx, "plain", "wrapped", &err));
	ck_ok(file_backend.move(ctx, "wrapped", "again", &err));
	ck_assert(is_wrapped("again"));
	moved = derive("again");
	ck_assert(bytes_equal(&plain, &moved));
	free(support_sh("test $(ls %s/home/keys | wc -l) = 4", support_tmpdir()));
	pair = find("pair");
	ck_ok(file_backend.sign(pair, KEYD_ECDSA, &digest, &sig, &err));
	end();
}
END_TEST

/* A preloaded id may be anywhere; its file's name counts and not its directory. */
START_TEST(test_wrapped_elsewhere)
{
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	AUTO(bytes_done) struct bytes third = { 0 };
	struct err err = { 0 };

	preload("pre", "elsewhere/pre.key");
	free(support_sh("mkdir %s/elsewhere", support_tmpdir()));
	begin_wrapped(KEK);
	config.preloaded = preloaded;
	config.n_preloaded = 1;
	ck_ok(file_backend.create_key(ctx, "fresh", KEYD_USE_SIGN, &err));
	first = derive("fresh");
	ck_ok(file_backend.move(ctx, "fresh", "pre", &err));
	second = derive("pre");
	ck_ok(file_backend.move(ctx, "pre", "back", &err));
	third = derive("back");
	ck_assert(bytes_equal(&first, &second) && bytes_equal(&first, &third));
	free(support_sh("test -z \"$(ls %s/elsewhere)\"", support_tmpdir()));
	end();
}
END_TEST

/* Wrapped is what the path leads to, or nothing. */
START_TEST(test_wrapped_link)
{
	struct file_store *store = NULL;
	AUTO(bytes_done) struct bytes content = { 0 };
	enum file_change what;
	struct err err = { 0 };

	begin_wrapped(KEK);
	ck_ok(file_store_open(&config, &store, &err));
	support_write(support_path("target"), "in the clear");
	ck_assert_int_eq(symlink("target", support_path("link")), 0);
	ck_err(file_store_change(store, support_path("link"), true, &what, &err), ERR_INVALID);
	ck_ok(file_store_read(store, support_path("link"), &content, &err));
	ck_ok(file_store_change(store, support_path("target"), true, &what, &err));
	ck_assert_int_eq(what, FILE_CHANGED);
	ck_ok(file_store_change(store, support_path("nowhere"), true, &what, &err));
	ck_assert_int_eq(what, FILE_GONE);
	file_store_close(store);
	end();
}
END_TEST

/* Without the right KEK a wrapped key is damaged, never missing: nothing makes another one, and the file stays. */
static void
check_closed(void)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(str_freep) char *path = support_sh("echo %s/home/keys/k-*.key", support_tmpdir());
	struct key *key = NULL;
	bool exists = false;
	struct err err = { 0 };

	before = support_read(path);
	ck_err(file_backend.find(ctx, "k", &key, &err), ERR_INTERNAL);
	ck_ok(file_backend.exists(ctx, "k", &exists, &err));
	ck_assert(exists);
	ck_ok(file_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	ck_ok(file_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	ck_err(file_backend.move(ctx, "k", "l", &err), ERR_INTERNAL);
	after = support_read(path);
	ck_assert(bytes_equal(&before, &after));
	free(support_sh("test $(ls %s/home/keys | wc -l) = 1", support_tmpdir()));
}

START_TEST(test_wrong_kek)
{
	struct bytes value = { (uint8_t *)"edgekeep wrapped key 1\nand more", 31 };
	struct err err = { 0 };

	begin_wrapped(KEK);
	ck_ok(file_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	end();
	begin_wrapped(OTHER);
	check_closed();
	end();
	begin();
	check_closed();
	/* nor may a plain key look like a wrapped one */
	ck_err(file_backend.import_key(ctx, "m", KEYD_USE_SIGN, &value, &err), ERR_INVALID);
	end();
	/* and two files that change places open no more than one that is renamed */
	begin_wrapped(KEK);
	ck_ok(file_backend.create_key(ctx, "l", KEYD_USE_SIGN, &err));
	free(support_sh("cd %s/home/keys; mv l-*.key x; cp x $(echo k-*.key)", support_tmpdir()));
	free(support_sh("rm %s/home/keys/x", support_tmpdir()));
	check_closed();
	end();
}
END_TEST

/* No KEK, no backend: keys that were to be encrypted are never written plain. */
START_TEST(test_no_kek)
{
	struct err err = { 0 };

	begin();
	end();
	config.wrap = "credential";
	unsetenv("CREDENTIALS_DIRECTORY");
	ck_ok(mech_new(&mech, &err));
	config.mech = mech;
	ck_err(file_backend.open(&config, &ctx, &err), ERR_INTERNAL);
	mech_free(mech);
}
END_TEST

/* What a crash left of a write goes at the next start; nothing else does. */
START_TEST(test_sweep)
{
	struct err err = { 0 };

	begin();
	free(support_sh(
	    "cd %s/home/keys && touch .new-0 .new-5 c-1.key .new d-1.key", support_tmpdir()));
	end();
	begin();
	free(support_sh("test \"$(ls -A %s/home/keys | tr '\\n' ' ')\" = "
			"'.new c-1.key d-1.key '",
	    support_tmpdir()));
	end();
	/* a preloaded key is written beside its file, with homedir or without */
	preload("pre", "elsewhere/pre.key");
	free(support_sh("mkdir %s/elsewhere", support_tmpdir()));
	for (int i = 0; i < 2; i++) {
		free(support_sh("cd %s/elsewhere && touch .new-1 pre.key", support_tmpdir()));
		ck_ok(mech_new(&mech, &err));
		config = (struct backend_config){ .mech = mech,
			.homedir = i ? support_path("home") : NULL,
			.preloaded = preloaded,
			.n_preloaded = 1 };
		ck_ok(file_backend.open(&config, &ctx, &err));
		free(support_sh("test \"$(ls -A %s/elsewhere)\" = pre.key", support_tmpdir()));
		end();
	}
}
END_TEST

/* On a polling thread no call touches a file. */
START_TEST(test_would_block)
{
	struct bytes value = { (uint8_t *)"v", 1 };
	struct key *key = NULL;
	bool exists;
	struct err err = { 0 };

	begin();
	pool_set_may_block(false);
	ck_err(file_backend.find(ctx, "k", &key, &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.exists(ctx, "k", &exists, &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.create_key(ctx, "k", 1, &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.import_key(ctx, "k", 1, &value, &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.move(ctx, "k", "l", &err), ERR_WOULD_BLOCK);
	ck_err(file_backend.remove(ctx, "k", &err), ERR_WOULD_BLOCK);
	free(support_sh("test -z \"$(ls -A %s/home/keys)\"", support_tmpdir()));

	/* a slow key works in the pool only, a quick one anywhere */
	pool_set_may_block(true);
	free(support_sh("openssl genrsa -out %s 3072", support_path("slow.pem")));
	preload("slow", "slow.pem");
	config.preloaded = preloaded;
	config.n_preloaded = 1;
	key = find("slow");
	pool_set_may_block(false);
	{
		const struct key_cipher how = { .cipher = KEYD_RSA_PKCS1 };
		AUTO(bytes_done) struct bytes out = { 0 };

		ck_err(file_backend.encrypt(key, &how, &value, &out, &err), ERR_WOULD_BLOCK);
		pool_set_may_block(true);
		ck_ok(file_backend.encrypt(key, &how, &value, &out, &err));
	}
	key_putp(&key);
	end();
}
END_TEST

static void *
create_same(void *arg)
{
	struct err err = { 0 };

	pool_set_may_block(true);
	if (file_backend.create_key(ctx, arg, KEYD_USE_SIGN, &err) == ERR_OK) {
		AUTO(bytes_done) struct bytes mac = derive(arg);
		struct bytes *out = malloc(sizeof(*out));

		*out = bytes_take(&mac);
		return out;
	}
	return NULL;
}

/* Creates of one id at once agree on one key, whichever process they are in. */
START_TEST(test_race)
{
	begin();
	for (int round = 0; round < 20; round++) {
		pthread_t threads[6];
		struct bytes *first = NULL;
		char id[16];

		snprintf(id, sizeof(id), "k%d", round);
		for (size_t i = 0; i < ARRAY_LEN(threads); i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, create_same, id), 0);
		for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
			void *mac;

			pthread_join(threads[i], &mac);
			ck_assert_ptr_nonnull(mac);
			ck_assert(!first || bytes_equal(first, mac));
			if (first) {
				bytes_done(mac);
				free(mac);
			} else {
				first = mac;
			}
		}
		bytes_done(first);
		free(first);
	}
	end();
}
END_TEST

TEST_MAIN("keyd/file", test_name, test_upgrade, test_pair_as_key, test_damaged, test_kept,
    test_preloaded, test_out_of_reach, test_wrapped, test_wrapped_elsewhere, test_wrapped_link,
    test_wrong_kek, test_no_kek, test_sweep, test_would_block, test_race)
