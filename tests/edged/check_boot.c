#include "tests/support/engine.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/certd.h"
#include "edged/boot.h"
#include "edged/listeners.h"
#include "edged/state.h"
#include "provider/provider.h"
#include "tests/fake/certd.h"
#include "tests/fake/identityd.h"
#include "tests/fake/keyd.h"

static struct engine_peer *peer;
static struct edged edged;
static struct daemon daemon_of_test;
static const struct state_device press = { "press-07", "hub.example", "hub.example" };

static void
load_config(void)
{
	struct config_source from = { support_path("edged.toml"), support_path("edged.d") };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&text, &err,
	    "hostname = \"gw1\"\nhomedir = \"%s\"\n"
	    "[agent]\nname = \"edgeAgent\"\ntype = \"docker\"\n[agent.config]\nimage = \"img:1\"\n"
	    "[connect]\nworkload_uri = \"unix:///w\"\nmanagement_uri = \"unix:///m\"\n"
	    "[listen]\nworkload_uri = \"unix:///w\"\nmanagement_uri = \"unix:///m\"\n"
	    "[moby_runtime]\nuri = \"unix://%s\"\nnetwork = \"\"\n",
	    support_tmpdir(), support_path("docker.sock")));
	support_write(from.file, text);
	ck_ok(edged_config_load(&from, false, &edged.config, &err));
}

static void
start_engine(void)
{
	peer = engine_peer_start(edged.config.engine_socket);
	engine_peer_image(peer, "img:1");
}

static void
begin(void)
{
	struct engine_config engine = { 0 };
	struct unix_client_config none = { 0 };
	struct modules_config m = { .elevated = true };
	struct err err = { 0 };

	fake_identityd_reset();
	fake_identityd_put("$edgeAgent", "gen7");
	fake_keyd_reset();
	fake_certd_reset();
	edged = (struct edged){ .daemon = &daemon_of_test, .legacy_fd = -1, .management_fd = -1 };
	load_config();
	engine.socket = edged.config.engine_socket;
	ck_ok(engine_new(&engine, &edged.engine, &err));
	ck_ok(keyd_client_new(&none, &edged.keyd, &err));
	ck_ok(certd_client_new(&none, &edged.certd, &err));
	ck_ok(identityd_client_new(&none, &edged.identityd, &err));
	ck_ok(provider_install(edged.keyd, &err));
	ck_ok(listeners_new(edged.config.mnt_dir, &edged.listeners, &err));
	m.engine = edged.engine;
	m.listeners = edged.listeners;
	ck_ok(modules_new(&m, &edged.modules, &err));
	ck_ok(boot_new(&edged, &edged.boot, &err));
}

static void
finish(void)
{
	engine_cancel(edged.engine);
	ck_assert(boot_stop(edged.boot));
	boot_free(edged.boot);
	modules_free(edged.modules);
	listeners_free(edged.listeners);
	engine_free(edged.engine);
	identityd_client_free(edged.identityd);
	certd_client_free(edged.certd);
	keyd_client_free(edged.keyd);
	edged_config_release(&edged.config);
	engine_peer_stop(peer);
}

static void
start(void)
{
	struct err err = { 0 };

	ck_ok(boot_start(edged.boot, &err));
}

static void
nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 10 * 1000000 }, NULL);
}

/* Until the status line holds part. */
static void
wait_line(const char *part)
{
	uint64_t deadline = clock_mono_ms() + 20000;
	char line[256];

	for (;;) {
		(void)boot_health(edged.boot, line, sizeof(line));
		if (strstr(line, part))
			return;
		ck_assert_msg(clock_mono_ms() < deadline, "still: %s", line);
		nap();
	}
}

static void
wait_state(const char *name, const char *state)
{
	uint64_t deadline = clock_mono_ms() + 20000;

	while (strcmp(engine_peer_state(peer, name), state) != 0) {
		ck_assert_uint_lt(clock_mono_ms(), deadline);
		nap();
	}
}

