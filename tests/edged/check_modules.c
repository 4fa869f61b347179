#include "tests/support/engine.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edged/listeners.h"
#include "edged/modules.h"
#include "edged/network.h"
#include "tests/support/serve.h"

static struct engine_peer *peer;
static struct engine *engine;
static struct listeners *listeners;
static struct modules *modules;

static void
begin(void)
{
	struct engine_config config = { .socket = support_path("docker.sock") };
	struct modules_config m = { .elevated = true };
	struct err err = { 0 };

	peer = engine_peer_start(config.socket);
	engine_peer_image(peer, "img:1");
	ck_ok(engine_new(&config, &engine, &err));
	ck_ok(listeners_new(support_path("mnt"), &listeners, &err));
	m.engine = engine;
	m.listeners = listeners;
	ck_ok(modules_new(&m, &modules, &err));
}

static void
finish(void)
{
	modules_free(modules);
	listeners_free(listeners);
	engine_free(engine);
	engine_peer_stop(peer);
}

static struct module_spec
spec_of(const char *name)
{
	static const struct edged_module_settings settings = { .image = (char *)"img:1" };

	return (struct module_spec){ .name = name, .settings = &settings };
}

static ino_t
inode(const char *module)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s.sock", support_path("mnt"), module);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* edged-management.md 2.4: created, not started, and no socket yet */
START_TEST(test_create)
{
	struct module_spec spec = spec_of("m1");
	AUTO(edged_module_done) struct edged_module module = { 0 };
	struct err err = { 0 };

	begin();
	ck_ok(modules_create(modules, &spec, &err));
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "created");
	ck_assert_uint_eq(inode("m1"), 0);
	ck_assert_str_eq(engine_peer_asked(peer, "images/create"),
	    "POST /v1.41/images/create?fromImage=img%3A1\n");
	ck_ok(modules_get(modules, "m1", &module, &err));
	ck_assert_str_eq(module.status.runtime_status.status, "stopped");
	ck_assert_str_eq(module.config.settings,
	    "{\"image\":\"img:1\",\"imageHash\":\"sha256:0a1b\",\"createOptions\":{\"Labels\":{"
	    "\"net.azure-devices.edge.original-image\":\"img:1\","
	    "\"net.azure-devices.edge.owner\":\"Microsoft.Azure.Devices.Edge.Agent\"}}}");
	ck_assert_ptr_null(module.status.start_time);
	ck_assert_ptr_null(module.status.exit_status);
	/* again: the name is in use; 2.1: the contract's text, the engine's status */
	ck_err(modules_create(modules, &spec, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 409);
	ck_assert_int_eq(
	    strncmp(err.text, "runtime operation error: create module \"m1\"\n", 44), 0);
	finish();
}
END_TEST

/* edged-weaknesses.md B13: registry down, image here; and never, which asks nobody */
START_TEST(test_pull_policy)
{
	struct module_spec spec = spec_of("m1");
	struct edged_module_settings absent = { .image = (char *)"absent:1" };
	struct err err = { 0 };

	begin();
	engine_peer_say(
	    peer, 1, "POST /images/create", 500, "{\"message\":\"connection refused\"}");
	ck_ok(modules_create(modules, &spec, &err));
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "created");
	spec = spec_of("m2");
	spec.settings = &absent;
	engine_peer_say(
	    peer, 1, "POST /images/create", 500, "{\"message\":\"connection refused\"}");
	ck_err(modules_create(modules, &spec, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 500);
	ck_assert_int_eq(
	    strncmp(err.text, "registry operation error: pull image \"absent:1\"\n", 46), 0);
	ck_assert_str_eq(engine_peer_state(peer, "m2"), "");
	spec = spec_of("m3");
	spec.pull = EDGED_PULL_NEVER;
	(void)engine_peer_asked(peer, NULL);
	ck_ok(modules_create(modules, &spec, &err));
	ck_assert_str_eq(engine_peer_asked(peer, "images"), "");
	finish();
}
END_TEST

/* edged-weaknesses.md B1: a start of what runs must not bind its socket anew; it listens before the engine is asked */
START_TEST(test_start_keeps_socket)
{
	struct err err = { 0 };
	ino_t first;
	char path[256];

	begin();
	engine_peer_container(peer, "m1", "created", true);
	ck_ok(modules_start(modules, "m1", &err));
	first = inode("m1");
	ck_assert_uint_ne(first, 0);
	snprintf(path, sizeof(path), "%s/m1.sock", support_path("mnt"));
	close(serve_connect(path));
	ck_ok(modules_start(modules, "m1", &err));
	ck_assert_uint_eq(inode("m1"), first);
	ck_ok(modules_restart(modules, "m1", &err));
	ck_assert_uint_eq(inode("m1"), first);
	ck_ok(modules_stop(modules, "m1", &err));
	ck_assert_uint_eq(inode("m1"), first);
	ck_ok(modules_start(modules, "m1", &err));
	ck_assert_uint_eq(inode("m1"), first);
	close(serve_connect(path));
	ck_ok(modules_remove(modules, "m1", &err));
	ck_assert_uint_eq(inode("m1"), 0);
	finish();
}
END_TEST

