#include "edged/workload.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edged/service.h"

static enum err_code
dial(void *ctx, int *ret_fd, struct err *err)
{
	struct workload_dial *d = ctx;

	return proto_dial(d->workload->proto, d->peer, ret_fd, err);
}

/* --- listeners come and go on the reader thread */

static void
free_listener(void *tag)
{
	free(tag);
}

static void
drop(void *ctx, const char *module)
{
	struct workload *w = ctx;

	for (struct workload_listener **at = &w->listeners; *at; at = &(*at)->next) {
		struct workload_listener *l = *at;

		if (strcmp(l->module, module) != 0)
			continue;
		*at = l->next;
		/* its connections live on, and the tag with them */
		http_server_unlisten(w->server, l->id, free_listener);
		return;
	}
}

static void
add(void *ctx, const char *module, const char *container_id, int fd)
{
	struct workload *w = ctx;
	struct workload_listener *l = calloc(1, sizeof(*l));
	struct err err = { 0 };

	drop(w, module);
	if (!l) {
		fd_closep(&fd);
		log_error("no memory to serve the socket of %s", module);
		return;
	}
	memcpy(l->module, module, strlen(module) + 1);
	memcpy(l->container_id, container_id, strlen(container_id) + 1);
	if (http_server_listen(w->server, fd, w->per_uid, l, &l->id, &err)) {
		log_error("could not serve the socket of %s: %s", module, err.text);
		fd_closep(&fd);
		free(l);
		return;
	}
	l->next = w->listeners;
	w->listeners = l;
}

static void
gone(void *ctx)
{
	struct workload *w = ctx;

	daemon_end(w->daemon, 0);
}

static const struct proto_events events = { add, drop, gone };

static void *
read_edged(void *ctx)
{
	struct workload *w = ctx;
	struct err err = { 0 };

	if (proto_client_run(w->proto, &err) == ERR_PROTOCOL)
		log_error("%s", err.text);
	return NULL;
}

/* --- steps of the role */

static enum err_code
make_clients(struct workload *w, const struct edged_config *config, struct err *err)
{
	struct unix_client_config c[PROTO_PEERS] = {
		[PROTO_KEYD] = { .path = config->endpoints.keyd },
		[PROTO_CERTD] = { .path = config->endpoints.certd },
		/* it may wait for the cloud, but not for longer than the module's request lives */
		[PROTO_IDENTITYD] = { .path = config->endpoints.identityd, .timeout_ms = 25000 },
	};

	for (size_t i = 0; i < PROTO_PEERS; i++) {
		w->dials[i] = (struct workload_dial){ w, (enum proto_peer)i };
		c[i].dial = dial;
		c[i].dial_ctx = &w->dials[i];
	}
	if (keyd_client_new(&c[PROTO_KEYD], &w->keyd, err) ||
	    certd_client_new(&c[PROTO_CERTD], &w->certd, err) ||
	    identityd_client_new(&c[PROTO_IDENTITYD], &w->identityd, err))
		return err->code;
	w->certs = (struct module_certs){ w->certd, w->keyd, config->edge_ca.cert,
		config->edge_ca.key, config->hostname };
	return module_keys_new(w->identityd, w->keyd, 0, &w->keys, err);
}

enum err_code
workload_prepare(struct daemon *d, struct err *err)
{
	struct edged *edged = d->service;
	struct workload *w = calloc(1, sizeof(*w));
	struct http_server_config server = {
		.table = &edged_workload_table, .service = w, .want_pidfd = true
	};

	if (!w)
		return err_nomem(err);
	edged->workload = w;
	w->daemon = d;
	w->per_uid = (unsigned)edged->config.max_requests->workload;
	w->trust_bundle_id = edged->config.trust_bundle_cert;
	w->manifest_bundle_id = edged->config.manifest_trust_bundle_cert;
	if (make_clients(w, &edged->config, err) || module_certs_warm_up(err) ||
	    proto_client_new(PROTO_FD, &events, w, &w->proto, err))
		return err->code;
	return http_server_new(&server, &w->server, err);
}

enum err_code
workload_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	(void)d;
	return sandbox_paths_add(paths, "/proc", SANDBOX_READ, err);
}

enum err_code
workload_serve(struct daemon *d, struct err *err)
{
	struct workload *w = ((struct edged *)d->service)->workload;

	if (http_server_start(w->server, err))
		return err->code;
	if (pthread_create(&w->reader, NULL, read_edged, w))
		return err_set(err, ERR_NOMEM, "could not start a thread");
	w->reading = true;
	return ERR_OK;
}

void
workload_stop(struct daemon *d, unsigned grace_ms)
{
	struct workload *w = ((struct edged *)d->service)->workload;

	if (!w)
		return;
	if (w->server)
		http_server_stop(w->server, grace_ms);
	if (w->reading) {
		proto_client_shut(w->proto);
		pthread_join(w->reader, NULL);
		w->reading = false;
	}
}

void
workload_done(struct daemon *d)
{
	struct workload *w = ((struct edged *)d->service)->workload;

	if (!w)
		return;
	while (w->listeners)
		drop(w, w->listeners->module);
	http_server_free(w->server);
	module_keys_free(w->keys);
	identityd_client_free(w->identityd);
	certd_client_free(w->certd);
	keyd_client_free(w->keyd);
	proto_client_free(w->proto);
	free(w);
	((struct edged *)d->service)->workload = NULL;
}
