#include "tests/support/support.h"

#include <string.h>

#include "keyd/tpm_public.h"

/* Public areas written out by hand from TPM 2.0 part 2, 12.2; the four of tpmd(8). */
/* clang-format off */
#define EC    "0056" "0023" "000b" "00040472" "0000" "0010" "0010" "0003" "0010"
#define RSA   "0116" "0001" "000b" "00060472" "0000" "0010" "0010" "0800" "00000000"
#define MADE  "0030" "0008" "000b" "00040472" "0000" "0005" "000b"
#define GIVEN "0030" "0008" "000b" "00040452" "0000" "0005" "000b"
#define X     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define Y_ODD "101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
#define N     X X X X X X X X
#define POINT "0020" X "0020" Y_ODD
/* clang-format on */

static enum err_code
read_hex(const char *hex, struct tpm_public *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes in = support_hex(hex);

	return tpm_public_read(&in, ret, err);
}

/* contracts/keyd.md 4.6 */
START_TEST(test_parameters)
{
	static const struct {
		const char *area;
		enum tpm_key_kind kind;
		const char *values[KEY_PARAMS]; /* in hex; NULL: the key has none */
	} rows[] = {
		{ EC POINT, TPM_KEY_EC_P256,
		    { "4543445341", "06082a8648ce3d030107", "03" X, NULL, NULL } },
		{ RSA "0100" N, TPM_KEY_RSA_2048, { "525341", NULL, NULL, N, "010001" } },
		{ MADE "0020" X, TPM_KEY_HMAC, { NULL, NULL, NULL, NULL, NULL } },
		{ GIVEN "0020" X, TPM_KEY_HMAC, { NULL, NULL, NULL, NULL, NULL } },
		/* numbers without their zeros in front, as older TPMs write them */
		{ "0053"
		  "0023"
		  "000b"
		  "00040472"
		  "0000"
		  "0010"
		  "0010"
		  "0003"
		  "0010"
		  "001d"
		  "a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebe"
		  "0020" X,
		    TPM_KEY_EC_P256,
		    { "4543445341", "06082a8648ce3d030107",
			"03"
			"000000a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebe",
			NULL, NULL } },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tpm_public p = { 0 };

		ck_ok(read_hex(rows[i].area, &p, &err));
		ck_assert_int_eq(p.kind, rows[i].kind);
		for (int which = 0; which < KEY_PARAMS; which++) {
			const char *value = rows[i].values[which];
			AUTO(bytes_done) struct bytes want = support_hex(value ? value : "");
			AUTO(bytes_done) struct bytes got = { 0 };

			ck_err(tpm_public_parameter(&p, (enum key_parameter)which, &got, &err),
			    value ? ERR_OK : ERR_INVALID);
			ck_assert(bytes_equal(&got, &want));
		}
	}
}
END_TEST

START_TEST(test_refused)
{
	static const char *const rows[] = {
		"",
		"00",
		"0000",
		/* SHA-1, another attribute, P-384, a policy */
		"0056"
		"0023"
		"0004"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" POINT,
		"0056"
		"0023"
		"000b"
		"00050472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" POINT,
		"0056"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0004"
		"0010" POINT,
		"0058"
		"0023"
		"000b"
		"00040472"
		"0002"
		"0102"
		"0010"
		"0010"
		"0003"
		"0010" POINT,
		/* numbers that are too long, missing, empty, behind the end */
		"0057"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010"
		"0021" X "00"
		"0020" X,
		"0034"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010"
		"0020" X,
		"0036"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010"
		"0000"
		"0020" X,
		"0056"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010"
		"0020" X "0021" X,
		"0057"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" POINT "00",
		/* the size lies */
		"0055"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" POINT,
		EC POINT "00",
		/* a modulus of 2047 bits; of other sizes; an exponent */
		RSA "0100"
		    "70"
		    "a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf" X X X X X X X,
		"0036"
		"0001"
		"000b"
		"00060472"
		"0000"
		"0010"
		"0010"
		"0800"
		"00000000"
		"0020" X,
		"0116"
		"0001"
		"000b"
		"00060472"
		"0000"
		"0010"
		"0010"
		"0800"
		"00010001"
		"0100" N,
		/* HMAC with SHA-384; a short name; sealed data */
		"0030"
		"0008"
		"000b"
		"00040472"
		"0000"
		"0005"
		"000c"
		"0020" X,
		"0012"
		"0008"
		"000b"
		"00040472"
		"0000"
		"0005"
		"000b"
		"0002"
		"aabb",
		"002e"
		"0008"
		"000b"
		"00000452"
		"0000"
		"0010"
		"0020" X,
	};
	struct tpm_public p;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_err(read_hex(rows[i], &p, &err), ERR_SYNTAX);
}
END_TEST

START_TEST(test_cut)
{
	static const char *const rows[] = { EC POINT, RSA "0100" N, MADE "0020" X };
	struct tpm_public p;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(bytes_done) struct bytes in = support_hex(rows[i]);
		size_t len = in.len;

		for (in.len = 0; in.len < len; in.len++) {
			AUTO(bytes_done) struct bytes cut = { 0 };

			ck_ok(bytes_copy(&cut, in.data, in.len, &err));
			ck_err(tpm_public_read(&cut, &p, &err), ERR_SYNTAX);
			if (cut.len < 2)
				continue;
			/* the same with a size that is right */
			cut.data[0] = (uint8_t)((cut.len - 2) >> 8);
			cut.data[1] = (uint8_t)(cut.len - 2);
			ck_err(tpm_public_read(&cut, &p, &err), ERR_SYNTAX);
		}
	}
}
END_TEST

/* RFC 8017, 9.2: 00 01 PS 00 T, PS of ff, eight at least */
START_TEST(test_pad)
{
	static const size_t lengths[] = { 0, 1, 51, 245 };
	uint8_t data[246];
	struct err err = { 0 };
	AUTO(bytes_done) struct bytes none = { 0 };

	memset(data, 0x55, sizeof(data));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		const struct bytes in = { data, lengths[i] };
		AUTO(bytes_done) struct bytes out = { 0 };
		size_t pad = 256 - 3 - lengths[i];

		ck_ok(tpm_public_pad(&in, &out, &err));
		ck_assert_uint_eq(out.len, 256);
		ck_assert_uint_eq(out.data[0], 0);
		ck_assert_uint_eq(out.data[1], 1);
		for (size_t j = 0; j < pad; j++)
			ck_assert_uint_eq(out.data[2 + j], 0xff);
		ck_assert_uint_eq(out.data[2 + pad], 0);
		for (size_t j = 0; j < lengths[i]; j++)
			ck_assert_uint_eq(out.data[3 + pad + j], 0x55);
	}
	ck_err(tpm_public_pad(&(struct bytes){ data, 246 }, &none, &err), ERR_CRYPTO);
}
END_TEST

TEST_MAIN("keyd/tpm_public", test_parameters, test_refused, test_cut, test_pad)
