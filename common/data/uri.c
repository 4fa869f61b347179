#include "data/uri.h"

#include <string.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629 section 4), 0 when there is none. */
static size_t
utf8_len(const unsigned char *p, size_t left)
{
	unsigned char lowest = 0x80, highest = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < len)
		return 0;
	/* no over-long forms, no surrogates, nothing above U+10FFFF */
	if (p[0] == 0xe0)
		lowest = 0xa0;
	else if (p[0] == 0xed)
		highest = 0x9f;
	else if (p[0] == 0xf0)
		lowest = 0x90;
	else if (p[0] == 0xf4)
		highest = 0x8f;
	if (p[1] < lowest || p[1] > highest)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool
uri_utf8_valid(struct text in)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t len;

	for (size_t i = 0; i < in.len; i += len) {
		len = p[i] ? utf8_len(p + i, in.len - i) : 0;
		if (len == 0)
			return false;
	}
	return true;
}
