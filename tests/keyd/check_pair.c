#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/file.h"
#include "keyd/pair.h"

static struct pair *
pair_of(const struct bytes *pem)
{
	struct pair *p = NULL;
	struct err err = { 0 };

	ck_ok(pair_read(pem, &p, &err));
	return p;
}

static struct pair *
generate(enum key_algorithm algorithm, const char *path)
{
	AUTO(bytes_done) struct bytes pem = { 0 };
	struct err err = { 0 };

	ck_ok(pair_generate(algorithm, &pem, &err));
	ck_ok(file_write(path, 0600, pem.data, pem.len, &err));
	return pair_of(&pem);
}

static struct pair *
read_file(const char *path)
{
	AUTO(bytes_done) struct bytes pem = support_read(path);

	return pair_of(&pem);
}

static void
write_bytes(const char *path, const struct bytes *b)
{
	struct err err = { 0 };

	ck_ok(file_write(path, 0600, b->data, b->len, &err));
}

/* contracts/keyd.md 4.3, 6: PEM PKCS#8, unencrypted; exponent 65537; openssl is the judge */
static const struct {
	enum key_algorithm algorithm;
	const char *says;
	bool slow;
} algorithms[] = {
	{ KEY_EC_P256, "ASN1 OID: prime256v1", false },
	{ KEY_EC_P384, "ASN1 OID: secp384r1", true },
	{ KEY_ED25519, "ED25519 Private-Key:", false },
	{ KEY_RSA_2048, "Private-Key: (2048 bit, 2 primes)", false },
	{ KEY_RSA_3072, "Private-Key: (3072 bit, 2 primes)", true },
	{ KEY_RSA_4096, "Private-Key: (4096 bit, 2 primes)", true },
};

START_TEST(test_generate)
{
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		if (support_valgrind() && strstr(algorithms[i].says, "primes"))
			continue; /* made below, of 2048 bits; larger ones take minutes there */
		const char *path = support_path("key.pem");
		struct pair *p = generate(algorithms[i].algorithm, path);
		AUTO(str_freep)
		char *says = support_sh("head -1 %s; openssl pkey -in %s -noout -text", path, path);

		ck_assert_ptr_nonnull(strstr(says, "-----BEGIN PRIVATE KEY-----\n"));
		ck_assert_ptr_nonnull(strstr(says, algorithms[i].says));
		ck_assert_int_eq(pair_is_slow(p, 64), algorithms[i].slow);
		pair_free(p);
	}
}
END_TEST

/* Keys that openssl made, in every form it writes, load and work. */
static const struct {
	const char *command;   /* writes to %1$s */
	const char *algorithm; /* contracts/keyd.md 4.6; docs/compat.md for EdDSA */
	bool slow;
} forms[] = {
	{ "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s", "ECDSA",
	    false },
	{ "openssl ecparam -name prime256v1 -genkey -out %s", "ECDSA", false },
	{ "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out %s", "ECDSA", true },
	{ "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out %s", "ECDSA", true },
	{ "openssl genpkey -algorithm ED25519 -out %s", "EdDSA", false },
	{ "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out %s", "RSA",
	    false },
	{ "openssl genrsa -traditional -out %s 2048", "RSA", false },
	{ "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out %s", "RSA",
	    true },
};

START_TEST(test_forms)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		const char *path = support_path("key.pem");
		AUTO(bytes_done) struct bytes algorithm = { 0 };
		struct err err = { 0 };
		struct pair *p;

		free(support_sh(forms[i].command, path));
		p = read_file(path);
		ck_ok(pair_parameter(p, KEY_PARAM_ALGORITHM, &algorithm, &err));
		ck_assert_str_eq((char *)algorithm.data, forms[i].algorithm);
		ck_assert_int_eq(pair_is_slow(p, 64), forms[i].slow);
		pair_free(p);
	}
}
END_TEST