/* edged-lifecycle.md 1: the steps in their order, on a device that is new */
START_TEST(test_first_boot)
{
	const struct agent_device *device;
	struct err err = { 0 };
	const char *asked;
	bool same = false;

	begin();
	start_engine();
	engine_peer_container(peer, "old", "running", true);
	engine_peer_container(peer, "foreign", "running", false);
	ck_err(boot_ready(edged.boot, &err), ERR_BUSY);
	start();
	wait_line("is running");
	ck_ok(boot_ready(edged.boot, &err));
	ck_assert(boot_device(edged.boot, &device));
	ck_assert_str_eq(device->device_id, "press-07");
	asked = engine_peer_asked(peer, NULL);
	ck_assert(strstr(asked, "networks/create") < strstr(asked, "/stop?t=30"));
	ck_assert(strstr(asked, "/stop?t=30") < strstr(asked, "DELETE"));
	ck_assert(strstr(asked, "DELETE") < strstr(asked, "containers/create?name=edgeAgent"));
	ck_assert_str_eq(engine_peer_state(peer, "old"), "");
	ck_assert_str_eq(engine_peer_state(peer, "foreign"), "running");
	ck_assert_str_eq(engine_peer_state(peer, "edgeAgent"), "running");
	ck_assert_ptr_nonnull(fake_certd_get("aziot-edged-ca"));
	ck_ok(state_same(edged.config.cache_dir, &press, &same, &err));
	ck_assert(same);
	finish();
}
END_TEST

/* the same device again: stopped, but kept; edgeAgent started as it is */
START_TEST(test_second_boot)
{
	struct err err = { 0 };
	const char *id;

	begin();
	start_engine();
	ck_ok(state_write(edged.config.cache_dir, &press, &err));
	engine_peer_container(peer, "m1", "running", true);
	id = engine_peer_container(peer, "edgeAgent", "running", true);
	start();
	wait_line("is running");
	ck_assert_str_eq(engine_peer_state(peer, "m1"), "exited");
	ck_assert_str_eq(engine_peer_state(peer, id), "running");
	ck_assert_ptr_null(strstr(engine_peer_asked(peer, NULL), "DELETE"));
	ck_assert_int_eq(access(support_path("mnt/m1.sock"), F_OK), 0);
	finish();
}
END_TEST

/* decisions.md: 404 from identityd means wait, and never another provisioning */
START_TEST(test_no_identity)
{
	begin();
	start_engine();
	fake_identityd_fail(ERR_PEER, 404, "not provisioned");
	start();
	wait_line("waiting for the device's identity: not provisioned");
	ck_assert_uint_eq(fake_identityd_calls(), 1);
	ck_assert_str_eq(engine_peer_asked(peer, "containers"), "");
	fake_identityd_fail(ERR_OK, 0, "");
	wait_line("is running");
	finish();
}
END_TEST

/* issue 2: engine absent: said in status, tried again, nothing lost */
START_TEST(test_no_engine)
{
	struct err err = { 0 };

	begin();
	start();
	wait_line("waiting for the container engine");
	ck_err(boot_ready(edged.boot, &err), ERR_BUSY);
	start_engine();
	wait_line("is running");
	ck_ok(boot_ready(edged.boot, &err));
	finish();
}
END_TEST

/* edged-weaknesses.md B10: what is left of another device is removed before anything starts, however often it takes */
START_TEST(test_purge_again)
{
	struct err err = { 0 };
	bool same = true;

	begin();
	start_engine();
	engine_peer_container(peer, "old", "exited", true);
	engine_peer_say(peer, 1, "DELETE /containers/", 500, "{\"message\":\"busy\"}");
	start();
	wait_line("remove modules: busy");
	ck_ok(state_same(edged.config.cache_dir, &press, &same, &err));
	ck_assert(!same);
	wait_line("is running");
	ck_assert_str_eq(engine_peer_state(peer, "old"), "");
	finish();
}
END_TEST

/* edged-weaknesses.md B12: by events, not by the minute */
START_TEST(test_agent_dies)
{
	struct err err = { 0 };
	uint64_t begun;

	begin();
	start_engine();
	start();
	wait_line("is running");
	ck_ok(engine_stop(edged.engine, "edgeAgent", 0, &err));
	begun = clock_mono_ms();
	engine_peer_event(peer, "die", "edgeAgent");
	wait_state("edgeAgent", "running");
	ck_assert_uint_lt(clock_mono_ms() - begun, 10000);
	finish();
}
END_TEST

TEST_MAIN("edged/boot", test_first_boot, test_second_boot, test_no_identity, test_no_engine,
    test_purge_again, test_agent_dies)
