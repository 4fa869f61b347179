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

#endif
