/*
 * aziot-keys.h: the C interface between keyd and a library that keeps its keys.
 *
 * A library exports one function, aziot_keys_get_function_list, and keeps keys wherever it likes.  keyd hosts it as a backend of
 * type "plugin".  docs/key-backends.md says what each function has to do; this file says what each looks like.  Every value
 * and the order of every structure are fixed for good.
 *
 * Interface and names are those of the key library of the IoT Identity Service, so that a library for one serves the other.
 */
#ifndef AZIOT_KEYS_H
#define AZIOT_KEYS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- results */

typedef unsigned int AZIOT_KEYS_RC;

#define AZIOT_KEYS_RC_OK		    0
#define AZIOT_KEYS_RC_ERR_INVALID_PARAMETER 1 /* the caller's fault; also: there is no such key */
#define AZIOT_KEYS_RC_ERR_EXTERNAL	    2 /* storage, token, hardware: not the caller's fault */

/* --- versions of the interface */

typedef unsigned int AZIOT_KEYS_VERSION;

#define AZIOT_KEYS_VERSION_2_0_0_0 0x02000000u
#define AZIOT_KEYS_VERSION_2_1_0_0 0x02010000u

/* --- public parameters of a key pair */

typedef unsigned int AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE;

#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_ALGORITHM \
	1 /* one AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM */
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_CURVE_OID 2 /* OBJECT IDENTIFIER in DER */
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_EC_POINT	3 /* octets of the point, bare */
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_MODULUS	4 /* unsigned, big-endian */
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE_RSA_EXPONENT 5 /* unsigned, big-endian */

typedef unsigned int AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM;

#define AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_EC  1
#define AZIOT_KEYS_KEY_PAIR_PARAMETER_ALGORITHM_RSA 2

/* --- what a symmetric key is for: bits; DERIVE and SIGN are the same one */

typedef unsigned int AZIOT_KEYS_KEY_USAGE;

#define AZIOT_KEYS_KEY_USAGE_DERIVE  0x01u
#define AZIOT_KEYS_KEY_USAGE_SIGN    0x01u
#define AZIOT_KEYS_KEY_USAGE_ENCRYPT 0x10u

/* --- sign and verify */

typedef unsigned int AZIOT_KEYS_SIGN_MECHANISM;

#define AZIOT_KEYS_SIGN_MECHANISM_ECDSA	      1 /* key pair; no parameters */
#define AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256 2 /* key; no parameters */
#define AZIOT_KEYS_SIGN_MECHANISM_DERIVED     3 /* base key; AZIOT_KEYS_SIGN_DERIVED_PARAMETERS */

/* Sign with the key that derivation_data derives, by `mechanism` with `parameters`. */
typedef struct {
	const unsigned char *derivation_data;
	uintptr_t derivation_data_len;
	AZIOT_KEYS_SIGN_MECHANISM mechanism;
	const void *parameters;
} AZIOT_KEYS_SIGN_DERIVED_PARAMETERS;

/* --- encrypt and decrypt */

typedef unsigned int AZIOT_KEYS_ENCRYPT_MECHANISM;

#define AZIOT_KEYS_ENCRYPT_MECHANISM_AEAD	    1 /* key; AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS */
#define AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_PKCS1	    2 /* key pair; no parameters; encrypt only */
#define AZIOT_KEYS_ENCRYPT_MECHANISM_RSA_NO_PADDING 3 /* key pair; no parameters; encrypt only */
#define AZIOT_KEYS_ENCRYPT_MECHANISM_DERIVED	    4 /* base key; AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS */

/* A pointer whose length is 0 may have any value. */
typedef struct {
	const unsigned char *iv;
	uintptr_t iv_len;
	const unsigned char *aad;
	uintptr_t aad_len;
} AZIOT_KEYS_ENCRYPT_AEAD_PARAMETERS;

/* Encrypt or decrypt with the key that derivation_data derives, by `mechanism` with `parameters`. */
typedef struct {
	const unsigned char *derivation_data;
	uintptr_t derivation_data_len;
	AZIOT_KEYS_ENCRYPT_MECHANISM mechanism;
	const void *parameters;
} AZIOT_KEYS_ENCRYPT_DERIVED_PARAMETERS;

/* --- functions */

typedef AZIOT_KEYS_RC AZIOT_KEYS_SET_PARAMETER(const char *name, const char *value);

typedef AZIOT_KEYS_RC AZIOT_KEYS_CREATE_KEY_PAIR_IF_NOT_EXISTS(
    const char *id, const char *preferred_algorithms);
typedef AZIOT_KEYS_RC AZIOT_KEYS_MOVE_KEY_PAIR(const char *from, const char *to);
typedef AZIOT_KEYS_RC AZIOT_KEYS_LOAD_KEY_PAIR(const char *id);
typedef AZIOT_KEYS_RC AZIOT_KEYS_GET_KEY_PAIR_PARAMETER(const char *id,
    AZIOT_KEYS_KEY_PAIR_PARAMETER_TYPE type, unsigned char *value, uintptr_t *value_len);
typedef AZIOT_KEYS_RC AZIOT_KEYS_DELETE_KEY_PAIR(const char *id);

