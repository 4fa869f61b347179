#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "data/toml.h"
#include "identityd/config.h"

/* The settings as a TOML text and the little that is read back from one: the file `prev_state` (identityd.md 7). */

static void
put_string(struct buf *b, const char *s)
{
	buf_puts(b, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04X", c);
		else
			buf_add(b, s, 1);
	}
	buf_puts(b, "\"");
}

static void
put(struct buf *b, const char *key, const char *value)
{
	if (!value)
		return;
	buf_printf(b, "%s = ", key);
	put_string(b, value);
	buf_puts(b, "\n");
}

static void
put_bool(struct buf *b, const char *key, bool value)
{
	buf_printf(b, "%s = %s\n", key, value ? "true" : "false");
}

static void
put_int(struct buf *b, const char *key, int64_t value)
{
	buf_printf(b, "%s = %lld\n", key, (long long)value);
}

static void
put_span(struct buf *b, const char *key, const struct renewal_span *span)
{
	static const char *const units[] = { "%", "min", "day" };

	buf_printf(b, "%s = \"%lld%s\"\n", key, (long long)span->amount, units[span->unit]);
}

/* A subject: a string, or a table of names and values. */
struct subject {
	char *string;
	fields_map names;
};
FIELDS_ARM(subject_string, subject, STR(string, "subject", REQUIRED));
FIELDS_ARM(subject_table, subject, TABLE(names, "subject", REQUIRED, fields_pair_fields));

static void
put_inline_table(struct buf *b, const char *key, const fields_map *names)
{
	buf_printf(b, "%s = {", key);
	for (size_t i = 0; i < names->n; i++) {
		buf_puts(b, i ? ", " : " ");
		put_string(b, names->at[i].key);
		buf_puts(b, " = ");
		put_string(b, names->at[i].value);
	}
	buf_puts(b, " }\n");
}

static enum err_code
put_subject(struct buf *b, const char *key, const char *json, struct err *err)
{
	AUTO(str_freep) char *wrapped = NULL;
	struct subject s = { 0 };
	fields_fn *table = json && json[0] == '"' ? subject_string : subject_table;

	if (!json)
		return ERR_OK;
	if (str_format(&wrapped, err, "{\"subject\":%s}", json) ||
	    fields_read_text(table, &s, text_of(wrapped), err))
		return err->code;
	if (s.string)
		put(b, key, s.string);
	else
		put_inline_table(b, key, &s.names);
	fields_done(table, &s);
	return ERR_OK;
}

static enum err_code
put_authentication(struct buf *b, const struct settings_authentication *a, struct err *err)
{
	buf_puts(b, "\n[provisioning.authentication]\n");
	put(b, "method", a->method == METHOD_SAS ? "sas" : "x509");
	put(b, "device_id_pk", a->device_id_pk);
	put(b, "identity_cert", a->identity_cert);
	put(b, "identity_pk", a->identity_pk);
	return put_subject(b, "csr_subject", a->csr_subject, err);
}

static enum err_code
put_attestation(struct buf *b, const struct settings_attest *a, struct err *err)
{
	static const char *const methods[] = { "symmetric_key", "x509", "tpm" };

	buf_puts(b, "\n[provisioning.attestation]\n");
	put(b, "method", methods[a->method]);
	put(b, "registration_id", a->registration_id);
	put(b, "symmetric_key", a->symmetric_key);
	put(b, "identity_cert", a->identity_cert);
	put(b, "identity_pk", a->identity_pk);
	if (put_subject(b, "registration_id", a->x509_registration, err))
		return err->code;
	if (a->auto_renew) {
		buf_puts(b, "\n[provisioning.attestation.identity_auto_renew]\n");
		put_bool(b, "rotate_key", a->auto_renew->rotate_key);
		put_span(b, "threshold", &a->auto_renew->threshold);
		put_span(b, "retry", &a->auto_renew->retry);
	}
	return ERR_OK;
}

