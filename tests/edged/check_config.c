#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edged/config.h"

static const char complete[] =
    "hostname = \"h\"\nhomedir = \"%s\"\n"
    "[agent]\nname = \"edgeAgent\"\ntype = \"docker\"\n[agent.config]\nimage = \"i\"\n"
    "[connect]\nworkload_uri = \"unix:///w\"\nmanagement_uri = \"unix:///m\"\n"
    "[listen]\nworkload_uri = \"fd://w\"\nmanagement_uri = \"fd://m\"\n"
    "[moby_runtime]\nuri = \"unix:///run/docker.sock\"\nnetwork = \"\"\n";

static enum err_code
load(const char *main_text, const char *drop_in, struct edged_config *ret, struct err *ret_err)
{
	struct err err = { 0 };
	struct config_source from = { support_path("config.toml"), support_path("config.d") };
	AUTO(str_freep) char *text = NULL;

	ck_ok(str_format(&text, &err, main_text, support_tmpdir()));
	support_write(from.file, text);
	(void)mkdir(from.dir, 0700);
	support_write(support_path("config.d/00-super.toml"), drop_in);
	return edged_config_load(&from, false, ret, ret_err);
}

/* edged-config.md 1.1, the third column */
START_TEST(test_defaults)
{
	struct edged_config c;
	struct err err = { 0 };

	ck_ok(load(complete, "", &c, &err));
	ck_assert_str_eq(c.trust_bundle_cert, "aziot-edged-trust-bundle");
	ck_assert_str_eq(c.manifest_trust_bundle_cert, "aziot-edged-manifest-trust-bundle");
	ck_assert_str_eq(c.edge_ca.cert, "aziot-edged-ca");
	ck_assert_str_eq(c.edge_ca.key, "aziot-edged-ca");
	ck_assert_int_eq(c.auto_reprovisioning, EDGED_REPROVISION_DYNAMIC);
	ck_assert_int_eq(c.agent.image_pull_policy, EDGED_PULL_ON_CREATE);
	ck_assert_int_eq(c.max_requests->management, 50);
	ck_assert_int_eq(c.max_requests->workload, 10);
	ck_assert_int_eq(c.watchdog.max_retries, -1);
	ck_assert(c.allow_elevated);
	ck_assert_str_eq(c.moby.network.name, "azure-iot-edge");
	ck_assert_str_eq(c.engine_socket, "/run/docker.sock");
	ck_assert_str_eq(c.connect_management_path, "/m");
	ck_assert_str_eq(c.endpoints.keyd, "/run/aziot/keyd.sock");
	ck_assert_str_eq(c.endpoints.certd, "/run/aziot/certd.sock");
	ck_assert_str_eq(c.endpoints.identityd, "/run/aziot/identityd.sock");
	edged_config_release(&c);
}
END_TEST

