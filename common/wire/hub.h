#ifndef WIRE_HUB_H
#define WIRE_HUB_H

#include "data/fields.h"

/* Messages of IoT Hub's registry of module identities (contracts/cloud-iothub.md 1, 2, 4). */

#define HUB_API_VERSION "2017-11-08-preview"

struct hub_symmetric_key {
	char *primary, *secondary; /* base64 */
};
struct hub_authentication {
	struct hub_symmetric_key *symmetric_key;
	char *type; /* sas, selfSigned, certificateAuthority, none */
};
struct hub_module {
	char *module_id, *managed_by, *device_id, *generation_id;
	struct hub_authentication *authentication;
};
/* the answer of the list call: an array without an object around it */
struct hub_module_list {
	FIELDS_LIST(struct hub_module) modules;
};
struct hub_error {
	char *message, *error_message; /* the hub says one, a parent edgeHub the other */
	bool network_error;	       /* a parent that is itself offline */
};

FIELDS_DECLARE(hub_symmetric_key);
FIELDS_DECLARE(hub_authentication);
FIELDS_DECLARE(hub_module);
FIELDS_DECLARE(hub_module_list);
FIELDS_DECLARE(hub_error);

#endif
