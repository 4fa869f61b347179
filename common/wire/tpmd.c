#include "wire/tpmd.h"

FIELDS(tpmd_keys_resp, BYTES(endorsement_key, "endorsement_key", REQUIRED),
    BYTES(storage_root_key, "storage_root_key", REQUIRED));

FIELDS(tpmd_import_req, BYTES(key, "key", REQUIRED));

FIELDS(tpmd_sign_req, BYTES(data, "data", REQUIRED));

FIELDS(tpmd_sign_resp, BYTES(digest, "digest", REQUIRED));
