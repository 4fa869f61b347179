#include "tests/keyd/softhsm.h"

#include <dlfcn.h>
#include <pthread.h>

#include "base/file.h"
#include "crypto/digest.h"
#include "keyd/backend.h"
#include "keyd/cache.h"
#include "keyd/mech.h"
#include "keyd/pkcs11_public.h"
#include "platform/pool.h"

#define BASE_URI "pkcs11:token=tok?pin-value=1234"

static struct mech *mech;
static struct backend_config config;
static void *ctx;

/* With the token "tok"; false where there is no SoftHSM. */
static bool
begin(void)
{
	struct err err = { 0 };

	if (!softhsm_module())
		return false;
	softhsm_begin();
	pool_set_may_block(true);
	ck_ok(mech_new(&mech, &err));
	config = (struct backend_config){ .name = "token",
		.mech = mech,
		.library = softhsm_module(),
		.token = BASE_URI,
		.any_id = true };
	return true;
}

static void
open_backend(void)
{
	struct err err = { 0 };

	ck_ok(pkcs11_backend.open(&config, &ctx, &err));
}

static void
end(void)
{
	pkcs11_backend.close(ctx);
	mech_free(mech);
}

static struct key *
find(const char *id)
{
	struct key *key = NULL;
	struct err err = { 0 };

	ck_ok(pkcs11_backend.find(ctx, id, &key, &err));
	return key;
}

static void
absent(const char *id)
{
	struct key *key = NULL;
	struct err err = { 0 };

	ck_err(pkcs11_backend.find(ctx, id, &key, &err), ERR_NOT_FOUND);
}

static const uint8_t digest_bytes[] = "0123456789abcdef0123456789abcdef0123456789abcdef";
static const struct bytes digest = { (uint8_t *)digest_bytes, 32 };

static struct bytes
hmac_of(struct key *key)
{
	struct bytes data = { (uint8_t *)"data", 4 }, out = { 0 };
	struct err err = { 0 };

	ck_ok(pkcs11_backend.sign(key, KEYD_HMAC_SHA256, &data, &out, &err));
	return out;
}

static struct bytes
hmac_under(const char *id)
{
	AUTO(key_putp) struct key *key = find(id);

	return hmac_of(key);
}

/* r and s side by side, as tokens have them, and as X.690 8.3 has INTEGERs: as short as can be, with a zero before a high bit */
static const struct {
	const char *what;
	size_t half;
	const char *raw, *der;
} signatures[] = {
	{ "small", 32,
	    "0000000000000000000000000000000000000000000000000000000000000001"
	    "000000000000000000000000000000000000000000000000000000000000007f",
	    "300602010102017f" },
	{ "the high bit", 32,
	    "8000000000000000000000000000000000000000000000000000000000000000"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	    "3046022100800000000000000000000000000000000000000000000000000000"
	    "0000000000022100ffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffff" },
	{ "a high bit behind zeros", 32,
	    "0000800101010101010101010101010101010101010101010101010101010101"
	    "0000000000000000000000000000000000000000000000000000000000000080",
	    "3025021f00800101010101010101010101010101010101010101010101010101"
	    "01010102020080" },
	{ "leading zeros", 32,
	    "0000007f02020202020202020202020202020202020202020202020202020202"
	    "7f00000000000000000000000000000000000000000000000000000000000000",
	    "3041021d7f020202020202020202020202020202020202020202020202020202"
	    "0202207f00000000000000000000000000000000000000000000000000000000"
	    "000000" },
	{ "zero, which is no signature but is no reason to fail", 32,
	    "0000000000000000000000000000000000000000000000000000000000000000"
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "3006020100020100" },
	{ "P-521, whose length takes two bytes", 66,
	    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffff00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffff",
	    "308188024201ffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffff024200ffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	    "ffffffffffffffffffffff" },
};

START_TEST(test_signature_der)
{
	struct bytes none = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(signatures); i++) {
		AUTO(bytes_done) struct bytes raw = support_hex(signatures[i].raw);
		AUTO(bytes_done) struct bytes want = support_hex(signatures[i].der);
		AUTO(bytes_done) struct bytes der = { 0 };

		ck_ok(pkcs11_ecdsa_der(&raw, signatures[i].half, &der, &err));
		ck_assert_msg(bytes_equal(&der, &want), "%s", signatures[i].what);
		raw.len--;
		ck_err(pkcs11_ecdsa_der(&raw, signatures[i].half, &none, &err), ERR_PROTOCOL);
		raw.len++;
	}
}
END_TEST

/* What RFC 5480 puts before the point of a public key. */
#define SPKI_P256 "3059301306072a8648ce3d020106082a8648ce3d030107034200"
#define SPKI_P384 "3076301006072a8648ce3d020106052b81040022036200"

/* An ECDSA signature over len bytes, judged by openssl with the point that pkcs11-tool shows (it writes no file for P-384). */
static void
judge_ecdsa(struct key *key, const char *label, const char *spki, size_t len)
{
	struct bytes cut = { (uint8_t *)digest_bytes, len };
	AUTO(bytes_done) struct bytes sig = { 0 };
	struct err err = { 0 };

	ck_ok(pkcs11_backend.sign(key, KEYD_ECDSA, &cut, &sig, &err));
	ck_ok(file_write(support_path("sig"), 0600, sig.data, sig.len, &err));
	ck_ok(file_write(support_path("digest"), 0600, cut.data, cut.len, &err));
	free(support_sh("cd %s && " SOFTHSM_TOOL "-O --type pubkey 2>/dev/null | awk -v l='%s' '"
			"/EC_POINT:/ { p = substr($2, 5) } $1 == \"label:\" && $0 ~ \" \" l \"$\" "
			"{ print \"%s\" p }' | "
			"xxd -r -p >pub.der && openssl pkeyutl -verify -pubin -keyform DER -inkey "
			"pub.der -in digest "
			"-sigfile sig",
	    support_tmpdir(), label, spki));
}

static const struct {
	enum key_algorithm algorithm;
	const char *id, *name, *oid, *spki;
	size_t numbers[2]; /* lengths of ec-point, or of modulus and exponent */
} pairs[] = {
	{ KEY_EC_P256, "p256", "ECDSA", "06082a8648ce3d030107", SPKI_P256, { 33 } },
	{ KEY_EC_P384, "gr\xc3\xbcn/id a", "ECDSA", "06052b81040022", SPKI_P384, { 49 } },
	{ KEY_RSA_2048, "rsa2048", "RSA", NULL, NULL, { 256, 3 } },
	{ KEY_RSA_3072, "rsa3072", "RSA", NULL, NULL, { 384, 3 } },
};

