#include "provider/provider.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include "crypto/digest.h"
#include "data/uri.h"
#include "provider/parts.h"

#define NAME "edgekeep"

/* libcrypto gives a built-in provider's init function no argument: set once, before there are threads, and read ever after. */
static struct {
	struct provider state;
	OSSL_PROVIDER *peer, *self; /* held, as unloading would end them */
} installed;

/* libcrypto's errors carry no text of ours, so the reason of a failure waits here for the same thread to fetch it. */
static _Thread_local struct err last_error;

int
provider_failed(const struct err *err)
{
	last_error = *err;
	ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_TO_SIGN);
	return 0;
}

void
provider_forget_error(void)
{
	err_clear(&last_error);
}

enum err_code
provider_last_error(struct err *err)
{
	if (last_error.code == ERR_OK)
		return ERR_OK;
	*err = last_error;
	provider_forget_error();
	return err->code;
}

/* --- what libcrypto asks of a provider */

#define ALGORITHM(names, functions, what)                      \
	{                                                      \
		(names), "provider=" NAME, (functions), (what) \
	}
#define EC  "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define RSA "RSA:rsaEncryption:1.2.840.113549.1.1.1"

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keymgmt[] = {
		ALGORITHM(EC, provider_keymgmt_ec, "P-256 keys in keyd"),
		ALGORITHM(RSA, provider_keymgmt_rsa, "RSA keys in keyd"),
		{ 0 },
	};
	static const OSSL_ALGORITHM signature[] = {
		ALGORITHM("ECDSA", provider_signature_ec, "ECDSA by keyd"),
		ALGORITHM(RSA, provider_signature_rsa, "RSA signatures by keyd"),
		{ 0 },
	};
	static const OSSL_ALGORITHM store[] = {
		ALGORITHM("keyd", provider_store, "keys in keyd"),
		{ 0 },
	};

	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keymgmt;
	case OSSL_OP_SIGNATURE:
		return signature;
	case OSSL_OP_STORE:
		return store;
	default:
		return NULL;
	}
}

static const OSSL_PARAM *
provider_gettable(void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
		OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
		OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
		OSSL_PARAM_END,
	};

	(void)provider;
	return gettable;
}

static int
provider_get(void *provider, OSSL_PARAM params[])
{
	OSSL_PARAM *p;

	(void)provider;
	if ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME)) != NULL &&
	    OSSL_PARAM_set_utf8_ptr(p, NAME) != 1)
		return 0;
	if ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION)) != NULL &&
	    OSSL_PARAM_set_utf8_ptr(p, EDGEKEEP_VERSION) != 1)
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return !p || OSSL_PARAM_set_int(p, 1) == 1;
}

int
edgekeep_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	static const OSSL_DISPATCH dispatch[] = {
		PROVIDER_FN(OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, provider_gettable),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_GET_PARAMS, provider_get),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
		{ 0, NULL },
	};

	(void)handle, (void)in;
	*provctx = &installed.state;
	*out = dispatch;
	return 1;
}

/* --- what daemons call */

enum err_code
provider_install(struct keyd_client *client, struct err *err)
{
	installed.state.client = client;
	if (installed.self)
		return ERR_OK;
	/*
	 * First the preference, or our EC and RSA would stand in the way of everybody's; then "default" by name, as a loaded
	 * provider takes away the implicit one (design/provider.md, trap 1).
	 */
	if (EVP_set_default_properties(NULL, "?provider!=" NAME) != 1 ||
	    OSSL_PROVIDER_add_builtin(NULL, NAME, edgekeep_provider_init) != 1 ||
	    !(installed.peer = OSSL_PROVIDER_load(NULL, "default")) ||
	    !(installed.self = OSSL_PROVIDER_load(NULL, NAME)))
		return err_openssl(err, "OpenSSL provider");
	return ERR_OK;
}

static void
storep(OSSL_STORE_CTX **store)
{
	OSSL_STORE_close(*store);
}

static enum err_code
open_key(const char *how, const char *what, EVP_PKEY **ret, struct err *err)
{
	AUTO(str_freep) char *encoded = NULL;
	AUTO(str_freep) char *uri = NULL;
	AUTO(storep) OSSL_STORE_CTX *store = NULL;
	OSSL_STORE_INFO *info = NULL;
	EVP_PKEY *key = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(what), &encoded, err) ||
	    str_format(&uri, err, "keyd:%s=%s", how, encoded))
		return err->code;
	provider_forget_error();
	ERR_set_mark();
	store = OSSL_STORE_open_ex(uri, NULL, PROVIDER_SELF, NULL, NULL, NULL, NULL, NULL);
	if (store)
		info = OSSL_STORE_load(store);
	if (info)
		key = OSSL_STORE_INFO_get1_PKEY(info);
	OSSL_STORE_INFO_free(info);
	ERR_pop_to_mark();
	if (key) {
		*ret = key;
		return ERR_OK;
	}
	if (provider_last_error(err))
		return err->code;
	return err_set(err, ERR_CRYPTO, "key in keyd cannot be opened");
}

enum err_code
provider_key_by_id(const char *key_id, EVP_PKEY **ret, struct err *err)
{
	return open_key("id", key_id, ret, err);
}

enum err_code
provider_key_by_handle(const char *handle, EVP_PKEY **ret, struct err *err)
{
	return open_key("handle", handle, ret, err);
}
