#include "tpmd/tpm_objects.h"

#include <openssl/ecdsa.h>
#include <string.h>

#include "tpmd/tpm_priv.h"
#include "tpmd/wrapped.h"

#define P256_LEN   32
#define DIGEST_MIN 20
#define DIGEST_MAX 64

/* --- make */

struct make_call {
	enum wrapped_kind kind;
	const struct bytes *given; /* NULL: the TPM makes it */
	struct tpmd_object made;
};

/* What comes back must be what was asked for. */
static enum err_code
take_made(
    struct make_call *call, const TPM2B_PUBLIC *area, const TPM2B_PRIVATE *private, struct err *err)
{
	struct wrapped w;

	tpmd_object_done(&call->made);
	if (wrapped_blobs(area, private, &call->made, err))
		return err->code;
	if (wrapped_parse(&call->made, &w, err) || w.kind != call->kind)
		return err_wrap_code(err, ERR_CRYPTO, "the TPM made another object than asked for");
	return ERR_OK;
}

static enum err_code
make_in(struct tpm *t, struct make_call *call, ESYS_TR session, struct err *err)
{
	const TPM2B_PUBLIC template = wrapped_template(call->kind, call->given);
	const TPM2B_DATA outside = { 0 };
	const TPML_PCR_SELECTION pcrs = { 0 };
	TPM2B_SENSITIVE_CREATE sensitive = { 0 };
	AUTO(tpm_freep) TPM2B_PUBLIC *area = NULL;
	AUTO(tpm_freep) TPM2B_PRIVATE *private = NULL;
	TSS2_RC rc;

	if (call->given) {
		sensitive.sensitive.data.size = (UINT16)call->given->len;
		memcpy(sensitive.sensitive.data.buffer, call->given->data, call->given->len);
	}
	rc = Esys_Create(t->esys, t->srk, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
	    &template, &outside, &pcrs, &private, &area, NULL, NULL, NULL);
	mem_wipe(&sensitive, sizeof(sensitive));
	t->srk_refused |= tpm_is_refused(rc);
	if (rc)
		return tpm_fail(t, "could not create the object", rc, err);
	return take_made(call, area, private, err);
}

static enum err_code
make_work(struct tpm *t, void *ctx, struct err *err)
{
	struct make_call *call = ctx;
	ESYS_TR session = ESYS_TR_NONE;
	enum err_code code;

	tpm_held_drop(t);
	if (tpm_ask_key(t->srk_refused, TPM_SRK_HANDLE, err))
		return err->code;
	if (!call->given)
		return make_in(t, call, ESYS_TR_PASSWORD, err);
	if (tpm_private_session(t, TPMA_SESSION_DECRYPT, &session, err))
		return err->code;
	code = make_in(t, call, session, err);
	tpm_flush(t, &session);
	tpm_scrub(t);
	return code;
}

static enum err_code
make(struct tpm *t, enum wrapped_kind kind, const struct bytes *given, struct tpmd_object *ret,
    struct err *err)
{
	struct make_call call = { .kind = kind, .given = given };

	if (tpm_with(t, NULL, make_work, &call, err)) {
		tpmd_object_done(&call.made);
		return err->code;
	}
	*ret = call.made;
	return ERR_OK;
}

enum err_code
tpm_object_create(
    struct tpm *t, enum tpmd_algorithm algorithm, struct tpmd_object *ret, struct err *err)
{
	static const enum wrapped_kind kinds[] = { [TPMD_EC_P256] = WRAPPED_EC_P256,
		[TPMD_RSA_2048] = WRAPPED_RSA_2048,
		[TPMD_HMAC_SHA256] = WRAPPED_HMAC };

	return make(t, kinds[algorithm], NULL, ret, err);
}

enum err_code
tpm_object_import(struct tpm *t, const struct bytes *key, struct tpmd_object *ret, struct err *err)
{
	if (key->len == 0 || key->len > TPMD_HMAC_KEY_MAX)
		return err_set(
		    err, ERR_INVALID, "key: an HMAC key has 1 to %d bytes", TPMD_HMAC_KEY_MAX);
	return make(t, WRAPPED_HMAC, key, ret, err);
}

enum err_code
tpm_object_seal(struct tpm *t, const struct bytes *data, struct tpmd_object *ret, struct err *err)
{
	if (data->len == 0 || data->len > TPMD_SEAL_MAX)
		return err_set(
		    err, ERR_INVALID, "data: 1 to %d bytes can be sealed", TPMD_SEAL_MAX);
	return make(t, WRAPPED_SEALED, data, ret, err);
}

/* --- use */

