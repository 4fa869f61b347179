#ifndef KEYD_KEYS_H
#define KEYD_KEYS_H

#include "keyd/permit.h"
#include "keyd/policy.h"
#include "keyd/stores.h"

/*
 * The keys of this device, over all backends; what keyd does, without HTTP and JSON.
 *
 * Common to all calls: any number of threads may be in here.  A call that would have to wait (for a file, a token, a slow
 * key) on a thread where pool_may_block() says no answers ERR_WOULD_BLOCK, before any side effect.  Otherwise:
 *
 *   ERR_INVALID   no such key, or a parameter does not fit; the text is the contract's
 *   ERR_DENIED    policy_allow, permit_use
 *   ERR_INTERNAL  a key is damaged; it stays as it is, for somebody to repair (decisions.md, malformed key file)
 *   ERR_IO, ERR_CRYPTO, ERR_NOMEM
 *
 * Ids: UTF-8 without NUL, of at most KEYD_ID_MAX bytes where a key is made.  Handles: as handle.h says; a bad one is
 * `parameter "handle" has an invalid value`, caused by `invalid handle`.  Free results with str_freep and bytes_done.
 * Source: contracts/keyd.md 3 and 4.
 */
struct keys;

struct keys_config {
	const char *homedir; /* made when absent; NULL: handles end with the process */
	struct stores_config stores;
	struct permit *permit; /* NULL: holding a handle is enough */
};

/*
 * Open all places and the handle secret `<homedir>/handles.key`, made on first use and never replaced.
 * ERR_INTERNAL: it is lost or damaged; the text says what to do.  config, permit and policy must outlive the result.
 */
enum err_code keys_open(const struct keys_config *config, struct policy *policy, struct keys **ret,
    struct err *err) MUST_CHECK;
void keys_close(struct keys *k);
/* Are the directories still there?  For status. */
enum err_code keys_check(const struct keys *k, struct err *err) MUST_CHECK;
/* Forget opened keys, so that files changed by hand count. */
void keys_forget(struct keys *k);

/* --- by id: the peer must be a principal of it */

/* Make a random key of 32 bytes unless there is one; or store value (NULL: none), replacing one.  usage: enum keyd_usage bits. */
enum err_code keys_create(struct keys *k, const struct peer *peer, const char *id, unsigned usage,
    const struct bytes *value, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keys_load(struct keys *k, const struct peer *peer, const char *id, char **ret_handle,
    struct err *err) MUST_CHECK;
/*
 * Make a key pair unless there is one.
 *   preferred   names split by ':', each tried in turn; NULL: "*", that is ec-p256 and then rsa-2048
 */
enum err_code keys_create_pair(struct keys *k, const struct peer *peer, const char *id,
    const char *preferred, char **ret_handle, struct err *err) MUST_CHECK;
enum err_code keys_load_pair(struct keys *k, const struct peer *peer, const char *id,
    char **ret_handle, struct err *err) MUST_CHECK;
/* Rename, in place of what is there; handles of both ids live on.  ERR_INTERNAL: no such source, which is 500 by contract. */
enum err_code keys_move_pair(struct keys *k, const struct peer *peer, const char *from,
    const char *to, struct err *err) MUST_CHECK;

/* --- by handle: holding one is enough where permit_use allows it; to delete the peer must be a principal of the id as well */

/* Success when the key is gone already.  Every handle of the id is dead afterwards, for good. */
enum err_code keys_delete(
    struct keys *k, const struct peer *peer, const char *handle, struct err *err) MUST_CHECK;
enum err_code keys_delete_pair(
    struct keys *k, const struct peer *peer, const char *handle, struct err *err) MUST_CHECK;
/* name and value as on the wire (contract 4.6). */
enum err_code keys_parameter(struct keys *k, const char *handle, const char *name, char **ret_value,
    struct err *err) MUST_CHECK;
/* A handle of the key that data derives; the base key need not exist.  data: at most HANDLE_DATA_MAX bytes. */
enum err_code keys_derive(struct keys *k, const struct peer *peer, const char *base_handle,
    const struct bytes *data, char **ret_handle, struct err *err) MUST_CHECK;
/* The 32 bytes of a derived key. */
enum err_code keys_export_derived(struct keys *k, const struct peer *peer, const char *handle,
    struct bytes *ret_key, struct err *err) MUST_CHECK;
/*
 * Sign data.
 *   data      ECDSA: a digest of 20..64 bytes, cut to the size of the order; HMAC-SHA256, EdDSA: a message of any length
 *   ret       ECDSA: DER ECDSA-Sig-Value; HMAC-SHA256: 32 bytes; EdDSA: 64 bytes
 */
enum err_code keys_sign(struct keys *k, const struct peer *peer, const char *handle,
    enum keyd_mech mech, const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;
/* AEAD, or the private RSA operation over plaintext (contract 4.9). */
enum err_code keys_encrypt(struct keys *k, const struct peer *peer, const char *handle,
    const struct key_cipher *how, const struct bytes *plaintext, struct bytes *ret,
    struct err *err) MUST_CHECK;
/* AEAD only. */
enum err_code keys_decrypt(struct keys *k, const struct peer *peer, const char *handle,
    const struct key_cipher *how, const struct bytes *ciphertext, struct bytes *ret,
    struct err *err) MUST_CHECK;

#endif
