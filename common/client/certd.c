#include "client/certd.h"

#include <stdlib.h>

#include "data/uri.h"

#define QUERY "?api-version=" CERTD_API_VERSION

struct certd_client {
	struct unix_client *http;
};

enum err_code
certd_client_new(
    const struct unix_client_config *config, struct certd_client **ret, struct err *err)
{
	struct unix_client_config own = *config;
	struct certd_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	if (!own.path)
		own.path = CERTD_SOCKET;
	if (!own.host)
		own.host = "certd.sock";
	if (unix_client_new(&own, &c->http, err)) {
		free(c);
		return err->code;
	}
	*ret = c;
	return ERR_OK;
}

void
certd_client_free(struct certd_client *c)
{
	if (!c)
		return;
	unix_client_free(c->http);
	free(c);
}

/* Ids are encoded whole, so that '/' and '%' in them reach certd, which upstream's clients cannot do (contracts/common.md 7). */
static enum err_code
target_of(const char *id, char **ret, struct err *err)
{
	AUTO(str_freep) char *encoded = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(id), &encoded, err))
		return err->code;
	return str_format(ret, err, "/certificates/%s" QUERY, encoded);
}

static char *
take_pem(struct certd_pem_msg *msg)
{
	char *pem = msg->pem;

	msg->pem = NULL;
	return pem;
}

enum err_code
certd_client_create(struct certd_client *c, const char *id, const char *csr_pem,
    const char *issuer_id, const char *issuer_key_handle, char **ret_pem, struct err *err)
{
	AUTO(certd_pem_msg_done) struct certd_pem_msg out = { 0 };
	struct certd_issuer issuer = { (char *)issuer_id, (char *)issuer_key_handle };
	struct certd_create_req in = { (char *)id, (char *)csr_pem, issuer_id ? &issuer : NULL };

	if (unix_client_json(c->http, "POST", "/certificates" QUERY, true, 0,
		certd_create_req_fields, &in, 201, certd_pem_msg_fields, &out, err))
		return err->code;
	*ret_pem = take_pem(&out);
	return ERR_OK;
}

enum err_code
certd_client_get(struct certd_client *c, const char *id, char **ret_pem, struct err *err)
{
	AUTO(certd_pem_msg_done) struct certd_pem_msg out = { 0 };
	AUTO(str_freep) char *target = NULL;

	if (target_of(id, &target, err) || unix_client_json(c->http, "GET", target, true, 0, NULL,
					       NULL, 200, certd_pem_msg_fields, &out, err))
		return err->code;
	*ret_pem = take_pem(&out);
	return ERR_OK;
}

enum err_code
certd_client_import(struct certd_client *c, const char *id, const char *pem, struct err *err)
{
	struct certd_pem_msg in = { (char *)pem };
	AUTO(str_freep) char *target = NULL;

	if (target_of(id, &target, err))
		return err->code;
	return unix_client_json(
	    c->http, "PUT", target, true, 0, certd_pem_msg_fields, &in, 201, NULL, NULL, err);
}

enum err_code
certd_client_delete(struct certd_client *c, const char *id, struct err *err)
{
	AUTO(str_freep) char *target = NULL;

	if (target_of(id, &target, err))
		return err->code;
	return unix_client_json(
	    c->http, "DELETE", target, true, 0, NULL, NULL, 204, NULL, NULL, err);
}
