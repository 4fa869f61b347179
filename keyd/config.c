#include "keyd/config.h"

#include <stdlib.h>
#include <string.h>

#include "data/uri.h"

#define PKCS11 "pkcs11:"

static enum err_code
refuse_pkcs11(const char *in, void *ret, struct err *err)
{
	(void)in, (void)ret;
	return err_set(err, ERR_INVALID, "PKCS#11 keys come with a later version of keyd");
}

static enum err_code
preloaded_path(const char *in, void *ret, struct err *err)
{
	if (strncmp(in, PKCS11, strlen(PKCS11)) == 0)
		return refuse_pkcs11(in, ret, err);
	return uri_file_path(in, ret, err);
}

/* A socket, never TCP (decisions.md, [endpoints]); where it is, listen_open finds out. */
static enum err_code
socket_uri(const char *in, void *ret, struct err *err)
{
	if (strncmp(in, "unix:///", 8) != 0 && strncmp(in, "fd://", 5) != 0)
		return err_set(err, ERR_INVALID, "expected unix:///path or fd://name");
	return str_copy(ret, in, err);
}

static void
free_string(void *value)
{
	str_freep(value);
}

/* clang-format off */
FIELDS_ARM(places_fields, keyd_config_places,
	STR  (homedir_path,     "homedir_path",     NONEMPTY),
	PARSE(pkcs11_lib_path,  "pkcs11_lib_path",  OPTIONAL, refuse_pkcs11, free_string),
	PARSE(pkcs11_base_slot, "pkcs11_base_slot", OPTIONAL, refuse_pkcs11, free_string));

FIELDS_ARM(preloaded_fields, keyd_config_preloaded,
	KEY  (id),
	PARSE(path, NULL, VALUE | REQUIRED, preloaded_path, free_string));

FIELDS_ARM(principal_fields, keyd_config_principal,
	INT (uid,  "uid",  REQUIRED, 0, UINT32_MAX),
	STRS(keys, "keys", REQUIRED));

FIELDS_ARM(endpoints_fields, keyd_config_endpoints,
	PARSE(aziot_keyd, "aziot_keyd", OPTIONAL, socket_uri, free_string));

FIELDS(keyd_config,
	INT   (max_requests, "max_requests",   OPTIONAL, 1, 10000),
	OBJECT(places,       "aziot_keys",     CLOSED,   places_fields),
	TABLE (preloaded,    "preloaded_keys", OPTIONAL, preloaded_fields),
	LIST  (principals,   "principal",      OPTIONAL, principal_fields),
	OBJECT(endpoints,    "endpoints",      OPTIONAL, endpoints_fields));
/* clang-format on */

enum err_code
keyd_config_load(const struct config_source *from, struct keyd_config *ret, struct err *err)
{
	AUTO(keyd_config_done) struct keyd_config config = { 0 };

	if (config_read(from, keyd_config_fields, &config, true, err))
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