static size_t
parameter_len(struct key *key, enum key_parameter which)
{
	AUTO(bytes_done) struct bytes value = { 0 };
	struct err err = { 0 };

	ck_ok(pkcs11_backend.parameter(key, which, &value, &err));
	return value.len;
}

static void
judge_rsa(struct key *key, const char *label)
{
	/* RFC 8017 9.2: what stands before a SHA-256 digest */
	AUTO(bytes_done)
	struct bytes info = support_hex("3031300d06096086480165030402010500042030313233343536373839"
					"61626364656630313233343536373839616263646566");
	const struct key_cipher how = { .cipher = KEYD_RSA_PKCS1 };
	const struct key_cipher raw = { .cipher = KEYD_RSA_NO_PADDING };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes block = { 0 };
	struct bytes small = { 0 };
	struct err err = { 0 };

	ck_ok(pkcs11_backend.encrypt(key, &how, &info, &sig, &err));
	ck_ok(file_write(support_path("sig"), 0600, sig.data, sig.len, &err));
	ck_ok(file_write(support_path("digest"), 0600, digest.data, digest.len, &err));
	free(support_sh("cd %s && " SOFTHSM_TOOL "-r --type pubkey --label '%s' -o pub.der 2>&1 && "
			"openssl pkeyutl -verify -pubin -keyform DER -inkey pub.der -in digest "
			"-sigfile sig -pkeyopt digest:sha256",
	    support_tmpdir(), label));
	ck_err(pkcs11_backend.encrypt(key, &raw, &info, &small, &err), ERR_CRYPTO);
	/* the raw operation on a block that is padded by hand gives the same */
	ck_ok(bytes_alloc(&block, sig.len, &err));
	memset(block.data, 0xff, block.len);
	block.data[0] = 0;
	block.data[1] = 1;
	block.data[block.len - info.len - 1] = 0;
	memcpy(block.data + block.len - info.len, info.data, info.len);
	ck_ok(pkcs11_backend.encrypt(key, &raw, &block, &small, &err));
	ck_assert(bytes_equal(&small, &sig));
	bytes_done(&small);
	ck_err(pkcs11_backend.encrypt(key, &how, &block, &small, &err), ERR_CRYPTO);
}

/* Made, found, used and described; what it is made of never leaves the token (contracts/pkcs11.md 2) */
START_TEST(test_pairs)
{
	const size_t n_pairs =
	    support_valgrind() ? 2 : ARRAY_LEN(pairs); /* RSA keys take minutes there */
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	for (size_t i = 0; i < n_pairs; i++) {
		AUTO(key_putp) struct key *key = NULL;
		AUTO(bytes_done) struct bytes name = { 0 };
		struct bytes none = { 0 };

		absent(pairs[i].id);
		ck_ok(pkcs11_backend.create_pair(ctx, pairs[i].id, pairs[i].algorithm, &err));
		key = find(pairs[i].id);
		ck_ok(pkcs11_backend.check(key, KEY_PAIR, &err));
		ck_err(pkcs11_backend.check(key, KEY_SYMMETRIC, &err), ERR_INTERNAL);
		ck_ok(pkcs11_backend.parameter(key, KEY_PARAM_ALGORITHM, &name, &err));
		ck_assert_str_eq((char *)name.data, pairs[i].name);
		if (pairs[i].oid) {
			AUTO(bytes_done) struct bytes want = support_hex(pairs[i].oid);
			AUTO(bytes_done) struct bytes oid = { 0 };

			ck_ok(pkcs11_backend.parameter(key, KEY_PARAM_EC_CURVE_OID, &oid, &err));
			ck_assert(bytes_equal(&oid, &want));
			ck_assert_uint_eq(
			    parameter_len(key, KEY_PARAM_EC_POINT), pairs[i].numbers[0]);
			judge_ecdsa(key, pairs[i].id, pairs[i].spki, 32);
			judge_ecdsa(key, pairs[i].id, pairs[i].spki, 20);
			judge_ecdsa(key, pairs[i].id, pairs[i].spki, 48);
			ck_err(pkcs11_backend.sign(key, KEYD_HMAC_SHA256, &digest, &none, &err),
			    ERR_INVALID);
			ck_err(pkcs11_backend.sign(key, KEYD_EDDSA, &digest, &none, &err),
			    ERR_INVALID);
		} else {
			ck_assert_uint_eq(
			    parameter_len(key, KEY_PARAM_RSA_MODULUS), pairs[i].numbers[0]);
			ck_assert_uint_eq(
			    parameter_len(key, KEY_PARAM_RSA_EXPONENT), pairs[i].numbers[1]);
			judge_rsa(key, pairs[i].id);
			ck_err(pkcs11_backend.sign(key, KEYD_ECDSA, &digest, &none, &err),
			    ERR_INVALID);
		}
		ck_err(pkcs11_backend.parameter(key,
			   pairs[i].oid ? KEY_PARAM_RSA_MODULUS : KEY_PARAM_EC_POINT, &none, &err),
		    ERR_INVALID);
	}
	/* made once; each with a CKA_ID of its own; none can be had */
	ck_ok(pkcs11_backend.create_pair(ctx, "p256", KEY_RSA_2048, &err));
	free(
	    support_sh("test $(" SOFTHSM_TOOL "-O --type privkey 2>&1 | grep -c 'sensitive, always "
		       "sensitive, never extractable, local') = %zu",
		n_pairs));
	free(support_sh("test $(" SOFTHSM_TOOL
			"-O --type privkey 2>&1 | grep 'ID:' | sort -u | wc -l) = %zu",
	    n_pairs));
	ck_err(pkcs11_backend.create_pair(ctx, "ed", KEY_ED25519, &err), ERR_UNSUPPORTED);
	absent("ed");
	end();
}
END_TEST

