#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/store.h>
#include <stdlib.h>

#include "provider/parts.h"

/* The store of "keyd:" URIs (data/key_uri.h): one key behind each. */

struct opened {
	const struct provider *provider;
	struct key_uri uri;
	bool done, unwanted;
};

static int
store_close(void *ctx)
{
	struct opened *o = ctx;

	key_uri_done(&o->uri);
	free(o);
	return 1;
}

static void *
store_open(void *ctx, const char *uri)
{
	struct opened *o = calloc(1, sizeof(*o));
	struct err err = { 0 };

	if (!o)
		return NULL;
	o->provider = ctx;
	if (!key_uri_read(text_of(uri), &o->uri, &err))
		return o;
	free(o);
	provider_failed(ctx, &err);
	return NULL;
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

static int
store_load(void *ctx, OSSL_CALLBACK *object, void *object_arg, OSSL_PASSPHRASE_CALLBACK *ask,
    void *ask_arg)
{
	AUTO(provider_keyp) struct provider_key *key = NULL;
	struct opened *o = ctx;
	struct err err = { 0 };
	enum err_code code;

	(void)ask, (void)ask_arg;
	if (o->done || o->unwanted)
		return 0;
	o->done = true;
	ERR_set_mark();
	code = provider_key_open(o->provider, &o->uri, PROVIDER_ANY, &key, &err);
	ERR_pop_to_mark();
	if (code)
		return provider_failed(o->provider, &err);
	return provider_key_give(&key, object, object_arg);
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
