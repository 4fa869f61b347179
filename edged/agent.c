#include "edged/agent.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

#define MODULE_ID	     "$edgeAgent"
#define UPSTREAM	     "$upstream"
#define CREATE_OPTIONS_LABEL "net.azure-devices.edge.create-options"
#define ENV_LABEL	     "net.azure-devices.edge.env"

/* --- environment */

static enum err_code
env_set(struct agent_parts *p, const char *key, const char *value, struct err *err)
{
	struct edged_env_var *at;

	for (size_t i = 0; i < p->env.n; i++)
		if (strcmp(p->env.at[i].key, key) == 0) {
			str_freep(&p->env.at[i].value);
			return str_copy(&p->env.at[i].value, value, err);
		}
	at = reallocarray(p->env.at, p->env.n + 1, sizeof(*at));
	if (!at)
		return err_nomem(err);
	p->env.at = at;
	at = &at[p->env.n++];
	*at = (struct edged_env_var){ 0 };
	if (str_copy(&at->key, key, err) || str_copy(&at->value, value, err))
		return err->code;
	return ERR_OK;
}

static enum err_code
env_make(struct agent_parts *p, const struct edged_config *c, const struct agent_device *d,
    const char *generation_id, struct err *err)
{
	AUTO(str_freep) char *mnt_uri = NULL;

	if (str_format(&mnt_uri, err, "unix://%s", c->mnt_dir))
		return err->code;
	const struct {
		const char *key, *value;
	} injected[] = {
		{ "EdgeDeviceHostName", c->hostname },
		{ "IOTEDGE_APIVERSION", EDGED_API_VERSION },
		{ "IOTEDGE_AUTHSCHEME", "sasToken" },
		{ "IOTEDGE_DEVICEID", d->device_id },
		{ "IOTEDGE_IOTHUBHOSTNAME", d->hub_name },
		{ "IOTEDGE_MODULEID", MODULE_ID },
		{ "IOTEDGE_MODULEGENERATIONID", generation_id },
		{ "IOTEDGE_WORKLOADURI", c->connect.workload_uri },
		{ "IOTEDGE_MANAGEMENTURI", c->connect.management_uri },
		{ "IOTEDGE_WORKLOADLISTEN_MNTURI", mnt_uri },
		{ "Mode", "iotedged" },
		{ "NetworkId", c->moby.network.name },
	};

	for (size_t i = 0; i < c->agent.env.n; i++)
		if (env_set(p, c->agent.env.at[i].key, c->agent.env.at[i].value, err))
			return err->code;
	for (size_t i = 0; i < ARRAY_LEN(injected); i++)
		if (env_set(p, injected[i].key, injected[i].value, err))
			return err->code;
	if (strcasecmp(d->gateway_host, d->hub_name) != 0)
		return env_set(p, "IOTEDGE_GATEWAYHOSTNAME", d->gateway_host, err);
	return ERR_OK;
}

/* --- the rest */

static enum err_code
upstream_replace(char **ret, const char *text, const char *gateway_host, struct err *err)
{
	if (strncmp(text, UPSTREAM, strlen(UPSTREAM)) != 0)
		return str_copy(ret, text, err);
	return str_format(ret, err, "%s%s", gateway_host, text + strlen(UPSTREAM));
}

static enum err_code
settings_make(struct agent_parts *p, const struct edged_config *c, const struct agent_device *d,
    struct err *err)
{
	const struct edged_agent_settings *given = &c->agent.config;

	if (upstream_replace(&p->image, given->image, d->gateway_host, err))
		return err->code;
	p->settings.image = p->image;
	p->settings.create_options = given->create_options;
	if (!given->auth)
		return ERR_OK;
	p->auth = *given->auth;
	p->settings.auth = &p->auth;
	if (!given->auth->serveraddress)
		return ERR_OK;
	if (upstream_replace(&p->serveraddress, given->auth->serveraddress, d->gateway_host, err))
		return err->code;
	p->auth.serveraddress = p->serveraddress;
	return ERR_OK;
}

