#include "tests/keyd/softhsm.h"

#include "base/file.h"
#include "crypto/digest.h"
#include "keyd/backend.h"
#include "keyd/cache.h"
#include "keyd/mech.h"
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
	struct err err = { 0 };

	if (!begin())
		return;
	open_backend();
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
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
		       "sensitive, never extractable, local') = 4"));
	free(support_sh(
	    "test $(" SOFTHSM_TOOL "-O --type privkey 2>&1 | grep 'ID:' | sort -u | wc -l) = 4"));
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
	ck_ok(pkcs11_backend.create_pair(ctx, "old", KEY_RSA_2048, &err));
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

TEST_MAIN("keyd/pkcs11", test_pairs, test_keys, test_import, test_move_and_remove)
