#ifndef KEYD_CONFIG_H
#define KEYD_CONFIG_H

#include "data/config.h"
#include "keyd/keys.h"
#include "keyd/policy.h"

/* keyd's configuration (contracts/keyd.md 5), as read by its table. */

/* [aziot_keys]: parameters of the place where keys live; an unknown one is an error. */
struct keyd_config_places {
	char *homedir_path;
	char *pkcs11_lib_path, *pkcs11_base_slot; /* refused for now */
};

struct keyd_config_preloaded {
	char *id;
	char *path; /* of a "file:///path" URI */
};

struct keyd_config_principal {
	int64_t uid;
	FIELDS_LIST(char *) keys; /* patterns, see data/pattern.h */
};

struct keyd_config_endpoints {
	char *aziot_keyd; /* "unix:///path" or "fd://name"; NULL: the contract's */
};

struct keyd_config {
	int64_t max_requests; /* connections of one uid at a time; 0: absent */
	struct keyd_config_places places;
	FIELDS_LIST(struct keyd_config_preloaded) preloaded;
	FIELDS_LIST(struct keyd_config_principal) principals;
	struct keyd_config_endpoints endpoints;
};

FIELDS_DECLARE(keyd_config);

#define KEYD_MAX_REQUESTS 10 /* where the configuration does not say */

/* ERR_CONFIG: file, line and key of what is wrong. */
enum err_code keyd_config_load(
    const struct config_source *from, struct keyd_config *ret, struct err *err) MUST_CHECK;
/* Put the principals in force. */
enum err_code keyd_config_apply_policy(
    const struct keyd_config *config, struct policy *policy, struct err *err) MUST_CHECK;

#endif
