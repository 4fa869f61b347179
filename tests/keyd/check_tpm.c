#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "keyd/backend.h"
#include "keyd/cache.h"
#include "platform/pool.h"
#include "tests/fake/tpmd.h"

static struct backend_config config;
static void *ctx;

static void
begin(void)
{
	struct err err = { 0 };

	fake_tpmd_reset();
	pool_set_may_block(true);
	config = (struct backend_config){
		.name = "tpm", .homedir = support_path("home"), .any_id = true
	};
	ck_ok(tpm_backend.open(&config, &ctx, &err));
}

static void
end(void)
{
	tpm_backend.close(ctx);
	fake_tpmd_reset();
}

static struct key *
find(const char *id)
{
	struct key *key = NULL;
	struct err err = { 0 };

	ck_ok(tpm_backend.find(ctx, id, &key, &err));
	return key;
}

static char *
listing(void)
{
	return support_sh(
	    "cd %s && find home -printf '%%p %%s %%T@ %%m\\n' | LC_ALL=C sort", support_tmpdir());
}

static struct bytes
parameter(struct key *key, enum key_parameter which)
{
	struct bytes out = { 0 };
	struct err err = { 0 };

	ck_ok(tpm_backend.parameter(key, which, &out, &err));
	return out;
}

/* The public key as openssl takes it, made of the parameters that a client gets. */
static void
write_public(struct key *key)
{
	AUTO(bytes_done) struct bytes algorithm = parameter(key, KEY_PARAM_ALGORITHM);
	AUTO(str_freep) char *conf = NULL;
	char *hex;
	struct err err = { 0 };

	if (text_equal(text_of_bytes(&algorithm), "ECDSA")) {
		AUTO(bytes_done) struct bytes point = parameter(key, KEY_PARAM_EC_POINT);

		ck_ok(file_write(support_path("n"), 0600, point.data, point.len, &err));
		hex = support_sh("xxd -p -c 999 %s", support_path("n"));
		ck_ok(str_format(&conf, &err,
		    "asn1=SEQUENCE:spki\n[spki]\na=SEQUENCE:alg\nk=FORMAT:HEX,BITSTRING:%s\n"
		    "[alg]\na=OID:id-ecPublicKey\nb=OID:prime256v1\n",
		    hex));
	} else {
		AUTO(bytes_done) struct bytes n = parameter(key, KEY_PARAM_RSA_MODULUS);

		ck_ok(file_write(support_path("n"), 0600, n.data, n.len, &err));
		hex = support_sh("xxd -p -c 999 %s", support_path("n"));
		ck_ok(str_format(&conf, &err,
		    "asn1=SEQUENCE:spki\n[spki]\na=SEQUENCE:alg\nk=BITWRAP,SEQUENCE:key\n"
		    "[alg]\na=OID:rsaEncryption\nb=NULL\n[key]\nn=INTEGER:0x%s\ne=INTEGER:65537\n",
		    hex));
	}
	free(hex);
	support_write(support_path("conf"), conf);
	free(support_sh("cd %s && openssl asn1parse -genconf conf -noout -out spki && openssl pkey "
			"-pubin -inform DER -in spki -out public.pem",
	    support_tmpdir()));
}

/* openssl's verdict on a signature over what is in "data". */
static void
verify(struct key *key, const struct bytes *data, const struct bytes *sig, const char *options)
{
	struct err err = { 0 };

	write_public(key);
	ck_ok(file_write(support_path("data"), 0600, data->data, data->len, &err));
	ck_ok(file_write(support_path("sig"), 0600, sig->data, sig->len, &err));
	free(support_sh(
	    "cd %s && openssl pkeyutl -verify -pubin -inkey public.pem -in data -sigfile sig %s",
	    support_tmpdir(), options));
}

