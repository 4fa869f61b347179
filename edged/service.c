#include "edged/service.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "client/certd.h"
#include "client/identityd.h"
#include "client/keyd.h"
#include "edged/boot.h"
#include "edged/child.h"
#include "edged/dial.h"
#include "edged/listeners.h"
#include "edged/modules.h"
#include "edged/state.h"
#include "edged/systeminfo.h"
#include "http/server.h"
#include "platform/listen.h"
#include "platform/pool.h"
#include "platform/spawn.h"
#include "provider/provider.h"

#define WORKERS \
	12 /* five calls of the agent at once, some of which last minutes, and everybody else's */

/* The unit has 40 s: 15 for containers to end, 5 for the engine to say so, and the rest for our own (edged-lifecycle.md 7). */
#define STOP_GRACE_S 15
#define STOP_WAIT_S  20

enum err_code
edged_load(struct daemon *d, struct err *err)
{
	struct config_source from = { d->config_file, d->config_dir };
	struct edged *e = calloc(1, sizeof(*e));

	if (!e)
		return err_nomem(err);
	e->daemon = d;
	e->management_fd = e->legacy_fd = -1;
	if (edged_config_load(&from, d->role->name == NULL, &e->config, err)) {
		free(e);
		return err->code;
	}
	d->service = e;
	d->engine_socket = e->config.engine_socket;
	d->state_dir = e->config.cache_dir;
	return ERR_OK;
}

enum err_code
edged_open(struct daemon *d, struct err *err)
{
	struct edged *e = d->service;

	if (listen_open(e->config.listen.management_uri, "aziot-edged.mgmt.socket", 0, 0660,
		&e->management_fd, err))
		return err->code;
	return listen_open(e->config.listen.workload_uri, "aziot-edged.workload.socket", 0, 0666,
	    &e->legacy_fd, err);
}

/* --- prepare */

static enum err_code
make_clients(struct edged *e, struct err *err)
{
	struct unix_client_config keyd = { .path = e->config.endpoints.keyd };
	struct unix_client_config certd = { .path = e->config.endpoints.certd };
	struct unix_client_config identityd = { .path = e->config.endpoints.identityd };
	struct engine_config engine = { .socket = e->config.engine_socket };

	if (keyd_client_new(&keyd, &e->keyd, err) || certd_client_new(&certd, &e->certd, err) ||
	    identityd_client_new(&identityd, &e->identityd, err) ||
	    engine_new(&engine, &e->engine, err))
		return err->code;
	return provider_install(e->keyd, err);
}

static enum err_code
make_runtime(struct edged *e, struct err *err)
{
	struct modules_config modules = { .elevated = e->config.allow_elevated };

	if (file_mkdirs(e->config.cache_dir, 0700, err) ||
	    file_mkdirs(e->config.gc_dir, 0700, err) ||
	    listeners_new(e->config.mnt_dir, &e->listeners, err))
		return err->code;
	modules.engine = e->engine;
	modules.listeners = e->listeners;
	if (modules_new(&modules, &e->modules, err) ||
	    systeminfo_new(&e->config, &e->systeminfo, err))
		return err->code;
	return boot_new(e, &e->boot, err);
}

static enum err_code
answer_list(void *ctx, char **ret_json, struct err *err)
{
	struct edged *e = ctx;
	AUTO(edged_module_list_done) struct edged_module_list list = { 0 };

	if (modules_list(e->modules, &list, err))
		return err->code;
	return fields_write_text(edged_module_list_fields, &list, ret_json, err);
}

static enum err_code
answer_dial(void *ctx, enum proto_peer peer, int *ret_fd, struct err *err)
{
	struct edged *e = ctx;
	const char *const paths[PROTO_PEERS] = {
		[PROTO_KEYD] = e->config.endpoints.keyd,
		[PROTO_CERTD] = e->config.endpoints.certd,
		[PROTO_IDENTITYD] = e->config.endpoints.identityd,
	};

	return dial_unix(paths[peer], ret_fd, err);
}

static enum err_code
answer_container(
    void *ctx, const char *module, char ret_id[PROTO_CONTAINER_ID + 1], struct err *err)
{
	struct edged *e = ctx;

	return listeners_container_of(e->listeners, module, ret_id, err);
}

/* A new spawner would have to be forked before the policy: only a new edged can.  Its supervisor starts it (Restart=on-failure). */
static void
spawner_lost(void *ctx)
{
	struct edged *e = ctx;

	daemon_end(e->daemon, 1);
}

