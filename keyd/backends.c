#include <string.h>

#include "keyd/stores.h"

/*
 * Every kind of backend.  Apart from stores.c, so that who works with some of them only (keyd/abi) links no more than those.
 */
static const struct backend *const backends[] = { &file_backend, &pkcs11_backend, &tpm_backend,
	&plugin_backend };

const struct backend *
stores_backend(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (strcmp(backends[i]->name, type) == 0)
			return backends[i];
	return NULL;
}
