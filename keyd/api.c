#include "keyd/api.h"

#include "wire/keyd.h"

static const char *const versions[] = { "2020-09-01", "2021-05-01", NULL };

#define V1	"2020-09-01" /* the contract's first; its code never asks for a later one */
#define M(name) .message = keyd_##name##_fields

/*
 * The whole surface of keyd (contracts/keyd.md 4), on one page.  TRY: answered in the polling thread while the key is at hand,
 * in the pool when a file has to be opened or the key is a slow one.
 */
/* clang-format off */
static const struct route routes[] = {
	/* method  path                  since  who              where   handler                message */
	{ "POST",   "/key",               V1, AUTHZ_PRINCIPAL, TRY,    keyd_create_key,      M(create_key_req) },
	{ "GET",    "/key/{id}",          V1, AUTHZ_PRINCIPAL, TRY,    keyd_load_key },
	{ "POST",   "/key/{id}",          V1, ANYONE,          INLINE, keyd_move_key,        M(move_req) },
	{ "DELETE", "/key",               V1, AUTHZ_BOTH,      TRY,    keyd_delete_key,      M(handle_msg) },
	{ "POST",   "/keypair",           V1, AUTHZ_PRINCIPAL, TRY,    keyd_create_key_pair, M(create_key_pair_req) },
	{ "GET",    "/keypair/{id}",      V1, AUTHZ_PRINCIPAL, TRY,    keyd_load_key_pair },
	{ "POST",   "/keypair/{id}",      V1, AUTHZ_PRINCIPAL, TRY,    keyd_move_key_pair,   M(move_req) },
	{ "DELETE", "/keypair",           V1, AUTHZ_BOTH,      TRY,    keyd_delete_key_pair, M(handle_msg) },
	{ "POST",   "/parameters/{name}", V1, AUTHZ_HANDLE,    TRY,    keyd_parameter,       M(handle_msg) },
	{ "POST",   "/derivedkey",        V1, AUTHZ_HANDLE,    TRY,    keyd_derive,          M(derive_req) },
	{ "POST",   "/derivedkey/export", V1, AUTHZ_HANDLE,    TRY,    keyd_export_derived,  M(handle_msg) },
	{ "POST",   "/sign",              V1, AUTHZ_HANDLE,    TRY,    keyd_sign,            M(sign_req) },
	{ "POST",   "/encrypt",           V1, AUTHZ_HANDLE,    TRY,    keyd_encrypt,         M(encrypt_req) },
	{ "POST",   "/decrypt",           V1, AUTHZ_HANDLE,    TRY,    keyd_decrypt,         M(decrypt_req) },
	{ "GET",    "/status",            V1, ANYONE,          WORKER, keyd_status },
};
/* clang-format on */

/* As in all identity daemons, and what a key worker or a peer of its makes the caller try again, in words for him. */
static const struct route_status status[ERR_CODES] = {
	[ERR_INVALID] = { 400, SHOW_CHAIN },
	[ERR_NO_BODY] = { 400, SHOW_CHAIN },
	[ERR_SYNTAX] = { 422, SHOW_CHAIN },
	[ERR_DENIED] = { 401, SHOW_CHAIN },
	[ERR_BUSY] = { 500, SHOW_OUTER },
	[ERR_UNREACHABLE] = { 500, SHOW_OUTER },
	[ERR_TIMEOUT] = { 500, SHOW_OUTER },
	[ERR_INTERNAL] = { 500, SHOW_FIXED, "internal error" },
};

const struct route_table keyd_routes = {
	.daemon = "keyd",
	.versions = versions,
	.routes = routes,
	.n_routes = ARRAY_LEN(routes),
	.status = status,
};
