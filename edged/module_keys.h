#ifndef EDGED_MODULE_KEYS_H
#define EDGED_MODULE_KEYS_H

#include "client/identityd.h"
#include "client/keyd.h"

/*
 * What the workload API does with keys for a module: sign with the module's identity key, encrypt and decrypt with the device's
 * encryption key (contracts/edged-workload.md 3.2).  The caller has been attested before; the keys themselves stay in keyd.
 *
 * A module's identity is asked of identityd and kept for a minute, as a lookup may go to the cloud; when identityd cannot tell, the kept one
 * serves on, so that a module's tokens do not depend on the network (edged-weaknesses.md C4).
 */
struct module_keys;

/* Both clients are borrowed.  fresh_ms: how long an identity is believed; 0: a minute. */
enum err_code module_keys_new(struct identityd_client *identityd, struct keyd_client *keyd,
    unsigned fresh_ms, struct module_keys **ret, struct err *err) MUST_CHECK;
void module_keys_free(struct module_keys *k);

struct module_identity {
	char *hub_name, *device_id, *gen_id;
	char *key_handle;
};
void module_identity_done(struct module_identity *i);

/*
 * The module's identity.  module: the hub's module id, with its `$`.
 * ERR_INTERNAL with the contract's words where it is no module identity with a key; identityd's errors otherwise.
 */
enum err_code module_keys_identity(struct module_keys *k, const char *module,
    struct module_identity *ret, struct err *err) MUST_CHECK;

/* HMAC-SHA256 of any data with the module's key: 32 bytes. */
enum err_code module_keys_sign(struct module_keys *k, const char *module, const struct bytes *data,
    struct bytes *ret_digest, struct err *err) MUST_CHECK;

/*
 * AES-256-GCM with the device's key `iotedge_master_encryption_id`, module and generation as associated data without separator, as
 * upstream has it; so that two modules cannot meet in one text, the generation must be the module's own (A5): else ERR_DENIED.
 *   iv   any length from 1
 */
enum err_code module_keys_encrypt(struct module_keys *k, const char *module, const char *generation,
    const struct bytes *iv, const struct bytes *plaintext, struct bytes *ret_ciphertext,
    struct err *err) MUST_CHECK;
enum err_code module_keys_decrypt(struct module_keys *k, const char *module, const char *generation,
    const struct bytes *iv, const struct bytes *ciphertext, struct bytes *ret_plaintext,
    struct err *err) MUST_CHECK;

#endif
