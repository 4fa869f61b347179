#include "tests/support/support.h"

#include <string.h>

#include "data/pkcs11_uri.h"

/* RFC 7512 section 3, contracts/pkcs11.md 2 and 5 */
static const struct {
	const char *in, *token, *object, *serial, *manufacturer, *model, *id;
	enum pkcs11_uri_type type;
	long slot; /* -1: none */
	const char *pin_value, *pin_source, *ignored;
} good[] = {
	{ .in = "pkcs11:", .slot = -1 },
	{ .in = "pkcs11:object=my-pubkey;type=public",
	    .object = "my-pubkey",
	    .type = PKCS11_URI_PUBLIC,
	    .slot = -1 },
	{ .in = "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
	    .object = "my-key",
	    .type = PKCS11_URI_PRIVATE,
	    .slot = -1,
	    .pin_source = "/etc/token" },
	{ .in = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20"
		"Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;"
		"serial=?pin-source=file:/etc/token_pin",
	    .token = "The Software PKCS#11 Softtoken",
	    .manufacturer = "Snake Oil, Inc.",
	    .model = "1.0",
	    .object = "my-certificate",
	    .type = PKCS11_URI_CERT,
	    .id = "69953e5cf4bdec91",
	    .serial = "",
	    .slot = -1,
	    .pin_source = "/etc/token_pin" },
	{ .in = "pkcs11:object=my-sign-key;type=private?pin-value=the%20pin%3F%26",
	    .object = "my-sign-key",
	    .type = PKCS11_URI_PRIVATE,
	    .slot = -1,
	    .pin_value = "the pin?&" },
	{ .in = "pkcs11:token=Key pairs;object=local%2Dca;slot-id=737902093?pin-value=1234",
	    .token = "Key pairs",
	    .object = "local-ca",
	    .slot = 737902093,
	    .pin_value = "1234" },
	{ .in = "PKCS11:type=secret-key;slot-id=0?pin-source=/run/pin%20file",
	    .type = PKCS11_URI_SECRET_KEY,
	    .slot = 0,
	    .pin_source = "/run/pin file" },
	{ .in = "pkcs11:token=t;library-version=3;vendor-x=a%FFb?vendor-y=1",
	    .token = "t",
	    .slot = -1,
	    .ignored = "library-version, vendor-x, vendor-y" },
	/* the same name means nothing on the other side of the question mark */
	{ .in = "pkcs11:token=t;pin-value=1?token=u",
	    .token = "t",
	    .slot = -1,
	    .ignored = "pin-value, token" },
	{ .in = "pkcs11:to\x1bken=t;object=a/b&c?",
	    .object = "a/b&c",
	    .slot = -1,
	    .ignored = "(no name)" },
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
		AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
		AUTO(bytes_done) struct bytes id = support_hex(good[i].id ? good[i].id : "");
		struct err err = { 0 };

		ck_ok(pkcs11_uri_parse(good[i].in, &uri, &err));
		same(uri.token, good[i].token);
		same(uri.object, good[i].object);
		same(uri.serial, good[i].serial);
		same(uri.manufacturer, good[i].manufacturer);
		same(uri.model, good[i].model);
		same(uri.pin_value, good[i].pin_value);
		same(uri.pin_source, good[i].pin_source);
		same(uri.ignored, good[i].ignored);
		ck_assert(bytes_equal(&uri.id, &id));
		ck_assert_int_eq(uri.type, good[i].type);
		ck_assert_int_eq(uri.has_slot ? (long)uri.slot : -1, good[i].slot);
	}
}
END_TEST

/* What each is refused for; the text never holds what stands in the query */
static const struct {
	const char *in, *text;
} bad[] = {
	{ "", "expected pkcs11:" },
	{ "file:///x", "expected pkcs11:" },
	{ "pkcs11", "expected pkcs11:" },
	{ "pkcs11:token", "an attribute without a value" },
	{ "pkcs11:token=a;token=b", "token is there twice" },
	{ "pkcs11:token=a;token=a", "token is there twice" },
	{ "pkcs11:id=%01;id=%02", "id is there twice" },
	{ "pkcs11:id=%0", "id is not percent-encoded" },
	{ "pkcs11:slot-id=", "slot-id is not a number" },
	{ "pkcs11:slot-id=-1", "slot-id is not a number" },
	{ "pkcs11:slot-id=1x", "slot-id is not a number" },
	{ "pkcs11:slot-id=18446744073709551616", "slot-id is not a number" },
	{ "pkcs11:type=key", "type is none of" },
	{ "pkcs11:token=a%zz", "token is not percent-encoded text" },
	{ "pkcs11:token=a%00b", "token is not percent-encoded text" },
	{ "pkcs11:object=%ff%fe", "object is not percent-encoded text" },
	{ "pkcs11:?pin-value=SECRET&pin-value=SECRET", "pin-value is there twice" },
	{ "pkcs11:?pin-value=SECRET%", "pin-value is not percent-encoded text" },
	{ "pkcs11:?pin-value=SECRET&pin-source=/SECRET", "both pin-value and pin-source" },
	{ "pkcs11:?SECRET", "a word of the query without a value" },
	{ "pkcs11:?pin-source=SECRET", "pin-source is not an absolute path" },
	{ "pkcs11:?pin-source=", "pin-source is not an absolute path" },
	{ "pkcs11:?pin-source=file://host/SECRET", "pin-source is not a file: URI" },
	{ "pkcs11:?pin-source=%7cSECRET", "pin-source is not an absolute path" },
	{ "pkcs11:token=a?module-path=/SECRET.so", "module-path is refused" },
	{ "pkcs11:token=a?module-name=SECRET", "module-name is refused" },
};

START_TEST(test_refused)
{
	static char long_uri[PKCS11_URI_MAX + 2] = "pkcs11:token=";
	struct pkcs11_uri uri;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_err(pkcs11_uri_parse(bad[i].in, &uri, &err), ERR_SYNTAX);
		ck_assert_msg(strstr(err.text, bad[i].text) != NULL, "%s: %s", bad[i].in, err.text);
		ck_assert_ptr_null(strstr(err.text, "SECRET"));
	}
	memset(long_uri + strlen(long_uri), 'a', sizeof(long_uri) - 1 - strlen(long_uri));
	ck_err(pkcs11_uri_parse(long_uri, &uri, &err), ERR_SYNTAX);
}
END_TEST

/* Written without PIN and in the order of our table; read back it names the same token. */
START_TEST(test_write)
{
	static const char in[] =
	    "pkcs11:serial=0a;slot-id=7;token=a b;object=x;vendor=1?pin-value=SECRET";
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
	AUTO(pkcs11_uri_done) struct pkcs11_uri again = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(pkcs11_uri_parse(in, &uri, &err));
	ck_ok(pkcs11_uri_write(&uri, "k;1", &text, &err));
	ck_assert_str_eq(text, "pkcs11:token=a%20b;serial=0a;slot-id=7;object=k%3B1");
	ck_ok(pkcs11_uri_parse(text, &again, &err));
	ck_assert(pkcs11_uri_same_token(&uri, &again));
	ck_assert_str_eq(again.object, "k;1");
	str_freep(&again.serial);
	ck_assert(!pkcs11_uri_same_token(&uri, &again));
}
END_TEST

TEST_MAIN("data/pkcs11_uri", test_parse, test_refused, test_write)
