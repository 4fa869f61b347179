#include <string.h>

#include "base/log.h"
#include "tpmd/tpm_priv.h"

/* Endorsement key and storage root key: contracts/tpm2.md 2. */

#define RSA_BITS 2048

/* PolicySecret(endorsement), as the TCG's profile L-1 has it */
static const uint8_t ek_policy[] = { 0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90,
	0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2,
	0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa };

static const struct {
	const char *what;
	TPM2_HANDLE handle;
	ESYS_TR hierarchy;
	TPMA_OBJECT attributes;
	bool policy; /* and 256 zero bytes as unique: without them the key would be another one */
} keys[] = {
	{ "endorsement key", TPM_EK_HANDLE, ESYS_TR_RH_ENDORSEMENT,
	    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
		TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT,
	    true },
	{ "storage root key", TPM_SRK_HANDLE, ESYS_TR_RH_OWNER,
	    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
		TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED |
		TPMA_OBJECT_DECRYPT,
	    false },
};

static TPM2B_PUBLIC
template_of(size_t k)
{
	TPM2B_PUBLIC out = { .publicArea = {
				 .type = TPM2_ALG_RSA,
				 .nameAlg = TPM2_ALG_SHA256,
				 .objectAttributes = keys[k].attributes,
				 .parameters.rsaDetail = {
				     .symmetric = { .algorithm = TPM2_ALG_AES,
					 .keyBits.aes = 128,
					 .mode.aes = TPM2_ALG_CFB },
				     .scheme.scheme = TPM2_ALG_NULL,
				     .keyBits = RSA_BITS,
				 },
			     } };

	if (keys[k].policy) {
		out.publicArea.authPolicy.size = sizeof(ek_policy);
		memcpy(out.publicArea.authPolicy.buffer, ek_policy, sizeof(ek_policy));
		out.publicArea.unique.rsa.size = RSA_BITS / 8;
	}
	return out;
}

/* Create it in its hierarchy and keep it at its handle, which the owner decides. */
static enum err_code
create(struct tpm *t, size_t k, ESYS_TR *ret, struct err *err)
{
	const TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	const TPM2B_PUBLIC template = template_of(k);
	const TPM2B_DATA outside = { 0 };
	const TPML_PCR_SELECTION pcrs = { 0 };
	ESYS_TR made = ESYS_TR_NONE;
	TSS2_RC rc = Esys_CreatePrimary(t->esys, keys[k].hierarchy, ESYS_TR_PASSWORD, ESYS_TR_NONE,
	    ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs, &made, NULL, NULL, NULL, NULL);

	if (!rc)
		rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, made, ESYS_TR_PASSWORD,
		    ESYS_TR_NONE, ESYS_TR_NONE, keys[k].handle, ret);
	if (rc)
		(void)tpm_fail(t, "could not create it", rc, err);
	else
		log_info("made the %s at 0x%08x", keys[k].what, keys[k].handle);
	tpm_flush(t, &made);
	return rc ? err->code : ERR_OK;
}

static TSS2_RC
look_up(struct tpm *t, TPM2_HANDLE handle, ESYS_TR *ret)
{
	return Esys_TR_FromTPMPublic(
	    t->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ret);
}

static enum err_code
provide(struct tpm *t, size_t k, ESYS_TR *ret, struct err *err)
{
	TSS2_RC rc = look_up(t, keys[k].handle, ret);

	/* one that was reset on its own does nothing before somebody starts it, and the kernel does that at boot only */
	if (rc == TPM2_RC_INITIALIZE && !Esys_Startup(t->esys, TPM2_SU_CLEAR)) {
		log_warn("the TPM was reset: started it up again");
		rc = look_up(t, keys[k].handle, ret);
	}
	if (!rc)
		return ERR_OK;
	if (!tpm_is_missing(rc))
		(void)tpm_fail(t, "could not read it", rc, err);
	else if (!create(t, k, ret, err))
		return ERR_OK;
	return err_wrap(err, "%s at 0x%08x", keys[k].what, keys[k].handle);
}

enum err_code
tpm_provide_keys(struct tpm *t, struct err *err)
{
	if (provide(t, 0, &t->ek, err) || provide(t, 1, &t->srk, err))
		return err->code;
	return ERR_OK;
}
