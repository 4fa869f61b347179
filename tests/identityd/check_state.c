#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "identityd/state.h"

static struct state *state;
static struct device *device;

static void
setup(void)
{
	struct err err = { 0 };

	ck_ok(state_open(support_path("home"), &state, &err));
	ck_ok(device_new("hub.demo:8444", NULL, "press-17", "device-id", &device, &err));
}

static void
teardown(void)
{
	device_unrefp(&device);
	state_free(state);
}

START_TEST(test_device_info)
{
	AUTO(device_info_done) struct device_info info = { 0 };
	AUTO(device_unrefp) struct device *child = NULL;
	struct bytes file;
	struct err err = { 0 };

	setup();
	ck_err(state_device_load(state, &info, &err), ERR_NOT_FOUND);
	ck_ok(state_device_commit(state, device, &err));
	file = support_read(support_path("home/device_info"));
	/* identityd.md 7, as upstream's TOML writer puts it */
	ck_assert_str_eq((char *)file.data,
	    "hub_name = \"hub.demo:8444\"\nlocal_gateway_hostname = \"hub.demo:8444\"\n"
	    "device_id = \"press-17\"\n");
	bytes_done(&file);
	ck_assert(state_device_is(state, device));
	ck_ok(device_new("hub.demo:8444", "parent", "press-17", "k", &child, &err));
	ck_assert(!state_device_is(state, child));
	teardown();
}
END_TEST

static const struct {
	const char *content;
	enum err_code code;
} infos[] = {
	{ "unprovisioned", ERR_NOT_FOUND },
	{ "unprovisioned\n", ERR_NOT_FOUND },
	{ "", ERR_NOT_FOUND },
	{ "hub_name = \"h\"\ndevice_id = \"d\"\n", ERR_OK },
	{ "device_id = \"d\"\nlocal_gateway_hostname = \"g\"\nhub_name = \"h\"\nnew = 1\n",
	    ERR_OK },
	{ "hub_name = \"h\"\n", ERR_SYNTAX },
	{ "hub_name = \"\"\ndevice_id = \"d\"\n", ERR_SYNTAX },
	{ "hub_name = ", ERR_SYNTAX },
	{ "\x01\x02", ERR_SYNTAX },
	{ "unprovisioned = 1", ERR_SYNTAX },
};

START_TEST(test_device_info_read)
{
	setup();
	for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
		AUTO(device_info_done) struct device_info info = { 0 };
		struct err err = { 0 };

		support_write(support_path("home/device_info"), infos[i].content);
		ck_err(state_device_load(state, &info, &err), infos[i].code);
	}
	teardown();
}
END_TEST

static void
save(const char *module, const char *generation)
{
	struct hub_authentication secret = { .type = (char *)"sas" };
	struct hub_module m = { .module_id = (char *)module,
		.device_id = (char *)"press-17",
		.generation_id = (char *)generation,
		.authentication = &secret };
	struct err err = { 0 };

	ck_ok(state_backup_save(state, device, &m, state_backup_epoch(state), &err));
}