START_TEST(test_no_pair)
{
	static const char *const commands[] = { "echo no key > %s", ": > %s",
		"openssl genpkey -algorithm X25519 -out %s",
		"openssl genpkey -algorithm ED448 -out %s",
		("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass "
		 "pass:secret -out %s"),
		"openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout -out %s 2>&-",
		"openssl genrsa -traditional 2048 | head -5 > %s" };

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const char *path = support_path("key.pem");
		AUTO(bytes_done) struct bytes pem = { 0 };
		struct pair *p = NULL;
		struct err err = { 0 };

		free(support_sh(commands[i], path));
		pem = support_read(path);
		ck_err(pair_read(&pem, &p, &err), ERR_SYNTAX);
	}
}
END_TEST

/* contracts/keyd.md 4.6, docs/compat.md; the point compressed: all of Ed25519's is */
static const struct {
	enum key_algorithm algorithm;
	const char *command; /* shows the public key of %s in DER, the point last */
	int len;
	const char *oid; /* 1.2.840.10045.3.1.7, 1.3.132.0.34, 1.3.101.112 in DER */
} curves[] = {
	{ KEY_EC_P256, "ec -conv_form compressed", 33, "06082a8648ce3d030107" },
	{ KEY_EC_P384, "ec -conv_form compressed", 49, "06052b81040022" },
	{ KEY_ED25519, "pkey", 32, "06032b6570" },
};

START_TEST(test_ec_parameters)
{
	const char *path = support_path("ec.pem");
	struct bytes none = { 0 };
	struct err err = { 0 };
	struct pair *p;

	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		AUTO(str_freep) char *judge = NULL;
		AUTO(bytes_done) struct bytes want = { 0 };
		AUTO(bytes_done) struct bytes oid = support_hex(curves[i].oid);
		AUTO(bytes_done) struct bytes curve = { 0 };
		AUTO(bytes_done) struct bytes point = { 0 };

		p = generate(curves[i].algorithm, path);
		judge = support_sh("openssl %s -in %s -pubout -outform DER 2>&- | tail -c %d | "
				   "xxd -p -c 99",
		    curves[i].command, path, curves[i].len);
		want = support_hex(judge);
		ck_ok(pair_parameter(p, KEY_PARAM_EC_CURVE_OID, &curve, &err));
		ck_assert(bytes_equal(&curve, &oid));
		ck_ok(pair_parameter(p, KEY_PARAM_EC_POINT, &point, &err));
		ck_assert(bytes_equal(&point, &want));
		ck_err(pair_parameter(p, KEY_PARAM_RSA_MODULUS, &none, &err), ERR_INVALID);
		ck_err(pair_parameter(p, KEY_PARAM_RSA_EXPONENT, &none, &err), ERR_INVALID);
		pair_free(p);
	}
	free(support_sh("openssl ecparam -name secp521r1 -genkey -noout -out %s", path));
	p = read_file(path);
	ck_err(pair_parameter(p, KEY_PARAM_EC_CURVE_OID, &none, &err), ERR_INVALID);
	pair_free(p);
}
END_TEST

START_TEST(test_rsa_parameters)
{
	const char *path = support_path("rsa.pem");
	struct pair *p = generate(KEY_RSA_2048, path);
	AUTO(str_freep)
	char *judge = support_sh("openssl rsa -in %s -noout -modulus | cut -d= -f2", path);
	AUTO(bytes_done) struct bytes want = support_hex(judge);
	AUTO(bytes_done) struct bytes modulus = { 0 };
	AUTO(bytes_done) struct bytes exponent = { 0 };
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_ok(pair_parameter(p, KEY_PARAM_RSA_MODULUS, &modulus, &err));
	ck_assert(bytes_equal(&modulus, &want));
	ck_ok(pair_parameter(p, KEY_PARAM_RSA_EXPONENT, &exponent, &err));
	ck_assert_uint_eq(exponent.len, 3);
	ck_assert_mem_eq(exponent.data, "\x01\x00\x01", 3);
	ck_err(pair_parameter(p, KEY_PARAM_EC_CURVE_OID, &none, &err), ERR_INVALID);
	ck_err(pair_parameter(p, KEY_PARAM_EC_POINT, &none, &err), ERR_INVALID);
	pair_free(p);
}
END_TEST