/* contracts/keyd.md 4.1, 4.9; contracts/pkcs11.md 7 */
START_TEST(test_keys)
{
	uint8_t iv_bytes[12] = { 0 };
	const struct bytes iv = { iv_bytes, 12 }, aad = { (uint8_t *)"aad", 3 },
			   text = { (uint8_t *)"hello", 5 }, empty = { 0 };
	const struct key_cipher how = { KEYD_AEAD, &iv, &aad },
				bare = { KEYD_AEAD, &empty, &empty };
	AUTO(key_putp) struct key *aes = NULL;
	AUTO(key_putp) struct key *secret = NULL;
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes again = { 0 };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes back = { 0 };
	AUTO(bytes_done) struct bytes nothing = { 0 };
	struct bytes none = { 0 };
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_key(ctx, "mac", KEYD_USE_SIGN | KEYD_USE_DERIVE, &err));
	ck_ok(pkcs11_backend.create_key(ctx, "aes", KEYD_USE_ENCRYPT, &err));
	ck_err(pkcs11_backend.create_key(ctx, "x", KEYD_USE_ENCRYPT | KEYD_USE_SIGN, &err),
	    ERR_INVALID);
	secret = find("mac");
	mac = hmac_of(secret);
	ck_assert_uint_eq(mac.len, 32);
	ck_ok(pkcs11_backend.create_key(ctx, "mac", KEYD_USE_SIGN, &err));
	again = hmac_under("mac");
	ck_assert(bytes_equal(&mac, &again));
	ck_err(pkcs11_backend.encrypt(secret, &how, &text, &none, &err), ERR_INVALID);
	ck_err(pkcs11_backend.sign(secret, KEYD_ECDSA, &digest, &none, &err), ERR_INVALID);

	aes = find("aes");
	ck_ok(pkcs11_backend.check(aes, KEY_SYMMETRIC, &err));
	ck_ok(pkcs11_backend.encrypt(aes, &how, &text, &sealed, &err));
	ck_assert_uint_eq(sealed.len, 1 + 5 + 16);
	ck_assert_uint_eq(sealed.data[0], 2);
	ck_ok(pkcs11_backend.decrypt(aes, &how, &sealed, &back, &err));
	ck_assert(bytes_equal(&back, &text));
	sealed.data[3] ^= 1;
	ck_err(pkcs11_backend.decrypt(aes, &how, &sealed, &none, &err), ERR_CRYPTO);
	sealed.data[0] = 1;
	ck_err(pkcs11_backend.decrypt(aes, &how, &sealed, &none, &err), ERR_INVALID);
	ck_err(pkcs11_backend.encrypt(aes, &bare, &text, &none, &err), ERR_CRYPTO);
	ck_ok(pkcs11_backend.encrypt(aes, &how, &empty, &nothing, &err));
	bytes_done(&back);
	ck_ok(pkcs11_backend.decrypt(aes, &how, &nothing, &back, &err));
	ck_assert_uint_eq(back.len, 0);
	ck_err(pkcs11_backend.sign(aes, KEYD_HMAC_SHA256, &text, &none, &err), ERR_INVALID);
	free(
	    support_sh("test $(" SOFTHSM_TOOL "-O --type secrkey 2>&1 | grep -c 'sensitive, always "
		       "sensitive, never extractable, local') = 2"));
	end();
}
END_TEST

/* contracts/pkcs11.md 4: short HMAC keys are taken and then refuse to work; nothing of them may stay */
START_TEST(test_import)
{
	const struct bytes shorter = { (uint8_t *)"sixteen bytes...", 16 },
			   longer = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(str_freep) char *judge = NULL;
	AUTO(str_freep) char *left = NULL;
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_err(pkcs11_backend.import_key(ctx, "k", KEYD_USE_SIGN, &shorter, &err), ERR_UNSUPPORTED);
	absent("k");
	left = support_sh(SOFTHSM_TOOL "-O 2>/dev/null");
	ck_assert_str_eq(left, "");
	ck_ok(pkcs11_backend.import_key(ctx, "k", KEYD_USE_SIGN, &longer, &err));
	key = find("k");
	first = hmac_of(key);
	judge = support_sh("printf data | openssl mac -digest SHA256 -macopt "
			   "key:0123456789abcdef0123456789abcdef HMAC");
	want = support_hex(judge);
	ck_assert(bytes_equal(&first, &want));
	/* a failed import leaves the key; a good one takes its place, also under who has it open */
	ck_err(pkcs11_backend.import_key(ctx, "k", KEYD_USE_SIGN, &shorter, &err), ERR_UNSUPPORTED);
	second = hmac_of(key);
	ck_assert(bytes_equal(&first, &second));
	bytes_done(&second);
	{
		const struct bytes other = { (uint8_t *)"fedcba9876543210fedcba9876543210", 32 };

		ck_ok(pkcs11_backend.import_key(ctx, "k", KEYD_USE_SIGN, &other, &err));
	}
	second = hmac_of(key);
	ck_assert(!bytes_equal(&first, &second));
	free(support_sh("test $(" SOFTHSM_TOOL "-O 2>/dev/null | grep -c '^Secret Key') = 1"));
	ck_ok(pkcs11_backend.import_key(ctx, "aes", KEYD_USE_ENCRYPT, &longer, &err));
	ck_err(pkcs11_backend.import_key(
		   ctx, "aes", KEYD_USE_ENCRYPT, &(const struct bytes){ longer.data, 13 }, &err),
	    ERR_UNSUPPORTED);
	end();
}
END_TEST

static struct bytes
point_of(const char *id)
{
	AUTO(key_putp) struct key *key = find(id);
	struct bytes point = { 0 };
	struct err err = { 0 };

	ck_ok(pkcs11_backend.parameter(key, KEY_PARAM_EC_POINT, &point, &err));
	return point;
}

START_TEST(test_move_and_remove)
{
	AUTO(bytes_done) struct bytes a = { 0 };
	AUTO(bytes_done) struct bytes b = { 0 };
	AUTO(str_freep) char *left = NULL;
	AUTO(key_putp) struct key *held = NULL;
	bool there = false;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "old", KEY_EC_P384, &err));
	ck_ok(pkcs11_backend.create_pair(ctx, "new", KEY_EC_P256, &err));
	held = find("old");
	a = point_of("new");
	ck_ok(pkcs11_backend.move(ctx, "new", "old", &err));
	absent("new");
	b = point_of("old");
	ck_assert(bytes_equal(&a, &b));
	judge_ecdsa(held, "old", SPKI_P256, 32); /* who had it open has the new one */
	ck_err(pkcs11_backend.move(ctx, "new", "old", &err), ERR_NOT_FOUND);
	free(support_sh("test $(" SOFTHSM_TOOL "-O 2>/dev/null | grep -c 'Key Object') = 2"));
	ck_ok(pkcs11_backend.exists(ctx, "old", &there, &err));
	ck_assert(there);
	ck_ok(pkcs11_backend.remove(ctx, "old", &err));
	ck_ok(pkcs11_backend.remove(ctx, "old", &err));
	ck_ok(pkcs11_backend.exists(ctx, "old", &there, &err));
	ck_assert(!there);
	left = support_sh(SOFTHSM_TOOL "-O 2>/dev/null");
	ck_assert_str_eq(left, "");
	{
		AUTO(bytes_done) struct bytes sig = { 0 };

		ck_err(pkcs11_backend.sign(held, KEYD_ECDSA, &digest, &sig, &err), ERR_NOT_FOUND);
	}
	end();
}
END_TEST

/* --- the token's ways (contracts/pkcs11.md 4 and 6) */

#define SPY "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so"

