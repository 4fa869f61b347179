#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "keyd/tpm_pem.h"
#include "keyd/tpm_public.h"
#include "tpmd/blob.h"
#include "tpmd/wrapped.h"

/* A public and a private part that pass by themselves, beside which the input stands for the other one. */
static uint8_t public_ok[90] = { 0x00, 0x30, 0x00, 0x08, 0x00, 0x0b, 0x00, 0x04, 0x04, 0x52, 0x00,
	0x00, 0x00, 0x05, 0x00, 0x0b, 0x00, 0x20 };
static uint8_t private_ok[100] = { 0x00, 0x62 };

/* What keyd takes as a key tpmd takes as well; and what tpmd takes it writes again as it was. */
static void
parse_public(const struct bytes *in)
{
	const struct tpmd_object object = { *in, { private_ok, sizeof(private_ok) } };
	AUTO(tpmd_object_done) struct tpmd_object again = { 0 };
	struct wrapped w;
	struct tpm_public p;
	struct err err = { 0 };
	enum err_code code = wrapped_parse(&object, &w, &err);

	HOLDS(code == ERR_OK || code == ERR_INVALID);
	if (tpm_public_read(in, &p, &err) == ERR_OK)
		HOLDS(code == ERR_OK && w.kind != WRAPPED_SEALED);
	if (code)
		return;
	HOLDS(wrapped_blobs(&w.area, &w.private, &again, &err) == ERR_OK);
	HOLDS(bytes_equal(&again.public, in) && bytes_equal(&again.private, &object.private));
}

static void
parse_private(const struct bytes *in)
{
	const struct tpmd_object object = { { public_ok, 50 }, *in };
	struct wrapped w;
	struct err err = { 0 };
	enum err_code code = wrapped_parse(&object, &w, &err);

	HOLDS(code == ERR_INVALID || (code == ERR_OK && in->len == w.private.size + 2u));
}

static void
parse_pem(const struct bytes *in)
{
	AUTO(tpmd_object_done) struct tpmd_object object = { 0 };
	AUTO(tpmd_object_done) struct tpmd_object again = { 0 };
	AUTO(bytes_done) struct bytes pem = { 0 };
	struct err err = { 0 };

	if (tpm_pem_read(in, &object, &err)) {
		HOLDS(err.code == ERR_SYNTAX && !object.public.data);
		return;
	}
	HOLDS(tpm_pem_write(&object, &pem, &err) == ERR_OK);
	HOLDS(tpm_pem_read(&pem, &again, &err) == ERR_OK);
	HOLDS(bytes_equal(&object.public, &again.public));
	HOLDS(bytes_equal(&object.private, &again.private));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(bytes_done) struct bytes in = { 0 };
	struct tpm_blob blob;
	struct err err = { 0 };

	HOLDS(bytes_copy(&in, data, len, &err) == ERR_OK);
	parse_public(&in);
	parse_private(&in);
	parse_pem(&in);
	HOLDS(tpm_blob_parse(&in, &blob, &err) == ERR_OK || err.code == ERR_CRYPTO);
	return 0;
}
