#include "identityd/config.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "data/uri.h"

#define TIMEOUT_MIN_S 70

static const char *const source_names[] = { "manual", "dps", "none", NULL };
static const char *const method_names[] = { "sas", "x509", NULL };
static const char *const attestation_names[] = { "symmetric_key", "x509", "tpm", NULL };
static const char *const localid_types[] = { "x509", NULL };
static const char *const localid_attributes[] = { "client", "server", NULL };

/* --- tables (identityd.md 8) --- */

#define TABLE_OF(name, ...) FIELDS_ARM(name##_fields, name, __VA_ARGS__)

TABLE_OF(settings_localid, ENUM(type, "type", REQUIRED, localid_types),
    ENUM(attributes, "attributes", OPTIONAL, localid_attributes));

TABLE_OF(settings_principal, INT(uid, "uid", REQUIRED, 0, UINT32_MAX),
    STR(name, "name", REQUIRED | NONEMPTY),
    FIELD_ROW(FIELD_STRS, idtypes, "idtype", PRESENT, .offset2 = offsetof(self, has_idtype)),
    REF(localid, "localid", OPTIONAL, settings_localid_fields));

TABLE_OF(settings_domain, STR(domain, "domain", REQUIRED));

FIELDS_ARM(manual_sas, settings_authentication, STR(device_id_pk, "device_id_pk", REQUIRED));
FIELDS_ARM(manual_x509, settings_authentication, STR(identity_cert, "identity_cert", REQUIRED),
    STR(identity_pk, "identity_pk", REQUIRED), RAW(csr_subject, "csr_subject", OPTIONAL));
static fields_fn *const manual_methods[] = { manual_sas, manual_x509 };
TABLE_OF(settings_authentication, ENUM(method, "method", REQUIRED, method_names),
    SELECT(method, NULL, manual_methods));

FIELDS_ARM(dps_symmetric, settings_attest,
    STR(registration_id, "registration_id", REQUIRED | NONEMPTY),
    STR(symmetric_key, "symmetric_key", REQUIRED));
FIELDS_ARM(dps_x509, settings_attest, STR(identity_cert, "identity_cert", REQUIRED),
    STR(identity_pk, "identity_pk", REQUIRED), RAW(x509_registration, "registration_id", OPTIONAL),
    REF(auto_renew, "identity_auto_renew", OPTIONAL, renewal_policy_fields));
FIELDS_ARM(dps_tpm, settings_attest, STR(registration_id, "registration_id", REQUIRED | NONEMPTY));
static fields_fn *const dps_methods[] = { dps_symmetric, dps_x509, dps_tpm };
TABLE_OF(settings_attest, ENUM(method, "method", REQUIRED, attestation_names),
    SELECT(method, NULL, dps_methods));

TABLE_OF(settings_payload, STR(uri, "uri", REQUIRED));

FIELDS_ARM(source_manual, settings_provisioning,
    STR(iothub_hostname, "iothub_hostname", REQUIRED | NONEMPTY),
    STR(device_id, "device_id", REQUIRED | NONEMPTY),
    OBJECT(authentication, "authentication", REQUIRED, settings_authentication_fields));
FIELDS_ARM(source_dps, settings_provisioning, STR(global_endpoint, "global_endpoint", REQUIRED),
    STR(scope_id, "scope_id", REQUIRED | NONEMPTY),
    REF(payload, "payload", OPTIONAL, settings_payload_fields),
    OBJECT(attestation, "attestation", REQUIRED, settings_attest_fields));
static fields_fn *const sources[] = { source_manual, source_dps, NULL };
TABLE_OF(settings_provisioning, ENUM(source, "source", REQUIRED, source_names),
    STR(local_gateway_hostname, "local_gateway_hostname", OPTIONAL), SELECT(source, NULL, sources));

TABLE_OF(settings_endpoints, STR(keyd, "aziot_keyd", OPTIONAL), STR(certd, "aziot_certd", OPTIONAL),
    STR(tpmd, "aziot_tpmd", OPTIONAL), STR(identityd, "aziot_identityd", OPTIONAL));

FIELDS(settings, STR(hostname, "hostname", REQUIRED), STR(homedir, "homedir", REQUIRED | NONEMPTY),
    BOOL(prefer_cache, "prefer_module_identity_cache", OPTIONAL),
    INT_OPT(max_requests, has_max_requests, "max_requests", 1, 10000),
    INT_OPT(cloud_timeout_sec, has_cloud_timeout, "cloud_timeout_sec", TIMEOUT_MIN_S, 86400),
    INT_OPT(cloud_retries, has_cloud_retries, "cloud_retries", 0, 1000),
    OBJECT(provisioning, "provisioning", REQUIRED, settings_provisioning_fields),
    LIST(principals, "principal", OPTIONAL, settings_principal_fields),
    REF(localid, "localid", OPTIONAL, settings_domain_fields),
    OBJECT(endpoints, "endpoints", OPTIONAL, settings_endpoints_fields));

