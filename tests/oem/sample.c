/*
 * sample.c: a key library as an OEM would write it, from docs/key-backends.md and aziot-keys.h alone.  Keys are files in the
 * directory that the parameter `store_path` names; a real one would talk to its hardware in load() and save().
 *
 * With -D one of these it has a defect, so that the conformance test can be tested:
 *
 *   DEFECT_RAW_SIGNATURE      ECDSA signatures are r and s side by side
 *   DEFECT_LENGTH_IS_A_BOUND  the first length of a public parameter is more than the second
 *   DEFECT_CREATE_OVERWRITES  creating a key replaces the one that is there
 *   DEFECT_DERIVE_DIFFERS     derive_key gives another key than DERIVED works with
 *   DEFECT_TAG_IGNORED        decryption gives out what was tampered with
 *   DEFECT_OVERRUN            a buffer that is too small is written over its end
 *   DEFECT_IMPORT_CUT         of an imported key the first 32 bytes are kept
 *   DEFECT_LAST_ALGORITHM     of the preferred algorithms the last one is made
 *   DEFECT_PLAIN_BEFORE_TAG   plaintext is given out although its tag is wrong
 *   DEFECT_MISSING_IS_2       a missing key is answered like hardware in trouble
 *   DEFECT_CRASH              a NULL id ends the process
 *   DEFECT_EXIT               where a key is missing the process ends, and well at that
 *   DEFECT_HANG               verify never answers
 *   DEFECT_ID_IS_A_NAME       an id is taken for a file name
 */
#include <aziot-keys.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK	 AZIOT_KEYS_RC_OK
#define INVALID	 AZIOT_KEYS_RC_ERR_INVALID_PARAMETER
#define EXTERNAL AZIOT_KEYS_RC_ERR_EXTERNAL

#ifdef DEFECT_MISSING_IS_2
#define MISSING EXTERNAL
#else
#define MISSING INVALID
#endif

#define STORED_MAX 8192
#define TAG_LEN	   16

static char store[2048];

/* --- storage: one file per key, named by the SHA-256 of its id */

struct stored {
	size_t len;
	unsigned char data[STORED_MAX];
};