typedef AZIOT_KEYS_RC AZIOT_KEYS_CREATE_KEY_IF_NOT_EXISTS(
    const char *id, AZIOT_KEYS_KEY_USAGE usage);
typedef AZIOT_KEYS_RC AZIOT_KEYS_LOAD_KEY(const char *id);
typedef AZIOT_KEYS_RC AZIOT_KEYS_IMPORT_KEY(
    const char *id, const uint8_t *bytes, uintptr_t bytes_len, AZIOT_KEYS_KEY_USAGE usage);
typedef AZIOT_KEYS_RC AZIOT_KEYS_DELETE_KEY(const char *id);
typedef AZIOT_KEYS_RC AZIOT_KEYS_DERIVE_KEY(const char *base_id, const uint8_t *derivation_data,
    uintptr_t derivation_data_len, unsigned char *derived_key, uintptr_t *derived_key_len);

typedef AZIOT_KEYS_RC AZIOT_KEYS_SIGN(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism,
    const void *parameters, const unsigned char *digest, uintptr_t digest_len,
    unsigned char *signature, uintptr_t *signature_len);
typedef AZIOT_KEYS_RC AZIOT_KEYS_VERIFY(const char *id, AZIOT_KEYS_SIGN_MECHANISM mechanism,
    const void *parameters, const unsigned char *digest, uintptr_t digest_len,
    const unsigned char *signature, uintptr_t signature_len, int *ok);
typedef AZIOT_KEYS_RC AZIOT_KEYS_ENCRYPT(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism,
    const void *parameters, const unsigned char *plaintext, uintptr_t plaintext_len,
    unsigned char *ciphertext, uintptr_t *ciphertext_len);
typedef AZIOT_KEYS_RC AZIOT_KEYS_DECRYPT(const char *id, AZIOT_KEYS_ENCRYPT_MECHANISM mechanism,
    const void *parameters, const unsigned char *ciphertext, uintptr_t ciphertext_len,
    unsigned char *plaintext, uintptr_t *plaintext_len);

/* --- lists of functions: what stands in front of each says which list it is */

typedef struct {
	AZIOT_KEYS_VERSION version;
} AZIOT_KEYS_FUNCTION_LIST;

typedef struct {
	AZIOT_KEYS_FUNCTION_LIST base; /* version is AZIOT_KEYS_VERSION_2_0_0_0 */
	AZIOT_KEYS_SET_PARAMETER *set_parameter;
	AZIOT_KEYS_CREATE_KEY_PAIR_IF_NOT_EXISTS *create_key_pair_if_not_exists;
	AZIOT_KEYS_LOAD_KEY_PAIR *load_key_pair;
	AZIOT_KEYS_GET_KEY_PAIR_PARAMETER *get_key_pair_parameter;
	AZIOT_KEYS_CREATE_KEY_IF_NOT_EXISTS *create_key_if_not_exists;
	AZIOT_KEYS_LOAD_KEY *load_key;
	AZIOT_KEYS_IMPORT_KEY *import_key;
	AZIOT_KEYS_DERIVE_KEY *derive_key;
	AZIOT_KEYS_SIGN *sign;
	AZIOT_KEYS_VERIFY *verify;
	AZIOT_KEYS_ENCRYPT *encrypt;
	AZIOT_KEYS_DECRYPT *decrypt;
} AZIOT_KEYS_FUNCTION_LIST_2_0_0_0;

typedef struct {
	AZIOT_KEYS_FUNCTION_LIST base; /* version is AZIOT_KEYS_VERSION_2_1_0_0 */
	AZIOT_KEYS_SET_PARAMETER *set_parameter;
	AZIOT_KEYS_CREATE_KEY_PAIR_IF_NOT_EXISTS *create_key_pair_if_not_exists;
	AZIOT_KEYS_MOVE_KEY_PAIR *move_key_pair;
	AZIOT_KEYS_LOAD_KEY_PAIR *load_key_pair;
	AZIOT_KEYS_GET_KEY_PAIR_PARAMETER *get_key_pair_parameter;
	AZIOT_KEYS_DELETE_KEY_PAIR *delete_key_pair;
	AZIOT_KEYS_CREATE_KEY_IF_NOT_EXISTS *create_key_if_not_exists;
	AZIOT_KEYS_LOAD_KEY *load_key;
	AZIOT_KEYS_IMPORT_KEY *import_key;
	AZIOT_KEYS_DELETE_KEY *delete_key;
	AZIOT_KEYS_DERIVE_KEY *derive_key;
	AZIOT_KEYS_SIGN *sign;
	AZIOT_KEYS_VERIFY *verify;
	AZIOT_KEYS_ENCRYPT *encrypt;
	AZIOT_KEYS_DECRYPT *decrypt;
} AZIOT_KEYS_FUNCTION_LIST_2_1_0_0;

/* The one function that a library exports; a host finds it by its name. */
typedef AZIOT_KEYS_RC AZIOT_KEYS_GET_FUNCTION_LIST(
    AZIOT_KEYS_VERSION version, const AZIOT_KEYS_FUNCTION_LIST **function_list);
AZIOT_KEYS_GET_FUNCTION_LIST aziot_keys_get_function_list;

#ifdef __cplusplus
}
#endif

#endif
