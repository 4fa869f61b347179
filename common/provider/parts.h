#ifndef PROVIDER_PARTS_H
#define PROVIDER_PARTS_H

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"
#include "client/keyd.h"

/* What the files of the provider share; nobody else includes this. */

/*
 * Public halves, digests and verification are the default provider's.  Said in every fetch, or libcrypto would come back to
 * us for them.
 */
#define PROVIDER_PEER "provider=default"
/* For fetches that mean this provider, which the default properties steer away from. */
#define PROVIDER_SELF "provider=edgekeep"

/* A dispatch entry. */
#define PROVIDER_FN(id, fn)                \
	{                                  \
		(id), (void (*)(void))(fn) \
	}

struct provider {
	struct keyd_client *client;
};

/* A private key in keyd: its handle and, for everything that needs no secret, its public half. */
struct provider_key {
	atomic_uint refs;
	struct keyd_client *client;
	char *handle;
	EVP_PKEY *public_half;
	bool ec; /* P-256; else RSA */
};

/* Ask keyd what handle is (taken over) and make a key of it; one reference. */
enum err_code provider_key_load(struct keyd_client *client, char **handle,
    struct provider_key **ret, struct err *err) MUST_CHECK;
struct provider_key *provider_key_ref(struct provider_key *key);
void provider_key_unref(struct provider_key *key);
void provider_keyp(struct provider_key **key); /* for AUTO() */

/* RSASSA-PKCS1-v1_5 (RFC 8017 9.2): the DER DigestInfo of a hash. */
enum err_code padding_digest_info(const EVP_MD *md, const uint8_t *hash, size_t len,
    struct bytes *ret, struct err *err) MUST_CHECK;
/* EMSA-PSS (RFC 8017 9.1.1) for a modulus of that many bits; ret is as long as the modulus.  salt_len: bytes. */
enum err_code padding_pss(const EVP_MD *md, const EVP_MD *mgf1, size_t salt_len, size_t bits,
    const uint8_t *hash, size_t len, struct bytes *ret, struct err *err) MUST_CHECK;
/* The longest salt that fits; -1: not even an empty one. */
int padding_pss_salt_max(const EVP_MD *md, size_t bits);

/* DER AlgorithmIdentifiers of signatures. */
enum err_code algorithm_id_plain(
    bool ec, const EVP_MD *md, struct bytes *ret, struct err *err) MUST_CHECK;
enum err_code algorithm_id_pss(const EVP_MD *md, const EVP_MD *mgf1, int salt_len,
    struct bytes *ret, struct err *err) MUST_CHECK;

/* Remember err as what provider_last_error tells this thread; put a libcrypto error beside it.  Returns 0, as functions of providers do. */
int provider_failed(const struct err *err);
void provider_forget_error(void);

extern const OSSL_DISPATCH provider_keymgmt_ec[], provider_keymgmt_rsa[];
extern const OSSL_DISPATCH provider_signature_ec[], provider_signature_rsa[];
extern const OSSL_DISPATCH provider_store[];

#endif
