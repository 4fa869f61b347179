#include "tests/common/provider/fixture.h"

#include <openssl/conf.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/provider.h>

/* edgekeep_provider_init as edgekeep.so calls it: an own library context, settings of openssl.cnf. */

static void
libctxp(OSSL_LIB_CTX **libctx)
{
	OSSL_LIB_CTX_free(*libctx);
}

/* A context with edgekeep to be loaded by that text of openssl.cnf; the keyd of memory has its keys. */
static OSSL_LIB_CTX *
context(const char *cnf)
{
	OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

	set_up();
	ck_assert_int_eq(OSSL_PROVIDER_add_builtin(libctx, "edgekeep", edgekeep_provider_init), 1);
	support_write(support_path("openssl.cnf"), cnf);
	ck_assert_int_eq(OSSL_LIB_CTX_load_config(libctx, support_path("openssl.cnf")), 1);
	ERR_clear_error();
	return libctx;
}

#define CNF(providers, rest)                                                                   \
	"openssl_conf = init\n[init]\nproviders = list\nalg_section = alg\n[list]\n" providers \
	"[d]\nactivate = 1\n[e]\nactivate = 1\n" rest
#define PREFERENCE "[alg]\ndefault_properties = ?provider!=edgekeep\n"

static EVP_PKEY *
try_open(OSSL_LIB_CTX *libctx, const char *uri)
{
	OSSL_STORE_CTX *store;
	OSSL_STORE_INFO *info;
	EVP_PKEY *key;

	store = OSSL_STORE_open_ex(uri, libctx, "provider=edgekeep", NULL, NULL, NULL, NULL, NULL);
	info = store ? OSSL_STORE_load(store) : NULL;
	key = info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
	OSSL_STORE_INFO_free(info);
	OSSL_STORE_close(store);
	return key;
}

static bool
sign_judged(OSSL_LIB_CTX *libctx, EVP_PKEY *key)
{
	AUTO(md_ctxp) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	AUTO(md_ctxp) EVP_MD_CTX *judge = EVP_MD_CTX_new();
	AUTO(x509_keyp) EVP_PKEY *public = public_of(key);
	unsigned char signature[512];
	size_t len = sizeof(signature);

	return EVP_DigestSignInit_ex(ctx, NULL, "SHA256", libctx, NULL, key, NULL) == 1 &&
	       EVP_DigestSign(ctx, signature, &len, (const unsigned char *)"abc", 3) == 1 &&
	       EVP_DigestVerifyInit_ex(judge, NULL, "SHA256", NULL, NULL, public, NULL) == 1 &&
	       EVP_DigestVerify(judge, signature, len, (const unsigned char *)"abc", 3) == 1;
}

/* --- provider.md, operations needed */

#define FUNCTIONS_MAX 20

