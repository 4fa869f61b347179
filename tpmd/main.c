#include "tpmd/service.h"

static const struct daemon_role roles[] = {
	{
	    .sandbox = &tpmd_sandbox,
	    .prepare = tpmd_prepare,
	    .open = tpmd_open,
	    .paths = tpmd_paths,
	    .serve = tpmd_serve,
	    .stop = tpmd_stop,
	    .done = tpmd_done,
	},
	{
	    /* taken by tpmd_load where the TPM is a simulator behind a socket */
	    .name = TPMD_ROLE_SIMULATOR,
	    .sandbox = &tpmd_sandbox_simulator,
	    .prepare = tpmd_prepare,
	    .open = tpmd_open,
	    .paths = tpmd_paths,
	    .serve = tpmd_serve,
	    .stop = tpmd_stop,
	    .done = tpmd_done,
	},
	{ 0 },
};

static const struct daemon_spec spec = {
	.name = "tpmd",
	.summary =
	    "the device's TPM: endorsement and storage keys, and the key that proves its identity",
	.user = "aziottpm",
	.config_file = "/etc/aziot/tpmd/config.toml",
	.config_dir = "/etc/aziot/tpmd/config.d",
	.config_file_env = "AZIOT_TPMD_CONFIG",
	.config_dir_env = "AZIOT_TPMD_CONFIG_DIR",
	.other_dir = "/var/lib/aziot/keyd",
	.config_exit = 1,
	.load = tpmd_load,
	.roles = roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
