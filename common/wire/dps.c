#include "wire/dps.h"

FIELDS(dps_tpm_keys, BYTES(endorsement_key, "endorsementKey", REQUIRED),
    BYTES(storage_root_key, "storageRootKey", OPTIONAL));

FIELDS(dps_register_req, STR(registration_id, "registrationId", REQUIRED),
    REF(tpm, "tpm", OPTIONAL, dps_tpm_keys_fields), RAW(payload, "payload", OPTIONAL));

FIELDS(dps_tpm_result, BYTES(authentication_key, "authenticationKey", OPTIONAL));

FIELDS(dps_registration_state, STR(assigned_hub, "assignedHub", OPTIONAL),
    STR(device_id, "deviceId", OPTIONAL),
    INT_OPT(error_code, has_error_code, "errorCode", INT64_MIN, INT64_MAX),
    STR(error_message, "errorMessage", OPTIONAL), REF(tpm, "tpm", OPTIONAL, dps_tpm_result_fields));

FIELDS(dps_operation, STR(operation_id, "operationId", OPTIONAL), STR(status, "status", OPTIONAL),
    REF(state, "registrationState", OPTIONAL, dps_registration_state_fields));

FIELDS(dps_error, INT_OPT(error_code, has_error_code, "errorCode", INT64_MIN, INT64_MAX),
    INT_OPT(code, has_code, "code", INT64_MIN, INT64_MAX), STR(message, "message", OPTIONAL),
    STR(error_message, "errorMessage", OPTIONAL),
    BYTES(authentication_key, "authenticationKey", OPTIONAL));
