#include "keyd/service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "data/uri.h"
#include "keyd/api.h"
#include "keyd/pair.h"
#include "platform/listen.h"

#define SOCKET_URI  "unix://" KEYD_SOCKET
#define SOCKET_UNIT "aziot-keyd.socket"
#define SOCKET_MODE 0660

static void
keyd_free(struct keyd *keyd)
{
	http_server_free(keyd->http);
	keys_close(keyd->keys);
	remotes_free(keyd->remotes);
	permit_free(keyd->permit);
	policy_free(keyd->policy);
	fd_closep(&keyd->socket);
	layout_done(&keyd->layout);
	keyd_config_done(&keyd->config);
	free(keyd);
}

static bool
is_placed(const struct stores_config *stores, const char *store)
{
	for (size_t i = 0; i < stores->n_rules; i++)
		if (strcmp(stores->rules[i].store, store) == 0)
			return true;
	return false;
}

/* What is configured and without effect: who wrote it believes that keys are where they are not. */
static void
warn_unused(const struct stores_config *stores)
{
	for (size_t i = 0; i < stores->n_stores; i++) {
		const struct backend_config *config = &stores->stores[i].config;

		if (stores->stores[i].by_rule && config->n_preloaded == 0 &&
		    !is_placed(stores, config->name))
			log_warn(
			    "backends.%s keeps no key: no [[placement]] names it", config->name);
	}
	for (size_t i = 0; i < stores->n_nowhere; i++)
		log_warn(
		    "preloaded_keys.%s lives nowhere: no [[placement]] gives it to a backend for "
		    "pkcs11: URIs, and there is no aziot_keys.pkcs11_lib_path",
		    stores->nowhere[i]);
}

static enum err_code
load_in(struct keyd *keyd, struct daemon *d, struct err *err)
{
	const struct config_source from = { d->config_file, d->config_dir };

	if (keyd_config_load(&from, &keyd->config, err))
		return err->code;
	if (layout_make(&keyd->config, &keyd->layout, err) ||
	    layout_check_swapped(&keyd->layout, LAYOUT_SWAPPED_LIBRARY, err))
		return err->code;
	if (!d->role->name)
		warn_unused(&keyd->layout.stores);
	if (policy_new(&keyd->policy, err))
		return err->code;
	return keyd_config_apply_policy(&keyd->config, keyd->policy, err);
}

enum err_code
keyd_load(struct daemon *d, struct err *err)
{
	struct keyd *keyd = calloc(1, sizeof(*keyd));

	if (!keyd)
		return err_nomem(err);
	keyd->daemon = d;
	keyd->socket = -1;
	if (load_in(keyd, d, err)) {
		keyd_free(keyd);
		return err->code;
	}
	d->service = keyd;
	d->state_dir = keyd->config.places.homedir_path;
	return ERR_OK;
}

enum err_code
keyd_open(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	const char *uri = keyd->config.endpoints.aziot_keyd;

	return listen_open(uri ? uri : SOCKET_URI, SOCKET_UNIT, 1, SOCKET_MODE, &keyd->socket, err);
}

enum err_code
keyd_warm_up(struct err *err)
{
	AUTO(bytes_done) struct bytes digest = { 0 };
	AUTO(bytes_done) struct bytes pem = { 0 };
	AUTO(bytes_done) struct bytes signature = { 0 };
	struct pair *pair;
	enum err_code code;

	if (bytes_alloc(&digest, PAIR_DIGEST_MIN, err) || pair_generate(KEY_EC_P256, &pem, err) ||
	    pair_read(&pem, &pair, err))
		return err->code;
	code = pair_ecdsa(pair, &digest, &signature, err);
	pair_free(pair);
	return code;
}

/* Here and not when the configuration is read: counts are kept by the service user. */
static enum err_code
open_permit(struct keyd *keyd, struct err *err)
{
	const struct permit_config config = { .homedir = keyd->config.places.homedir_path };

	if (permit_new(&config, &keyd->permit, err))
		return err->code;
	return keyd_config_apply_permit(&keyd->config, keyd->permit, err);
}

