#include "tests/support/support.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "keyd/backend.h"
#include "keyd/cache.h"
#include "keyd/plugin_library.h"
#include "platform/pool.h"

/* The libraries of tests/oem, hosted in this process. */

static struct backend_config config;
static void *ctx;

/* <build>/oem/NAME beside <build>/tests/keyd/check_plugin */
static const char *
oem(const char *name)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *end;

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	end = strstr(path, "/tests/keyd/");
	ck_assert_ptr_nonnull(end);
	snprintf(end, 64, "/oem/%s", name);
	return path;
}

static enum err_code
begin_with(
    const char *library, const struct backend_parameter *parameters, size_t n, struct err *err)
{
	log_init("off", "keyd");
	pool_set_may_block(true);
	config = (struct backend_config){ .name = "oem",
		.library = oem(library),
		.any_id = true,
		.parameters = parameters,
		.n_parameters = n };
	return plugin_backend.open(&config, &ctx, err);
}

static void
begin_sample(void)
{
	static struct backend_parameter store = { "store_path", NULL };
	struct err err = { 0 };

	store.value = support_tmpdir();
	ck_ok(begin_with("sample.so", &store, 1, &err));
}

static void
end(void)
{
	plugin_backend.close(ctx);
	ctx = NULL;
}

static struct key *
find(const char *id)
{
	struct key *key = NULL;
	struct err err = { 0 };

	ck_ok(plugin_backend.find(ctx, id, &key, &err));
	return key;
}

static struct bytes
bytes_of(const char *text)
{
	return (struct bytes){ (uint8_t *)text, strlen(text) };
}

/* --- the sample: every call of a backend */

/* RFC 4231, test case 2, for signing and for deriving */
START_TEST(test_hmac)
{
	const struct bytes value = bytes_of("Jefe"),
			   data = bytes_of("what do ya want for nothing?");
	AUTO(bytes_done)
	struct bytes want =
	    support_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes derived = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin_sample();
	ck_ok(plugin_backend.import_key(ctx, "a/b \xc3\xbc", KEYD_USE_SIGN, &value, &err));
	key = find("a/b \xc3\xbc");
	ck_ok(plugin_backend.check(key, KEY_SYMMETRIC, &err));
	ck_err(plugin_backend.check(key, KEY_PAIR, &err), ERR_INVALID);
	ck_ok(plugin_backend.sign(key, KEYD_HMAC_SHA256, &data, &sig, &err));
	ck_assert(bytes_equal(&sig, &want));
	ck_ok(plugin_backend.derive(key, &data, &derived, &err));
	ck_assert(bytes_equal(&derived, &want));
	end();
}
END_TEST

/* contracts/keyd.md 4.9: the vector */
START_TEST(test_aead)
{
	AUTO(bytes_done)
	struct bytes value =
	    support_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	AUTO(bytes_done) struct bytes iv = support_hex("000000000000000000000000");
	AUTO(bytes_done)
	struct bytes want = support_hex("0266d9d9b2dacaba6d3d5e52f91c5281d89320385bdb");
	const struct bytes aad = bytes_of("aad"), plain = bytes_of("hello"), none = { 0 };
	const struct key_cipher how = { KEYD_AEAD, &iv, &aad }, bare = { KEYD_AEAD, &iv, &none };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };
	AUTO(bytes_done) struct bytes empty = { 0 };
	AUTO(bytes_done) struct bytes back = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin_sample();
	ck_ok(plugin_backend.import_key(ctx, "k", KEYD_USE_ENCRYPT, &value, &err));
	key = find("k");
	ck_ok(plugin_backend.encrypt(key, &how, &plain, &sealed, &err));
	ck_assert(bytes_equal(&sealed, &want));
	ck_ok(plugin_backend.decrypt(key, &how, &sealed, &opened, &err));
	ck_assert(bytes_equal(&opened, &plain));
	/* nothing at all is not NULL (contracts/keyabi.md 4) */
	ck_ok(plugin_backend.encrypt(key, &bare, &none, &empty, &err));
	ck_assert_uint_eq(empty.len, 17);
	ck_ok(plugin_backend.decrypt(key, &bare, &empty, &back, &err));
	ck_assert_uint_eq(back.len, 0);
	sealed.data[sealed.len - 1] ^= 1;
	ck_err(plugin_backend.decrypt(key, &how, &sealed, &back, &err), ERR_CRYPTO);
	sealed.len = 16;
	ck_err(plugin_backend.decrypt(key, &how, &sealed, &back, &err), ERR_INVALID);
	sealed.len = want.len;
	end();
}
END_TEST

