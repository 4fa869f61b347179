#include "edged/config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "data/uri.h"
#include "wire/certd.h"
#include "wire/identityd.h"
#include "wire/keyd.h"

/* --- tables, in the spelling of edged-config.md 1.1 */

static const char *const reprovisioning_names[] = { "Dynamic", "AlwaysOnStartup", "OnErrorOnly",
	NULL };
static const char *const pull_policy_names[] = { "on-create", "never", NULL };

FIELDS_DECLARE(edged_agent_settings);
FIELDS_DECLARE(edged_agent_config);
FIELDS_DECLARE(edged_edge_ca_config);
FIELDS_DECLARE(edged_uris);
FIELDS_DECLARE(edged_network_config);
FIELDS_DECLARE(edged_moby_config);
FIELDS_DECLARE(edged_watchdog_config);
FIELDS_DECLARE(edged_max_requests);
FIELDS_DECLARE(edged_endpoints);

FIELDS(edged_agent_settings, STR(image, "image", REQUIRED | NONEMPTY),
    RAW(create_options, "createOptions", OPTIONAL),
    REF(auth, "auth", OPTIONAL, edged_registry_auth_fields), RAW(unused[0], "imageHash", OPTIONAL),
    RAW(unused[1], "digest", OPTIONAL), RAW(unused[2], "allowElevatedDockerPermissions", OPTIONAL));

FIELDS(edged_agent_config, STR(name, "name", REQUIRED | NONEMPTY),
    STR(type, "type", REQUIRED | NONEMPTY),
    ENUM(image_pull_policy, "imagePullPolicy", OPTIONAL, pull_policy_names),
    OBJECT(config, "config", REQUIRED, edged_agent_settings_fields),
    TABLE(env, "env", OPTIONAL, fields_pair_fields));

FIELDS(edged_edge_ca_config, STR(cert, "cert", NONEMPTY), STR(key, "key", NONEMPTY),
    STR(common_name, "common_name", NONEMPTY),
    TABLE(subject, "subject", OPTIONAL, fields_pair_fields),
    RAW(auto_renew, "auto_renew", OPTIONAL));

FIELDS(edged_uris, STR(workload_uri, "workload_uri", REQUIRED),
    STR(management_uri, "management_uri", REQUIRED));

/* the same members as the engine's, in the configuration's spelling */
static const struct fields *ipam_entry_fields(void);
static const struct fields *ipam_fields(void);
FIELDS_ARM(ipam_entry_fields, engine_ipam_config, STR(gateway, "gateway", OPTIONAL),
    STR(subnet, "subnet", OPTIONAL), STR(ip_range, "ip_range", OPTIONAL));
FIELDS_ARM(ipam_fields, engine_ipam, LIST(config, "config", OPTIONAL, ipam_entry_fields));

FIELDS(edged_network_config, STR(name, "name", REQUIRED), BOOL(ipv6, "ipv6", OPTIONAL),
    REF(ipam, "ipam", OPTIONAL, ipam_fields));

FIELDS(edged_moby_config, STR(uri, "uri", REQUIRED), RAW(network_raw, "network", REQUIRED),
    RAW(content_trust, "content_trust", OPTIONAL));

FIELDS(edged_watchdog_config, RAW(max_retries_raw, "max_retries", OPTIONAL));

FIELDS(edged_max_requests, INT(management, "management", REQUIRED, 1, 100000),
    INT(workload, "workload", REQUIRED, 1, 100000));

FIELDS(edged_endpoints, STR(certd, "aziot_certd_url", OPTIONAL),
    STR(keyd, "aziot_keyd_url", OPTIONAL), STR(identityd, "aziot_identityd_url", OPTIONAL));

