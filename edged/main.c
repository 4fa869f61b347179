#include "edged/service.h"
#include "edged/workload.h"

static const struct daemon_role roles[] = {
	{
	    .sandbox = &edged_sandbox,
	    .open = edged_open,
	    .prepare = edged_prepare,
	    .paths = edged_paths,
	    .serve = edged_serve,
	    .stop = edged_stop,
	    .done = edged_done,
	},
	{
	    .name = "workload",
	    .sandbox = &edged_workload_sandbox,
	    .prepare = workload_prepare,
	    .paths = workload_paths,
	    .serve = workload_serve,
	    .stop = workload_stop,
	    .done = workload_done,
	},
	{ .name = "spawner", .sandbox = &edged_spawner_sandbox },
	{ 0 },
};

static const struct daemon_spec spec = {
	.name = "edged",
	.summary = "runs the device's modules as containers and proves to them who they are",
	.user = "iotedge",
	.config_file = "/etc/aziot/edged/config.toml",
	.config_dir = "/etc/aziot/edged/config.d",
	.config_file_env = "AZIOT_EDGED_CONFIG",
	.config_dir_env = "AZIOT_EDGED_CONFIG_DIR",
	.other_dir = "/var/lib/aziot/keyd",
	.config_exit = 153,
	.load = edged_load,
	.roles = roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
