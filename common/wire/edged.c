#include "wire/edged.h"

const char *const edged_api_versions[] = { "2018-06-28", "2019-01-30", "2019-10-22", "2019-11-05",
	"2020-07-07", "2021-12-07", "2022-08-03", NULL };

/* --- management: modules */

FIELDS(edged_env_var, STR(key, "key", REQUIRED), STR(value, "value", REQUIRED));

FIELDS(edged_registry_auth, STR(username, "username", OPTIONAL),
    STR(password, "password", OPTIONAL), STR(email, "email", OPTIONAL),
    STR(serveraddress, "serveraddress", OPTIONAL), STR(auth, "auth", OPTIONAL),
    STR(identitytoken, "identitytoken", OPTIONAL), STR(registrytoken, "registrytoken", OPTIONAL));

FIELDS(edged_module_settings, STR(image, "image", REQUIRED), STR(image_hash, "imageHash", OPTIONAL),
    RAW(create_options, "createOptions", OPTIONAL),
    REF(auth, "auth", OPTIONAL, edged_registry_auth_fields), STR(digest, "digest", OPTIONAL));

/* env is REQUIRED on the way out only by being written always; a request may leave it out. */
static const struct fields *edged_module_config_in(void);

FIELDS(edged_module_config, RAW(settings, "settings", REQUIRED),
    LIST(env, "env", REQUIRED, edged_env_var_fields));

FIELDS_ARM(edged_module_config_in, edged_module_config, RAW(settings, "settings", REQUIRED),
    LIST(env, "env", OPTIONAL, edged_env_var_fields));

FIELDS(edged_module_spec, STR(name, "name", REQUIRED), STR(type, "type", REQUIRED),
    OBJECT(config, "config", REQUIRED, edged_module_config_in),
    STR(image_pull_policy, "imagePullPolicy", OPTIONAL));

FIELDS(edged_exit_status, STR(exit_time, "exitTime", REQUIRED),
    STR(status_code, "statusCode", REQUIRED));

FIELDS(edged_runtime_status, STR(status, "status", REQUIRED),
    STR(description, "description", OPTIONAL));

FIELDS(edged_module_status, STR(start_time, "startTime", OPTIONAL),
    REF(exit_status, "exitStatus", OPTIONAL, edged_exit_status_fields),
    OBJECT(runtime_status, "runtimeStatus", REQUIRED, edged_runtime_status_fields));

FIELDS(edged_module, STR(id, "id", REQUIRED), STR(name, "name", REQUIRED),
    STR(type, "type", REQUIRED), OBJECT(config, "config", REQUIRED, edged_module_config_fields),
    OBJECT(status, "status", REQUIRED, edged_module_status_fields));

FIELDS(edged_module_list, LIST(modules, "modules", REQUIRED, edged_module_fields));

/* --- management: identities */

FIELDS(edged_identity, STR(module_id, "moduleId", REQUIRED), STR(managed_by, "managedBy", REQUIRED),
    STR(generation_id, "generationId", REQUIRED), STR(auth_type, "authType", REQUIRED));

FIELDS(edged_identity_list, LIST(identities, "identities", REQUIRED, edged_identity_fields));

FIELDS(edged_identity_req, STR(module_id, "moduleId", REQUIRED),
    STR(managed_by, "managedBy", OPTIONAL));

/* --- management: the machine */

FIELDS(edged_provisioning, STR(type, "type", REQUIRED),
    BOOL(dynamic_reprovisioning, "dynamicReprovisioning", REQUIRED),
    BOOL(always_reprovision_on_startup, "alwaysReprovisionOnStartup", REQUIRED));

FIELDS(edged_systeminfo, STR(os_type, "osType", REQUIRED),
    STR(kernel_release, "kernel_release", OPTIONAL),
    STR(kernel_version, "kernel_version", OPTIONAL),
    STR(operating_system, "operating_system", OPTIONAL),
    STR(operating_system_version, "operating_system_version", OPTIONAL),
    STR(operating_system_variant, "operating_system_variant", OPTIONAL),
    STR(operating_system_build, "operating_system_build", OPTIONAL),
    STR(architecture, "architecture", REQUIRED), INT(cpus, "cpus", REQUIRED, 0, INT32_MAX),
    INT(total_memory, "total_memory", REQUIRED, 0, INT64_MAX),
    STR(virtualized, "virtualized", REQUIRED), STR(product_name, "product_name", OPTIONAL),
    STR(system_vendor, "system_vendor", OPTIONAL), STR(version, "version", REQUIRED),
    STR(server_version, "server_version", OPTIONAL),
    OBJECT(provisioning, "provisioning", REQUIRED, edged_provisioning_fields),
    TABLE(additional, NULL, OPTIONAL, fields_pair_fields));

FIELDS(edged_disk, STR(name, "name", REQUIRED),
    INT(available_space, "available_space", REQUIRED, 0, INT64_MAX),
    INT(total_space, "total_space", REQUIRED, 0, INT64_MAX),
    STR(file_system, "file_system", REQUIRED), STR(file_type, "file_type", REQUIRED));

FIELDS(edged_resources, INT(host_uptime, "host_uptime", REQUIRED, 0, INT64_MAX),
    INT(process_uptime, "process_uptime", REQUIRED, 0, INT64_MAX),
    REAL(used_cpu, "used_cpu", REQUIRED), INT(used_ram, "used_ram", REQUIRED, 0, INT64_MAX),
    INT(total_ram, "total_ram", REQUIRED, 0, INT64_MAX),
    LIST(disks, "disks", REQUIRED, edged_disk_fields), STR(docker_stats, "docker_stats", REQUIRED));

/* --- workload */

FIELDS(edged_sign_req, STR(data, "data", REQUIRED));
FIELDS(edged_sign_resp, BYTES(digest, "digest", REQUIRED));
FIELDS(edged_encrypt_req, STR(plaintext, "plaintext", REQUIRED),
    STR(initialization_vector, "initializationVector", REQUIRED));
FIELDS(edged_encrypt_resp, BYTES(ciphertext, "ciphertext", REQUIRED));
FIELDS(edged_decrypt_req, STR(ciphertext, "ciphertext", REQUIRED),
    STR(initialization_vector, "initializationVector", REQUIRED));
FIELDS(edged_decrypt_resp, BYTES(plaintext, "plaintext", REQUIRED));
FIELDS(edged_cert_req, STR(common_name, "commonName", REQUIRED));
FIELDS(edged_private_key, STR(type, "type", REQUIRED), STR(bytes, "bytes", REQUIRED));
FIELDS(edged_cert_resp, OBJECT(private_key, "privateKey", REQUIRED, edged_private_key_fields),
    STR(certificate, "certificate", REQUIRED), STR(expiration, "expiration", REQUIRED));
FIELDS(edged_trust_bundle, STR(certificate, "certificate", REQUIRED));
