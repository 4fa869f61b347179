#include "wire/keyd.h"

#include <string.h>

#include "base/buf.h"

const char *const keyd_mech_names[] = { "ECDSA", "HMAC-SHA256", "EdDSA", NULL };
const char *const keyd_cipher_names[] = { "AEAD", "RSA-PKCS1", "RSA-NO-PADDING", NULL };

static const struct {
	const char *name;
	unsigned bit;
} usages[] = {
	{ "sign", KEYD_USE_SIGN },
	{ "derive", KEYD_USE_DERIVE },
	{ "encrypt", KEYD_USE_ENCRYPT },
};

static unsigned
usage_bit(struct text word)
{
	for (size_t i = 0; i < ARRAY_LEN(usages); i++)
		if (text_equal(word, usages[i].name))
			return usages[i].bit;
	return 0;
}

static enum err_code
usage_parse(const char *in, void *ret, struct err *err)
{
	unsigned bits = 0, bit;

	for (;;) {
		size_t len = strcspn(in, ",");

		bit = usage_bit((struct text){ in, len });
		if (!bit)
			return err_set(
			    err, ERR_SYNTAX, "expected a comma list of derive, encrypt, sign");
		bits |= bit;
		if (in[len] == '\0')
			break;
		in += len + 1;
	}
	*(unsigned *)ret = bits;
	return ERR_OK;
}

static enum err_code
usage_print(const void *value, char **ret, struct err *err)
{
	unsigned bits = *(const unsigned *)value;
	AUTO(buf_done) struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(usages); i++)
		if (bits & usages[i].bit)
			buf_printf(&out, "%s%s", out.len ? "," : "", usages[i].name);
	return buf_take_string(&out, ret, err);
}

/* clang-format off */
FIELDS(keyd_create_key_req,
	STR        (key_id,                   "keyId",    REQUIRED),
	PARSE_PRINT(usage,                    "usage",    REQUIRED, usage_parse, usage_print, NULL),
	BYTES_OPT  (key_bytes, has_key_bytes, "keyBytes"));

FIELDS(keyd_create_key_pair_req,
	STR(key_id,               "keyId",               REQUIRED),
	STR(preferred_algorithms, "preferredAlgorithms", OPTIONAL | NULLS));

FIELDS(keyd_handle_msg,
	STR(key_handle, "keyHandle", REQUIRED));

FIELDS(keyd_move_req,
	STR(from, "from", REQUIRED));

FIELDS(keyd_parameter_resp,
	STR(value, "value", REQUIRED));

FIELDS(keyd_derive_req,
	STR  (base_key_handle, "baseKeyHandle",  REQUIRED),
	BYTES(derivation_data, "derivationData", REQUIRED));

FIELDS(keyd_export_resp,
	BYTES(key, "key", REQUIRED));

/* what a signature is made of, by enum keyd_mech */
FIELDS_ARM(sign_digest, keyd_sign_req,
	BYTES(data, "digest", REQUIRED));
FIELDS_ARM(sign_message, keyd_sign_req,
	BYTES(data, "message", REQUIRED));
static fields_fn *const sign_params[] = { sign_digest, sign_message, sign_message };

FIELDS(keyd_sign_req,
	STR   (key_handle, "keyHandle",  REQUIRED),
	ENUM  (mech,       "algorithm",  REQUIRED, keyd_mech_names),
	SELECT(mech,       "parameters", sign_params));

FIELDS(keyd_sign_resp,
	BYTES(signature, "signature", REQUIRED));

/* only AEAD has parameters */
FIELDS_ARM(encrypt_aead, keyd_encrypt_req,
	BYTES(iv,  "iv",  REQUIRED),
	BYTES(aad, "aad", REQUIRED));
static fields_fn *const encrypt_params[] = { encrypt_aead, NULL, NULL };

FIELDS(keyd_encrypt_req,
	STR   (key_handle, "keyHandle",  REQUIRED),
	ENUM  (cipher,     "algorithm",  REQUIRED, keyd_cipher_names),
	SELECT(cipher,     "parameters", encrypt_params),
	BYTES (plaintext,  "plaintext",  REQUIRED));

FIELDS(keyd_encrypt_resp,
	BYTES(ciphertext, "ciphertext", REQUIRED));

FIELDS_ARM(decrypt_aead, keyd_decrypt_req,
	BYTES(iv,  "iv",  REQUIRED),
	BYTES(aad, "aad", REQUIRED));
static fields_fn *const decrypt_params[] = { decrypt_aead, NULL, NULL };

FIELDS(keyd_decrypt_req,
	STR   (key_handle, "keyHandle",  REQUIRED),
	ENUM  (cipher,     "algorithm",  REQUIRED, keyd_cipher_names),
	SELECT(cipher,     "parameters", decrypt_params),
	BYTES (ciphertext, "ciphertext", REQUIRED));

FIELDS(keyd_decrypt_resp,
	BYTES(plaintext, "plaintext", REQUIRED));
/* clang-format on */
