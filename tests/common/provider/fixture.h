#ifndef TESTS_COMMON_PROVIDER_FIXTURE_H
#define TESTS_COMMON_PROVIDER_FIXTURE_H

#include <openssl/err.h>
#include <openssl/store.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"
#include "provider/provider.h"
#include "tests/fake/keyd.h"
#include "tests/support/support.h"

/* A keyd of memory with a key of each kind, and the provider as daemons have it. */

#define EC_ID	 "ec-key"
#define EC384_ID "ec384-key"
#define RSA_ID	 "rsa key/1%"

static inline void
ctxp(EVP_PKEY_CTX **ctx)
{
	EVP_PKEY_CTX_free(*ctx);
}

static inline void
md_ctxp(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

static inline EVP_PKEY *
open_id(const char *id)
{
	EVP_PKEY *key = NULL;
	struct err err = { 0 };

	ck_ok(provider_key_by_id(id, &key, &err));
	ck_assert_uint_eq(ERR_peek_error(), 0);
	return key;
}

static inline void
set_up(void)
{
	const struct unix_client_config config = { 0 };
	static struct keyd_client
	    *client; /* the provider's from the first test on, where tests share a process */
	AUTO(str_freep) char *ec = NULL;
	AUTO(str_freep) char *rsa = NULL;
	struct err err = { 0 };

	fake_keyd_reset();
	ERR_clear_error();
	if (!client)
		ck_ok(keyd_client_new(&config, &client, &err));
	ck_ok(keyd_client_create_key_pair(client, EC_ID, "ec-p256", &ec, &err));
	ck_ok(keyd_client_create_key_pair(client, RSA_ID, "rsa-2048", &rsa, &err));
	fake_keyd_put_pair(EC384_ID, EVP_EC_gen("P-384"));
	ck_ok(provider_install(client, &err));
	ck_assert_uint_eq(ERR_peek_error(), 0);
}

/* The key without edgekeep: its public half in the default provider. */
static inline EVP_PKEY *
public_of(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	const unsigned char *at = der;
	EVP_PKEY *public = d2i_PUBKEY(NULL, &at, len);

	ck_assert_ptr_nonnull(public);
	OPENSSL_free(der);
	return public;
}

/* The whole of libcrypto's first error, "error:40800005:edgekeep::refused by keyd::0:TEXT"; the queue is empty afterwards. */
static inline const char *
error_text(void)
{
	static char text[1024];
	const char *data = "";
	int flags;
	unsigned long code = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);

	snprintf(text, sizeof(text), "%s:%s:%s", ERR_lib_error_string(code),
	    ERR_reason_error_string(code), data);
	ERR_clear_error();
	return text;
}

#endif