/* contracts/keyd.md 4.8: a digest of 20..64 bytes, cut to the size of the order; openssl is given it cut by hand */
static void
check_digests(struct pair *p, const char *path, size_t order)
{
	const char *digest_path = support_path("digest"), *sig_path = support_path("sig");
	struct err err = { 0 };

	for (size_t len = 0; len <= 66; len++) {
		AUTO(bytes_done) struct bytes digest = { 0 };
		AUTO(bytes_done) struct bytes sig = { 0 };

		ck_ok(bytes_alloc(&digest, len, &err));
		for (size_t i = 0; i < len; i++)
			digest.data[i] = (uint8_t)(0x80 + i);
		if (len < 20 || len > 64) {
			ck_err(pair_ecdsa(p, &digest, &sig, &err), ERR_INVALID);
			continue;
		}
		ck_ok(pair_ecdsa(p, &digest, &sig, &err));
		if (len != 20 && len != 32 && len != 33 && len != 48 && len != 49 && len != 64)
			continue;
		if (digest.len > order)
			digest.len = order;
		write_bytes(digest_path, &digest);
		write_bytes(sig_path, &sig);
		free(support_sh("openssl pkeyutl -verify -inkey %s -in %s -sigfile %s", path,
		    digest_path, sig_path));
	}
}

START_TEST(test_ecdsa)
{
	const char *path = support_path("ec.pem");
	static const enum key_algorithm made[] = { KEY_EC_P256, KEY_EC_P384 };
	static const size_t orders[] = { 32, 48 };

	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		struct pair *p = generate(made[i], path);

		check_digests(p, path, orders[i]);
		pair_free(p);
	}
}
END_TEST

/* RFC 8032, 7.1, tests 1 to 3 */
static const struct {
	const char *seed, *public, *message, *signature;
} vectors[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39"
	    "701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
	    "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7"
	    "60984dc6594a7c15e9716ed28dc027beceea1ec40a" },
};

START_TEST(test_eddsa)
{
	const char *path = support_path("ed.pem");
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		AUTO(bytes_done) struct bytes message = support_hex(vectors[i].message);
		AUTO(bytes_done) struct bytes want = support_hex(vectors[i].signature);
		AUTO(bytes_done) struct bytes public = support_hex(vectors[i].public);
		AUTO(bytes_done) struct bytes point = { 0 };
		AUTO(bytes_done) struct bytes sig = { 0 };
		struct bytes none = { 0 };
		struct pair *p;

		/* RFC 8410, 7: what stands before the seed */
		free(support_sh("echo 302e020100300506032b657004220420%s | xxd -r -p | openssl "
				"pkey -inform DER -out %s",
		    vectors[i].seed, path));
		p = read_file(path);
		ck_ok(pair_eddsa(p, &message, &sig, &err));
		ck_assert(bytes_equal(&sig, &want));
		ck_ok(pair_parameter(p, KEY_PARAM_EC_POINT, &point, &err));
		ck_assert(bytes_equal(&point, &public));
		ck_err(pair_ecdsa(p, &want, &none, &err), ERR_INVALID);
		ck_err(pair_rsa(p, true, &message, &none, &err), ERR_INVALID);
		pair_free(p);
	}
}
END_TEST

