#include "tests/support/engine.h"
#include "tests/support/support.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edged/api.h"
#include "edged/boot.h"
#include "edged/listeners.h"
#include "edged/modules.h"
#include "edged/service.h"
#include "edged/systeminfo.h"
#include "http/server.h"
#include "platform/peer.h"
#include "tests/fake/identityd.h"

#define V "api-version=2022-08-03"

static struct engine_peer *engine;
static struct edged edged;
static struct daemon daemon_of_test;
static const struct daemon_spec spec_of_test = { .name = "edged" };
static struct peer self;

static void
begin(void)
{
	struct engine_config config = { .socket = support_path("docker.sock") };
	struct unix_client_config none = { 0 };
	struct modules_config m = { .elevated = true };
	struct err err = { 0 };

	fake_identityd_reset();
	engine = engine_peer_start(config.socket);
	engine_peer_image(engine, "img:1");
	daemon_of_test.spec = &spec_of_test;
	self = (struct peer){ .uid = getuid(), .gid = getgid(), .pid = getpid(), .pidfd = -1 };
	edged = (struct edged){ .daemon = &daemon_of_test };
	ck_ok(engine_new(&config, &edged.engine, &err));
	ck_ok(listeners_new(support_path("mnt"), &edged.listeners, &err));
	m.engine = edged.engine;
	m.listeners = edged.listeners;
	ck_ok(modules_new(&m, &edged.modules, &err));
	ck_ok(systeminfo_new(&edged.config, &edged.systeminfo, &err));
	ck_ok(identityd_client_new(&none, &edged.identityd, &err));
}

static void
finish(void)
{
	boot_free(edged.boot);
	identityd_client_free(edged.identityd);
	systeminfo_free(edged.systeminfo);
	modules_free(edged.modules);
	listeners_free(edged.listeners);
	engine_free(edged.engine);
	engine_peer_stop(engine);
}

struct row {
	const char *what, *source;
	const char *method, *target, *body;
	unsigned status;
	const char *answer; /* a pattern; NULL: none */
};

static void
run_on(const struct route_table *table, const struct row *row)
{
	struct route_input in = {
		.peer = &self,
		.method = row->method,
		.target = row->target,
		.body = text_of(row->body),
	};
	struct response resp = { 0 };
	const char *body;

	route_run(table, &edged, &in, &resp);
	body = resp.body ? resp.body : "";
	ck_assert_msg(resp.status == row->status, "%s (%s): %u %s", row->what, row->source,
	    resp.status, body);
	if (row->answer)
		ck_assert_msg(fnmatch(row->answer, body, 0) == 0, "%s (%s): %s", row->what,
		    row->source, body);
	response_done(&resp);
}

/* As if the caller were edgeAgent. */
static void
run(const struct row *row)
{
	struct route_table table = edged_management_table;

	table.authorize = NULL;
	run_on(&table, row);
}

/* --- who may call: every guarded row as a stranger (architecture.md, rule 4) */

static void
fill(const char *path, char *out, size_t size)
{
	char *to = out;

	for (; *path && (size_t)(to - out) < size - 40; path++) {
		if (*path == '{') {
			to = stpcpy(to, "m1");
			path += strcspn(path, "}");
		} else {
			*to++ = *path;
		}
	}
	snprintf(to, sizeof("?" V), "%s", "?" V);
}

START_TEST(test_strangers)
{
	unsigned guarded = 0;

	begin();
	engine_peer_container(engine, "edgeAgent", "running", true);
	for (size_t i = 0; i < edged_management_table.n_routes; i++) {
		const struct route *route = &edged_management_table.routes[i];
		char target[256];
		struct row row = { route->path, "edged-management.md 2.2", route->method, target,
			"{}", 403, "{\"message\":\"forbidden\"}" };

		if (route->who != EDGED_AGENT)
			continue;
		fill(route->path, target, sizeof(target));
		run_on(&edged_management_table, &row);
		guarded++;
	}
	ck_assert_uint_eq(guarded, 10);
	/* nothing but the look at edgeAgent was asked of the engine, and nothing of identityd */
	ck_assert_ptr_null(strstr(engine_peer_asked(engine, NULL), "POST"));
	ck_assert_uint_eq(fake_identityd_calls(), 0);
	finish();
}
END_TEST

/* no edgeAgent, an engine that is away: refused, too */
START_TEST(test_no_agent)
{
	struct row row = { "reprovision", "edged-management.md 2.2", "POST",
		"/device/reprovision?" V, NULL, 403, "{\"message\":\"forbidden\"}" };

	begin();
	run_on(&edged_management_table, &row);
	engine_peer_container(engine, "edgeAgent", "running", false); /* somebody else's */
	run_on(&edged_management_table, &row);
	engine_peer_say(engine, 9, "GET /containers/edgeAgent", 500, NULL);
	run_on(&edged_management_table, &row);
	finish();
}
END_TEST

