#ifndef WIRE_EDGED_H
#define WIRE_EDGED_H

#include "data/fields.h"

/* Messages of edged's two APIs (contracts/edged-management.md 2.3, edged-workload.md 3.1). */

#define EDGED_MGMT_SOCKET     "/var/run/iotedge/mgmt.sock"
#define EDGED_WORKLOAD_SOCKET "/var/run/iotedge/workload.sock"
#define EDGED_API_VERSION     "2022-08-03"

/* Accepted on both APIs, oldest first, NULL-terminated (edged-management.md 1.3; 2021-05-11 is not among them). */
extern const char *const edged_api_versions[];

/* --- management: modules */

struct edged_env_var {
	char *key, *value;
};

struct edged_registry_auth {
	char *username, *password, *email, *serveraddress;
	char *auth, *identitytoken, *registrytoken;
};

/* config.settings of a docker module.  On the way out auth is never set (edged-weaknesses.md A13). */
struct edged_module_settings {
	char *image;
	char *image_hash;
	char *create_options; /* RAW: a container-create body */
	struct edged_registry_auth *auth;
	char *digest;
};

struct edged_module_config {
	char *
	    settings; /* RAW; read apart by edged_module_settings, as its errors have a status of their own */
	FIELDS_LIST(struct edged_env_var) env;
};

struct edged_module_spec {
	char *name, *type;
	struct edged_module_config config;
	char *image_pull_policy;
};

struct edged_exit_status {
	char *exit_time, *status_code;
};

struct edged_runtime_status {
	char *status, *description;
};

struct edged_module_status {
	char *start_time;
	struct edged_exit_status *exit_status;
	struct edged_runtime_status runtime_status;
};

struct edged_module {
	char *id, *name, *type;
	struct edged_module_config config;
	struct edged_module_status status;
};

struct edged_module_list {
	FIELDS_LIST(struct edged_module) modules;
};

FIELDS_DECLARE(edged_env_var);
FIELDS_DECLARE(edged_registry_auth);
FIELDS_DECLARE(edged_module_settings);
FIELDS_DECLARE(edged_module_config);
FIELDS_DECLARE(edged_module_spec);
FIELDS_DECLARE(edged_exit_status);
FIELDS_DECLARE(edged_runtime_status);
FIELDS_DECLARE(edged_module_status);
FIELDS_DECLARE(edged_module);
FIELDS_DECLARE(edged_module_list);

/* --- management: identities */

struct edged_identity {
	char *module_id, *managed_by, *generation_id, *auth_type;
};

struct edged_identity_list {
	FIELDS_LIST(struct edged_identity) identities;
};

struct edged_identity_req {
	char *module_id, *managed_by;
};

FIELDS_DECLARE(edged_identity);
FIELDS_DECLARE(edged_identity_list);
FIELDS_DECLARE(edged_identity_req);

/* --- management: the machine */

struct edged_provisioning {
	char *type;
	bool dynamic_reprovisioning, always_reprovision_on_startup;
};

struct edged_systeminfo {
	char *os_type, *kernel_release, *kernel_version;
	char *operating_system, *operating_system_version, *operating_system_variant,
	    *operating_system_build;
	char *architecture;
	int64_t cpus, total_memory;
	char *virtualized, *product_name, *system_vendor;
	char *version, *server_version;
	struct edged_provisioning provisioning;
	fields_map additional; /* members beside those above */
};

struct edged_disk {
	char *name;
	int64_t available_space, total_space;
	char *file_system, *file_type;
};

struct edged_resources {
	int64_t host_uptime, process_uptime;
	double used_cpu;
	int64_t used_ram, total_ram;
	FIELDS_LIST(struct edged_disk) disks;
	char *docker_stats; /* a string that holds a JSON array */
};

FIELDS_DECLARE(edged_provisioning);
FIELDS_DECLARE(edged_systeminfo);
FIELDS_DECLARE(edged_disk);
FIELDS_DECLARE(edged_resources);

/* --- workload.  Base64 members of requests are strings here: a bad one is 400, not 422 (edged-workload.md 3.1). */

struct edged_sign_req {
	char *data;
};
struct edged_sign_resp {
	struct bytes digest;
};
struct edged_encrypt_req {
	char *plaintext, *initialization_vector;
};
struct edged_encrypt_resp {
	struct bytes ciphertext;
};
struct edged_decrypt_req {
	char *ciphertext, *initialization_vector;
};
struct edged_decrypt_resp {
	struct bytes plaintext;
};
struct edged_cert_req {
	char *common_name;
};
struct edged_private_key {
	char *type, *bytes;
};
struct edged_cert_resp {
	struct edged_private_key private_key;
	char *certificate, *expiration;
};
struct edged_trust_bundle {
	char *certificate;
};

FIELDS_DECLARE(edged_sign_req);
FIELDS_DECLARE(edged_sign_resp);
FIELDS_DECLARE(edged_encrypt_req);
FIELDS_DECLARE(edged_encrypt_resp);
FIELDS_DECLARE(edged_decrypt_req);
FIELDS_DECLARE(edged_decrypt_resp);
FIELDS_DECLARE(edged_cert_req);
FIELDS_DECLARE(edged_private_key);
FIELDS_DECLARE(edged_cert_resp);
FIELDS_DECLARE(edged_trust_bundle);

#endif
