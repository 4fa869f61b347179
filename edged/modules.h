#ifndef EDGED_MODULES_H
#define EDGED_MODULES_H

#include <stdbool.h>

#include "edged/config.h"
#include "edged/createopts.h"
#include "edged/engine.h"

/*
 * Modules: containers of ours (owner label), by name (contracts/edged-management.md 2, edged-containers.md 5).
 *
 * A name is checked, looked up, and the container's label seen to be ours before anything is done to it, and then it is done to
 * the container's id (edged-weaknesses.md A1, A3): a container of somebody else is ERR_NOT_FOUND.  No lock is held across a call to the engine.
 * Outermost texts are the contract's (`runtime operation error: start module "m1"`); ERR_PEER carries the engine's status.
 */
struct modules;
struct listeners;

struct modules_config {
	struct engine *engine;
	struct listeners *listeners;
	bool elevated; /* allow_elevated_docker_permissions */
};

enum err_code modules_new(
    const struct modules_config *config, struct modules **ret, struct err *err) MUST_CHECK;
void modules_free(struct modules *m);

/* A module to be made.  All members are borrowed. */
struct module_spec {
	const char *name;
	const struct edged_module_settings *settings;
	const struct edged_env_var *env;
	size_t n_env;
	enum edged_pull_policy pull;

	/* edgeAgent as edged makes it, else 0 and NULL (createopts.h) */
	const char *const *binds;
	size_t n_binds;
	const char *network;
	const struct fields_pair *labels;
	size_t n_labels;
};

/* All modules.  One that goes away meanwhile is left out. */
enum err_code modules_list(
    struct modules *m, struct edged_module_list *ret, struct err *err) MUST_CHECK;
enum err_code modules_get(
    struct modules *m, const char *name, struct edged_module *ret, struct err *err) MUST_CHECK;

/* Could this be made: name, length of its socket's path, createOptions?  Nothing is done. */
enum err_code modules_check(
    struct modules *m, const struct module_spec *spec, struct err *err) MUST_CHECK;
/* Pull, create; not started, and without a listener.  ERR_PEER 409: the name is in use. */
enum err_code modules_create(
    struct modules *m, const struct module_spec *spec, struct err *err) MUST_CHECK;
/*
 * Replace: pull while the old one still runs (edged-weaknesses.md B13), stop and remove it, create, start if so wished.  A start that
 * fails is only logged.  ERR_NOT_FOUND: there is none.
 */
enum err_code modules_replace(struct modules *m, const char *name, const struct module_spec *spec,
    bool start, struct err *err) MUST_CHECK;
enum err_code modules_pull(
    struct modules *m, const struct module_spec *spec, struct err *err) MUST_CHECK;
enum err_code modules_remove(struct modules *m, const char *name, struct err *err) MUST_CHECK;

/* The module's listener first, then the container; success when it runs already, its socket untouched (B1). */
enum err_code modules_start(struct modules *m, const char *name, struct err *err) MUST_CHECK;
enum err_code modules_stop(struct modules *m, const char *name, struct err *err) MUST_CHECK;
enum err_code modules_restart(struct modules *m, const char *name, struct err *err) MUST_CHECK;

enum err_code modules_logs(struct modules *m, const char *name, const struct engine_logs *want,
    struct engine_stream **ret, struct err *err) MUST_CHECK;
/* Of all modules, asked side by side, as the text of a JSON array; one that goes away meanwhile is left out. */
enum err_code modules_stats(struct modules *m, char **ret_json, struct err *err) MUST_CHECK;

/* What a module is doing: the engine's word ("running", "exited", ...).  ERR_NOT_FOUND: no such module. */
enum err_code modules_state(
    struct modules *m, const char *name, char ret[16], struct err *err) MUST_CHECK;

/* Is modules_replace at work on this name?  The watchdog keeps away meanwhile. */
bool modules_being_replaced(struct modules *m, const char *name);

/* --- for boot and shutdown */

/* Stop all, side by side, each with that grace; failures are logged.  Returns how many could not be stopped. */
unsigned modules_stop_all(struct modules *m, int grace_s);
/* Remove all; what failed is in err (the first), the rest is done all the same. */
enum err_code modules_remove_all(struct modules *m, struct err *err) MUST_CHECK;
/* A listener for every module there is; failures of one are logged. */
enum err_code modules_open_listeners(struct modules *m, struct err *err) MUST_CHECK;

#endif