static struct bytes
parameter(struct key *key, enum key_parameter which)
{
	struct bytes value = { 0 };
	struct err err = { 0 };

	ck_ok(plugin_backend.parameter(key, which, &value, &err));
	return value;
}

/* The point and the signature, judged by openssl. */
START_TEST(test_ec)
{
	AUTO(bytes_done)
	struct bytes der = support_hex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
	struct bytes digest = bytes_of("0123456789abcdef0123456789abcdef"),
		     small = bytes_of("short");
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };
	AUTO(bytes_done) struct bytes oid = { 0 };
	AUTO(bytes_done) struct bytes algorithm = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin_sample();
	ck_ok(plugin_backend.create_pair(ctx, "ec", KEY_EC_P256, &err));
	key = find("ec");
	ck_ok(plugin_backend.check(key, KEY_PAIR, &err));
	algorithm = parameter(key, KEY_PARAM_ALGORITHM);
	ck_assert_str_eq((char *)algorithm.data, "ECDSA");
	oid = parameter(key, KEY_PARAM_EC_CURVE_OID);
	ck_assert_uint_eq(oid.len, 10);
	point = parameter(key, KEY_PARAM_EC_POINT);
	ck_assert_uint_eq(point.len, 65);
	ck_ok(plugin_backend.sign(key, KEYD_ECDSA, &digest, &sig, &err));
	ck_err(plugin_backend.sign(key, KEYD_ECDSA, &small, &sig, &err), ERR_INVALID);
	ck_err(plugin_backend.sign(key, KEYD_EDDSA, &digest, &sig, &err), ERR_INVALID);
	ck_err(plugin_backend.parameter(key, KEY_PARAM_RSA_MODULUS, &oid, &err), ERR_INVALID);
	ck_ok(file_write(support_path("point"), 0600, point.data, point.len, &err));
	ck_ok(file_write(support_path("head"), 0600, der.data, der.len, &err));
	ck_ok(file_write(support_path("digest"), 0600, digest.data, digest.len, &err));
	ck_ok(file_write(support_path("sig"), 0600, sig.data, sig.len, &err));
	free(support_sh("cd %s && cat head point > pub && openssl pkeyutl -verify -pubin -keyform "
			"DER -inkey pub -in digest -sigfile sig",
	    support_tmpdir()));
	end();
}
END_TEST

/* What the private operation makes opens with the public half, by openssl. */
START_TEST(test_rsa)
{
	const struct bytes data = bytes_of("DigestInfo, or whatever it is"), none = { 0 };
	const struct key_cipher pkcs1 = { KEYD_RSA_PKCS1, &none, &none };
	const struct key_cipher raw = { KEYD_RSA_NO_PADDING, &none, &none };
	AUTO(bytes_done) struct bytes modulus = { 0 };
	AUTO(bytes_done) struct bytes exponent = { 0 };
	AUTO(bytes_done) struct bytes out = { 0 };
	AUTO(bytes_done) struct bytes again = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	AUTO(str_freep) char *opened = NULL;
	struct err err = { 0 };

	begin_sample();
	ck_ok(plugin_backend.create_pair(ctx, "rsa", KEY_RSA_2048, &err));
	key = find("rsa");
	modulus = parameter(key, KEY_PARAM_RSA_MODULUS);
	exponent = parameter(key, KEY_PARAM_RSA_EXPONENT);
	ck_assert_uint_eq(modulus.len, 256);
	ck_assert_uint_eq(exponent.len, 3);
	ck_ok(plugin_backend.encrypt(key, &pkcs1, &data, &out, &err));
	ck_ok(file_write(support_path("out"), 0600, out.data, out.len, &err));
	opened = support_sh(
	    "cd %s && openssl pkeyutl -verifyrecover -inkey *.pair -in out", support_tmpdir());
	ck_assert_str_eq(opened, (const char *)data.data);
	ck_assert_int_lt(out.data[0], modulus.data[0]);
	ck_ok(plugin_backend.encrypt(key, &raw, &out, &again, &err));
	ck_assert_uint_eq(again.len, 256);
	ck_err(plugin_backend.encrypt(key, &raw, &data, &again, &err), ERR_INVALID);
	ck_err(plugin_backend.decrypt(key, &pkcs1, &out, &again, &err), ERR_INVALID);
	/* names that the interface has not are not passed on */
	ck_err(plugin_backend.create_pair(ctx, "other", KEY_EC_P384, &err), ERR_UNSUPPORTED);
	end();
}
END_TEST

