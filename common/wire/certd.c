#include "wire/certd.h"

FIELDS(certd_issuer, STR(cert_id, "certId", REQUIRED),
    STR(private_key_handle, "privateKeyHandle", REQUIRED));

/* Upstream's clients send `"issuer":null` (contracts/common.md 6), so ours do, too. */
FIELDS(certd_create_req, STR(cert_id, "certId", REQUIRED), STR(csr, "csr", REQUIRED),
    REF(issuer, "issuer", NULLS, certd_issuer_fields));

FIELDS(certd_pem_msg, STR(pem, "pem", REQUIRED));
