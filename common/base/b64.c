#include "base/b64.h"

#include <stdlib.h>

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Digits: value, and whose they are; 0 is none. */
#define STD  0x80
#define URL  0x40
#define D(v) ((v) | STD | URL)
/* clang-format off */
static const uint8_t digits_of[256] = {
	['+'] = 62 | STD, 0, 62 | URL, 0, 63 | STD,
	D(52), D(53), D(54), D(55), D(56), D(57), D(58), D(59), D(60), D(61),
	0, 0, 0, 0, 0, 0, 0,
	D(0), D(1), D(2), D(3), D(4), D(5), D(6), D(7), D(8), D(9), D(10), D(11), D(12),
	D(13), D(14), D(15), D(16), D(17), D(18), D(19), D(20), D(21), D(22), D(23), D(24), D(25),
	0, 0, 0, 0, 63 | URL, 0,
	D(26), D(27), D(28), D(29), D(30), D(31), D(32), D(33), D(34), D(35), D(36), D(37), D(38),
	D(39), D(40), D(41), D(42), D(43), D(44), D(45), D(46), D(47), D(48), D(49), D(50), D(51),
};
/* clang-format on */

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
	const unsigned wanted = kind == B64_STD ? STD : URL;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t i = 0;

	for (; i + 4 <= digits; i += 4) {
		const uint8_t *from = (const uint8_t *)in + i;
		unsigned a = digits_of[from[0]], b = digits_of[from[1]], c = digits_of[from[2]],
			 d = digits_of[from[3]];

		if (!(a & b & c & d & wanted))
			break;
		*out++ = (uint8_t)(a << 2 | (b & 63) >> 4);
		*out++ = (uint8_t)(b << 4 | (c & 63) >> 2);
		*out++ = (uint8_t)(c << 6 | (d & 63));
	}
	for (; i < digits; i++) {
		unsigned value = digits_of[(uint8_t)in[i]];

		if (!(value & wanted)) {
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