START_TEST(test_life)
{
	const struct bytes value = bytes_of("value");
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	struct key *key = NULL;
	struct err err = { 0 };
	bool exists = true;

	begin_sample();
	ck_ok(plugin_backend.exists(ctx, "k", &exists, &err));
	ck_assert(!exists);
	ck_err(plugin_backend.find(ctx, "k", &key, &err), ERR_NOT_FOUND);
	ck_ok(plugin_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	ck_ok(plugin_backend.exists(ctx, "k", &exists, &err));
	ck_assert(exists);
	key = find("k");
	ck_ok(plugin_backend.derive(key, &value, &before, &err));
	ck_ok(plugin_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	ck_ok(plugin_backend.derive(key, &value, &after, &err));
	ck_assert(bytes_equal(&before, &after));
	ck_ok(plugin_backend.remove(ctx, "k", &err));
	ck_ok(plugin_backend.remove(ctx, "k", &err));
	ck_err(plugin_backend.derive(key, &value, &after, &err), ERR_INVALID);
	key_putp(&key);
	ck_err(plugin_backend.find(ctx, "k", &key, &err), ERR_NOT_FOUND);
	ck_ok(plugin_backend.create_pair(ctx, "new", KEY_EC_P256, &err));
	ck_ok(plugin_backend.move(ctx, "new", "old", &err));
	ck_err(plugin_backend.find(ctx, "new", &key, &err), ERR_NOT_FOUND);
	key = find("old");
	key_putp(&key);
	ck_ok(plugin_backend.remove(ctx, "old", &err));
	ck_err(plugin_backend.move(ctx, "old", "new", &err), ERR_INVALID);
	/* a thread that must not wait is told so before anything is called */
	pool_set_may_block(false);
	ck_err(plugin_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err), ERR_WOULD_BLOCK);
	ck_err(plugin_backend.find(ctx, "k", &key, &err), ERR_WOULD_BLOCK);
	end();
}
END_TEST

/* --- the liar: each rule that it breaks, and what is said of it */

static void
begin_liar(const char *lie)
{
	static struct backend_parameter parameter_of_it = { "lie", NULL };
	struct err err = { 0 };

	parameter_of_it.value = lie;
	ck_ok(begin_with("liar.so", &parameter_of_it, 1, &err));
}

/* Once its keys are opened. */
static void
library_lies(const char *lie)
{
	struct backend_parameter now = { "lie", lie };
	struct backend_config other = {
		.name = "oem", .library = oem("liar.so"), .parameters = &now, .n_parameters = 1
	};
	struct err err = { 0 };
	void *second = NULL;

	ck_ok(plugin_backend.open(&other, &second, &err));
	plugin_backend.close(second);
}

static enum err_code
use_sign(struct key *key, struct bytes *out, struct err *err)
{
	const struct bytes data = bytes_of("data");

	return plugin_backend.sign(key, KEYD_HMAC_SHA256, &data, out, err);
}

static enum err_code
use_ecdsa(struct key *key, struct bytes *out, struct err *err)
{
	const struct bytes data = bytes_of("0123456789abcdef0123456789abcdef");

	return plugin_backend.sign(key, KEYD_ECDSA, &data, out, err);
}

static enum err_code
use_derive(struct key *key, struct bytes *out, struct err *err)
{
	const struct bytes data = bytes_of("data");

	return plugin_backend.derive(key, &data, out, err);
}

static enum err_code
use_modulus(struct key *key, struct bytes *out, struct err *err)
{
	return plugin_backend.parameter(key, KEY_PARAM_RSA_MODULUS, out, err);
}

static enum err_code
use_point(struct key *key, struct bytes *out, struct err *err)
{
	return plugin_backend.parameter(key, KEY_PARAM_EC_POINT, out, err);
}

static enum err_code
use_algorithm(struct key *key, struct bytes *out, struct err *err)
{
	return plugin_backend.parameter(key, KEY_PARAM_ALGORITHM, out, err);
}

typedef enum err_code use(struct key *key, struct bytes *out, struct err *err);

static const struct {
	const char *lie;
	use *use;
	enum err_code code;
	const char *says;
} lies[] = {
	{ "", use_sign, ERR_OK, "" },
	{ "", use_derive, ERR_OK, "" },
	{ "", use_modulus, ERR_OK, "" },
	{ "trouble", use_sign, ERR_CRYPTO, "sign: the key library failed" },
	{ "missing", use_sign, ERR_INVALID, "sign: the key library refused" },
	{ "result", use_sign, ERR_INTERNAL, "answered 7" },
	{ "bound", use_sign, ERR_INTERNAL, "buffer of 1073741824 bytes" },
	{ "bound", use_modulus, ERR_INTERNAL, "get_key_pair_parameter" },
	{ "shorter", use_modulus, ERR_INTERNAL, "32 bytes after it had announced 33" },
	{ "shorter", use_algorithm, ERR_INTERNAL, "a number of 3 bytes" },
	{ "shorter", use_derive, ERR_OK, "" },
	{ "shorter", use_sign, ERR_INTERNAL, "no HMAC-SHA256" },
	{ "", use_ecdsa, ERR_INTERNAL, "no ECDSA signature in DER" },
	{ "", use_point, ERR_INTERNAL, "no bare point of a curve" },
	{ "", use_algorithm, ERR_INTERNAL, "which is no algorithm" },
	{ "overrun", use_sign, ERR_PROTOCOL, "sign: the key library wrote beyond the buffer" },
	{ "overrun", use_algorithm, ERR_PROTOCOL, "wrote beyond the buffer" },
	{ "length", use_derive, ERR_PROTOCOL, "derive_key: the key library answered a length" },
};

START_TEST(test_lies)
{
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		AUTO(key_putp) struct key *key = NULL;
		AUTO(bytes_done) struct bytes out = { 0 };
		struct err err = { 0 };

		begin_liar("");
		key = find("k");
		library_lies(lies[i].lie);
		ck_err(lies[i].use(key, &out, &err), lies[i].code);
		ck_assert_msg(strstr(err.text, lies[i].says), "%s: %s", lies[i].lie, err.text);
		/* memory that was written to is trusted no more */
		if (lies[i].code == ERR_PROTOCOL)
			ck_err(use_sign(key, &out, &err), ERR_PROTOCOL);
		end();
	}
}
END_TEST