FIELDS(edged_config, STR(hostname, "hostname", REQUIRED | NONEMPTY),
    STR(homedir, "homedir", REQUIRED | NONEMPTY),
    STR(trust_bundle_cert, "trust_bundle_cert", OPTIONAL),
    STR(manifest_trust_bundle_cert, "manifest_trust_bundle_cert", OPTIONAL),
    ENUM(auto_reprovisioning, "auto_reprovisioning_mode", OPTIONAL, reprovisioning_names),
    BOOL_OPT(allow_elevated, has_allow_elevated, "allow_elevated_docker_permissions"),
    REF(max_requests, "iotedge_max_requests", OPTIONAL, edged_max_requests_fields),
    OBJECT(edge_ca, "edge_ca", OPTIONAL, edged_edge_ca_config_fields),
    OBJECT(agent, "agent", REQUIRED, edged_agent_config_fields),
    OBJECT(connect, "connect", REQUIRED, edged_uris_fields),
    OBJECT(listen, "listen", REQUIRED, edged_uris_fields),
    OBJECT(watchdog, "watchdog", OPTIONAL, edged_watchdog_config_fields),
    OBJECT(moby, "moby_runtime", REQUIRED, edged_moby_config_fields),
    RAW(image_garbage_collection, "image_garbage_collection", OPTIONAL),
    TABLE(additional_info, "additional_info", OPTIONAL, fields_pair_fields),
    OBJECT(endpoints, "endpoints", OPTIONAL, edged_endpoints_fields));

/* --- what a table cannot say */

static enum err_code
default_to(char **at, const char *value, struct err *err)
{
	if (*at)
		return ERR_OK;
	return str_copy(at, value, err);
}

/* A name alone, or a table. */
static enum err_code
network_read(struct edged_moby_config *moby, struct err *err)
{
	AUTO(str_freep) char *table = NULL;
	const char *text = moby->network_raw;

	if (text[0] == '"') {
		if (str_format(&table, err, "{\"name\":%s}", text))
			return err->code;
		text = table;
	}
	if (fields_read_text(edged_network_config_fields, &moby->network, text_of(text), err))
		return err_wrap_code(err, ERR_CONFIG, "moby_runtime.network");
	if (moby->network.name[0])
		return ERR_OK;
	str_freep(&moby->network.name);
	return str_copy(&moby->network.name, "azure-iot-edge", err);
}

/* "infinite", or how many failures in a row end the daemon. */
static enum err_code
max_retries_read(struct edged_watchdog_config *w, struct err *err)
{
	char *end;

	w->max_retries = -1;
	if (!w->max_retries_raw || strcasecmp(w->max_retries_raw, "\"infinite\"") == 0)
		return ERR_OK;
	w->max_retries = strtoll(w->max_retries_raw, &end, 10);
	if (end == w->max_retries_raw || *end || w->max_retries < 0 || w->max_retries > UINT32_MAX)
		return err_set(err, ERR_CONFIG,
		    "watchdog.max_retries: expected \"infinite\" or a whole number");
	return ERR_OK;
}

/* Socket path of a unix:// URI; NULL for other schemes that are allowed here. */
static enum err_code
socket_path(const char *key, const char *uri, bool required, char **ret, struct err *err)
{
	if (strncmp(uri, "unix://", 7) != 0 && !required)
		return ERR_OK;
	if (uri_unix_path(uri, ret, err))
		return err_wrap_code(err, ERR_CONFIG, "%s: expected unix:///path", key);
	return ERR_OK;
}

static enum err_code
endpoint_read(const char *key, char **at, const char *fallback, struct err *err)
{
	AUTO(str_freep) char *uri = *at;

	*at = NULL;
	if (!uri)
		return str_copy(at, fallback, err);
	return socket_path(key, uri, true, at, err);
}

static enum err_code
endpoints_read(struct edged_config *c, struct err *err)
{
	if (socket_path("moby_runtime.uri", c->moby.uri, true, &c->engine_socket, err) ||
	    socket_path("connect.management_uri", c->connect.management_uri, false,
		&c->connect_management_path, err) ||
	    socket_path("connect.workload_uri", c->connect.workload_uri, false,
		&c->connect_workload_path, err) ||
	    endpoint_read("endpoints.aziot_keyd_url", &c->endpoints.keyd, KEYD_SOCKET, err) ||
	    endpoint_read("endpoints.aziot_certd_url", &c->endpoints.certd, CERTD_SOCKET, err) ||
	    endpoint_read(
		"endpoints.aziot_identityd_url", &c->endpoints.identityd, IDENTITYD_SOCKET, err))
		return err->code;
	return ERR_OK;
}

