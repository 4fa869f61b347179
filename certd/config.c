#include "certd/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "data/pkcs11_uri.h"
#include "data/uri.h"

#define EXPIRY_DAYS_MAX	 1000000 /* some 2,700 years: what an ASN.1 time can still write */
#define MAX_REQUESTS_MAX 4096
#define LIST_MAX	 256 /* ids in one list, with those of lists inside */
#define DEPTH_MAX	 16
#define PKCS11		 "pkcs11:"
#define EDGE_CA		 "aziot-edged-ca"

const char *const certd_method_names[] = { "est", "local_ca", "self_signed", NULL };

/* --- tables */

static enum err_code
url_parse(const char *in, void *value, struct err *err)
{
	struct uri uri = { 0 };
	bool usable;

	if (uri_parse(in, &uri, err))
		return err->code;
	usable = uri.host && *uri.host &&
		 (strcmp(uri.scheme, "https") == 0 || strcmp(uri.scheme, "http") == 0);
	uri_done(&uri);
	if (!usable)
		return err_set(err, ERR_SYNTAX, "expected an https:// URL");
	return str_copy(value, in, err);
}

static void
url_done(void *value)
{
	str_freep(value);
}

FIELDS_ARM(
    url_fields, fields_pair, KEY(key), PARSE(value, NULL, VALUE | REQUIRED, url_parse, url_done));

#define AUTH_ROWS                                                                           \
	STR(auth.username, "username", OPTIONAL), STR(auth.password, "password", OPTIONAL), \
	    STR(auth.identity_cert, "identity_cert", OPTIONAL),                             \
	    STR(auth.identity_pk, "identity_pk", OPTIONAL),                                 \
	    STR(auth.bootstrap_cert, "bootstrap_identity_cert", OPTIONAL),                  \
	    STR(auth.bootstrap_pk, "bootstrap_identity_pk", OPTIONAL)

FIELDS_ARM(est_fields, certd_est, STRS(trusted_certs, "trusted_certs", OPTIONAL), AUTH_ROWS,
    REF(auto_renew, "identity_auto_renew", OPTIONAL, renewal_policy_fields),
    TABLE(urls, "urls", OPTIONAL, url_fields));

FIELDS_ARM(local_ca_fields, certd_local_ca, STR(cert, "cert", REQUIRED | NONEMPTY),
    STR(pk, "pk", REQUIRED | NONEMPTY));

FIELDS_ARM(rule_fields, certd_rule, KEY(id), ENUM(method, "method", REQUIRED, certd_method_names),
    PARSE(url, "url", OPTIONAL, url_parse, url_done), AUTH_ROWS,
    INT_OPT(expiry_days, has_expiry_days, "expiry_days", 1, EXPIRY_DAYS_MAX),
    STR(common_name, "common_name", OPTIONAL),
    TABLE(subject, "subject", OPTIONAL, fields_pair_fields),
    BOOL_OPT(allow_ca, has_allow_ca, "allow_ca"));

/* `est` and `local_ca` cannot be certificate ids */
FIELDS_ARM(issuance_fields, certd_issuance, REF(est, "est", OPTIONAL, est_fields),
    REF(local_ca, "local_ca", OPTIONAL, local_ca_fields),
    TABLE(rules, NULL, OPTIONAL, rule_fields));

FIELDS_ARM(preloaded_fields, certd_preloaded, KEY(id), RAW(raw, NULL, VALUE | REQUIRED));

FIELDS_ARM(principal_fields, certd_principal, INT(uid, "uid", REQUIRED, 0, UINT32_MAX),
    STRS(certs, "certs", REQUIRED));

FIELDS_ARM(endpoints_fields, certd_endpoints, STR(certd, "aziot_certd", OPTIONAL),
    STR(keyd, "aziot_keyd", OPTIONAL));

FIELDS_ARM(config_fields, certd_config, STR(homedir, "homedir_path", REQUIRED | NONEMPTY),
    STR(pkcs11_lib_path, "pkcs11_lib_path", OPTIONAL | NONEMPTY),
    INT_OPT(max_requests, has_max_requests, "max_requests", 1, MAX_REQUESTS_MAX),
    OBJECT(issuance, "cert_issuance", OPTIONAL, issuance_fields),
    TABLE(preloaded, "preloaded_certs", OPTIONAL, preloaded_fields),
    LIST(principals, "principal", OPTIONAL, principal_fields),
    OBJECT(endpoints, "endpoints", OPTIONAL, endpoints_fields));

