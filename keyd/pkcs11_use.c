#include "keyd/pkcs11_use.h"

#include "crypto/digest.h"

#define FRAME	0x02
#define TAG_LEN 16

/* Modules take a NULL for a question about lengths, even where there is nothing to hand over. */
static unsigned char *
pointer(const void *data)
{
	static const unsigned char nothing;

	return (unsigned char *)(uintptr_t)(data ? data : &nothing);
}

enum err_code
pkcs11_sign(struct pkcs11_session *s, const struct pkcs11_signer *by, struct text data, size_t max,
    struct bytes *ret, struct err *err)
{
	struct ck_mechanism m = { .mechanism = by->mechanism };
	AUTO(bytes_done) struct bytes out = { 0 };
	unsigned long len = max;
	ck_rv_t rv;

	if (bytes_alloc(&out, max, err))
		return err->code;
	rv = s->calls->C_SignInit(s->handle, &m, by->key);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_SignInit", rv);
	if (by->confirm && pkcs11_session_confirm(s, err))
		return err->code;
	rv = s->calls->C_Sign(s->handle, pointer(data.data), data.len, out.data, &len);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_Sign", rv);
	if (len == 0 || len > max)
		return err_set(err, ERR_PROTOCOL, "C_Sign: a signature of %lu bytes", len);
	out.len = len;
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
pkcs11_hmac(struct pkcs11_session *s, ck_object_handle_t key, struct text data, struct bytes *ret,
    struct err *err)
{
	const struct pkcs11_signer by = { .key = key, .mechanism = CKM_SHA256_HMAC };
	AUTO(bytes_done) struct bytes out = { 0 };

	if (pkcs11_sign(s, &by, data, SHA256_LEN, &out, err))
		return err->code;
	if (out.len != SHA256_LEN)
		return err_set(err, ERR_PROTOCOL, "C_Sign: an HMAC of %zu bytes", out.len);
	*ret = bytes_take(&out);
	return ERR_OK;
}

static struct ck_gcm_params
gcm_params(const struct bytes *iv, const struct bytes *aad)
{
	return (struct ck_gcm_params){
		.iv_ptr = pointer(iv->data),
		.iv_len = iv->len,
		.iv_bits = iv->len * 8,
		.aad_ptr = pointer(aad->data),
		.aad_len = aad->len,
		.tag_bits = TAG_LEN * 8,
	};
}

static enum err_code
wrong_length(const char *call, struct err *err)
{
	return err_set(err, ERR_PROTOCOL, "%s: an answer of a length that cannot be", call);
}

enum err_code
pkcs11_seal(struct pkcs11_session *s, ck_object_handle_t key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *plaintext, struct bytes *ret, struct err *err)
{
	struct ck_gcm_params params = gcm_params(iv, aad);
	struct ck_mechanism m = { CKM_AES_GCM, &params, sizeof(params) };
	AUTO(bytes_done) struct bytes out = { 0 };
	unsigned long len = plaintext->len + TAG_LEN;
	ck_rv_t rv;

	if (iv->len == 0)
		return err_set(err, ERR_CRYPTO, "the IV is empty");
	if (bytes_alloc(&out, 1 + len, err))
		return err->code;
	out.data[0] = FRAME;
	rv = s->calls->C_EncryptInit(s->handle, &m, key);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_EncryptInit", rv);
	rv = s->calls->C_Encrypt(
	    s->handle, pointer(plaintext->data), plaintext->len, out.data + 1, &len);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_Encrypt", rv);
	if (len != plaintext->len + TAG_LEN)
		return wrong_length("C_Encrypt", err);
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
pkcs11_open(struct pkcs11_session *s, ck_object_handle_t key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *ciphertext, struct bytes *ret, struct err *err)
{
	struct ck_gcm_params params = gcm_params(iv, aad);
	struct ck_mechanism m = { CKM_AES_GCM, &params, sizeof(params) };
	AUTO(bytes_done) struct bytes out = { 0 };
	unsigned long len;
	ck_rv_t rv;

	if (ciphertext->len < 1 + TAG_LEN || ciphertext->data[0] != FRAME)
		return err_set(err, ERR_INVALID, "the ciphertext has no frame of this system");
	if (iv->len == 0)
		return err_set(err, ERR_CRYPTO, "the IV is empty");
	/* room for the tag as well: some modules want as much as comes in */
	len = ciphertext->len;
	if (bytes_alloc(&out, len, err))
		return err->code;
	rv = s->calls->C_DecryptInit(s->handle, &m, key);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_DecryptInit", rv);
	rv = s->calls->C_Decrypt(
	    s->handle, ciphertext->data + 1, ciphertext->len - 1, out.data, &len);
	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_Decrypt", rv);
	if (len != ciphertext->len - 1 - TAG_LEN)
		return wrong_length("C_Decrypt", err);
	out.len = len;
	*ret = bytes_take(&out);
	return ERR_OK;
}