static const struct operation {
	int operation;
	const char *names, *properties;
	int functions[FUNCTIONS_MAX]; /* 0 ends */
} operations[] = {
#define KEYMGMT_FUNCTIONS                                                                   \
	{                                                                                   \
		OSSL_FUNC_KEYMGMT_FREE, OSSL_FUNC_KEYMGMT_LOAD, OSSL_FUNC_KEYMGMT_HAS,      \
		    OSSL_FUNC_KEYMGMT_MATCH, OSSL_FUNC_KEYMGMT_GET_PARAMS,                  \
		    OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, OSSL_FUNC_KEYMGMT_EXPORT,            \
		    OSSL_FUNC_KEYMGMT_EXPORT_TYPES, OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, \
	}
	{ OSSL_OP_KEYMGMT, "EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=edgekeep",
	    KEYMGMT_FUNCTIONS },
	{ OSSL_OP_KEYMGMT, "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=edgekeep",
	    KEYMGMT_FUNCTIONS },
#define SIGNATURE_FUNCTIONS                                                                        \
	{                                                                                          \
		OSSL_FUNC_SIGNATURE_NEWCTX, OSSL_FUNC_SIGNATURE_FREECTX,                           \
		    OSSL_FUNC_SIGNATURE_DUPCTX, OSSL_FUNC_SIGNATURE_SIGN_INIT,                     \
		    OSSL_FUNC_SIGNATURE_SIGN, OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT,                \
		    OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, \
		    OSSL_FUNC_SIGNATURE_VERIFY_INIT, OSSL_FUNC_SIGNATURE_VERIFY,                   \
		    OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT,                                        \
		    OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE,                                      \
		    OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS,   \
		    OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS,   \
		    OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,                                       \
	}
	{ OSSL_OP_SIGNATURE, "ECDSA", "provider=edgekeep", SIGNATURE_FUNCTIONS },
	{ OSSL_OP_SIGNATURE, "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=edgekeep",
	    SIGNATURE_FUNCTIONS },
	{ OSSL_OP_STORE, "keyd", "provider=edgekeep",
	    { OSSL_FUNC_STORE_OPEN, OSSL_FUNC_STORE_LOAD, OSSL_FUNC_STORE_EOF,
		OSSL_FUNC_STORE_CLOSE, OSSL_FUNC_STORE_SET_CTX_PARAMS,
		OSSL_FUNC_STORE_SETTABLE_CTX_PARAMS } },
#define DECODER_FUNCTIONS                                                                     \
	{                                                                                     \
		OSSL_FUNC_DECODER_NEWCTX, OSSL_FUNC_DECODER_FREECTX, OSSL_FUNC_DECODER_DECODE \
	}
	{ OSSL_OP_DECODER, "EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=edgekeep,input=pem",
	    DECODER_FUNCTIONS },
	{ OSSL_OP_DECODER, "RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=edgekeep,input=pem",
	    DECODER_FUNCTIONS },
};

static bool
has_function(const OSSL_DISPATCH *table, int id)
{
	for (; table->function_id; table++)
		if (table->function_id == id)
			return true;
	return false;
}

START_TEST(test_operations)
{
	AUTO(libctxp)
	OSSL_LIB_CTX *libctx = context(CNF("default = d\nedgekeep = e\n", PREFERENCE));
	OSSL_PROVIDER *self = OSSL_PROVIDER_load(libctx, "edgekeep");

	ck_assert_ptr_nonnull(self);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		const struct operation *want = &operations[i];
		int no_cache = 1;
		const OSSL_ALGORITHM *a =
		    OSSL_PROVIDER_query_operation(self, want->operation, &no_cache);

		while (a && a->algorithm_names && strcmp(a->algorithm_names, want->names) != 0)
			a++;
		ck_assert_msg(a && a->algorithm_names, "row %zu: %s", i, want->names);
		ck_assert_str_eq(a->property_definition, want->properties);
		ck_assert_int_eq(no_cache, 0);
		for (size_t j = 0; want->functions[j]; j++)
			ck_assert_msg(has_function(a->implementation, want->functions[j]),
			    "row %zu: function %d", i, want->functions[j]);
		/* keys are made in keyd, never here */
		if (want->operation == OSSL_OP_KEYMGMT)
			ck_assert(!has_function(a->implementation, OSSL_FUNC_KEYMGMT_GEN));
	}
	OSSL_PROVIDER_unload(self);
}
END_TEST

/* EC -> "ECDSA" by QUERY_OPERATION_NAME: without it there is no signature for EC keys; and the store's object says what it is */
START_TEST(test_key_types)
{
	static const struct {
		const char *uri, *type;
	} rows[] = {
		{ "keyd:id=" EC_ID, "EC" },
		{ "keyd:id=" EC384_ID, "EC" },
		{ "keyd:id=rsa%20key%2F1%25", "RSA" },
		{ "keyd:handle=fake:pair:" EC_ID, "EC" },
	};
	AUTO(libctxp)
	OSSL_LIB_CTX *libctx = context(CNF("default = d\nedgekeep = e\n", PREFERENCE));

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(x509_keyp) EVP_PKEY *key = try_open(libctx, rows[i].uri);

		ck_assert_msg(key != NULL, "row %zu: %s", i, error_text());
		ck_assert(EVP_PKEY_is_a(key, rows[i].type));
		ck_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), "edgekeep");
		ck_assert(sign_judged(libctx, key));
	}
}
END_TEST

