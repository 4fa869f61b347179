#ifndef TPMD_TCTI_H
#define TPMD_TCTI_H

#include <tss2/tss2_tcti.h>

#include "base/mem.h"

/*
 * The way to a TPM (contracts/tpm2.md 4).  The module is loaded once, before the policy, and kept: the loader that comes with
 * tpm2-tss would look for it in the file system at each new connection.
 */
struct tcti_name {
	char *module; /* "device", "swtpm", "mssim", ... */
	char *conf;   /* NULL: none said */
};

/*
 * "NAME" or "NAME:CONF"; "" means "device".  ERR_CONFIG: not of that form, or a module that cannot work confined: tabrmd runs
 * threads of its own, cmd starts programs.
 */
enum err_code tcti_parse(const char *spec, struct tcti_name *ret, struct err *err) MUST_CHECK;
void tcti_name_done(struct tcti_name *name);
/* Does it need sockets? */
bool tcti_is_simulator(const struct tcti_name *name);

struct tcti;

/*
 * Load the module.  "device" without a path is /dev/tpmrm0, and only where that is missing /dev/tpm0, with a warning: nothing there
 * keeps two programs apart.  ERR_NOT_FOUND: no TPM, no such module.
 */
enum err_code tcti_load(
    const struct tcti_name *name, struct tcti **ret, struct err *err) MUST_CHECK;
void tcti_free(struct tcti *t);
/* For the log: "device:/dev/tpmrm0". */
const char *tcti_text(const struct tcti *t);

/* A connection; free with tcti_disconnect.  ERR_UNREACHABLE with the code of tpm2-tss. */
enum err_code tcti_connect(
    const struct tcti *t, TSS2_TCTI_CONTEXT **ret, struct err *err) MUST_CHECK;
void tcti_disconnect(TSS2_TCTI_CONTEXT **context);

#endif
