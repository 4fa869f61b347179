#include "keyd/doctor.h"
#include "keyd/file_convert.h"
#include "keyd/service.h"
#include "keyd/worker.h"

#define WORKER(role, policy, its_paths)                                           \
	{                                                                         \
		.name = (role), .sandbox = &(policy), .prepare = worker_prepare,  \
		.paths = (its_paths), .serve = worker_serve, .stop = worker_stop, \
		.done = worker_done                                               \
	}

/* `edgekeep keys wrap` and `unwrap` */
#define CONVERT(role)                                                                              \
	{                                                                                          \
		.name = (role), .once = 1, .sandbox = &keyd_convert_sandbox,                       \
		.prepare = file_convert_prepare, .paths = keyd_paths, .serve = file_convert_serve, \
		.done = file_convert_done                                                          \
	}

/* `edgekeep doctor keys`: a vendor's library, as a worker has it */
#define DOCTOR(role, policy)                                                                \
	{                                                                                   \
		.name = (role), .once = 1, .sandbox = &(policy), .prepare = doctor_prepare, \
		.paths = doctor_paths, .serve = doctor_serve, .done = doctor_done           \
	}

static const struct daemon_role roles[] = {
	{
	    .sandbox = &keyd_sandbox,
	    .open = keyd_open,
	    .prepare = keyd_prepare,
	    .paths = keyd_paths,
	    .serve = keyd_serve,
	    .reload = keyd_reload,
	    .stop = keyd_stop,
	    .done = keyd_done,
	},
	CONVERT("wrap"),
	CONVERT("unwrap"),
	WORKER("worker-file", keyd_worker_file_sandbox, worker_file_paths),
	WORKER("worker-tpm", keyd_worker_tpm_sandbox, worker_tpm_paths),
	WORKER("worker-vendor", keyd_worker_vendor_sandbox, worker_vendor_paths),
	WORKER("worker-network", keyd_worker_network_sandbox, worker_vendor_paths),
	DOCTOR("doctor", keyd_worker_vendor_sandbox),
	DOCTOR("doctor-network", keyd_worker_network_sandbox),
	{ .name = "spawner", .sandbox = &keyd_spawner_sandbox },
	{ .name = "spawner-network", .sandbox = &keyd_spawner_network_sandbox },
	{ 0 },
};

static const struct daemon_spec spec = {
	.name = "keyd",
	.summary = "keeps the device's keys and works with them for others",
	.user = "aziotks",
	.config_file = "/etc/aziot/keyd/config.toml",
	.config_dir = "/etc/aziot/keyd/config.d",
	.config_file_env = "AZIOT_KEYD_CONFIG",
	.config_dir_env = "AZIOT_KEYD_CONFIG_DIR",
	.other_dir = "/var/lib/aziot/certd",
	.config_exit = 1,
	.keeps_keys = 1,
	.load = keyd_load,
	.roles = roles,
};

int
main(int argc, char **argv)
{
	return daemon_main(&spec, argc, argv);
}
