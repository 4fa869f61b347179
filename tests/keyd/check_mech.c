#include "tests/support/support.h"

#include <string.h>

#include "base/file.h"
#include "keyd/mech.h"

static struct mech *
new_mech(void)
{
	struct mech *m = NULL;
	struct err err = { 0 };

	ck_ok(mech_new(&m, &err));
	return m;
}

static struct bytes
text_bytes(const char *text)
{
	struct bytes out = { 0 };
	struct err err = { 0 };

	ck_ok(bytes_copy(&out, text, strlen(text), &err));
	return out;
}

/* RFC 4231, test cases 1, 2 and 6: key shorter and longer than a block of the hash */
static const struct {
	const char *key, *data, *mac;
} hmacs[] = {
	{ "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaa",
	    "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20486173"
	    "68"
	    "204b6579204669727374",
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
};

START_TEST(test_hmac)
{
	struct mech *m = new_mech();

	for (size_t i = 0; i < ARRAY_LEN(hmacs); i++) {
		AUTO(bytes_done) struct bytes key = support_hex(hmacs[i].key);
		AUTO(bytes_done) struct bytes data = support_hex(hmacs[i].data);
		AUTO(bytes_done) struct bytes want = support_hex(hmacs[i].mac);
		struct mech_hmac *h = NULL;
		struct err err = { 0 };

		ck_ok(mech_hmac_new(m, &key, &h, &err));
		/* the kept state serves again and again */
		for (int round = 0; round < 3; round++) {
			AUTO(bytes_done) struct bytes mac = { 0 };

			ck_ok(mech_hmac_sign(h, &data, &mac, &err));
			ck_assert(bytes_equal(&mac, &want));
		}
		mech_hmac_free(h);
	}
	mech_free(m);
}
END_TEST

/* contracts/keyd.md 4.8: a message of any length, also none */
START_TEST(test_hmac_lengths)
{
	static const size_t lengths[] = { 0, 1, 63, 64, 65, 1000000 };
	struct mech *m = new_mech();
	AUTO(bytes_done) struct bytes key = text_bytes("Jefe");
	const char *path = support_path("message");
	struct mech_hmac *h = NULL;
	struct err err = { 0 };

	ck_ok(mech_hmac_new(m, &key, &h, &err));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes data = { 0 };
		AUTO(bytes_done) struct bytes mac = { 0 };
		AUTO(bytes_done) struct bytes want = { 0 };
		AUTO(str_freep) char *judge = NULL;

		ck_ok(bytes_alloc(&data, lengths[i], &err));
		ck_ok(file_write(path, 0600, data.data, data.len, &err));
		judge = support_sh("openssl mac -digest SHA256 -macopt key:Jefe -in %s HMAC", path);
		want = support_hex(judge);
		ck_ok(mech_hmac_sign(h, &data, &mac, &err));
		ck_assert(bytes_equal(&mac, &want));
	}
	mech_hmac_free(h);
	mech_free(m);
}
END_TEST

#define KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* contracts/keyd.md 4.9, the vector: key 00..1f, IV of 12 zeros, aad "aad", plaintext "hello" */
START_TEST(test_aead_vector)
{
	struct mech *m = new_mech();
	AUTO(bytes_done) struct bytes key = support_hex(KEY);
	AUTO(bytes_done) struct bytes iv = support_hex("000000000000000000000000");
	AUTO(bytes_done) struct bytes aad = text_bytes("aad");
	AUTO(bytes_done) struct bytes plain = text_bytes("hello");
	AUTO(bytes_done)
	struct bytes want = support_hex("0266d9d9b2dacaba6d3d5e52f91c5281d89320385bdb");
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };
	AUTO(bytes_done) struct bytes old = { 0 };
	AUTO(bytes_done) struct bytes again = { 0 };
	struct err err = { 0 };

	ck_ok(mech_aead_seal(m, &key, &iv, &aad, &plain, &sealed, &err));
	ck_assert(bytes_equal(&sealed, &want));
	ck_ok(mech_aead_open(m, &key, &iv, &aad, &sealed, &opened, &err));
	ck_assert(bytes_equal(&opened, &plain));

	/* version 1 has the tag in front: 01 | tag | ciphertext */
	old = support_hex("01caba6d3d5e52f91c5281d89320385bdb66d9d9b2da");
	ck_ok(mech_aead_open(m, &key, &iv, &aad, &old, &again, &err));
	ck_assert(bytes_equal(&again, &plain));
	mech_free(m);
}
END_TEST

/* client-facts.md 13: an IV of any length from 1; plaintext and additional data may be empty */
START_TEST(test_aead_lengths)
{
	static const size_t ivs[] = { 1, 4, 12, 13, 16, 100 };
	static const size_t lengths[] = { 0, 1, 16, 17, 70000 };
	struct mech *m = new_mech();
	AUTO(bytes_done) struct bytes key = support_hex(KEY);
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(ivs) * ARRAY_LEN(lengths); i++) {
		AUTO(bytes_done) struct bytes iv = { 0 };
		AUTO(bytes_done) struct bytes aad = { 0 };
		AUTO(bytes_done) struct bytes plain = { 0 };
		AUTO(bytes_done) struct bytes sealed = { 0 };
		AUTO(bytes_done) struct bytes opened = { 0 };

		ck_ok(bytes_alloc(&iv, ivs[i % ARRAY_LEN(ivs)], &err));
		ck_ok(bytes_alloc(&aad, i % 3, &err));
		ck_ok(bytes_alloc(&plain, lengths[i / ARRAY_LEN(ivs)], &err));
		ck_ok(mech_aead_seal(m, &key, &iv, &aad, &plain, &sealed, &err));
		ck_assert_uint_eq(sealed.len, 1 + plain.len + 16);
		ck_ok(mech_aead_open(m, &key, &iv, &aad, &sealed, &opened, &err));
		ck_assert(bytes_equal(&opened, &plain));
		/* every part counts */
		sealed.data[1 + i % (sealed.len - 1)] ^= 1;
		bytes_done(&opened);
		ck_err(mech_aead_open(m, &key, &iv, &aad, &sealed, &opened, &err), ERR_CRYPTO);
		ck_assert_ptr_null(opened.data);
	}
	mech_free(m);
}
END_TEST

START_TEST(test_aead_refused)
{
	struct mech *m = new_mech();
	AUTO(bytes_done) struct bytes key = support_hex(KEY);
	AUTO(bytes_done) struct bytes iv = text_bytes("iv");
	AUTO(bytes_done)
	struct bytes sealed = support_hex("0366d9d9b2dacaba6d3d5e52f91c5281d89320385bdb");
	struct bytes none = { 0 }, out = { 0 };
	struct err err = { 0 };

	ck_err(mech_aead_open(m, &key, &iv, &none, &sealed, &out, &err), ERR_INVALID);
	sealed.data[0] = 2;
	sealed.len = 16;
	ck_err(mech_aead_open(m, &key, &iv, &none, &sealed, &out, &err), ERR_INVALID);
	ck_err(mech_aead_open(m, &key, &iv, &none, &none, &out, &err), ERR_INVALID);
	/* client-facts.md 13: the oracle answers 500 to an empty IV */
	ck_err(mech_aead_seal(m, &key, &none, &none, &iv, &out, &err), ERR_CRYPTO);
	key.len = 31;
	ck_err(mech_aead_seal(m, &key, &iv, &none, &iv, &out, &err), ERR_INVALID);
	mech_free(m);
}
END_TEST

TEST_MAIN("keyd/mech", test_hmac, test_hmac_lengths, test_aead_vector, test_aead_lengths,
    test_aead_refused)
