#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certd/store.h"
#include "certd/token.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

/* A token "edge" with the certificate "device" of id 0a0b and another one, made by SoftHSM's and OpenSC's own tools. */
static bool
begin(void)
{
	const char *dir = support_tmpdir();
	AUTO(str_freep) char *conf = NULL;
	struct err err = { 0 };

	if (access(MODULE, R_OK)) {
		printf("SKIP issue 3: SoftHSM is not installed\n");
		return false;
	}
	ck_ok(str_format(&conf, &err, "%s/softhsm2.conf", dir));
	setenv("SOFTHSM2_CONF", conf, 1);
	free(support_sh(
	    "cd %s && mkdir tokens && echo 'directories.tokendir = %s/tokens' >softhsm2.conf &&"
	    " softhsm2-util --init-token --free --label edge --pin 1234 --so-pin 1234 >/dev/null &&"
	    " for name in device other; do"
	    " openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
	    "/dev/null"
	    "  -subj /CN=$name -out $name.pem 2>/dev/null && openssl x509 -in $name.pem -outform "
	    "DER -out $name.der;"
	    " done && pkcs11-tool --module " MODULE
	    " --token-label edge --login --pin 1234 --write-object other.der --type cert"
	    "  --label other --id 01 >/dev/null && pkcs11-tool --module " MODULE
	    " --token-label edge --login --pin 1234 --write-object device.der --type cert"
	    "  --label device --id 0a0b >/dev/null",
	    dir, dir));
	return true;
}

static bool
is_file(const char *pem, const char *name)
{
	AUTO(bytes_done) struct bytes file = support_read(support_path(name));

	return pem && strlen(pem) == file.len && memcmp(pem, file.data, file.len) == 0;
}

START_TEST(test_read)
{
	struct token_cert certs[] = {
		{ "pkcs11:token=edge;object=device", NULL },
		{ "pkcs11:token=edge;id=%01", NULL },
		{ "pkcs11:object=device;id=%01", NULL }, /* of two certificates */
		{ "pkcs11:token=elsewhere;object=device", NULL },
		{ "pkcs11:serial=0;object=device", NULL },
	};
	struct err err = { 0 };

	if (!begin())
		return;
	ck_ok(token_read(MODULE, certs, ARRAY_LEN(certs), &err));
	ck_assert(is_file(certs[0].pem, "device.pem"));
	ck_assert(is_file(certs[1].pem, "other.pem"));
	for (size_t i = 2; i < ARRAY_LEN(certs); i++)
		ck_assert_ptr_null(certs[i].pem);
	str_freep(&certs[0].pem);
	str_freep(&certs[1].pem);
}
END_TEST

/* A module that is none, or none at all, ends the child and nobody else. */
START_TEST(test_bad_module)
{
	struct token_cert cert = { "pkcs11:object=device", NULL };
	struct err err = { 0 };

	ck_err(token_read("/nonexistent.so", &cert, 1, &err), ERR_UNREACHABLE);
	support_write(support_path("text.so"), "no library");
	ck_err(token_read(support_path("text.so"), &cert, 1, &err), ERR_UNREACHABLE);
	ck_assert_ptr_null(cert.pem);
}
END_TEST

/* Read once at the start; the token may be gone afterwards.  Never written to, and not taken for missing when it was unreadable. */
START_TEST(test_store)
{
	const struct config_source from = { support_path("config.toml"), support_path("config.d") };
	AUTO(str_freep) char *toml = NULL;
	AUTO(str_freep) char *text = NULL;
	struct certd_config config = { 0 };
	struct store *store = NULL;
	struct err err = { 0 };

	if (!begin())
		return;
	ck_ok(str_format(&toml, &err,
	    "homedir_path = \"%s\"\npkcs11_lib_path = \"" MODULE "\"\n[preloaded_certs]\n"
	    "device = \"pkcs11:token=edge;object=device\"\nnone = "
	    "\"pkcs11:token=edge;object=none\"\n"
	    "both = [\"device\", \"none\"]\n",
	    support_path("home")));
	support_write(from.file, toml);
	ck_ok(certd_config_load(&from, true, &config, &err));
	ck_ok(store_open(config.homedir, &store, &err));
	ck_ok(store_read_tokens(store, &config, &err));
	free(support_sh("rm -r %s/tokens", support_tmpdir()));
	ck_ok(store_read(store, &config, "device", &text, &err));
	ck_assert(is_file(text, "device.pem"));
	str_freep(&text);
	ck_ok(store_read(store, &config, "both", &text, &err));
	ck_assert(is_file(text, "device.pem"));
	str_freep(&text);
	ck_err(store_read(store, &config, "none", &text, &err), ERR_NOT_FOUND);
	ck_err(store_write(store, &config, "device", text_of("x"), &err), ERR_INTERNAL);
	ck_err(store_delete(store, &config, "device", &err), ERR_INTERNAL);
	store_free(store);

	str_freep(&config.pkcs11_lib_path);
	ck_ok(store_open(config.homedir, &store, &err));
	ck_err(store_read_tokens(store, &config, &err), ERR_CONFIG);
	ck_err(store_read(store, &config, "none", &text, &err), ERR_INTERNAL);
	store_free(store);
	certd_config_done(&config);
}
END_TEST

TEST_MAIN("certd/token", test_read, test_bad_module, test_store)
