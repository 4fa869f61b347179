#ifndef WIRE_TPMD_H
#define WIRE_TPMD_H

#include "data/fields.h"

/* Messages of tpmd (contracts/tpmd.md 1). */

#define TPMD_SOCKET	 "/run/aziot/tpmd.sock"
#define TPMD_API_VERSION "2020-09-01"

struct tpmd_keys_resp {
	struct bytes endorsement_key, storage_root_key;
}; /* marshalled TPM2B_PUBLIC each */
struct tpmd_import_req {
	struct bytes key;
};
struct tpmd_sign_req {
	struct bytes data;
};
struct tpmd_sign_resp {
	struct bytes digest;
};

FIELDS_DECLARE(tpmd_keys_resp);
FIELDS_DECLARE(tpmd_import_req);
FIELDS_DECLARE(tpmd_sign_req);
FIELDS_DECLARE(tpmd_sign_resp);

#endif
