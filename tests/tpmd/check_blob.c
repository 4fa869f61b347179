#include "tests/support/support.h"

#include <string.h>

#include "tpmd/blob.h"

/*
 * A blob by the layout of contracts/tpm2.md 3: sizes 54, 258, 144, 258, 50 and the public area of a keyed hash with HMAC-SHA256,
 * written out by hand.
 */
#define AREA       \
	"0030"     \
	"0008"     \
	"000b"     \
	"00040040" \
	"0000"     \
	"0005"     \
	"000b"     \
	"0020"

static struct bytes
make_blob(const char *tail)
{
	static const struct {
		const char *start; /* in hex */
		size_t len;
	} parts[] = {
		{ "00340020", 54 },
		{ "0100", 258 },
		{ "008e0020", 144 },
		{ "0100", 258 },
		{ AREA, 50 },
	};
	struct bytes out = { 0 }, start = { 0 };
	struct err err = { 0 };
	size_t at = 0;

	start = support_hex(tail);
	ck_ok(bytes_alloc(&out, 764 + start.len, &err));
	if (start.len)
		memcpy(out.data + 764, start.data, start.len);
	bytes_done(&start);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		start = support_hex(parts[i].start);
		memset(out.data + at, (int)i + 1, parts[i].len);
		memcpy(out.data + at, start.data, start.len);
		at += parts[i].len;
		bytes_done(&start);
	}
	ck_assert_uint_eq(at, 764);
	return out;
}

START_TEST(test_parse)
{
	static const struct {
		const char *tail;
		enum err_code code;
	} rows[] = {
		{ "", ERR_OK },
		{ "0000", ERR_OK },
		{ "0003aabbcc", ERR_OK }, /* part 6 */
		{ "00", ERR_CRYPTO },
		{ "0003aabb", ERR_CRYPTO },
		{ "0003aabbccdd", ERR_CRYPTO },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(bytes_done) struct bytes in = make_blob(rows[i].tail);
		struct tpm_blob blob = { 0 };

		ck_err(tpm_blob_parse(&in, &blob, &err), rows[i].code);
		if (rows[i].code)
			continue;
		ck_assert_uint_eq(blob.credential.size, 52);
		ck_assert_uint_eq(blob.secret.size, 256);
		ck_assert_uint_eq(blob.secret.secret[0], 2);
		ck_assert_uint_eq(blob.duplicate.size, 142);
		ck_assert_uint_eq(blob.seed.secret[255], 4);
		ck_assert_uint_eq(blob.area.publicArea.type, TPM2_ALG_KEYEDHASH);
		ck_assert_uint_eq(blob.area.publicArea.unique.keyedHash.size, 32);
	}
}
END_TEST

/* tpm2.md 6: truncation at every byte */
START_TEST(test_truncated)
{
	AUTO(bytes_done) struct bytes in = make_blob("");
	struct err err = { 0 };

	for (size_t len = 0; len < in.len; len++) {
		AUTO(bytes_done) struct bytes part = { 0 };
		struct tpm_blob blob = { .credential.size = 7 };

		ck_ok(bytes_copy(&part, in.data, len, &err));
		ck_err(tpm_blob_parse(&part, &blob, &err), ERR_CRYPTO);
		ck_assert_uint_eq(blob.credential.size, 7);
	}
}
END_TEST

/* A size that promises more than a TPM structure holds, or than there is. */
START_TEST(test_sizes)
{
	static const size_t sizes_at[] = { 0, 54, 312, 456, 714 };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(sizes_at); i++) {
		AUTO(bytes_done) struct bytes in = make_blob("");
		struct tpm_blob blob;

		in.data[sizes_at[i]] = 0xff;
		ck_err(tpm_blob_parse(&in, &blob, &err), ERR_CRYPTO);
	}
}
END_TEST

TEST_MAIN("tpmd/blob", test_parse, test_truncated, test_sizes)
