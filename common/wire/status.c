#include "wire/status.h"

#include <stdlib.h>

FIELDS(status_certificate, STR(id, "id", REQUIRED), STR(subject, "subject", OPTIONAL),
    STR(expires, "expires", REQUIRED), INT(days_left, "daysLeft", REQUIRED, INT64_MIN, INT64_MAX));

FIELDS(status_device, STR(id, "id", REQUIRED), STR(hub, "hub", REQUIRED),
    STR(source, "source", OPTIONAL));

FIELDS(status_module, STR(name, "name", REQUIRED), STR(state, "state", REQUIRED));

FIELDS(status_resp, STR(daemon, "daemon", REQUIRED), STR(version, "version", REQUIRED),
    STR(started, "started", REQUIRED), STR(sandbox, "sandbox", OPTIONAL), BOOL(ok, "ok", REQUIRED),
    STR(detail, "detail", OPTIONAL), TABLE(facts, "facts", OPTIONAL, fields_pair_fields),
    LIST(certificates, "certificates", OPTIONAL, status_certificate_fields),
    LIST(modules, "modules", OPTIONAL, status_module_fields),
    REF(device, "device", OPTIONAL, status_device_fields));

enum err_code
status_fact(struct status_resp *s, const char *name, const char *value, struct err *err)
{
	AUTO(str_freep) char *key = NULL;
	AUTO(str_freep) char *text = NULL;
	struct fields_pair *grown;

	if (str_copy(&key, name, err) || str_copy(&text, value, err))
		return err->code;
	grown = realloc(s->facts.at, (s->facts.n + 1) * sizeof(*grown));
	if (!grown)
		return err_nomem(err);
	s->facts.at = grown;
	s->facts.at[s->facts.n++] = (struct fields_pair){ key, text };
	key = text = NULL;
	return ERR_OK;
}
