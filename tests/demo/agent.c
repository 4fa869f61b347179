#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/demo/demo.h"

#define API "?api-version=2022-08-03"

/* One module as the Edge Agent's planner makes it: identity, prepareupdate, create, start (contracts/edged-agent-client.md 3). */
static enum err_code
module_up(struct unix_client *mgmt, const char *name, const char *role, struct err *err)
{
	AUTO(demo_answer_done) struct demo_answer identity = { 0 };
	AUTO(str_freep) char *spec = NULL;
	AUTO(str_freep) char *target = NULL;
	AUTO(str_freep) char *body = NULL;
	const char *mounts, *workload, *hub, *device, *network, *image, *hosts, *hub_ca;
	const char *broken = "";

	if (demo_env("IOTEDGE_WORKLOADLISTEN_MNTURI", &mounts, err) ||
	    demo_env("IOTEDGE_WORKLOADURI", &workload, err) ||
	    demo_env("IOTEDGE_IOTHUBHOSTNAME", &hub, err) ||
	    demo_env("IOTEDGE_DEVICEID", &device, err) || demo_env("NetworkId", &network, err) ||
	    demo_env("DEMO_IMAGE", &image, err) || demo_env("DEMO_HOSTS", &hosts, err) ||
	    demo_env("DEMO_HUB_CA", &hub_ca, err))
		return err->code;
	if (demo_env("DEMO_BREAK", &broken, err))
		broken = "none";
	if (str_format(&body, err, "{\"moduleId\":\"%s\",\"managedBy\":\"IotEdge\"}", name) ||
	    demo_call(mgmt, "POST", "/identities/" API, body, 200, &identity, err))
		return err_wrap(err, "identity of %s", name);
	demo_step("agent", "identity %s, generation %s", name, identity.generation_id);
	if (str_format(&spec, err,
		"{\"name\":\"%s\",\"type\":\"docker\",\"imagePullPolicy\":\"Never\",\"config\":{"
		"\"settings\":"
		"{\"image\":\"%s\",\"createOptions\":{\"Cmd\":[\"%s\"],\"User\":\"1234:1234\","
		"\"HostConfig\":{"
		"\"Binds\":[\"%s/%s.sock:%s\",\"%s:%s:ro\"],\"ExtraHosts\":[\"%s\"]},"
		"\"NetworkingConfig\":{\"EndpointsConfig\":{\"%s\":{}}}}},"
		"\"env\":[{\"key\":\"IOTEDGE_WORKLOADURI\",\"value\":\"%s\"},"
		"{\"key\":\"IOTEDGE_MODULEID\",\"value\":\"%s\"},"
		"{\"key\":\"IOTEDGE_MODULEGENERATIONID\",\"value\":\"%s\"},"
		"{\"key\":\"IOTEDGE_IOTHUBHOSTNAME\",\"value\":\"%s\"},"
		"{\"key\":\"IOTEDGE_DEVICEID\",\"value\":\"%s\"},"
		"{\"key\":\"DEMO_HUB_CA\",\"value\":\"%s\"},{\"key\":\"DEMO_BREAK\",\"value\":\"%"
		"s\"}]}}",
		name, image, role, mounts + sizeof("unix://") - 1, name,
		workload + sizeof("unix://") - 1, hub_ca, hub_ca, hosts, network, workload, name,
		identity.generation_id, hub, device, hub_ca, broken))
		return err->code;
	str_freep(&target);
	if (str_format(&target, err, "/modules/%s/prepareupdate" API, name))
		return err->code;

	if (demo_call(mgmt, "POST", target, spec, 204, NULL, err) ||
	    demo_call(mgmt, "POST", "/modules" API, spec, 201, NULL, err))
		return err_wrap(err, "create %s", name);
	demo_step("agent", "created module %s", name);
	str_freep(&target);
	if (str_format(&target, err, "/modules/%s/start" API, name) ||
	    demo_call(mgmt, "POST", target, NULL, 204, NULL, err))
		return err_wrap(err, "start %s", name);
	demo_step("agent", "started module %s", name);
	return ERR_OK;
}

int
demo_agent(struct err *err)
{
	AUTO(demo_clientp) struct unix_client *mgmt = NULL;
	AUTO(demo_clientp) struct unix_client *workload = NULL;
	AUTO(demo_answer_done) struct demo_answer bundle = { 0 };

	if (demo_client("IOTEDGE_MANAGEMENTURI", &mgmt, err) ||
	    demo_client("IOTEDGE_WORKLOADURI", &workload, err) ||
	    demo_call(
		workload, "GET", "/trust-bundle?api-version=2020-07-07", NULL, 200, &bundle, err))
		return 1;
	demo_step("agent", "trust bundle of %zu bytes",
	    strlen(bundle.certificate ? bundle.certificate : ""));
	if (demo_call(mgmt, "GET", "/systeminfo" API, NULL, 200, NULL, err))
		return 1;
	demo_step("agent", "systeminfo answered");
	if (module_up(mgmt, "web", "web", err) || module_up(mgmt, "meter", "meter", err))
		return 1;
	for (;;) {
		if (demo_call(mgmt, "GET", "/modules" API, NULL, 200, NULL, err))
			return 1;
		sleep(5);
	}
}
