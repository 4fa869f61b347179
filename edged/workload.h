#ifndef EDGED_WORKLOAD_H
#define EDGED_WORKLOAD_H

#include <pthread.h>

#include "edged/module_certs.h"
#include "edged/module_keys.h"
#include "edged/proto.h"
#include "http/server.h"
#include "platform/daemon.h"

/*
 * The workload process: `edged --role workload`, which parses what modules send and holds no engine, no file, no socket() and no
 * connect() (architecture.md 1).  It is handed its listeners, and connections to keyd, certd and identityd, over descriptor PROTO_FD.
 * It reads the same configuration as edged, before its policy.
 */

/* The steps of that role, for edged's table of roles in main.c. */
enum err_code workload_prepare(struct daemon *d, struct err *err) MUST_CHECK;
enum err_code workload_paths(
    struct daemon *d, struct sandbox_paths *paths, struct err *err) MUST_CHECK;
enum err_code workload_serve(struct daemon *d, struct err *err) MUST_CHECK;
void workload_stop(struct daemon *d, unsigned grace_ms);
void workload_done(struct daemon *d);

/* Who may call a row of the workload API. */
enum workload_who {
	WORKLOAD_OPEN,	 /* who can open the socket */
	WORKLOAD_MODULE, /* a process of the container of the module that the path names */
};

/* One socket that is served; the tag of its connections. */
struct workload_listener {
	char module[PROTO_MODULE_MAX + 1];	   /* PROTO_LEGACY: the shared one */
	char container_id[PROTO_CONTAINER_ID + 1]; /* "" for the shared one */
	unsigned id;				   /* of http_server_listen */
	struct workload_listener *next;
};

/* How one peer is dialled through edged. */
struct workload_dial {
	struct workload *workload;
	enum proto_peer peer;
};

struct workload {
	struct daemon *daemon;
	unsigned per_uid; /* connections, iotedge_max_requests.workload */
	const char *trust_bundle_id, *manifest_bundle_id;
	struct proto_client *proto;
	pthread_t reader; /* reads proto */
	bool reading;
	struct workload_dial dials[PROTO_PEERS];
	struct keyd_client *keyd;
	struct certd_client *certd;
	struct identityd_client *identityd;
	struct module_keys *keys;
	struct module_certs certs;
	struct http_server *server;
	struct workload_listener *listeners; /* touched by the reader thread only */
};

extern const struct route_table edged_workload_table;

#endif
