#include "identityd/service.h"

#include <malloc.h>
#include <stdlib.h>

#include "base/log.h"
#include "data/uri.h"
#include "identityd/api.h"
#include "identityd/sandbox.h"
#include "platform/listen.h"

#define SOCKET_URI	 "unix://" IDENTITYD_SOCKET
#define SOCKET_UNIT	 "aziot-identityd.socket"
#define SOCKET_MODE	 0660
#define FIRST_VERDICT_MS 60000
/* callers that wait for the cloud hold a thread each; one uid has at most half of them */
#define WORKERS	 16
#define OWN_JOBS UINT32_MAX /* no uid: whose share of the pool our own work counts to */

/* --- the parts --- */

static enum err_code
peer_config(const char *uri, struct unix_client_config *ret, char **ret_path, struct err *err)
{
	*ret = (struct unix_client_config){ 0 };
	if (!uri)
		return ERR_OK;
	if (uri_unix_path(uri, ret_path, err))
		return err->code;
	ret->path = *ret_path;
	return ERR_OK;
}

static enum err_code
make_clients(struct identityd *s, const struct settings_endpoints *e, struct err *err)
{
	AUTO(str_freep) char *keyd = NULL;
	AUTO(str_freep) char *certd = NULL;
	AUTO(str_freep) char *tpmd = NULL;
	struct unix_client_config config;

	if (peer_config(e->keyd, &config, &keyd, err) || keyd_client_new(&config, &s->keyd, err) ||
	    peer_config(e->certd, &config, &certd, err) ||
	    certd_client_new(&config, &s->certd, err) ||
	    peer_config(e->tpmd, &config, &tpmd, err) || tpmd_client_new(&config, &s->tpmd, err))
		return err->code;
	return ERR_OK;
}

static void
done_with(void *settings)
{
	settings_done(settings);
}

enum err_code
identityd_new(struct settings *settings, struct identityd **ret, struct err *err)
{
	struct identityd *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	s->socket = -1;
	s->first_verdict_ms = FIRST_VERDICT_MS;
	if (make_clients(s, &settings->endpoints, err) ||
	    snapshot_new(settings, sizeof(*settings), done_with, &s->settings, err)) {
		identityd_free(s);
		return err->code;
	}
	*ret = s;
	return ERR_OK;
}

enum err_code
identityd_prepare(struct identityd *s, struct err *err)
{
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	struct cloud_config cloud = {
		.keyd = s->keyd,
		.tpmd = s->tpmd,
		.timeout_ms = (unsigned)settings->cloud_timeout_sec * 1000,
		.retries = (unsigned)settings->cloud_retries,
	};
	struct provision_config provision = { .settings = s->settings };

	if (state_open(settings->homedir, &s->state, err) || cloud_new(&cloud, &s->cloud, err) ||
	    modules_new(s->cloud, s->keyd, s->state, &s->modules, err))
		return err->code;
	provision.cloud = s->cloud;
	provision.modules = s->modules;
	provision.state = s->state;
	return provision_new(&provision, &s->provision, err);
}

void
identityd_free(struct identityd *s)
{
	if (!s || (s->settings && !snapshot_idle(s->settings)))
		return;
	http_server_free(s->server);
	provision_free(s->provision);
	modules_free(s->modules);
	cloud_free(s->cloud);
	state_free(s->state);
	keyd_client_free(s->keyd);
	certd_client_free(s->certd);
	tpmd_client_free(s->tpmd);
	snapshot_free(s->settings);
	fd_closep(&s->socket);
	str_freep(&s->homedir);
	free(s);
}

/* --- the daemon's life (platform/daemon.h) --- */

enum err_code
identityd_load(struct daemon *d, struct err *err)
{
	const struct config_source from = { d->config_file, d->config_dir };
	AUTO(settings_done) struct settings settings = { 0 };
	AUTO(str_freep) char *homedir = NULL;
	struct identityd *s = NULL;
	size_t dropped;

	if (settings_load(&from, true, &settings, err) || str_copy(&homedir, settings.homedir, err))
		return err->code;
	dropped = principals_dropped(&settings);
	if (dropped)
		log_warn("%zu principals without idtype are ignored: only the first one counts",
		    dropped);
	if (identityd_new(&settings, &s, err))
		return err->code;
	s->daemon = d;
	s->homedir = homedir;
	homedir = NULL;
	d->service = s;
	d->state_dir = s->homedir;
	return ERR_OK;
}

enum err_code
identityd_open(struct daemon *d, struct err *err)
{
	struct identityd *s = d->service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	const char *uri = settings->endpoints.identityd;

	return listen_open(uri ? uri : SOCKET_URI, SOCKET_UNIT, 1, SOCKET_MODE, &s->socket, err);
}

enum err_code
identityd_warm(struct daemon *d, struct err *err)
{
	struct identityd *s = d->service;
	const struct http_server_config config = {
		.table = &identityd_routes,
		.service = s,
		.workers = WORKERS,
	};

	json_wipe_memory();
	/* it waits for the network rather than for malloc: one arena wastes less (tests/bench/footprint.sh) */
	mallopt(M_ARENA_MAX, 1);
	if (cloud_warm_up(err) || identityd_prepare(s, err))
		return err->code;
	return http_server_new(&config, &s->server, err);
}

enum err_code
identityd_allow(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	struct identityd *s = d->service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);

	return identityd_paths(d, settings, paths, err);
}

/* Provisioning takes one thread of the pool for as long as it needs; callers wait for it in others. */
static enum err_code
begin_provisioning(struct identityd *s, struct err *err)
{
	return pool_submit(http_server_pool(s->server), OWN_JOBS, provision_run, s->provision, err);
}

enum err_code
identityd_serve(struct daemon *d, struct err *err)
{
	struct identityd *s = d->service;
	AUTO(snapshot_putp) const struct settings *settings = snapshot_get(s->settings);
	unsigned id;

	if (http_server_listen(
		s->server, fd_take(&s->socket), (unsigned)settings->max_requests, NULL, &id, err) ||
	    http_server_start(s->server, err))
		return err->code;
	return begin_provisioning(s, err);
}

enum err_code
identityd_reload(struct daemon *d, struct err *err)
{
	struct identityd *s = d->service;
	const struct config_source from = { d->config_file, d->config_dir };
	AUTO(settings_done) struct settings settings = { 0 };

	if (settings_load(&from, true, &settings, err) || snapshot_set(s->settings, &settings, err))
		return err->code;
	return begin_provisioning(s, err);
}

void
identityd_stop(struct daemon *d, unsigned grace_ms)
{
	struct identityd *s = d->service;

	provision_stop(s->provision);
	cloud_stop(s->cloud);
	http_server_stop(s->server, grace_ms);
}

void
identityd_done(struct daemon *d)
{
	identityd_free(d->service);
	d->service = NULL;
}
