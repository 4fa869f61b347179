#include "keyd/service.h"

/* workers.c - which places have a key worker, and what their processes are like */

/* A role's name tells what its process may do: sandbox.c. */
static const char *
role_of(const struct store_config *store, bool network)
{
	if (store->backend == stores_backend("file"))
		return "worker-file";
	if (store->backend == stores_backend("tpm"))
		return "worker-tpm";
	return network ? "worker-network" : "worker-vendor";
}

/*
 * Calls at a time, of which one caller has half at most: a plugin's may not be made side by side (keyabi.md 1).  A TPM does one thing
 * after the other; it has the next one at hand when for each caller one call is at it, one behind that and one on its way.
 */
static unsigned
channels_of(const struct store_config *store)
{
	if (store->backend == stores_backend("plugin"))
		return 1;
	return store->backend == stores_backend("tpm") ? 6 : 4;
}

static unsigned
deadline_of(const struct store_config *store, const struct keyd_config_backend *from)
{
	if (from && from->deadline_ms)
		return (unsigned)from->deadline_ms;
	return store->backend == stores_backend("tpm") ? KEYD_TPM_DEADLINE_MS : KEYD_DEADLINE_MS;
}

static enum err_code
add_worker(struct keyd *keyd, size_t i, struct err *err)
{
	const struct keyd_config_backend *from = keyd->layout.from[i];
	struct store_config *store = &keyd->layout.store[i];
	const struct remote_config config = {
		.name = store->config.name,
		.role = role_of(store, from && from->network),
		.channels = channels_of(store),
		.deadline_ms = deadline_of(store, from),
	};

	store->front = &remote_backend;
	return remotes_add(keyd->remotes, &config, &store->config.remote, err);
}

/* A new spawner would have to be forked before the policy: only a new keyd can.  Its supervisor starts it. */
static void
spawner_lost(void *ctx)
{
	daemon_end(((struct keyd *)ctx)->daemon, 1);
}

static const struct sandbox_role *
spawner_role(const struct layout *layout)
{
	for (size_t i = 0; i < layout->stores.n_stores; i++)
		if (layout->from[i] && layout->from[i]->network)
			return &keyd_spawner_network_sandbox;
	return &keyd_spawner_sandbox;
}

static bool
any_in_worker(const struct layout *layout)
{
	for (size_t i = 0; i < layout->stores.n_stores; i++)
		if (layout_in_worker(layout, i))
			return true;
	return false;
}

enum err_code
keyd_add_workers(struct keyd *keyd, struct err *err)
{
	const struct daemon *d = keyd->daemon;
	struct remotes_config config = { .lost = spawner_lost, .ctx = keyd };

	if (!any_in_worker(&keyd->layout))
		return ERR_OK;
	if (spawner_start(d->argv, spawner_role(&keyd->layout), d->sandbox, &keyd->spawner, err))
		return err->code;
	config.spawner = keyd->spawner;
	if (remotes_new(&config, &keyd->remotes, err))
		return err->code;
	for (size_t i = 0; i < keyd->layout.stores.n_stores; i++)
		if (layout_in_worker(&keyd->layout, i) && add_worker(keyd, i, err))
			return err->code;
	return ERR_OK;
}
