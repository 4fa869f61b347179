#ifndef CLIENT_CERTD_H
#define CLIENT_CERTD_H

#include "http/unix_client.h"
#include "wire/certd.h"

/* certd as function calls (contracts/certd.md 1); errors as in client/keyd.h.  PEM texts: free with str_freep. */
struct certd_client;

enum err_code certd_client_new(
    const struct unix_client_config *config, struct certd_client **ret, struct err *err) MUST_CHECK;
void certd_client_free(struct certd_client *c);

/* issuer_id and issuer_key_handle: both or neither (NULL: certd's own issuance rules). */
enum err_code certd_client_create(struct certd_client *c, const char *id, const char *csr_pem,
    const char *issuer_id, const char *issuer_key_handle, char **ret_pem,
    struct err *err) MUST_CHECK;
enum err_code certd_client_get(
    struct certd_client *c, const char *id, char **ret_pem, struct err *err) MUST_CHECK;
enum err_code certd_client_import(
    struct certd_client *c, const char *id, const char *pem, struct err *err) MUST_CHECK;
enum err_code certd_client_delete(
    struct certd_client *c, const char *id, struct err *err) MUST_CHECK;

#endif
