#include "wire/status.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

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
status_begin(
    struct status_resp *s, const struct daemon *d, bool ok, const char *detail, struct err *err)
{
	static const char *const modes[] = { [SANDBOX_OFF] = "off",
		[SANDBOX_LOG] = "log",
		[SANDBOX_ERRNO] = "errno",
		[SANDBOX_KILL] = "kill" };
	char started[CLOCK_RFC3339_LEN];

	clock_rfc3339(d->started, "Z", started);
	s->ok = ok;
	if (str_copy(&s->daemon, d->spec->name, err) ||
	    str_copy(&s->version, daemon_version, err) || str_copy(&s->started, started, err) ||
	    str_copy(&s->detail, detail, err))
		return err->code;
	if (d->sandbox == SANDBOX_OFF)
		return str_copy(&s->sandbox, modes[SANDBOX_OFF], err);
	return str_format(
	    &s->sandbox, err, "%s, Landlock %d", modes[d->sandbox], sandbox_landlock_abi());
}

/* Make room for one more element of a list. */
static enum err_code
grow(void **at, size_t n, size_t size, struct err *err)
{
	void *grown = realloc(*at, (n + 1) * size);

	if (!grown)
		return err_nomem(err);
	*at = grown;
	memset((char *)grown + n * size, 0, size);
	return ERR_OK;
}

enum err_code
status_add_certificate(
    struct status_resp *s, const char *id, const char *subject, int64_t not_after, struct err *err)
{
	char expires[CLOCK_RFC3339_LEN];
	struct status_certificate *c;

	if (grow((void **)&s->certificates.at, s->certificates.n, sizeof(*c), err))
		return err->code;
	c = &s->certificates.at[s->certificates.n++];
	clock_rfc3339(not_after, "Z", expires);
	c->days_left = (not_after - clock_unix()) / 86400 - (not_after < clock_unix());
	if (str_copy(&c->id, id, err) || str_copy(&c->subject, subject, err))
		return err->code;
	return str_copy(&c->expires, expires, err);
}

enum err_code
status_add_module(struct status_resp *s, const char *name, const char *state, struct err *err)
{
	struct status_module *m;

	if (grow((void **)&s->modules.at, s->modules.n, sizeof(*m), err))
		return err->code;
	m = &s->modules.at[s->modules.n++];
	if (str_copy(&m->name, name, err))
		return err->code;
	return str_copy(&m->state, state, err);
}

enum err_code
status_fact(struct status_resp *s, const char *name, const char *value, struct err *err)
{
	struct fields_pair *pair;

	if (grow((void **)&s->facts.at, s->facts.n, sizeof(*pair), err))
		return err->code;
	pair = &s->facts.at[s->facts.n++];
	if (str_copy(&pair->key, name, err))
		return err->code;
	return str_copy(&pair->value, value, err);
}