/* a start that the engine refuses leaves a socket only for the container that exists (B2) */
START_TEST(test_missing)
{
	struct err err = { 0 };
	struct edged_module module = { 0 };
	struct module_spec spec = spec_of("m1");

	begin();
	ck_err(modules_start(modules, "m1", &err), ERR_NOT_FOUND);
	ck_assert_uint_eq(inode("m1"), 0);
	ck_err(modules_stop(modules, "m1", &err), ERR_NOT_FOUND);
	ck_err(modules_restart(modules, "m1", &err), ERR_NOT_FOUND);
	ck_err(modules_remove(modules, "m1", &err), ERR_NOT_FOUND);
	ck_err(modules_get(modules, "m1", &module, &err), ERR_NOT_FOUND);
	ck_err(modules_replace(modules, "m1", &spec, true, &err), ERR_NOT_FOUND);
	ck_assert_str_eq(engine_peer_asked(peer, "images"), "");
	finish();
}
END_TEST

/* edged-weaknesses.md A3: what is not ours, or is named by the beginning of its id, is not there */
START_TEST(test_foreign)
{
	static const char *const acts[] = { "POST", "DELETE", "logs" };
	struct engine_logs want = { .until = -1, .tail = -1 };
	struct engine_stream *stream;
	struct edged_module module = { 0 };
	struct err err = { 0 };
	char prefix[13];

	begin();
	engine_peer_container(peer, "foreign", "running", false);
	memcpy(prefix, engine_peer_container(peer, "m1", "running", true), 12);
	prefix[12] = '\0';
	for (size_t i = 0; i < 2; i++) {
		const char *name = i ? prefix : "foreign";

		ck_err(modules_start(modules, name, &err), ERR_NOT_FOUND);
		ck_err(modules_stop(modules, name, &err), ERR_NOT_FOUND);
		ck_err(modules_restart(modules, name, &err), ERR_NOT_FOUND);
		ck_err(modules_remove(modules, name, &err), ERR_NOT_FOUND);
		ck_err(modules_get(modules, name, &module, &err), ERR_NOT_FOUND);
		ck_err(modules_logs(modules, name, &want, &stream, &err), ERR_NOT_FOUND);
	}
	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		ck_assert_ptr_null(strstr(engine_peer_asked(peer, "/containers/"), acts[i]));
	ck_assert_str_eq(engine_peer_state(peer, "foreign"), "running");
	finish();
}
END_TEST

/* everything is done to the id that was looked at */
START_TEST(test_by_id)
{
	struct err err = { 0 };
	const char *id;
	char want[512];

	begin();
	id = engine_peer_container(peer, "m1", "running", true);
	ck_ok(modules_stop(modules, "m1", &err));
	snprintf(want, sizeof(want),
	    "GET /v1.41/containers/m1/json\nPOST /v1.41/containers/%s/stop\n", id);
	ck_assert_str_eq(engine_peer_asked(peer, "/containers/"), want);
	finish();
}
END_TEST

START_TEST(test_replace)
{
	struct module_spec spec = spec_of("m1");
	struct err err = { 0 };
	const char *asked;
	ino_t before;

	begin();
	engine_peer_container(peer, "m1", "created", true);
	ck_ok(modules_start(modules, "m1", &err));
	before = inode("m1");
	(void)engine_peer_asked(peer, NULL);
	ck_ok(modules_replace(modules, "m1", &spec, true, &err));
	asked = engine_peer_asked(peer, NULL);
	/* B13: the old one runs until the image is there */
	ck_assert(strstr(asked, "images/create") < strstr(asked, "/stop"));
	ck_assert(strstr(asked, "/stop") < strstr(asked, "DELETE"));
	ck_assert(strstr(asked, "DELETE") < strstr(asked, "containers/create"));
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "running");
	ck_assert_uint_eq(inode("m1"), before);
	ck_assert(!modules_being_replaced(modules, "m1"));
	/* the image cannot be had: the old one stays */
	engine_peer_say(peer, 1, "POST /images/create", 500, "{\"message\":\"down\"}");
	spec.settings = &(const struct edged_module_settings){ .image = (char *)"absent:1" };
	ck_err(modules_replace(modules, "m1", &spec, true, &err), ERR_PEER);
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "running");
	/* a failing start is only logged */
	spec = spec_of("m1");
	engine_peer_say(peer, 1, "POST /containers/0", 500, "{\"message\":\"no\"}"); /* the stop */
	ck_err(modules_replace(modules, "m1", &spec, true, &err), ERR_PEER);
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "running");
	finish();
}
END_TEST