/*
 * Traps 1 and 6: whatever the order of loading, keys in keyd sign, and nothing within comes back to us for public halves and hashes.
 * With the preference everybody else's keys are as before; without it the first provider would have shadowed them.
 */
START_TEST(test_orders)
{
	static const char *const cnfs[] = {
		CNF("default = d\nedgekeep = e\n", PREFERENCE),
		CNF("edgekeep = e\ndefault = d\n", PREFERENCE),
		CNF("default = d\nedgekeep = e\n", "[alg]\n"),
		CNF("edgekeep = e\ndefault = d\n", "[alg]\n"),
	};

	for (size_t i = 0; i < ARRAY_LEN(cnfs); i++) {
		AUTO(libctxp) OSSL_LIB_CTX *libctx = context(cnfs[i]);
		AUTO(x509_keyp) EVP_PKEY *ec = try_open(libctx, "keyd:id=" EC_ID);
		AUTO(x509_keyp) EVP_PKEY *rsa = try_open(libctx, "keyd:id=rsa%20key%2F1%25");

		ck_assert_msg(ec && rsa, "row %zu: %s", i, error_text());
		ck_assert(sign_judged(libctx, ec) && sign_judged(libctx, rsa));
		ck_assert_uint_eq(ERR_peek_error(), 0);
		if (i < 2) {
			AUTO(x509_keyp)
			EVP_PKEY *plain = EVP_PKEY_Q_keygen(libctx, NULL, "EC", "P-256");
			AUTO(x509_keyp)
			EVP_PKEY *plain_rsa = EVP_PKEY_Q_keygen(libctx, NULL, "RSA", (size_t)2048);

			ck_assert(plain && plain_rsa);
			ck_assert(sign_judged(libctx, plain) && sign_judged(libctx, plain_rsa));
		}
	}
}
END_TEST

/* libcrypto is silent about a provider that does not load, so wrong settings are told to whoever uses a key. */
START_TEST(test_settings)
{
	static const struct {
		const char *cnf, *said; /* NULL: good */
	} rows[] = {
		{ CNF("default = d\nedgekeep = e\n", "socket = /run/other.sock\n" PREFERENCE),
		    NULL },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = 100\n" PREFERENCE), NULL },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = 600000\n" PREFERENCE), NULL },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = 99\n" PREFERENCE),
		    "timeout_ms" },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = 600001\n" PREFERENCE),
		    "timeout_ms" },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = -5\n" PREFERENCE),
		    "timeout_ms" },
		{ CNF("default = d\nedgekeep = e\n", "timeout_ms = 10s\n" PREFERENCE),
		    "timeout_ms" },
		{ CNF("default = d\nedgekeep = e\n", "socket = run/keyd.sock\n" PREFERENCE),
		    "socket: expected an absolute path" },
		{ CNF("default = d\nedgekeep = e\n", "socket = @keyd\n" PREFERENCE),
		    "socket: expected an absolute path" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(libctxp) OSSL_LIB_CTX *libctx = context(rows[i].cnf);
		AUTO(x509_keyp) EVP_PKEY *key = try_open(libctx, "keyd:id=" EC_ID);
		const char *said = error_text();

		ck_assert_msg((key == NULL) == (rows[i].said != NULL), "row %zu: %s", i, said);
		if (rows[i].said)
			ck_assert_msg(strstr(said, "edgekeep:wrong in openssl.cnf:") == said &&
					  strstr(said, rows[i].said),
			    "row %zu: %s", i, said);
	}
}
END_TEST

