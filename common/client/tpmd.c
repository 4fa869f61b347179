#include "client/tpmd.h"

#include <stdlib.h>

#define CREATE_MS 95000 /* a little more than tpmd allows itself */

#define TARGET(path) path "?api-version=" TPMD_API_VERSION

struct tpmd_client {
	struct unix_client *http;
};

enum err_code
tpmd_client_new(const struct unix_client_config *config, struct tpmd_client **ret, struct err *err)
{
	struct unix_client_config own = *config;
	struct tpmd_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	if (!own.path)
		own.path = TPMD_SOCKET;
	if (!own.host)
		own.host = "tpmd.sock";
	if (unix_client_new(&own, &c->http, err)) {
		free(c);
		return err->code;
	}
	*ret = c;
	return ERR_OK;
}

void
tpmd_client_free(struct tpmd_client *c)
{
	if (!c)
		return;
	unix_client_free(c->http);
	free(c);
}

enum err_code
tpmd_client_keys(struct tpmd_client *c, struct tpmd_keys_resp *ret, struct err *err)
{
	return unix_client_json(c->http, "GET", TARGET("/get_tpm_keys"), true, 0, NULL, NULL, 200,
	    tpmd_keys_resp_fields, ret, err);
}

enum err_code
tpmd_client_import(struct tpmd_client *c, const struct bytes *blob, struct err *err)
{
	/* the table only reads it, so the caller's bytes are lent, not copied */
	const struct tpmd_import_req req = { .key = *blob };

	return unix_client_json(c->http, "POST", TARGET("/import_auth_key"), true, 0,
	    tpmd_import_req_fields, &req, 200, NULL, NULL, err);
}

enum err_code
tpmd_client_sign(
    struct tpmd_client *c, const struct bytes *data, struct bytes *ret_digest, struct err *err)
{
	const struct tpmd_sign_req req = { .data = *data };
	AUTO(tpmd_sign_resp_done) struct tpmd_sign_resp resp = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/sign_with_auth_key"), true, 0,
		tpmd_sign_req_fields, &req, 200, tpmd_sign_resp_fields, &resp, err))
		return err->code;
	*ret_digest = bytes_take(&resp.digest);
	return ERR_OK;
}

/* A lost answer to a request that makes an object costs nothing: nobody keeps it, so it may be sent again. */

enum err_code
tpmd_client_create_key(
    struct tpmd_client *c, enum tpmd_algorithm algorithm, struct tpmd_object *ret, struct err *err)
{
	const struct tpmd_create_req req = { .algorithm = (int)algorithm };

	return unix_client_json(c->http, "POST", TARGET("/keys/create"), true, CREATE_MS,
	    tpmd_create_req_fields, &req, 200, tpmd_object_fields, ret, err);
}

enum err_code
tpmd_client_import_key(
    struct tpmd_client *c, const struct bytes *key, struct tpmd_object *ret, struct err *err)
{
	const struct tpmd_import_req req = { .key = *key };

	return unix_client_json(c->http, "POST", TARGET("/keys/import"), true, 0,
	    tpmd_import_req_fields, &req, 200, tpmd_object_fields, ret, err);
}

enum err_code
tpmd_client_use_key(struct tpmd_client *c, const struct tpmd_object *object, enum tpmd_mech mech,
    const struct bytes *data, struct bytes *ret, struct err *err)
{
	const struct tpmd_use_req req = { .object = *object, .mech = (int)mech, .data = *data };
	AUTO(tpmd_use_resp_done) struct tpmd_use_resp resp = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/keys/sign"), true, 0, tpmd_use_req_fields,
		&req, 200, tpmd_use_resp_fields, &resp, err))
		return err->code;
	*ret = bytes_take(&resp.signature);
	return ERR_OK;
}

enum err_code
tpmd_client_seal(
    struct tpmd_client *c, const struct bytes *data, struct tpmd_object *ret, struct err *err)
{
	const struct tpmd_data_msg req = { .data = *data };

	return unix_client_json(c->http, "POST", TARGET("/keys/seal"), true, 0,
	    tpmd_data_msg_fields, &req, 200, tpmd_object_fields, ret, err);
}

enum err_code
tpmd_client_unseal(struct tpmd_client *c, const struct tpmd_object *object, struct bytes *ret_data,
    struct err *err)
{
	AUTO(tpmd_data_msg_done) struct tpmd_data_msg resp = { 0 };

	if (unix_client_json(c->http, "POST", TARGET("/keys/unseal"), true, 0, tpmd_object_fields,
		object, 200, tpmd_data_msg_fields, &resp, err))
		return err->code;
	*ret_data = bytes_take(&resp.data);
	return ERR_OK;
}
