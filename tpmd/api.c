#include "tpmd/api.h"

#include "tpmd/service.h"

static const char *const versions[] = { "2020-09-01", NULL };

#define V1 "2020-09-01"

/* ANYONE: who may open the socket (contracts/tpmd.md 1); PRINCIPAL: root and those of the configuration. */
enum who { ANYONE, PRINCIPAL };

/* A TPM makes an RSA key in up to a minute. */
#define CREATE_MS 90000

/* The whole surface of tpmd (contracts/tpmd.md 1).  A TPM is slow, so everything runs in the pool. */
/* clang-format off */
static const struct route routes[] = {
	/* method  path                  since who   where   handler */
	{ "GET",  "/get_tpm_keys",       V1, ANYONE, WORKER, tpmd_get_keys },
	{ "POST", "/import_auth_key",    V1, ANYONE, WORKER, tpmd_import_auth_key },
	{ "POST", "/sign_with_auth_key", V1, ANYONE, WORKER, tpmd_sign_with_auth_key },
	{ "GET",  "/status",             V1, ANYONE, WORKER, tpmd_status },
	/* ours: docs/compat.md */
	{ "POST", "/keys/create",        V1, PRINCIPAL, WORKER, tpmd_create_key, CREATE_MS },
	{ "POST", "/keys/import",        V1, PRINCIPAL, WORKER, tpmd_import_key },
	{ "POST", "/keys/sign",          V1, PRINCIPAL, WORKER, tpmd_use_key },
	{ "POST", "/keys/seal",          V1, PRINCIPAL, WORKER, tpmd_seal },
	{ "POST", "/keys/unseal",        V1, PRINCIPAL, WORKER, tpmd_unseal },
};
/* clang-format on */

static enum err_code
authorize(void *service, const struct route *row, const struct request *req, struct err *err)
{
	const struct tpmd *tpmd = service;
	uid_t uid = req->peer->uid;

	if (row->who == ANYONE || uid == 0)
		return ERR_OK;
	for (size_t i = 0; i < tpmd->config.principals.n; i++)
		if (tpmd->config.principals.at[i].uid == (int64_t)uid)
			return ERR_OK;
	return err_set(
	    err, ERR_DENIED, "user %u is not authorized to use keys of the TPM", (unsigned)uid);
}

const struct route_table tpmd_routes = {
	.daemon = "tpmd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = route_status_identity,
	.authorize = authorize,
};
