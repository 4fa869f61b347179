#include "tpmd/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/listen.h"
#include "tpmd/api.h"
#include "wire/tpmd.h"

#define SOCKET_URI  "unix://" TPMD_SOCKET
#define SOCKET_UNIT "aziot-tpmd.socket"
#define SOCKET_MODE 0660
#define WORKERS	    8 /* one at the TPM, the others wait for it; one caller has half of them at most */

static void
tpmd_free(struct tpmd *tpmd)
{
	http_server_free(tpmd->http);
	if (!tpm_close(tpmd->tpm))
		return; /* the end of the process frees it */
	tcti_free(tpmd->tcti);
	tcti_name_done(&tpmd->name);
	fd_closep(&tpmd->socket);
	tpmd_config_done(&tpmd->config);
	free(tpmd);
}

enum err_code
tpmd_load(struct daemon *d, struct err *err)
{
	const struct config_source from = { d->config_file, d->config_dir };
	struct tpmd *tpmd = calloc(1, sizeof(*tpmd));

	if (!tpmd)
		return err_nomem(err);
	/* tpm2-tss writes to stderr in a form of its own; its codes are in our log */
	setenv("TSS2_LOG", "all+NONE", 0);
	tpmd->daemon = d;
	tpmd->socket = -1;
	if (tpmd_config_load(&from, &tpmd->config, err) ||
	    tcti_parse(tpmd->config.tcti, &tpmd->name, err)) {
		tpmd_free(tpmd);
		return err->code;
	}
	d->service = tpmd;
	if (tcti_is_simulator(&tpmd->name))
		for (const struct daemon_role *role = d->spec->roles; role->sandbox; role++)
			if (role->name && strcmp(role->name, TPMD_ROLE_SIMULATOR) == 0)
				d->role = role;
	return ERR_OK;
}

enum err_code
tpmd_open(struct daemon *d, struct err *err)
{
	struct tpmd *tpmd = d->service;
	const char *uri = tpmd->config.endpoints.aziot_tpmd;

	return listen_open(uri ? uri : SOCKET_URI, SOCKET_UNIT, 1, SOCKET_MODE, &tpmd->socket, err);
}

/* As the service user: what it cannot open now it could not open again after an error. */
enum err_code
tpmd_prepare(struct daemon *d, struct err *err)
{
	struct tpmd *tpmd = d->service;
	const struct http_server_config http = {
		.table = &tpmd_routes, .service = tpmd, .workers = WORKERS
	};
	struct tpm_config config = {
		.auth_key_index = (uint32_t)tpmd->config.auth_key_index,
		.endorsement = tpmd->config.hierarchies.endorsement,
		.owner = tpmd->config.hierarchies.owner,
		.bus_is_private = !tpmd->config.bus_encryption,
	};

	json_wipe_memory();
	if (tcti_load(&tpmd->name, &tpmd->tcti, err))
		return err->code;
	config.tcti = tpmd->tcti;
	if (tpm_open(&config, &tpmd->tpm, err))
		return err->code;
	log_info("TPM by %s", tcti_text(tpmd->tcti));
	return http_server_new(&http, &tpmd->http, err);
}

enum err_code
tpmd_paths(struct daemon *d, struct sandbox_paths *paths, struct err *err)
{
	static const char *const devices[] = { "/dev/tpmrm0", "/dev/tpm0" };
	static const char *const resolver[] = { "/etc/hosts", "/etc/host.conf",
		"/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/gai.conf", "/etc/services" };
	const struct tpmd *tpmd = d->service;

	if (tcti_is_simulator(&tpmd->name)) {
		for (size_t i = 0; i < ARRAY_LEN(resolver); i++)
			if (sandbox_paths_add(paths, resolver[i], SANDBOX_READ, err))
				return err->code;
		return ERR_OK;
	}
	if (tpmd->name.conf)
		return sandbox_paths_add(paths, tpmd->name.conf, SANDBOX_READ | SANDBOX_WRITE, err);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++)
		if (sandbox_paths_add(paths, devices[i], SANDBOX_READ | SANDBOX_WRITE, err))
			return err->code;
	return ERR_OK;
}

enum err_code
tpmd_serve(struct daemon *d, struct err *err)
{
	struct tpmd *tpmd = d->service;
	unsigned id;

	if (tpm_start(tpmd->tpm, err) || http_server_start(tpmd->http, err))
		return err->code;
	return http_server_listen(tpmd->http, fd_take(&tpmd->socket),
	    (unsigned)tpmd->config.max_requests, NULL, &id, err);
}

void
tpmd_stop(struct daemon *d, unsigned grace_ms)
{
	struct tpmd *tpmd = d->service;

	http_server_stop(tpmd->http, grace_ms);
}

void
tpmd_done(struct daemon *d)
{
	tpmd_free(d->service);
	d->service = NULL;
}
