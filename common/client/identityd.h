#ifndef CLIENT_IDENTITYD_H
#define CLIENT_IDENTITYD_H

#include "http/unix_client.h"
#include "wire/identityd.h"

/*
 * identityd as function calls (contracts/identityd.md 1, edged-workload.md 3.3); errors as in client/keyd.h.  Calls wait up to
 * 10 minutes, as identityd may ask the cloud.  Results: free with identity_done.
 */
struct identityd_client;

enum err_code identityd_client_new(const struct unix_client_config *config,
    struct identityd_client **ret, struct err *err) MUST_CHECK;
void identityd_client_free(struct identityd_client *c);

enum err_code identityd_client_device(
    struct identityd_client *c, struct identity *ret, struct err *err) MUST_CHECK;
enum err_code identityd_client_reprovision(struct identityd_client *c, struct err *err) MUST_CHECK;
enum err_code identityd_client_modules(
    struct identityd_client *c, struct identity_list *ret, struct err *err) MUST_CHECK;
enum err_code identityd_client_module_create(struct identityd_client *c, const char *module_id,
    struct identity *ret, struct err *err) MUST_CHECK;
enum err_code identityd_client_module_get(struct identityd_client *c, const char *module_id,
    struct identity *ret, struct err *err) MUST_CHECK;
enum err_code identityd_client_module_update(struct identityd_client *c, const char *module_id,
    struct identity *ret, struct err *err) MUST_CHECK;
enum err_code identityd_client_module_delete(
    struct identityd_client *c, const char *module_id, struct err *err) MUST_CHECK;
enum err_code identityd_client_provisioning(
    struct identityd_client *c, struct identity_provisioning *ret, struct err *err) MUST_CHECK;

#endif
