#ifndef CLIENT_TPMD_H
#define CLIENT_TPMD_H

#include "http/unix_client.h"
#include "wire/tpmd.h"

/* tpmd as function calls (contracts/tpmd.md 1); errors as in client/keyd.h. */
struct tpmd_client;

enum err_code tpmd_client_new(
    const struct unix_client_config *config, struct tpmd_client **ret, struct err *err) MUST_CHECK;
void tpmd_client_free(struct tpmd_client *c);

enum err_code tpmd_client_keys(
    struct tpmd_client *c, struct tpmd_keys_resp *ret, struct err *err) MUST_CHECK;
enum err_code tpmd_client_import(
    struct tpmd_client *c, const struct bytes *blob, struct err *err) MUST_CHECK;
enum err_code tpmd_client_sign(struct tpmd_client *c, const struct bytes *data,
    struct bytes *ret_digest, struct err *err) MUST_CHECK;

/*
 * Keys and sealed data below the storage root key, kept by the caller (tpmd(8), /keys); tpmd must know our uid as a principal.
 * ERR_PEER beyond what client/keyd.h says, by status:
 *   400   the object is damaged, or another TPM has made it; or a parameter does not fit
 *   401   not a principal
 *   5xx   the TPM cannot do it now: locked, busy, out of reach
 */

/* An RSA key may take a minute. */
enum err_code tpmd_client_create_key(struct tpmd_client *c, enum tpmd_algorithm algorithm,
    struct tpmd_object *ret, struct err *err) MUST_CHECK;
/* key: 1..TPMD_HMAC_KEY_MAX bytes. */
enum err_code tpmd_client_import_key(struct tpmd_client *c, const struct bytes *key,
    struct tpmd_object *ret, struct err *err) MUST_CHECK;
/* data, ret: as tpm_objects.h of tpmd says: a digest, DER; a message, 32 bytes; TPMD_RSA_LEN bytes each. */
enum err_code tpmd_client_use_key(struct tpmd_client *c, const struct tpmd_object *object,
    enum tpmd_mech mech, const struct bytes *data, struct bytes *ret, struct err *err) MUST_CHECK;
/* data: 1..TPMD_SEAL_MAX bytes. */
enum err_code tpmd_client_seal(struct tpmd_client *c, const struct bytes *data,
    struct tpmd_object *ret, struct err *err) MUST_CHECK;
enum err_code tpmd_client_unseal(struct tpmd_client *c, const struct tpmd_object *object,
    struct bytes *ret_data, struct err *err) MUST_CHECK;

#endif
