#ifndef CLIENT_KEYD_H
#define CLIENT_KEYD_H

#include "http/unix_client.h"
#include "wire/keyd.h"

/*
 * keyd as function calls (contracts/keyd.md 4).  Each blocks up to the client's deadline and returns ERR_PEER with keyd's message
 * and status when keyd refuses, ERR_UNREACHABLE, ERR_TIMEOUT, ERR_BUSY or ERR_PROTOCOL otherwise.  Handles: free with str_freep.
 */
struct keyd_client;

/* config.path NULL: KEYD_SOCKET; config.host NULL: "keyd.sock". */
enum err_code keyd_client_new(
    const struct unix_client_config *config, struct keyd_client **ret, struct err *err) MUST_CHECK;
void keyd_client_free(struct keyd_client *c);

/* Make a symmetric key unless it exists; with key_bytes (may be NULL) import, replacing it.  usage: enum keyd_usage bits. */
enum err_code keyd_client_create_key(struct keyd_client *c, const char *id, unsigned usage,
    const struct bytes *key_bytes, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keyd_client_load_key(
    struct keyd_client *c, const char *id, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keyd_client_delete_key(
    struct keyd_client *c, const char *handle, struct err *err) MUST_CHECK;
/* preferred: "rsa-2048:*" and the like, NULL for keyd's own order. */
enum err_code keyd_client_create_key_pair(struct keyd_client *c, const char *id,
    const char *preferred, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keyd_client_load_key_pair(
    struct keyd_client *c, const char *id, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keyd_client_move_key_pair(
    struct keyd_client *c, const char *from, const char *to, struct err *err) MUST_CHECK;
enum err_code keyd_client_delete_key_pair(
    struct keyd_client *c, const char *handle, struct err *err) MUST_CHECK;
/* name: algorithm, ec-curve-oid, ec-point, rsa-modulus, rsa-exponent; the value as on the wire (base64 but for algorithm). */
enum err_code keyd_client_parameter(struct keyd_client *c, const char *handle, const char *name,
    char **ret_value, struct err *err) MUST_CHECK;
enum err_code keyd_client_derive(struct keyd_client *c, const char *base_handle,
    const struct bytes *data, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keyd_client_export_derived(
    struct keyd_client *c, const char *handle, struct bytes *ret_key, struct err *err) MUST_CHECK;
enum err_code keyd_client_sign(struct keyd_client *c, const char *handle, enum keyd_mech mech,
    const struct bytes *data, struct bytes *ret_signature, struct err *err) MUST_CHECK;
/* iv and aad: AEAD only, else NULL. */
enum err_code keyd_client_encrypt(struct keyd_client *c, const char *handle,
    enum keyd_cipher cipher, const struct bytes *iv, const struct bytes *aad,
    const struct bytes *plaintext, struct bytes *ret_ciphertext, struct err *err) MUST_CHECK;
enum err_code keyd_client_decrypt(struct keyd_client *c, const char *handle,
    enum keyd_cipher cipher, const struct bytes *iv, const struct bytes *aad,
    const struct bytes *ciphertext, struct bytes *ret_plaintext, struct err *err) MUST_CHECK;

#endif