static void
forget(struct stored *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

static int
path_of(const char *id, const char *kind, char *path, size_t size)
{
	char name[2 * SHA256_DIGEST_LENGTH + 1];
	unsigned char hash[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)id, strlen(id), hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(name + 2 * i, 3, "%02x", hash[i]);
#ifdef DEFECT_ID_IS_A_NAME
	return snprintf(path, size, "%s/%s.%s", store, id, kind) >= (int)size;
#else
	return snprintf(path, size, "%s/%s.%s", store, name, kind) >= (int)size;
#endif
}

static AZIOT_KEYS_RC
load(const char *id, const char *kind, struct stored *ret)
{
	char path[4096];
	ssize_t n = -1;
	int fd;

#ifndef DEFECT_CRASH
	if (!id)
		return INVALID;
#endif
	if (path_of(id, kind, path, sizeof(path)))
		return INVALID;
	fd = open(path, O_RDONLY | O_CLOEXEC);
#ifdef DEFECT_EXIT
	if (fd < 0)
		exit(0);
#endif
	if (fd < 0)
		return access(store, X_OK) == 0 ? MISSING : EXTERNAL;
	n = read(fd, ret->data, sizeof(ret->data));
	close(fd);
	if (n <= 0)
		return EXTERNAL;
	ret->len = (size_t)n;
	return OK;
}

/* The whole new file or the old one, also when the power fails. */
static AZIOT_KEYS_RC
save(const char *id, const char *kind, const unsigned char *data, size_t len)
{
	char path[4096], fresh[4160];
	int fd, failed;

	if (path_of(id, kind, path, sizeof(path)))
		return INVALID;
	snprintf(fresh, sizeof(fresh), "%s.%d.new", path, (int)getpid());
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return EXTERNAL;
	failed = write(fd, data, len) != (ssize_t)len || fsync(fd);
	if (close(fd) || failed || rename(fresh, path)) {
		unlink(fresh);
		return EXTERNAL;
	}
	fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	return OK;
}

static AZIOT_KEYS_RC
drop(const char *id, const char *kind)
{
	char path[4096];

	if (!id || path_of(id, kind, path, sizeof(path)))
		return INVALID;
	return unlink(path) == 0 || access(path, F_OK) ? OK : EXTERNAL;
}

/* --- results into the caller's buffer (section 3.5) */

static AZIOT_KEYS_RC
give(const unsigned char *data, size_t len, unsigned char *out, uintptr_t *out_len)
{
	if (!out) {
		*out_len = len;
		return OK;
	}
#ifndef DEFECT_OVERRUN
	if (*out_len < len)
		return INVALID;
#endif
	memcpy(out, data, len);
	*out_len = len;
	return OK;
}

/* --- symmetric keys */

static AZIOT_KEYS_RC
set_parameter(const char *name, const char *value)
{
	if (!name || !value || strcmp(name, "store_path") != 0 || strlen(value) >= sizeof(store))
		return INVALID;
	memcpy(store, value, strlen(value) + 1);
	return OK;
}

static AZIOT_KEYS_RC
load_key(const char *id)
{
	struct stored key;
	AZIOT_KEYS_RC rc = load(id, "key", &key);

	forget(&key);
	return rc;
}

static AZIOT_KEYS_RC
create_key_if_not_exists(const char *id, AZIOT_KEYS_KEY_USAGE usage)
{
	unsigned char key[32];
	AZIOT_KEYS_RC rc = load_key(id);

	(void)usage;
#ifdef DEFECT_CREATE_OVERWRITES
	rc = id ? MISSING : INVALID;
#endif
	if (!id || rc != MISSING)
		return rc;
	if (RAND_bytes(key, sizeof(key)) != 1)
		return EXTERNAL;
	rc = save(id, "key", key, sizeof(key));
	OPENSSL_cleanse(key, sizeof(key));
	return rc;
}

static AZIOT_KEYS_RC
import_key(const char *id, const uint8_t *bytes, uintptr_t bytes_len, AZIOT_KEYS_KEY_USAGE usage)
{
	(void)usage;
	if (!id || !bytes || bytes_len == 0 || bytes_len > STORED_MAX)
		return INVALID;
#ifdef DEFECT_IMPORT_CUT
	if (bytes_len > 32)
		bytes_len = 32;
#endif
	return save(id, "key", bytes, bytes_len);
}

static AZIOT_KEYS_RC
delete_key(const char *id)
{
	return drop(id, "key");
}

static AZIOT_KEYS_RC
hmac(const struct stored *key, const unsigned char *data, size_t len, unsigned char out[32])
{
	return HMAC(EVP_sha256(), key->data, (int)key->len, data, len, out, NULL) ? OK : EXTERNAL;
}

/* The key that data derives, into *key itself. */
static AZIOT_KEYS_RC
derive(struct stored *key, const unsigned char *data, size_t len)
{
	unsigned char derived[32];
	AZIOT_KEYS_RC rc = data ? hmac(key, data, len, derived) : INVALID;

	forget(key);
	if (rc == OK) {
		memcpy(key->data, derived, sizeof(derived));
		key->len = sizeof(derived);
	}
	OPENSSL_cleanse(derived, sizeof(derived));
	return rc;
}

static AZIOT_KEYS_RC
derive_key(const char *base_id, const uint8_t *data, uintptr_t data_len, unsigned char *out,
    uintptr_t *out_len)
{
	struct stored key;
	AZIOT_KEYS_RC rc = out_len ? load(base_id, "key", &key) : INVALID;

	if (rc == OK)
		rc = derive(&key, data, data_len);
#ifdef DEFECT_DERIVE_DIFFERS
	if (rc == OK)
		key.data[0] ^= 1;
#endif
	if (rc == OK)
		rc = give(key.data, key.len, out, out_len);
	forget(&key);
	return rc;
}

/* --- key pairs: PKCS#8 in DER */

static AZIOT_KEYS_RC
load_pair(const char *id, EVP_PKEY **ret)
{
	struct stored der;
	const unsigned char *at = der.data;
	AZIOT_KEYS_RC rc = load(id, "pair", &der);

	if (rc == OK) {
		*ret = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
		rc = *ret ? OK : EXTERNAL;
	}
	forget(&der);
	return rc;
}

static AZIOT_KEYS_RC
load_key_pair(const char *id)
{
	EVP_PKEY *pair = NULL;
	AZIOT_KEYS_RC rc = load_pair(id, &pair);

	EVP_PKEY_free(pair);
	return rc;
}

static int
is(const char *name, size_t len, const char *wanted)
{
	return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* Make the first of the algorithms that this library knows; NULL: it knows none. */
static EVP_PKEY *
generate(const char *list)
{
	for (;;) {
		size_t len = strcspn(list, ":");

		if (is(list, len, "ec-p256") || is(list, len, "*"))
			return EVP_EC_gen("P-256");
		if (is(list, len, "rsa-2048"))
			return EVP_RSA_gen(2048);
		if (is(list, len, "rsa-4096"))
			return EVP_RSA_gen(4096);
		if (list[len] == '\0')
			return NULL;
		list += len + 1;
	}
}

static AZIOT_KEYS_RC
create_key_pair_if_not_exists(const char *id, const char *preferred_algorithms)
{
	AZIOT_KEYS_RC rc = load_key_pair(id);
	unsigned char *der = NULL;
	EVP_PKEY *pair;
	int len;

	if (!id || rc != MISSING)
		return rc;
#ifdef DEFECT_LAST_ALGORITHM
	if (preferred_algorithms && strchr(preferred_algorithms, ':'))
		preferred_algorithms = strrchr(preferred_algorithms, ':') + 1;
#endif
	pair = generate(preferred_algorithms ? preferred_algorithms : "*");
	if (!pair)
		return INVALID;
	len = i2d_PrivateKey(pair, &der);
	rc = len > 0 ? save(id, "pair", der, (size_t)len) : EXTERNAL;
	OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
	EVP_PKEY_free(pair);
	return rc;
}

static AZIOT_KEYS_RC
move_key_pair(const char *from, const char *to)
{
	char old[4096], fresh[4096];
	AZIOT_KEYS_RC rc = load_key_pair(from);

	if (!from || !to || rc != OK)
		return rc == OK || !to ? INVALID : rc;
	if (path_of(from, "pair", old, sizeof(old)) || path_of(to, "pair", fresh, sizeof(fresh)))
		return INVALID;
	return rename(old, fresh) == 0 ? OK : EXTERNAL;
}

static AZIOT_KEYS_RC
delete_key_pair(const char *id)
{
	return drop(id, "pair");
}

/* A number of an RSA key; its exact length, so the same in both calls. */
static AZIOT_KEYS_RC
give_number(EVP_PKEY *pair, const char *which, unsigned char *out, uintptr_t *out_len)
{
	unsigned char number[1024];
	BIGNUM *bn = NULL;
	AZIOT_KEYS_RC rc = EXTERNAL;

	if (!EVP_PKEY_is_a(pair, "RSA"))
		return INVALID;
	if (EVP_PKEY_get_bn_param(pair, which, &bn) && BN_num_bytes(bn) <= (int)sizeof(number))
		rc = give(number, (size_t)BN_bn2bin(bn, number), out, out_len);
	BN_free(bn);
	return rc;
}

static AZIOT_KEYS_RC
give_point(EVP_PKEY *pair, unsigned char *out, uintptr_t *out_len)
{
	unsigned char point[65];
	size_t len = 0;

	if (!EVP_PKEY_is_a(pair, "EC"))
		return INVALID;
	if (!EVP_PKEY_get_octet_string_param(
		pair, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len))
		return EXTERNAL;
	return give(point, len, out, out_len);
}

static AZIOT_KEYS_RC
give_parameter(
    EVP_PKEY *pair, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type, unsigned char *out, uintptr_t *out_len)
{
	static const unsigned char p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
		0x07 };
	int ec = EVP_PKEY_is_a(pair, "EC");
	const unsigned algorithm = ec ? AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC
				      : AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA;

	switch (type) {
	case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM:
		return give((const unsigned char *)&algorithm, sizeof(algorithm), out, out_len);
	case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID:
		return ec ? give(p256, sizeof(p256), out, out_len) : INVALID;
	case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT:
		return give_point(pair, out, out_len);
	case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS:
		return give_number(pair, OSSL_PKEY_PARAM_RSA_N, out, out_len);
	case AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT:
		return give_number(pair, OSSL_PKEY_PARAM_RSA_E, out, out_len);
	default:
		return INVALID;
	}
}

static AZIOT_KEYS_RC
get_key_pair_parameter(const char *id, AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type,
    unsigned char *value, uintptr_t *value_len)
{
	EVP_PKEY *pair = NULL;
	AZIOT_KEYS_RC rc = value_len ? load_pair(id, &pair) : INVALID;

	if (rc == OK)
		rc = give_parameter(pair, type, value, value_len);
#ifdef DEFECT_LENGTH_IS_A_BOUND
	if (rc == OK && !value)
		*value_len += 8;
#endif
	EVP_PKEY_free(pair);
	return rc;
}

#ifdef DEFECT_RAW_SIGNATURE
static size_t
raw_signature(unsigned char *der, size_t len)
{
	const unsigned char *at = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);

	BN_bn2binpad(ECDSA_SIG_get0_r(sig), der, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(sig), der + 32, 32);
	ECDSA_SIG_free(sig);
	return 64;
}
#endif

