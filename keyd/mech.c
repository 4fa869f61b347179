#include "keyd/mech.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "crypto/digest.h"
#include "keyd/spares.h"

#define AEAD_KEY_LEN 32
#define AEAD_TAG_LEN 16
enum { AEAD_TAG_FIRST = 1, AEAD_TAG_LAST = 2 }; /* the version byte in front */

struct mech {
	EVP_MAC *hmac;
	EVP_CIPHER *gcm;
};

struct mech_hmac {
	EVP_MAC_CTX *keyed;   /* read-only once made; copied where there is no spare */
	struct spares spares; /* copies of it */
};

enum err_code
mech_new(struct mech **ret, struct err *err)
{
	struct mech *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(err);
	m->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	m->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (!m->hmac || !m->gcm) {
		mech_free(m);
		return err_openssl(err, "could not fetch HMAC and AES-256-GCM");
	}
	*ret = m;
	return ERR_OK;
}

void
mech_free(struct mech *m)
{
	if (!m)
		return;
	EVP_MAC_free(m->hmac);
	EVP_CIPHER_free(m->gcm);
	free(m);
}

/* --- HMAC-SHA256 */

enum err_code
mech_hmac_new(
    const struct mech *m, const struct bytes *key, struct mech_hmac **ret, struct err *err)
{
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					  OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_END };
	struct mech_hmac *h = calloc(1, sizeof(*h));

	if (!h)
		return err_nomem(err);
	h->keyed = EVP_MAC_CTX_new(m->hmac);
	if (!h->keyed || !EVP_MAC_init(h->keyed, key->data, key->len, params)) {
		mech_hmac_free(h);
		return err_openssl(err, "could not key HMAC-SHA256");
	}
	*ret = h;
	return ERR_OK;
}

void
mech_hmac_free(struct mech_hmac *h)
{
	EVP_MAC_CTX *spare;

	if (!h)
		return;
	while ((spare = spares_take(&h->spares)))
		EVP_MAC_CTX_free(spare);
	EVP_MAC_CTX_free(h->keyed);
	free(h);
}

enum err_code
mech_hmac_sign(struct mech_hmac *h, const struct bytes *data, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	EVP_MAC_CTX *ctx;
	bool done;

	if (bytes_alloc(&out, MECH_HMAC_LEN, err))
		return err->code;
	ctx = spares_take(&h->spares);
	if (!ctx)
		ctx = EVP_MAC_CTX_dup(h->keyed);
	/* back to the keyed state, without a key as the context has it */
	done = ctx && EVP_MAC_init(ctx, NULL, 0, NULL) &&
	       EVP_MAC_update(ctx, data->data, data->len) &&
	       EVP_MAC_final(ctx, out.data, &out.len, out.len);
	if (!done || !spares_give(&h->spares, ctx))
		EVP_MAC_CTX_free(ctx);
	if (!done)
		return err_openssl(err, "HMAC-SHA256 failed");
	*ret = bytes_take(&out);
	return ERR_OK;
}

/* --- AES-256-GCM */

static void
cipher_ctxp(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}

/* A context with key, IV and additional data in it; encrypt is 1 or 0. */
static enum err_code
aead_begin(const struct mech *m, int encrypt, const struct bytes *key, const struct bytes *iv,
    const struct bytes *aad, EVP_CIPHER_CTX **ret, struct err *err)
{
	AUTO(cipher_ctxp) EVP_CIPHER_CTX *ctx = NULL;
	int len;

	if (key->len != AEAD_KEY_LEN)
		return err_set(err, ERR_INVALID, "the key is not of %d bytes", AEAD_KEY_LEN);
	if (iv->len == 0)
		return err_set(err, ERR_CRYPTO, "the IV is empty");
	if (iv->len > INT_MAX || aad->len > INT_MAX)
		return err_set(err, ERR_INVALID, "IV or additional data is too long");
	ctx = EVP_CIPHER_CTX_new();
	if (!ctx || !EVP_CipherInit_ex2(ctx, m->gcm, NULL, NULL, encrypt, NULL) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv->len, NULL) <= 0 ||
	    !EVP_CipherInit_ex2(ctx, NULL, key->data, iv->data, encrypt, NULL) ||
	    (aad->len && !EVP_CipherUpdate(ctx, NULL, &len, aad->data, (int)aad->len)))
		return err_openssl(err, "could not start AES-256-GCM");
	*ret = ctx;
	ctx = NULL;
	return ERR_OK;
}

/* Run len bytes through; also with none, where libcrypto would take NULL for additional data. */
static int
aead_update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t len)
{
	int n;

	return len <= INT_MAX && (len == 0 || EVP_CipherUpdate(ctx, out, &n, in, (int)len));
}

enum err_code
mech_aead_seal(const struct mech *m, const struct bytes *key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *plaintext, struct bytes *ret, struct err *err)
{
	AUTO(cipher_ctxp) EVP_CIPHER_CTX *ctx = NULL;
	AUTO(bytes_done) struct bytes out = { 0 };
	uint8_t *body, *tag;
	int n;

	if (aead_begin(m, 1, key, iv, aad, &ctx, err) ||
	    bytes_alloc(&out, 1 + plaintext->len + AEAD_TAG_LEN, err))
		return err->code;
	out.data[0] = AEAD_TAG_LAST;
	body = out.data + 1;
	tag = body + plaintext->len;
	if (!aead_update(ctx, body, plaintext->data, plaintext->len) ||
	    !EVP_CipherFinal_ex(ctx, tag, &n) ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, tag) <= 0)
		return err_openssl(err, "AES-256-GCM failed");
	*ret = bytes_take(&out);
	return ERR_OK;
}

enum err_code
mech_aead_open(const struct mech *m, const struct bytes *key, const struct bytes *iv,
    const struct bytes *aad, const struct bytes *ciphertext, struct bytes *ret, struct err *err)
{
	AUTO(cipher_ctxp) EVP_CIPHER_CTX *ctx = NULL;
	AUTO(bytes_done) struct bytes out = { 0 };
	const uint8_t *body, *tag;
	size_t len;
	int n;

	if (ciphertext->len < 1 + AEAD_TAG_LEN)
		return err_set(err, ERR_INVALID, "the ciphertext is too short");
	len = ciphertext->len - 1 - AEAD_TAG_LEN;
	body = ciphertext->data + 1;
	switch (ciphertext->data[0]) {
	case AEAD_TAG_FIRST:
		tag = body;
		body += AEAD_TAG_LEN;
		break;
	case AEAD_TAG_LAST:
		tag = body + len;
		break;
	default:
		return err_set(err, ERR_INVALID, "the ciphertext is of an unknown version");
	}
	if (aead_begin(m, 0, key, iv, aad, &ctx, err) || bytes_alloc(&out, len, err))
		return err->code;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, (void *)tag) <= 0 ||
	    !aead_update(ctx, out.data, body, len) || !EVP_CipherFinal_ex(ctx, out.data + len, &n))
		return err_openssl(err, "the ciphertext does not verify");
	*ret = bytes_take(&out);
	return ERR_OK;
}
