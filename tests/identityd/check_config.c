#include "tests/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identityd/config.h"

#define HEAD "hostname = \"h\"\nhomedir = \"/var/lib/x\"\n"
#define BY_DPS                                                                                  \
	"[provisioning]\nsource = \"dps\"\nglobal_endpoint = \"https://dps.demo\"\nscope_id = " \
	"\"s\"\n"
#define BY_KEY                                                                       \
	"[provisioning.attestation]\nmethod = \"symmetric_key\"\nregistration_id = " \
	"\"r\"\nsymmetric_key = \"k\"\n"
#define NONE		"[provisioning]\nsource = \"none\"\n"
#define PRINCIPAL(rest) "[[principal]]\nuid = 1\nname = \"a\"\n" rest
#define LOCALID		"[localid]\ndomain = \"d\"\n"

static enum err_code
load(const char *text, struct settings *ret, struct err *err)
{
	struct config_source from = { support_path("config.toml"), support_path("config.d") };

	support_write(from.file, text);
	return settings_load(&from, false, ret, err);
}

static const struct {
	const char *what, *text;
	const char *wrong; /* part of the message; NULL: accepted */
} rows[] = {
	{ "dps by key", HEAD BY_DPS BY_KEY, NULL },
	{ "manual",
	    HEAD "[provisioning]\nsource=\"manual\"\niothub_hostname=\"h\"\ndevice_id=\"d\"\n"
		 "[provisioning.authentication]\nmethod=\"sas\"\ndevice_id_pk=\"k\"\n",
	    NULL },
	{ "none", HEAD NONE, NULL },
	{ "nothing", "", "hostname" },
	{ "no provisioning", HEAD, "provisioning" },
	{ "relative homedir", "hostname = \"h\"\nhomedir = \"x\"\n" NONE, "homedir" },
	{ "other source", HEAD "[provisioning]\nsource = \"auto\"\n", "source" },
	{ "endpoint is required", HEAD "[provisioning]\nsource=\"dps\"\nscope_id=\"s\"\n" BY_KEY,
	    "global_endpoint" },
	{ "http endpoint",
	    HEAD
	    "[provisioning]\nsource=\"dps\"\nglobal_endpoint=\"http://x\"\nscope_id=\"s\"\n" BY_KEY,
	    "https" },
	{ "no key",
	    HEAD BY_DPS
	    "[provisioning.attestation]\nmethod=\"symmetric_key\"\nregistration_id=\"r\"\n",
	    "symmetric_key" },
	{ "x509, id as a table",
	    HEAD BY_DPS
	    "[provisioning.attestation]\nmethod=\"x509\"\nidentity_cert=\"c\"\nidentity_pk=\"k\"\n"
	    "registration_id = { CN = \"x\", L = \"y\" }\n"
	    "identity_auto_renew = { rotate_key = true, threshold = \"80%\", retry = \"4%\" }\n",
	    NULL },
	{ "tpm", HEAD BY_DPS "[provisioning.attestation]\nmethod=\"tpm\"\nregistration_id=\"r\"\n",
	    NULL },
	{ "cloud_timeout_sec", "cloud_timeout_sec = 69\n" HEAD NONE, "cloud_timeout_sec" },
	{ "cloud_timeout_sec", "cloud_timeout_sec = 70\n" HEAD NONE, NULL },
	{ "hub with a path",
	    HEAD "[provisioning]\nsource=\"manual\"\niothub_hostname=\"h/x\"\ndevice_id=\"d\"\n"
		 "[provisioning.authentication]\nmethod=\"sas\"\ndevice_id_pk=\"k\"\n",
	    "iothub_hostname" },
	/* identityd.md 3 */
	{ "idtype as a string", HEAD BY_DPS BY_KEY PRINCIPAL("idtype = \"device\"\n"), "idtype" },
	{ "idtype as a list", HEAD BY_DPS BY_KEY PRINCIPAL("idtype = [\"device\", \"module\"]\n"),
	    NULL },
	{ "idtype, empty list", HEAD BY_DPS BY_KEY PRINCIPAL("idtype = []\n"), NULL },
	{ "idtype, other", HEAD BY_DPS BY_KEY PRINCIPAL("idtype = [\"Device\"]\n"), "idtype" },
	{ "same name twice", HEAD BY_DPS BY_KEY PRINCIPAL("") PRINCIPAL(""), "unique" },
	{ "no name", HEAD BY_DPS BY_KEY "[[principal]]\nuid = 1\n", "name" },
	{ "uid out of range", HEAD BY_DPS BY_KEY "[[principal]]\nuid = 4294967296\nname = \"a\"\n",
	    "uid" },
	{ "local without [localid]", HEAD BY_DPS BY_KEY PRINCIPAL("idtype = [\"local\"]\n"),
	    "localid" },
	{ "local",
	    HEAD BY_DPS BY_KEY LOCALID PRINCIPAL(
		"idtype = [\"local\"]\nlocalid = { type = \"x509\" }\n"),
	    NULL },
	{ "localid without local",
	    HEAD BY_DPS BY_KEY LOCALID PRINCIPAL(
		"idtype = [\"module\"]\nlocalid = { type = \"x509\" }\n"),
	    "localid" },
	{ "none and module", HEAD NONE PRINCIPAL("idtype = [\"module\"]\n"), "none" },
	{ "none and local", HEAD NONE LOCALID PRINCIPAL("idtype = [\"local\"]\n"), NULL },
	{ "tcp", HEAD NONE "[endpoints]\naziot_keyd = \"http://localhost:1\"\n", "endpoints" },
};