/* Calls of the module go through pkcs11-spy, which writes each down; false where it is not installed. */
static bool
spied(void)
{
#ifdef EDGEKEEP_INSTRUMENTED
	return false; /* it leaks, itself */
#endif
	if (support_valgrind()) /* one process: it would go on writing to the first case's file */
		return false;
	if (access(SPY, R_OK)) {
		ck_assert_msg(!getenv("CI"), "pkcs11-spy is not installed");
		return false;
	}
	setenv("PKCS11SPY", softhsm_module(), 1);
	setenv("PKCS11SPY_OUTPUT", support_path("spy"), 1);
	config.library = SPY;
	return true;
}

static bool
begin_spied(void)
{
	if (!begin())
		return false;
	if (spied())
		return true;
	mech_free(mech);
	return false;
}

/* The module with faults stands where make puts it, beside this program. */
static const char *
shim(void)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	snprintf(path + strlen(path), 64, "/suite/shim_pkcs11.so");
	setenv("SHIM_MODULE", softhsm_module(), 1);
	setenv("SHIM_CONTROL", support_path("fault"), 1);
	return path;
}

static int
spied_calls(const char *pattern)
{
	AUTO(str_freep)
	char *count = support_sh("grep -c -E '%s' %s/spy || true", pattern, support_tmpdir());

	return atoi(count);
}

/* Some modules are asked anew for their tokens once in a second only. */
static void
soon(void)
{
	usleep((PKCS11_RESTART_MS + 100) * 1000);
}

/* A token that goes away has no keys to show; that is no reason to make others. */
START_TEST(test_token_away)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(key_putp) struct key *held = NULL;
	struct key *none = NULL;
	bool there;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err));
	before = point_of("id");
	held = find("id");
	free(support_sh("mv %1$s/tokens %1$s/away", support_tmpdir()));
	ck_err(pkcs11_backend.find(ctx, "id", &none, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.find(ctx, "other", &none, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.exists(ctx, "id", &there, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.import_key(ctx, "k", KEYD_USE_SIGN, &digest, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.remove(ctx, "id", &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.move(ctx, "id", "k", &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.sign(held, KEYD_ECDSA, &digest, &sig, &err), ERR_UNREACHABLE);
	free(support_sh("mv %1$s/away %1$s/tokens", support_tmpdir()));
	soon();
	ck_ok(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err));
	after = point_of("id");
	ck_assert(bytes_equal(&before, &after));
	judge_ecdsa(held, "id", SPKI_P256, 32);
	end();
}
END_TEST

/* Absent when the backend is opened; there when it is needed. */
START_TEST(test_token_late)
{
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	config.token = "pkcs11:token=late?pin-value=1234";
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_UNREACHABLE);
	softhsm_token("late");
	soon();
	ck_ok(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	end();
}
END_TEST

/* Another token of the same name is not the one whose keys are the device's. */
START_TEST(test_token_replaced)
{
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err));
	free(support_sh("softhsm2-util --delete-token --token tok"));
	softhsm_token("tok");
	soon();
	for (int i = 0; i < 2; i++) {
		ck_err(pkcs11_backend.find(ctx, "id", &none, &err), ERR_UNREACHABLE);
		ck_err(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err), ERR_UNREACHABLE);
	}
	ck_assert_ptr_nonnull(strstr(err.text, "another token"));
	end();
}
END_TEST

/* Two tokens of one label: which is meant, the serial number says. */
START_TEST(test_two_tokens)
{
	static char uri[128];
	AUTO(str_freep) char *serial = NULL;
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	serial = support_sh(
	    "pkcs11-tool --module $PKCS11_MODULE -L 2>&1 | sed -n 's/.*serial num *: //p'");
	softhsm_token("tok");
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "add serial="));
	pkcs11_backend.close(ctx);
	snprintf(uri, sizeof(uri), "pkcs11:token=tok;serial=%s?pin-value=1234", serial);
	config.token = uri;
	open_backend();
	absent("k");
	end();
}
END_TEST

/* A PIN that was refused is not sent a second time, whatever is asked; a changed one is. */
START_TEST(test_pin)
{
	static char uri[256];
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin_spied())
		return;
	snprintf(uri, sizeof(uri), "pkcs11:token=tok?pin-source=file:%s", support_path("pin"));
	config.token = uri;
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	support_write(support_path("pin"), "1234\r\n");
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "control character"));
	support_write(support_path("pin"), "\n");
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	support_write(support_path("pin"), "123\n"); /* under the token's minimum */
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_int_eq(spied_calls(": C_Login$"), 0);
	support_write(support_path("pin"), "4321\n");
	for (int i = 0; i < 3; i++)
		ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "not sent again"));
	ck_assert_int_eq(spied_calls(": C_Login$"), 1);
	support_write(support_path("pin"), "1234\n");
	absent("k");
	absent("k");
	ck_assert_int_eq(spied_calls(": C_Login$"), 2);
	ck_assert_ptr_null(strstr(err.text, "4321"));
	end();
}
END_TEST

static void *
find_none(void *id)
{
	struct key *none = NULL;
	struct err err = { 0 };

	pool_set_may_block(true);
	return pkcs11_backend.find(ctx, id, &none, &err) == ERR_UNREACHABLE ? NULL : id;
}

/* One token by three names is still one, and so are its tries. */
START_TEST(test_pin_of_three_names)
{
	static struct backend_preloaded preloaded[2];
	static char by_slot[256], by_serial[256], by_label[256];
	static char ids[][2] = { "a", "b", "c" };
	AUTO(str_freep) char *slot = NULL;
	AUTO(str_freep) char *serial = NULL;
	pthread_t threads[ARRAY_LEN(ids)];
	struct key *none = NULL;
	struct err err = { 0 };
	void *failed;

	if (!begin_spied())
		return;
	slot = support_sh("printf '%%d' $(pkcs11-tool --module $PKCS11_MODULE -L 2>&1 | sed -n "
			  "'/^Slot 0/s/.*(\\(0x[^)]*\\)).*/\\1/p')");
	serial = support_sh("printf '%%s' $(pkcs11-tool --module $PKCS11_MODULE -L 2>&1 | sed -n "
			    "'s/.*serial num *: //p' | head -1)");
	setenv("PKCS11SPY", shim(), 1);
	snprintf(by_slot, sizeof(by_slot), "pkcs11:slot-id=%s;object=a?pin-source=%s", slot,
	    support_path("pin"));
	snprintf(by_serial, sizeof(by_serial), "pkcs11:serial=%s;object=b?pin-source=%s", serial,
	    support_path("pin"));
	snprintf(by_label, sizeof(by_label), "pkcs11:token=tok?pin-source=%s", support_path("pin"));
	preloaded[0] = (struct backend_preloaded){ "a", by_slot };
	preloaded[1] = (struct backend_preloaded){ "b", by_serial };
	config.preloaded = preloaded;
	config.n_preloaded = 2;
	config.token = by_label;
	open_backend();
	ck_assert_int_eq(spied_calls(": C_Login$"), 0);
	support_write(support_path("pin"), "4321");
	support_write(support_path("fault"), "C_Login slow 100");
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		pthread_create(&threads[i], NULL, find_none, ids[i]);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_err(pkcs11_backend.find(ctx, ids[i], &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "not sent again"));
	ck_assert_int_eq(spied_calls(": C_Login$"), 1);
	end();
}
END_TEST