/* A key is missing only where the library says so of both kinds; whatever else may hide one. */
START_TEST(test_missing)
{
	static const struct {
		const char *lie;
		enum err_code code;
	} rows[] = {
		{ "", ERR_OK },
		{ "missing", ERR_NOT_FOUND },
		{ "trouble", ERR_CRYPTO },
		{ "keys trouble", ERR_CRYPTO },
		{ "pairs trouble", ERR_CRYPTO },
		{ "result", ERR_INTERNAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(key_putp) struct key *key = NULL;
		struct err err = { 0 };
		bool exists = false;

		begin_liar(rows[i].lie);
		ck_err(plugin_backend.find(ctx, "k", &key, &err), rows[i].code);
		ck_err(plugin_backend.exists(ctx, "k", &exists, &err),
		    rows[i].code == ERR_NOT_FOUND ? ERR_OK : rows[i].code);
		ck_assert(exists == (rows[i].code == ERR_OK));
		end();
	}
}
END_TEST

/* Trouble while one algorithm is tried is no reason to try the next. */
START_TEST(test_create)
{
	struct err err = { 0 };

	begin_liar("trouble");
	ck_err(plugin_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_INTERNAL);
	ck_err(plugin_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err), ERR_CRYPTO);
	end();
	begin_liar("missing");
	ck_err(plugin_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_INVALID);
	end();
}
END_TEST

