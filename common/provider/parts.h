#ifndef PROVIDER_PARTS_H
#define PROVIDER_PARTS_H

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem.h"
#include "client/keyd.h"
#include "data/key_uri.h"

/*
 * What the files of the provider share; nobody else includes this.
 *
 * Two programs are made of them: daemons, which have the provider built in (builtin.c), and edgekeep.so (module.c), which lives in
 * processes that are not ours.  So all but builtin.c holds no state beside struct provider, clears nobody's error queue, and
 * leaves nothing behind when it is unloaded (design/provider.md, traps 6 and 8).
 */
#define PROVIDER_NAME "edgekeep"
/*
 * Public halves, digests and verification are the default provider's.  Said in every fetch, or libcrypto would come back to
 * us for them.
 */
#define PROVIDER_PEER "provider=default"
/* For fetches that mean this provider, which the default properties steer away from. */
#define PROVIDER_SELF "provider=" PROVIDER_NAME

/* A dispatch entry. */
#define PROVIDER_FN(id, fn)                \
	{                                  \
		(id), (void (*)(void))(fn) \
	}

/* One loaded provider; libcrypto hands it to whatever has no object of its own yet. */
struct provider {
	struct keyd_client *client;
	struct err no_client; /* why there is none: what is wrong in openssl.cnf */
	OSSL_LIB_CTX *libctx; /* where PROVIDER_PEER is fetched from; NULL: the default one */
	bool owned;	      /* this struct, client and libctx go with the provider */
	/* Told of each failure in whole words; NULL: nobody asks. */
	void (*on_failure)(const struct err *err);

	/* libcrypto's side */
	const OSSL_CORE_HANDLE *core;
	OSSL_FUNC_core_get_params_fn *get_params;
	OSSL_FUNC_core_new_error_fn *new_error;
	OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
	OSSL_FUNC_core_vset_error_fn *set_error;
	OSSL_FUNC_BIO_gets_fn *bio_gets;
};

/* Connect p, filled by the caller, with libcrypto: what an init function does.  Returns 1, or 0 where libcrypto lacks something. */
int provider_start(struct provider *p, const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out);

/*
 * Every function of the dispatch tables that may fail below runs between ERR_set_mark() and ERR_pop_to_mark(), so that the host
 * finds on its queue what it had there before and, after a failure, one error of ours: reason, keyd's words, remedy.
 * Returns 0, as functions of providers do.
 */
int provider_failed(const struct provider *p, const struct err *err);
/* A failure of libcrypto within: its reason as text.  Unlike err_openssl() it leaves the queue alone. */
enum err_code provider_crypto(struct err *err, const char *what);

/* A private key in keyd: its handle and, for everything that needs no secret, its public half. */
struct provider_key {
	atomic_uint refs;
	const struct provider *provider;
	char *handle;
	EVP_PKEY *public_half;
	bool ec; /* else RSA */
};

enum provider_kind { PROVIDER_ANY, PROVIDER_EC, PROVIDER_RSA };

/*
 * Find the key of a URI and ask keyd what it is; one reference.  A key that is not of the kind wanted is ERR_OK and NULL.
 * ERR_PEER with keyd's words, ERR_PROTOCOL (keyd's answer makes no key), and what the client says.
 */
enum err_code provider_key_open(const struct provider *p, const struct key_uri *uri,
    enum provider_kind want, struct provider_key **ret, struct err *err) MUST_CHECK;
struct provider_key *provider_key_ref(struct provider_key *key);
void provider_key_unref(struct provider_key *key);
void provider_keyp(struct provider_key **key); /* for AUTO() */
/* Hand *key (taken over on success) to whoever reads from a store or decoder.  Returns what the callback returns. */
int provider_key_give(struct provider_key **key, OSSL_CALLBACK *object, void *object_arg);

/* RSASSA-PKCS1-v1_5 (RFC 8017 9.2): the DER DigestInfo of a hash; for MD5-SHA1 of old TLS the hash itself (RFC 4346 7.4.3). */
enum err_code padding_digest_info(const EVP_MD *md, const uint8_t *hash, size_t len,
    struct bytes *ret, struct err *err) MUST_CHECK;
/* EMSA-PSS (RFC 8017 9.1.1) for a modulus of that many bits; ret is as long as the modulus.  salt_len: bytes. */
enum err_code padding_pss(OSSL_LIB_CTX *libctx, const EVP_MD *md, const EVP_MD *mgf1,
    size_t salt_len, size_t bits, const uint8_t *hash, size_t len, struct bytes *ret,
    struct err *err) MUST_CHECK;
/* The longest salt that fits; -1: not even an empty one. */
int padding_pss_salt_max(const EVP_MD *md, size_t bits);

extern const OSSL_DISPATCH provider_keymgmt_ec[], provider_keymgmt_rsa[];
extern const OSSL_DISPATCH provider_signature_ec[], provider_signature_rsa[];
extern const OSSL_DISPATCH provider_decoder_ec[], provider_decoder_rsa[];
extern const OSSL_DISPATCH provider_store[];

#endif
