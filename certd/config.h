#ifndef CERTD_CONFIG_H
#define CERTD_CONFIG_H

#include "data/config.h"
#include "data/renewal.h"

/* certd's configuration (contracts/certd.md 5). */

#define CERTD_MAX_REQUESTS 10
#define CERTD_EXPIRY_DAYS  30

enum certd_method { CERTD_EST, CERTD_LOCAL_CA, CERTD_SELF_SIGNED };
extern const char *const certd_method_names[];

/* Credentials for an EST server.  A pair of which one half is missing counts as absent, with a warning. */
struct certd_auth {
	char *username, *password;
	char *identity_cert, *identity_pk;
	char *bootstrap_cert, *bootstrap_pk;
};

struct certd_est {
	FIELDS_LIST(char *) trusted_certs;
	struct certd_auth auth;
	struct renewal_policy *auto_renew; /* NULL: renewal_default */
	fields_map urls;		   /* by certificate id, or "default" */
};

struct certd_local_ca {
	char *cert, *pk;
};

/* How the certificate of one id is issued. */
struct certd_rule {
	char *id;
	int method; /* enum certd_method */
	char *url;
	struct certd_auth auth;
	int64_t expiry_days; /* CERTD_EXPIRY_DAYS unless given */
	bool has_expiry_days;
	char *common_name;  /* wins over subject */
	fields_map subject; /* in byte order of the names */
	bool allow_ca;	    /* of edgekeep: may a request ask for CA:TRUE? see certd_may_be_ca */
	bool has_allow_ca;
};

struct certd_issuance {
	struct certd_est *est;
	struct certd_local_ca *local_ca;
	FIELDS_LIST(struct certd_rule) rules;
};

struct certd_ids {
	char **at;
	size_t n;
};

/* A certificate that lives at another place, or a list of ids that reads as one text. */
struct certd_preloaded {
	char *id;
	char *path; /* of a file */
	char *uri;  /* "pkcs11:..."; neither this nor path: a list */
	struct certd_ids
	    ids; /* none of them a list: lists inside are taken apart once, here (S11 of index-identity.md) */
	char *raw; /* as written; this and the next are of use to config.c alone */
	struct certd_ids direct;
	bool seen;
};

struct certd_principal {
	int64_t uid;
	FIELDS_LIST(char *) certs; /* patterns, see data/pattern.h */
};

struct certd_endpoints {
	char *certd, *keyd; /* "unix:///path"; certd also "fd://..."; NULL: the contract's */
};

struct certd_config {
	char *homedir;
	char *pkcs11_lib_path; /* the module for preloaded certificates on tokens; NULL: none */
	int64_t max_requests;
	bool has_max_requests;
	struct certd_issuance issuance;
	FIELDS_LIST(struct certd_preloaded) preloaded;
	FIELDS_LIST(struct certd_principal) principals;
	struct certd_endpoints endpoints;
};

/* Read and check.  warn: say in the log what is odd but no error.  ERR_CONFIG names file, line and key, where there is one. */
enum err_code certd_config_load(const struct config_source *from, bool warn,
    struct certd_config *ret, struct err *err) MUST_CHECK;
void certd_config_done(struct certd_config *config);

/* Does this entry stand for a list of others? */
bool certd_preloaded_is_list(const struct certd_preloaded *p);

/* NULL: there is none. */
const struct certd_rule *certd_config_rule(const struct certd_config *config, const char *id);
const struct certd_preloaded *certd_config_preloaded(
    const struct certd_config *config, const char *id);

/*
 * May a certificate under this id be a CA?  As its rule's `allow_ca` says; else a self-signed one may, which gives nobody any
 * trust, and the Edge CA of the module runtime, under the ids that `config apply` writes (contracts/edged-workload.md 3.4).
 * Everything else may not (S6 of index-identity.md).
 */
bool certd_may_be_ca(const struct certd_config *config, const char *id);

#endif
