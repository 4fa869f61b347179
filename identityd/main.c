#include "identityd/sandbox.h"
#include "identityd/service.h"

static const struct daemon_role roles[] = {
	{
	    .sandbox = &identityd_sandbox,
	    .open = identityd_open,
	    .prepare = identityd_warm,
	    .paths = identityd_allow,
	    .serve = identityd_serve,
	    .reload = identityd_reload,
	    .stop = identityd_stop,
	    .done = identityd_done,
	},
	{ 0 },
};

static const struct daemon_spec spec = {
	.name = "identityd",
	.summary = "identities of this device and its modules, provisioned by DPS or by hand",
	.user = "aziotid",
	.config_file = "/etc/aziot/identityd/config.toml",
	.config_dir = "/etc/aziot/identityd/config.d",
	.config_file_env = "AZIOT_IDENTITYD_CONFIG",
	.config_dir_env = "AZIOT_IDENTITYD_CONFIG_DIR",
	.other_dir = "/var/lib/aziot/keyd",
	.config_exit = 1,
	.load = identityd_load,
	.roles = roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
