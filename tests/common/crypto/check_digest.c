#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "crypto/digest.h"

/* RFC 6234 8.5 (SHA-256 tests 1 and 2), and the empty message from FIPS 180-4's published examples */
START_TEST(test_sha256)
{
	static const struct {
		const char *in, *hex;
	} rows[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char hex[2 * SHA256_LEN + 1];
		uint8_t out[SHA256_LEN];
		struct err err = { 0 };

		ck_ok(digest_sha256(rows[i].in, strlen(rows[i].in), out, &err));
		digest_hex(out, sizeof(out), hex);
		ck_assert_str_eq(hex, rows[i].hex);
	}
}
END_TEST

/* RFC 4231 test cases 1-4, 6, 7 */
static const struct {
	const char *key, *data, *mac;
} hmac_rows[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	    "dddddddddddddddd",
	    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
	{ "0102030405060708090a0b0c0d0e0f10111213141516171819",
	    "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
	    "cdcdcdcdcdcdcdcd",
	    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
	/* an empty key and message; by `openssl dgst -sha256 -hmac ''` */
	{ "", "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
};

static void
check_hmac(size_t i)
{
	AUTO(bytes_done) struct bytes key = support_hex(hmac_rows[i].key);
	AUTO(bytes_done) struct bytes data = support_hex(hmac_rows[i].data);
	char hex[2 * SHA256_LEN + 1];
	uint8_t out[SHA256_LEN];
	struct err err = { 0 };

	ck_ok(digest_hmac_sha256(key.data, key.len, data.data, data.len, out, &err));
	digest_hex(out, sizeof(out), hex);
	ck_assert_str_eq(hex, hmac_rows[i].mac);
}

START_TEST(test_hmac)
{
	for (size_t i = 0; i < ARRAY_LEN(hmac_rows); i++)
		check_hmac(i);
}
END_TEST

static void *
hmac_loop(void *from)
{
	for (size_t i = 0; i < 500; i++)
		check_hmac((i + *(size_t *)from) % ARRAY_LEN(hmac_rows));
	return NULL;
}

/* the kept template is shared by all threads */
START_TEST(test_hmac_threads)
{
	size_t from[4] = { 0, 1, 2, 3 };
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, hmac_loop, &from[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/* contracts/keyd.md 6 (the example), contracts/identityd.md 6.4 uses the same rule */
START_TEST(test_file_name)
{
	static const struct {
		const char *id, *suffix, *name;
	} rows[] = {
		{ "device-id", ".key",
		    "deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655."
		    "key" },
		/* hashes by `printf %s ... | sha256sum` */
		{ "aziot-edged/module/m:g:server", ".cer",
		    "aziotedgedmodulemgserver-"
		    "9f648975e9c7d5ce2f1dff36345fd78e0bd9153751df6f8500608f6facc3be0b.cer" },
		{ "\xc3\xa9", "",
		    "-4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c" },
		{ "", "", "-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	};
	struct err err = { 0 };
	char longest[252];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *name = NULL;

		ck_ok(digest_file_name(rows[i].id, rows[i].suffix, &name, &err));
		ck_assert_str_eq(name, rows[i].name);
	}
	for (size_t len = 186; len <= 187; len++) {
		AUTO(str_freep) char *name = NULL;

		memset(longest, 'a', len);
		longest[len] = '\0';
		ck_err(digest_file_name(longest, ".cer", &name, &err),
		    len == 186 ? ERR_OK : ERR_INVALID);
	}
}
END_TEST

/* contracts/cloud-dps.md 3: the known answer for a group enrolment's device key */
START_TEST(test_group_key)
{
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(str_freep) char *b64 = NULL;
	uint8_t out[SHA256_LEN];
	const char *id = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6";
	struct err err = { 0 };

	ck_ok(b64_decode(B64_STD,
	    TEXT("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/"
		 "lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="),
	    &key, &err));
	ck_ok(digest_hmac_sha256(key.data, key.len, id, strlen(id), out, &err));
	ck_ok(b64_encode(B64_STD, out, sizeof(out), &b64, &err));
	ck_assert_str_eq(b64, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
}
END_TEST

START_TEST(test_random)
{
	static const uint8_t zero[32];
	uint8_t a[32] = { 0 }, b[32] = { 0 };
	struct err err = { 0 };

	ck_ok(digest_random(a, sizeof(a), &err));
	ck_ok(digest_random(b, sizeof(b), &err));
	ck_assert(memcmp(a, b, sizeof(a)) != 0 && memcmp(a, zero, sizeof(a)) != 0);
}
END_TEST

TEST_MAIN("crypto/digest", test_sha256, test_hmac, test_hmac_threads, test_group_key,
    test_file_name, test_random)
