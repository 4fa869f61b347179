#ifndef CERTD_TOKEN_H
#define CERTD_TOKEN_H

#include "base/mem.h"

/*
 * Certificates on PKCS#11 tokens, for preloaded ids whose URI is "pkcs11:...".  Certificates are public, so there is no PIN.
 * The module is its vendor's code, so it runs in a child that ends before certd serves, by libp11, which lists tokens and
 * certificates well (contracts/pkcs11.md 1).
 */
struct token_cert {
	const char *uri; /* token or slot-id, and object or id */
	char *pem;	 /* NULL: there is none; free with str_freep */
};

#define TOKEN_READ_MS 10000

/*
 * Fill in what the URIs name: the first certificate that fits.  Before the policy and before any thread.
 *   library   absolute path of the module
 * ERR_IO, ERR_TIMEOUT (TOKEN_READ_MS), ERR_UNREACHABLE: the module cannot be loaded, or ended the child.
 */
enum err_code token_read(
    const char *library, struct token_cert *certs, size_t n, struct err *err) MUST_CHECK;

#endif
