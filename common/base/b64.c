#include "base/b64.h"

#include <stdlib.h>

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int
value_of(enum b64_kind kind, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (kind == B64_STD ? '+' : '-'))
		return 62;
	if (c == (kind == B64_STD ? '/' : '_'))
		return 63;
	return -1;
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

enum err_code
b64_decode(enum b64_kind kind, struct text in, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	uint32_t bits = 0;
	unsigned held = 0;
	size_t digits, n = 0;

	if (!strip_padding(kind, in, &digits))
		return err_set(err, ERR_SYNTAX, "invalid base64: length or padding");
	if (bytes_alloc(&out, digits * 3 / 4, err))
		return err->code;
	for (size_t i = 0; i < digits; i++) {
		int value = value_of(kind, in.data[i]);

		if (value < 0)
			return err_set(
			    err, ERR_SYNTAX, "invalid base64: character at offset %zu", i);
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			out.data[n++] = (uint8_t)(bits >> held);
		}
	}
	if (bits & ((1u << held) - 1))
		return err_set(err, ERR_SYNTAX, "invalid base64: stray bits at the end");
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