/* A worker that follows another one knows what that one was told: a refused PIN, and which token it had. */
START_TEST(test_notes)
{
	static uint8_t notes[BACKEND_NOTES_LEN] __attribute__((aligned(16)));
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin_spied())
		return;
	memset(notes, 0, sizeof(notes));
	config.notes = notes;
	config.token = "pkcs11:token=tok?pin-value=4321";
	for (int i = 0; i < 3; i++) {
		open_backend();
		ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
		pkcs11_backend.close(ctx);
	}
	ck_assert_ptr_nonnull(strstr(err.text, "not sent again"));
	ck_assert_int_eq(spied_calls(": C_Login$"), 1);
	config.token = BASE_URI;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err));
	pkcs11_backend.close(ctx);
	free(support_sh("softhsm2-util --delete-token --token tok"));
	softhsm_token("tok");
	open_backend();
	ck_err(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "another token"));
	pkcs11_backend.close(ctx);
	/* a keyd that was restarted takes it */
	memset(notes, 0, sizeof(notes));
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "id", KEY_EC_P256, &err));
	end();
}
END_TEST

/* Without a PIN what is private is hidden, so nothing can be said to be missing. */
START_TEST(test_no_pin)
{
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	config.token = "pkcs11:token=tok";
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "nobody is logged in"));
	ck_err(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_UNREACHABLE);
	end();
}
END_TEST

/* --- a login that ends by itself, while the sessions stay */

static void
log_out(void)
{
	void *library = dlopen(config.library, RTLD_NOW | RTLD_LOCAL);
	void *symbol = dlsym(library, "C_GetFunctionList");
	struct ck_function_list *calls;
	CK_C_GetFunctionList get;
	ck_session_handle_t session;
	ck_slot_id_t slots[8];
	unsigned long n = ARRAY_LEN(slots);

	memcpy(&get, &symbol, sizeof(get));
	ck_assert_int_eq((int)get(&calls), CKR_OK);
	ck_assert_int_eq((int)calls->C_GetSlotList(1, slots, &n), CKR_OK);
	/* the first is the token's */
	ck_assert_int_eq(
	    (int)calls->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	ck_assert_int_eq((int)calls->C_Logout(session), CKR_OK);
	calls->C_CloseSession(session);
}

START_TEST(test_logged_out)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes again = { 0 };
	AUTO(key_putp) struct key *held = NULL;
	AUTO(key_putp) struct key *secret = NULL;
	bool there = true;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "ec", KEY_EC_P256, &err));
	ck_ok(pkcs11_backend.create_key(ctx, "mac", KEYD_USE_SIGN, &err));
	held = find("ec");
	secret = find("mac");
	before = point_of("ec");
	mac = hmac_of(secret);
	log_out();
	judge_ecdsa(held, "ec", SPKI_P256, 32);
	log_out();
	again = hmac_of(secret);
	ck_assert(bytes_equal(&mac, &again));
	log_out();
	after = point_of("ec");
	ck_assert(bytes_equal(&before, &after));
	log_out();
	ck_ok(pkcs11_backend.create_pair(ctx, "ec", KEY_EC_P256, &err));
	bytes_done(&after);
	after = point_of("ec");
	ck_assert(bytes_equal(&before, &after));
	/* what is hidden goes, too */
	log_out();
	ck_ok(pkcs11_backend.remove(ctx, "ec", &err));
	log_out();
	ck_ok(pkcs11_backend.remove(ctx, "mac", &err));
	free(support_sh("test $(" SOFTHSM_TOOL "-O 2>/dev/null | grep -c Key) = 0"));
	log_out();
	ck_ok(pkcs11_backend.exists(ctx, "ec", &there, &err));
	ck_assert(!there);
	end();
}
END_TEST

/* --- other programs at the same token */

START_TEST(test_foreign_keys)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(key_putp) struct key *held = NULL;
	AUTO(key_putp) struct key *rsa = NULL;
	struct key *none = NULL;
	bool there = false;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	absent("k");
	free(support_sh(
	    SOFTHSM_TOOL "--keypairgen --key-type EC:prime256v1 --label k --id 01 2>&1"));
	held = find("k");
	before = point_of("k");
	judge_ecdsa(held, "k", SPKI_P256, 32);
	/* replaced under the same name, and with the same CKA_ID */
	free(support_sh(
	    SOFTHSM_TOOL "-b --type privkey --label k 2>&1 && " SOFTHSM_TOOL
			 "-b --type pubkey --label k 2>&1 && " SOFTHSM_TOOL
			 "--keypairgen --key-type EC:prime256v1 --label k --id 01 2>&1"));
	judge_ecdsa(held, "k", SPKI_P256, 32);
	after = point_of("k");
	ck_assert(!bytes_equal(&before, &after));
	/* a second one of that name: nobody knows which is meant */
	free(support_sh(
	    SOFTHSM_TOOL "--keypairgen --key-type EC:prime256v1 --label k --id 02 2>&1"));
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(err.text, "two keys"));
	ck_err(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_INTERNAL);
	ck_ok(pkcs11_backend.exists(ctx, "k", &there, &err));
	ck_assert(there);
	ck_ok(pkcs11_backend.remove(ctx, "k", &err));
	absent("k");
	free(support_sh(SOFTHSM_TOOL "--keypairgen --key-type rsa:2048 --label r 2>&1"));
	rsa = find("r");
	judge_rsa(rsa, "r");
	end();
}
END_TEST

