#include "ctl/keys_pem.h"

#include <openssl/ec.h>
#include <string.h>

#include "tests/fake/keyd.h"
#include "tests/support/support.h"

static struct keyd_client *
set_up(void)
{
	const struct unix_client_config config = { 0 };
	struct keyd_client *keyd = NULL;
	struct err err = { 0 };

	fake_keyd_reset();
	ck_ok(keyd_client_new(&config, &keyd, &err));
	fake_keyd_put_pair("press-07/tls", EVP_EC_gen("P-256"));
	fake_keyd_put_key("site-secret", "0123456789abcdef", 16);
	return keyd;
}

START_TEST(test_prints)
{
	struct keyd_client *keyd = set_up();
	AUTO(str_freep) char *pem = NULL;
	struct err err = { 0 };

	ck_ok(keys_pem(keyd, "press-07/tls", &pem, &err));
	/* printf 'keyd:id=press-07%%2Ftls' | base64 */
	ck_assert_str_eq(pem, "-----BEGIN EDGEKEEP KEY URI-----\n"
			      "a2V5ZDppZD1wcmVzcy0wNyUyRnRscw==\n"
			      "-----END EDGEKEEP KEY URI-----\n");
	/* loaded, and asked for what the provider will ask */
	ck_assert_uint_eq(fake_keyd_calls(FAKE_LOAD_KEY_PAIR), 1);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_PARAMETER), 3);
	ck_assert_uint_eq(fake_keyd_calls(FAKE_ANY), 4);
	keyd_client_free(keyd);
}
END_TEST

static const struct {
	const char *id;
	enum fake_keyd_op op; /* that fails */
	unsigned skip;
	enum err_code code;
	uint16_t status;
	const char *text, *said;
} refused[] = {
	{ "", FAKE_ANY, 9, 0, 0, "", "id is empty" },
	{ "absent", FAKE_ANY, 9, 0, 0, "", "key pair \"absent\"\ncaused by: there is no key pair" },
	{ "site-secret", FAKE_ANY, 9, 0, 0, "", "there is no key pair" },
	{ "press-07/tls", FAKE_LOAD_KEY_PAIR, 0, ERR_PEER, 401, "user 7 is not authorized",
	    "[[principal]] for the key\ncaused by: user 7 is not authorized" },
	{ "press-07/tls", FAKE_LOAD_KEY_PAIR, 0, ERR_UNREACHABLE, 0, "connect", "is keyd running" },
	{ "press-07/tls", FAKE_LOAD_KEY_PAIR, 0, ERR_PEER, 500, "internal error",
	    "key pair \"press-07/tls\"\ncaused by: internal error" },
	{ "press-07/tls", FAKE_PARAMETER, 0, ERR_TIMEOUT, 0, "no answer in time", "no answer" },
	{ "press-07/tls", FAKE_PARAMETER, 2, ERR_PEER, 500, "token gone", "token gone" },
};

START_TEST(test_refuses)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct keyd_client *keyd = set_up();
		char *pem = NULL;
		struct err err = { 0 };

		fake_keyd_fail(refused[i].op, refused[i].skip, refused[i].code, refused[i].status,
		    refused[i].text);
		ck_assert_int_ne(keys_pem(keyd, refused[i].id, &pem, &err), ERR_OK);
		ck_assert_msg(
		    strstr(err.text, refused[i].said) != NULL, "row %zu: %s", i, err.text);
		ck_assert_ptr_null(pem);
		keyd_client_free(keyd);
	}
}
END_TEST

TEST_MAIN("ctl/keys_pem", test_prints, test_refuses)
