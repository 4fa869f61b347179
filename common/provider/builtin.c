#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>

#include "crypto/digest.h"
#include "provider/parts.h"
#include "provider/provider.h"

/* The provider inside a daemon: in the default library context, over the daemon's own connections to keyd. */

/* libcrypto gives a built-in provider's init function no argument: set once, before there are threads, and read ever after. */
static struct {
	struct provider state;
	OSSL_PROVIDER *peer, *self; /* held, as unloading would end them */
} installed;

/* The code and status of a failure do not fit into libcrypto's errors; they wait here for the same thread to fetch them. */
static _Thread_local struct err last_error;

static void
remember(const struct err *err)
{
	last_error = *err;
}

enum err_code
provider_last_error(struct err *err)
{
	if (last_error.code == ERR_OK)
		return ERR_OK;
	*err = last_error;
	err_clear(&last_error);
	return err->code;
}

static int
builtin_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
    void **provctx)
{
	*provctx = &installed.state;
	return provider_start(&installed.state, handle, in, out);
}

enum err_code
provider_install(struct keyd_client *client, struct err *err)
{
	installed.state.client = client;
	installed.state.on_failure = remember;
	if (installed.self)
		return ERR_OK;
	/*
	 * First the preference, or our EC and RSA would stand in the way of everybody's; then "default" by name, as a loaded
	 * provider takes away the implicit one (design/provider.md, trap 1).
	 */
	if (EVP_set_default_properties(NULL, "?provider!=" PROVIDER_NAME) != 1 ||
	    OSSL_PROVIDER_add_builtin(NULL, PROVIDER_NAME, builtin_init) != 1 ||
	    !(installed.peer = OSSL_PROVIDER_load(NULL, "default")) ||
	    !(installed.self = OSSL_PROVIDER_load(NULL, PROVIDER_NAME)))
		return err_openssl(err, "OpenSSL provider");
	return ERR_OK;
}

static void
storep(OSSL_STORE_CTX **store)
{
	OSSL_STORE_close(*store);
}

static enum err_code
open_key(const struct key_uri *name, EVP_PKEY **ret, struct err *err)
{
	AUTO(str_freep) char *uri = NULL;
	AUTO(storep) OSSL_STORE_CTX *store = NULL;
	OSSL_STORE_INFO *info = NULL;
	EVP_PKEY *key = NULL;

	if (key_uri_write(name, &uri, err))
		return err->code;
	err_clear(&last_error);
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
	const struct key_uri name = { .value = (char *)key_id };

	return open_key(&name, ret, err);
}

enum err_code
provider_key_by_handle(const char *handle, EVP_PKEY **ret, struct err *err)
{
	const struct key_uri name = { .by_handle = true, .value = (char *)handle };

	return open_key(&name, ret, err);
}