/* Keys that want the PIN again for each use (CKA_ALWAYS_AUTHENTICATE), as smart cards have them for signatures */
START_TEST(test_always_authenticate)
{
	static char uri[256];
	AUTO(key_putp) struct key *ec = NULL;
	AUTO(key_putp) struct key *rsa = NULL;
	AUTO(bytes_done) struct bytes sig = { 0 };
	struct err err = { 0 };
	int sent;

	if (!begin_spied())
		return;
	free(support_sh(
	    SOFTHSM_TOOL "--keypairgen --key-type EC:prime256v1 --label e --id 01 --always-auth "
			 "2>&1 && " SOFTHSM_TOOL
			 "--keypairgen --key-type rsa:2048 --label r --id 02 --always-auth 2>&1"));
	support_write(support_path("pin"), "1234\n");
	snprintf(uri, sizeof(uri), "pkcs11:token=tok?pin-source=%s", support_path("pin"));
	config.token = uri;
	open_backend();
	ec = find("e");
	rsa = find("r");
	judge_ecdsa(ec, "e", SPKI_P256, 32);
	judge_ecdsa(ec, "e", SPKI_P256, 32);
	judge_rsa(rsa, "r");
	/* a wrong one is sent once here as well */
	support_write(support_path("pin"), "4321\n");
	sent = spied_calls(": C_Login$");
	for (int i = 0; i < 3; i++)
		ck_err(pkcs11_backend.sign(ec, KEYD_ECDSA, &digest, &sig, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "not sent again"));
	ck_assert_int_eq(spied_calls(": C_Login$"), sent + 1);
	support_write(support_path("pin"), "1234\n");
	judge_ecdsa(ec, "e", SPKI_P256, 32);
	end();
}
END_TEST

/* What upstream made has no CKA_ID; a move keeps the halves together */
START_TEST(test_upstream_keys)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	free(support_sh(
	    SOFTHSM_TOOL "--keypairgen --key-type EC:prime256v1 --label a 2>&1 && " SOFTHSM_TOOL
			 "--keypairgen --key-type EC:prime256v1 --label b 2>&1"));
	open_backend();
	before = point_of("a");
	ck_ok(pkcs11_backend.move(ctx, "a", "b", &err));
	absent("a");
	after = point_of("b");
	ck_assert(bytes_equal(&before, &after));
	key = find("b");
	judge_ecdsa(key, "b", SPKI_P256, 32);
	free(support_sh("test $(" SOFTHSM_TOOL "-O 2>/dev/null | grep -c 'Key Object') = 2"));
	end();
}
END_TEST

/* Ids with URIs of their own, by label, by CKA_ID, by slot; a login of one serves for all on the same token */
START_TEST(test_preloaded)
{
	static struct backend_preloaded preloaded[6];
	static char by_slot[128], by_id[128];
	AUTO(str_freep) char *slot = NULL;
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	slot = support_sh("printf '%%d' $(pkcs11-tool --module $PKCS11_MODULE -L 2>&1 | sed -n "
			  "'/^Slot 0/s/.*(\\(0x[^)]*\\)).*/\\1/p')");
	free(support_sh(SOFTHSM_TOOL
	    "--keypairgen --key-type EC:prime256v1 --label x --id 0a0b 2>&1 && " SOFTHSM_TOOL
	    "--keypairgen --key-type EC:prime256v1 --label x --id 0a0c 2>&1"));
	snprintf(
	    by_slot, sizeof(by_slot), "pkcs11:slot-id=%s;token=wrong;object=local%%2Dca", slot);
	snprintf(by_id, sizeof(by_id), "pkcs11:token=tok;id=%%0a%%0b;type=private");
	preloaded[0] = (struct backend_preloaded){ "by-slot", by_slot };
	preloaded[1] = (struct backend_preloaded){ "by-id", by_id };
	preloaded[2] = (struct backend_preloaded){ "elsewhere", "pkcs11:token=none;object=x" };
	preloaded[3] = (struct backend_preloaded){ "x", "pkcs11:token=tok;object=x" };
	preloaded[4] =
	    (struct backend_preloaded){ "s", "pkcs11:token=tok;object=s;type=secret-key" };
	preloaded[5] = (struct backend_preloaded){ "p", "pkcs11:token=tok;object=p;type=private" };
	config.preloaded = preloaded;
	config.n_preloaded = 6;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "by-slot", KEY_EC_P256, &err));
	key_putp(&(struct key *){ find("local-ca") });
	key_putp(&(struct key *){ find("by-id") });
	ck_err(pkcs11_backend.find(ctx, "x", &none, &err), ERR_INTERNAL);
	ck_err(pkcs11_backend.find(ctx, "elsewhere", &none, &err), ERR_UNREACHABLE);
	ck_err(pkcs11_backend.remove(ctx, "by-id", &err), ERR_INVALID);
	ck_err(pkcs11_backend.move(ctx, "by-slot", "elsewhere", &err), ERR_INVALID);
	ck_ok(pkcs11_backend.remove(ctx, "by-slot", &err));
	absent("local-ca");
	/* nothing is made where it would not be found */
	ck_err(pkcs11_backend.create_pair(ctx, "s", KEY_EC_P256, &err), ERR_INVALID);
	ck_err(pkcs11_backend.create_key(ctx, "p", KEYD_USE_SIGN, &err), ERR_INVALID);
	ck_err(pkcs11_backend.import_key(ctx, "p", KEYD_USE_SIGN, &digest, &err), ERR_INVALID);
	free(support_sh("test $(" SOFTHSM_TOOL "-O 2>/dev/null | grep -c 'label: *[sp]$') = 0"));
	ck_ok(pkcs11_backend.create_pair(ctx, "p", KEY_EC_P256, &err));
	ck_err(pkcs11_backend.move(ctx, "p", "s", &err), ERR_INVALID);
	ck_ok(pkcs11_backend.create_key(ctx, "s", KEYD_USE_SIGN, &err));
	/* without a token for other ids */
	pkcs11_backend.close(ctx);
	config.token = NULL;
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "other", &none, &err), ERR_NOT_FOUND);
	pkcs11_backend.close(ctx);
	preloaded[0].uri = "pkcs11:object=x";
	ck_err(pkcs11_backend.open(&config, &ctx, &err), ERR_CONFIG);
	preloaded[0].uri = "pkcs11:token=tok;object=x;type=cert";
	ck_err(pkcs11_backend.open(&config, &ctx, &err), ERR_CONFIG);
	mech_free(mech);
}
END_TEST

/* What cannot be a module is told from what is one. */
START_TEST(test_library)
{
	struct err err = { 0 };

	if (!begin())
		return;
	config.library = support_path("none.so");
	ck_err(pkcs11_backend.open(&config, &ctx, &err), ERR_CONFIG);
	support_write(support_path("text.so"), "no library");
	config.library = support_path("text.so");
	ck_err(pkcs11_backend.open(&config, &ctx, &err), ERR_CONFIG);
	config.library = "/lib/x86_64-linux-gnu/libm.so.6";
	ck_err(pkcs11_backend.open(&config, &ctx, &err), ERR_CONFIG);
	mech_free(mech);
}
END_TEST

