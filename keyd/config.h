#ifndef KEYD_CONFIG_H
#define KEYD_CONFIG_H

#include "data/config.h"
#include "keyd/keys.h"
#include "keyd/permit.h"
#include "keyd/policy.h"

/* keyd's configuration (contracts/keyd.md 5), as read by its table. */

/* [aziot_keys]: parameters of the places that upstream knows; an unknown one is an error. */
struct keyd_config_places {
	char *homedir_path;
	char *pkcs11_lib_path;	/* makes the place "token" */
	char *pkcs11_base_slot; /* "pkcs11:..." of the token for ids that are not preloaded */
};

struct keyd_config_preloaded {
	char *id;
	char *uri; /* "file:///path" or "pkcs11:..." */
};

/* [backends.NAME]: a further place, or how the place "file" works. */
struct keyd_config_backend {
	char *name;
	int type;      /* enum keyd_backend_type */
	char *library; /* pkcs11, plugin: absolute path */
	char *token;   /* pkcs11: as pkcs11_base_slot */
	char *wrap;    /* file: "tpm" or "credential" */
	bool worker;   /* file: in a process of its own, as the others always are */
	bool network;  /* its worker may open network connections */
	/* files and directories that its worker may write, besides what keyd knows that it needs */
	FIELDS_LIST(char *) paths;
	int64_t deadline_ms;   /* of one call; 0: KEYD_DEADLINE_MS, of a TPM KEYD_TPM_DEADLINE_MS */
	fields_map parameters; /* plugin: handed to it */
};

enum keyd_backend_type {
	KEYD_BACKEND_FILE,
	KEYD_BACKEND_PKCS11,
	KEYD_BACKEND_TPM,
	KEYD_BACKEND_PLUGIN
};

/* [[placement]]: which place keys of these ids live in; the first that matches counts (stores.h). */
struct keyd_config_placement {
	FIELDS_LIST(char *) keys; /* patterns, see data/pattern.h */
	char *backend;		  /* name of a place: "file", "token", or of [backends] */
};

struct keyd_config_principal {
	int64_t uid;
	FIELDS_LIST(char *) keys; /* patterns, see data/pattern.h */
};

struct keyd_config_verb {
	int verb; /* enum permit_verb */
};
struct keyd_config_algorithm {
	int algorithm; /* enum permit_algorithm */
};

/* [[use]]: what may be done with which keys by whom; see permit.h. */
struct keyd_config_use {
	int64_t uid;
	FIELDS_LIST(char *) keys; /* patterns */
	FIELDS_LIST(struct keyd_config_verb) verbs;
	FIELDS_LIST(struct keyd_config_algorithm) algorithms;
	bool has_algorithms;		       /* else all */
	int64_t rate_per_second, uses_per_day; /* 0: absent */
	int64_t not_after;		       /* Unix seconds */
	bool has_not_after;
};

struct keyd_config_endpoints {
	char *aziot_keyd; /* "unix:///path" or "fd://name"; NULL: the contract's */
	char *aziot_tpmd; /* path of a "unix:///path" URI; NULL: the contract's */
};

struct keyd_config {
	int64_t max_requests; /* connections of one uid at a time; 0: absent */
	struct keyd_config_places places;
	FIELDS_LIST(struct keyd_config_preloaded) preloaded;
	FIELDS_LIST(struct keyd_config_backend) backends;
	FIELDS_LIST(struct keyd_config_placement) placements;
	FIELDS_LIST(struct keyd_config_principal) principals;
	FIELDS_LIST(struct keyd_config_use) uses;
	bool has_use_default;
	int use_default; /* enum keyd_use_default */
	struct keyd_config_endpoints endpoints;
};

/* What holds for keys that no [[use]] rule names: where it is not said KEYD_USE_DENY, or the contract where there is no rule. */
enum keyd_use_default { KEYD_USE_DENY, KEYD_USE_CONTRACT };

FIELDS_DECLARE(keyd_config);

/* Where the configuration does not say. */
#define KEYD_MAX_REQUESTS    10
#define KEYD_DEADLINE_MS     10000
#define KEYD_TPM_DEADLINE_MS 60000 /* some take as long to make an RSA key */

/* Names of `type`, by enum keyd_backend_type (layout.c). */
extern const char *const keyd_backend_types[];

/* ERR_CONFIG: file, line and key of what is wrong. */
enum err_code keyd_config_load(
    const struct config_source *from, struct keyd_config *ret, struct err *err) MUST_CHECK;
/* Put the principals in force. */
enum err_code keyd_config_apply_policy(
    const struct keyd_config *config, struct policy *policy, struct err *err) MUST_CHECK;
/* Put the [[use]] rules in force. */
enum err_code keyd_config_apply_permit(
    const struct keyd_config *config, struct permit *permit, struct err *err) MUST_CHECK;

#endif
