#include "certd/principals.h"

#include "data/pattern.h"

static bool
matches(const struct certd_principal *principal, const char *id)
{
	for (size_t i = 0; i < principal->certs.n; i++)
		if (pattern_match(principal->certs.at[i], id))
			return true;
	return false;
}

enum err_code
principals_may_write(const struct certd_config *config, uid_t uid, const char *id, struct err *err)
{
	if (uid == 0)
		return ERR_OK;
	for (size_t i = 0; i < config->principals.n; i++)
		if (config->principals.at[i].uid == (int64_t)uid &&
		    matches(&config->principals.at[i], id))
			return ERR_OK;
	return err_set(
	    err, ERR_DENIED, "user %u is not authorized to modify the cert %s", (unsigned)uid, id);
}
