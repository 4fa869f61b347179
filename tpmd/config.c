#include "tpmd/config.h"

#include <string.h>

/* clang-format off */
FIELDS_ARM(hierarchies_fields, tpmd_config_hierarchies,
	STR(endorsement, "endorsement", OPTIONAL),
	STR(owner,       "owner",       OPTIONAL));

FIELDS_ARM(endpoints_fields, tpmd_config_endpoints,
	STR(aziot_tpmd, "aziot_tpmd", NONEMPTY));

FIELDS(tpmd_config,
	INT    (max_requests,   "max_requests",            OPTIONAL, 1, 10000),
	STR    (tcti,           "tcti",                    OPTIONAL),
	INT_OPT(auth_key_index, has_auth_key_index, "auth_key_index", 0, 0x7FFFFF),
	OBJECT (hierarchies,    "hierarchy_authorization", OPTIONAL, hierarchies_fields),
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
	*ret = config;
	config = (struct tpmd_config){ 0 };
	return ERR_OK;
}