/* The files: upstream's naming (contracts/keyd.md 6) in a directory of their own, readable by nobody else. */
START_TEST(test_files)
{
	const char *path = support_path("home/tpm/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b559"
					"9a4e124a0fe6199b6b2f60e655.pem");
	struct stat st;
	bool exists = false;
	struct key *none = NULL;
	struct err err = { 0 };

	begin();
	ck_err(tpm_backend.find(ctx, "device-id", &none, &err), ERR_NOT_FOUND);
	ck_ok(tpm_backend.exists(ctx, "device-id", &exists, &err));
	ck_assert(!exists);
	ck_ok(tpm_backend.create_pair(ctx, "device-id", KEY_EC_P256, &err));
	ck_ok(tpm_backend.exists(ctx, "device-id", &exists, &err));
	ck_assert(exists);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(support_path("home/tpm"), &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	end();
	/* what a crash left goes at the next start */
	support_write(support_path("home/tpm/.new-0"), "x");
	begin();
	free(support_sh("test $(ls -A %s/home/tpm | wc -l) = 1", support_tmpdir()));
	end();
}
END_TEST

START_TEST(test_ec)
{
	static uint8_t bytes[64] = { 1, 2, 3, 255 };
	static const size_t lengths[] = { 20, 32, 48, 64 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	ck_ok(tpm_backend.check(key, KEY_PAIR, &err));
	ck_err(tpm_backend.check(key, KEY_SYMMETRIC, &err), ERR_INVALID);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		const struct bytes digest = { bytes, lengths[i] };
		AUTO(bytes_done) struct bytes sig = { 0 };

		ck_ok(tpm_backend.sign(key, KEYD_ECDSA, &digest, &sig, &err));
		verify(key, &digest, &sig, "");
	}
	end();
}
END_TEST

START_TEST(test_rsa)
{
	static uint8_t bytes[256];
	const struct bytes raw = { bytes, 256 };
	struct bytes info =
	    support_hex("3031300d060960864801650304020105000420"
			"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf");
	struct bytes digest = { info.data + 19, 32 };
	struct key_cipher how = { .cipher = KEYD_RSA_PKCS1 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes raw_sig = { 0 };
	AUTO(bytes_done) struct bytes modulus = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "k", KEY_RSA_2048, &err));
	key = find("k");
	ck_ok(tpm_backend.encrypt(key, &how, &info, &sig, &err));
	verify(key, &digest, &sig, "-pkeyopt digest:sha256");
	how.cipher = KEYD_RSA_NO_PADDING;
	bytes[255] = 7;
	ck_ok(tpm_backend.encrypt(key, &how, &raw, &raw_sig, &err));
	ck_assert_uint_eq(raw_sig.len, 256);
	/* the public operation brings it back */
	ck_ok(file_write(support_path("sig"), 0600, raw_sig.data, raw_sig.len, &err));
	free(support_sh("cd %s && test $(openssl pkeyutl -encrypt -pubin -inkey public.pem -in sig "
			"-pkeyopt rsa_padding_mode:none | xxd -p -c 999 | sed 's/^0*//') = 7",
	    support_tmpdir()));
	/* contracts/keyd.md 4.9: the length of the modulus; and below it */
	modulus = parameter(key, KEY_PARAM_RSA_MODULUS);
	bytes_done(&raw_sig);
	ck_err(tpm_backend.encrypt(key, &how, &modulus, &raw_sig, &err), ERR_CRYPTO);
	ck_err(tpm_backend.encrypt(key, &how, &info, &raw_sig, &err), ERR_CRYPTO);
	how.cipher = KEYD_RSA_PKCS1;
	ck_err(tpm_backend.encrypt(key, &how, &modulus, &raw_sig, &err), ERR_CRYPTO);
	bytes_done(&info);
	end();
}
END_TEST

/* HMAC-SHA256 as openssl has it, by keys of all lengths (RFC 2104), and derivation, which is the same here (keyd.md 4.7) */
START_TEST(test_hmac)
{
	static const size_t lengths[] = { 1, 32, 63, 64, 65, 200 };
	static uint8_t bytes[200] = { 9, 8, 7 };
	const struct bytes data = { (uint8_t *)"data", 4 };
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		const struct bytes value = { bytes, lengths[i] };
		AUTO(bytes_done) struct bytes mac = { 0 };
		AUTO(bytes_done) struct bytes derived = { 0 };
		AUTO(bytes_done) struct bytes want = { 0 };
		AUTO(str_freep) char *judge = NULL;
		AUTO(key_putp) struct key *key = NULL;

		ck_ok(tpm_backend.import_key(ctx, "k", KEYD_USE_SIGN, &value, &err));
		key = find("k");
		ck_ok(tpm_backend.check(key, KEY_SYMMETRIC, &err));
		ck_err(tpm_backend.check(key, KEY_PAIR, &err), ERR_INVALID);
		ck_ok(file_write(support_path("key"), 0600, bytes, lengths[i], &err));
		judge = support_sh("cd %s && printf data | openssl mac -digest SHA256 -macopt "
				   "hexkey:$(xxd -p -c 999 key) HMAC",
		    support_tmpdir());
		want = support_hex(judge);
		ck_ok(tpm_backend.sign(key, KEYD_HMAC_SHA256, &data, &mac, &err));
		ck_ok(tpm_backend.derive(key, &data, &derived, &err));
		ck_assert(bytes_equal(&mac, &want));
		ck_assert(bytes_equal(&derived, &want));
	}
	end();
}
END_TEST

