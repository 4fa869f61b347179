#include "identityd/service.h"

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
	.load = service_load,
	.roles = identityd_roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
