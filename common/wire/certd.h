#ifndef WIRE_CERTD_H
#define WIRE_CERTD_H

#include "data/fields.h"

/* Messages of certd (contracts/certd.md 1). */

#define CERTD_SOCKET	  "/run/aziot/certd.sock"
#define CERTD_API_VERSION "2020-09-01"

struct certd_issuer {
	char *cert_id;
	char *private_key_handle;
};
struct certd_create_req {
	char *cert_id;
	char *csr;
	struct certd_issuer *issuer; /* NULL: none */
};
struct certd_pem_msg {
	char *pem;
};

FIELDS_DECLARE(certd_issuer);
FIELDS_DECLARE(certd_create_req);
FIELDS_DECLARE(certd_pem_msg);

#endif
