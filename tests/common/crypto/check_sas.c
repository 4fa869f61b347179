#include "tests/support/support.h"

#include <string.h>

#include "crypto/digest.h"
#include "crypto/sas.h"

/* contracts/identityd.md 6.1: both vectors (key bytes 00..1f, expiry 1700000030) */
static const struct {
	const char *first, *kind, *id, *key_name, *token;
} rows[] = {
	{ "0ne00ABC123", "registrations", "Dev-1", "registration",
	    "SharedAccessSignature sr=0ne00abc123/registrations/dev-1"
	    "&sig=m2yyu%2BtRm9bbxz%2FmL4miAwk2o4q%2FaUflLJeeKJAgsIo%3D&se=1700000030"
	    "&skn=registration" },
	{ "hub1.azure-devices.net", "devices", "Dev 1", NULL,
	    "SharedAccessSignature sr=hub1.azure-devices.net/devices/dev%201"
	    "&sig=cWCAcXIBG4EpftDgWDIbOtTa9qYEF8FqOWtOgYl8VYE%3D&se=1700000030" },
};

START_TEST(test_token)
{
	uint8_t key[32];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(str_freep) char *audience = NULL;
		AUTO(str_freep) char *token = NULL;
		AUTO(bytes_done) struct bytes text = { 0 };
		AUTO(bytes_done) struct bytes signature = { 0 };
		struct err err = { 0 };

		ck_ok(sas_audience(rows[i].first, rows[i].kind, rows[i].id, &audience, &err));
		ck_ok(sas_to_sign(audience, 1700000030, &text, &err));
		ck_ok(bytes_alloc(&signature, SHA256_LEN, &err));
		ck_ok(digest_hmac_sha256(
		    key, sizeof(key), text.data, text.len, signature.data, &err));
		ck_ok(sas_token(audience, 1700000030, &signature, rows[i].key_name, &token, &err));
		ck_assert_str_eq(token, rows[i].token);
	}
}
END_TEST

/* contracts/identityd.md 6.1: lower-case, then encode controls, space, " < > ` # ? { } = and non-ASCII; '/' stays */
START_TEST(test_audience)
{
	AUTO(str_freep) char *audience = NULL;
	struct err err = { 0 };

	ck_ok(sas_audience("Hub.Example", "devices", "A=b{c}\"<>`#?\x01\xc3\xa9", &audience, &err));
	ck_assert_str_eq(audience, "hub.example/devices/a%3Db%7Bc%7D%22%3C%3E%60%23%3F%01%C3%A9");
}
END_TEST

START_TEST(test_to_sign)
{
	AUTO(bytes_done) struct bytes text = { 0 };
	struct err err = { 0 };

	ck_ok(sas_to_sign("a/b", 1, &text, &err));
	ck_assert_uint_eq(text.len, 5);
	ck_assert_mem_eq(text.data, "a/b\n1", 5);
}
END_TEST

TEST_MAIN("crypto/sas", test_token, test_audience, test_to_sign)
