#include "tpmd/wrapped.h"

#include <string.h>

/* Empty authorisation values are safe from guessing, so no lock-out (noDA); none can leave this TPM (fixedTPM, fixedParent). */
#define OURS                                                                         \
	(TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | \
	    TPMA_OBJECT_NODA)
#define P256_LEN 32
#define RSA_BITS 2048

/* RSA: both, so that a signature's padding may be the TPM's or ours; the scheme is then left to each use (TPM 2.0 part 2, 12.2.3). */
static const struct {
	TPMI_ALG_PUBLIC type;
	TPMA_OBJECT attributes;
} kinds[WRAPPED_KINDS] = {
	[WRAPPED_EC_P256] = { TPM2_ALG_ECC, OURS | TPMA_OBJECT_SIGN_ENCRYPT },
	[WRAPPED_RSA_2048] = { TPM2_ALG_RSA,
	    OURS | TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_DECRYPT },
	[WRAPPED_HMAC] = { TPM2_ALG_KEYEDHASH, OURS | TPMA_OBJECT_SIGN_ENCRYPT },
	[WRAPPED_SEALED] = { TPM2_ALG_KEYEDHASH, OURS },
};

TPM2B_PUBLIC
wrapped_template(enum wrapped_kind kind, bool given)
{
	TPM2B_PUBLIC out = { .publicArea = {
				 .type = kinds[kind].type,
				 .nameAlg = TPM2_ALG_SHA256,
				 .objectAttributes = kinds[kind].attributes,
			     } };
	TPMT_PUBLIC *area = &out.publicArea;

	if (!given)
		area->objectAttributes |= TPMA_OBJECT_SENSITIVEDATAORIGIN;
	switch (kind) {
	case WRAPPED_EC_P256:
		area->parameters.eccDetail = (TPMS_ECC_PARMS){
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme.scheme = TPM2_ALG_NULL,
			.curveID = TPM2_ECC_NIST_P256,
			.kdf.scheme = TPM2_ALG_NULL,
		};
		break;
	case WRAPPED_RSA_2048:
		area->parameters.rsaDetail = (TPMS_RSA_PARMS){
			.symmetric.algorithm = TPM2_ALG_NULL,
			.scheme.scheme = TPM2_ALG_NULL,
			.keyBits = RSA_BITS,
		};
		break;
	case WRAPPED_HMAC:
		area->parameters.keyedHashDetail.scheme =
		    (TPMT_KEYEDHASH_SCHEME){ .scheme = TPM2_ALG_HMAC,
			    .details.hmac.hashAlg = TPM2_ALG_SHA256 };
		break;
	default:
		area->parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
	}
	return out;
}

static bool
kind_of(const TPMT_PUBLIC *area, enum wrapped_kind *ret)
{
	for (int i = 0; i < WRAPPED_KINDS; i++)
		if (area->type == kinds[i].type &&
		    (area->objectAttributes & ~TPMA_OBJECT_SENSITIVEDATAORIGIN) ==
			kinds[i].attributes) {
			*ret = (enum wrapped_kind)i;
			return true;
		}
	return false;
}

/* A coordinate; TPMs before revision 1.38 leave out its zeros in front. */
static bool
is_coordinate(const TPM2B_ECC_PARAMETER *n)
{
	return n->size > 0 && n->size <= P256_LEN;
}

/* The part of a public area that differs from object to object, if it is of the right size. */
static bool
take_unique(enum wrapped_kind kind, const TPMU_PUBLIC_ID *from, TPMU_PUBLIC_ID *to)
{
	switch (kind) {
	case WRAPPED_EC_P256:
		to->ecc = from->ecc;
		return is_coordinate(&from->ecc.x) && is_coordinate(&from->ecc.y);
	case WRAPPED_RSA_2048:
		to->rsa = from->rsa;
		return from->rsa.size == RSA_BITS / 8;
	default:
		to->keyedHash = from->keyedHash;
		return from->keyedHash.size == SHA256_LEN;
	}
}

/* Everything but the unique part must be what the template says, which is told by writing it again. */
static bool
is_ours(const struct bytes *blob, const TPM2B_PUBLIC *area, enum wrapped_kind *ret)
{
	TPM2B_PUBLIC same;
	uint8_t out[sizeof(same)];
	size_t len = 0;
	enum wrapped_kind kind;
	bool given = !(area->publicArea.objectAttributes & TPMA_OBJECT_SENSITIVEDATAORIGIN);

	if (!kind_of(&area->publicArea, &kind))
		return false;
	/* a key pair is never given; data always is */
	if ((given && kind <= WRAPPED_RSA_2048) || (!given && kind == WRAPPED_SEALED))
		return false;
	same = wrapped_template(kind, given);
	if (!take_unique(kind, &area->publicArea.unique, &same.publicArea.unique) ||
	    Tss2_MU_TPM2B_PUBLIC_Marshal(&same, out, sizeof(out), &len) || len != blob->len ||
	    memcmp(out, blob->data, len) != 0)
		return false;
	*ret = kind;
	return true;
}

static enum err_code
parse_private(const struct bytes *blob, TPM2B_PRIVATE *ret, struct err *err)
{
	size_t at = 0;

	/* within are an integrity value, with its size, and at least something */
	if (Tss2_MU_TPM2B_PRIVATE_Unmarshal(blob->data, blob->len, &at, ret) || at != blob->len ||
	    ret->size <= 2 + SHA256_LEN)
		return err_set(err, ERR_INVALID, "private: not a TPM2B_PRIVATE");
	return ERR_OK;
}

enum err_code
wrapped_parse(const struct tpmd_object *blobs, struct wrapped *ret, struct err *err)
{
	struct wrapped w = { 0 };
	AUTO(bytes_done) struct bytes both = { 0 };
	size_t at = 0;

	if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(blobs->public.data, blobs->public.len, &at, &w.area) ||
	    at != blobs->public.len)
		return err_set(err, ERR_INVALID, "public: not a TPM2B_PUBLIC");
	if (!is_ours(&blobs->public, &w.area, &w.kind))
		return err_set(err, ERR_INVALID, "public: not of an object that tpmd makes");
	if (parse_private(&blobs->private, &w.private, err) ||
	    bytes_alloc(&both, blobs->public.len + blobs->private.len, err))
		return err->code;
	memcpy(both.data, blobs->public.data, blobs->public.len);
	memcpy(both.data + blobs->public.len, blobs->private.data, blobs->private.len);
	if (digest_sha256(both.data, both.len, w.digest, err))
		return err->code;
	*ret = w;
	return ERR_OK;
}

enum err_code
wrapped_blobs(const TPM2B_PUBLIC *area, const TPM2B_PRIVATE *private, struct tpmd_object *ret,
    struct err *err)
{
	AUTO(tpmd_object_done) struct tpmd_object blobs = { 0 };
	uint8_t public_out[sizeof(*area)], private_out[sizeof(*private)];
	size_t public_len = 0, private_len = 0;

	if (Tss2_MU_TPM2B_PUBLIC_Marshal(area, public_out, sizeof(public_out), &public_len) ||
	    Tss2_MU_TPM2B_PRIVATE_Marshal(private, private_out, sizeof(private_out), &private_len))
		return err_set(err, ERR_CRYPTO, "the TPM's object cannot be written");
	if (bytes_copy(&blobs.public, public_out, public_len, err) ||
	    bytes_copy(&blobs.private, private_out, private_len, err))
		return err->code;
	*ret = blobs;
	blobs = (struct tpmd_object){ 0 };
	return ERR_OK;
}
