#include "tests/support/engine.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "edged/agent.h"
#include "edged/listeners.h"
#include "tests/fake/identityd.h"

static struct edged_config config;
static struct agent_device device = { (char *)"gw1", (char *)"hub.example", (char *)"hub.example" };

static void
load(const char *more)
{
	struct config_source from = { support_path("edged.toml"), support_path("edged.d") };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(str_format(&text, &err,
	    "hostname = \"gw1\"\nhomedir = \"%s\"\n"
	    "[agent]\nname = \"edgeAgent\"\ntype = \"docker\"\nimagePullPolicy = \"never\"\n"
	    "[connect]\nworkload_uri = \"unix:///var/run/iotedge/workload.sock\"\n"
	    "management_uri = \"unix:///var/run/iotedge/mgmt.sock\"\n"
	    "[listen]\nworkload_uri = \"unix:///run/w\"\nmanagement_uri = \"unix:///run/m\"\n"
	    "[moby_runtime]\nuri = \"unix:///var/run/docker.sock\"\nnetwork = \"\"\n%s",
	    support_tmpdir(), more));
	support_write(from.file, text);
	ck_ok(edged_config_load(&from, false, &config, &err));
}

/* jq judges, so the order of members is nobody's business. */
static void
same_json(const char *got, const char *want)
{
	char *a, *b;

	support_write(support_path("got"), got);
	support_write(support_path("want"), want);
	a = support_sh("jq -cS . %s", support_path("got"));
	b = support_sh("jq -cS . %s", support_path("want"));
	ck_assert_str_eq(a, b);
	free(a);
	free(b);
}

static char *
body_of(const struct agent_parts *parts)
{
	const struct module_spec *s = &parts->spec;
	struct createopts options = { .options = s->settings->create_options,
		.image = s->settings->image,
		.env = s->env,
		.n_env = s->n_env,
		.elevated = true,
		.is_agent = true,
		.binds = s->binds,
		.n_binds = s->n_binds,
		.network = s->network,
		.labels = s->labels,
		.n_labels = s->n_labels };
	struct err err = { 0 };
	char *body = NULL;

	ck_ok(createopts_build(&options, &body, &err));
	return body;
}

/* the example of edged-containers.md 5.3, to the letter but for the home directory */
START_TEST(test_contract_example)
{
	AUTO(agent_parts_done) struct agent_parts parts = { 0 };
	AUTO(str_freep) char *want = NULL;
	struct err err = { 0 };
	char *body, *real;

	load("[agent.config]\nimage = \"registry.example/agent:1.6\"\n");
	ck_ok(agent_parts_make(&config, &device, "63700", &parts, &err));
	body = body_of(&parts);
	real = realpath(support_tmpdir(), NULL);
	ck_ok(str_format(&want, &err,
	    "{\"Env\":[\"EdgeDeviceHostName=gw1\",\"IOTEDGE_APIVERSION=2022-08-03\","
	    "\"IOTEDGE_AUTHSCHEME=sasToken\",\"IOTEDGE_DEVICEID=gw1\","
	    "\"IOTEDGE_IOTHUBHOSTNAME=hub.example\","
	    "\"IOTEDGE_MANAGEMENTURI=unix:///var/run/iotedge/mgmt.sock\","
	    "\"IOTEDGE_MODULEGENERATIONID=63700\",\"IOTEDGE_MODULEID=$edgeAgent\","
	    "\"IOTEDGE_WORKLOADLISTEN_MNTURI=unix://%s/mnt\","
	    "\"IOTEDGE_WORKLOADURI=unix:///var/run/iotedge/workload.sock\",\"Mode=iotedged\","
	    "\"NetworkId=azure-iot-edge\"],\"Image\":\"registry.example/agent:1.6\","
	    "\"Labels\":{\"net.azure-devices.edge.create-options\":\"{}\","
	    "\"net.azure-devices.edge.env\":\"{}\","
	    "\"net.azure-devices.edge.original-image\":\"registry.example/agent:1.6\","
	    "\"net.azure-devices.edge.owner\":\"Microsoft.Azure.Devices.Edge.Agent\"},"
	    "\"HostConfig\":{\"Binds\":[\"/var/run/iotedge/mgmt.sock:/var/run/iotedge/mgmt.sock\","
	    "\"%s/mnt/edgeAgent.sock:/var/run/iotedge/workload.sock\"]},"
	    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"azure-iot-edge\":{}}}}",
	    real, real));
	same_json(body, want);
	free(body);
	free(real);
	edged_config_release(&config);
}
END_TEST

