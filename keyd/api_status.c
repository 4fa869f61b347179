/* api_status.c - how keyd is, for `edgekeep status` */
#include <string.h>

#include "keyd/api.h"
#include "keyd/service.h"
#include "wire/status.h"

/* A worker that does not serve, and not only because it has just been started. */
static bool
idle_worker(const struct keyd *keyd, struct remote_state *ret)
{
	for (size_t i = 0; i < remotes_count(keyd->remotes); i++) {
		remotes_state(keyd->remotes, i, ret);
		if (!ret->serves && ret->trouble[0])
			return true;
	}
	return false;
}

static enum err_code
describe(const struct keyd *keyd, struct status_resp *out, struct err *err)
{
	const char *homedir = keyd->config.places.homedir_path;
	AUTO(str_freep) char *detail = NULL;
	struct remote_state w;
	struct err why = { 0 };

	if (keys_check(keyd->keys, &why))
		return status_begin(out, keyd->daemon, false, why.text, err);
	if (idle_worker(keyd, &w)) {
		if (str_format(&detail, err, "the key backend %s is %s: %.*s", w.name, w.state,
			(int)strcspn(w.trouble, "\n"), w.trouble))
			return err->code;
		return status_begin(out, keyd->daemon, false, detail, err);
	}
	if (!homedir)
		return status_begin(out, keyd->daemon, true, "preloaded keys only", err);
	if (str_format(&detail, err, "keys in %s", homedir))
		return err->code;
	return status_begin(out, keyd->daemon, true, detail, err);
}

/* One line for each key worker: "serving", "restarting; 3 restarts, the last because its process was ended by signal 11". */
static enum err_code
add_worker(struct status_resp *out, const struct remote_state *w, struct err *err)
{
	AUTO(str_freep) char *name = NULL;
	AUTO(str_freep) char *value = NULL;
	const char *cause = w->trouble[0] ? ": " : "";

	if (str_format(&name, err, "key worker %s", w->name) ||
	    str_format(&value, err, "%s, %u restarts%s%.*s", w->state, w->restarts, cause,
		(int)strcspn(w->trouble, "\n"), w->trouble))
		return err->code;
	return status_fact(out, name, value, err);
}

static enum err_code
add_workers(const struct keyd *keyd, struct status_resp *out, struct err *err)
{
	struct remote_state w;

	for (size_t i = 0; i < remotes_count(keyd->remotes); i++) {
		remotes_state(keyd->remotes, i, &w);
		if (add_worker(out, &w, err))
			return err->code;
	}
	return ERR_OK;
}

/* Rules refuse what a handle would do without them, so whoever wonders shall see that there are some. */
static enum err_code
add_rules(const struct keyd *keyd, struct status_resp *out, struct err *err)
{
	AUTO(str_freep) char *value = NULL;
	bool others;
	size_t n = permit_count(keyd->permit, &others);

	if (n == 0 && others)
		return ERR_OK;
	if (str_format(&value, err, "%zu in force, other keys %s", n,
		others ? "as without rules" : "refused"))
		return err->code;
	return status_fact(out, "rules of use", value, err);
}

enum err_code
keyd_status(void *service, const struct request *req, struct response *resp, struct err *err)
{
	const struct keyd *keyd = service;
	AUTO(status_resp_done) struct status_resp out = { 0 };

	(void)req;
	if (describe(keyd, &out, err) ||
	    status_fact(&out, "memory", memory_lock_name(keyd->daemon->memory), err) ||
	    add_workers(keyd, &out, err) || add_rules(keyd, &out, err))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
