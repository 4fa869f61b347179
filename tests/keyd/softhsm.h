#ifndef TESTS_KEYD_SOFTHSM_H
#define TESTS_KEYD_SOFTHSM_H

#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SoftHSM with a configuration of its own below support_tmpdir(), judged by pkcs11-tool and openssl. */
#define SOFTHSM_TOOL "pkcs11-tool --module $PKCS11_MODULE -l --pin 1234 --token-label tok "

/* The module, or NULL where it is not installed; with CI=true that fails. */
static inline const char *
softhsm_module(void)
{
	static const char *const paths[] = { "/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (access(paths[i], R_OK) == 0) {
			setenv("PKCS11_MODULE", paths[i], 1);
			return paths[i];
		}
	ck_assert_msg(!getenv("CI"), "SoftHSM is not installed");
	return NULL;
}

/* A token with the PIN 1234. */
static inline void
softhsm_token(const char *label)
{
	free(support_sh(
	    "softhsm2-util --init-token --free --label %s --pin 1234 --so-pin 5678", label));
}

static inline void
softhsm_begin(void)
{
	setenv("SOFTHSM2_CONF", support_path("softhsm2.conf"), 1);
	free(support_sh("mkdir -p %1$s/tokens && printf 'directories.tokendir = %1$s/tokens\\n"
			"objectstore.backend = file\\nlog.level = ERROR\\n' >%1$s/softhsm2.conf",
	    support_tmpdir()));
	softhsm_token("tok");
}

#endif
