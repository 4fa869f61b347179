#ifndef CRYPTO_SAS_H
#define CRYPTO_SAS_H

#include "base/mem.h"

/*
 * Shared access signatures (contracts/identityd.md 6.1, cloud-dps.md 4).  The signature itself comes from keyd or tpmd,
 * so making a token has two halves.
 */

/* "<scope>/registrations/<id>" or "<hub>/devices/<id>", lower-cased and percent-encoded (URI_AUDIENCE). */
enum err_code sas_audience(
    const char *first, const char *kind, const char *id, char **ret, struct err *err) MUST_CHECK;
/* The bytes to sign: "<audience>\n<expiry>". */
enum err_code sas_to_sign(
    const char *audience, int64_t expiry, struct bytes *ret, struct err *err) MUST_CHECK;
/* "SharedAccessSignature sr=..&sig=..&se=..[&skn=..]"; key_name NULL: none. */
enum err_code sas_token(const char *audience, int64_t expiry, const struct bytes *signature,
    const char *key_name, char **ret, struct err *err) MUST_CHECK;

#endif
