#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "data/uri.h"

static const struct {
	const char *in, *scheme, *host;
	int port;
	const char *path, *query;
} good[] = {
	/* RFC 3986 1.1.2 */
	{ "ldap://[2001:db8::7]/c=GB?objectClass", "ldap", "2001:db8::7", 0, "/c=GB",
	    "objectClass" },
	{ "news:comp.infosystems.www.servers.unix", "news", NULL, 0,
	    "comp.infosystems.www.servers.unix", NULL },
	{ "telnet://192.0.2.16:80/", "telnet", "192.0.2.16", 80, "/", NULL },
	{ "urn:oasis:names:specification:docbook:dtd:xml:4.1.2", "urn", NULL, 0,
	    "oasis:names:specification:docbook:dtd:xml:4.1.2", NULL },
	/* contracts/identityd.md 8, common.md 3, edged-config.md 1.1 */
	{ "https://global.azure-devices-provisioning.net/", "https",
	    "global.azure-devices-provisioning.net", 0, "/", NULL },
	{ "https://hub.demo:8443", "https", "hub.demo", 8443, "", NULL },
	{ "unix:///run/aziot/keyd.sock", "unix", "", 0, "/run/aziot/keyd.sock", NULL },
	{ "fd://aziot-edged.mgmt.socket", "fd", "aziot-edged.mgmt.socket", 0, "", NULL },
	{ "fd://3", "fd", "3", 0, "", NULL },
	{ "HTTP://Host:80/A%20b?x=%2F&y", "http", "Host", 80, "/A%20b", "x=%2F&y" },
	{ "http://h?q", "http", "h", 0, "", "q" },
	{ "http://h:/p", "http", "h", 0, "/p", NULL },
	{ "http://h/?", "http", "h", 0, "/", "" },
	/* RFC 7512 */
	{ "pkcs11:token=Key%20pairs;object=dev?pin-value=1234", "pkcs11", NULL, 0,
	    "token=Key%20pairs;object=dev", "pin-value=1234" },
};

static void
same(const char *is, const char *want)
{
	if (want)
		ck_assert_str_eq(is, want);
	else
		ck_assert_ptr_null(is);
}

START_TEST(test_parse)
{
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		AUTO(uri_done) struct uri u = { 0 };
		struct err err = { 0 };

		ck_ok(uri_parse(good[i].in, &u, &err));
		same(u.scheme, good[i].scheme);
		same(u.host, good[i].host);
		ck_assert_int_eq(u.port, good[i].port);
		same(u.path, good[i].path);
		same(u.query, good[i].query);
	}
}
END_TEST

START_TEST(test_refused)
{
	static const char *const bad[] = { "", "/path", "host/path", "://h", "1http://h",
		"ht tp://h", "http//h", "http://h:0", "http://h:65536",
		"http://h:99999999999999999999", "http://h:8o", "http://h:-1", "http://u@h/",
		"http://u:p@h/", "http://[::1", "http://[::1]x", "http://[]/", "http://[::g]/",
		"http://[fe80::1%25eth0]/", "http://h/a b", "http://h/\r\nX: y", "http://h/%",
		"http://h/%4", "http://h/%4g", "http://h\\x/", "http://h/#f", "http://h/?a#f",
		"http://h/\xc3\xa9", "http://h%zz/", "http://h/<a>", "http://h?\"q\"" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct uri u = { 0 };
		struct err err = { 0 };

		ck_err(uri_parse(bad[i], &u, &err), ERR_SYNTAX);
		ck_assert_ptr_null(u.scheme);
	}
}
END_TEST

static const struct {
	const char *in, *path; /* NULL: refused */
} files[] = {
	{ "file:///etc/ssl/cert.pem", "/etc/ssl/cert.pem" },
	{ "file:/etc/x", "/etc/x" },
	{ "FILE://localhost/etc/x", "/etc/x" },
	{ "file:///with%20space/%C3%A9", "/with space/\xc3\xa9" },
	{ "file:///with space/\xc3\xa9", "/with space/\xc3\xa9" },
	{ "file:///a+b", "/a+b" },
	{ "file:///", "/" },
	{ "file://host/etc/x", NULL },
	{ "file:etc/x", NULL },
	{ "file://", NULL },
	{ "file:", NULL },
	{ "/etc/x", NULL },
	{ "", NULL },
	{ "unix:///x", NULL },
	{ "files:///x", NULL },
	{ "file:///a%00b", NULL },
	{ "file:///a%ff", NULL },
	{ "file:///a%2", NULL },
	{ "file:///a?b", NULL },
	{ "file:///a#b", NULL },
};

START_TEST(test_paths)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO(str_freep) char *path = NULL;
		struct err err = { 0 };

		if (files[i].path) {
			ck_ok(uri_file_path(files[i].in, &path, &err));
			ck_assert_str_eq(path, files[i].path);
		} else
			ck_err(uri_file_path(files[i].in, &path, &err), ERR_INVALID);
	}
	{
		AUTO(str_freep) char *path = NULL;
		struct err err = { 0 };

		ck_ok(uri_unix_path("unix:///run/aziot/keyd.sock", &path, &err));
		ck_assert_str_eq(path, "/run/aziot/keyd.sock");
		ck_err(uri_unix_path("file:///x", &path, &err), ERR_INVALID);
	}
}
END_TEST

