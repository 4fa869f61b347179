#ifndef CERTD_ISSUE_H
#define CERTD_ISSUE_H

#include "certd/store.h"

/* What a client asks for (contracts/certd.md 1, POST /certificates). */
struct issue_request {
	const char *id;
	struct text csr;	   /* PEM */
	const char *issuer_id;	   /* NULL: by the configuration's rule for the id */
	const char *issuer_handle; /* of the issuer's private key, with issuer_id */
};

/*
 * Issue, store under the id and return the certificate with its issuers behind it, as PEM.  Keys stay in keyd: this waits for
 * it, so pool threads only (provider/provider.h).
 * ERR_INVALID `parameter "csr"` or `parameter "issuer.certId"` as outermost text: the request is wrong, or asks for a CA where
 * none is allowed.  ERR_INTERNAL: anything that goes wrong while issuing.
 */
enum err_code issue_certificate(struct store *store, const struct certd_config *config,
    const struct issue_request *req, char **ret_pem, struct err *err) MUST_CHECK;

#endif
