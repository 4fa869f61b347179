#include "identityd/reconcile.h"

#include <string.h>

struct plan {
	struct modules *modules;
	const struct settings *settings;
	const struct device *device;
	name_list before;
	struct hub_module_list listed;
	struct err first; /* the first failure that did not end it */
};

static void
plan_done(struct plan *p)
{
	name_list_done(&p->before);
	hub_module_list_done(&p->listed);
}

static bool
is_current(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->settings->principals.n; i++)
		if ((p->settings->principals.at[i].idtype & ID_MODULE) &&
		    strcmp(p->settings->principals.at[i].name, name) == 0)
			return true;
	return false;
}

static bool
is_listed(const struct plan *p, const char *name)
{
	for (size_t i = 0; i < p->listed.modules.n; i++)
		if (strcmp(p->listed.modules.at[i].module_id, name) == 0)
			return true;
	return false;
}

/* ERR_OK: go on with the next one, whatever became of this one. */
static enum err_code
went(struct plan *p, enum err_code code, const char *module_id, struct err *err)
{
	if (code != ERR_PEER && code != ERR_INVALID && code != ERR_NOT_FOUND)
		return code;
	if (code != ERR_NOT_FOUND && p->first.code == ERR_OK) {
		err_wrap(err, "module %s", module_id);
		p->first = *err;
		/* the hub has taken the device: what it says of a module is no verdict on that */
		p->first.status = 0;
	}
	return ERR_OK;
}

static enum err_code
treat_listed(struct plan *p, const struct hub_module *module, struct err *err)
{
	const char *id = module->module_id;
	bool before = name_list_has(&p->before, id);

	if (is_current(p, id))
		return before ? ERR_OK : modules_adopt(p->modules, p->device, module, err);
	return before ? modules_delete(p->modules, p->device, id, err) : ERR_OK;
}

static enum err_code
create_missing(struct plan *p, const struct settings_principal *principal, struct err *err)
{
	AUTO(identity_done) struct identity made = { 0 };

	if (!(principal->idtype & ID_MODULE) || is_listed(p, principal->name))
		return ERR_OK;
	return modules_create(p->modules, p->device, principal->name, &made, err);
}

enum err_code
reconcile(struct modules *modules, struct state *state, const struct settings *settings,
    const struct device *device, bool *ret_proven, struct err *err)
{
	AUTO(plan_done)
	struct plan p = { .modules = modules, .settings = settings, .device = device };

	if (state_prev_modules(state, device, &p.before, err) ||
	    modules_of_hub(modules, device, &p.listed, err) ||
	    state_device_commit(state, device, err))
		return err->code;
	*ret_proven = true;
	for (size_t i = 0; i < p.listed.modules.n; i++) {
		const struct hub_module *module = &p.listed.modules.at[i];

		if (went(&p, treat_listed(&p, module, err), module->module_id, err))
			return err->code;
	}
	for (size_t i = 0; i < settings->principals.n; i++) {
		const struct settings_principal *principal = &settings->principals.at[i];

		if (went(&p, create_missing(&p, principal, err), principal->name, err))
			return err->code;
	}
	if (p.first.code) {
		*err = p.first;
		return err->code;
	}
	return state_prev_save(state, settings, err);
}