enum err_code
keyd_prepare(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	struct keys_config config = { .homedir = keyd->config.places.homedir_path };
	const struct http_server_config http = { .table = &keyd_routes, .service = keyd };

	/* before anything secret or any thread is there (platform/spawn.h) */
	if (keyd_add_workers(keyd, err))
		return err->code;
	config.stores = keyd->layout.stores;
	json_wipe_memory();
	if (!config.homedir)
		log_warn("no homedir_path: no key can be made, and handles end with this process");
	if (keyd_warm_up(err) || open_permit(keyd, err))
		return err->code;
	config.permit = keyd->permit;
	if (keys_open(&config, keyd->policy, &keyd->keys, err))
		return err->code;
	return http_server_new(&http, &keyd->http, err);
}

/*
 * The directory of a preloaded key, as a file that is put in place of another is a new one to Landlock; written only where it is
 * keyd's own.  What a link names may be elsewhere, and is read.
 */
static enum err_code
add_preloaded(const char *uri, struct sandbox_paths *paths, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	AUTO(str_freep) char *dir = NULL;
	unsigned access = SANDBOX_READ;
	struct stat st;

	if (uri_file_path(uri, &path, err) ||
	    str_format(&dir, err, "%.*s/", (int)(strrchr(path, '/') - path), path))
		return err->code;
	if (stat(dir, &st))
		log_warn("%s: %s; a preloaded key that is put there counts after a restart", dir,
		    strerror(errno));
	else if (st.st_uid == geteuid() && st.st_uid != 0)
		access |= SANDBOX_WRITE;
	if (sandbox_paths_add_dir_of(paths, path, access, err))
		return err->code;
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return sandbox_paths_add(paths, path, SANDBOX_READ, err);
	return ERR_OK;
}

enum err_code
keyd_preloaded_paths(const struct store_config *store, struct sandbox_paths *paths, struct err *err)
{
	for (size_t i = 0; i < store->config.n_preloaded; i++)
		if (add_preloaded(store->config.preloaded[i].uri, paths, err))
			return err->code;
	return ERR_OK;
}

/* What lives in a worker is the worker's to read. */
static enum err_code
add_all_preloaded(const struct layout *layout, struct sandbox_paths *paths, struct err *err)
{
	for (size_t i = 0; i < layout->stores.n_stores; i++)
		if (layout->store[i].backend == &file_backend && !layout_in_worker(layout, i) &&
		    keyd_preloaded_paths(&layout->store[i], paths, err))
			return err->code;
	return ERR_OK;
}

enum err_code
keyd_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	const struct keyd *keyd = d->service;
	const char *homedir = keyd->config.places.homedir_path;

	if (homedir && sandbox_paths_add(paths, homedir, SANDBOX_READ | SANDBOX_WRITE, err))
		return err->code;
	if (add_all_preloaded(&keyd->layout, paths, err))
		return err->code;
	/* principals and uses are read again on SIGHUP */
	if (sandbox_paths_add_dir_of(paths, d->config_file, SANDBOX_READ, err))
		return err->code;
	return sandbox_paths_add(paths, d->config_dir, SANDBOX_READ, err);
}

enum err_code
keyd_serve(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	unsigned id;

	if (http_server_listen(keyd->http, fd_take(&keyd->socket),
		(unsigned)keyd->config.max_requests, NULL, &id, err))
		return err->code;
	if (keyd->remotes && remotes_start(keyd->remotes, err))
		return err->code;
	return http_server_start(keyd->http, err);
}

/* Principals and uses alone are re-read, as upstream does with principals; and opened keys forgotten, so that files changed by hand count. */
enum err_code
keyd_reload(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	const struct config_source from = { d->config_file, d->config_dir };
	AUTO(keyd_config_done) struct keyd_config fresh = { 0 };

	if (keyd_config_load(&from, &fresh, err) ||
	    keyd_config_apply_permit(&fresh, keyd->permit, err) ||
	    keyd_config_apply_policy(&fresh, keyd->policy, err))
		return err->code;
	keys_forget(keyd->keys);
	return ERR_OK;
}

void
keyd_stop(struct daemon *d, unsigned grace_ms)
{
	struct keyd *keyd = d->service;

	http_server_stop(keyd->http, grace_ms);
	/* calls that hang end with their workers, and with them the last who use the server */
	remotes_stop(keyd->remotes);
}

void
keyd_done(struct daemon *d)
{
	spawner_stop(((struct keyd *)d->service)->spawner);
	keyd_free(d->service);
	d->service = NULL;
}
