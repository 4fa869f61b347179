#include <string.h>

#include "keyd/stores.h"

/* Where this library keeps keys; keyd's own array (keyd/backends.c) has what needs keyd around it, too. */
static const struct backend *const backends[] = { &file_backend, &pkcs11_backend };

const struct backend *
stores_backend(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (strcmp(backends[i]->name, type) == 0)
			return backends[i];
	return NULL;
}
