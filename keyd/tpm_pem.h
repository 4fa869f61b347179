#ifndef KEYD_TPM_PEM_H
#define KEYD_TPM_PEM_H

#include "wire/tpmd.h"

/*
 * A key below the storage root key at 0x81000001 as a file: PEM "TSS2 PRIVATE KEY", the TPMKey of the loadable kind
 * (2.23.133.10.1.3) with an empty authorisation value.  This is the form that tpm2-tools and the OpenSSL provider for TPMs
 * read and write.
 */
enum err_code tpm_pem_write(
    const struct tpmd_object *object, struct bytes *ret_pem, struct err *err) MUST_CHECK;
/* ERR_SYNTAX: not exactly that. */
enum err_code tpm_pem_read(
    const struct bytes *pem, struct tpmd_object *ret, struct err *err) MUST_CHECK;

#endif