START_TEST(test_names)
{
	struct module_spec spec = spec_of("x");
	struct err err = { 0 };
	char name[120];

	begin();
	ck_err(modules_create(modules, &spec, &err), ERR_INVALID);
	/* decisions.md: a name whose socket path does not fit is refused before the engine is asked */
	memset(name, 'n', sizeof(name));
	name[119] = '\0';
	spec.name = name;
	ck_err(modules_create(modules, &spec, &err), ERR_INVALID);
	ck_assert_str_eq(engine_peer_asked(peer, NULL), "");
	finish();
}
END_TEST

START_TEST(test_list)
{
	AUTO(edged_module_list_done) struct edged_module_list list = { 0 };
	AUTO(edged_module_list_done) struct edged_module_list rest = { 0 };
	AUTO(str_freep) char *stats = NULL;
	struct err err = { 0 };

	begin();
	engine_peer_container(peer, "m1", "running", true);
	engine_peer_container(peer, "m2", "exited", true);
	engine_peer_container(peer, "other", "exited", false);
	ck_ok(modules_list(modules, &list, &err));
	ck_assert_uint_eq(list.modules.n, 2);
	ck_assert_str_eq(list.modules.at[0].status.runtime_status.status, "running");
	ck_assert_str_eq(list.modules.at[1].status.runtime_status.status, "stopped");
	/* one that goes away between list and look is left out */
	engine_peer_say(peer, 1, "GET /containers/0", 404, "{\"message\":\"gone\"}");
	ck_ok(modules_list(modules, &rest, &err));
	ck_assert_uint_eq(rest.modules.n, 1);
	ck_ok(modules_stats(modules, &stats, &err));
	ck_assert(strcmp(stats, "[{\"name\":\"/m1\"},{\"name\":\"/m2\"}]") == 0);
	finish();
}
END_TEST

/* stop and remove side by side; B10: a removal that fails is told, and the rest is done */
START_TEST(test_all)
{
	struct err err = { 0 };

	begin();
	engine_peer_container(peer, "m1", "running", true);
	engine_peer_container(peer, "m2", "running", true);
	engine_peer_container(peer, "other", "running", false);
	ck_ok(modules_open_listeners(modules, &err));
	ck_assert_uint_ne(inode("m1"), 0);
	ck_assert_uint_eq(inode("other"), 0);
	ck_assert_uint_eq(modules_stop_all(modules, 30), 0);
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "exited");
	ck_assert_str_eq(engine_peer_state(peer, "m2"), "exited");
	ck_assert_str_eq(engine_peer_state(peer, "other"), "running");
	engine_peer_say(peer, 1, "DELETE /containers/", 500, "{\"message\":\"busy\"}");
	ck_err(modules_remove_all(modules, &err), ERR_PEER);
	ck_assert_uint_eq(
	    strlen(engine_peer_state(peer, "m1")) + strlen(engine_peer_state(peer, "m2")),
	    strlen("exited"));
	ck_ok(modules_remove_all(modules, &err));
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "");
	ck_assert_str_eq(engine_peer_state(peer, "m2"), "");
	ck_assert_uint_eq(inode("m1"), 0);
	finish();
}
END_TEST

/* edged-containers.md 5.4; docker.md 2: a longer name is another network */
START_TEST(test_network)
{
	struct edged_network_config config = { .name = (char *)"net" };
	struct err err = { 0 };

	begin();
	engine_peer_network(peer, "my-net-2");
	ck_ok(network_ensure(engine, &config, &err));
	ck_ok(network_ensure(engine, &config, &err));
	ck_assert_str_eq(
	    engine_peer_asked(peer, "networks/create"), "POST /v1.41/networks/create\n");
	finish();
}
END_TEST

/* somebody else makes it between our look and our call: engines say so with 409 or 500 */
START_TEST(test_network_race)
{
	struct edged_network_config config = { .name = (char *)"net" };
	struct err err = { 0 };

	begin();
	engine_peer_network(peer, "net");
	engine_peer_say(peer, 1, "GET /networks", 200, "[]");
	ck_ok(network_ensure(engine, &config, &err));
	engine_peer_say(peer, 2, "GET /networks", 200, "[]");
	engine_peer_say(peer, 1, "POST /networks/create", 403, "{\"message\":\"no\"}");
	ck_err(network_ensure(engine, &config, &err), ERR_PEER);
	finish();
}
END_TEST

TEST_MAIN("edged/modules", test_create, test_pull_policy, test_start_keeps_socket, test_missing,
    test_foreign, test_by_id, test_replace, test_names, test_list, test_all, test_network,
    test_network_race)
