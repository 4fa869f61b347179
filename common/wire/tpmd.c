#include "wire/tpmd.h"

const char *const tpmd_algorithm_names[] = { "ec-p256", "rsa-2048", "hmac-sha256", NULL };
const char *const tpmd_mech_names[] = { "ECDSA", "HMAC-SHA256", "RSA-NO-PADDING", NULL };

/* clang-format off */
FIELDS(tpmd_keys_resp,
	BYTES(endorsement_key,  "endorsement_key",  REQUIRED),
	BYTES(storage_root_key, "storage_root_key", REQUIRED));

FIELDS(tpmd_import_req,
	BYTES(key, "key", REQUIRED));

FIELDS(tpmd_sign_req,
	BYTES(data, "data", REQUIRED));

FIELDS(tpmd_sign_resp,
	BYTES(digest, "digest", REQUIRED));

FIELDS(tpmd_object,
	BYTES(public,  "public",  REQUIRED),
	BYTES(private, "private", REQUIRED));

FIELDS(tpmd_create_req,
	ENUM(algorithm, "algorithm", REQUIRED, tpmd_algorithm_names));

FIELDS(tpmd_use_req,
	BYTES(object.public,  "public",    REQUIRED),
	BYTES(object.private, "private",   REQUIRED),
	ENUM (mech,           "algorithm", REQUIRED, tpmd_mech_names),
	BYTES(data,           "data",      REQUIRED));

FIELDS(tpmd_use_resp,
	BYTES(signature, "signature", REQUIRED));

FIELDS(tpmd_data_msg,
	BYTES(data, "data", REQUIRED));
/* clang-format on */