static const struct proto_answers answers = { answer_list, answer_dial, answer_container };

static enum err_code
make_server(struct edged *e, struct err *err)
{
	struct http_server_config server = {
		.table = &edged_management_table,
		.service = e,
		.workers = WORKERS,
		.want_pidfd = true,
	};
	unsigned id;

	if (http_server_new(&server, &e->server, err) ||
	    http_server_listen(e->server, e->management_fd,
		(unsigned)e->config.max_requests->management, NULL, &id, err))
		return err->code;
	e->management_fd = -1;
	return ERR_OK;
}

enum err_code
edged_prepare(struct daemon *d, struct err *err)
{
	struct edged *e = d->service;

	/* as the service user, and before anything secret or any thread is there (platform/spawn.h) */
	if (spawner_start(d->argv, &edged_spawner_sandbox, d->sandbox, &e->spawner, err) ||
	    make_clients(e, err) || make_runtime(e, err))
		return err->code;
	return make_server(e, err);
}

enum err_code
edged_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	const struct edged *e = d->service;

	/* callers' cgroups and our own load; disks */
	if (sandbox_paths_add(paths, "/proc", SANDBOX_READ, err) ||
	    sandbox_paths_add(paths, "/sys", SANDBOX_READ, err) ||
	    sandbox_paths_add(paths, e->config.mnt_dir, SANDBOX_READ | SANDBOX_WRITE, err) ||
	    sandbox_paths_add(paths, e->config.gc_dir, SANDBOX_READ | SANDBOX_WRITE, err))
		return err->code;
	return sandbox_paths_add(paths, e->config.cache_dir, SANDBOX_READ | SANDBOX_WRITE, err);
}

/* --- life */

enum err_code
edged_serve(struct daemon *d, struct err *err)
{
	struct edged *e = d->service;
	struct child_config child = {
		.spawner = e->spawner,
		.listeners = e->listeners,
		.answers = &answers,
		.lost = spawner_lost,
		.ctx = e,
	};

	/* requests for the status look at it */
	if (child_new(&child, &e->child, err) || http_server_start(e->server, err) ||
	    child_start(e->child, http_server_pool(e->server), err))
		return err->code;
	return boot_start(e->boot, err);
}

static void *
stop_modules(void *arg)
{
	struct edged *e = arg;

	pool_set_may_block(true);
	(void)modules_stop_all(e->modules, STOP_GRACE_S);
	return NULL;
}

/* An engine that hangs must not hold the daemon beyond its unit's patience. */
static bool
stop_modules_bounded(struct edged *e)
{
	struct timespec until;
	pthread_t thread;

	if (pthread_create(&thread, NULL, stop_modules, e))
		return true;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_S;
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		return true;
	log_warn("the container engine did not stop the modules in time");
	(void)pthread_detach(thread);
	return false;
}

static void
reprovision(struct edged *e)
{
	struct err err = { 0 };

	if (state_forget(e->config.cache_dir, &err) ||
	    identityd_client_reprovision(e->identityd, &err)) {
		log_error("could not reprovision: %s", err.text);
		e->daemon->exit_status = 1;
	}
}

void
edged_stop(struct daemon *d, unsigned grace_ms)
{
	struct edged *e = d->service;
	bool quiet;

	/* the watchdog first, or it would start edgeAgent again */
	engine_cancel(e->engine);
	quiet = boot_stop(e->boot);
	quiet = stop_modules_bounded(e) && quiet;
	if (e->child)
		child_stop(e->child);
	http_server_stop(e->server, grace_ms);
	if (boot_wants_reprovision(e->boot))
		reprovision(e);
	e->abandoned = !quiet || pool_stop(http_server_pool(e->server), 0) > 0;
}

void
edged_done(struct daemon *d)
{
	struct edged *e = d->service;

	if (!e)
		return;
	spawner_stop(e->spawner);
	/* a thread that still waits for a peer uses all this; the process ends now anyway */
	if (e->abandoned)
		return;
	child_free(e->child);
	http_server_free(e->server);
	boot_free(e->boot);
	modules_free(e->modules);
	listeners_free(e->listeners);
	systeminfo_free(e->systeminfo);
	engine_free(e->engine);
	identityd_client_free(e->identityd);
	certd_client_free(e->certd);
	keyd_client_free(e->keyd);
	fd_closep(&e->management_fd);
	fd_closep(&e->legacy_fd);
	edged_config_release(&e->config);
	free(e);
	d->service = NULL;
}
