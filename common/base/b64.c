#include "base/b64.h"

#include <stdlib.h>

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Values of the digits from ' ' on, those of one alphabet marked as its own. */
#define S  0x40 /* standard only */
#define U  0x80 /* URL only */
#define NO (S | U)
/* clang-format off */
static const uint8_t values[] = {
	NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62 | S, NO, 62 | U, NO, 63 | S,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
	NO, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, 63 | U,
	NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
};
/* clang-format on */

/* The value in the low six bits, the marks above. */
static unsigned
value_of(char c)
{
	unsigned at = (unsigned char)c - (unsigned)' ';

	return at < sizeof(values) ? values[at] : NO;
}

/* How many digits stand before the padding; false where length or padding is wrong. */
static bool
strip_padding(enum b64_kind kind, struct text in, size_t *ret_digits)
{
	size_t digits = in.len;

	if (kind == B64_URL) {
		*ret_digits = digits;
		return digits % 4 != 1;
	}
	if (digits % 4 != 0)
		return false;
	for (int i = 0; i < 2 && digits > 0 && in.data[digits - 1] == '='; i++)
		digits--;
	*ret_digits = digits;
	return true;
}

/* Digits to bytes; false at one that is none, whose offset then is *ret_at, and at stray bits, where that is digits. */
static bool
decode_digits(enum b64_kind kind, const char *in, size_t digits, uint8_t *out, size_t *ret_at)
{
	const unsigned refused = kind == B64_STD ? U : S;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t i = 0;

	for (; i + 4 <= digits; i += 4) {
		unsigned a = value_of(in[i]), b = value_of(in[i + 1]), c = value_of(in[i + 2]),
			 d = value_of(in[i + 3]);

		if ((a | b | c | d) & refused)
			break;
		*out++ = (uint8_t)(a << 2 | (b & 63) >> 4);
		*out++ = (uint8_t)(b << 4 | (c & 63) >> 2);
		*out++ = (uint8_t)(c << 6 | (d & 63));
	}
	for (; i < digits; i++) {
		unsigned value = value_of(in[i]);

		if (value & refused) {
			*ret_at = i;
			return false;
		}
		bits = bits << 6 | (value & 63);
		held += 6;
		if (held >= 8) {
			held -= 8;
			*out++ = (uint8_t)(bits >> held);
		}
	}
	*ret_at = digits;
	return (bits & ((1u << held) - 1)) == 0;
}

bool
b64_decode_to(enum b64_kind kind, struct text in, uint8_t *out, size_t *ret_len)
{
	size_t digits, at;

	if (!strip_padding(kind, in, &digits) || !decode_digits(kind, in.data, digits, out, &at))
		return false;
	*ret_len = digits * 3 / 4;
	return true;
}

enum err_code
b64_decode(enum b64_kind kind, struct text in, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	size_t digits, at;

	if (!strip_padding(kind, in, &digits))
		return err_set(err, ERR_SYNTAX, "invalid base64: length or padding");
	if (bytes_alloc(&out, digits * 3 / 4, err))
		return err->code;
	if (!decode_digits(kind, in.data, digits, out.data, &at))
		return at < digits
			   ? err_set(err, ERR_SYNTAX, "invalid base64: character at offset %zu", at)
			   : err_set(err, ERR_SYNTAX, "invalid base64: stray bits at the end");
	*ret = bytes_take(&out);
	return ERR_OK;
}

size_t
b64_encoded_len(enum b64_kind kind, size_t len)
{
	if (kind == B64_URL)
		return len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
	return (len + 2) / 3 * 4;
}

void
b64_encode_to(enum b64_kind kind, const void *data, size_t len, char *out)
{
	const char *digits = kind == B64_STD ? std_digits : url_digits;
	const uint8_t *in = data;

	for (; len >= 3; len -= 3, in += 3) {
		*out++ = digits[in[0] >> 2];
		*out++ = digits[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = digits[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = digits[in[2] & 63];
	}
	if (len) {
		*out++ = digits[in[0] >> 2];
		*out++ = digits[(in[0] & 3) << 4 | (len == 2 ? in[1] >> 4 : 0)];
		if (len == 2)
			*out++ = digits[(in[1] & 15) << 2];
		if (kind != B64_URL)
			for (size_t i = len; i < 3; i++)
				*out++ = '=';
	}
	*out = '\0';
}

enum err_code
b64_encode(enum b64_kind kind, const void *data, size_t len, char **ret, struct err *err)
{
	char *out = malloc(b64_encoded_len(kind, len) + 1);

	if (!out)
		return err_nomem(err);
	b64_encode_to(kind, data, len, out);
	*ret = out;
	return ERR_OK;
}