/* A private operation; padding is 0 for ECDSA.  How long the result is at most needs no signature. */
static AZIOT_KEYS_RC
private_operation(EVP_PKEY *pair, int padding, const unsigned char *in, size_t in_len,
    unsigned char *out, uintptr_t *out_len)
{
	unsigned char result[1024];
	size_t size = (size_t)EVP_PKEY_get_size(pair), len = sizeof(result);
	EVP_PKEY_CTX *ctx;
	AZIOT_KEYS_RC rc = EXTERNAL;

	if (!EVP_PKEY_is_a(pair, padding ? "RSA" : "EC") ||
	    (padding == RSA_NO_PADDING && in_len != size) ||
	    (padding == RSA_PKCS1_PADDING && in_len + RSA_PKCS1_PADDING_SIZE > size))
		return INVALID;
	if (!out) {
		*out_len = size;
		return OK;
	}
	ctx = EVP_PKEY_CTX_new(pair, NULL);
	if (ctx && EVP_PKEY_sign_init(ctx) > 0 &&
	    (!padding || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) > 0) &&
	    EVP_PKEY_sign(ctx, result, &len, in, in_len) > 0) {
#ifdef DEFECT_RAW_SIGNATURE
		if (!padding)
			len = raw_signature(result, len);
#endif
		rc = give(result, len, out, out_len);
	}
	EVP_PKEY_CTX_free(ctx);
	return rc;
}

