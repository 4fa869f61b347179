#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "keyd/layout.h"
#include "keyd/worker.h"

static struct keyd_config config;
static struct layout layout;

static enum err_code
make(const char *text, struct err *err)
{
	const struct config_source from = { support_path("config.toml"), support_path("config.d") };

	support_write(from.file, text);
	if (keyd_config_load(&from, &config, err))
		return err->code;
	return layout_make(&config, &layout, err);
}

static void
done(void)
{
	layout_done(&layout);
	keyd_config_done(&config);
}

/* keyd.md 5: nothing is needed; only preloaded keys work then */
START_TEST(test_file)
{
	struct err err = { 0 };

	ck_ok(make("[preloaded_keys]\na = \"file:///a\"\nb = \"pkcs11:object=b\"\n", &err));
	ck_assert_uint_eq(layout.stores.n_stores, 1);
	ck_assert_str_eq(layout.store[0].config.name, "file");
	ck_assert(!layout.store[0].config.any_id);
	ck_assert_str_eq(backend_preloaded_uri(&layout.store[0].config, "a"), "file:///a");
	/* keyd.md 6: a URI of a token needs pkcs11_lib_path */
	ck_assert_ptr_null(backend_preloaded_uri(&layout.store[0].config, "b"));
	ck_assert_uint_eq(layout.stores.n_nowhere, 1);
	ck_assert_str_eq(layout.stores.nowhere[0], "b");
	ck_assert(!layout_in_worker(&layout, 0));
	done();
}
END_TEST

START_TEST(test_file_settings)
{
	struct err err = { 0 };

	ck_ok(make("[aziot_keys]\nhomedir_path = \"/x\"\n[backends.file]\ntype = \"file\"\nwrap = "
		   "\"credential\"\nworker = true\n",
	    &err));
	ck_assert_uint_eq(layout.stores.n_stores, 1);
	ck_assert(layout.store[0].config.any_id);
	ck_assert_str_eq(layout.store[0].config.wrap, "credential");
	ck_assert(layout_in_worker(&layout, 0));
	done();
}
END_TEST

static const char *const token_paths[] = { "/some/store", "/home/of-keyd/.tpm2_pkcs11",
	"/etc/tpm2_pkcs11", "/var/lib/softhsm", "/pins/hsm", "/extra" };

/* Each names what is wrong. */
static const struct {
	const char *text, *says;
} wrong[] = {
	{ "[[placement]]\nkeys = [\"*\"]\nbackend = \"hsm\"\n", "no backend hsm" },
	{ "[[placement]]\nkeys = [\"*\"]\nbackend = \"file\"\n", "set homedir_path" },
	{ "[backends.disk]\ntype = \"file\"\n", "one place only" },
	{ "[backends.file]\ntype = \"file\"\nwrap = \"paper\"\n", "wrap is" },
	{ "[backends.file]\ntype = \"file\"\ndeadline_ms = 1000\n", "for a worker" },
	{ "[backends.file]\ntype = \"file\"\npaths = [\"/x\"]\n", "for a worker" },
	{ "[backends.file]\ntype = \"file\"\nnetwork = true\n", "for a worker" },
	{ "[backends.file]\ntype = \"file\"\nlibrary = \"/x.so\"\n", "library is for" },
	{ "[backends.chip]\ntype = \"tpm\"\nnetwork = true\n",
	    "backends.chip: paths and network are for" },
	{ "[backends.oem]\ntype = \"plugin\"\nlibrary = \"/x.so\"\npaths = [\"/a\", \"b\"]\n",
	    "backends.oem: paths are absolute" },
};

START_TEST(test_wrong)
{
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err err = { 0 };

		ck_err(make(wrong[i].text, &err), ERR_CONFIG);
		ck_assert_msg(strstr(err.text, wrong[i].says), "%s", err.text);
		done();
	}
}
END_TEST

