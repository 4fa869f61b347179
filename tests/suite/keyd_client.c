/* keyd_client SOCKET - every call of client/keyd against a running keyd; says what fails and ends with 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/keyd.h"

static int failed;

static void
check(const char *what, bool good, const struct err *err)
{
	if (good)
		return;
	fprintf(stderr, "%s: %s (%s)\n", what, err->text, err_name(err->code));
	failed = 1;
}

#define OK(call)  check(#call, (call) == ERR_OK, &err)
#define NOT(call) check(#call, (call) == ERR_PEER && err.status == 400, &err)

static void
symmetric(struct keyd_client *c)
{
	struct bytes value = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	struct bytes iv = { (uint8_t *)"TEST", 4 }, none = { 0 };
	AUTO(str_freep) char *made = NULL;
	AUTO(str_freep) char *imported = NULL;
	AUTO(str_freep) char *loaded = NULL;
	AUTO(str_freep) char *derived = NULL;
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes opened = { 0 };
	struct err err = { 0 };

	OK(keyd_client_create_key(
	    c, "c/s %41", KEYD_USE_SIGN | KEYD_USE_DERIVE, NULL, &made, &err));
	OK(keyd_client_create_key(c, "c/s %41", KEYD_USE_ENCRYPT, &value, &imported, &err));
	OK(keyd_client_load_key(c, "c/s %41", &loaded, &err));
	if (failed)
		return;
	check("the same handle", strcmp(made, imported) == 0 && strcmp(made, loaded) == 0, &err);
	OK(keyd_client_sign(c, made, KEYD_HMAC_SHA256, &none, &mac, &err));
	check("a MAC of 32 bytes", mac.len == 32, &err);
	OK(keyd_client_derive(c, made, &value, &derived, &err));
	OK(keyd_client_export_derived(c, derived, &key, &err));
	check("a derived key of 32 bytes", key.len == 32, &err);
	OK(keyd_client_encrypt(c, made, KEYD_AEAD, &iv, &none, &value, &sealed, &err));
	OK(keyd_client_decrypt(c, made, KEYD_AEAD, &iv, &none, &sealed, &opened, &err));
	check("what was encrypted", bytes_equal(&opened, &value), &err);
	OK(keyd_client_delete_key(c, made, &err));
	OK(keyd_client_delete_key(c, made, &err));
	str_freep(&loaded);
	NOT(keyd_client_load_key(c, "c/s %41", &loaded, &err));
}

static void
pairs(struct keyd_client *c)
{
	struct bytes digest = { (uint8_t *)"0123456789abcdef0123456789abcdef", 32 };
	AUTO(str_freep) char *rsa = NULL;
	AUTO(str_freep) char *ec = NULL;
	AUTO(str_freep) char *moved = NULL;
	AUTO(str_freep) char *algorithm = NULL;
	AUTO(bytes_done) struct bytes signature = { 0 };
	AUTO(bytes_done) struct bytes raw = { 0 };
	struct err err = { 0 };

	OK(keyd_client_create_key_pair(c, "c-rsa", "rsa-2048:*", &rsa, &err));
	OK(keyd_client_create_key_pair(c, "c-ec", NULL, &ec, &err));
	if (failed)
		return;
	OK(keyd_client_parameter(c, rsa, "algorithm", &algorithm, &err));
	check("RSA", algorithm && strcmp(algorithm, "RSA") == 0, &err);
	OK(keyd_client_encrypt(c, rsa, KEYD_RSA_PKCS1, NULL, NULL, &digest, &raw, &err));
	check("256 bytes", raw.len == 256, &err);
	OK(keyd_client_sign(c, ec, KEYD_ECDSA, &digest, &signature, &err));
	check("a DER signature", signature.len > 60 && signature.data[0] == 0x30, &err);
	OK(keyd_client_move_key_pair(c, "c-ec", "c/moved", &err));
	OK(keyd_client_load_key_pair(c, "c/moved", &moved, &err));
	check("500 for a source that is gone",
	    keyd_client_move_key_pair(c, "c-ec", "c/moved", &err) == ERR_PEER && err.status == 500,
	    &err);
	OK(keyd_client_delete_key_pair(c, moved, &err));
	OK(keyd_client_delete_key_pair(c, rsa, &err));
	NOT(keyd_client_delete_key(c, rsa, &err));
	check("keyd's words",
	    strcmp(err.text, "parameter \"handle\" has an invalid value\n"
			     "caused by: handle is not for a key") == 0,
	    &err);
}

int
main(int argc, char **argv)
{
	const struct unix_client_config config = { .path = argc > 1 ? argv[1] : NULL };
	struct keyd_client *c = NULL;
	struct err err = { 0 };

	OK(keyd_client_new(&config, &c, &err));
	if (c) {
		symmetric(c);
		pairs(c);
	}
	keyd_client_free(c);
	return failed;
}