/* contracts/keyabi.md 1: 2.1, then 2.0, then what the list says */
static const struct {
	const char *how, *says; /* says NULL: it is used */
} lists[] = {
	{ "", NULL },
	{ "old", NULL },
	{ "nothing", "neither version 2.1 nor 2.0" },
	{ "null list", "without a list" },
	{ "other version", "version 0x2020000" },
	{ "no verify", "no function verify" },
	{ "no delete", "no function delete_key" },
};

START_TEST(test_lists)
{
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct err err = { 0 };

		setenv("LIAR", lists[i].how, 1);
		if (!lists[i].says) {
			ck_ok(begin_with("liar.so", NULL, 0, &err));
			end();
			continue;
		}
		ck_err(begin_with("liar.so", NULL, 0, &err), ERR_CONFIG);
		ck_assert_msg(strstr(err.text, lists[i].says), "%s", err.text);
	}
	unsetenv("LIAR");
}
END_TEST

/* contracts/keyabi.md 3: without functions for it, moving and deleting succeed and do nothing */
START_TEST(test_old)
{
	struct backend_parameter lie = { "lie", "" };
	struct err err = { 0 };

	setenv("LIAR", "old", 1);
	ck_ok(begin_with("liar.so", &lie, 1, &err));
	ck_ok(plugin_backend.move(ctx, "a", "b", &err));
	ck_ok(plugin_backend.remove(ctx, "a", &err));
	end();
	unsetenv("LIAR");
}
END_TEST

/* contracts/keyabi.md 4: in the order of their names, and then the preloaded keys, which then are where that says */
START_TEST(test_parameters)
{
	const struct backend_parameter mixed[] = { { "z", "1" }, { "lie", "" }, { "a", "2" } };
	const struct bytes data = bytes_of("what do ya want for nothing?");
	struct backend_parameter home = { "homedir_path", NULL };
	struct backend_preloaded preloaded = { "pre", NULL };
	AUTO(bytes_done)
	struct bytes want = /* RFC 4231, test case 2 */
	    support_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	AUTO(bytes_done) struct bytes got = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	AUTO(str_freep) char *uri = NULL;
	struct err err = { 0 };

	ck_ok(begin_with("liar.so", mixed, 3, &err));
	end();
	support_write(support_path("jefe"), "Jefe");
	ck_ok(str_format(&uri, &err, "file://%s", support_path("jefe")));
	home.value = support_path("home");
	preloaded.uri = uri;
	log_init("off", "keyd");
	pool_set_may_block(true);
	config = (struct backend_config){ .name = "ours",
		.library = oem("../lib/libaziot_keys.so"),
		.any_id = true,
		.parameters = &home,
		.n_parameters = 1,
		.preloaded = &preloaded,
		.n_preloaded = 1 };
	ck_ok(plugin_backend.open(&config, &ctx, &err));
	key = find("pre");
	ck_ok(plugin_backend.derive(key, &data, &got, &err));
	ck_assert(bytes_equal(&got, &want));
	end();
}
END_TEST

/* contracts/keyabi.md 2 and 3: measured from upstream's header on a machine of 64 bits */
#define LIST_2_0(member, offset)                                                    \
	{                                                                           \
#member, offsetof(AZIOT_KEYS_FUNCTION_LIST_2_0_0_0, member), offset \
	}
#define LIST_2_1(member, offset)                                                    \
	{                                                                           \
#member, offsetof(AZIOT_KEYS_FUNCTION_LIST_2_1_0_0, member), offset \
	}
