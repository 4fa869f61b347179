#include "tpmd/tcti.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define DEVICE	    "device"
#define DEVICE_RM   "/dev/tpmrm0"
#define DEVICE_BARE "/dev/tpm0"

struct tcti {
	void *library;
	TSS2_TCTI_INIT_FUNC init;
	char *conf; /* NULL: none */
	char *text;
};

enum err_code
tcti_parse(const char *spec, struct tcti_name *ret, struct err *err)
{
	static const char *const unfit[] = { "tabrmd", "cmd" };
	AUTO(tcti_name_done) struct tcti_name name = { 0 };
	size_t len;

	if (!*spec)
		spec = DEVICE;
	len = strcspn(spec, ":");
	if (!len || strspn(spec, "abcdefghijklmnopqrstuvwxyz0123456789-_") != len)
		return err_set(
		    err, ERR_CONFIG, "tcti: \"%s\" is not NAME or NAME:PARAMETERS", spec);
	if (str_format(&name.module, err, "%.*s", (int)len, spec) ||
	    (spec[len] && spec[len + 1] && str_copy(&name.conf, spec + len + 1, err)))
		return err->code;
	for (size_t i = 0; i < ARRAY_LEN(unfit); i++)
		if (strcmp(name.module, unfit[i]) == 0)
			return err_set(err, ERR_CONFIG,
			    "tcti: %s cannot be confined; the kernel's resource manager, "
			    "\"device:" DEVICE_RM "\", serves as well",
			    unfit[i]);
	*ret = name;
	name = (struct tcti_name){ 0 };
	return ERR_OK;
}

void
tcti_name_done(struct tcti_name *name)
{
	str_freep(&name->module);
	str_freep(&name->conf);
}

bool
tcti_is_simulator(const struct tcti_name *name)
{
	return strcmp(name->module, "swtpm") == 0 || strcmp(name->module, "mssim") == 0;
}

/* The path of the kernel's TPM. */
static enum err_code
find_device(const char **ret, struct err *err)
{
	if (access(DEVICE_RM, F_OK) == 0) {
		*ret = DEVICE_RM;
		return ERR_OK;
	}
	if (access(DEVICE_BARE, F_OK))
		return err_set(err, ERR_NOT_FOUND,
		    "there is no TPM: neither " DEVICE_RM " nor " DEVICE_BARE " exists");
	log_warn(DEVICE_RM " is missing; using " DEVICE_BARE ", which other programs may disturb");
	*ret = DEVICE_BARE;
	return ERR_OK;
}

static enum err_code
load_module(struct tcti *t, const char *module, struct err *err)
{
	AUTO(str_freep) char *file = NULL;
	TSS2_TCTI_INFO_FUNC info;

	if (str_format(&file, err, "libtss2-tcti-%s.so.0", module))
		return err->code;
	t->library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	if (!t->library)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no TCTI module %s (package libtss2-tcti-%s0?): %s", module, module,
		    dlerror());
	info = (TSS2_TCTI_INFO_FUNC)dlsym(t->library, TSS2_TCTI_INFO_SYMBOL);
	if (!info || !info() || !info()->init)
		return err_set(err, ERR_NOT_FOUND, "%s is no TCTI module", file);
	t->init = info()->init;
	return ERR_OK;
}

enum err_code
tcti_load(const struct tcti_name *name, struct tcti **ret, struct err *err)
{
	struct tcti *t = calloc(1, sizeof(*t));
	const char *conf = name->conf;

	if (!t)
		return err_nomem(err);
	if ((!conf && strcmp(name->module, DEVICE) == 0 && find_device(&conf, err)) ||
	    (conf && str_copy(&t->conf, conf, err)) ||
	    str_format(&t->text, err, "%s%s%s", name->module, conf ? ":" : "", conf ? conf : "") ||
	    load_module(t, name->module, err)) {
		tcti_free(t);
		return err->code;
	}
	*ret = t;
	return ERR_OK;
}

void
tcti_free(struct tcti *t)
{
	if (!t)
		return;
	if (t->library)
		dlclose(t->library);
	str_freep(&t->conf);
	str_freep(&t->text);
	free(t);
}

const char *
tcti_text(const struct tcti *t)
{
	return t->text;
}

enum err_code
tcti_connect(const struct tcti *t, TSS2_TCTI_CONTEXT **ret, struct err *err)
{
	TSS2_TCTI_CONTEXT *context;
	size_t size = 0;
	TSS2_RC rc = t->init(NULL, &size, t->conf);

	if (rc)
		return err_set(err, ERR_UNREACHABLE, "could not open %s: 0x%x", t->text, rc);
	context = calloc(1, size);
	if (!context)
		return err_nomem(err);
	rc = t->init(context, &size, t->conf);
	if (rc) {
		free(context);
		return err_set(err, ERR_UNREACHABLE, "could not open %s: 0x%x", t->text, rc);
	}
	*ret = context;
	return ERR_OK;
}

void
tcti_disconnect(TSS2_TCTI_CONTEXT **context)
{
	if (*context) {
		Tss2_Tcti_Finalize(*context);
		free(*context);
	}
	*context = NULL;
}
