#include "certd/sandbox.h"

#include <sys/socket.h>
#include <unistd.h>

/* Calls to keyd, certificates, and nothing else; the network comes with EST. */
static const struct sandbox_calls *const calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, &sandbox_connect, NULL };

static const int families[] = { AF_UNIX, AF_UNSPEC };

const struct sandbox_role certd_sandbox = {
	.name = "certd",
	.calls = calls,
	.families = families,
};

enum err_code
certd_preloaded_paths(
    const struct certd_config *config, struct sandbox_paths *paths, struct err *err)
{
	for (size_t i = 0; i < config->preloaded.n; i++) {
		const char *file = config->preloaded.at[i].path;

		if (file && sandbox_paths_add_dir_of(paths, file, SANDBOX_READ, err))
			return err->code;
	}
	return ERR_OK;
}

enum err_code
certd_paths(const struct daemon *d, const struct certd_config *config, struct sandbox_paths *paths,
    struct err *err)
{
	if (certd_preloaded_paths(config, paths, err))
		return err->code;
	/* a certificate is replaced by renaming a new one over it, so only where its directory can be written anyway */
	for (size_t i = 0; i < paths->n; i++)
		if (access(paths->at[i].path, W_OK) == 0)
			paths->at[i].access |= SANDBOX_WRITE;
	if (sandbox_paths_add(paths, config->homedir, SANDBOX_READ | SANDBOX_WRITE, err) ||
	    sandbox_paths_add_dir_of(paths, d->config_file, SANDBOX_READ, err))
		return err->code;
	return sandbox_paths_add(paths, d->config_dir, SANDBOX_READ, err);
}
