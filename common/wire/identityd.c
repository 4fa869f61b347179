#include "wire/identityd.h"

const char *const identity_type_names[] = { "aziot", "local", NULL };
const char *const identity_auth_names[] = { "sas", "x509", "tpm", NULL };

FIELDS(identity_authentication, ENUM(type, "type", REQUIRED, identity_auth_names),
    STR(key_handle, "keyHandle", OPTIONAL), STR(cert_id, "certId", OPTIONAL));

FIELDS(identity_local_auth, STR(private_key, "privateKey", REQUIRED),
    STR(certificate, "certificate", REQUIRED), STR(expiration, "expiration", REQUIRED));

FIELDS_ARM(aziot_spec, identity, STR(hub_name, "hubName", REQUIRED),
    STR(gateway_host, "gatewayHost", REQUIRED), STR(device_id, "deviceId", REQUIRED),
    STR(module_id, "moduleId", OPTIONAL), STR(gen_id, "genId", OPTIONAL),
    REF(auth, "auth", OPTIONAL, identity_authentication_fields));

FIELDS_ARM(local_spec, identity, STR(module_id, "moduleId", REQUIRED),
    REF(local, "auth", REQUIRED, identity_local_auth_fields));

static fields_fn *const specs[] = { aziot_spec, local_spec };

FIELDS(identity, ENUM(type, "type", REQUIRED, identity_type_names), SELECT(type, "spec", specs));

FIELDS(identity_list, LIST(identities, "identities", REQUIRED, identity_fields));

FIELDS(identity_module_req, STR(type, "type", REQUIRED), STR(module_id, "moduleId", REQUIRED),
    RAW(local_id_opts, "localIdOpts", OPTIONAL));

FIELDS(identity_device_req, STR(type, "type", REQUIRED));

FIELDS(identity_trust_bundle, STR(certificate, "certificate", REQUIRED));

FIELDS(identity_provisioning, STR(source, "source", REQUIRED), STR(auth, "auth", OPTIONAL),
    STR(endpoint, "endpoint", OPTIONAL), STR(scope_id, "scope_id", OPTIONAL),
    STR(registration_id, "registration_id", OPTIONAL), RAW(payload, "payload", OPTIONAL));