/* A plugin has what it is told, and of the preloaded ids those of tokens that a placement gives it. */
START_TEST(test_plugin)
{
	const struct backend_config *oem;
	struct err err = { 0 };

	ck_ok(make("[aziot_keys]\nhomedir_path = \"/x\"\n[backends.oem]\ntype = \"plugin\"\n"
		   "library = \"/l.so\"\n[backends.oem.parameters]\nslot = \"1\"\n"
		   "[[placement]]\nkeys = [\"dev-*\"]\nbackend = \"oem\"\n"
		   "[[placement]]\nkeys = [\"*\"]\nbackend = \"file\"\n"
		   "[preloaded_keys]\ndev-a = \"pkcs11:object=a\"\ndev-f = \"file:///f\"\n",
	    &err));
	ck_assert_uint_eq(layout.stores.n_stores, 2);
	oem = &layout.store[1].config;
	ck_assert_ptr_eq(layout.store[1].backend, &plugin_backend);
	ck_assert_str_eq(oem->library, "/l.so");
	ck_assert_uint_eq(oem->n_parameters, 1);
	ck_assert_str_eq(oem->parameters[0].name, "slot");
	ck_assert_str_eq(backend_preloaded_uri(oem, "dev-a"), "pkcs11:object=a");
	ck_assert_ptr_null(backend_preloaded_uri(oem, "dev-f"));
	ck_assert(layout_in_worker(&layout, 1));
	done();
}
END_TEST

/* contracts/keyabi.md 1: upstream's keyd takes it by itself; here it is named, or keyd does not start */
START_TEST(test_swapped)
{
	struct err err = { 0 };

	ck_ok(make("[aziot_keys]\nhomedir_path = \"/x\"\n", &err));
	ck_ok(layout_check_swapped(&layout, support_path("libaziot_keys.so"), &err));
	support_write(support_path("libaziot_keys.so"), "ELF");
	ck_err(layout_check_swapped(&layout, support_path("libaziot_keys.so"), &err), ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "type \"plugin\""), "%s", err.text);
	done();
	ck_ok(make("[backends.oem]\ntype = \"plugin\"\nlibrary = \"/l.so\"\n", &err));
	ck_ok(layout_check_swapped(&layout, support_path("libaziot_keys.so"), &err));
	done();
}
END_TEST

/* Where modules keep their state by themselves, in the order in which they look; and nothing of the kind for a plugin. */
START_TEST(test_token_paths)
{
	AUTO(sandbox_paths_done) struct sandbox_paths paths = { 0 };
	AUTO(sandbox_paths_done) struct sandbox_paths plugin = { 0 };
	struct err err = { 0 };

	setenv("HOME", "/home/of-keyd", 1);
	setenv("TPM2_PKCS11_STORE", "/some/store", 1);
	ck_ok(
	    make("[backends.hsm]\ntype = \"pkcs11\"\nlibrary = \"/l/hsm.so\"\n"
		 "token = \"pkcs11:token=a?pin-source=file:/pins/hsm/pin\"\npaths = [\"/extra\"]\n"
		 "[backends.oem]\ntype = \"plugin\"\nlibrary = \"/l/oem.so\"\n",
		&err));
	ck_ok(worker_place_paths(&layout, 1, &paths, &err));
	ck_ok(worker_place_paths(&layout, 2, &plugin, &err));
	for (size_t i = 0; i < ARRAY_LEN(token_paths); i++) {
		ck_assert_msg(sandbox_paths_has(&paths, token_paths[i]), "%s", token_paths[i]);
		ck_assert_msg(!sandbox_paths_has(&plugin, token_paths[i]), "%s", token_paths[i]);
	}
	ck_assert(sandbox_paths_has(&plugin, "/l"));
	done();
}
END_TEST

TEST_MAIN("keyd/layout", test_file, test_file_settings, test_wrong, test_plugin, test_swapped,
    test_token_paths)