struct use_call {
	struct wrapped wrapped;
	enum tpmd_mech mech;
	const struct bytes *data;
	struct bytes out;
	TPMT_SIGNATURE *ecdsa; /* what `out` is made of when the next one has the TPM */
	bool begun;	       /* the command was sent ahead, with this result */
	TSS2_RC rc;
};

static enum err_code
ecdsa_der(const TPMT_SIGNATURE *from, struct bytes *ret, struct err *err)
{
	const TPMS_SIGNATURE_ECC *in = &from->signature.ecdsa;
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	uint8_t *der = NULL;
	enum err_code code;
	int len = 0;

	if (from->sigAlg != TPM2_ALG_ECDSA)
		return err_set(err, ERR_CRYPTO, "the TPM gave no ECDSA signature");
	sig = ECDSA_SIG_new();
	r = BN_bin2bn(in->signatureR.buffer, in->signatureR.size, NULL);
	s = BN_bin2bn(in->signatureS.buffer, in->signatureS.size, NULL);
	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		r = s = NULL; /* they are the signature's now */
		len = i2d_ECDSA_SIG(sig, &der);
	}
	code = len > 0 ? bytes_copy(ret, der, (size_t)len, err)
		       : err_openssl(err, "could not write the signature");
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return code;
}

static TSS2_RC
ecdsa_send(struct tpm *t, ESYS_TR key, const struct bytes *digest)
{
	const TPMT_SIG_SCHEME scheme = { .scheme = TPM2_ALG_ECDSA,
		.details.ecdsa.hashAlg = TPM2_ALG_SHA256 };
	const TPMT_TK_HASHCHECK no_ticket = { .tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL };
	/* a TPM wants as many bytes as the hash has: longer ones are cut as ECDSA does it, before shorter ones zeros change nothing */
	TPM2B_DIGEST in = { .size = P256_LEN };
	size_t len = digest->len < P256_LEN ? digest->len : P256_LEN;

	memcpy(in.buffer + P256_LEN - len, digest->data, len);
	return Esys_Sign_Async(
	    t->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &in, &scheme, &no_ticket);
}

/* Send it ahead, where the key is loaded. */
static void
sign_begin(struct tpm *t, void *ctx)
{
	struct use_call *call = ctx;

	if (call->mech != TPMD_SIGN_ECDSA || !tpm_is_held(t, &call->wrapped))
		return;
	call->begun = true;
	call->rc = ecdsa_send(t, t->held.object, call->data);
}

static enum err_code
ecdsa(struct tpm *t, ESYS_TR key, struct use_call *call, struct err *err)
{
	TSS2_RC rc = call->begun ? call->rc : ecdsa_send(t, key, call->data);

	call->begun = false;
	if (!rc)
		do /* as Esys_Sign does, where the TPM wants the command once more */
			rc = Esys_Sign_Finish(t->esys, &call->ecdsa);
		while ((rc & ~TSS2_RC_LAYER_MASK) == TSS2_BASE_RC_TRY_AGAIN);
	return rc ? tpm_fail(t, "could not sign", rc, err) : ERR_OK;
}

static enum err_code
rsa_raw(struct tpm *t, ESYS_TR key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	const TPMT_RSA_DECRYPT no_padding = { .scheme = TPM2_ALG_NULL };
	const TPM2B_DATA no_label = { 0 };
	AUTO(tpm_freep) TPM2B_PUBLIC_KEY_RSA *out = NULL;
	TPM2B_PUBLIC_KEY_RSA in = { .size = (UINT16)data->len };
	TSS2_RC rc;

	memcpy(in.buffer, data->data, data->len);
	rc = Esys_RSA_Decrypt(t->esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &in,
	    &no_padding, &no_label, &out);
	if (rc)
		return tpm_fail(t, "could not do the RSA operation", rc, err);
	if (out->size > TPMD_RSA_LEN)
		return err_set(err, ERR_CRYPTO, "the TPM gave %u bytes", out->size);
	if (bytes_alloc(ret, TPMD_RSA_LEN, err))
		return err->code;
	memcpy(ret->data + TPMD_RSA_LEN - out->size, out->buffer, out->size);
	return ERR_OK;
}

/* What goes in and comes out may be a derived key's, or that key. */
static enum err_code
hmac(struct tpm *t, ESYS_TR key, struct use_call *call, struct err *err)
{
	ESYS_TR *session = &t->held.session;
	enum err_code code;

	/* it takes many times longer to start one than to use it */
	if (!t->bus_is_private && *session == ESYS_TR_NONE &&
	    tpm_private_session(t, TPM_BOTH_WAYS, session, err))
		return err->code;
	code = tpm_hmac(
	    t, key, t->bus_is_private ? ESYS_TR_PASSWORD : *session, call->data, &call->out, err);
	tpm_scrub(t);
	return code;
}

