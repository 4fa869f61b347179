#include "identityd/sandbox.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include "data/uri.h"
#include "identityd/cloud.h"

#ifdef SYS_rmdir
#define RMDIR "rmdir"
#else
#define RMDIR "unlinkat"
#endif
static SANDBOX_CALLS(prune, "drop the backups of a device that this one was before", RMDIR);

/* HTTPS to DPS and hub, calls to keyd, certd, tpmd, and its own state: nothing else. */
static const struct sandbox_calls *const calls[] = { &sandbox_runtime, &sandbox_serve,
	&sandbox_files, &sandbox_connect, &sandbox_resolve, &prune, NULL };

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC };

const struct sandbox_role identityd_sandbox = {
	.name = "identityd",
	.calls = calls,
	.families = families,
};

/* The file that `payload` names; a wrong URI is told to whoever asks for the payload. */
static enum err_code
add_payload(const struct settings_payload *payload, struct sandbox_paths *paths, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct err ignored = { 0 };

	if (!payload || uri_file_path(payload->uri, &path, &ignored))
		return ERR_OK;
	return sandbox_paths_add_dir_of(paths, path, SANDBOX_READ, err);
}

enum err_code
identityd_paths(const struct daemon *d, const struct settings *settings,
    struct sandbox_paths *paths, struct err *err)
{
	/*
	 * decisions.md, Resolver.  /etc as a whole: DHCP clients and editors put a new file in the place of resolv.conf or hosts, which is
	 * another one to Landlock, and a device that loses its resolver at a change of network is lost.  What is secret there has an
	 * owner and a mode.  Name services are libraries, which may be loaded late.
	 */
	static const char *const read[] = { "/etc", "/run/systemd/resolve", "/run/resolvconf",
		"/run/NetworkManager", "/run/connman", "/usr/lib", "/usr/local/lib", "/lib",
		"/lib64" };

	if (sandbox_paths_add(paths, settings->homedir, SANDBOX_READ | SANDBOX_WRITE, err) ||
	    sandbox_paths_add_dir_of(paths, d->config_file, SANDBOX_READ, err) ||
	    sandbox_paths_add(paths, d->config_dir, SANDBOX_READ, err) ||
	    cloud_trust_paths(paths, err) ||
	    add_payload(settings->provisioning.payload, paths, err))
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(read); i++)
		if (sandbox_paths_add(paths, read[i], SANDBOX_READ, err))
			return err->code;
	return ERR_OK;
}
