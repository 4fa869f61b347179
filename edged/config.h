#ifndef EDGED_CONFIG_H
#define EDGED_CONFIG_H

#include <stdbool.h>

#include "data/config.h"
#include "wire/edged.h"
#include "wire/engine.h"

/* edged's configuration (contracts/edged-config.md 1.1). */

#define EDGED_AGENT_NAME "edgeAgent" /* authorisation and labels know no other */

enum edged_auto_reprovisioning {
	EDGED_REPROVISION_DYNAMIC,
	EDGED_REPROVISION_ALWAYS,
	EDGED_REPROVISION_ON_ERROR
};

enum edged_pull_policy { EDGED_PULL_ON_CREATE, EDGED_PULL_NEVER };

struct edged_agent_settings {
	char *image;
	char *create_options; /* RAW; NULL: none */
	struct edged_registry_auth *auth;
	char *unused[3]; /* known to upstream, without effect there */
};
struct edged_agent_config {
	char *name, *type;
	int image_pull_policy; /* enum edged_pull_policy */
	struct edged_agent_settings config;
	fields_map env;
};
struct edged_edge_ca_config {
	char *cert, *key;
	char *common_name;
	fields_map subject;
	char *auto_renew; /* RAW; renewal comes with its own issue */
};
struct edged_uris {
	char *workload_uri, *management_uri;
};
struct edged_network_config {
	char *name;
	bool ipv6;
	struct engine_ipam *ipam;
};
struct edged_moby_config {
	char *uri;
	char *network_raw; /* string or table; read into network by edged_config_load */
	struct edged_network_config network;
	char *content_trust; /* known to upstream, without effect there */
};
struct edged_watchdog_config {
	char *max_retries_raw; /* "infinite" or a number */
	int64_t max_retries;   /* -1: infinite */
};
struct edged_max_requests {
	int64_t management, workload;
};
struct edged_endpoints {
	char *certd, *keyd, *identityd;
};

struct edged_config {
	char *hostname, *homedir;
	char *trust_bundle_cert, *manifest_trust_bundle_cert;
	int auto_reprovisioning;
	bool allow_elevated, has_allow_elevated;
	struct edged_max_requests *max_requests; /* never NULL after edged_config_load */
	struct edged_edge_ca_config edge_ca;	 /* cert and key filled in */
	struct edged_agent_config agent;
	struct edged_uris connect, listen;
	struct edged_watchdog_config watchdog;
	struct edged_moby_config moby;
	char *image_garbage_collection; /* RAW; comes with its own issue */
	fields_map additional_info;
	struct edged_endpoints endpoints; /* socket paths, filled in */

	/* made of the above */
	char *real_homedir;				       /* canonical; it must exist */
	char *mnt_dir, *cache_dir, *gc_dir;		       /* below it */
	char *engine_socket;				       /* path of moby_runtime.uri */
	char *connect_management_path, *connect_workload_path; /* NULL: not unix:// */
};

FIELDS_DECLARE(edged_config);

/*
 * Read, fill in defaults and check: agent.name must be edgeAgent, homedir must exist, the engine's URI must be unix://.
 * ERR_CONFIG.  Free with edged_config_done.
 */
enum err_code edged_config_load(const struct config_source *from, bool warn,
    struct edged_config *ret, struct err *err) MUST_CHECK;

/* Free what the table knows and what edged_config_load made of it. */
void edged_config_release(struct edged_config *config);

#endif
