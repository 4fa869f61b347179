#include "wire/hub.h"

FIELDS(hub_symmetric_key, STR(primary, "primaryKey", OPTIONAL),
    STR(secondary, "secondaryKey", OPTIONAL));

FIELDS(hub_authentication, REF(symmetric_key, "symmetricKey", OPTIONAL, hub_symmetric_key_fields),
    STR(type, "type", OPTIONAL));

FIELDS(hub_module, STR(module_id, "moduleId", REQUIRED), STR(managed_by, "managedBy", OPTIONAL),
    STR(device_id, "deviceId", OPTIONAL), STR(generation_id, "generationId", OPTIONAL),
    REF(authentication, "authentication", OPTIONAL, hub_authentication_fields));

FIELDS(hub_module_list, LIST(modules, NULL, VALUE | REQUIRED, hub_module_fields));

FIELDS(hub_error, STR(message, "Message", OPTIONAL), STR(error_message, "errorMessage", OPTIONAL),
    BOOL(network_error, "networkError", OPTIONAL));