/* Every printable ASCII character, so that each set's rule is seen whole. */
#define PRINTABLE " !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~"

static const struct {
	enum uri_set set;
	const char *in, *out;
} encoded[] = {
	/* RFC 3986 2.3 */
	{ URI_UNRESERVED, PRINTABLE,
	    "%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F0%3A%3B%3C%3D%3E%3F%40A%5B%5C%5D%5E_%60a%"
	    "7B%7C%7D~" },
	/* contracts/common.md 7, path escaping */
	{ URI_UPSTREAM, PRINTABLE, "%20!%22%23$%&'()*+,-./0:;%3C=%3E%3F@A[\\]^_%60a%7B|%7D~" },
	{ URI_UPSTREAM, "\x01\n\x7f\xc3\xa9", "%01%0A%7F%C3%A9" },
	/* contracts/identityd.md 6.1 */
	{ URI_AUDIENCE, PRINTABLE, "%20!%22%23$%&'()*+,-./0:;%3C%3D%3E%3F@A[\\]^_%60a%7B|%7D~" },
	{ URI_AUDIENCE, "hub1.azure-devices.net/devices/dev 1",
	    "hub1.azure-devices.net/devices/dev%201" },
	/* WHATWG URL, application/x-www-form-urlencoded percent-encode set */
	{ URI_FORM, PRINTABLE,
	    "%20%21%22%23%24%25%26%27%28%29*%2B%2C-.%2F0%3A%3B%3C%3D%3E%3F%40A%5B%5C%5D%5E_%60a%7B%"
	    "7C%7D%7E" },
	{ URI_FORM, "m2yyu+tRm9bbxz/mL4miAwk2o4q/aUflLJeeKJAgsIo=",
	    "m2yyu%2BtRm9bbxz%2FmL4miAwk2o4q%2FaUflLJeeKJAgsIo%3D" },
	{ URI_FORM, "", "" },
};

START_TEST(test_encode)
{
	for (size_t i = 0; i < ARRAY_LEN(encoded); i++) {
		AUTO(str_freep) char *out = NULL;
		struct err err = { 0 };

		ck_ok(uri_encode(encoded[i].set, text_of(encoded[i].in), &out, &err));
		ck_assert_str_eq(out, encoded[i].out);
	}
	{
		AUTO(str_freep) char *out = NULL;
		struct err err = { 0 };

		ck_ok(uri_encode(URI_UPSTREAM, (struct text){ "a\0b", 3 }, &out, &err));
		ck_assert_str_eq(out, "a%00b");
	}
}
END_TEST

static const struct {
	const char *in, *path, *form; /* NULL: refused */
} decoded[] = {
	{ "", "", "" },
	{ "a%20b+c", "a b+c", "a b c" },
	{ "%41%2f%2F%c3%a9", "A//\xc3\xa9", "A//\xc3\xa9" },
	{ "\xc3\xa9", "\xc3\xa9", "\xc3\xa9" },
	{ "%", NULL, NULL },
	{ "%4", NULL, NULL },
	{ "%4g", NULL, NULL },
	{ "%g4", NULL, NULL },
	{ "%%41", NULL, NULL },
	{ "a%00", NULL, NULL },
	{ "%ff", NULL, NULL },
	{ "%c3", NULL, NULL },
	{ "%c0%af", NULL, NULL },
	{ "%ed%a0%80", NULL, NULL },
	{ "%f4%90%80%80", NULL, NULL },
};

START_TEST(test_decode)
{
	for (size_t i = 0; i < ARRAY_LEN(decoded); i++)
		for (int form = 0; form < 2; form++) {
			const char *want = form ? decoded[i].form : decoded[i].path;
			AUTO(str_freep) char *out = NULL;
			struct err err = { 0 };

			if (want) {
				ck_ok(uri_decode(text_of(decoded[i].in), form, &out, &err));
				ck_assert_str_eq(out, want);
			} else
				ck_err(uri_decode(text_of(decoded[i].in), form, &out, &err),
				    ERR_SYNTAX);
		}
}
END_TEST

/* RFC 3629 section 4, the bounds of each row of the table */
START_TEST(test_utf8)
{
	static const char *const valid[] = { "", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80",
		"\xec\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
		"\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf", "a\xc3\xa9z" };
	static const char *const invalid[] = { "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2",
		"\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xef\xbf", "\xef\xbf\xc0", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xff", "\xfe", "a\xf0\x90\x80" };

	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		ck_assert(uri_utf8_valid(text_of(valid[i])));
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		ck_assert_msg(!uri_utf8_valid(text_of(invalid[i])), "row %zu", i);
	ck_assert(!uri_utf8_valid((struct text){ "a\0b", 3 }));
}
END_TEST

TEST_MAIN("data/uri", test_parse, test_refused, test_paths, test_encode, test_decode, test_utf8)
