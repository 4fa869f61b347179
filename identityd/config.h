#ifndef IDENTITYD_CONFIG_H
#define IDENTITYD_CONFIG_H

#include "data/config.h"
#include "data/renewal.h"
#include "identityd/names.h"

/* identityd's configuration (contracts/identityd.md 3 and 8). */

enum settings_source { SOURCE_MANUAL, SOURCE_DPS, SOURCE_NONE };
enum settings_method { METHOD_SAS, METHOD_X509 };			     /* manual */
enum settings_attestation { ATTEST_SYMMETRIC_KEY, ATTEST_X509, ATTEST_TPM }; /* dps */

/* Bits of a principal's `idtype`. */
enum principal_types { ID_DEVICE = 1, ID_MODULE = 2, ID_LOCAL = 4 };

struct settings_localid {
	int type;	/* always x509 */
	int attributes; /* 0 client, 1 server */
};

struct settings_principal {
	int64_t uid;
	char *name;
	FIELDS_LIST(char *) idtypes;
	bool has_idtype; /* else a daemon, not a host process */
	struct settings_localid *localid;
	unsigned idtype; /* enum principal_types, from idtypes */
};

struct settings_domain {
	char *domain;
};

/* `[provisioning.authentication]` */
struct settings_authentication {
	int method;
	char *device_id_pk;		   /* sas: key id */
	char *identity_cert, *identity_pk; /* x509 */
	char *csr_subject;		   /* RAW: a string or a table */
};

/* `[provisioning.attestation]` */
struct settings_attest {
	int method;
	char *registration_id; /* not for x509 */
	char *symmetric_key;   /* key id */
	char *identity_cert, *identity_pk;
	char *x509_registration; /* RAW: a string or a table */
	struct renewal_policy *auto_renew;
};

struct settings_payload {
	char *uri;
};

struct settings_provisioning {
	int source;
	char *local_gateway_hostname;
	char *iothub_hostname, *device_id; /* manual */
	struct settings_authentication authentication;
	char *global_endpoint; /* dps; normalised: scheme, host, port unless 443, path or "/" */
	char *scope_id;
	struct settings_payload *payload;
	struct settings_attest attestation;
};

struct settings_endpoints {
	char *keyd, *certd, *tpmd, *identityd; /* URIs; NULL: the usual sockets */
};

struct settings {
	char *hostname, *homedir;
	bool prefer_cache;
	int64_t max_requests, cloud_timeout_sec, cloud_retries;
	bool has_max_requests, has_cloud_timeout, has_cloud_retries;
	struct settings_provisioning provisioning;
	FIELDS_LIST(struct settings_principal) principals;
	struct settings_domain *localid;
	struct settings_endpoints endpoints;
};

FIELDS_DECLARE(settings);

/*
 * Read and check.  ERR_CONFIG: what the tables or the contract's checks refuse (identityd.md 3).  warn: tell the log of unknown
 * keys.  Free with settings_done.
 */
enum err_code settings_load(
    const struct config_source *from, bool warn, struct settings *ret, struct err *err) MUST_CHECK;

/* The second half of that: what no table can say, and defaults.  For settings that were read from elsewhere. */
enum err_code settings_check(struct settings *s, struct err *err) MUST_CHECK;

/* The content of `prev_state`: the settings as TOML, as upstream writes and reads them (identityd.md 7). */
enum err_code settings_write_toml(const struct settings *s, char **ret, struct err *err) MUST_CHECK;

/* Names of the principals with idtype `module` in a text of that kind, whoever wrote it.  ERR_SYNTAX: unreadable. */
enum err_code settings_prev_modules(struct text toml, name_list *ret, struct err *err) MUST_CHECK;

#endif
