#ifndef TPMD_API_H
#define TPMD_API_H

#include "http/route.h"

/* The routes; their service is struct tpmd. */
extern const struct route_table tpmd_routes;

route_handler tpmd_get_keys, tpmd_import_auth_key, tpmd_sign_with_auth_key; /* api_tpm.c */
route_handler tpmd_create_key, tpmd_import_key, tpmd_use_key, tpmd_seal,
    tpmd_unseal;	   /* api_keys.c */
route_handler tpmd_status; /* api_status.c */

#endif
