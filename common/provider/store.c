#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>

#include "data/uri.h"
#include "provider/parts.h"

/*
 * The store of "keyd:" URIs: one key behind each.  "keyd:id=ID" is loaded by its id, for which the caller needs a principal;
 * "keyd:handle=HANDLE" is a handle that somebody gave us, and needs none (design/provider.md, trap 10).
 */

struct opened {
	struct keyd_client *client;
	char *value;
	bool by_handle, done, unwanted;
};

static void
opened_free(struct opened *o)
{
	str_freep(&o->value);
	free(o);
}

static int
store_close(void *ctx)
{
	opened_free(ctx);
	return 1;
}

static const char *
after(const char *uri, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(uri, prefix, len) == 0 ? uri + len : NULL;
}

static void *
store_open(void *ctx, const char *uri)
{
	const struct provider *provider = ctx;
	const char *id = after(uri, "keyd:id="), *handle = after(uri, "keyd:handle=");
	struct opened *o;
	struct err err = { 0 };

	if (!id && !handle)
		return NULL;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->client = provider->client;
	o->by_handle = handle != NULL;
	if (uri_decode(text_of(handle ? handle : id), false, &o->value, &err)) {
		opened_free(o);
		provider_failed(&err);
		return NULL;
	}
	return o;
}

static const OSSL_PARAM *
store_settable(void *ctx)
{
	static const OSSL_PARAM settable[] = {
		OSSL_PARAM_int(OSSL_STORE_PARAM_EXPECT, NULL),
		OSSL_PARAM_END,
	};

	(void)ctx;
	return settable;
}

static int
store_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct opened *o = ctx;
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, OSSL_STORE_PARAM_EXPECT);
	int expect = 0;

	if (p && OSSL_PARAM_get_int(p, &expect) != 1)
		return 0;
	/* there is nothing here for who looks for certificates */
	o->unwanted =
	    expect != 0 && expect != OSSL_STORE_INFO_PKEY && expect != OSSL_STORE_INFO_PUBKEY;
	return 1;
}

static enum err_code
load(struct opened *o, struct provider_key **ret, struct err *err)
{
	AUTO(str_freep) char *handle = NULL;

	if (o->by_handle) {
		handle = o->value;
		o->value = NULL;
	} else if (keyd_client_load_key_pair(o->client, o->value, &handle, err)) {
		return err->code;
	}
	return provider_key_load(o->client, &handle, ret, err);
}

static int
store_load(void *ctx, OSSL_CALLBACK *object, void *object_arg, OSSL_PASSPHRASE_CALLBACK *ask,
    void *ask_arg)
{
	AUTO(provider_keyp) struct provider_key *key = NULL;
	struct opened *o = ctx;
	struct err err = { 0 };
	int type = OSSL_OBJECT_PKEY;
	OSSL_PARAM params[4];

	(void)ask, (void)ask_arg;
	if (o->done || o->unwanted)
		return 0;
	o->done = true;
	provider_forget_error();
	if (load(o, &key, &err))
		return provider_failed(&err);
	params[0] = OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type);
	params[1] = OSSL_PARAM_construct_utf8_string(
	    OSSL_OBJECT_PARAM_DATA_TYPE, (char *)(key->ec ? "EC" : "RSA"), 0);
	params[2] =
	    OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key));
	params[3] = OSSL_PARAM_construct_end();
	return object(params, object_arg); /* keymgmt_load takes the key out of the variable */
}

static int
store_eof(void *ctx)
{
	const struct opened *o = ctx;

	return o->done || o->unwanted;
}

const OSSL_DISPATCH provider_store[] = {
	PROVIDER_FN(OSSL_FUNC_STORE_OPEN, store_open),
	PROVIDER_FN(OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS, store_settable),
	PROVIDER_FN(OSSL_FUNC_STORE_SET_CTX_PARAMS, store_set_params),
	PROVIDER_FN(OSSL_FUNC_STORE_LOAD, store_load),
	PROVIDER_FN(OSSL_FUNC_STORE_EOF, store_eof),
	PROVIDER_FN(OSSL_FUNC_STORE_CLOSE, store_close),
	{ 0, NULL },
};