/* the members of the complete file of edged-config.md 1.2 */
START_TEST(test_given)
{
	struct edged_config c;
	struct err err = { 0 };

	ck_ok(load(complete,
	    "allow_elevated_docker_permissions = false\nauto_reprovisioning_mode = "
	    "\"AlwaysOnStartup\"\n"
	    "[iotedge_max_requests]\nmanagement = 5\nworkload = 20\n"
	    "[edge_ca]\ncert = \"c\"\nkey = \"k\"\n[edge_ca.subject]\nCN = \"press-07 edge CA\"\nO "
	    "= \"Presses\"\n"
	    "[edge_ca.auto_renew]\nrotate_key = true\nthreshold = \"80%\"\nretry = \"4%\"\n"
	    "[agent]\nimagePullPolicy = \"never\"\n[agent.config.createOptions.HostConfig]\nBinds "
	    "= [\"/a:/b\"]\n"
	    "[agent.env]\nstorageFolder = \"/s\"\n"
	    "[watchdog]\nmax_retries = 3\n"
	    "[moby_runtime.network]\nname = \"net\"\nipv6 = true\n"
	    "[[moby_runtime.network.ipam.config]]\nsubnet = \"fd00:7::/64\"\ngateway = "
	    "\"fd00:7::1\"\n"
	    "[image_garbage_collection]\nenabled = true\ncleanup_time = \"02:30\"\n"
	    "[additional_info]\nsite = \"plant\"\n"
	    "[endpoints]\naziot_keyd_url = \"unix:///run/x/keyd.sock\"\n",
	    &c, &err));
	ck_assert(!c.allow_elevated);
	ck_assert_int_eq(c.auto_reprovisioning, EDGED_REPROVISION_ALWAYS);
	ck_assert_int_eq(c.max_requests->workload, 20);
	ck_assert_str_eq(c.edge_ca.key, "k");
	ck_assert_uint_eq(c.edge_ca.subject.n, 2);
	ck_assert_int_eq(c.agent.image_pull_policy, EDGED_PULL_NEVER);
	ck_assert_str_eq(c.agent.config.create_options, "{\"HostConfig\":{\"Binds\":[\"/a:/b\"]}}");
	ck_assert_str_eq(c.agent.env.at[0].value, "/s");
	ck_assert_int_eq(c.watchdog.max_retries, 3);
	ck_assert_str_eq(c.moby.network.name, "net");
	ck_assert(c.moby.network.ipv6);
	ck_assert_str_eq(c.moby.network.ipam->config.at[0].subnet, "fd00:7::/64");
	ck_assert_str_eq(c.additional_info.at[0].key, "site");
	ck_assert_str_eq(c.endpoints.keyd, "/run/x/keyd.sock");
	ck_assert_str_eq(c.endpoints.certd, "/run/aziot/certd.sock");
	edged_config_release(&c);
}
END_TEST

static const struct {
	const char *what, *drop_in, *names;
} wrong[] = {
	{ "agent's name", "[agent]\nname = \"agent\"\n", "agent.name" },
	{ "agent's type", "[agent]\ntype = \"vm\"\n", "agent.type" },
	{ "policy in capitals", "[agent]\nimagePullPolicy = \"Never\"\n", "imagePullPolicy" },
	{ "wrong type", "hostname = 7\n", "hostname" },
	{ "empty host name", "hostname = \"\"\n", "hostname" },
	{ "half of max_requests", "[iotedge_max_requests]\nworkload = 1\n", "management" },
	{ "engine over TCP", "[moby_runtime]\nuri = \"http://localhost\"\n", "moby_runtime.uri" },
	{ "network of a wrong type", "[moby_runtime]\nnetwork = 1\n", "moby_runtime.network" },
	{ "network without a name", "[moby_runtime]\nnetwork = { ipv6 = true }\n",
	    "moby_runtime.network" },
	{ "retries", "[watchdog]\nmax_retries = \"often\"\n", "watchdog.max_retries" },
	{ "negative retries", "[watchdog]\nmax_retries = -1\n", "watchdog.max_retries" },
	{ "endpoint over TCP", "[endpoints]\naziot_certd_url = \"http://x\"\n",
	    "endpoints.aziot_certd_url" },
	{ "mode", "auto_reprovisioning_mode = \"dynamic\"\n", "auto_reprovisioning_mode" },
	{ "homedir that is not there", "homedir = \"/nonexistent/x\"\n", "homedir" },
	{ "not TOML", "x = \n", "00-super.toml" },
};

START_TEST(test_wrong)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct edged_config c = { 0 };
		struct err err = { 0 };

		ck_assert_msg(load(complete, wrong[i].drop_in, &c, &err) == ERR_CONFIG, "%s: %s",
		    wrong[i].what, err.text);
		ck_assert_msg(strstr(err.text, wrong[i].names), "%s: %s", wrong[i].what, err.text);
		ck_assert_ptr_null(c.hostname);
	}
}
END_TEST

TEST_MAIN("edged/config", test_defaults, test_given, test_wrong)