/* before the purge nobody acts on modules; reading is open from the start */
START_TEST(test_before_ready)
{
	static const struct row rows[] = {
		{ "start", "edged-lifecycle.md 1", "POST", "/modules/m1/start?" V, NULL, 500,
		    "{\"message\":\"the runtime is not up yet: starting\"}" },
		{ "list", "edged-lifecycle.md 1", "GET", "/modules?" V, NULL, 200,
		    "{\"modules\":[*" },
		{ "status", "wire/status.h", "GET", "/status?" V, NULL, 200,
		    "*\"ok\":false,\"detail\":\"starting\"*" },
		{ "status: the engine", "wire/status.h", "GET", "/status?" V, NULL, 200,
		    "*\"container engine\":\"20.10.24, API 1.41\"*" },
	};
	struct err err = { 0 };

	begin();
	engine_peer_container(engine, "m1", "created", true);
	ck_ok(boot_new(&edged, &edged.boot, &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		run_on(&edged_management_table, &rows[i]);
	ck_assert_str_eq(engine_peer_state(engine, "m1"), "created");
	finish();
}
END_TEST

/* --- specs */

#define SPEC(name, type, rest)                                                   \
	"{\"name\":\"" name "\",\"type\":\"" type "\",\"config\":{\"settings\":" \
	"{\"image\":\"img:1\"" rest "}}}"

static const struct row bad_specs[] = {
	{ "no body", "1.3.7", "POST", "/modules?" V, NULL, 400,
	    "{\"message\":\"missing request body\"}" },
	{ "not JSON", "1.3.6", "POST", "/modules?" V, "{", 422, "{\"message\":*" },
	{ "not an object", "1.3.6", "POST", "/modules?" V, "[]", 422, "{\"message\":*" },
	{ "no name", "2.3", "POST", "/modules?" V,
	    "{\"type\":\"docker\",\"config\":{\"settings\":{}}}", 422, "*name*" },
	{ "null name", "2.3", "POST", "/modules?" V,
	    "{\"name\":null,\"type\":\"docker\",\"config\":{\"settings\":{}}}", 422, "*name*" },
	{ "blank name", "2.3", "POST", "/modules?" V, SPEC(" ", "docker", ""), 400,
	    "{\"message\":*" },
	{ "blank type", "2.3", "POST", "/modules?" V, SPEC("m1", "", ""), 400, "{\"message\":*" },
	{ "another type", "2.3", "POST", "/modules?" V, SPEC("m1", "x", ""), 500,
	    "{\"message\":\"invalid module type: \\\\\"x\\\\\"\"}" },
	{ "no image", "2.3", "POST", "/modules?" V,
	    "{\"name\":\"m1\",\"type\":\"docker\",\"config\":{\"settings\":{}}}", 400,
	    "{\"message\":\"invalid Docker config: *image*" },
	{ "image of a wrong type", "2.3", "POST", "/modules?" V,
	    "{\"name\":\"m1\",\"type\":\"docker\",\"config\":{\"settings\":{\"image\":7}}}", 400,
	    "{\"message\":\"invalid Docker config: *image*" },
	{ "bad createOptions", "2.3", "POST", "/modules?" V,
	    SPEC("m1", "docker", ",\"createOptions\":{\"Env\":{}}"), 400, "*createOptions*Env*" },
	{ "another case", "edged-weaknesses.md A7", "POST", "/modules?" V,
	    SPEC("m1", "docker", ",\"createOptions\":{\"hostConfig\":{}}"), 400, "*HostConfig*" },
	{ "bad policy", "2.3", "POST", "/modules?" V,
	    "{\"name\":\"m1\",\"type\":\"docker\",\"imagePullPolicy\":\"x\",\"config\":{"
	    "\"settings\":{\"image\":\"img:1\"}}}",
	    400, "{\"message\":\"invalid imagePullPolicy\"}" },
	{ "duplicate env", "2.3", "POST", "/modules?" V,
	    "{\"name\":\"m1\",\"type\":\"docker\",\"config\":{\"settings\":{\"image\":\"img:1\"},"
	    "\"env\":[{\"key\":\"K\",\"value\":\"1\"},{\"key\":\"K\",\"value\":\"2\"}]}}",
	    400, "{\"message\":\"duplicate env var key: K\"}" },
	{ "env without value", "2.3", "POST", "/modules?" V,
	    "{\"name\":\"m1\",\"type\":\"docker\",\"config\":{\"settings\":{\"image\":\"img:1\"},"
	    "\"env\":[{\"key\":\"K\"}]}}",
	    422, "*value*" },
	{ "a name that leaves its place", "edged-weaknesses.md A1", "POST", "/modules?" V,
	    SPEC("m1/../x", "docker", ""), 400, "{\"message\":\"invalid module name\"}" },
	{ "PUT without a body", "1.3.6", "PUT", "/modules/m1?" V, NULL, 422, "{\"message\":*" },
	{ "PUT with a bad start", "2.4", "PUT", "/modules/m1?start=1&" V, SPEC("m1", "docker", ""),
	    400, "{\"message\":\"invalid parameter: start\"}" },
	{ "PUT of what is not there", "2.4", "PUT", "/modules/m1?" V, SPEC("m1", "docker", ""), 404,
	    "{\"message\":\"runtime operation error: stop module \\\\\"m1\\\\\"\"}" },
	{ "prepareupdate under another name", "2.4", "POST", "/modules/m2/prepareupdate?" V,
	    SPEC("m1", "docker", ""), 400,
	    "{\"message\":\"module name in spec does not match URI\"}" },
	{ "prepareupdate before its version", "2.2", "POST",
	    "/modules/m1/prepareupdate?api-version=2018-06-28", SPEC("m1", "docker", ""), 404,
	    "{\"message\":\"not found\"}" },
};

START_TEST(test_bad_specs)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(bad_specs); i++)
		run(&bad_specs[i]);
	ck_assert_ptr_null(strstr(engine_peer_asked(engine, NULL), "POST"));
	finish();
}
END_TEST