/* $upstream, a parent, env that cannot be overridden, the user's own options */
START_TEST(test_nested)
{
	AUTO(agent_parts_done) struct agent_parts parts = { 0 };
	struct agent_device nested = device;
	struct err err = { 0 };
	char *body;

	nested.gateway_host = (char *)"parent.example";
	load("[agent.config]\nimage = \"$upstream:443/agent:1\"\n"
	     "[agent.config.auth]\nserveraddress = \"$upstream:443\"\nusername = \"u\"\npassword = "
	     "\"p\"\n"
	     "[agent.config.createOptions.HostConfig]\nBinds = [\"/srv:/srv\"]\n"
	     "[agent.env]\nMode = \"mine\"\nstorageFolder = \"/srv\"\n");
	ck_ok(agent_parts_make(&config, &nested, "g", &parts, &err));
	ck_assert_str_eq(parts.settings.image, "parent.example:443/agent:1");
	ck_assert_str_eq(parts.settings.auth->serveraddress, "parent.example:443");
	ck_assert_str_eq(parts.settings.auth->password, "p");
	body = body_of(&parts);
	ck_assert_ptr_nonnull(strstr(body, "\"IOTEDGE_GATEWAYHOSTNAME=parent.example\""));
	ck_assert_ptr_nonnull(strstr(body, "\"Mode=iotedged\""));
	ck_assert_ptr_null(strstr(body, "Mode=mine"));
	ck_assert_ptr_nonnull(strstr(body, "\"storageFolder=/srv\""));
	ck_assert_ptr_nonnull(
	    strstr(body, "\"Binds\":[\"/srv:/srv\",\"/var/run/iotedge/mgmt.sock:"));
	free(body);
	edged_config_release(&config);
}
END_TEST

/* --- the watchdog's look, edged-lifecycle.md 5 */

struct setup {
	struct engine_peer *peer;
	struct engine *engine;
	struct listeners *listeners;
	struct modules *modules;
	struct identityd_client *identityd;
	struct agent agent;
};

static void
begin(struct setup *s)
{
	struct engine_config engine = { .socket = support_path("docker.sock") };
	struct unix_client_config none = { 0 };
	struct modules_config m = { .elevated = true };
	struct err err = { 0 };

	load("[agent.config]\nimage = \"img:1\"\n");
	fake_identityd_reset();
	fake_identityd_put("$edgeAgent", "gen7");
	s->peer = engine_peer_start(engine.socket);
	engine_peer_image(s->peer, "img:1");
	ck_ok(engine_new(&engine, &s->engine, &err));
	ck_ok(listeners_new(config.mnt_dir, &s->listeners, &err));
	m.engine = s->engine;
	m.listeners = s->listeners;
	ck_ok(modules_new(&m, &s->modules, &err));
	ck_ok(identityd_client_new(&none, &s->identityd, &err));
	s->agent = (struct agent){ &config, &device, s->modules, s->identityd };
}

static void
finish(struct setup *s)
{
	identityd_client_free(s->identityd);
	modules_free(s->modules);
	listeners_free(s->listeners);
	engine_free(s->engine);
	engine_peer_stop(s->peer);
	edged_config_release(&config);
}

START_TEST(test_looks)
{
	static const struct {
		const char *state; /* NULL: none */
		const char *then, *asked;
	} rows[] = {
		{ NULL, "running", "POST DELETE-less create start" },
		{ "running", "running", NULL },
		{ "paused", "paused", NULL },
		{ "created", "running", "/start" },
		{ "exited", "running", "/start" },
		{ "restarting", "running", "/start" },
		{ "dead", "running", "DELETE" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct setup s;
		struct err err = { 0 };
		const char *asked;

		begin(&s);
		if (rows[i].state)
			engine_peer_container(s.peer, "edgeAgent", rows[i].state, true);
		ck_ok(agent_look(&s.agent, &err));
		ck_assert_str_eq(engine_peer_state(s.peer, "edgeAgent"), rows[i].then);
		asked = engine_peer_asked(s.peer, NULL);
		if (!rows[i].asked)
			ck_assert_ptr_null(strstr(asked, "POST"));
		else if (rows[i].state)
			ck_assert_ptr_nonnull(strstr(asked, rows[i].asked));
		else
			ck_assert_ptr_nonnull(
			    strstr(engine_peer_body(s.peer, "POST /containers/create"),
				"\"IOTEDGE_MODULEGENERATIONID=gen7\""));
		finish(&s);
	}
}
END_TEST

/* edged-weaknesses.md B7: what the engine cannot tell is no reason to make another one */
START_TEST(test_engine_cannot_tell)
{
	struct setup s;
	struct err err = { 0 };

	begin(&s);
	engine_peer_say(s.peer, 1, "GET /containers/edgeAgent/json", 500, "{\"message\":\"busy\"}");
	ck_err(agent_look(&s.agent, &err), ERR_PEER);
	engine_peer_say(s.peer, 1, "GET /containers/edgeAgent/json", 200, "<html>");
	ck_err(agent_look(&s.agent, &err), ERR_PROTOCOL);
	ck_assert_ptr_null(strstr(engine_peer_asked(s.peer, NULL), "POST"));
	/* nor an identity that cannot be had a reason to make one without */
	fake_identityd_fail(ERR_UNREACHABLE, 0, "gone");
	ck_err(agent_look(&s.agent, &err), ERR_UNREACHABLE);
	ck_assert_ptr_null(strstr(engine_peer_asked(s.peer, NULL), "POST"));
	finish(&s);
}
END_TEST

TEST_MAIN("edged/agent", test_contract_example, test_nested, test_looks, test_engine_cannot_tell)