static enum err_code
put_provisioning(struct buf *b, const struct settings_provisioning *p, struct err *err)
{
	static const char *const sources[] = { "manual", "dps", "none" };

	buf_puts(b, "\n[provisioning]\n");
	put(b, "local_gateway_hostname", p->local_gateway_hostname);
	put(b, "source", sources[p->source]);
	put(b, "iothub_hostname", p->iothub_hostname);
	put(b, "device_id", p->device_id);
	put(b, "global_endpoint", p->global_endpoint);
	put(b, "scope_id", p->scope_id);
	if (p->payload) {
		buf_puts(b, "\n[provisioning.payload]\n");
		put(b, "uri", p->payload->uri);
	}
	switch (p->source) {
	case SOURCE_MANUAL:
		return put_authentication(b, &p->authentication, err);
	case SOURCE_DPS:
		return put_attestation(b, &p->attestation, err);
	default:
		return ERR_OK;
	}
}

static void
put_principal(struct buf *b, const struct settings_principal *p)
{
	static const char *const names[] = { "device", "module", "local" };
	const char *comma = "";

	buf_puts(b, "\n[[principal]]\n");
	put_int(b, "uid", p->uid);
	put(b, "name", p->name);
	if (p->has_idtype) {
		buf_puts(b, "idtype = [");
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			if (!(p->idtype & (1U << k)))
				continue;
			buf_printf(b, "%s\"%s\"", comma, names[k]);
			comma = ", ";
		}
		buf_puts(b, "]\n");
	}
	if (p->localid) {
		buf_puts(b, "\n[principal.localid]\n");
		put(b, "type", "x509");
		put(b, "attributes", p->localid->attributes ? "server" : "client");
	}
}

enum err_code
settings_write_toml(const struct settings *s, char **ret, struct err *err)
{
	AUTO(buf_done) struct buf b = { 0 };

	put(&b, "hostname", s->hostname);
	put(&b, "homedir", s->homedir);
	put_int(&b, "max_requests", s->max_requests);
	put_int(&b, "cloud_timeout_sec", s->cloud_timeout_sec);
	put_int(&b, "cloud_retries", s->cloud_retries);
	put_bool(&b, "prefer_module_identity_cache", s->prefer_cache);
	if (put_provisioning(&b, &s->provisioning, err))
		return err->code;
	for (size_t i = 0; i < s->principals.n; i++)
		put_principal(&b, &s->principals.at[i]);
	if (s->localid) {
		buf_puts(&b, "\n[localid]\n");
		put(&b, "domain", s->localid->domain);
	}
	return buf_take_string(&b, ret, err);
}

/* --- reading one back: names and types of principals, and nothing that could fail for another reason --- */

struct prev_principal {
	char *name;
	struct {
		char **at;
		size_t n;
	} idtype;
};
struct prev_state {
	FIELDS_LIST(struct prev_principal) principals;
};
FIELDS_ARM(prev_principal_fields, prev_principal, STR(name, "name", REQUIRED),
    STRS(idtype, "idtype", OPTIONAL));
FIELDS_ARM(
    prev_state_fields, prev_state, LIST(principals, "principal", OPTIONAL, prev_principal_fields));

static enum err_code
module_names(const struct prev_state *prev, name_list *names, struct err *err)
{
	for (size_t i = 0; i < prev->principals.n; i++) {
		const struct prev_principal *p = &prev->principals.at[i];

		for (size_t k = 0; k < p->idtype.n; k++)
			if (strcmp(p->idtype.at[k], "module") == 0 &&
			    name_list_add(names, p->name, err))
				return err->code;
	}
	return ERR_OK;
}

enum err_code
settings_prev_modules(struct text toml, name_list *ret, struct err *err)
{
	AUTO(toml_freep) struct toml *tree = NULL;
	AUTO(json_freep) struct json_t *json = NULL;
	AUTO(name_list_done) name_list names = { 0 };
	struct prev_state prev = { 0 };
	enum err_code code;

	if (toml_parse("prev_state", toml, &tree, err) || toml_to_json(tree, &json, err) ||
	    fields_read(prev_state_fields, &prev, json, err))
		return err->code;
	code = module_names(&prev, &names, err);
	fields_done(prev_state_fields, &prev);
	if (code)
		return code;
	*ret = names;
	names = (name_list){ 0 };
	return ERR_OK;
}