/* --- the life of a module */

static const struct row life[] = {
	{ "prepareupdate", "2.4", "POST", "/modules/m1/prepareupdate?" V, SPEC("m1", "docker", ""),
	    204, "" },
	{ "create", "2.2 row 2", "POST", "/modules?" V,
	    SPEC("m1", "docker",
		",\"auth\":{\"username\":\"u\",\"password\":\"secret\"},"
		"\"createOptions\":{\"Labels\":{\"a\":\"b\"}}"),
	    201,
	    "{\"id\":\"id\",\"name\":\"m1\",\"type\":\"docker\",\"config\":{\"settings\":{"
	    "\"image\":\"img:1\",\"createOptions\":{\"Labels\":{\"a\":\"b\"}}},\"env\":\\[]},"
	    "\"status\":{\"runtimeStatus\":{\"status\":\"stopped\"}}}" },
	{ "create again", "2.4", "POST", "/modules/?" V, SPEC("m1", "docker", ""), 409,
	    "{\"message\":\"runtime operation error: create module \\\\\"m1\\\\\"\"}" },
	{ "start", "2.2 row 6", "POST", "/modules/m1/start?" V, NULL, 204, "" },
	{ "start in capitals", "2.2", "POST", "/modules/m1/START?" V, NULL, 204, "" },
	{ "get", "2.3", "GET", "/modules/m1?" V, NULL, 200,
	    "{\"id\":\"id\",\"name\":\"m1\",\"type\":\"docker\",*\"env\":\\[]},\"status\":{"
	    "\"startTime\":\"2026-03-01T10:00:00.123456789Z\",\"runtimeStatus\":{\"status\":"
	    "\"running\"}}}" },
	{ "get with an encoded slash before the name", "2.2", "GET", "/modules/%2Fm1?" V, NULL, 200,
	    "*" },
	{ "list", "2.2 row 1", "GET", "/modules/?" V, NULL, 200,
	    "{\"modules\":\\[{\"id\":\"id\",\"name\":\"m1\",*" },
	{ "resources", "2.4", "GET", "/systeminfo/resources?" V, NULL, 200,
	    "{\"host_uptime\":*,\"docker_stats\":\"\\[{\\\\\"name\\\\\":\\\\\"/m1\\\\\"}]\"}" },
	{ "stop", "2.2", "POST", "/modules/m1/stop?" V, NULL, 204, "" },
	{ "restart", "2.2", "POST", "/modules/m1/restart?" V, NULL, 204, "" },
	{ "another action", "1.3.4", "POST", "/modules/m1/kill?" V, NULL, 404,
	    "{\"message\":\"not found\"}" },
	{ "replace", "2.2 row 4", "PUT", "/modules/m1?start=true&" V, SPEC("m1", "docker", ""), 201,
	    "*\"status\":\"running\"}}}" },
	{ "delete", "2.2 row 5", "DELETE", "/modules/m1?" V, NULL, 204, "" },
	{ "delete again", "docs/compat.md", "DELETE", "/modules/m1?" V, NULL, 404,
	    "{\"message\":\"runtime operation error: remove module \\\\\"m1\\\\\"\"}" },
	{ "start what is not there", "2.4", "POST", "/modules/m1/start?" V, NULL, 404,
	    "{\"message\":\"runtime operation error: start module \\\\\"m1\\\\\"\"}" },
	{ "logs of what is not there", "2.1", "GET", "/modules/m1/logs?" V, NULL, 404,
	    "{\"message\":\"container runtime error\"}" },
	{ "logs: tail", "2.4", "GET", "/modules/m1/logs?tail=-1&" V, NULL, 400,
	    "{\"message\":\"invalid parameter: tail\"}" },
	{ "logs: until", "2.4", "GET", "/modules/m1/logs?until=x&" V, NULL, 400,
	    "{\"message\":\"invalid parameter: until\"}" },
	{ "logs: timestamps", "2.4", "GET", "/modules/m1/logs?timestamps=True&" V, NULL, 400,
	    "{\"message\":\"invalid parameter: timestamps\"}" },
};

