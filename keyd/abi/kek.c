#include "keyd/file_kek.h"

/* Key files that are encrypted at rest are keyd's alone: what opens them is the TPM's daemon or a credential of its unit. */

bool
file_kek_is_new(const struct backend_config *config)
{
	(void)config;
	return false;
}

enum err_code
file_kek_get(const struct backend_config *config, bool may_make, struct bytes *ret, struct err *err)
{
	(void)config, (void)may_make, (void)ret;
	return err_set(err, ERR_INTERNAL, "encrypted key files can be used by keyd only");
}
