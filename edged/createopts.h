#ifndef EDGED_CREATEOPTS_H
#define EDGED_CREATEOPTS_H

#include "data/fields.h"
#include "wire/edged.h"

/*
 * From a deployment's createOptions to the body of the engine's container-create call (contracts/edged-containers.md 5.3).
 *
 * Members that edged sets or filters are read by a table; all others go through as they came.  The engine's decoder ignores the case of
 * names, so `hostconfig` beside `HostConfig` would undo what is filtered here: a name that differs from a known one in case only, or
 * that is not ASCII, is refused (edged-weaknesses.md A7).
 */
struct createopts {
	const char *options; /* JSON text; NULL: none */
	const char *image;
	const struct edged_env_var *env; /* createOptions.Env wins over it */
	size_t n_env;
	bool elevated; /* allow_elevated_docker_permissions; false filters */

	/* edgeAgent only, else 0 and NULL */
	bool
	    is_agent; /* keeps CHOWN and SETUID when not elevated: its start script needs them (A8) */
	const char *const *binds; /* appended to the user's */
	size_t n_binds;
	const char *network;		  /* joined unless named already */
	const struct fields_pair *labels; /* set over the user's */
	size_t n_labels;
};

/* ERR_INVALID: the options are no create body; the text says which member. */
enum err_code createopts_build(
    const struct createopts *in, char **ret_body, struct err *err) MUST_CHECK;

#endif
