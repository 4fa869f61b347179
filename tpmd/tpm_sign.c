#include <string.h>

#include "tpmd/tpm_priv.h"

enum err_code
tpm_auth_key(struct tpm *t, ESYS_TR *ret, struct err *err)
{
	ESYS_TR found = t->auth;
	TSS2_RC rc = TSS2_RC_SUCCESS;

	/* looked for once: whoever counts on its name has it forgotten before */
	if (found == ESYS_TR_NONE)
		rc = Esys_TR_FromTPMPublic(
		    t->esys, t->auth_handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &found);
	if (!rc) {
		*ret = t->auth = found;
		return ERR_OK;
	}
	if (tpm_is_missing(rc))
		return err_set(err, ERR_NOT_FOUND,
		    "no authentication key at 0x%08x: none was imported", t->auth_handle);
	return tpm_fail(t, "could not read the authentication key", rc, err);
}

static TPM2B_MAX_BUFFER
piece_of(const struct bytes *data, size_t at)
{
	size_t left = data->len - at;
	TPM2B_MAX_BUFFER out = { .size = (UINT16)(left < TPM2_MAX_DIGEST_BUFFER
						      ? left
						      : (size_t)TPM2_MAX_DIGEST_BUFFER) };

	if (out.size)
		memcpy(out.buffer, data->data + at, out.size);
	return out;
}

/*
 * More than one buffer full: in pieces, the last of which completes the sequence.  The others go in clear, for each would cost many
 * times the work of its HMAC, and what is as long as that is no key.
 */
static TSS2_RC
hmac_long(struct tpm *t, ESYS_TR key, ESYS_TR session, const struct bytes *data, TPM2B_DIGEST **ret)
{
	const TPM2B_AUTH no_auth = { 0 };
	AUTO(tpm_freep) TPMT_TK_HASHCHECK *ticket = NULL;
	ESYS_TR sequence = ESYS_TR_NONE;
	TPM2B_MAX_BUFFER piece;
	size_t at = 0;
	TSS2_RC rc = Esys_HMAC_Start(t->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
	    &no_auth, TPM2_ALG_SHA256, &sequence);

	while (!rc && data->len - at > TPM2_MAX_DIGEST_BUFFER) {
		piece = piece_of(data, at);
		rc = Esys_SequenceUpdate(
		    t->esys, sequence, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &piece);
		at += piece.size;
	}
	if (!rc) {
		piece = piece_of(data, at);
		rc = Esys_SequenceComplete(t->esys, sequence, session, ESYS_TR_NONE, ESYS_TR_NONE,
		    &piece, ESYS_TR_RH_NULL, ret, &ticket);
		if (!rc)
			return rc; /* which has ended the sequence */
	}
	if ((rc & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER)
		t->broken = true;
	tpm_flush(t, &sequence);
	return rc;
}

enum err_code
tpm_hmac(struct tpm *t, ESYS_TR key, ESYS_TR session, const struct bytes *data,
    struct bytes *ret_digest, struct err *err)
{
	AUTO(tpm_freep) TPM2B_DIGEST *digest = NULL;
	TPM2B_MAX_BUFFER all;
	TSS2_RC rc;

	if (data->len > TPM2_MAX_DIGEST_BUFFER) {
		rc = hmac_long(t, key, session, data, &digest);
	} else {
		all = piece_of(data, 0);
		rc = Esys_HMAC(t->esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &all,
		    TPM2_ALG_SHA256, &digest);
	}
	if (tpm_is_refused(rc) && key == t->auth)
		t->auth_refused = true;
	if (rc)
		return tpm_fail(t, "could not make the HMAC", rc, err);
	return bytes_copy(ret_digest, digest->buffer, digest->size, err);
}
