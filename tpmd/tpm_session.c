#include "tpmd/tpm_priv.h"

enum err_code
tpm_private_session(struct tpm *t, TPMA_SESSION direction, ESYS_TR *ret, struct err *err)
{
	const TPMT_SYM_DEF aes = {
		.algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB
	};
	ESYS_TR session = ESYS_TR_NONE;
	TSS2_RC rc = Esys_StartAuthSession(t->esys, t->srk, ESYS_TR_NONE, ESYS_TR_NONE,
	    ESYS_TR_NONE, ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &aes, TPM2_ALG_SHA256, &session);

	if (!rc)
		rc = Esys_TRSess_SetAttributes(
		    t->esys, session, direction | TPMA_SESSION_CONTINUESESSION, 0xff);
	if (!rc) {
		*ret = session;
		return ERR_OK;
	}
	(void)tpm_fail(t, "could not start a session", rc, err);
	tpm_flush(t, &session);
	/* the salt was for the storage root key as we know it, and others may have put another in its place */
	t->broken = true;
	return err->code;
}
