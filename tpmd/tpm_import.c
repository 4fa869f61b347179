#include <string.h>

#include "base/log.h"
#include "tpmd/blob.h"
#include "tpmd/tpm_priv.h"

/* The client's steps of contracts/tpm2.md 3. */

#define CHALLENGE "edgekeep"

/* A policy session that satisfies the endorsement key's PolicySecret. */
static TSS2_RC
endorse(struct tpm *t, ESYS_TR *ret)
{
	const TPMT_SYM_DEF aes = {
		.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB
	};
	TSS2_RC rc = Esys_StartAuthSession(t->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_POLICY, &aes, TPM2_ALG_SHA256, ret);

	if (rc)
		return rc;
	return Esys_PolicySecret(t->esys, ESYS_TR_RH_ENDORSEMENT, *ret, ESYS_TR_PASSWORD,
	    ESYS_TR_NONE, ESYS_TR_NONE, NULL, NULL, NULL, 0, NULL, NULL);
}

/* Parts 1 and 2 give the inner key, to a TPM that holds both keys only. */
static enum err_code
activate(struct tpm *t, ESYS_TR private, const struct tpm_blob *blob, TPM2B_DATA *ret_inner,
    struct err *err)
{
	AUTO(tpm_freep) TPM2B_DIGEST *inner = NULL;
	ESYS_TR policy = ESYS_TR_NONE;
	TSS2_RC rc = endorse(t, &policy);

	if (!rc)
		rc = Esys_ActivateCredential(t->esys, t->srk, t->ek, private, policy, ESYS_TR_NONE,
		    &blob->credential, &blob->secret, &inner);
	t->srk_refused |= tpm_is_refused(rc);
	if (rc)
		(void)tpm_fail(t, "could not activate the credential", rc, err);
	tpm_flush(t, &policy);
	if (rc)
		return err->code;
	if (inner->size != 16 && inner->size != 32)
		return err_set(
		    err, ERR_CRYPTO, "the inner key has %u bytes, not 16 or 32", inner->size);
	ret_inner->size = inner->size;
	memcpy(ret_inner->buffer, inner->buffer, inner->size);
	mem_wipe(inner, sizeof(*inner));
	return ERR_OK;
}

/* Parts 3 to 5 give the key, as a transient object. */
static enum err_code
load(struct tpm *t, ESYS_TR private, const struct tpm_blob *blob, const TPM2B_DATA *inner,
    ESYS_TR *ret, struct err *err)
{
	const TPMT_SYM_DEF_OBJECT aes = { .algorithm = TPM2_ALG_AES,
		.keyBits.aes = (TPMI_AES_KEY_BITS)(inner->size * 8),
		.mode.aes = TPM2_ALG_CFB };
	AUTO(tpm_freep) TPM2B_PRIVATE *wrapped = NULL;
	TSS2_RC rc = Esys_Import(t->esys, t->srk, private, ESYS_TR_NONE, ESYS_TR_NONE, inner,
	    &blob->area, &blob->duplicate, &blob->seed, &aes, &wrapped);

	if (!rc)
		rc = Esys_Load(t->esys, t->srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
		    wrapped, &blob->area, ret);
	return rc ? tpm_fail(t, "could not import the key", rc, err) : ERR_OK;
}

/* Whatever stands at the handle gives way to the new key. */
static enum err_code
replace(struct tpm *t, ESYS_TR key, struct err *err)
{
	ESYS_TR old, none = ESYS_TR_NONE;
	TSS2_RC rc;

	if (tpm_auth_key(t, &old, err) == ERR_OK) {
		rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, old, ESYS_TR_PASSWORD,
		    ESYS_TR_NONE, ESYS_TR_NONE, t->auth_handle, &none);
		if (rc)
			return tpm_fail(t, "could not remove the old key", rc, err);
		/* ESYS must forget it, too, or it would take the new key's name for a forgery of the old one's */
		(void)Esys_TR_Close(t->esys, &old);
		t->auth = ESYS_TR_NONE;
	} else if (err->code != ERR_NOT_FOUND) {
		return err->code;
	}
	rc = Esys_EvictControl(t->esys, ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, ESYS_TR_NONE,
	    ESYS_TR_NONE, t->auth_handle, &t->auth);
	if (rc)
		return tpm_fail(t, "could not keep the new key", rc, err);
	t->auth_refused = false;
	return ERR_OK;
}

/* Only a key that has signed takes the old one's place. */
static enum err_code
prove_and_replace(struct tpm *t, ESYS_TR key, struct err *err)
{
	struct bytes challenge = { (uint8_t *)CHALLENGE, sizeof(CHALLENGE) - 1 };
	AUTO(bytes_done) struct bytes digest = { 0 };

	if (tpm_hmac(t, key, ESYS_TR_PASSWORD, &challenge, &digest, err))
		return err->code;
	return replace(t, key, err);
}

static enum err_code
unwrap(struct tpm *t, ESYS_TR private, const struct tpm_blob *blob, ESYS_TR *ret, struct err *err)
{
	TPM2B_DATA inner = { 0 };
	enum err_code code;

	if (activate(t, private, blob, &inner, err))
		return err->code;
	code = load(t, private, blob, &inner, ret, err);
	mem_wipe(&inner, sizeof(inner));
	return code;
}

enum err_code
tpm_import_parsed(struct tpm *t, const struct tpm_blob *blob, struct err *err)
{
	ESYS_TR private = ESYS_TR_NONE, key = ESYS_TR_NONE;
	enum err_code code;

	/* the inner key crosses the bus twice: out of the TPM and into it */
	if (tpm_ask_key(t->srk_refused, TPM_SRK_HANDLE, err) ||
	    tpm_private_session(t, TPM_BOTH_WAYS, &private, err))
		return err->code;
	code = unwrap(t, private, blob, &key, err);
	tpm_flush(t, &private);
	if (code)
		return code;
	code = prove_and_replace(t, key, err);
	tpm_flush(t, &key);
	return code;
}