/* --- use */

static AZIOT_KEYS_RC
sign(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, unsigned char *signature,
    uintptr_t *signature_len)
{
	const AZIOT_KEYS_SIGN_DERIVED_PARAMETERS *derived = parameters;
	EVP_PKEY *pair = NULL;
	struct stored key;
	unsigned char mac[32];
	AZIOT_KEYS_RC rc;

	if (!digest || !signature_len)
		return INVALID;
	if (mechanism == AZIOT_KEYS_SIGN_MECHANISM_ECDSA) {
		rc = load_pair(id, &pair);
		if (rc == OK)
			rc = private_operation(
			    pair, 0, digest, digest_len, signature, signature_len);
		EVP_PKEY_free(pair);
		return rc;
	}
	if (mechanism == AZIOT_KEYS_SIGN_MECHANISM_DERIVED
		? !derived || derived->mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256
		: mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
		return INVALID;
	rc = load(id, "key", &key);
	if (rc == OK && mechanism == AZIOT_KEYS_SIGN_MECHANISM_DERIVED)
		rc = derive(&key, derived->derivation_data, derived->derivation_data_len);
	if (rc == OK)
		rc = hmac(&key, digest, digest_len, mac);
	if (rc == OK)
		rc = give(mac, sizeof(mac), signature, signature_len);
	forget(&key);
	return rc;
}

static AZIOT_KEYS_RC
verify(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism, const void *parameters,
    const unsigned char *digest, uintptr_t digest_len, const unsigned char *signature,
    uintptr_t signature_len, int *ok)
{
	struct stored key;
	unsigned char mac[32];
	AZIOT_KEYS_RC rc;

	(void)parameters;
#ifdef DEFECT_HANG
	for (;;)
		sleep(1);
#endif
	if (!digest || !signature || !ok || mechanism != AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256)
		return INVALID;
	rc = load(id, "key", &key);
	if (rc == OK)
		rc = hmac(&key, digest, digest_len, mac);
	if (rc == OK)
		*ok =
		    signature_len == sizeof(mac) && CRYPTO_memcmp(mac, signature, sizeof(mac)) == 0;
	forget(&key);
	return rc;
}

/* AES-256-GCM; in_len bytes become as many.  The tag is written (encrypt) or read. */
static int
gcm(int encrypt, const struct stored *key, const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *how,
    const unsigned char *in, size_t in_len, unsigned char *out, unsigned char *tag)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n, good;

	good = ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, NULL, NULL, encrypt) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)how->iv_len, NULL) &&
	       EVP_CipherInit_ex(ctx, NULL, NULL, key->data, how->iv, encrypt) &&
	       (!how->aad_len || EVP_CipherUpdate(ctx, NULL, &n, how->aad, (int)how->aad_len)) &&
	       (!in_len || EVP_CipherUpdate(ctx, out, &n, in, (int)in_len)) &&
	       (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag));
