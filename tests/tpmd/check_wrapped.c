#include "tests/support/support.h"

#include <string.h>

#include "tpmd/wrapped.h"

/*
 * Public areas written out by hand from TPM 2.0 part 2, 12.2.4 (TPMT_PUBLIC): type, nameAlg SHA-256, attributes, no policy, parameters;
 * behind them the unique part.  Attributes by 8.3: fixedTPM 2, fixedParent 10, sensitiveDataOrigin 20, userWithAuth 40, noDA 400,
 * restricted 10000, decrypt 20000, sign 40000.
 */
#define EC         \
	"0056"     \
	"0023"     \
	"000b"     \
	"00040472" \
	"0000"     \
	"0010"     \
	"0010"     \
	"0003"     \
	"0010"
#define EC_UNIQUE "0020" X32 "0020" X32
#define RSA        \
	"0116"     \
	"0001"     \
	"000b"     \
	"00060472" \
	"0000"     \
	"0010"     \
	"0010"     \
	"0800"     \
	"00000000"
#define RSA_UNIQUE "0100" X32 X32 X32 X32 X32 X32 X32 X32
#define KEYED  \
	"0030" \
	"0008" \
	"000b"
#define HMAC   \
	"0000" \
	"0005" \
	"000b"
#define SEALED     \
	"002e"     \
	"0008"     \
	"000b"     \
	"00000452" \
	"0000"     \
	"0010"
#define X32	   "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define X32_UNIQUE "0020" X32
#define PRIVATE \
	"0024"  \
	"0020" X32 "c0c1"

static const struct {
	const char *public;
	enum wrapped_kind kind;
	bool given;
} good[] = {
	{ EC EC_UNIQUE, WRAPPED_EC_P256, false },
	{ RSA RSA_UNIQUE, WRAPPED_RSA_2048, false },
	{ KEYED "00040472" HMAC X32_UNIQUE, WRAPPED_HMAC, false },
	{ KEYED "00040452" HMAC X32_UNIQUE, WRAPPED_HMAC, true },
	{ SEALED X32_UNIQUE, WRAPPED_SEALED, true },
};

static struct tpmd_object
object_of(const char *public, const char *private)
{
	return (struct tpmd_object){ support_hex(public), support_hex(private) };
}

static void
check(const struct tpmd_object *object, enum err_code want)
{
	struct wrapped w = { .kind = WRAPPED_KINDS };
	struct err err = { 0 };

	ck_err(wrapped_parse(object, &w, &err), want);
	if (want)
		ck_assert_int_eq(w.kind, WRAPPED_KINDS);
}

START_TEST(test_good)
{
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(tpmd_object_done) struct tpmd_object in = object_of(good[i].public, PRIVATE);
		AUTO(tpmd_object_done) struct tpmd_object out = { 0 };
		struct wrapped w = { 0 };
		TPM2B_PUBLIC template = wrapped_template(good[i].kind, good[i].given);

		ck_ok(wrapped_parse(&in, &w, &err));
		ck_assert_int_eq(w.kind, good[i].kind);
		ck_assert_int_eq(w.area.publicArea.type, template.publicArea.type);
		ck_assert_uint_eq(
		    w.area.publicArea.objectAttributes, template.publicArea.objectAttributes);
		ck_ok(wrapped_blobs(&w.area, &w.private, &out, &err));
		ck_assert(bytes_equal(&in.public, &out.public));
		ck_assert(bytes_equal(&in.private, &out.private));
	}
}
END_TEST