static enum err_code
sign_work(struct tpm *t, void *ctx, struct err *err)
{
	struct use_call *call = ctx;
	ESYS_TR key;

	if (tpm_hold(t, &call->wrapped, &key, err))
		return err->code;
	switch (call->mech) {
	case TPMD_SIGN_ECDSA:
		return ecdsa(t, key, call, err);
	case TPMD_SIGN_HMAC:
		return hmac(t, key, call, err);
	default:
		return rsa_raw(t, key, call->data, &call->out, err);
	}
}

/* What is below the modulus is a number that the key can work on. */
static bool
is_below(const struct bytes *data, const TPM2B_PUBLIC_KEY_RSA *modulus)
{
	return memcmp(data->data, modulus->buffer, modulus->size) < 0;
}

static enum err_code
check_sign(const struct use_call *call, struct err *err)
{
	static const enum wrapped_kind fits[] = { [TPMD_SIGN_ECDSA] = WRAPPED_EC_P256,
		[TPMD_SIGN_HMAC] = WRAPPED_HMAC,
		[TPMD_SIGN_RSA_RAW] = WRAPPED_RSA_2048 };
	const struct bytes *data = call->data;

	if (call->wrapped.kind != fits[call->mech])
		return err_set(err, ERR_INVALID, "algorithm: the key does not fit it");
	if (call->mech == TPMD_SIGN_ECDSA && (data->len < DIGEST_MIN || data->len > DIGEST_MAX))
		return err_set(
		    err, ERR_INVALID, "data: a digest has %d to %d bytes", DIGEST_MIN, DIGEST_MAX);
	if (call->mech == TPMD_SIGN_RSA_RAW &&
	    (data->len != TPMD_RSA_LEN ||
		!is_below(data, &call->wrapped.area.publicArea.unique.rsa)))
		return err_set(
		    err, ERR_INVALID, "data: not %d bytes below the modulus", TPMD_RSA_LEN);
	return ERR_OK;
}

enum err_code
tpm_object_sign(struct tpm *t, const struct tpmd_object *object, enum tpmd_mech mech,
    const struct bytes *data, struct bytes *ret_signature, struct err *err)
{
	struct use_call call = { .mech = mech, .data = data };
	enum err_code code;

	if (wrapped_parse(object, &call.wrapped, err) || check_sign(&call, err) ||
	    tpm_with(t, sign_begin, sign_work, &call, err))
		return err->code;
	code = call.ecdsa ? ecdsa_der(call.ecdsa, &call.out, err) : ERR_OK;
	Esys_Free(call.ecdsa);
	if (!code)
		*ret_signature = bytes_take(&call.out);
	return code;
}

static enum err_code
unseal_loaded(struct tpm *t, ESYS_TR object, struct bytes *ret, struct err *err)
{
	AUTO(tpm_freep) TPM2B_SENSITIVE_DATA *data = NULL;
	ESYS_TR session = ESYS_TR_NONE;
	enum err_code code;
	TSS2_RC rc;

	if (tpm_private_session(t, TPMA_SESSION_ENCRYPT, &session, err))
		return err->code;
	rc = Esys_Unseal(t->esys, object, session, ESYS_TR_NONE, ESYS_TR_NONE, &data);
	if (rc)
		(void)tpm_fail(t, "could not unseal", rc, err);
	tpm_flush(t, &session);
	if (rc)
		return err->code;
	code = bytes_copy(ret, data->buffer, data->size, err);
	mem_wipe(data, sizeof(*data));
	return code;
}

static enum err_code
unseal_work(struct tpm *t, void *ctx, struct err *err)
{
	struct use_call *call = ctx;
	ESYS_TR object = ESYS_TR_NONE;
	enum err_code code;

	tpm_held_drop(t);
	if (tpm_load(t, &call->wrapped, &object, err))
		return err->code;
	code = unseal_loaded(t, object, &call->out, err);
	tpm_flush(t, &object);
	tpm_scrub(t);
	return code;
}

enum err_code
tpm_object_unseal(
    struct tpm *t, const struct tpmd_object *object, struct bytes *ret_data, struct err *err)
{
	struct use_call call = { 0 };

	if (wrapped_parse(object, &call.wrapped, err))
		return err->code;
	if (call.wrapped.kind != WRAPPED_SEALED)
		return err_set(err, ERR_INVALID, "public: not of sealed data");
	if (tpm_with(t, NULL, unseal_work, &call, err))
		return err->code;
	*ret_data = bytes_take(&call.out);
	return ERR_OK;
}
