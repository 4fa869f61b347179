#include "tests/support/support.h"

#include <string.h>
#include <unistd.h>

#include "edged/module_keys.h"
#include "tests/fake/identityd.h"
#include "tests/fake/keyd.h"

static struct identityd_client *identityd;
static struct keyd_client *keyd;
static struct module_keys *keys;
static unsigned fresh_ms; /* 0: a minute */

static void
begin(void)
{
	struct err err = { 0 };

	fake_identityd_reset();
	fake_keyd_reset();
	fake_identityd_put("web", NULL);
	fake_keyd_put_key("web", "0123456789abcdef0123456789abcdef", 32);
	ck_ok(identityd_client_new(NULL, &identityd, &err));
	ck_ok(keyd_client_new(NULL, &keyd, &err));
	ck_ok(module_keys_new(identityd, keyd, fresh_ms, &keys, &err));
}

static void
end(void)
{
	module_keys_free(keys);
	identityd_client_free(identityd);
	keyd_client_free(keyd);
}

static struct bytes
of(const char *text)
{
	return (struct bytes){ (uint8_t *)(uintptr_t)text, strlen(text) };
}

START_TEST(test_sign)
{
	AUTO(bytes_done) struct bytes digest = { 0 };
	AUTO(bytes_done) struct bytes want = { 0 };
	AUTO(str_freep) char *hex = NULL;
	struct bytes data = of("hub/devices/d\n1700000000");
	struct err err = { 0 };

	begin();
	ck_ok(module_keys_sign(keys, "web", &data, &digest, &err));
	hex = support_sh("printf 'hub/devices/d\\n1700000000' | openssl dgst -sha256 -hmac "
			 "0123456789abcdef0123456789abcdef -r | cut -d' ' -f1");
	want = support_hex(hex);
	ck_assert(bytes_equal(&digest, &want));
	end();
}
END_TEST

START_TEST(test_identity_is_kept)
{
	struct bytes data = of("x");
	struct err err = { 0 };

	begin();
	for (int i = 0; i < 3; i++) {
		AUTO(bytes_done) struct bytes digest = { 0 };

		ck_ok(module_keys_sign(keys, "web", &data, &digest, &err));
	}
	/* edged-weaknesses.md C4: not a lookup per signature */
	ck_assert_uint_eq(fake_identityd_calls(), 1);
	end();
}
END_TEST

START_TEST(test_replaced_key)
{
	AUTO(bytes_done) struct bytes digest = { 0 };
	struct bytes data = of("x");
	struct err err = { 0 };

	begin();
	ck_ok(module_keys_sign(keys, "web", &data, &digest, &err));
	bytes_done(&digest);
	/* a handle refused once is fetched anew, and only once */
	fake_keyd_fail(FAKE_SIGN, 0, ERR_PEER, 400, "invalid handle");
	ck_ok(module_keys_sign(keys, "web", &data, &digest, &err));
	ck_assert_uint_eq(fake_identityd_calls(), 2);
	end();
}
END_TEST

START_TEST(test_unknown_module)
{
	AUTO(bytes_done) struct bytes digest = { 0 };
	struct bytes data = of("x");
	struct err err = { 0 };

	begin();
	ck_err(module_keys_sign(keys, "other", &data, &digest, &err), ERR_PEER);
	ck_assert_str_eq(err.text, "module identity not found");
	/* without identityd nothing is known of a module never seen */
	fake_identityd_fail(ERR_UNREACHABLE, 0, "identityd is away");
	ck_err(module_keys_sign(keys, "other", &data, &digest, &err), ERR_UNREACHABLE);
	end();
}
END_TEST

/* Tokens do not depend on the network: what identityd cannot tell is taken from the last time. */
START_TEST(test_identityd_away)
{
	struct bytes data = of("x");
	struct err err = { 0 };

	fresh_ms = 1;
	begin();
	for (int i = 0; i < 3; i++) {
		AUTO(bytes_done) struct bytes digest = { 0 };

		ck_ok(module_keys_sign(keys, "web", &data, &digest, &err));
		fake_identityd_fail(ERR_UNREACHABLE, 0, "identityd is away");
		usleep(5000);
	}
	ck_assert_uint_eq(fake_identityd_calls(), 3);
	/* but a module that is no more is no more */
	AUTO(bytes_done) struct bytes digest = { 0 };
	fake_identityd_fail(ERR_PEER, 400, "module identity not found");
	ck_err(module_keys_sign(keys, "web", &data, &digest, &err), ERR_PEER);
	end();
	fresh_ms = 0;
}
END_TEST

START_TEST(test_aead)
{
	AUTO(bytes_done) struct bytes ciphertext = { 0 };
	AUTO(bytes_done) struct bytes plaintext = { 0 };
	struct bytes secret = of("secret"), iv = of("TEST");
	struct err err = { 0 };

	begin();
	ck_ok(module_keys_encrypt(keys, "web", "gen1", &iv, &secret, &ciphertext, &err));
	/* contracts/keyd.md 4.9: version byte, ciphertext, tag */
	ck_assert_uint_eq(ciphertext.len, 1 + secret.len + 16);
	ck_assert_int_eq(ciphertext.data[0], 2);
	ck_ok(module_keys_decrypt(keys, "web", "gen1", &iv, &ciphertext, &plaintext, &err));
	ck_assert(bytes_equal(&plaintext, &secret));
	end();
}
END_TEST

/* edged-weaknesses.md A5: `edge` with generation `Hub123` has the associated data of `edgeHub` with `123`. */
START_TEST(test_generation_must_be_own)
{
	AUTO(bytes_done) struct bytes ciphertext = { 0 };
	AUTO(bytes_done) struct bytes plaintext = { 0 };
	struct bytes secret = of("secret"), iv = of("TEST");
	struct err err = { 0 };

	begin();
	fake_identityd_put("edge", "gen1");
	fake_identityd_put("edgeHub", "123");
	ck_ok(module_keys_encrypt(keys, "edgeHub", "123", &iv, &secret, &ciphertext, &err));
	ck_err(module_keys_decrypt(keys, "edge", "Hub123", &iv, &ciphertext, &plaintext, &err),
	    ERR_DENIED);
	ck_err(
	    module_keys_encrypt(keys, "web", "gen2", &iv, &secret, &plaintext, &err), ERR_DENIED);
	end();
}
END_TEST

TEST_MAIN("edged/module_keys", test_sign, test_identity_is_kept, test_replaced_key,
    test_unknown_module, test_identityd_away, test_aead, test_generation_must_be_own)
