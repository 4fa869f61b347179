#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/b64.h"

/* Decoding is strict, so what it takes is exactly what encoding gives. */
static void
round_trip(enum b64_kind kind, struct text in)
{
	AUTO(bytes_done) struct bytes bytes = { 0 };
	AUTO(str_freep) char *again = NULL;
	struct err err = { 0 };

	if (b64_decode(kind, in, &bytes, &err)) {
		HOLDS(err.code == ERR_SYNTAX && !bytes.data);
		return;
	}
	HOLDS(b64_encode(kind, bytes.data, bytes.len, &again, &err) == ERR_OK);
	HOLDS(strlen(again) == b64_encoded_len(kind, bytes.len));
	HOLDS(text_equal(in, again));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct text in = { (const char *)data, len };

	round_trip(B64_STD, in);
	round_trip(B64_URL, in);
	round_trip(B64_URL_PADDED, in);
	return 0;
}
