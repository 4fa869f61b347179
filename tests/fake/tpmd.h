#ifndef TESTS_FAKE_TPMD_H
#define TESTS_FAKE_TPMD_H

#include "client/tpmd.h"

/*
 * client/tpmd.h without a daemon: signs with HMAC-SHA256 under the key that was imported last, or 32 zero bytes; and makes keys
 * and sealed data whose public part is a TPM's, and whose private part holds, in clear, what a TPM would have encrypted.  Not
 * thread-safe.
 */
void fake_tpmd_reset(void);
/* How many times it has signed or been asked to do something else with a key. */
unsigned fake_tpmd_signed(void);
/* From now on all calls but sign of the authentication key fail so; ERR_OK: they work again.  status: of ERR_PEER. */
void fake_tpmd_fail(enum err_code code, unsigned status);
/* The same for the next calls only. */
void fake_tpmd_fail_times(enum err_code code, unsigned status, unsigned times);
/* From now on results are cut by so many bytes: signatures, and the public part of what is made. */
void fake_tpmd_cut(size_t bytes);

#endif
