#ifndef WIRE_ENGINE_H
#define WIRE_ENGINE_H

#include "data/fields.h"

/* Messages of the container engine's API, as far as edged reads them (contracts/docker.md 1-5). */

#define ENGINE_SOCKET	   "/var/run/docker.sock"
#define ENGINE_API_VERSION "1.41" /* asked for first (decisions.md, Engine version) */

struct engine_error {
	char *message;
};
struct engine_version {
	char *api_version, *min_api_version, *version;
};
struct engine_info {
	char *server_version;
};
struct engine_created {
	char *id;
};

struct engine_state {
	char *status; /* created running paused restarting removing exited dead */
	int64_t pid, exit_code;
	bool has_exit_code;
	char *started_at, *finished_at;
};
struct engine_container_config {
	char *image;
	fields_map labels;
	bool tty;
};
/* GET /containers/NAME/json */
struct engine_container {
	char *id;
	char *name;  /* with a leading slash */
	char *image; /* sha256:... */
	struct engine_state state;
	struct engine_container_config config;
};

/* one element of GET /containers/json */
struct engine_item {
	char *id, *state;
	FIELDS_LIST(char *) names; /* with leading slashes */
	fields_map labels;
};
struct engine_items {
	FIELDS_LIST(struct engine_item) items;
};

struct engine_image {
	char *id;
};

struct engine_network {
	char *id, *name;
};
struct engine_networks {
	FIELDS_LIST(struct engine_network) items;
};
struct engine_ipam_config {
	char *gateway, *subnet, *ip_range;
};
struct engine_ipam {
	FIELDS_LIST(struct engine_ipam_config) config;
};
/* POST /networks/create */
struct engine_network_req {
	char *name;
	bool enable_ipv6, check_duplicate;
	struct engine_ipam *ipam;
};

/* one object of a pull's stream */
struct engine_pull_error {
	char *message;
	int64_t code;
	bool has_code;
};
struct engine_pull_line {
	char *error;
	struct engine_pull_error *error_detail;
};

/* one line of GET /events */
struct engine_actor {
	char *id;
	fields_map attributes;
};
struct engine_event {
	char *type, *action;
	struct engine_actor actor;
};

FIELDS_DECLARE(engine_error);
FIELDS_DECLARE(engine_version);
FIELDS_DECLARE(engine_info);
FIELDS_DECLARE(engine_created);
FIELDS_DECLARE(engine_state);
FIELDS_DECLARE(engine_container_config);
FIELDS_DECLARE(engine_container);
FIELDS_DECLARE(engine_item);
FIELDS_DECLARE(engine_items);
FIELDS_DECLARE(engine_image);
FIELDS_DECLARE(engine_network);
FIELDS_DECLARE(engine_networks);
FIELDS_DECLARE(engine_ipam_config);
FIELDS_DECLARE(engine_ipam);
FIELDS_DECLARE(engine_network_req);
FIELDS_DECLARE(engine_pull_error);
FIELDS_DECLARE(engine_pull_line);
FIELDS_DECLARE(engine_actor);
FIELDS_DECLARE(engine_event);

/* The engine answers lists as bare arrays, while a table reads an object: read `[...]` as the member "items". */
enum err_code engine_array_read(
    fields_fn *table, void *ret, struct text in, struct err *err) MUST_CHECK;

/* Value of a label, or NULL. */
const char *engine_label(const fields_map *labels, const char *key);

#endif
