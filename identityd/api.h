#ifndef IDENTITYD_API_H
#define IDENTITYD_API_H

#include "http/route.h"
#include "identityd/principals.h"
#include "identityd/service.h"

/* The whole surface of identityd (contracts/identityd.md 1). */
extern const struct route_table identityd_routes;

/* Handlers, in the order of the contract's table; `service` is a struct identityd. */
route_handler identityd_get_self, identityd_get_device, identityd_reprovision,
    identityd_get_provisioning, identityd_get_trust_bundle, identityd_status;
route_handler identityd_list_modules, identityd_create_module, identityd_get_module,
    identityd_update_module, identityd_delete_module;

/* The device in force, waiting for the first verdict. */
enum err_code identityd_device(
    struct identityd *s, struct device **ret, struct err *err) MUST_CHECK;
/* The query's `type` as the contract wants it: given, and one of those allowed (NULL-terminated). */
enum err_code identityd_check_type(
    const char *type, const char *const *allowed, struct err *err) MUST_CHECK;

#endif
