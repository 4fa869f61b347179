#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "data/pkcs11_uri.h"
#include "keyd/service.h"
#include "keyd/worker.h"

/* worker_paths.c - which files each kind of worker reads and writes */

#define BOTH	 (SANDBOX_READ | SANDBOX_WRITE)
#define CONF_MAX 65536 /* bytes of a module's own configuration */

static const struct keyd *
keyd_of(const struct daemon *d)
{
	return d->service;
}

/* --- files and the TPM: keyd's own directories for them, and preloaded keys */

static enum err_code
add_below_home(
    const struct keyd *keyd, const char *name, struct sandbox_paths *paths, struct err *err)
{
	const char *homedir = keyd->config.places.homedir_path;
	AUTO(str_freep) char *path = NULL;

	if (!homedir)
		return ERR_OK;
	if (str_format(&path, err, "%s/%s", homedir, name))
		return err->code;
	return sandbox_paths_add(paths, path, BOTH, err);
}

static enum err_code
add_preloaded(const struct keyd *keyd, struct sandbox_paths *paths, struct err *err)
{
	for (size_t i = 0; i < keyd->layout.stores.n_stores; i++)
		if (keyd->layout.store[i].backend == &file_backend &&
		    keyd_preloaded_paths(&keyd->layout.store[i], paths, err))
			return err->code;
	return ERR_OK;
}

enum err_code
worker_file_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	if (add_below_home(keyd_of(d), "keys", paths, err))
		return err->code;
	return add_preloaded(keyd_of(d), paths, err);
}

enum err_code
worker_tpm_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	return add_below_home(keyd_of(d), "tpm", paths, err);
}

/* --- a vendor's library */

/* What libraries read: other libraries, configuration, what the machine is. */
static const char *const reads[] = { "/usr", "/lib", "/lib64", "/opt", "/etc", "/proc", "/sys",
	"/dev/urandom", "/dev/random", "/run/systemd/resolve" };
static const char *const writes[] = { "/dev/null", "/dev/shm" };

/* Where the PKCS#11 modules that we know keep their state and find their devices. */
static const char *const token_places[] = { "/dev/tpmrm0", "/dev/tpm0", "/var/lib/softhsm",
	"/etc/tpm2_pkcs11", "/run/pcscd", "/run/dbus", "/var/lib/opencryptoki",
	"/run/lock/opencryptoki", "/run/opencryptoki" };

/* And directories that they are told by their environment. */
static const char *const token_variables[] = { "TPM2_PKCS11_STORE" };

/* And, without those, below the home of keyd's user. */
static const char token_home[] = ".tpm2_pkcs11";

static enum err_code
add_list(const char *const *list, size_t n, unsigned access, struct sandbox_paths *paths,
    struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (sandbox_paths_add(paths, list[i], access, err))
			return err->code;
	return ERR_OK;
}

/* The value of `directories.tokendir = VALUE` in SoftHSM's configuration, ended in place; NULL: not there. */
static char *
tokendir_of(char *text)
{
	static const char key[] = "directories.tokendir";
	char *value;

	for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
		line += strspn(line, " \t");
		if (strncmp(line, key, sizeof(key) - 1) != 0)
			continue;
		value = line + sizeof(key) - 1;
		value += strspn(value, " \t=");
		value[strcspn(value, " \t\r")] = '\0';
		return value;
	}
	return NULL;
}

static enum err_code
add_softhsm(struct sandbox_paths *paths, struct err *err)
{
	const char *path = getenv("SOFTHSM2_CONF");
	AUTO(bytes_done) struct bytes text = { 0 };
	struct err ignored = { 0 };
	const char *tokendir;

	if (!path)
		path = "/etc/softhsm/softhsm2.conf";
	if (file_read(path, CONF_MAX, &text, &ignored) || text.len == 0)
		return ERR_OK;
	tokendir = tokendir_of((char *)text.data);
	if (sandbox_paths_add(paths, path, SANDBOX_READ, err))
		return err->code;
	return tokendir && *tokendir ? sandbox_paths_add(paths, tokendir, BOTH, err) : ERR_OK;
}

/* keyd's own directory, only where a plugin is told of it: upstream's keep their keys there (keyabi.md 4). */
static enum err_code
add_parameters(const struct backend_config *config, struct sandbox_paths *paths, struct err *err)
{
	for (size_t i = 0; i < config->n_parameters; i++)
		if (strcmp(config->parameters[i].name, "homedir_path") == 0 &&
		    sandbox_paths_add(paths, config->parameters[i].value, BOTH, err))
			return err->code;
	return ERR_OK;
}

enum err_code
worker_pin_path(const char *uri, struct sandbox_paths *paths, struct err *err)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri u = { 0 };
	struct err ignored = { 0 };

	/* what is wrong with the URI the backend has said */
	if (!uri || pkcs11_uri_parse(uri, &u, &ignored) || !u.pin_source)
		return ERR_OK;
	return sandbox_paths_add_dir_of(paths, u.pin_source, SANDBOX_READ, err);
}

static enum err_code
add_pins(const struct backend_config *config, struct sandbox_paths *paths, struct err *err)
{
	if (worker_pin_path(config->token, paths, err))
		return err->code;
	for (size_t i = 0; i < config->n_preloaded; i++)
		if (worker_pin_path(config->preloaded[i].uri, paths, err))
			return err->code;
	return ERR_OK;
}

static enum err_code
add_place(const struct layout *layout, size_t i, struct sandbox_paths *paths, struct err *err)
{
	const struct backend_config *config = &layout->store[i].config;
	const struct keyd_config_backend *from = layout->from[i];

	if (config->library && sandbox_paths_add_dir_of(paths, config->library, SANDBOX_READ, err))
		return err->code;
	if (from && add_list((const char *const *)from->paths.at, from->paths.n, BOTH, paths, err))
		return err->code;
	return add_parameters(config, paths, err);
}

static enum err_code
add_token_places(struct sandbox_paths *paths, struct err *err)
{
	const char *home = getenv("HOME");
	AUTO(str_freep) char *below = NULL;

	if (add_list(token_places, ARRAY_LEN(token_places), BOTH, paths, err) ||
	    add_softhsm(paths, err))
		return err->code;
	if (home && *home == '/' &&
	    (str_format(&below, err, "%s/%s", home, token_home) ||
		sandbox_paths_add(paths, below, BOTH, err)))
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(token_variables); i++) {
		const char *value = getenv(token_variables[i]);

		if (value && *value == '/' && sandbox_paths_add(paths, value, BOTH, err))
			return err->code;
	}
	return ERR_OK;
}

enum err_code
worker_place_paths(
    const struct layout *layout, size_t place, struct sandbox_paths *paths, struct err *err)
{
	if (add_list(reads, ARRAY_LEN(reads), SANDBOX_READ, paths, err) ||
	    add_list(writes, ARRAY_LEN(writes), BOTH, paths, err))
		return err->code;
	if (place == layout->stores.n_stores)
		return ERR_OK;
	if (layout->store[place].backend == stores_backend("pkcs11") &&
	    (add_token_places(paths, err) || add_pins(&layout->store[place].config, paths, err)))
		return err->code;
	return add_place(layout, place, paths, err);
}

/* --sandbox-probe has no worker and so no place: what all have. */
enum err_code
worker_vendor_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	const struct keyd *keyd = keyd_of(d);
	const struct layout *layout = &keyd->layout;

	return worker_place_paths(layout,
	    keyd->worker ? worker_place(keyd->worker) : layout->stores.n_stores, paths, err);
}
