#include "provider/provider.h"

#include <ctype.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "provider/parts.h"

#define TIMEOUT_MS     10000
#define TIMEOUT_MS_MIN 100
#define TIMEOUT_MS_MAX 600000

/* --- errors, as the host's libcrypto prints them: "error:...:edgekeep::REASON:TEXT" */

/* Numbers are for programs and stay as they are (docs/provider.md). */
enum reason {
	REASON_URI = 1,
	REASON_UNREACHABLE,
	REASON_TIMEOUT,
	REASON_BUSY,
	REASON_REFUSED,
	REASON_PROTOCOL,
	REASON_UNFIT,
	REASON_MEMORY,
	REASON_CONFIG,
	REASON_OTHER,
};

static const OSSL_ITEM reasons[] = {
	{ REASON_URI, (void *)"malformed key URI" },
	{ REASON_UNREACHABLE, (void *)"keyd cannot be reached" },
	{ REASON_TIMEOUT, (void *)"no answer from keyd in time" },
	{ REASON_BUSY, (void *)"keyd takes no more connections" },
	{ REASON_REFUSED, (void *)"refused by keyd" },
	{ REASON_PROTOCOL, (void *)"answer of keyd cannot be used" },
	{ REASON_UNFIT, (void *)"not possible with this key" },
	{ REASON_MEMORY, (void *)"out of memory" },
	{ REASON_CONFIG, (void *)"wrong in openssl.cnf" },
	{ REASON_OTHER, (void *)"internal error" },
	{ 0, NULL },
};

static enum reason
reason_of(enum err_code code)
{
	switch (code) {
	case ERR_SYNTAX:
		return REASON_URI;
	case ERR_UNREACHABLE:
		return REASON_UNREACHABLE;
	case ERR_TIMEOUT:
		return REASON_TIMEOUT;
	case ERR_BUSY:
		return REASON_BUSY;
	case ERR_PEER:
		return REASON_REFUSED;
	case ERR_PROTOCOL:
		return REASON_PROTOCOL;
	case ERR_INVALID:
		return REASON_UNFIT;
	case ERR_NOMEM:
		return REASON_MEMORY;
	case ERR_CONFIG:
		return REASON_CONFIG;
	default:
		return REASON_OTHER;
	}
}

static const char *
remedy_of(const struct err *err)
{
	if (err->code == ERR_UNREACHABLE)
		return ": is keyd running, and may this user open its socket?";
	/* who is refused by a rule of use has been told what it lacks */
	if (err->code == ERR_PEER && err->status == 401 && !strstr(err->text, "[[use]]"))
		return ": give the user a [[principal]] in keyd's configuration, or use a handle";
	if (err->code == ERR_PEER && err->status == 400)
		return ": is there a key pair of that id, or is the handle of another keyd?";
	return "";
}

/* libcrypto wants a va_list. */
static void
set_error(const struct provider *p, enum reason reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	p->set_error(p->core, reason, fmt, ap);
	va_end(ap);
}

int
provider_failed(const struct provider *p, const struct err *err)
{
	struct err said = *err;

	if (p->on_failure)
		p->on_failure(err);
	/* the host logs it as it is, so nothing in it may steer a terminal or begin a line */
	err_one_line(&said);
	for (char *c = said.text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	p->new_error(p->core);
	p->set_error_debug(p->core, "", 0, "");
	set_error(p, reason_of(err->code), "%s%s", said.text, remedy_of(err));
	return 0;
}

enum err_code
provider_crypto(struct err *err, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return err_nomem(err);
	return err_set(err, ERR_CRYPTO, "%s: %s", what, reason ? reason : "libcrypto failed");
}

/* --- what libcrypto asks of a provider */

#define ALGORITHM(names, properties, functions, what)                              \
	{                                                                          \
		(names), "provider=" PROVIDER_NAME properties, (functions), (what) \
	}
#define EC  "EC:id-ecPublicKey:1.2.840.10045.2.1"
#define RSA "RSA:rsaEncryption:1.2.840.113549.1.1.1"

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keymgmt[] = {
		ALGORITHM(EC, "", provider_keymgmt_ec, "EC keys in keyd"),
		ALGORITHM(RSA, "", provider_keymgmt_rsa, "RSA keys in keyd"),
		{ 0 },
	};
	static const OSSL_ALGORITHM signature[] = {
		ALGORITHM("ECDSA", "", provider_signature_ec, "ECDSA by keyd"),
		ALGORITHM(RSA, "", provider_signature_rsa, "RSA signatures by keyd"),
		{ 0 },
	};
	static const OSSL_ALGORITHM decoder[] = {
		ALGORITHM(EC, ",input=pem", provider_decoder_ec, KEY_URI_LABEL),
		ALGORITHM(RSA, ",input=pem", provider_decoder_rsa, KEY_URI_LABEL),
		{ 0 },
	};
	static const OSSL_ALGORITHM store[] = {
		ALGORITHM("keyd", "", provider_store, "keys in keyd"),
		{ 0 },
	};

	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keymgmt;
	case OSSL_OP_SIGNATURE:
		return signature;
	case OSSL_OP_DECODER:
		return decoder;
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
	    OSSL_PARAM_set_utf8_ptr(p, PROVIDER_NAME) != 1)
		return 0;
	if ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION)) != NULL &&
	    OSSL_PARAM_set_utf8_ptr(p, EDGEKEEP_VERSION) != 1)
		return 0;
	p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
	return !p || OSSL_PARAM_set_int(p, 1) == 1;
}