START_TEST(test_life)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(life); i++)
		run(&life[i]);
	finish();
}
END_TEST

/* 2.1: any status of the engine's goes on; its absence is 500 */
START_TEST(test_engine_statuses)
{
	static const struct row row = { "start", "2.1", "POST", "/modules/m1/start?" V, NULL, 0,
		"{\"message\":\"runtime operation error: start module \\\\\"m1\\\\\"\"}" };
	static const unsigned statuses[] = { 400, 403, 409, 418, 500, 503 };

	begin();
	engine_peer_container(engine, "m1", "created", true);
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct row one = row;

		one.status = statuses[i];
		engine_peer_say(
		    engine, 1, "POST /containers/", statuses[i], "{\"message\":\"why\"}");
		run(&one);
	}
	engine_peer_stop(engine);
	struct row away = row;

	away.status = 500;
	run(&away);
	engine = engine_peer_start(support_path("docker.sock"));
	finish();
}
END_TEST

/* --- identities, 2.4 */

static const struct row identities[] = {
	{ "create", "2.4", "POST", "/identities?" V,
	    "{\"moduleId\":\"m1\",\"managedBy\":\"IotEdge\"}", 200,
	    "{\"moduleId\":\"m1\",\"managedBy\":\"IotEdge\",\"generationId\":\"gen1\",\"authType\":"
	    "\"sas\"}" },
	{ "create without managedBy", "2.4", "POST", "/identities/?" V, "{\"moduleId\":\"m2\"}",
	    200, "{\"moduleId\":\"m2\",\"managedBy\":\"iotedge\",*" },
	{ "list", "2.4", "GET", "/identities/?" V, NULL, 200,
	    "{\"identities\":\\[*\"m1\"*\"iotedge\"*\"sas\"*]}" },
	{ "update", "2.4", "PUT", "/identities/m1?" V, "{\"generationId\":\"x\"}", 200,
	    "{\"moduleId\":\"m1\",\"managedBy\":\"iotedge\",*" },
	{ "update with any JSON", "2.4", "PUT", "/identities/m1?" V, "7", 200, "*" },
	{ "update without a body", "1.3.6", "PUT", "/identities/m1?" V, NULL, 422, "*" },
	{ "delete", "2.4", "DELETE", "/identities/m1?" V, NULL, 204, "" },
	{ "no module id", "1.3.6", "POST", "/identities?" V, "{}", 422, "*moduleId*" },
};

START_TEST(test_identities)
{
	static const struct row failing = { "identityd's failure", "2.4", "GET", "/identities?" V,
		NULL, 500, "{\"message\":\"hub says no\"}" };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(identities); i++)
		run(&identities[i]);
	fake_identityd_fail(ERR_PEER, 404, "hub says no");
	run(&failing);
	finish();
}
END_TEST

/* --- the machine, 2.4 */

START_TEST(test_machine)
{
	static const struct row rows[] = {
		{ "systeminfo", "2.4", "GET", "/systeminfo?" V, NULL, 200,
		    "{\"osType\":\"Linux\",\"kernel_release\":\"*\",*\"architecture\":\"*\","
		    "\"cpus\":*,"
		    "\"total_memory\":*,\"virtualized\":\"*\",*\"version\":\"*\",\"server_"
		    "version\":\"20.10.24\","
		    "\"provisioning\":{\"type\":\"ProvisioningType\",\"dynamicReprovisioning\":"
		    "false,"
		    "\"alwaysReprovisionOnStartup\":false}}" },
		{ "support bundle", "docs/compat.md", "GET", "/systeminfo/supportbundle?" V, NULL,
		    404, "*" },
	};
	static const struct row away = { "systeminfo without an engine", "2.4", "GET",
		"/systeminfo?" V, NULL, 500,
		"{\"message\":\"runtime operation error: query system info\"}" };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		run(&rows[i]);
	engine_peer_say(engine, 1, "GET /info", 500, "{}");
	run(&away);
	finish();
}
END_TEST

TEST_MAIN("edged/api", test_strangers, test_no_agent, test_before_ready, test_bad_specs, test_life,
    test_engine_statuses, test_identities, test_machine)
