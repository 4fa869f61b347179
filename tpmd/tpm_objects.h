#ifndef TPMD_TPM_OBJECTS_H
#define TPMD_TPM_OBJECTS_H

#include "tpmd/tpm.h"
#include "wire/tpmd.h"

/*
 * Keys and sealed data below the storage root key: made here, kept by the caller, brought back for each use.  Between two uses
 * the TPM keeps at most one of them loaded, for TPM_HELD_MS; any other command that needs room, any error and the end of the
 * process put it out.
 *
 * Common to all calls:
 *   ERR_INVALID   the blobs are not an object that tpmd makes (the TPM was not touched), another TPM has made them or they are
 *                 damaged, or a parameter does not fit; the text says which
 *   others as tpm.h says
 */

#define TPM_HELD_MS 1000

/* Make a key.  RSA takes up to a minute on a real TPM. */
enum err_code tpm_object_create(struct tpm *t, enum tpmd_algorithm algorithm,
    struct tpmd_object *ret, struct err *err) MUST_CHECK;
/* Make an HMAC-SHA256 key of these 1..TPMD_HMAC_KEY_MAX bytes, which cross the bus encrypted. */
enum err_code tpm_object_import(
    struct tpm *t, const struct bytes *key, struct tpmd_object *ret, struct err *err) MUST_CHECK;
/*
 * Use a key.
 *   data            ECDSA: a digest of 20..64 bytes, cut to the size of the order; HMAC: a message of any length; RSA: a number
 *                   of TPMD_RSA_LEN bytes below the modulus
 *   ret_signature   ECDSA: DER ECDSA-Sig-Value; HMAC: 32 bytes; RSA: TPMD_RSA_LEN bytes
 */
enum err_code tpm_object_sign(struct tpm *t, const struct tpmd_object *object, enum tpmd_mech mech,
    const struct bytes *data, struct bytes *ret_signature, struct err *err) MUST_CHECK;
/* Seal 1..TPMD_SEAL_MAX bytes, which cross the bus encrypted, both ways. */
enum err_code tpm_object_seal(
    struct tpm *t, const struct bytes *data, struct tpmd_object *ret, struct err *err) MUST_CHECK;
enum err_code tpm_object_unseal(struct tpm *t, const struct tpmd_object *object,
    struct bytes *ret_data, struct err *err) MUST_CHECK;

#endif
