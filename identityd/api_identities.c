#include <string.h>

#include "crypto/x509.h"
#include "identityd/api.h"

/* Handlers for the device itself and for how it was provisioned. */

static enum err_code
answer_device(struct identityd *s, struct response *resp, struct err *err)
{
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity out = { 0 };

	if (identityd_device(s, &d, err) || device_identity(d, s->keyd, &out, err))
		return err->code;
	return response_json(resp, 200, identity_fields, &out, err);
}

enum err_code
identityd_get_device(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(identity_device_req_done) struct identity_device_req in = { 0 };

	if (identity_device_req_read(&in, req->body, err))
		return err->code;
	return answer_device(service, resp, err);
}

enum err_code
identityd_get_self(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	struct caller caller = principals_classify(settings, req->peer->uid);
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(identity_done) struct identity out = { 0 };

	if (principals_allow(&caller, OP_GET_DEVICE, NULL))
		return answer_device(s, resp, err);
	if (!caller.principal)
		return err_set(err, ERR_DENIED, "uid %u has no identity", (unsigned)req->peer->uid);
	if (identityd_device(s, &d, err) ||
	    modules_get(s->modules, d, caller.principal->name, settings->prefer_cache, &out, err))
		return err->code;
	return response_json(resp, 200, identity_fields, &out, err);
}

enum err_code
identityd_reprovision(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identityd *s = service;

	(void)req;
	if (provision_again(s->provision, err))
		return err->code;
	return response_empty(resp, 204);
}

enum err_code
identityd_get_trust_bundle(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct identity_trust_bundle out = { .certificate = (char *)"" };

	(void)service, (void)req;
	return response_json(resp, 200, identity_trust_bundle_fields, &out, err);
}

/* --- provisioning info --- */

/* CN of a subject given as a string or a table, both as JSON text. */
struct subject {
	char *cn;
};
FIELDS_ARM(subject_string, subject, STR(cn, "subject", REQUIRED));
FIELDS_ARM(subject_cn, subject, STR(cn, "CN", REQUIRED));

static enum err_code
configured_cn(const char *json, char **ret, struct err *err)
{
	AUTO(str_freep) char *wrapped = NULL;
	struct subject s = { 0 };
	enum err_code code;

	if (json[0] != '"') {
		code = fields_read_text(subject_cn, &s, text_of(json), err);
	} else {
		if (str_format(&wrapped, err, "{\"subject\":%s}", json))
			return err->code;
		code = fields_read_text(subject_string, &s, text_of(wrapped), err);
	}
	if (code)
		return err_wrap_code(err, ERR_INTERNAL, "registration_id");
	*ret = s.cn;
	return ERR_OK;
}

static enum err_code
certificate_cn(struct identityd *s, const char *cert_id, char **ret, struct err *err)
{
	AUTO(str_freep) char *pem = NULL;
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;

	if (certd_client_get(s->certd, cert_id, &pem, err) ||
	    x509_chain_read(text_of(pem), &chain, err) ||
	    x509_common_name(X509_get_subject_name(sk_X509_value(chain, 0)), ret, err))
		return err_wrap_code(err, ERR_INTERNAL, "could not read the device certificate");
	return ERR_OK;
}

static enum err_code
registration_id(struct identityd *s, const struct settings_attest *a, char **ret, struct err *err)
{
	if (a->registration_id)
		return str_copy(ret, a->registration_id, err);
	if (a->x509_registration && strcmp(a->x509_registration, "\"\"") != 0)
		return configured_cn(a->x509_registration, ret, err);
	return certificate_cn(s, a->identity_cert, ret, err);
}

enum err_code
identityd_get_provisioning(
    void *service, const struct request *req, struct response *resp, struct err *err)
{
	static const char *const sources[] = { "manual", "dps", "none" };
	static const char *const attestations[] = { "symmetric_key", "x509", "tpm" };
	struct identityd *s = service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	const struct settings_provisioning *p = &settings->provisioning;
	AUTO(str_freep) char *registration = NULL;
	AUTO(str_freep) char *payload = NULL;
	struct identity_provisioning out = { .source = (char *)sources[p->source] }; /* borrows */

	(void)req;
	if (p->source == SOURCE_MANUAL)
		out.auth = (char *)(p->authentication.method == METHOD_SAS ? "sas" : "x509");
	if (p->source == SOURCE_DPS) {
		if (registration_id(s, &p->attestation, &registration, err) ||
		    provision_payload(p, &payload, err))
			return err->code;
		out.auth = (char *)attestations[p->attestation.method];
		out.endpoint = p->global_endpoint;
		out.scope_id = p->scope_id;
		out.registration_id = registration;
		out.payload = payload ? payload : (char *)"null";
	}
	return response_json(resp, 200, identity_provisioning_fields, &out, err);
}