START_TEST(test_long_message)
{
	AUTO(bytes_done) struct bytes data = { 0 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	begin();
	ck_ok(bytes_alloc(&data, TPMD_MESSAGE_MAX + 1, &err));
	ck_ok(tpm_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	key = find("k");
	ck_err(tpm_backend.sign(key, KEYD_HMAC_SHA256, &data, &mac, &err), ERR_INVALID);
	data.len--;
	ck_ok(tpm_backend.sign(key, KEYD_HMAC_SHA256, &data, &mac, &err));
	end();
}
END_TEST

/* An existing key is left by create and replaced by import (keyd.md 4.1, 4.3); moved and removed durably. */
START_TEST(test_kept)
{
	const struct bytes data = { (uint8_t *)"data", 4 };
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	AUTO(bytes_done) struct bytes third = { 0 };
	struct key *key;
	struct err err = { 0 };
	unsigned asked;

	begin();
	ck_ok(tpm_backend.create_key(ctx, "k", KEYD_USE_SIGN | KEYD_USE_DERIVE, &err));
	key = find("k");
	ck_ok(tpm_backend.derive(key, &data, &first, &err));
	key_putp(&key);
	asked = fake_tpmd_signed();
	ck_ok(tpm_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err));
	ck_ok(tpm_backend.create_pair(ctx, "k", KEY_RSA_2048, &err));
	ck_assert_uint_eq(fake_tpmd_signed(), asked);
	ck_ok(tpm_backend.move(ctx, "k", "l", &err));
	end();
	begin(); /* a restart */
	key = find("l");
	ck_ok(tpm_backend.derive(key, &data, &second, &err));
	key_putp(&key);
	ck_assert(bytes_equal(&first, &second));
	ck_ok(tpm_backend.import_key(ctx, "l", KEYD_USE_SIGN, &data, &err));
	key = find("l");
	ck_ok(tpm_backend.derive(key, &data, &third, &err));
	key_putp(&key);
	ck_assert(!bytes_equal(&second, &third));
	ck_err(tpm_backend.move(ctx, "k", "l", &err), ERR_NOT_FOUND);
	ck_ok(tpm_backend.remove(ctx, "l", &err));
	ck_ok(tpm_backend.remove(ctx, "l", &err));
	ck_err(tpm_backend.find(ctx, "l", &key, &err), ERR_NOT_FOUND);
	free(support_sh("test -z \"$(ls %s/home/tpm)\"", support_tmpdir()));
	end();
}
END_TEST

/* What a TPM does not do is said before it is asked, and leaves nothing behind. */
START_TEST(test_unsupported)
{
	static const enum key_algorithm none[] = { KEY_RSA_3072, KEY_RSA_4096, KEY_EC_P384,
		KEY_ED25519 };
	const struct bytes value = { (uint8_t *)"v", 1 };
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		ck_err(tpm_backend.create_pair(ctx, "k", none[i], &err), ERR_UNSUPPORTED);
	ck_err(tpm_backend.create_key(ctx, "k", KEYD_USE_ENCRYPT, &err), ERR_UNSUPPORTED);
	ck_err(tpm_backend.create_key(ctx, "k", KEYD_USE_ENCRYPT | KEYD_USE_SIGN, &err),
	    ERR_UNSUPPORTED);
	ck_err(tpm_backend.import_key(ctx, "k", KEYD_USE_ENCRYPT, &value, &err), ERR_UNSUPPORTED);
	ck_assert_uint_eq(fake_tpmd_signed(), 0);
	free(support_sh("test -z \"$(ls %s/home/tpm)\"", support_tmpdir()));
	end();
}
END_TEST

/* A key does what its kind does. */
START_TEST(test_unfit)
{
	static uint8_t bytes[256];
	const struct bytes digest = { bytes, 32 }, short_digest = { bytes, 19 },
			   long_digest = { bytes, 65 }, empty = { 0 };
	struct bytes out = { 0 };
	struct err err = { 0 };
	unsigned asked;

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "ec", KEY_EC_P256, &err));
	ck_ok(tpm_backend.create_pair(ctx, "rsa", KEY_RSA_2048, &err));
	ck_ok(tpm_backend.create_key(ctx, "hmac", KEYD_USE_SIGN, &err));
	asked = fake_tpmd_signed();
	for (const char *const *id = (const char *const[]){ "ec", "rsa", "hmac", NULL }; *id;
	     id++) {
		AUTO(key_putp) struct key *key = find(*id);
		struct key_cipher aead = { .cipher = KEYD_AEAD, .iv = &digest, .aad = &empty };
		struct key_cipher rsa = { .cipher = KEYD_RSA_PKCS1 };

		ck_err(tpm_backend.encrypt(key, &aead, &digest, &out, &err), ERR_INVALID);
		ck_err(tpm_backend.decrypt(key, &aead, &digest, &out, &err), ERR_INVALID);
		ck_err(tpm_backend.decrypt(key, &rsa, &digest, &out, &err), ERR_INVALID);
		ck_err(tpm_backend.sign(key, KEYD_EDDSA, &digest, &out, &err), ERR_INVALID);
		if (strcmp(*id, "rsa") != 0)
			ck_err(tpm_backend.encrypt(key, &rsa, &digest, &out, &err), ERR_INVALID);
		if (strcmp(*id, "ec") != 0)
			ck_err(tpm_backend.sign(key, KEYD_ECDSA, &digest, &out, &err), ERR_INVALID);
		if (strcmp(*id, "hmac") != 0) {
			ck_err(tpm_backend.sign(key, KEYD_HMAC_SHA256, &digest, &out, &err),
			    ERR_INVALID);
			ck_err(tpm_backend.derive(key, &digest, &out, &err), ERR_INVALID);
		}
		if (strcmp(*id, "ec") == 0) {
			ck_err(tpm_backend.sign(key, KEYD_ECDSA, &short_digest, &out, &err),
			    ERR_INVALID);
			ck_err(tpm_backend.sign(key, KEYD_ECDSA, &long_digest, &out, &err),
			    ERR_INVALID);
		}
	}
	ck_assert_uint_eq(fake_tpmd_signed(), asked);
	end();
}
END_TEST