/* --- preloaded certificates: a string or an array of strings */

struct one {
	char *uri;
};
FIELDS_ARM(one_fields, one, STR(uri, NULL, VALUE | REQUIRED));

struct several {
	FIELDS_LIST(char *) ids;
};
FIELDS_ARM(several_fields, several, STRS(ids, NULL, VALUE | REQUIRED));

static void
one_done(struct one *value)
{
	fields_done(one_fields, value);
}

static void
ids_done(struct certd_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		str_freep(&ids->at[i]);
	free(ids->at);
	*ids = (struct certd_ids){ 0 };
}

static enum err_code
ids_add(struct certd_ids *ids, const char *id, struct err *err)
{
	char **grown;

	if (ids->n == LIST_MAX)
		return err_set(err, ERR_CONFIG, "more than %d ids", LIST_MAX);
	grown = realloc(ids->at, (ids->n + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(err);
	ids->at = grown;
	if (str_copy(&grown[ids->n], id, err))
		return err->code;
	ids->n++;
	return ERR_OK;
}

static enum err_code
read_preloaded(struct certd_preloaded *p, struct err *err)
{
	AUTO(one_done) struct one one = { 0 };
	AUTO(pkcs11_uri_done) struct pkcs11_uri token = { 0 };
	struct several several = { 0 };

	if (p->raw[0] == '[') {
		if (fields_read_text(several_fields, &several, text_of(p->raw), err))
			return err->code;
		p->direct = (struct certd_ids){ several.ids.at, several.ids.n };
		return ERR_OK;
	}
	if (fields_read_text(one_fields, &one, text_of(p->raw), err))
		return err->code;
	if (strncmp(one.uri, PKCS11, strlen(PKCS11)) == 0) {
		if (pkcs11_uri_parse(one.uri, &token, err))
			return err->code;
		return str_copy(&p->uri, one.uri, err);
	}
	return uri_file_path(one.uri, &p->path, err);
}

bool
certd_preloaded_is_list(const struct certd_preloaded *p)
{
	return !p->path && !p->uri;
}

static struct certd_preloaded *
find_preloaded(const struct certd_config *config, const char *id)
{
	for (size_t i = 0; i < config->preloaded.n; i++)
		if (strcmp(config->preloaded.at[i].id, id) == 0)
			return &config->preloaded.at[i];
	return NULL;
}

/*
 * Add what the list p names to ids.  A list inside is taken apart where it is first met and passed over after that, so one
 * that names itself ends, too.
 */
static enum err_code
flatten(const struct certd_config *config, struct certd_preloaded *p, unsigned depth,
    struct certd_ids *ids, struct err *err)
{
	if (depth == DEPTH_MAX)
		return err_set(err, ERR_CONFIG, "lists nest deeper than %d", DEPTH_MAX);
	p->seen = true;
	for (size_t i = 0; i < p->direct.n; i++) {
		struct certd_preloaded *inner = find_preloaded(config, p->direct.at[i]);

		if (!inner || !certd_preloaded_is_list(inner)) {
			if (ids_add(ids, p->direct.at[i], err))
				return err->code;
		} else if (!inner->seen && flatten(config, inner, depth + 1, ids, err)) {
			return err->code;
		}
	}
	return ERR_OK;
}

static enum err_code
flatten_one(const struct certd_config *config, struct certd_preloaded *p, struct err *err)
{
	for (size_t i = 0; i < config->preloaded.n; i++)
		config->preloaded.at[i].seen = false;
	return flatten(config, p, 0, &p->ids, err);
}

/* --- what no table can say */

static void
warn_pair(const char *where, const char *one, const char *other, const char *names)
{
	if (!one != !other)
		log_warn("%s: only one of %s is given; neither is used", where, names);
}

static void
warn_auth(const char *where, const struct certd_auth *auth)
{
	warn_pair(where, auth->username, auth->password, "username, password");
	warn_pair(where, auth->identity_cert, auth->identity_pk, "identity_cert, identity_pk");
	warn_pair(where, auth->bootstrap_cert, auth->bootstrap_pk,
	    "bootstrap_identity_cert, bootstrap_identity_pk");
}

static void
warn_url(const char *where, const char *url)
{
	if (url && strncasecmp(url, "http:", 5) == 0)
		log_warn("%s: an http:// URL has no protection; use https://", where);
}

/* Oddities that upstream passes over in silence (U4 of index-identity.md). */
static void
warn_of(const struct certd_config *config)
{
	const struct certd_est *est = config->issuance.est;

	if (est) {
		warn_auth("cert_issuance.est", &est->auth);
		for (size_t i = 0; i < est->urls.n; i++)
			warn_url("cert_issuance.est.urls", est->urls.at[i].value);
	}
	for (size_t i = 0; i < config->issuance.rules.n; i++) {
		const struct certd_rule *rule = &config->issuance.rules.at[i];

		warn_auth(rule->id, &rule->auth);
		warn_url(rule->id, rule->url);
		if (rule->common_name && rule->subject.n)
			log_warn("%s: common_name wins over subject", rule->id);
		if (rule->method == CERTD_LOCAL_CA && !config->issuance.local_ca)
			log_warn("%s: local_ca needs the table cert_issuance.local_ca", rule->id);
	}
}

static bool
has_scheme(const char *uri, const char *scheme)
{
	return !uri || strncmp(uri, scheme, strlen(scheme)) == 0;
}

static enum err_code
check_endpoints(const struct certd_endpoints *e, struct err *err)
{
	if (!has_scheme(e->keyd, "unix://"))
		return err_set(err, ERR_CONFIG, "key endpoints.aziot_keyd: expected a unix:// URI");
	if (!has_scheme(e->certd, "unix://") && !has_scheme(e->certd, "fd://"))
		return err_set(
		    err, ERR_CONFIG, "key endpoints.aziot_certd: expected a unix:// or fd:// URI");
	return ERR_OK;
}

static enum err_code
finish(struct certd_config *config, struct err *err)
{
	struct certd_preloaded *at = config->preloaded.at;

	if (!config->has_max_requests)
		config->max_requests = CERTD_MAX_REQUESTS;
	for (size_t i = 0; i < config->issuance.rules.n; i++)
		if (!config->issuance.rules.at[i].has_expiry_days)
			config->issuance.rules.at[i].expiry_days = CERTD_EXPIRY_DAYS;
	for (size_t i = 0; i < config->preloaded.n; i++)
		if (read_preloaded(&at[i], err))
			return err_wrap_code(err, ERR_CONFIG, "key preloaded_certs.%s", at[i].id);
	for (size_t i = 0; i < config->preloaded.n; i++)
		if (!at[i].path && flatten_one(config, &at[i], err))
			return err_wrap_code(err, ERR_CONFIG, "key preloaded_certs.%s", at[i].id);
	return check_endpoints(&config->endpoints, err);
}

enum err_code
certd_config_load(
    const struct config_source *from, bool warn, struct certd_config *ret, struct err *err)
{
	struct certd_config config = { 0 };

	if (config_read(from, config_fields, &config, warn, err))
		return err->code;
	if (finish(&config, err)) {
		certd_config_done(&config);
		return err->code;
	}
	if (warn)
		warn_of(&config);
	*ret = config;
	return ERR_OK;
}

void
certd_config_done(struct certd_config *config)
{
	for (size_t i = 0; i < config->preloaded.n; i++) {
		str_freep(&config->preloaded.at[i].path);
		str_freep(&config->preloaded.at[i].uri);
		ids_done(&config->preloaded.at[i].ids);
		ids_done(&config->preloaded.at[i].direct);
	}
	fields_done(config_fields, config);
}

const struct certd_rule *
certd_config_rule(const struct certd_config *config, const char *id)
{
	for (size_t i = 0; i < config->issuance.rules.n; i++)
		if (strcmp(config->issuance.rules.at[i].id, id) == 0)
			return &config->issuance.rules.at[i];
	return NULL;
}

const struct certd_preloaded *
certd_config_preloaded(const struct certd_config *config, const char *id)
{
	return find_preloaded(config, id);
}

bool
certd_may_be_ca(const struct certd_config *config, const char *id)
{
	const struct certd_rule *rule = certd_config_rule(config, id);

	if (!rule)
		return false;
	if (rule->has_allow_ca)
		return rule->allow_ca;
	return rule->method == CERTD_SELF_SIGNED || strcmp(id, EDGE_CA) == 0 ||
	       strcmp(id, EDGE_CA "-temp") == 0;
}
