#ifndef WIRE_IDENTITYD_H
#define WIRE_IDENTITYD_H

#include "data/fields.h"

/* Messages of identityd (contracts/identityd.md 1). */

#define IDENTITYD_SOCKET      "/run/aziot/identityd.sock"
#define IDENTITYD_API_VERSION "2020-09-01"

enum identity_type { IDENTITY_AZIOT, IDENTITY_LOCAL };
extern const char *const identity_type_names[];
enum identity_auth { IDENTITY_SAS, IDENTITY_X509, IDENTITY_TPM };
extern const char *const identity_auth_names[];

struct identity_authentication {
	int type; /* enum identity_auth; a local identity has no type on the wire */
	char *key_handle, *cert_id;
};

/* One arm of "spec", by type; members of the other arm stay NULL. */
struct identity {
	int type;
	char *hub_name, *gateway_host, *device_id, *module_id, *gen_id;
	struct identity_authentication *auth; /* NULL in lists */
	struct identity_local_auth *local;
};

struct identity_local_auth {
	char *private_key, *certificate, *expiration;
};

struct identity_list {
	FIELDS_LIST(struct identity) identities;
};
struct identity_module_req {
	char *type; /* any string: an unknown one is 400, not 422, and only after authorization */
	char *module_id;
	char *local_id_opts; /* RAW, see identityd.md 1 */
};
struct identity_device_req {
	char *type;
};
struct identity_trust_bundle {
	char *certificate;
};
struct identity_provisioning {
	char *source, *auth, *endpoint, *scope_id, *registration_id;
	char *payload; /* RAW; "null" for dps without one; NULL: left out */
};

FIELDS_DECLARE(identity_authentication);
FIELDS_DECLARE(identity_local_auth);
FIELDS_DECLARE(identity);
FIELDS_DECLARE(identity_list);
FIELDS_DECLARE(identity_module_req);
FIELDS_DECLARE(identity_device_req);
FIELDS_DECLARE(identity_trust_bundle);
FIELDS_DECLARE(identity_provisioning);

#endif