/*
 * A TPM that is away is never a key that is missing; a refused key is ours to repair (backend.h).  Whatever fails, the directory
 * stays as it is.
 */
START_TEST(test_failures)
{
	static const struct {
		enum err_code code;
		unsigned status;
		enum err_code want;
		const char *says;
	} rows[] = {
		{ ERR_UNREACHABLE, 0, ERR_UNREACHABLE, "TPM" },
		{ ERR_TIMEOUT, 0, ERR_TIMEOUT, "TPM" },
		{ ERR_BUSY, 0, ERR_BUSY, "TPM" },
		{ ERR_PEER, 500, ERR_UNREACHABLE, "TPM" },
		{ ERR_PEER, 503, ERR_UNREACHABLE, "TPM" },
		{ ERR_PEER, 400, ERR_INTERNAL, "refuses key k" },
		{ ERR_PEER, 401, ERR_INTERNAL, "[[principal]]" },
		{ ERR_PEER, 404, ERR_INTERNAL, "refuses key" },
		{ ERR_PROTOCOL, 0, ERR_PROTOCOL, "TPM" },
		{ ERR_NOMEM, 0, ERR_NOMEM, "" },
	};
	static uint8_t bytes[32];
	const struct bytes data = { bytes, sizeof(bytes) };
	AUTO(str_freep) char *before = NULL;
	AUTO(key_putp) struct key *key = NULL;
	struct bytes out = { 0 };
	struct err err = { 0 };

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	before = listing();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *after = NULL;
		bool exists = false;
		AUTO(key_putp) struct key *again = NULL;

		fake_tpmd_fail(rows[i].code, rows[i].status);
		ck_err(tpm_backend.sign(key, KEYD_ECDSA, &data, &out, &err), rows[i].want);
		ck_assert_msg(strstr(err.text, rows[i].says), "%s", err.text);
		ck_err(tpm_backend.create_key(ctx, "new", KEYD_USE_SIGN, &err), rows[i].want);
		ck_err(tpm_backend.create_pair(ctx, "new", KEY_EC_P256, &err), rows[i].want);
		ck_err(tpm_backend.import_key(ctx, "k", KEYD_USE_SIGN, &data, &err), rows[i].want);
		/* the key is there all the same */
		ck_ok(tpm_backend.exists(ctx, "k", &exists, &err));
		ck_assert(exists);
		again = find("k");
		after = listing();
		ck_assert_str_eq(before, after);
	}
	end();
}
END_TEST