static enum err_code
directories_read(struct edged_config *c, struct err *err)
{
	char *real = realpath(c->homedir, NULL);

	if (!real) {
		err_errno(err, "homedir: %s", c->homedir);
		return err->code = ERR_CONFIG;
	}
	c->real_homedir = real;
	if (str_format(&c->mnt_dir, err, "%s/mnt", real) ||
	    str_format(&c->cache_dir, err, "%s/cache", real) ||
	    str_format(&c->gc_dir, err, "%s/gc", real))
		return err->code;
	return ERR_OK;
}

static enum err_code
requests_read(struct edged_config *c, struct err *err)
{
	if (c->max_requests)
		return ERR_OK;
	c->max_requests = calloc(1, sizeof(*c->max_requests));
	if (!c->max_requests)
		return err_nomem(err);
	*c->max_requests = (struct edged_max_requests){ .management = 50, .workload = 10 };
	return ERR_OK;
}

static enum err_code
agent_check(const struct edged_agent_config *agent, struct err *err)
{
	if (strcmp(agent->name, EDGED_AGENT_NAME) != 0)
		return err_set(err, ERR_CONFIG,
		    "agent.name: \"%s\" is not \"%s\", by which callers are told apart",
		    agent->name, EDGED_AGENT_NAME);
	if (strcmp(agent->type, "docker") != 0)
		return err_set(
		    err, ERR_CONFIG, "agent.type: expected \"docker\", not \"%s\"", agent->type);
	return ERR_OK;
}

static enum err_code
complete(struct edged_config *c, struct err *err)
{
	if (agent_check(&c->agent, err) || network_read(&c->moby, err) ||
	    max_retries_read(&c->watchdog, err) || requests_read(c, err) ||
	    endpoints_read(c, err) || directories_read(c, err) ||
	    default_to(&c->edge_ca.cert, "aziot-edged-ca", err) ||
	    default_to(&c->edge_ca.key, "aziot-edged-ca", err) ||
	    default_to(&c->trust_bundle_cert, "aziot-edged-trust-bundle", err) ||
	    default_to(&c->manifest_trust_bundle_cert, "aziot-edged-manifest-trust-bundle", err))
		return err->code;
	if (!c->has_allow_elevated)
		c->allow_elevated = true;
	return ERR_OK;
}

/* The agent's own client stops at 91 bytes (client-facts.md 8). */
static void
warn_long_path(const char *key, const char *path)
{
	if (path && strlen(path) > 91)
		log_warn(
		    "%s: %s is longer than the 91 bytes that the Edge Agent can open", key, path);
}

enum err_code
edged_config_load(
    const struct config_source *from, bool warn, struct edged_config *ret, struct err *err)
{
	struct edged_config c = { 0 };

	if (config_read(from, edged_config_fields, &c, warn, err))
		return err->code;
	if (complete(&c, err)) {
		edged_config_release(&c);
		if (err->code != ERR_NOMEM)
			err->code = ERR_CONFIG;
		return err->code;
	}
	if (warn) {
		warn_long_path("connect.management_uri", c.connect_management_path);
		warn_long_path("connect.workload_uri", c.connect_workload_path);
	}
	*ret = c;
	return ERR_OK;
}

void
edged_config_release(struct edged_config *c)
{
	edged_network_config_done(&c->moby.network);
	str_freep(&c->real_homedir);
	str_freep(&c->mnt_dir);
	str_freep(&c->cache_dir);
	str_freep(&c->gc_dir);
	str_freep(&c->engine_socket);
	str_freep(&c->connect_management_path);
	str_freep(&c->connect_workload_path);
	edged_config_done(c);
}
