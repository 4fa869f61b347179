#ifndef TESTS_FAKE_TPMD_H
#define TESTS_FAKE_TPMD_H

#include "client/tpmd.h"

/*
 * client/tpmd.h without a daemon: signs with HMAC-SHA256 under the key that was imported last, or 32 zero bytes.  Not thread-safe.
 */
void fake_tpmd_reset(void);
/* How many times it has signed. */
unsigned fake_tpmd_signed(void);

#endif
