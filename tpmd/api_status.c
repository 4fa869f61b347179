/* api_status.c - how tpmd is, for `edgekeep status` */
#include "tpmd/api.h"
#include "tpmd/service.h"
#include "wire/status.h"

enum err_code
tpmd_status(void *service, const struct request *req, struct response *resp, struct err *err)
{
	struct tpmd *tpmd = service;
	AUTO(status_resp_done) struct status_resp out = { 0 };
	AUTO(str_freep) char *detail = NULL;
	struct err why = { 0 };
	bool has_auth_key = false;
	bool ok = tpm_check(tpmd->tpm, &has_auth_key, &why) == ERR_OK;

	(void)req;
	if (ok && str_format(&detail, err, "TPM by %s, %s authentication key",
		      tcti_text(tpmd->tcti), has_auth_key ? "with an" : "no"))
		return err->code;
	if (status_begin(&out, tpmd->daemon, ok, ok ? detail : why.text, err))
		return err->code;
	return response_json(resp, 200, status_resp_fields, &out, err);
}