/* Both sockets on the paths that the environment names; only where those are sockets at all. */
static enum err_code
binds_make(struct agent_parts *p, const struct edged_config *c, struct err *err)
{
	size_t n = 0;

	if (c->connect_management_path &&
	    str_format(&p->binds[n++], err, "%s:%s", c->connect_management_path,
		c->connect_management_path))
		return err->code;
	if (c->connect_workload_path && str_format(&p->binds[n++], err, "%s/%s.sock:%s", c->mnt_dir,
					    c->agent.name, c->connect_workload_path))
		return err->code;
	p->spec.binds = (const char *const *)p->binds;
	p->spec.n_binds = n;
	return ERR_OK;
}

enum err_code
agent_parts_make(const struct edged_config *config, const struct agent_device *device,
    const char *generation_id, struct agent_parts *ret, struct err *err)
{
	*ret = (struct agent_parts){ 0 };
	if (env_make(ret, config, device, generation_id, err) ||
	    settings_make(ret, config, device, err) || binds_make(ret, config, err)) {
		agent_parts_done(ret);
		return err->code;
	}
	/* the agent reads its own deployment out of these; edged's says nothing */
	ret->labels[0] = (struct fields_pair){ (char *)CREATE_OPTIONS_LABEL, (char *)"{}" };
	ret->labels[1] = (struct fields_pair){ (char *)ENV_LABEL, (char *)"{}" };
	ret->spec.name = config->agent.name;
	ret->spec.settings = &ret->settings;
	ret->spec.env = ret->env.at;
	ret->spec.n_env = ret->env.n;
	ret->spec.pull = (enum edged_pull_policy)config->agent.image_pull_policy;
	ret->spec.network = config->moby.network.name;
	ret->spec.labels = ret->labels;
	ret->spec.n_labels = ARRAY_LEN(ret->labels);
	return ERR_OK;
}

void
agent_parts_done(struct agent_parts *p)
{
	for (size_t i = 0; i < p->env.n; i++) {
		str_freep(&p->env.at[i].key);
		str_freep(&p->env.at[i].value);
	}
	free(p->env.at);
	str_freep(&p->image);
	str_freep(&p->serveraddress);
	str_freep(&p->binds[0]);
	str_freep(&p->binds[1]);
	*p = (struct agent_parts){ 0 };
}

/* --- the look */

static enum err_code
create_and_start(const struct agent *a, struct err *err)
{
	AUTO(identity_done) struct identity identity = { 0 };
	AUTO(agent_parts_done) struct agent_parts parts = { 0 };

	log_info("Creating and starting Edge runtime module %s...", a->config->agent.name);
	if (identityd_client_module_update(a->identityd, MODULE_ID, &identity, err))
		return err_wrap(err, "no identity for " MODULE_ID);
	if (!identity.gen_id)
		return err_set(
		    err, ERR_PROTOCOL, "the identity of " MODULE_ID " has no generation");
	if (agent_parts_make(a->config, a->device, identity.gen_id, &parts, err) ||
	    modules_create(a->modules, &parts.spec, err))
		return err->code;
	log_info("Created Edge runtime module %s", parts.spec.name);
	if (modules_start(a->modules, parts.spec.name, err))
		return err->code;
	log_info("Started Edge runtime module %s", parts.spec.name);
	return ERR_OK;
}

enum err_code
agent_look(const struct agent *a, struct err *err)
{
	const char *name = a->config->agent.name;
	char state[16];

	if (modules_being_replaced(a->modules, name))
		return ERR_OK;
	if (modules_state(a->modules, name, state, err)) {
		if (err->code != ERR_NOT_FOUND)
			return err->code;
		err_clear(err);
		return create_and_start(a, err);
	}
	/* paused: somebody did that on purpose, and the engine would refuse a start */
	if (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0)
		return ERR_OK;
	if (strcmp(state, "dead") == 0) {
		if (modules_remove(a->modules, name, err))
			return err->code;
		return create_and_start(a, err);
	}
	log_info("Edge runtime module %s is %s, starting it", name, state);
	return modules_start(a->modules, name, err);
}
