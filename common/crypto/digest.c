#include "crypto/digest.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "base/buf.h"

/*
 * Fetched once and then only read: fetching costs more than hashing a short message (design/performance.md).  The HMAC context
 * serves as a template under an empty key.  Each call works on a copy of its own, which libcrypto wipes when it is freed, so
 * no key outlives its call and threads share nothing that changes.
 */
static struct {
	EVP_MD *sha256;
	EVP_MAC_CTX *hmac;
} kept;
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;

static void
fetch_kept(void)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	kept.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	kept.hmac = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	if (kept.hmac && EVP_MAC_init(kept.hmac, (const unsigned char *)"", 0, params) != 1) {
		EVP_MAC_CTX_free(kept.hmac);
		kept.hmac = NULL;
	}
}

static void
mac_ctxp(EVP_MAC_CTX **ctx)
{
	EVP_MAC_CTX_free(*ctx);
}

enum err_code
digest_sha256(const void *data, size_t len, uint8_t out[SHA256_LEN], struct err *err)
{
	pthread_once(&kept_once, fetch_kept);
	if (!kept.sha256 || EVP_Digest(data, len, out, NULL, kept.sha256, NULL) != 1)
		return err_openssl(err, "SHA-256");
	return ERR_OK;
}

enum err_code
digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_LEN], struct err *err)
{
	AUTO(mac_ctxp) EVP_MAC_CTX *ctx = NULL;
	const uint8_t *bytes = key_len ? key : (const uint8_t *)"";
	size_t out_len;

	pthread_once(&kept_once, fetch_kept);
	ctx = kept.hmac ? EVP_MAC_CTX_dup(kept.hmac) : NULL;
	if (!ctx || EVP_MAC_init(ctx, bytes, key_len, NULL) != 1 ||
	    EVP_MAC_update(ctx, data, len) != 1 ||
	    EVP_MAC_final(ctx, out, &out_len, SHA256_LEN) != 1)
		return err_openssl(err, "HMAC-SHA256");
	return ERR_OK;
}

enum err_code
digest_random(void *out, size_t len, struct err *err)
{
	if (len > INT_MAX || RAND_priv_bytes(out, (int)len) != 1)
		return err_openssl(err, "random numbers");
	return ERR_OK;
}

void
digest_hex(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[data[i] >> 4];
		*out++ = digits[data[i] & 0xf];
	}
	*out = '\0';
}

static bool
is_ascii_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

enum err_code
digest_file_name(const char *id, const char *suffix, char **ret, struct err *err)
{
	AUTO(buf_done) struct buf name = { .max = NAME_MAX };
	char hex[2 * SHA256_LEN + 1];
	uint8_t hash[SHA256_LEN];
	enum err_code code;

	if (digest_sha256(id, strlen(id), hash, err))
		return err->code;
	digest_hex(hash, sizeof(hash), hex);
	for (const char *c = id; *c; c++)
		if (is_ascii_alnum(*c))
			buf_add(&name, c, 1);
	buf_printf(&name, "-%s%s", hex, suffix);
	code = buf_take_string(&name, ret, err);
	if (code == ERR_INVALID)
		return err_set(err, ERR_INVALID, "id is too long for a file name");
	return code;
}

enum err_code
err_openssl(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	ERR_clear_error();
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return err_nomem(err);
	return err_set(err, ERR_CRYPTO, "%s: %s", what, reason ? reason : "libcrypto failed");
}
