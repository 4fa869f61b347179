#include "keyd/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "data/pkcs11_uri.h"
#include "data/uri.h"

#define PKCS11 "pkcs11:"

/* Checked here, so that a typing error ends the start and not the first use; read again by the backend. */
static enum err_code
token_uri(const char *in, void *ret, struct err *err)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };

	if (pkcs11_uri_parse(in, &uri, err))
		return err->code;
	return str_copy(ret, in, err);
}

static enum err_code
preloaded_uri(const char *in, void *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (strncmp(in, PKCS11, strlen(PKCS11)) == 0)
		return token_uri(in, ret, err);
	if (uri_file_path(in, &path, err))
		return err->code;
	return str_copy(ret, in, err);
}

/* A library is found by its path alone, never by a search that somebody else may steer. */
static enum err_code
absolute_path(const char *in, void *ret, struct err *err)
{
	if (in[0] != '/')
		return err_set(err, ERR_INVALID, "expected an absolute path");
	return str_copy(ret, in, err);
}

/* A socket, never TCP (decisions.md, [endpoints]); where it is, listen_open finds out. */
static enum err_code
socket_uri(const char *in, void *ret, struct err *err)
{
	if (strncmp(in, "unix:///", 8) != 0 && strncmp(in, "fd://", 5) != 0)
		return err_set(err, ERR_INVALID, "expected unix:///path or fd://name");
	return str_copy(ret, in, err);
}

static enum err_code
socket_path(const char *in, void *ret, struct err *err)
{
	return uri_unix_path(in, ret, err);
}

static void
free_string(void *value)
{
	str_freep(value);
}

static enum err_code
moment(const char *in, void *ret, struct err *err)
{
	if (!clock_read_rfc3339(in, ret))
		return err_set(
		    err, ERR_INVALID, "expected a time with offset, as 2027-01-01T00:00:00Z");
	return ERR_OK;
}

static const char *const use_defaults[] = { "deny", "contract", NULL };

/* clang-format off */
FIELDS_ARM(places_fields, keyd_config_places,
	STR  (homedir_path,     "homedir_path",     NONEMPTY),
	PARSE(pkcs11_lib_path,  "pkcs11_lib_path",  OPTIONAL, absolute_path, free_string),
	PARSE(pkcs11_base_slot, "pkcs11_base_slot", OPTIONAL, token_uri, free_string));

FIELDS_ARM(preloaded_fields, keyd_config_preloaded,
	KEY  (id),
	PARSE(uri, NULL, VALUE | REQUIRED, preloaded_uri, free_string));

FIELDS_ARM(backend_fields, keyd_config_backend,
	KEY  (name),
	ENUM (type,        "type",        REQUIRED, keyd_backend_types),
	PARSE(library,     "library",     OPTIONAL, absolute_path, free_string),
	PARSE(token,       "token",       OPTIONAL, token_uri, free_string),
	STR  (wrap,        "wrap",        OPTIONAL),
	BOOL (worker,      "worker",      OPTIONAL),
	BOOL (network,     "network",     OPTIONAL),
	STRS (paths,       "paths",       OPTIONAL),
	INT  (deadline_ms, "deadline_ms", OPTIONAL, 100, 300000),
	TABLE(parameters,  "parameters",  OPTIONAL, fields_pair_fields));

FIELDS_ARM(placement_fields, keyd_config_placement,
	STRS(keys,    "keys",    REQUIRED),
	STR (backend, "backend", REQUIRED | NONEMPTY));

FIELDS_ARM(principal_fields, keyd_config_principal,
	INT (uid,  "uid",  REQUIRED, 0, UINT32_MAX),
	STRS(keys, "keys", REQUIRED));

FIELDS_ARM(verb_fields, keyd_config_verb,
	ENUM(verb, NULL, VALUE | REQUIRED, permit_verb_names));

FIELDS_ARM(algorithm_fields, keyd_config_algorithm,
	ENUM(algorithm, NULL, VALUE | REQUIRED, permit_algorithm_names));

FIELDS_ARM(use_fields, keyd_config_use,
	INT      (uid,             "uid",             REQUIRED, 0, UINT32_MAX),
	STRS     (keys,            "keys",            REQUIRED),
	LIST     (verbs,           "verbs",           REQUIRED, verb_fields),
	FIELD_ROW(FIELD_LIST, algorithms, "algorithms", PRESENT,
		.offset2 = offsetof(self, has_algorithms), .sub = algorithm_fields),
	INT      (rate_per_second, "rate_per_second", OPTIONAL, 1, 1000000),
	INT      (uses_per_day,    "uses_per_day",    OPTIONAL, 1, 1000000000),
	FIELD_ROW(FIELD_PARSE, not_after, "not_after", PRESENT,
		.offset2 = offsetof(self, has_not_after), .parse = moment));