START_TEST(test_rows)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(settings_done) struct settings s = { 0 };
		struct err err = { 0 };
		enum err_code code = load(rows[i].text, &s, &err);

		ck_assert_msg(code == (rows[i].wrong ? ERR_CONFIG : ERR_OK), "%s: %s: %s",
		    rows[i].what, err_name(code), err.text);
		if (rows[i].wrong)
			ck_assert_msg(
			    strstr(err.text, rows[i].wrong), "%s: %s", rows[i].what, err.text);
	}
}
END_TEST

START_TEST(test_values)
{
	AUTO(settings_done) struct settings s = { 0 };
	struct err err = { 0 };

	ck_ok(load(HEAD "[provisioning]\nsource = \"dps\"\nglobal_endpoint = "
			"\"https://DPS.demo:18443/\"\nscope_id = \"s\"\n" BY_KEY PRINCIPAL(
			    "") "[[principal]]\nuid = 2\nname = \"b\"\nidtype = [\"module\"]\n",
	    &s, &err));
	/* defaults of identityd.md 8 */
	ck_assert_int_eq(s.max_requests, 10);
	ck_assert_int_eq(s.cloud_timeout_sec, 70);
	ck_assert_int_eq(s.cloud_retries, 1);
	ck_assert(!s.prefer_cache);
	ck_assert_str_eq(s.provisioning.global_endpoint, "https://dps.demo:18443/");
	ck_assert(!s.principals.at[0].has_idtype);
	ck_assert(s.principals.at[1].has_idtype);
	ck_assert_uint_eq(s.principals.at[1].idtype, ID_MODULE);
	settings_done(&s);
	ck_ok(load(HEAD BY_DPS BY_KEY, &s, &err));
	/* as in the recorded provisioning info: a URL has a path */
	ck_assert_str_eq(s.provisioning.global_endpoint, "https://dps.demo/");
}
END_TEST

START_TEST(test_golden)
{
	/* what `config apply` writes can be read, and what we write of it as prev_state can be read again and says the same */
	const char *dir = support_shared_data("apply-identity");
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (!dir)
		return;
	d = opendir(dir);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		AUTO(settings_done) struct settings s = { 0 };
		AUTO(settings_done) struct settings again = { 0 };
		AUTO(str_freep) char *file = NULL;
		AUTO(str_freep) char *toml = NULL;
		AUTO(str_freep) char *toml_again = NULL;
		struct config_source from = { .dir = support_path("none") };
		struct err err = { 0 };

		if (e->d_name[0] == '.')
			continue;
		ck_ok(str_format(&file, &err, "%s/%s/identityd.toml", dir, e->d_name));
		from.file = file;
		ck_ok(settings_load(&from, false, &s, &err));
		ck_ok(settings_write_toml(&s, &toml, &err));
		ck_ok(load(toml, &again, &err));
		ck_ok(settings_write_toml(&again, &toml_again, &err));
		ck_assert_str_eq(toml, toml_again);
		n++;
	}
	closedir(d);
	ck_assert_uint_ge(n, 10);
}
END_TEST

START_TEST(test_prev_state)
{
	AUTO(name_list_done) name_list names = { 0 };
	struct err err = { 0 };

	/* as upstream writes it: the whole settings, of which only the module principals matter */
	ck_ok(settings_prev_modules(
	    TEXT("hostname = \"h\"\nmax_requests = 10\n[[principal]]\nuid = 1\nname = \"m1\"\n"
		 "id_type = 1\nidtype = [\"module\", \"local\"]\n[[principal]]\nuid = 2\nname = "
		 "\"d\"\n"
		 "idtype = [\"device\"]\n[[principal]]\nuid = 3\nname = "
		 "\"edge\"\n[[principal]]\nuid = 4\n"
		 "name = \"m2\"\nidtype = [\"module\"]\n"),
	    &names, &err));
	ck_assert_uint_eq(names.n, 2);
	ck_assert(name_list_has(&names, "m1") && name_list_has(&names, "m2"));
	ck_err(settings_prev_modules(TEXT("hostname = "), &names, &err), ERR_SYNTAX);
	ck_err(settings_prev_modules(TEXT("principal = 1"), &names, &err), ERR_SYNTAX);
}
END_TEST

START_TEST(test_names)
{
	static const char *const hosts[] = { "h", "hub.azure-devices.net", "10.0.0.1", "hub:8443",
		"a_b" };
	static const char *const no_hosts[] = { "", ":1", "h:", "h:x", "h:99999", "h:1:2", "h/x",
		"u@h", "-h", ".h", "h h", "h\n", "h?x" };
	static const char *const ids[] = { "d", "$edgeAgent", "a:b", "a.b", "...", "a%2F" };
	static const char *const no_ids[] = { "", ".", "..", "a/b", "a\\b", "a b", "a\"", "\x7f" };

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		ck_assert_msg(host_valid(hosts[i]), "%s", hosts[i]);
	for (size_t i = 0; i < ARRAY_LEN(no_hosts); i++)
		ck_assert_msg(!host_valid(no_hosts[i]), "%s", no_hosts[i]);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert_msg(id_valid(ids[i]), "%s", ids[i]);
	for (size_t i = 0; i < ARRAY_LEN(no_ids); i++)
		ck_assert_msg(!id_valid(no_ids[i]), "%s", no_ids[i]);
}
END_TEST

TEST_MAIN("identityd/config", test_rows, test_values, test_golden, test_prev_state, test_names)