/* Nothing of a private key is ever asked for: no value, no exponent, no wrapping; all that was made is fixed to the token. */
START_TEST(test_spy)
{
	const struct key_cipher pkcs1 = { .cipher = KEYD_RSA_PKCS1 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	AUTO(key_putp) struct key *rsa = NULL;
	struct err err = { 0 };

	if (!begin_spied())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "ec", KEY_EC_P256, &err));
	ck_ok(pkcs11_backend.create_pair(ctx, "rsa", KEY_RSA_2048, &err));
	ck_ok(pkcs11_backend.create_key(ctx, "mac", KEYD_USE_SIGN, &err));
	ck_ok(pkcs11_backend.create_key(ctx, "aes", KEYD_USE_ENCRYPT, &err));
	ck_ok(pkcs11_backend.import_key(ctx, "imp", KEYD_USE_SIGN, &digest, &err));
	key = find("ec");
	ck_ok(pkcs11_backend.sign(key, KEYD_ECDSA, &digest, &sig, &err));
	bytes_done(&sig);
	rsa = find("rsa");
	ck_ok(pkcs11_backend.encrypt(rsa, &pkcs1, &digest, &sig, &err));
	mac = hmac_under("imp");
	ck_ok(pkcs11_backend.move(ctx, "ec", "ec2", &err));
	pkcs11_backend.close(ctx);
	mech_free(mech);
	ck_assert_int_gt(spied_calls(": C_Sign$"), 4);
	ck_assert_int_eq(
	    spied_calls(
		": C_(WrapKey|UnwrapKey|DeriveKey|CopyObject|GetOperationState|SetPIN|InitPIN)$"),
	    0);
	/* the one CKA_VALUE is that of the import */
	ck_assert_int_eq(spied_calls("CKA_VALUE "), 1);
	ck_assert_int_eq(spied_calls("CKA_(PRIVATE_EXPONENT|PRIME|COEFFICIENT)"), 0);
	ck_assert_int_eq(spied_calls("CKA_EXTRACTABLE +False"), 5);
	ck_assert_int_eq(spied_calls("CKA_EXTRACTABLE +True"), 0);
	ck_assert_int_eq(spied_calls("CKA_SENSITIVE +True"), 5);
}
END_TEST

/* On a polling thread nothing asks the token. */
START_TEST(test_would_block)
{
	AUTO(key_putp) struct key *key = NULL;
	struct key *none = NULL;
	struct bytes out = { 0 };
	bool there;
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	pool_set_may_block(false);
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.exists(ctx, "k", &there, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.create_key(ctx, "x", 1, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.create_pair(ctx, "x", KEY_EC_P256, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.import_key(ctx, "x", 1, &digest, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.move(ctx, "k", "x", &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.remove(ctx, "k", &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.sign(key, KEYD_ECDSA, &digest, &out, &err), ERR_WOULD_BLOCK);
	ck_err(pkcs11_backend.parameter(key, KEY_PARAM_ALGORITHM, &out, &err), ERR_WOULD_BLOCK);
	pool_set_may_block(true);
	end();
}
END_TEST

static void *
sign_many(void *arg)
{
	pool_set_may_block(true);
	for (int i = 0; i < (support_valgrind() ? 5 : 50); i++) {
		AUTO(bytes_done) struct bytes sig = { 0 };
		struct err err = { 0 };

		if (pkcs11_backend.sign(arg, KEYD_ECDSA, &digest, &sig, &err))
			return strdup(err.text);
	}
	return NULL;
}

/* Several threads at once, while another program replaces the key again and again. */
START_TEST(test_threads)
{
	AUTO(key_putp) struct key *key = NULL;
	pthread_t threads[8];
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, sign_many, key), 0);
	for (int i = 0; i < 3; i++) {
		ck_ok(pkcs11_backend.create_pair(ctx, "next", KEY_EC_P256, &err));
		ck_ok(pkcs11_backend.move(ctx, "next", "k", &err));
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_msg(!failed, "%s", (char *)failed);
	}
	end();
}
END_TEST

/* --- a module that lies (tests/suite/shim) */

/* Everything that a caller may ask for, whatever comes of it; what is called a success is one. */
static void
ask_all(struct key *key, const char *fault, bool writing)
{
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes point = { 0 };
	AUTO(key_putp) struct key *again = NULL;
	struct err err = { 0 };
	enum err_code code;
	bool there;

	support_write(support_path("fault"), fault);
	if (pkcs11_backend.sign(key, KEYD_ECDSA, &digest, &sig, &err) == ERR_OK)
		ck_assert(sig.len >= 8 && sig.data[0] == 0x30 && sig.data[1] == sig.len - 2);
	if (pkcs11_backend.parameter(key, KEY_PARAM_EC_POINT, &point, &err) == ERR_OK)
		ck_assert_uint_eq(point.len, 33);
	(void)!pkcs11_backend.exists(ctx, "k", &there, &err);
	code = pkcs11_backend.find(ctx, "k", &again, &err);
	/* a key that is there is never said to be missing, but by a module that says so: it found nothing, or things of other classes */
	ck_assert_msg(code != ERR_NOT_FOUND || strstr(fault, "C_FindObjects length zero") ||
			  strstr(fault, "C_GetAttributeValue garbage"),
	    "%s: %s", fault, err.text);
	if (!writing)
		return;
	(void)!pkcs11_backend.import_key(ctx, "other", KEYD_USE_SIGN, &digest, &err);
	(void)!pkcs11_backend.remove(ctx, "other", &err);
}

/* contracts/pkcs11.md 4: some tokens give the point without the OCTET STRING around it */
START_TEST(test_bare_point)
{
	AUTO(bytes_done) struct bytes wrapped = { 0 };
	AUTO(bytes_done) struct bytes bare = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	config.library = shim();
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "p256", KEY_EC_P256, &err));
	ck_ok(pkcs11_backend.create_pair(ctx, "p384", KEY_EC_P384, &err));
	wrapped = point_of("p384");
	support_write(support_path("fault"), "C_GetAttributeValue bare");
	bare = point_of("p384");
	ck_assert(bytes_equal(&wrapped, &bare));
	key = find("p256");
	judge_ecdsa(key, "p256", SPKI_P256, 32);
	end();
}
END_TEST

/* A token that changes neither ids nor labels: a move cannot be made, and must not cost the key that is there. */
START_TEST(test_move_on_fixed_objects)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	struct err err = { 0 };

	if (!begin())
		return;
	config.library = shim();
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "old", KEY_EC_P256, &err));
	ck_ok(pkcs11_backend.create_pair(ctx, "new", KEY_EC_P256, &err));
	before = point_of("old");
	support_write(
	    support_path("fault"), "C_SetAttributeValue rv 0x10"); /* CKR_ATTRIBUTE_READ_ONLY */
	ck_err(pkcs11_backend.move(ctx, "new", "old", &err), ERR_UNSUPPORTED);
	support_write(support_path("fault"), "");
	after = point_of("old");
	ck_assert(bytes_equal(&before, &after));
	key_putp(&(struct key *){ find("new") });
	end();
}
END_TEST

