#ifndef IDENTITYD_LOCAL_H
#define IDENTITYD_LOCAL_H

#include "client/certd.h"
#include "identityd/config.h"
#include "wire/identityd.h"

/*
 * Local identities: a certificate from certd for a module on this device, with its private key, which nobody keeps; so each call
 * makes another one (contracts/identityd.md 5).  RSA 2048, CN "<moduleId>.<hostname>.<domain>", clientAuth, and serverAuth for a
 * server.  certd must have an issuance rule and a principal for the module's id.
 *
 * ERR_INVALID: not a module id.  ERR_CONFIG: no `[localid]`.  ERR_INTERNAL: certd would not issue it.  Free with identity_done.
 */
enum err_code local_issue(struct certd_client *certd, const struct settings *settings,
    const char *module_id, bool server, struct identity *ret, struct err *err) MUST_CHECK;

/* Does `localIdOpts` ask for a server?  Malformed options count as absent, as upstream has it. */
bool local_wants_server(const char *options_json);

#endif
