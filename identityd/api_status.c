#include <stdlib.h>

#include "identityd/api.h"
#include "wire/status.h"

/* How identityd is, for `edgekeep status`. */

static const char *
source_of(const struct settings_provisioning *p)
{
	static const char *const manual[] = { "manual, sas", "manual, x509" };
	static const char *const dps[] = { "dps, symmetric_key", "dps, x509", "dps, tpm" };

	switch (p->source) {
	case SOURCE_MANUAL:
		return manual[p->authentication.method];
	case SOURCE_DPS:
		return dps[p->attestation.method];
	default:
		return "none";
	}
}

static enum err_code
add_device(struct identityd *s, const struct device *d, struct status_resp *out, struct err *err)
{
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);

	out->device = calloc(1, sizeof(*out->device));
	if (!out->device)
		return err_nomem(err);
	if (str_copy(&out->device->id, d->id, err) || str_copy(&out->device->hub, d->hub, err))
		return err->code;
	return str_copy(&out->device->source, source_of(&settings->provisioning), err);
}

static enum err_code
describe(struct identityd *s, struct status_resp *out, struct err *err)
{
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(str_freep) char *detail = NULL;
	struct err last = { 0 };

	provision_state(s->provision, &d, &last);
	err_one_line(&last);
	/* source none is a choice, and a device that the hub cannot be asked about just now still serves its identity */
	if (!d && last.code == ERR_NOT_FOUND)
		return status_begin(out, s->daemon, true, "not to be provisioned", err);
	if (!d)
		return status_begin(out, s->daemon, false, last.text, err);
	if (last.code == ERR_OK) {
		if (status_begin(out, s->daemon, true, "provisioned", err))
			return err->code;
	} else if (str_format(&detail, err, "running offline: %s", last.text) ||
		   status_begin(out, s->daemon, !hub_rejects_device(&last), detail, err)) {
		return err->code;
	}
	return add_device(s, d, out, err);
}

enum err_code
identityd_status(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(status_resp_done) struct status_resp out = { 0 };

	(void)req;
	if (describe(service, &out, err))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