/* A module that knows keys with CKA_ALWAYS_AUTHENTICATE and not how to log in for one: the PIN is none the worse. */
START_TEST(test_confirm_unknown)
{
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	config.library = shim();
	free(support_sh(
	    SOFTHSM_TOOL "--keypairgen --key-type EC:prime256v1 --label e --id 01 --always-auth "
			 "2>&1"));
	open_backend();
	key = find("e");
	support_write(support_path("fault"), "C_Login rv 0x103"); /* CKR_USER_TYPE_INVALID */
	ck_err(pkcs11_backend.sign(key, KEYD_ECDSA, &digest, &sig, &err), ERR_UNREACHABLE);
	support_write(support_path("fault"), "");
	log_out();
	judge_ecdsa(key, "e", SPKI_P256, 32);
	end();
}
END_TEST

/* Where no answer came the PIN may have been at fault: it is sent again only where the token counts nothing wrong. */
START_TEST(test_pin_unanswered)
{
	static uint8_t notes[BACKEND_NOTES_LEN] __attribute__((aligned(16)));
	struct key *none = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	memset(notes, 0, sizeof(notes));
	config.notes = notes;
	config.library = shim();
	support_write(support_path("fault"), "C_Login rv 0x30"); /* CKR_DEVICE_ERROR */
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	pkcs11_backend.close(ctx);
	/* CKF_USER_PIN_COUNT_LOW */
	support_write(support_path("fault"), "C_GetTokenInfo flags 0x10000");
	open_backend();
	ck_err(pkcs11_backend.find(ctx, "k", &none, &err), ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(err.text, "there was no answer"));
	support_write(support_path("fault"), "");
	soon();
	absent("k");
	pkcs11_backend.close(ctx);
	/* that was one: now nothing is held against it */
	support_write(support_path("fault"), "C_GetTokenInfo flags 0x10000");
	open_backend();
	absent("k");
	end();
}
END_TEST

/* --- sessions */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int step;
} scene = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static void
set_step(int step)
{
	pthread_mutex_lock(&scene.lock);
	scene.step = step;
	pthread_cond_broadcast(&scene.changed);
	pthread_mutex_unlock(&scene.lock);
}

static void
await_step(int step)
{
	pthread_mutex_lock(&scene.lock);
	while (scene.step < step)
		pthread_cond_wait(&scene.changed, &scene.lock);
	pthread_mutex_unlock(&scene.lock);
}

static enum err_code
hold_and_fail(struct pkcs11_session *s, void *arg, struct err *err)
{
	(void)s, (void)arg;
	set_step(1);
	await_step(2);
	return err_set(err, ERR_CRYPTO, "as it should");
}

static enum err_code
no_work(struct pkcs11_session *s, void *arg, struct err *err)
{
	(void)s, (void)arg, (void)err;
	return ERR_OK;
}

static void *
hold(void *token)
{
	struct err err = { 0 };

	return pkcs11_token_work(token, PKCS11_SHARED, hold_and_fail, NULL, &err) == ERR_CRYPTO
		   ? NULL
		   : strdup(err.text);
}

static void *
want(void *token)
{
	struct err err = { 0 };

	return pkcs11_token_work(token, PKCS11_SHARED, no_work, NULL, &err) ? strdup(err.text)
									    : NULL;
}

/* Who waits for a session of a token that has no more gets one when another is closed, not only when one is given back. */
START_TEST(test_session_count)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
	const struct pkcs11_uris uris = { &uri, 1 };
	struct pkcs11_module *module;
	struct pkcs11_notes *notes;
	struct pkcs11_token *token;
	pthread_t threads[4];
	struct err err = { 0 };

	if (!begin())
		return;
	ck_ok(pkcs11_uri_parse(BASE_URI, &uri, &err));
	ck_ok(pkcs11_notes_new(NULL, &notes, &err));
	ck_ok(pkcs11_module_open(shim(), &module, NULL, &err));
	ck_ok(pkcs11_token_new(module, &uri, &uris, notes, &token, &err));
	set_step(0);
	pthread_create(&threads[0], NULL, hold, token);
	await_step(1);
	support_write(support_path("fault"), "C_OpenSession rv 0xb1"); /* CKR_SESSION_COUNT */
	for (size_t i = 1; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, want, token);
	usleep(200000);
	support_write(support_path("fault"), "");
	set_step(2);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_msg(!failed, "%s", (char *)failed);
	}
	pkcs11_token_free(token);
	pkcs11_notes_free(notes);
	pkcs11_module_close(module);
	mech_free(mech);
}
END_TEST

/* Each call that keyd makes, with errors of every class, with lengths and contents that cannot be: bounded, and nothing is lost. */
START_TEST(test_hostile)
{
	static const char *const calls[] = { "C_GetSlotList", "C_GetTokenInfo", "C_OpenSession",
		"C_CloseSession", "C_GetSessionInfo", "C_FindObjectsInit", "C_FindObjects",
		"C_FindObjectsFinal", "C_GetAttributeValue", "C_SetAttributeValue",
		"C_CreateObject", "C_DestroyObject", "C_SignInit", "C_Sign" };
	static const char *const faults[] = { "rv 0x5", "rv 0x30", "rv 0x32", "rv 0x54", "rv 0x82",
		"rv 0x90", "rv 0xb3", "rv 0xe0", "rv 0x101", "rv 0x150", "rv 0x190",
		"rv 0x80000000", "length long", "length zero", "length max", "garbage" };
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	config.library = shim();
	open_backend();
	ck_ok(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	before = point_of("k");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		for (size_t j = 0; j < (support_valgrind() ? 1 : ARRAY_LEN(faults)); j++) {
			char fault[64];

			snprintf(fault, sizeof(fault), "%s %s", calls[i], faults[j]);
			ask_all(key, fault, j % 4 == 0); /* writing waits for the disk */
		}
	support_write(support_path("fault"), "");
	soon();
	ck_ok(pkcs11_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	after = point_of("k");
	ck_assert(bytes_equal(&before, &after));
	judge_ecdsa(key, "k", SPKI_P256, 32);
	free(support_sh(
	    "test $(" SOFTHSM_TOOL "-O --type privkey 2>/dev/null | grep -c 'label: *k$') = 1"));
	end();
}
END_TEST

TEST_MAIN("keyd/pkcs11", test_signature_der, test_pairs, test_keys, test_import,
    test_move_and_remove, test_token_away, test_token_late, test_token_replaced, test_two_tokens,
    test_pin, test_pin_of_three_names, test_notes, test_pin_unanswered, test_no_pin,
    test_logged_out, test_foreign_keys, test_always_authenticate, test_upstream_keys,
    test_preloaded, test_library, test_spy, test_would_block, test_threads, test_bare_point,
    test_confirm_unknown, test_move_on_fixed_objects, test_session_count, test_hostile)
