#ifndef TESTS_FAKE_CERTD_H
#define TESTS_FAKE_CERTD_H

#include "client/certd.h"

/*
 * client/certd.h without a daemon: certificates in memory, issued for one day by a self-signed EC CA of its own, whatever issuer is
 * named; the issuer asked for is kept for tests.  Not thread-safe.
 */
void fake_certd_reset(void);
void fake_certd_put(const char *id, const char *pem);
/* PEM under an id, or NULL. */
const char *fake_certd_get(const char *id);
/* The fake CA's certificate. */
const char *fake_certd_ca(void);
/* What the last create named: "CERTID|HANDLE", or "" without an issuer. */
const char *fake_certd_last_issuer(void);
/* Every call fails so until the next reset or a code of ERR_OK. */
void fake_certd_fail(enum err_code code, uint16_t status, const char *text);

#endif
