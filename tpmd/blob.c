#include "tpmd/blob.h"

/* What is behind part 5: nothing, or one more counted part that ends where the blob ends. */
static bool
tail_fits(const struct bytes *in, size_t at)
{
	if (at == in->len)
		return true;
	return in->len - at >= 2 &&
	       in->len - at - 2 == ((size_t)in->data[at] << 8 | in->data[at + 1]);
}

enum err_code
tpm_blob_parse(const struct bytes *in, struct tpm_blob *ret, struct err *err)
{
	struct tpm_blob blob = { 0 };
	size_t at = 0;

	if (Tss2_MU_TPM2B_ID_OBJECT_Unmarshal(in->data, in->len, &at, &blob.credential) ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(in->data, in->len, &at, &blob.secret) ||
	    Tss2_MU_TPM2B_PRIVATE_Unmarshal(in->data, in->len, &at, &blob.duplicate) ||
	    Tss2_MU_TPM2B_ENCRYPTED_SECRET_Unmarshal(in->data, in->len, &at, &blob.seed) ||
	    Tss2_MU_TPM2B_PUBLIC_Unmarshal(in->data, in->len, &at, &blob.area) ||
	    !tail_fits(in, at))
		return err_set(err, ERR_CRYPTO, "the key to import is not the service's blob");
	*ret = blob;
	return ERR_OK;
}