/* as long as a body may be; a message that long is none for a polling thread */
START_TEST(test_eddsa_long)
{
	const char *path = support_path("ed.pem");
	const char *message_path = support_path("message"), *sig_path = support_path("sig");
	struct pair *p = generate(KEY_ED25519, path);
	AUTO(bytes_done) struct bytes message = { 0 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_ok(bytes_alloc(&message, 1 << 20, &err));
	memset(message.data, 'm', message.len);
	ck_assert(pair_is_slow(p, message.len));
	ck_ok(pair_eddsa(p, &message, &sig, &err));
	write_bytes(message_path, &message);
	write_bytes(sig_path, &sig);
	free(support_sh("openssl pkeyutl -verify -rawin -inkey %s -in %s -sigfile %s", path,
	    message_path, sig_path));
	pair_free(p);
	p = generate(KEY_EC_P256, path);
	ck_err(pair_eddsa(p, &message, &none, &err), ERR_INVALID);
	pair_free(p);
}
END_TEST

/* contracts/keyd.md 4.9: type-1 padding of the bytes given; a digest info signed so verifies as a signature */
START_TEST(test_rsa_pkcs1)
{
	const char *path = support_path("rsa.pem");
	const char *message = support_path("message"), *sig_path = support_path("sig");
	struct pair *p = generate(KEY_RSA_2048, path);
	AUTO(str_freep) char *hash = NULL;
	AUTO(str_freep) char *info_hex = NULL;
	AUTO(bytes_done) struct bytes info = { 0 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes long_data = { 0 };
	AUTO(bytes_done) struct bytes other = { 0 };
	struct bytes none = { 0 };
	struct err err = { 0 };

	support_write(message, "to be signed");
	hash = support_sh("openssl dgst -sha256 -r %s | cut -c1-64", message);
	/* RFC 8017, 9.2, note 1 */
	ck_ok(str_format(&info_hex, &err, "3031300d060960864801650304020105000420%s", hash));
	info = support_hex(info_hex);
	ck_ok(pair_rsa(p, true, &info, &sig, &err));
	write_bytes(sig_path, &sig);
	free(support_sh(
	    "openssl dgst -sha256 -prverify %s -signature %s %s", path, sig_path, message));
	/* as many bytes as fit, and one more */
	ck_ok(bytes_alloc(&long_data, 256 - 11, &err));
	ck_ok(pair_rsa(p, true, &long_data, &other, &err));
	long_data.len++;
	ck_err(pair_rsa(p, true, &long_data, &none, &err), ERR_CRYPTO);
	ck_err(pair_ecdsa(p, &info, &none, &err), ERR_INVALID);
	pair_free(p);
}
END_TEST

START_TEST(test_rsa_raw)
{
	const char *path = support_path("rsa.pem"), *sig_path = support_path("sig");
	struct pair *p = generate(KEY_RSA_2048, path);
	AUTO(bytes_done) struct bytes data = { 0 };
	AUTO(bytes_done) struct bytes sig = { 0 };
	AUTO(bytes_done) struct bytes back = { 0 };
	AUTO(str_freep) char *judge = NULL;
	struct bytes none = { 0 };
	struct err err = { 0 };

	ck_ok(bytes_alloc(&data, 256, &err));
	memset(data.data + 1, 0x22, 255);
	ck_ok(pair_rsa(p, false, &data, &sig, &err));
	write_bytes(sig_path, &sig);
	judge =
	    support_sh("openssl pkeyutl -verifyrecover -pkeyopt rsa_padding_mode:none -inkey %s "
		       "-in %s | xxd -p -c 999",
		path, sig_path);
	back = support_hex(judge);
	ck_assert(bytes_equal(&back, &data));
	data.len = 255;
	ck_err(pair_rsa(p, false, &data, &none, &err), ERR_CRYPTO);
	data.len = 20;
	ck_err(pair_rsa(p, false, &data, &none, &err), ERR_CRYPTO);
	/* as long as the modulus, but not below it */
	data.len = 256;
	memset(data.data, 0xff, 256);
	ck_err(pair_rsa(p, false, &data, &none, &err), ERR_CRYPTO);
	pair_free(p);
	p = generate(KEY_EC_P256, path);
	ck_err(pair_rsa(p, false, &data, &none, &err), ERR_INVALID);
	ck_err(pair_rsa(p, true, &data, &none, &err), ERR_INVALID);
	pair_free(p);
}
END_TEST

TEST_MAIN("keyd/pair", test_generate, test_forms, test_no_pair, test_ec_parameters,
    test_rsa_parameters, test_ecdsa, test_eddsa, test_eddsa_long, test_rsa_pkcs1, test_rsa_raw)
