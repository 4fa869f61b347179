#ifndef WIRE_TPMD_H
#define WIRE_TPMD_H

#include "data/fields.h"

/* Messages of tpmd (contracts/tpmd.md 1), and below those of /keys, which are ours (docs/compat.md). */

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

/* --- keys and sealed data below the storage root key, which the caller keeps */

#define TPMD_MESSAGE_MAX \
	(750 * 1024)	     /* bytes for an HMAC: what a request's body holds, and a little less */
#define TPMD_HMAC_KEY_MAX 64 /* bytes: a block of SHA-256, the most a TPM takes */
#define TPMD_SEAL_MAX	  128 /* bytes of data in one object (TPM 2.0, MAX_SYM_DATA) */
#define TPMD_RSA_LEN	  256 /* bytes of the modulus, and of what the raw operation is done on */

enum tpmd_algorithm { TPMD_EC_P256, TPMD_RSA_2048, TPMD_HMAC_SHA256 };
extern const char *const tpmd_algorithm_names[];
enum tpmd_mech { TPMD_SIGN_ECDSA, TPMD_SIGN_HMAC, TPMD_SIGN_RSA_RAW };
extern const char *const tpmd_mech_names[];

/* An object as its holder keeps it: marshalled TPM2B_PUBLIC and TPM2B_PRIVATE. */
struct tpmd_object {
	struct bytes public, private;
};
struct tpmd_create_req {
	int algorithm;
};
struct tpmd_use_req {
	struct tpmd_object object; /* members of the request itself */
	int mech;
	struct bytes data;
};
struct tpmd_use_resp {
	struct bytes signature;
};
struct tpmd_data_msg {
	struct bytes data;
};

FIELDS_DECLARE(tpmd_keys_resp);
FIELDS_DECLARE(tpmd_import_req);
FIELDS_DECLARE(tpmd_sign_req);
FIELDS_DECLARE(tpmd_sign_resp);
FIELDS_DECLARE(tpmd_object);
FIELDS_DECLARE(tpmd_create_req);
FIELDS_DECLARE(tpmd_use_req);
FIELDS_DECLARE(tpmd_use_resp);
FIELDS_DECLARE(tpmd_data_msg);

#endif
