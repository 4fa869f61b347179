#include "tpmd/config.h"

#include <stdlib.h>
#include <string.h>

#include "platform/privs.h"

/* clang-format off */
FIELDS_ARM(hierarchies_fields, tpmd_config_hierarchies,
	STR(endorsement, "endorsement", OPTIONAL),
	STR(owner,       "owner",       OPTIONAL));

FIELDS_ARM(endpoints_fields, tpmd_config_endpoints,
	STR(aziot_tpmd, "aziot_tpmd", NONEMPTY));

FIELDS_ARM(principal_fields, tpmd_config_principal,
	INT(uid, "uid", REQUIRED, 0, UINT32_MAX));

FIELDS(tpmd_config,
	INT    (max_requests,   "max_requests",            OPTIONAL, 1, 10000),
	STR    (tcti,           "tcti",                    OPTIONAL),
	INT_OPT(auth_key_index, has_auth_key_index, "auth_key_index", 0, 0x7FFFFF),
	BOOL_OPT(bus_encryption, has_bus_encryption, "bus_encryption"),
	OBJECT (hierarchies,    "hierarchy_authorization", OPTIONAL, hierarchies_fields),
	LIST   (principals,     "principal",               OPTIONAL, principal_fields),
	OBJECT (endpoints,      "endpoints",               OPTIONAL, endpoints_fields));
/* clang-format on */

static enum err_code
check_password(const char *name, const char *password, struct err *err)
{
	if (!password || strlen(password) <= TPMD_AUTH_MAX)
		return ERR_OK;
	return err_set(err, ERR_CONFIG, "hierarchy_authorization.%s: longer than %d bytes", name,
	    TPMD_AUTH_MAX);
}

/* On a device without that user nobody but root uses keys of the TPM. */
static enum err_code
default_principal(struct tpmd_config *config, struct err *err)
{
	struct privs_user user;

	if (privs_lookup(TPMD_KEY_USER, &user, err) == ERR_NOT_FOUND) {
		err_clear(err);
		return ERR_OK;
	}
	if (err->code)
		return err->code;
	config->principals.at = calloc(1, sizeof(*config->principals.at));
	if (!config->principals.at)
		return err_nomem(err);
	config->principals.at[0].uid = user.uid;
	config->principals.n = 1;
	return ERR_OK;
}

enum err_code
tpmd_config_load(const struct config_source *from, struct tpmd_config *ret, struct err *err)
{
	AUTO(tpmd_config_done) struct tpmd_config config = { 0 };

	if (config_read(from, tpmd_config_fields, &config, true, err) ||
	    check_password("endorsement", config.hierarchies.endorsement, err) ||
	    check_password("owner", config.hierarchies.owner, err))
		return err->code;
	if (!config.tcti && str_copy(&config.tcti, TPMD_TCTI, err))
		return err->code;
	if (!config.max_requests)
		config.max_requests = TPMD_MAX_REQUESTS;
	if (!config.has_auth_key_index)
		config.auth_key_index = TPMD_AUTH_KEY_INDEX;
	if (!config.has_bus_encryption)
		config.bus_encryption = true;
	if (config.principals.n == 0 && default_principal(&config, err))
		return err->code;
	*ret = config;
	config = (struct tpmd_config){ 0 };
	return ERR_OK;
}
