#include "keyd/tpm_public.h"

#include <string.h>

#define PAD_MIN 8

/*
 * TPM2B_PUBLIC (TPM 2.0 part 2, 12.2.5) behind its size and up to the unique part: type, name algorithm SHA-256, attributes, no
 * policy, parameters.  Attributes: fixedTPM, fixedParent, sensitiveDataOrigin (an HMAC key that was given lacks it),
 * userWithAuth, noDA, sign, and decrypt for RSA.
 */
static const uint8_t ec[] = { 0x00, 0x23, 0x00, 0x0b, 0x00, 0x04, 0x04, 0x72, 0x00, 0x00, 0x00,
	0x10, 0x00, 0x10, 0x00, 0x03, 0x00, 0x10 };
static const uint8_t rsa[] = { 0x00, 0x01, 0x00, 0x0b, 0x00, 0x06, 0x04, 0x72, 0x00, 0x00, 0x00,
	0x10, 0x00, 0x10, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00 };
static const uint8_t hmac_made[] = { 0x00, 0x08, 0x00, 0x0b, 0x00, 0x04, 0x04, 0x72, 0x00, 0x00,
	0x00, 0x05, 0x00, 0x0b };
static const uint8_t hmac_given[] = { 0x00, 0x08, 0x00, 0x0b, 0x00, 0x04, 0x04, 0x52, 0x00, 0x00,
	0x00, 0x05, 0x00, 0x0b };

static const struct {
	enum tpm_key_kind kind;
	const uint8_t *start;
	size_t len;
} kinds[] = {
	{ TPM_KEY_EC_P256, ec, sizeof(ec) },
	{ TPM_KEY_RSA_2048, rsa, sizeof(rsa) },
	{ TPM_KEY_HMAC, hmac_made, sizeof(hmac_made) },
	{ TPM_KEY_HMAC, hmac_given, sizeof(hmac_given) },
};

/* What is left to read. */
struct rest {
	const uint8_t *at;
	size_t len;
};

/* Two bytes of size and as many bytes, at most max and at least one, to the end of the field at to. */
static bool
take_number(struct rest *in, uint8_t *to, size_t max)
{
	size_t len;

	if (in->len < 2)
		return false;
	len = (size_t)in->at[0] << 8 | in->at[1];
	if (len == 0 || len > max || len > in->len - 2)
		return false;
	memcpy(to + max - len, in->at + 2, len);
	in->at += 2 + len;
	in->len -= 2 + len;
	return true;
}

static bool
take_unique(struct rest *in, struct tpm_public *p)
{
	uint8_t digest[32];

	switch (p->kind) {
	case TPM_KEY_EC_P256:
		return take_number(in, p->x, sizeof(p->x)) && take_number(in, p->y, sizeof(p->y));
	case TPM_KEY_RSA_2048:
		/* 2048 bits are 2048 bits */
		return take_number(in, p->modulus, sizeof(p->modulus)) && p->modulus[0] & 0x80;
	default:
		return in->len == 2 + sizeof(digest) && take_number(in, digest, sizeof(digest));
	}
}

enum err_code
tpm_public_read(const struct bytes *in, struct tpm_public *ret, struct err *err)
{
	struct tpm_public p = { 0 };
	struct rest rest;

	if (in->len < 2 || ((size_t)in->data[0] << 8 | in->data[1]) != in->len - 2)
		return err_set(err, ERR_SYNTAX, "not a TPM2B_PUBLIC");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (in->len - 2 < kinds[i].len ||
		    memcmp(in->data + 2, kinds[i].start, kinds[i].len) != 0)
			continue;
		p.kind = kinds[i].kind;
		rest = (struct rest){ in->data + 2 + kinds[i].len, in->len - 2 - kinds[i].len };
		if (!take_unique(&rest, &p) || rest.len > 0)
			break;
		*ret = p;
		return ERR_OK;
	}
	return err_set(err, ERR_SYNTAX, "not the public area of a key that tpmd makes");
}

/* 02 or 03 by the parity of Y, and X (SEC 1, 2.3.3) */
static enum err_code
compressed_point(const struct tpm_public *p, struct bytes *ret, struct err *err)
{
	uint8_t point[1 + TPM_EC_LEN] = { 0x02 | (p->y[TPM_EC_LEN - 1] & 1) };

	memcpy(point + 1, p->x, TPM_EC_LEN);
	return bytes_copy(ret, point, sizeof(point), err);
}

enum err_code
tpm_public_parameter(
    const struct tpm_public *p, enum key_parameter which, struct bytes *ret, struct err *err)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };
	static const uint8_t f4[] = { 0x01, 0x00, 0x01 };
	bool is_ec = p->kind == TPM_KEY_EC_P256, is_rsa = p->kind == TPM_KEY_RSA_2048;

	if (which == KEY_PARAM_ALGORITHM && is_ec)
		return bytes_copy(ret, "ECDSA", 5, err);
	if (which == KEY_PARAM_ALGORITHM && is_rsa)
		return bytes_copy(ret, "RSA", 3, err);
	if (which == KEY_PARAM_EC_CURVE_OID && is_ec)
		return bytes_copy(ret, p256, sizeof(p256), err);
	if (which == KEY_PARAM_EC_POINT && is_ec)
		return compressed_point(p, ret, err);
	if (which == KEY_PARAM_RSA_MODULUS && is_rsa)
		return bytes_copy(ret, p->modulus, sizeof(p->modulus), err);
	if (which == KEY_PARAM_RSA_EXPONENT && is_rsa)
		return bytes_copy(ret, f4, sizeof(f4), err);
	return err_set(err, ERR_INVALID, "the key has no such parameter");
}

enum err_code
tpm_public_pad(const struct bytes *data, struct bytes *ret, struct err *err)
{
	if (data->len > TPM_RSA_LEN - PAD_MIN - 3)
		return err_set(err, ERR_CRYPTO, "the data is too long for the key");
	if (bytes_alloc(ret, TPM_RSA_LEN, err))
		return err->code;
	memset(ret->data, 0xff, TPM_RSA_LEN - data->len - 1);
	ret->data[0] = 0x00;
	ret->data[1] = 0x01;
	ret->data[TPM_RSA_LEN - data->len - 1] = 0x00;
	if (data->len)
		memcpy(ret->data + TPM_RSA_LEN - data->len, data->data, data->len);
	return ERR_OK;
}
