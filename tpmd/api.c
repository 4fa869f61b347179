#include "tpmd/api.h"

static const char *const versions[] = { "2020-09-01", NULL };

#define V1 "2020-09-01"

enum who { ANYONE }; /* who may open the socket may call: contracts/tpmd.md 1 */

/* The whole surface of tpmd (contracts/tpmd.md 1).  A TPM is slow, so everything runs in the pool. */
/* clang-format off */
static const struct route routes[] = {
	/* method  path                  since who   where   handler */
	{ "GET",  "/get_tpm_keys",       V1, ANYONE, WORKER, tpmd_get_keys },
	{ "POST", "/import_auth_key",    V1, ANYONE, WORKER, tpmd_import_auth_key },
	{ "POST", "/sign_with_auth_key", V1, ANYONE, WORKER, tpmd_sign_with_auth_key },
	{ "GET",  "/status",             V1, ANYONE, WORKER, tpmd_status },
};
/* clang-format on */

const struct route_table tpmd_routes = {
	.daemon = "tpmd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
};
