#include "tests/support/support.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/aziot_keys.h"

/*
 * libaziot_keys.so as its host loads it: what is ours of it, parameters, files and formats.  That it keeps the interface's rules is
 * shown by tests/conformance, as for every library.
 */

static const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *f;

static const char *
library_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *end;

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	end = strstr(path, "/tests/keyd/");
	ck_assert_ptr_nonnull(end);
	snprintf(end, 64, "/lib/libaziot_keys.so");
	return path;
}

static void
begin(void)
{
	void *library = dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
	AZIOT_KEYS_GET_FUNCTION_LIST *entry;
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;

	ck_assert_msg(library, "%s", dlerror());
	*(void **)&entry = dlsym(library, "aziot_keys_get_function_list");
	ck_assert_ptr_nonnull(entry);
	ck_assert_uint_eq(entry(AZIOT_KEYS_VERSION_2_1_0_0, &list), 0);
	f = (const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
	setenv("AZIOT_LOG", "off", 1);
	ck_assert_uint_eq(f->set_parameter("homedir_path", support_path("home")), 0);
}

static struct bytes
filled(AZIOT_KEYS_RC first, uintptr_t size)
{
	struct bytes out = { 0 };
	struct err err = { 0 };

	ck_assert_uint_eq(first, 0);
	ck_ok(bytes_alloc(&out, size, &err));
	return out;
}

static struct bytes
hmac(const char *id, const char *message)
{
	const uint8_t *in = (const uint8_t *)message;
	const uintptr_t in_len = strlen(message);
	const unsigned mech = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256;
	uintptr_t size = 0;
	struct bytes out = filled(f->sign(id, mech, NULL, in, in_len, NULL, &size), 32);

	ck_assert_uint_ge(size, 32);
	size = 32;
	ck_assert_uint_eq(f->sign(id, mech, NULL, in, in_len, out.data, &size), 0);
	ck_assert_uint_eq(size, 32);
	return out;
}

/* contracts/keyabi.md 5: four parameters and no other; a URI is a file's or a token's */
static const struct {
	const char *name, *value;
	unsigned rc;
} parameters[] = {
	{ "homedir_path", "", 1 },
	{ "homedir", "/x", 1 },
	{ "", "x", 1 },
	{ "preloaded_key:", "file:///x", 1 },
	{ "preloaded_key:a", "file:///x", 0 },
	{ "preloaded_key:a", "https://x", 1 },
	{ "preloaded_key:b", "pkcs11:object=b", 0 },
	{ "pkcs11_base_slot", "slot 1", 1 },
	{ "pkcs11_base_slot", "pkcs11:token=absent", 0 }, /* no library yet, so nothing to open */
	{ NULL, "x", 1 },
	{ "homedir_path", NULL, 1 },
};

START_TEST(test_parameters)
{
	begin();
	for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
		ck_assert_msg(
		    f->set_parameter(parameters[i].name, parameters[i].value) == parameters[i].rc,
		    "row %zu", i);
	/* a preloaded id lives in its own place, its creation included; one on a token has none here */
	ck_assert_uint_eq(f->create_key_if_not_exists("b", AZIOT_KEYS_KEY_USAGE_SIGN), 1);
}
END_TEST

/* Files are upstream's by name and content (contracts/keyd.md 6): what others wrote is found, and they find what we write. */
START_TEST(test_files)
{
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done)
	struct bytes want = /* RFC 4231, test case 2 */
	    support_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	AUTO(str_freep) char *pem = NULL;
	AUTO(str_freep) char *uri = NULL;
	struct err err = { 0 };

	begin();
	free(support_sh(
	    "mkdir -p %1$s/home/keys && printf Jefe > %1$s/home/keys/jefe-$(printf jefe | "
	    "sha256sum | cut -c1-64).key && printf Jefe > %1$s/pre",
	    support_tmpdir()));
	mac = hmac("jefe", "what do ya want for nothing?");
	ck_assert(bytes_equal(&mac, &want));
	ck_ok(str_format(&uri, &err, "file://%s", support_path("pre")));
	ck_assert_uint_eq(f->set_parameter("preloaded_key:other id", uri), 0);
	bytes_done(&mac);
	mac = hmac("other id", "what do ya want for nothing?");
	ck_assert(bytes_equal(&mac, &want));
	ck_assert_uint_eq(f->create_key_pair_if_not_exists("device-id", NULL), 0);
	pem = support_sh("openssl ec -noout -text -in %s/home/keys/"
			 "deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655"
			 ".key 2>/dev/null | grep NIST",
	    support_tmpdir());
	ck_assert_str_eq(pem, "NIST CURVE: P-256");
}
END_TEST