static const struct {
	const char *what;
	size_t is, wanted;
} layout[] = {
	{ "size of 2.0", sizeof(AZIOT_KEYS_FUNCTION_LIST_2_0_0_0), 104 },
	{ "size of 2.1", sizeof(AZIOT_KEYS_FUNCTION_LIST_2_1_0_0), 128 },
	LIST_2_0(set_parameter, 8),
	LIST_2_0(create_key_pair_if_not_exists, 16),
	LIST_2_0(load_key_pair, 24),
	LIST_2_0(get_key_pair_parameter, 32),
	LIST_2_0(create_key_if_not_exists, 40),
	LIST_2_0(load_key, 48),
	LIST_2_0(import_key, 56),
	LIST_2_0(derive_key, 64),
	LIST_2_0(sign, 72),
	LIST_2_0(verify, 80),
	LIST_2_0(encrypt, 88),
	LIST_2_0(decrypt, 96),
	LIST_2_1(set_parameter, 8),
	LIST_2_1(create_key_pair_if_not_exists, 16),
	LIST_2_1(move_key_pair, 24),
	LIST_2_1(load_key_pair, 32),
	LIST_2_1(get_key_pair_parameter, 40),
	LIST_2_1(delete_key_pair, 48),
	LIST_2_1(create_key_if_not_exists, 56),
	LIST_2_1(load_key, 64),
	LIST_2_1(import_key, 72),
	LIST_2_1(delete_key, 80),
	LIST_2_1(derive_key, 88),
	LIST_2_1(sign, 96),
	LIST_2_1(verify, 104),
	LIST_2_1(encrypt, 112),
	LIST_2_1(decrypt, 120),
	{ "size of SIGN_DERIVED", sizeof(AZIOT_KEYS_SIGN_DERIVED_PARAMETERS), 32 },
	{ "its length", offsetof(AZIOT_KEYS_SIGN_DERIVED_PARAMETERS, derivation_data_len), 8 },
	{ "its mechanism", offsetof(AZIOT_KEYS_SIGN_DERIVED_PARAMETERS, mechanism), 16 },
	{ "its parameters", offsetof(AZIOT_KEYS_SIGN_DERIVED_PARAMETERS, parameters), 24 },
	{ "size of ENCRYPT_DERIVED", sizeof(AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS), 32 },
	{ "its mechanism", offsetof(AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS, mechanism), 16 },
	{ "its parameters", offsetof(AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS, parameters), 24 },
	{ "size of ENCRYPT_AEAD", sizeof(AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS), 32 },
	{ "its iv_len", offsetof(AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS, iv_len), 8 },
	{ "its aad", offsetof(AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS, aad), 16 },
	{ "its aad_len", offsetof(AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS, aad_len), 24 },
};

START_TEST(test_layout)
{
	for (size_t i = 0; sizeof(void *) == 8 && i < ARRAY_LEN(layout); i++)
		ck_assert_msg(layout[i].is == layout[i].wanted, "%s: %zu, not %zu", layout[i].what,
		    layout[i].is, layout[i].wanted);
	/* contracts/keyabi.md 2 */
	ck_assert_uint_eq(AZIOT_KEYS_VERSION_2_0_0_0, 33554432);
	ck_assert_uint_eq(AZIOT_KEYS_VERSION_2_1_0_0, 33619968);
	ck_assert_uint_eq(AZIOT_KEYS_KEY_USAGE_ENCRYPT, 16);
}
END_TEST

START_TEST(test_open)
{
	const struct backend_parameter bad[] = { { "lie", "" }, { "bad", "secret-pin" } };
	struct err err = { 0 };

	ck_err(begin_with("liar.so", bad, 2, &err), ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "parameter bad of backend oem"), "%s", err.text);
	ck_assert_msg(!strstr(err.text, "secret-pin"), "%s", err.text);
	ck_err(begin_with("absent.so", NULL, 0, &err), ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "cannot be loaded"), "%s", err.text);
	ck_err(begin_with("../include/aziot-identity-service/aziot-keys.h", NULL, 0, &err),
	    ERR_CONFIG);
}
END_TEST

TEST_MAIN("keyd/plugin", test_hmac, test_aead, test_ec, test_rsa, test_life, test_lies,
    test_missing, test_create, test_lists, test_old, test_parameters, test_layout, test_open)
