#include "certd/service.h"

static const struct daemon_spec spec = {
	.name = "certd",
	.summary = "certificates: kept, and issued by a local CA or self-signed",
	.user = "aziotcs",
	.config_file = "/etc/aziot/certd/config.toml",
	.config_dir = "/etc/aziot/certd/config.d",
	.config_file_env = "AZIOT_CERTD_CONFIG",
	.config_dir_env = "AZIOT_CERTD_CONFIG_DIR",
	.other_dir = "/var/lib/aziot/keyd",
	.config_exit = 1,
	.load = service_load,
	.roles = certd_roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
