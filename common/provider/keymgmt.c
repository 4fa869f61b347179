#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdlib.h>

#include "provider/parts.h"

/*
 * Key management.  Everything public is answered by the public half; the private half cannot be exported, and the export says so,
 * or libcrypto would go on with a public key and fail later (design/provider.md, trap 2).
 */

/*
 * To compare keys libcrypto first tries to bring the other one over to us, and where that is not offered it leaves "malloc failure"
 * on the host's queue (trap 6).  So it may try: an empty key takes nothing, and the comparison goes the other way round.
 */
static void *
keymgmt_new(void *provider)
{
	struct provider_key *key = calloc(1, sizeof(*key));

	if (key) {
		key->refs = 1;
		key->provider = provider;
	}
	return key;
}

static int
keymgmt_import(void *key, int selection, const OSSL_PARAM params[])
{
	(void)key, (void)selection, (void)params;
	return 0;
}

static const OSSL_PARAM *
keymgmt_import_types(int selection)
{
	(void)selection;
	return NULL;
}

static void
keymgmt_free(void *key)
{
	provider_key_unref(key);
}

/* The store hands a key over by reference: the object is ours from here on. */
static void *
keymgmt_load(const void *reference, size_t size)
{
	struct provider_key *key;

	if (size != sizeof(key))
		return NULL;
	key = *(struct provider_key *const *)reference;
	*(struct provider_key **)(uintptr_t)reference = NULL;
	return key;
}

/* A key never changes, so its copy is itself.  Parts of it are copied from the public half, which who wants them can export. */
static void *
keymgmt_dup(const void *data, int selection)
{
	struct provider_key *key = (struct provider_key *)(uintptr_t)data;

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? provider_key_ref(key) : NULL;
}

static int
keymgmt_has(const void *data, int selection)
{
	const struct provider_key *key = data;

	(void)selection;
	return key && key->public_half;
}

static int
keymgmt_match(const void *a, const void *b, int selection)
{
	const struct provider_key *one = a, *other = b;

	(void)selection;
	return one->public_half && other->public_half &&
	       EVP_PKEY_eq(one->public_half, other->public_half) == 1;
}

static int
keymgmt_get_params(void *data, OSSL_PARAM params[])
{
	const struct provider_key *key = data;

	return key->public_half && EVP_PKEY_get_params(key->public_half, params);
}

static const OSSL_PARAM *
keymgmt_gettable_params(void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)provider;
	return gettable;
}

static int
keymgmt_export(void *data, int selection, OSSL_CALLBACK *callback, void *arg)
{
	const struct provider_key *key = data;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY || !key->public_half)
		return 0;
	return EVP_PKEY_export(key->public_half, selection, callback, arg);
}

static const OSSL_PARAM *
keymgmt_export_types_ec(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static const OSSL_PARAM *
keymgmt_export_types_rsa(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : types;
}

static const char *
keymgmt_operation_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

static const char *
keymgmt_operation_rsa(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

#define KEYMGMT(name, kind)                                                                    \
	const OSSL_DISPATCH name[] = {                                                         \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_NEW, keymgmt_new),                               \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_IMPORT, keymgmt_import),                         \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, keymgmt_import_types),             \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_FREE, keymgmt_free),                             \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_LOAD, keymgmt_load),                             \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_DUP, keymgmt_dup),                               \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_HAS, keymgmt_has),                               \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_MATCH, keymgmt_match),                           \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, keymgmt_get_params),                 \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, keymgmt_gettable_params),       \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_EXPORT, keymgmt_export),                         \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, keymgmt_export_types_##kind),      \
		PROVIDER_FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, keymgmt_operation_##kind), \
		{ 0, NULL },                                                                   \
	}

KEYMGMT(provider_keymgmt_ec, ec);
KEYMGMT(provider_keymgmt_rsa, rsa);