/* What tpmd answers is judged, too. */
START_TEST(test_odd_answers)
{
	static uint8_t bytes[32];
	const struct bytes data = { bytes, sizeof(bytes) };
	const struct key_cipher how = { .cipher = KEYD_RSA_PKCS1 };
	AUTO(key_putp) struct key *rsa = NULL;
	AUTO(key_putp) struct key *hmac = NULL;
	struct bytes out = { 0 };
	struct err err = { 0 };

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "rsa", KEY_RSA_2048, &err));
	ck_ok(tpm_backend.create_key(ctx, "hmac", KEYD_USE_SIGN, &err));
	rsa = find("rsa");
	hmac = find("hmac");
	fake_tpmd_cut(1);
	ck_err(tpm_backend.encrypt(rsa, &how, &data, &out, &err), ERR_PROTOCOL);
	ck_err(tpm_backend.derive(hmac, &data, &out, &err), ERR_PROTOCOL);
	ck_err(tpm_backend.create_key(ctx, "k", KEYD_USE_SIGN, &err), ERR_PROTOCOL);
	ck_err(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err), ERR_PROTOCOL);
	ck_err(tpm_backend.import_key(ctx, "k", KEYD_USE_SIGN, &data, &err), ERR_PROTOCOL);
	free(support_sh("test $(ls -A %s/home/tpm | wc -l) = 2", support_tmpdir()));
	end();
}
END_TEST

/* decisions.md, malformed key file: an error, and the file stays as it is */
START_TEST(test_damaged)
{
	static const char *const damage[] = { "truncate -s 0 $f", "truncate -s 100 $f",
		"echo junk >$f", "sed -i 's/TSS2 PRIVATE/PRIVATE/' $f", "truncate -s 8193 $f",
		"sed -i '2s/^..../AAAA/' $f", "openssl genpkey -algorithm ed25519 -out $f",
		"rm $f && mkdir $f" };
	struct key *key = NULL;
	bool exists;
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
		AUTO(str_freep) char *before = NULL;
		AUTO(str_freep) char *after = NULL;

		free(support_sh("rm -rf %s/home/tpm/*", support_tmpdir()));
		ck_ok(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
		free(support_sh(
		    "cd %s/home/tpm && f=$(echo k-*.pem) && %s", support_tmpdir(), damage[i]));
		before = listing();
		ck_err(tpm_backend.find(ctx, "k", &key, &err), ERR_INTERNAL);
		exists = false;
		ck_ok(tpm_backend.exists(ctx, "k", &exists, &err));
		ck_assert(exists);
		ck_ok(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
		after = listing();
		ck_assert_str_eq(before, after);
	}
	end();
}
END_TEST

/* On a polling thread no call touches a file or asks the TPM. */
START_TEST(test_would_block)
{
	static uint8_t bytes[32];
	const struct bytes data = { bytes, sizeof(bytes) };
	AUTO(key_putp) struct key *key = NULL;
	AUTO(bytes_done) struct bytes point = { 0 };
	struct key *none = NULL;
	struct bytes out = { 0 };
	bool exists;
	struct err err = { 0 };
	unsigned asked;

	begin();
	ck_ok(tpm_backend.create_pair(ctx, "k", KEY_EC_P256, &err));
	key = find("k");
	asked = fake_tpmd_signed();
	pool_set_may_block(false);
	ck_err(tpm_backend.find(ctx, "k", &none, &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.exists(ctx, "k", &exists, &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.create_key(ctx, "l", KEYD_USE_SIGN, &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.create_pair(ctx, "l", KEY_EC_P256, &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.import_key(ctx, "l", KEYD_USE_SIGN, &data, &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.move(ctx, "k", "l", &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.remove(ctx, "k", &err), ERR_WOULD_BLOCK);
	ck_err(tpm_backend.sign(key, KEYD_ECDSA, &data, &out, &err), ERR_WOULD_BLOCK);
	ck_assert_uint_eq(fake_tpmd_signed(), asked);
	/* what is known of an opened key needs neither */
	point = parameter(key, KEY_PARAM_EC_POINT);
	ck_ok(tpm_backend.check(key, KEY_PAIR, &err));
	pool_set_may_block(true);
	end();
}
END_TEST

START_TEST(test_no_homedir)
{
	void *none = NULL;
	struct err err = { 0 };

	config = (struct backend_config){ .name = "tpm" };
	ck_err(tpm_backend.open(&config, &none, &err), ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "homedir_path"));
}
END_TEST

TEST_MAIN("keyd/tpm", test_files, test_ec, test_rsa, test_hmac, test_long_message, test_kept,
    test_unsupported, test_unfit, test_failures, test_odd_answers, test_damaged, test_would_block,
    test_no_homedir)
