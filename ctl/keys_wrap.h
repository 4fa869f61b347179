#ifndef CTL_KEYS_WRAP_H
#define CTL_KEYS_WRAP_H

#include "base/mem.h"

/*
 * Have keyd's own program encrypt its key files at rest, or decrypt them, in this process's place: keyd --role wrap or unwrap,
 * from beside this program or from where both are installed.  $AZIOT_KEYD_CONFIG and the like count as for keyd itself.
 *   role  "wrap" or "unwrap"
 * Returns only when that program cannot be started.
 */
enum err_code keys_wrap(const char *role, struct err *err) MUST_CHECK;

/* Where keyd's program would be for a program of ours at `self`: first beside it, then installed (i = 0, 1).  ERR_NOT_FOUND: no i. */
enum err_code keys_wrap_program(
    const char *self, unsigned i, char **ret, struct err *err) MUST_CHECK;

#endif