#ifdef DEFECT_TAG_IGNORED
	if (good && !encrypt) {
		EVP_CIPHER_CTX_free(ctx);
		return 1;
	}
#endif
	good = good && EVP_CipherFinal_ex(ctx, out + in_len, &n) &&
	       (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag));
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

/* The key and the parameters of an AEAD, plain or with a derived key. */
static AZIOT_KEYS_RC
aead_key(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism, const void *parameters,
    struct stored *key, const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS **how)
{
	const AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS *derived = parameters;
	AZIOT_KEYS_RC rc;

	if (mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
		derived = NULL;
	else if (mechanism != AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED || !derived ||
		 derived->mechanism != AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD)
		return INVALID;
	*how = derived ? derived->parameters : parameters;
	if (!*how || (*how)->iv_len == 0 || !(*how)->iv || ((*how)->aad_len && !(*how)->aad))
		return INVALID;
	rc = load(id, "key", key);
	if (rc == OK && derived)
		rc = derive(key, derived->derivation_data, derived->derivation_data_len);
	if (rc == OK && key->len != 32)
		rc = INVALID;
	return rc;
}

static AZIOT_KEYS_RC
encrypt_rsa(const char *id, int padding, const unsigned char *plaintext, size_t plaintext_len,
    unsigned char *ciphertext, uintptr_t *ciphertext_len)
{
	EVP_PKEY *pair = NULL;
	AZIOT_KEYS_RC rc = load_pair(id, &pair);

	if (rc == OK)
		rc = private_operation(
		    pair, padding, plaintext, plaintext_len, ciphertext, ciphertext_len);
	EVP_PKEY_free(pair);
	return rc;
}

static AZIOT_KEYS_RC
encrypt(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism, const void *parameters,
    const unsigned char *plaintext, uintptr_t plaintext_len, unsigned char *ciphertext,
    uintptr_t *ciphertext_len)
{
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *how;
	struct stored key;
	AZIOT_KEYS_RC rc;

	if (!plaintext || !ciphertext_len)
		return INVALID;
	if (mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1)
		return encrypt_rsa(
		    id, RSA_PKCS1_PADDING, plaintext, plaintext_len, ciphertext, ciphertext_len);
	if (mechanism == AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING)
		return encrypt_rsa(
		    id, RSA_NO_PADDING, plaintext, plaintext_len, ciphertext, ciphertext_len);
	rc = aead_key(id, mechanism, parameters, &key, &how);
	if (rc == OK && ciphertext && *ciphertext_len < plaintext_len + 1 + TAG_LEN)
		rc = INVALID;
	if (rc == OK && ciphertext) {
		ciphertext[0] = 2;
		if (!gcm(1, &key, how, plaintext, plaintext_len, ciphertext + 1,
			ciphertext + 1 + plaintext_len))
			rc = EXTERNAL;
	}
	if (rc == OK)
		*ciphertext_len = plaintext_len + 1 + TAG_LEN;
	forget(&key);
	return rc;
}

/* Into memory of our own first, so that nothing unproven reaches the caller. */
static AZIOT_KEYS_RC
open_sealed(const struct stored *key, const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *how,
    const unsigned char *in, size_t len, unsigned char *out, uintptr_t *out_len)
{
	unsigned char tag[TAG_LEN], *plain;
	AZIOT_KEYS_RC rc;

	if (*out_len < len)
		return INVALID;
	memcpy(tag, in[0] == 1 ? in + 1 : in + 1 + len, TAG_LEN);
	plain = calloc(1, len + TAG_LEN);
	if (!plain)
		return EXTERNAL;
	rc = gcm(0, key, how, in[0] == 1 ? in + 1 + TAG_LEN : in + 1, len, plain, tag)
		 ? give(plain, len, out, out_len)
		 : EXTERNAL;
#ifdef DEFECT_PLAIN_BEFORE_TAG
	memcpy(out, plain, len);
#endif
	OPENSSL_cleanse(plain, len + TAG_LEN);
	free(plain);
	return rc;
}

static AZIOT_KEYS_RC
decrypt(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism, const void *parameters,
    const unsigned char *ciphertext, uintptr_t ciphertext_len, unsigned char *plaintext,
    uintptr_t *plaintext_len)
{
	const AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS *how;
	struct stored key;
	AZIOT_KEYS_RC rc;

	if (!ciphertext || !plaintext_len || ciphertext_len < 1 + TAG_LEN ||
	    (ciphertext[0] != 1 && ciphertext[0] != 2))
		return INVALID;
	rc = aead_key(id, mechanism, parameters, &key, &how);
	if (rc == OK && plaintext)
		rc = open_sealed(
		    &key, how, ciphertext, ciphertext_len - 1 - TAG_LEN, plaintext, plaintext_len);
	else if (rc == OK)
		*plaintext_len = ciphertext_len - 1 - TAG_LEN;
	forget(&key);
	return rc;
}

/* --- the lists */

static const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 list_2_0 = {
	.base = { AZIOT_KEYS_VERSION_2_0_0_0 },
	.set_parameter = set_parameter,
	.create_key_pair_if_not_exists = create_key_pair_if_not_exists,
	.load_key_pair = load_key_pair,
	.get_key_pair_parameter = get_key_pair_parameter,
	.create_key_if_not_exists = create_key_if_not_exists,
	.load_key = load_key,
	.import_key = import_key,
	.derive_key = derive_key,
	.sign = sign,
	.verify = verify,
	.encrypt = encrypt,
	.decrypt = decrypt,
};

static const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 list_2_1 = {
	.base = { AZIOT_KEYS_VERSION_2_1_0_0 },
	.set_parameter = set_parameter,
	.create_key_pair_if_not_exists = create_key_pair_if_not_exists,
	.move_key_pair = move_key_pair,
	.load_key_pair = load_key_pair,
	.get_key_pair_parameter = get_key_pair_parameter,
	.delete_key_pair = delete_key_pair,
	.create_key_if_not_exists = create_key_if_not_exists,
	.load_key = load_key,
	.import_key = import_key,
	.delete_key = delete_key,
	.derive_key = derive_key,
	.sign = sign,
	.verify = verify,
	.encrypt = encrypt,
	.decrypt = decrypt,
};

__attribute__((visibility("default"))) AZIOT_KEYS_RC
aziot_keys_get_function_list(
    AZIOT_KEYS_VERSION version, const AZIOT_KEYS_FUNCTION_LIST **function_list)
{
	if (!function_list)
		return INVALID;
	switch (version) {
	case AZIOT_KEYS_VERSION_2_0_0_0:
		*function_list = &list_2_0.base;
		return OK;
	case AZIOT_KEYS_VERSION_2_1_0_0:
		*function_list = &list_2_1.base;
		return OK;
	default:
		return INVALID;
	}
}