FIELDS_ARM(endpoints_fields, keyd_config_endpoints,
	PARSE(aziot_keyd, "aziot_keyd", OPTIONAL, socket_uri,  free_string),
	PARSE(aziot_tpmd, "aziot_tpmd", OPTIONAL, socket_path, free_string));

FIELDS(keyd_config,
	INT   (max_requests, "max_requests",   OPTIONAL, 1, 10000),
	OBJECT(places,       "aziot_keys",     CLOSED,   places_fields),
	TABLE (preloaded,    "preloaded_keys", OPTIONAL, preloaded_fields),
	TABLE (backends,     "backends",       CLOSED,   backend_fields),
	LIST  (placements,   "placement",      CLOSED,   placement_fields),
	LIST  (principals,   "principal",      OPTIONAL, principal_fields),
	LIST  (uses,         "use",            CLOSED,   use_fields),
	FIELD_ROW(FIELD_ENUM, use_default, "use_default", PRESENT,
		.offset2 = offsetof(self, has_use_default), .names = use_defaults),
	OBJECT(endpoints,    "endpoints",      OPTIONAL, endpoints_fields));
/* clang-format on */

static struct permit_rule
rule_of(const struct keyd_config_use *use)
{
	struct permit_rule rule = {
		.uid = (uint32_t)use->uid,
		.patterns = (const char *const *)use->keys.at,
		.n_patterns = use->keys.n,
		.algorithms = use->has_algorithms ? 0 : PERMIT_ALL,
		.rate_per_second = (uint32_t)use->rate_per_second,
		.uses_per_day = (uint64_t)use->uses_per_day,
		.not_after = use->has_not_after ? use->not_after : INT64_MAX,
	};

	for (size_t i = 0; i < use->verbs.n; i++)
		rule.verbs |= 1U << use->verbs.at[i].verb;
	for (size_t i = 0; i < use->algorithms.n; i++)
		rule.algorithms |= 1U << use->algorithms.at[i].algorithm;
	return rule;
}

/* As many as in uses; borrows from it. */
static enum err_code
rules_of(const struct keyd_config *config, struct permit_rule **ret, struct err *err)
{
	struct permit_rule *rules = calloc(config->uses.n + 1, sizeof(*rules));

	if (!rules)
		return err_nomem(err);
	for (size_t i = 0; i < config->uses.n; i++)
		rules[i] = rule_of(&config->uses.at[i]);
	*ret = rules;
	return ERR_OK;
}

static enum err_code
check_uses(const void *value, char *ret_path, size_t path_size, struct err *err)
{
	const struct keyd_config *config = value;
	struct permit_rule *rules;
	size_t bad = 0;
	enum err_code code = rules_of(config, &rules, err);

	if (code)
		return code;
	code = permit_check(rules, config->uses.n, config->places.homedir_path, &bad, err);
	free(rules);
	if (code)
		snprintf(ret_path, path_size, "use[%zu]", bad);
	return code;
}

enum err_code
keyd_config_load(const struct config_source *from, struct keyd_config *ret, struct err *err)
{
	AUTO(keyd_config_done) struct keyd_config config = { 0 };

	if (config_read_checked(from, keyd_config_fields, &config, true, check_uses, err))
		return err->code;
	if (config.max_requests == 0)
		config.max_requests = KEYD_MAX_REQUESTS;
	*ret = config;
	config = (struct keyd_config){ 0 };
	return ERR_OK;
}

enum err_code
keyd_config_apply_policy(const struct keyd_config *config, struct policy *policy, struct err *err)
{
	size_t n = config->principals.n;
	struct policy_rule *rules = calloc(n + 1, sizeof(*rules));
	enum err_code code;

	if (!rules)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const struct keyd_config_principal *p = &config->principals.at[i];

		rules[i] = (struct policy_rule){ .uid = (uint32_t)p->uid,
			.patterns = (const char *const *)p->keys.at,
			.n_patterns = p->keys.n };
	}
	code = policy_set(policy, rules, n, err);
	free(rules);
	return code;
}

enum err_code
keyd_config_apply_permit(const struct keyd_config *config, struct permit *permit, struct err *err)
{
	bool others = config->has_use_default ? config->use_default == KEYD_USE_CONTRACT
					      : config->uses.n == 0;
	struct permit_rule *rules;
	enum err_code code = rules_of(config, &rules, err);

	if (code)
		return code;
	code = permit_set(permit, rules, config->uses.n, others, err);
	free(rules);
	return code;
}
