#ifndef WIRE_DPS_H
#define WIRE_DPS_H

#include "data/fields.h"

/*
 * Messages of the Device Provisioning Service, device side (contracts/cloud-dps.md 2).  Members that nobody here needs are not
 * read, so that an unusual value in one of them cannot spoil a registration.
 */

#define DPS_API_VERSION "2021-06-01"

struct dps_tpm_keys {
	struct bytes endorsement_key, storage_root_key; /* marshalled TPM2B_PUBLIC each */
};
struct dps_register_req {
	char *registration_id;
	struct dps_tpm_keys *tpm; /* NULL: no TPM attestation */
	char *payload;		  /* RAW; NULL: none */
};

struct dps_tpm_result {
	struct bytes authentication_key;
};
struct dps_registration_state {
	char *assigned_hub, *device_id; /* there when assigned */
	int64_t error_code;
	bool has_error_code;
	char *error_message;
	struct dps_tpm_result *tpm;
};
struct dps_operation {
	char *operation_id;
	char *
	    status; /* any case: unassigned assigning assigned failed disabled, and what else may come */
	struct dps_registration_state *state; /* may be NULL while assigning */
};

/* Body of an answer with an error status; the TPM challenge (401) comes in the same shape. */
struct dps_error {
	int64_t error_code, code;
	bool has_error_code, has_code;
	char *message, *error_message;
	struct bytes authentication_key;
};

FIELDS_DECLARE(dps_tpm_keys);
FIELDS_DECLARE(dps_register_req);
FIELDS_DECLARE(dps_tpm_result);
FIELDS_DECLARE(dps_registration_state);
FIELDS_DECLARE(dps_operation);
FIELDS_DECLARE(dps_error);

#endif
