#ifndef KEYD_EPOCH_H
#define KEYD_EPOCH_H

#include <stdint.h>

#include "base/mem.h"

/*
 * A counter per key id, raised when the key is deleted and never else.  It is sealed into each handle, so that the handles
 * of a deleted key stay dead when a key of the same id is made again (decisions.md, Handles).
 * Kept as `<directory>/<A>-<H>`, a decimal number, for those ids only that were ever deleted.
 */

/* 0 when the id was never deleted.  ERR_INTERNAL: the counter is damaged. */
enum err_code epoch_get(
    const char *directory, const char *id, uint64_t *ret, struct err *err) MUST_CHECK;
/* Durable when it returns.  Not to be called side by side for one id. */
enum err_code epoch_raise(const char *directory, const char *id, struct err *err) MUST_CHECK;

#endif