static const OSSL_ITEM *
provider_reasons(void *provider)
{
	(void)provider;
	return reasons;
}

static void
provider_teardown(void *provider)
{
	struct provider *p = provider;

	if (!p->owned)
		return;
	keyd_client_free(p->client);
	OSSL_LIB_CTX_free(p->libctx);
	free(p);
}

int
provider_start(struct provider *p, const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out)
{
	static const OSSL_DISPATCH dispatch[] = {
		PROVIDER_FN(OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, provider_gettable),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_GET_PARAMS, provider_get),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, provider_reasons),
		PROVIDER_FN(OSSL_FUNC_PROVIDER_TEARDOWN, provider_teardown),
		{ 0, NULL },
	};

	p->core = core;
	for (; in->function_id; in++) {
		switch (in->function_id) {
		case OSSL_FUNC_CORE_GET_PARAMS:
			p->get_params = OSSL_FUNC_core_get_params(in);
			break;
		case OSSL_FUNC_CORE_NEW_ERROR:
			p->new_error = OSSL_FUNC_core_new_error(in);
			break;
		case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
			p->set_error_debug = OSSL_FUNC_core_set_error_debug(in);
			break;
		case OSSL_FUNC_CORE_VSET_ERROR:
			p->set_error = OSSL_FUNC_core_vset_error(in);
			break;
		case OSSL_FUNC_BIO_GETS:
			p->bio_gets = OSSL_FUNC_BIO_gets(in);
			break;
		}
	}
	*out = dispatch;
	return p->get_params && p->new_error && p->set_error_debug && p->set_error && p->bio_gets;
}

/* --- a provider of its own configuration */

static enum err_code
read_timeout(const char *text, unsigned *ret, struct err *err)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || n < TIMEOUT_MS_MIN || n > TIMEOUT_MS_MAX)
		return err_set(err, ERR_CONFIG, "timeout_ms: expected %d to %d", TIMEOUT_MS_MIN,
		    TIMEOUT_MS_MAX);
	*ret = (unsigned)n;
	return ERR_OK;
}

/* The provider's section of openssl.cnf. */
static enum err_code
connect_keyd(struct provider *p, struct err *err)
{
	struct unix_client_config config = { .timeout_ms = TIMEOUT_MS, .guest = true };
	char *socket = NULL, *timeout = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_ptr("socket", &socket, 0),
		OSSL_PARAM_utf8_ptr("timeout_ms", &timeout, 0),
		OSSL_PARAM_END,
	};

	if (p->get_params(p->core, params) != 1)
		return err_set(err, ERR_CONFIG, "its section of openssl.cnf cannot be read");
	if (socket && *socket != '/')
		return err_set(err, ERR_CONFIG, "socket: expected an absolute path");
	config.path = socket;
	if (timeout && read_timeout(timeout, &config.timeout_ms, err))
		return err->code;
	return keyd_client_new(&config, &p->client, err) ? err_wrap_code(err, ERR_CONFIG, "socket")
							 : ERR_OK;
}

static void
releasep(struct provider **p)
{
	if (*p)
		provider_teardown(*p);
}

int
edgekeep_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	AUTO(releasep) struct provider *p = calloc(1, sizeof(*p));

	if (!p)
		return 0;
	p->owned = true;
	if (!provider_start(p, handle, in, out))
		return 0;
	/* libcrypto says nothing of a provider of openssl.cnf that does not load, so the one who uses it is told */
	if (connect_keyd(p, &p->no_client))
		p->client = NULL;
	p->libctx = OSSL_LIB_CTX_new_child(handle, in);
	if (!p->libctx)
		return 0;
	*provctx = p;
	p = NULL;
	return 1;
}
