#include "certd/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "certd/api.h"
#include "certd/sandbox.h"
#include "data/uri.h"
#include "http/server.h"
#include "platform/listen.h"
#include "provider/provider.h"

#define UNIT "aziot-certd.socket"

/* --- the parts */

static enum err_code
connect_keyd(struct certd *s, const char *uri, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct unix_client_config config = { 0 };

	if (uri && uri_unix_path(uri, &path, err))
		return err_wrap_code(err, ERR_CONFIG, "key endpoints.aziot_keyd");
	config.path = path;
	return keyd_client_new(&config, &s->keyd, err);
}

static void
config_done(void *config)
{
	certd_config_done(config);
}

enum err_code
certd_new(struct certd_config *config, struct certd **ret, struct err *err)
{
	struct certd *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	if (connect_keyd(s, config->endpoints.keyd, err) ||
	    snapshot_new(config, sizeof(*config), config_done, &s->settings, err)) {
		certd_free(s);
		return err->code;
	}
	*ret = s;
	return ERR_OK;
}

enum err_code
certd_prepare(struct certd *s, struct err *err)
{
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);

	struct err unread = { 0 };

	if (store_open(config->homedir, &s->store, err))
		return err->code;
	/* one token that is away must not take all certificates with it */
	if (store_read_tokens(s->store, config, &unread))
		log_error("%s", err_one_line(&unread));
	return provider_install(s->keyd, err);
}

void
certd_free(struct certd *s)
{
	if (!s)
		return;
	http_server_free(s->server);
	keyd_client_free(s->keyd);
	store_free(s->store);
	snapshot_free(s->settings);
	sandbox_paths_done(&s->readable);
	free(s);
}

/* --- the daemon's life (platform/daemon.h) */

static void
config_donep(struct certd_config *config)
{
	certd_config_done(config);
}

enum err_code
service_load(struct daemon *d, struct err *err)
{
	const struct config_source from = { d->config_file, d->config_dir };
	AUTO(config_donep) struct certd_config config = { 0 };
	AUTO(str_freep) char *homedir = NULL;
	struct certd *s;

	if (certd_config_load(&from, true, &config, err) ||
	    str_copy(&homedir, config.homedir, err) || certd_new(&config, &s, err))
		return err->code;
	s->daemon = d;
	d->service = s;
	d->state_dir = homedir;
	homedir = NULL;
	return ERR_OK;
}

static enum err_code
service_open(struct daemon *d, struct err *err)
{
	struct certd *s = d->service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);
	const struct http_server_config server = { .table = &certd_routes, .service = s };
	const char *uri = config->endpoints.certd;
	AUTO(fd_closep) int fd = -1;
	unsigned id;

	if (listen_open(uri ? uri : "unix://" CERTD_SOCKET, UNIT, 1, 0660, &fd, err) ||
	    http_server_new(&server, &s->server, err))
		return err->code;
	return http_server_listen(
	    s->server, fd_take(&fd), (unsigned)config->max_requests, NULL, &id, err);
}

static enum err_code
service_prepare(struct daemon *d, struct err *err)
{
	json_wipe_memory();
	return certd_prepare(d->service, err);
}

static enum err_code
service_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	struct certd *s = d->service;
	AUTO(snapshot_putp) const struct certd_config *config = snapshot_get(s->settings);

	sandbox_paths_done(&s->readable);
	if (certd_preloaded_paths(config, &s->readable, err))
		return err->code;
	return certd_paths(d, config, paths, err);
}

static enum err_code
service_serve(struct daemon *d, struct err *err)
{
	struct certd *s = d->service;

	return http_server_start(s->server, err);
}

/* The policy cannot be widened, so a preloaded file in a new place stays out of reach until the next start. */
static void
warn_unreadable(const struct certd *s, const struct certd_config *config)
{
	AUTO(sandbox_paths_done) struct sandbox_paths wanted = { 0 };
	struct err err = { 0 };

	if (certd_preloaded_paths(config, &wanted, &err))
		return;
	for (size_t i = 0; i < wanted.n; i++)
		if (!sandbox_paths_has(&s->readable, wanted.at[i].path))
			log_warn("%s becomes readable when certd is restarted", wanted.at[i].path);
}

/* contracts/certd.md 5: issuance, preloaded certificates and principals; homedir and max_requests stay as they were at the start. */
static enum err_code
service_reload(struct daemon *d, struct err *err)
{
	struct certd *s = d->service;
	const struct config_source from = { d->config_file, d->config_dir };
	AUTO(config_donep) struct certd_config config = { 0 };

	if (certd_config_load(&from, true, &config, err))
		return err->code;
	warn_unreadable(s, &config);
	return snapshot_set(s->settings, &config, err);
}

static void
service_stop(struct daemon *d, unsigned grace_ms)
{
	struct certd *s = d->service;

	http_server_stop(s->server, grace_ms);
}

static void
service_done(struct daemon *d)
{
	str_freep((char **)&d->state_dir);
	certd_free(d->service);
	d->service = NULL;
}

const struct daemon_role certd_roles[] = {
	{
	    .sandbox = &certd_sandbox,
	    .open = service_open,
	    .prepare = service_prepare,
	    .paths = service_paths,
	    .serve = service_serve,
	    .reload = service_reload,
	    .stop = service_stop,
	    .done = service_done,
	},
	{ 0 },
};