/* --- checks --- */

static const char *const idtype_names[] = { "device", "module", "local" }; /* bit order */

static enum err_code
read_idtype(struct settings_principal *p, struct err *err)
{
	for (size_t i = 0; i < p->idtypes.n; i++) {
		size_t k = 0;

		while (
		    k < ARRAY_LEN(idtype_names) && strcmp(p->idtypes.at[i], idtype_names[k]) != 0)
			k++;
		if (k == ARRAY_LEN(idtype_names))
			return err_set(err, ERR_CONFIG,
			    "principal %s has an unknown idtype; device, module, local are known",
			    p->name);
		p->idtype |= 1U << k;
	}
	return ERR_OK;
}

static enum err_code
check_principals(const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < s->principals.n; i++) {
		const struct settings_principal *p = &s->principals.at[i];

		for (size_t k = 0; k < i; k++)
			if (strcmp(p->name, s->principals.at[k].name) == 0)
				return err_set(err, ERR_CONFIG,
				    "principal names must be unique: %s is there twice", p->name);
		if ((p->idtype & ID_LOCAL) && !s->localid)
			return err_set(err, ERR_CONFIG,
			    "principal %s has idtype local, which needs [localid]", p->name);
		if (p->localid && p->has_idtype && !(p->idtype & ID_LOCAL))
			return err_set(err, ERR_CONFIG,
			    "principal %s has localid, which needs idtype local", p->name);
		if (s->provisioning.source == SOURCE_NONE && (p->idtype & (ID_DEVICE | ID_MODULE)))
			return err_set(err, ERR_CONFIG,
			    "principal %s cannot have idtype device or module with provisioning "
			    "source "
			    "none",
			    p->name);
	}
	return ERR_OK;
}

/* As a URL is usually written down: lower-case host, no default port, a path. */
static enum err_code
normalise_endpoint(char **endpoint, struct err *err)
{
	AUTO(uri_done) struct uri u = { 0 };
	char *made = NULL;

	if (uri_parse(*endpoint, &u, err))
		return err_wrap_code(err, ERR_CONFIG, "provisioning.global_endpoint is not a URL");
	if (strcmp(u.scheme, "https") != 0 || !u.host || !host_valid(u.host))
		return err_set(err, ERR_CONFIG,
		    "provisioning.global_endpoint must be an https URL with a host name");
	for (char *c = u.host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	if (u.port && u.port != 443) {
		if (str_format(
			&made, err, "https://%s:%d%s", u.host, u.port, *u.path ? u.path : "/"))
			return err->code;
	} else if (str_format(&made, err, "https://%s%s", u.host, *u.path ? u.path : "/"))
		return err->code;
	str_freep(endpoint);
	*endpoint = made;
	return ERR_OK;
}

static enum err_code
check_provisioning(struct settings_provisioning *p, struct err *err)
{
	if (p->local_gateway_hostname && !host_valid(p->local_gateway_hostname))
		return err_set(
		    err, ERR_CONFIG, "provisioning.local_gateway_hostname is not a host name");
	if (p->iothub_hostname && !host_valid(p->iothub_hostname))
		return err_set(err, ERR_CONFIG, "provisioning.iothub_hostname is not a host name");
	if (p->device_id && !id_valid(p->device_id))
		return err_set(err, ERR_CONFIG, "provisioning.device_id is not a device id");
	return p->global_endpoint ? normalise_endpoint(&p->global_endpoint, err) : ERR_OK;
}

static enum err_code
check_endpoints(const struct settings_endpoints *e, struct err *err)
{
	const char *const peers[] = { e->keyd, e->certd, e->tpmd };

	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		AUTO(str_freep) char *path = NULL;

		if (peers[i] && uri_unix_path(peers[i], &path, err))
			return err_wrap_code(err, ERR_CONFIG, "endpoints: only unix:// is known");
	}
	return ERR_OK;
}

enum err_code
settings_check(struct settings *s, struct err *err)
{
	for (size_t i = 0; i < s->principals.n; i++)
		if (read_idtype(&s->principals.at[i], err))
			return err->code;
	if (s->homedir[0] != '/')
		return err_set(err, ERR_CONFIG, "homedir must be an absolute path");
	if (check_principals(s, err) || check_provisioning(&s->provisioning, err) ||
	    check_endpoints(&s->endpoints, err))
		return err->code;
	if (!s->has_max_requests)
		s->max_requests = 10;
	if (!s->has_cloud_timeout)
		s->cloud_timeout_sec = TIMEOUT_MIN_S;
	if (!s->has_cloud_retries)
		s->cloud_retries = 1;
	return ERR_OK;
}

enum err_code
settings_load(const struct config_source *from, bool warn, struct settings *ret, struct err *err)
{
	AUTO(settings_done) struct settings s = { 0 };

	if (config_read(from, settings_fields, &s, warn, err) || settings_check(&s, err))
		return err->code;
	*ret = s;
	s = (struct settings){ 0 };
	return ERR_OK;
}
