#include "identityd/local.h"

#include <stdlib.h>

#include "base/clock.h"
#include "crypto/x509.h"

static void
name_freep(X509_NAME **name)
{
	X509_NAME_free(*name);
	*name = NULL;
}

static enum err_code
request(EVP_PKEY *key, const char *common_name, bool server, char **ret_csr, struct err *err)
{
	const struct x509_subject_entry cn = { "CN", common_name };
	AUTO(name_freep) X509_NAME *subject = NULL;

	if (x509_subject(&cn, 1, &subject, err))
		return err->code;
	return x509_request(
	    key, subject, server ? X509_LOCAL_SERVER : X509_LOCAL_CLIENT, NULL, 0, ret_csr, err);
}

static enum err_code
expiration_of(const char *pem, char **ret, struct err *err)
{
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	char text[CLOCK_RFC3339_LEN];
	int64_t not_before, not_after;

	if (x509_chain_read(text_of(pem), &chain, err) ||
	    x509_times(sk_X509_value(chain, 0), &not_before, &not_after, err))
		return err->code;
	clock_rfc3339(not_after, "+00:00", text);
	return str_copy(ret, text, err);
}

static enum err_code
issue(struct certd_client *certd, const char *module_id, const char *common_name, bool server,
    struct identity_local_auth *out, struct err *err)
{
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(bytes_done) struct bytes pem = { 0 };
	AUTO(str_freep) char *csr = NULL;

	if (x509_key_new(X509_KEY_RSA_2048, &key, err) || x509_key_write(key, &pem, err) ||
	    request(key, common_name, server, &csr, err) ||
	    certd_client_create(certd, module_id, csr, NULL, NULL, &out->certificate, err) ||
	    expiration_of(out->certificate, &out->expiration, err))
		return err->code;
	out->private_key = (char *)bytes_take(&pem).data;
	return ERR_OK;
}

enum err_code
local_issue(struct certd_client *certd, const struct settings *settings, const char *module_id,
    bool server, struct identity *ret, struct err *err)
{
	AUTO(identity_done) struct identity out = { .type = IDENTITY_LOCAL };
	AUTO(str_freep) char *common_name = NULL;

	if (!id_valid(module_id)) {
		err_set(err, ERR_INVALID, "not a module id");
		return err_param(err, "module_id");
	}
	if (!settings->localid)
		return err_set(
		    err, ERR_CONFIG, "local identities need [localid] in the configuration");
	out.local = calloc(1, sizeof(*out.local));
	if (!out.local)
		return err_nomem(err);
	if (str_copy(&out.module_id, module_id, err) ||
	    str_format(&common_name, err, "%s.%s.%s", module_id, settings->hostname,
		settings->localid->domain))
		return err->code;
	if (issue(certd, module_id, common_name, server, out.local, err))
		return err_wrap_code(
		    err, ERR_INTERNAL, "could not issue a local identity for %s", module_id);
	*ret = out;
	out = (struct identity){ 0 };
	return ERR_OK;
}

/* --- localIdOpts --- */

static const char *const types[] = { "x509", NULL };
static const char *const attributes[] = { "client", "server", NULL };

struct options {
	int type, attributes;
};
FIELDS_ARM(options_fields, options, ENUM(type, "type", REQUIRED, types),
    ENUM(attributes, "attributes", OPTIONAL, attributes));

bool
local_wants_server(const char *options_json)
{
	struct options o = { 0 };
	struct err ignored = { 0 };

	return options_json &&
	       fields_read_text(options_fields, &o, text_of(options_json), &ignored) == ERR_OK &&
	       o.attributes == 1;
}