/* Each failure is one error: reason, keyd's words on one line, remedy. */
START_TEST(test_errors)
{
	static const struct {
		enum err_code code;
		uint16_t status;
		const char *text, *said;
	} rows[] = {
		{ ERR_UNREACHABLE, 0, "connect to /x: gone",
		    "edgekeep:keyd cannot be reached:connect to /x: gone: is keyd running, and may "
		    "this user open its socket?" },
		{ ERR_TIMEOUT, 0, "no answer in time",
		    "edgekeep:no answer from keyd in time:no answer in time" },
		{ ERR_BUSY, 0, "full", "edgekeep:keyd takes no more connections:full" },
		{ ERR_PEER, 401, "user 7 is not authorized",
		    "edgekeep:refused by keyd:user 7 is not authorized: give the user a "
		    "[[principal]] in keyd's configuration, or use a handle" },
		{ ERR_PEER, 401, "user 7 is not authorized\ncaused by: no [[use]] rule grants sign",
		    "edgekeep:refused by keyd:user 7 is not authorized: no [[use]] rule grants "
		    "sign" },
		{ ERR_PEER, 400, "a parameter has an invalid value\ncaused by: invalid handle",
		    "edgekeep:refused by keyd:a parameter has an invalid value: invalid handle: is "
		    "there a key pair of that id, or is the handle of another keyd?" },
		{ ERR_PEER, 500, "internal error", "edgekeep:refused by keyd:internal error" },
		{ ERR_PEER, 500, "a\nb\x1b[2Jc\x7f", "edgekeep:refused by keyd:a?b?[2Jc?" },
		{ ERR_PROTOCOL, 0, "no JSON", "edgekeep:answer of keyd cannot be used:no JSON" },
		{ ERR_NOMEM, 0, "out of memory", "edgekeep:out of memory:out of memory" },
		{ ERR_INTERNAL, 0, "odd", "edgekeep:internal error:odd" },
	};
	AUTO(libctxp)
	OSSL_LIB_CTX *libctx = context(CNF("default = d\nedgekeep = e\n", PREFERENCE));
	AUTO(x509_keyp) EVP_PKEY *key = try_open(libctx, "keyd:id=" EC_ID);

	ERR_clear_error();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fake_keyd_fail(FAKE_SIGN, 0, rows[i].code, rows[i].status, rows[i].text);
		ck_assert(!sign_judged(libctx, key));
		ck_assert_uint_eq(ERR_peek_error(), ERR_peek_last_error());
		ck_assert_str_eq(error_text(), rows[i].said);
		ck_assert(sign_judged(libctx, key));
	}
}
END_TEST

/* Trap 6: what the host has on its queue stays there, alone, whatever we do within; clearing it is the host's affair. */
START_TEST(test_queue)
{
	AUTO(libctxp)
	OSSL_LIB_CTX *libctx = context(CNF("default = d\nedgekeep = e\n", PREFERENCE));
	AUTO(x509_keyp) EVP_PKEY *none = NULL;
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	unsigned long host;

	ERR_raise(ERR_LIB_USER, 42);
	host = ERR_peek_error();
	key = try_open(libctx, "keyd:id=" EC_ID);
	ck_assert(sign_judged(libctx, key));
	ck_assert_uint_eq(ERR_peek_error(), host);
	ck_assert_uint_eq(ERR_peek_last_error(), host);
	/* a key that libcrypto refuses within: one error more, ours */
	fake_keyd_lie("ec-point", "");
	none = try_open(libctx, "keyd:id=" EC_ID);
	ck_assert_ptr_null(none);
	ck_assert_uint_eq(ERR_get_error(), host);
	ck_assert_uint_eq(ERR_peek_error(), ERR_peek_last_error());
	ck_assert_ptr_nonnull(strstr(error_text(), "edgekeep:answer of keyd cannot be used"));
	fake_keyd_reset();
}
END_TEST

TEST_MAIN("provider/module", test_operations, test_key_types, test_orders, test_settings,
    test_errors, test_queue)