START_TEST(test_backups)
{
	AUTO(hub_module_done) struct hub_module got = { 0 };
	struct err err = { 0 };
	struct bytes file;
	char *path;

	setup();
	save("$edge-Agent.1", "638");
	/* identityd.md 7: modules/<hexsha256(hub)>-<hexsha256(device)>/<alnum(module)>-<hexsha256(module)> */
	path = support_sh(
	    "h() { printf %%s \"$1\" | sha256sum | cut -c1-64; }; echo "
	    "%s/modules/$(h hub.demo:8444)-$(h press-17)/edgeAgent1-$(h '$edge-Agent.1')",
	    support_path("home"));
	file = support_read(path);
	ck_assert_str_eq((char *)file.data,
	    "{\"moduleId\":\"$edge-Agent.1\",\"deviceId\":\"press-17\",\"generationId\":\"638\"}");
	bytes_done(&file);
	ck_ok(state_backup_load(state, device, "$edge-Agent.1", &got, &err));
	ck_assert_str_eq(got.generation_id, "638");
	hub_module_done(&got);
	/* as upstream writes it, and damaged ones */
	support_write(path,
	    "{\"moduleId\":\"$edge-Agent.1\",\"managedBy\":\"IotEdge\",\"deviceId\":"
	    "\"press-17\",\"generationId\":\"9\"}");
	ck_ok(state_backup_load(state, device, "$edge-Agent.1", &got, &err));
	ck_assert_str_eq(got.managed_by, "IotEdge");
	hub_module_done(&got);
	support_write(path, "{\"moduleId\":\"other\",\"generationId\":\"9\"}");
	ck_err(state_backup_load(state, device, "$edge-Agent.1", &got, &err), ERR_NOT_FOUND);
	support_write(path, "{\"moduleId\"");
	ck_err(state_backup_load(state, device, "$edge-Agent.1", &got, &err), ERR_NOT_FOUND);
	ck_ok(state_backup_drop(state, device, "$edge-Agent.1", &err));
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_ok(state_backup_drop(state, device, "$edge-Agent.1", &err));
	free(path);
	teardown();
}
END_TEST

START_TEST(test_deleted_meanwhile)
{
	/* a read that began before a delete must not bring the module back */
	AUTO(hub_module_done) struct hub_module got = { 0 };
	struct hub_module m = { .module_id = (char *)"m", .generation_id = (char *)"1" };
	struct err err = { 0 };
	unsigned since;

	setup();
	since = state_backup_epoch(state);
	ck_ok(state_backup_drop(state, device, "m", &err));
	ck_ok(state_backup_save(state, device, &m, since, &err));
	ck_err(state_backup_load(state, device, "m", &got, &err), ERR_NOT_FOUND);
	teardown();
}
END_TEST

START_TEST(test_other_device)
{
	/* "a new (hub, device) pair removes all of modules/", and prev_state spoke of the old one */
	AUTO(device_unrefp) struct device *next = NULL;
	AUTO(hub_module_done) struct hub_module got = { 0 };
	struct settings settings = { .hostname = (char *)"h", .homedir = (char *)"/x" };
	AUTO(name_list_done) name_list names = { 0 };
	struct err err = { 0 };
	char *left;

	setup();
	ck_ok(state_device_commit(state, device, &err));
	settings.provisioning.source = SOURCE_NONE;
	ck_ok(state_prev_save(state, &settings, &err));
	save("m", "1");
	ck_ok(device_new("hub2", NULL, "press-17", "device-id", &next, &err));
	ck_ok(state_device_commit(state, next, &err));
	ck_err(state_backup_load(state, device, "m", &got, &err), ERR_NOT_FOUND);
	left = support_sh("cd %s && find . -mindepth 1 | sort", support_path("home"));
	ck_assert_str_eq(left, "./device_info\n./modules");
	free(left);
	ck_ok(state_prev_modules(state, next, &names, &err));
	ck_assert_uint_eq(names.n, 0);
	teardown();
}
END_TEST

START_TEST(test_leftovers)
{
	struct err err = { 0 };
	char *left;

	setup();
	ck_ok(state_device_commit(state, device, &err));
	save("a.b", "1");
	support_write(support_path("home/.new-0"), "");
	support_write(support_path("home/notes.backup"), "somebody else's");
	left = support_sh("cd %s/modules/* && cp ab-* .new-3", support_path("home"));
	free(left);
	teardown();
	setup();
	left = support_sh("cd %s && find . -type f | sed 's,modules/.*/,modules/,;s,-.*,,' | sort",
	    support_path("home"));
	ck_assert_str_eq(left, "./device_info\n./modules/ab\n./notes.backup");
	free(left);
	teardown();
}
END_TEST

TEST_MAIN("identityd/state", test_leftovers, test_device_info, test_device_info_read, test_backups,
    test_deleted_meanwhile, test_other_device)
