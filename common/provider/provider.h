#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include <openssl/core.h>
#include <openssl/evp.h>

#include "base/err.h"

/*
 * An OpenSSL 3 provider whose private keys stay in keyd (design/provider.md, docs/provider.md).
 *
 * edgekeep_provider_init makes one of its own configuration: "socket" (absolute path, default KEYD_SOCKET) and "timeout_ms" (of one
 * call to keyd, 100 to 600,000, default 10,000) in its section of openssl.cnf.  edgekeep.so calls it and nothing else.
 */
OSSL_provider_init_fn edgekeep_provider_init;

/* --- built into a daemon */

struct keyd_client;

/*
 * Add the provider to the default library context beside "default", with default properties `?provider!=edgekeep`, and make it
 * call through client (borrowed; must live as long as the process).  Before there are threads and before the policy; a second call only changes the client.
 */
enum err_code provider_install(struct keyd_client *client, struct err *err) MUST_CHECK;

/*
 * Open a key pair by its id (the caller must be a principal of it) or by a handle.
 * The result signs through keyd (blocks: pool threads only), its private half cannot be exported.  Free with EVP_PKEY_free.
 * ERR_PEER with keyd's words; ERR_UNREACHABLE; ERR_CRYPTO.
 */
enum err_code provider_key_by_id(const char *key_id, EVP_PKEY **ret, struct err *err) MUST_CHECK;
enum err_code provider_key_by_handle(
    const char *handle, EVP_PKEY **ret, struct err *err) MUST_CHECK;

/* Why the last operation of this thread failed at keyd, told once; ERR_OK and err untouched when it did not. */
enum err_code provider_last_error(struct err *err);

#endif
