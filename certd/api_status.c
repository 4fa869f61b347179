/* api_status.c - how certd is, for `edgekeep status` */
#include "certd/api.h"
#include "certd/inventory.h"
#include "wire/status.h"

static enum err_code
describe(struct certd *s, struct status_resp *out, struct err *err)
{
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	AUTO(inventory_done) struct inventory inventory = { 0 };
	AUTO(str_freep) char *detail = NULL;
	struct err why = { 0 };

	if (inventory_take(s->store, config, &inventory, &why))
		return status_begin(out, s->daemon, false, why.text, err);
	if (str_format(&detail, err, "%zu certificates in %s", inventory.n + inventory.left_out,
		config->homedir) ||
	    status_begin(out, s->daemon, true, detail, err))
		return err->code;
	for (size_t i = 0; i < inventory.n; i++)
		if (status_add_certificate(out, inventory.at[i].id, inventory.at[i].subject,
			inventory.at[i].not_after, err))
			return err->code;
	return ERR_OK;
}

enum err_code
certd_status(void *service, const struct request *req, struct response *resp, struct err *err)
{
	AUTO(status_resp_done) struct status_resp out = { 0 };

	(void)req;
	if (describe(service, &out, err))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
