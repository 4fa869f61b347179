#ifndef CTL_KEYD_ROLE_H
#define CTL_KEYD_ROLE_H

#include "base/mem.h"

/*
 * Have keyd's own program do something in this process's place: keyd --role ROLE, from beside this program or from where both are
 * installed.  $AZIOT_KEYD_CONFIG and the like count as for keyd itself.
 *   role  "wrap" or "unwrap": encrypt its key files at rest, or decrypt them; "doctor", "doctor-network": see doctor.h
 * Returns only when that program cannot be started.
 */
enum err_code keyd_role_exec(const char *role, struct err *err) MUST_CHECK;

/* Where keyd's program would be for a program of ours at `self`: first beside it, then installed (i = 0, 1).  ERR_NOT_FOUND: no i. */
enum err_code keyd_role_program(
    const char *self, unsigned i, char **ret, struct err *err) MUST_CHECK;

#endif