START_TEST(test_bad_public)
{
	static const char *const rows[] = {
		"",
		"0056",
		"0000",
		/* one attribute more or less */
		"0056"
		"0023"
		"000b"
		"00040470"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"00040452"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"00050472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"000404f2"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"00040072"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"80040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		/* SHA-1 as name; P-384; a policy; a scheme */
		"0056"
		"0023"
		"0004"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0056"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0004"
		"0010" EC_UNIQUE,
		"0076"
		"0023"
		"000b"
		"00040472"
		"0020" X32 "0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0058"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0018"
		"000b"
		"0003"
		"0010" EC_UNIQUE,
		/* a point of another size */
		EC "0000"
		   "0000",
		"0057"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010"
		"0021" X32 "00"
		"0020" X32,
		/* RSA of 1024 bits; an exponent; a short modulus */
		"0116"
		"0001"
		"000b"
		"00060472"
		"0000"
		"0010"
		"0010"
		"0400"
		"00000000" RSA_UNIQUE,
		"0116"
		"0001"
		"000b"
		"00060472"
		"0000"
		"0010"
		"0010"
		"0800"
		"00000003" RSA_UNIQUE,
		"0036"
		"0001"
		"000b"
		"00060472"
		"0000"
		"0010"
		"0010"
		"0800"
		"00000000" X32_UNIQUE,
		/* HMAC with SHA-1; a sealed object that the TPM made itself */
		KEYED "00040472"
		      "0000"
		      "0005"
		      "0004" X32_UNIQUE,
		"002e"
		"0008"
		"000b"
		"00000472"
		"0000"
		"0010" X32_UNIQUE,
		/* a size that lies, bytes behind */
		"0055"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		"0057"
		"0023"
		"000b"
		"00040472"
		"0000"
		"0010"
		"0010"
		"0003"
		"0010" EC_UNIQUE,
		EC EC_UNIQUE "00",
		/* a symmetric cipher */
		"0034"
		"0025"
		"000b"
		"00060472"
		"0000"
		"0006"
		"0080"
		"0043" X32_UNIQUE,
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(tpmd_object_done) struct tpmd_object in = object_of(rows[i], PRIVATE);

		check(&in, ERR_INVALID);
	}
}
END_TEST

START_TEST(test_bad_private)
{
	static const char *const rows[] = { "", "00", "0000", "0001",
		"0022"
		"0020" X32,
		PRIVATE "00",
		"0025"
		"0020" X32 "c0c1",
		"ffff"
		"0020" X32 "c0c1" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(tpmd_object_done) struct tpmd_object in = object_of(EC EC_UNIQUE, rows[i]);

		check(&in, ERR_INVALID);
	}
}
END_TEST

/* Cut at every byte, and each bit flipped: only in the unique part may a flip pass, where the TPM alone can tell. */
START_TEST(test_cut_and_flipped)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(tpmd_object_done) struct tpmd_object in = object_of(good[i].public, PRIVATE);
		size_t len = in.public.len, unique = good[i].kind == WRAPPED_EC_P256	? 68
						     : good[i].kind == WRAPPED_RSA_2048 ? 258
											: 34;

		for (in.public.len = 0; in.public.len < len; in.public.len++)
			check(&in, ERR_INVALID);
		for (size_t bit = 0; bit < (len - unique) * 8; bit++) {
			/* sensitiveDataOrigin: an HMAC key may be given or made */
			bool choice = bit == 9 * 8 + 5 && good[i].kind == WRAPPED_HMAC;

			in.public.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			check(&in, choice ? ERR_OK : ERR_INVALID);
			in.public.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		check(&in, ERR_OK);
	}
}
END_TEST

/* Objects are told apart by both blobs. */
START_TEST(test_digest)
{
	AUTO(tpmd_object_done) struct tpmd_object in = object_of(EC EC_UNIQUE, PRIVATE);
	struct wrapped a = { 0 }, b = { 0 }, c = { 0 };
	struct err err = { 0 };

	ck_ok(wrapped_parse(&in, &a, &err));
	in.private.data[in.private.len - 1] ^= 1;
	ck_ok(wrapped_parse(&in, &b, &err));
	in.private.data[in.private.len - 1] ^= 1;
	in.public.data[in.public.len - 1] ^= 1;
	ck_ok(wrapped_parse(&in, &c, &err));
	ck_assert_mem_ne(a.digest, b.digest, SHA256_LEN);
	ck_assert_mem_ne(a.digest, c.digest, SHA256_LEN);
}
END_TEST

TEST_MAIN(
    "tpmd/wrapped", test_good, test_bad_public, test_bad_private, test_cut_and_flipped, test_digest)
