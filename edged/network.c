#include "edged/network.h"

enum err_code
network_ensure(struct engine *e, const struct edged_network_config *config, struct err *err)
{
	struct engine_network_req req = {
		.name = config->name,
		.enable_ipv6 = config->ipv6,
		.check_duplicate = true,
		.ipam = config->ipam,
	};
	struct err refused;
	bool found = false;

	if (engine_network_find(e, config->name, &found, err))
		return err_wrap(err, "runtime operation error: initialize module runtime");
	if (found)
		return ERR_OK;
	if (engine_network_create(e, &req, err) == ERR_OK)
		return ERR_OK;
	/* somebody else may have been faster, and engines say so by different statuses: look again */
	refused = *err;
	if (engine_network_find(e, config->name, &found, err) == ERR_OK && found)
		return ERR_OK;
	*err = refused;
	return err_wrap(err, "runtime operation error: initialize module runtime");
}