/* contracts/keyd.md 2: the key behind upstream's handles is one like others here */
START_TEST(test_validation_key)
{
	const unsigned mech = AZIOT_KEYS_SIGN_MECHANISM_HMAC_SHA256;
	const uint8_t *message = (const uint8_t *)"{\"key_id\":{\"Key\":\"a\"}}";
	const uintptr_t len = strlen((const char *)message);
	AUTO(bytes_done) struct bytes mac = { 0 };
	int ok = -1;

	begin();
	ck_assert_uint_eq(
	    f->create_key_if_not_exists("handle-validation-key", AZIOT_KEYS_KEY_USAGE_SIGN), 0);
	mac = hmac("handle-validation-key", (const char *)message);
	ck_assert_uint_eq(
	    f->verify("handle-validation-key", mech, NULL, message, len, mac.data, mac.len, &ok),
	    0);
	ck_assert_int_eq(ok, 1);
	mac.data[31] ^= 1;
	ck_assert_uint_eq(
	    f->verify("handle-validation-key", mech, NULL, message, len, mac.data, mac.len, &ok),
	    0);
	ck_assert_int_eq(ok, 0);
	/* contract 4: others are not verified */
	ck_assert_uint_eq(f->verify("handle-validation-key", AZIOT_KEYS_SIGN_MECHANISM_ECDSA, NULL,
			      message, len, mac.data, mac.len, &ok),
	    1);
}
END_TEST

/* A damaged file may be all that is left of an identity: no call replaces it, and it is not taken for missing. */
START_TEST(test_damaged)
{
	begin();
	free(support_sh("mkdir -p %1$s/home/keys && printf broken > %1$s/home/keys/x-$(printf x | "
			"sha256sum | cut -c1-64).key",
	    support_tmpdir()));
	ck_assert_uint_eq(f->load_key_pair("x"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	ck_assert_uint_eq(f->create_key_pair_if_not_exists("x", "*"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	free(support_sh("grep -qx broken %s/home/keys/x-*.key", support_tmpdir()));
}
END_TEST

/* Nor one that keyd has encrypted, which is closed to who has not its key. */
START_TEST(test_wrapped)
{
	begin();
	free(support_sh("mkdir -p %1$s/home/keys && printf 'edgekeep wrapped key 1\\nx' > "
			"%1$s/home/keys/x-$(printf x | sha256sum | cut -c1-64).key",
	    support_tmpdir()));
	ck_assert_uint_eq(f->load_key("x"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	ck_assert_uint_eq(f->load_key_pair("x"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	ck_assert_uint_eq(f->create_key_if_not_exists("x", AZIOT_KEYS_KEY_USAGE_SIGN),
	    AZIOT_KEYS_RC_ERR_EXTERNAL);
	ck_assert_uint_eq(f->create_key_pair_if_not_exists("x", "*"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	ck_assert_uint_eq(f->move_key_pair("x", "y"), AZIOT_KEYS_RC_ERR_EXTERNAL);
	free(
	    support_sh("grep -qx 'edgekeep wrapped key 1' %s/home/keys/x-*.key", support_tmpdir()));
}
END_TEST

/* contracts/keyabi.md 6: one symbol; and nothing of keyd's servers is linked in */
START_TEST(test_symbols)
{
	AUTO(str_freep)
	char *symbols = support_sh("nm -D --defined-only %s | cut -d' ' -f3", library_path());
	AUTO(str_freep)
	char *needed = support_sh(
	    "objdump -p %s | grep NEEDED | grep -cvE 'lib(c|crypto|asan|ubsan)\\.so|ld-linux' || :",
	    library_path());

	ck_assert_str_eq(symbols, "aziot_keys_get_function_list");
	ck_assert_str_eq(needed, "0");
}
END_TEST

TEST_MAIN("keyd/abi", test_parameters, test_files, test_validation_key, test_damaged, test_wrapped,
    test_symbols)
