#ifndef EDGED_API_H
#define EDGED_API_H

#include "http/route.h"

/* Handlers of the management API, in the order of its table (api.c). */
route_handler edged_module_list_get, edged_module_create, edged_module_get, edged_module_replace,
    edged_module_delete, edged_module_act, edged_module_logs, edged_module_prepare_update;
route_handler edged_identity_list_get, edged_identity_create, edged_identity_update,
    edged_identity_delete;
route_handler edged_system_get, edged_resources_get, edged_support_bundle_get, edged_reprovision,
    edged_status_get;

#endif
