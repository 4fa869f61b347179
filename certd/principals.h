#ifndef CERTD_PRINCIPALS_H
#define CERTD_PRINCIPALS_H

#include <sys/types.h>

#include "certd/config.h"

/*
 * May this user create, import or delete the certificate (contracts/certd.md 1, common.md 8)?  uid 0 any, others where one of
 * their patterns matches the id; entries for the same uid add up.
 * ERR_DENIED: `user <uid> is not authorized to modify the cert <id>`.
 */
enum err_code principals_may_write(
    const struct certd_config *config, uid_t uid, const char *id, struct err *err) MUST_CHECK;

#endif
