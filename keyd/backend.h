#ifndef KEYD_BACKEND_H
#define KEYD_BACKEND_H

#include <stdatomic.h>

#include "base/mem.h"
#include "wire/keyd.h"

/*
 * A kind of place where keys live.  backends.c holds the visible array of them; stores.c opens one or more of each, as the
 * configuration says; a backend knows nothing of handles, principals or HTTP.  To add one: a `const struct backend`, and its
 * name in that array.
 *
 * Calls that change an id are never made side by side for the same id; all others may be.
 * Every call may answer ERR_WOULD_BLOCK, before any side effect, when pool_may_block() says no.
 * What may work later is ERR_BUSY, ERR_UNREACHABLE or ERR_TIMEOUT, and never ERR_NOT_FOUND: a key that is taken for missing is
 * made anew, and an identity lost (contracts/pkcs11.md 4).
 * ERR_PROTOCOL: a vendor's code wrote where it must not, so this process may be damaged; a worker answers that and ends.
 */

/* Keys and key pairs share one namespace (contracts/keyd.md 1): an id names one stored thing, used as one or the other. */
enum key_kind { KEY_SYMMETRIC, KEY_PAIR };

enum key_algorithm {
	KEY_EC_P256,
	KEY_RSA_2048,
	KEY_RSA_4096,
	KEY_RSA_3072,
	KEY_EC_P384,
	KEY_ED25519,
	KEY_ALGORITHMS
};

/* contracts/keyd.md 4.6 */
enum key_parameter {
	KEY_PARAM_ALGORITHM,	/* text: ECDSA, RSA or EdDSA */
	KEY_PARAM_EC_CURVE_OID, /* DER */
	KEY_PARAM_EC_POINT,	/* compressed: 33 bytes of P-256; Ed25519: its 32 bytes */
	KEY_PARAM_RSA_MODULUS,	/* unsigned big-endian */
	KEY_PARAM_RSA_EXPONENT,
	KEY_PARAMS
};

#define BACKEND_NOTES_LEN 16384

#define BACKEND_KEY_MAX 65536 /* bytes of a symmetric key, or of a key pair's PEM */

/* How to encrypt or decrypt.  iv and aad are AEAD's and empty otherwise. */
struct key_cipher {
	enum keyd_cipher cipher;
	const struct bytes *iv, *aad;
};

struct pool;

/* An opened key: what a backend keeps so that using the key opens no file.  A backend puts its own state behind it. */
struct key {
	const struct backend *backend;
	char *id;
	uint64_t epoch; /* of the id when it was opened; keys.c */
	atomic_uint refs;
	struct key *chain, *newer, *older; /* cache.c */
};

/* An id that has its own place. */
struct backend_preloaded {
	const char *id;
	const char *uri; /* "file:///path" or "pkcs11:..." */
};

/* One `name = "value"` of [backends.X.parameters]. */
struct backend_parameter {
	const char *name, *value;
};

/* What a backend is given when it is opened; outlives it. */
struct backend_config {
	const char *name;			   /* of this place, as placement rules name it */
	const struct mech *mech;		   /* mech.h, for what a backend computes itself */
	const char *homedir;			   /* NULL: none */
	const struct backend_preloaded *preloaded; /* the ids of this place that have their own */
	size_t n_preloaded;
	bool any_id;	     /* other ids may live here, too */
	const char *library; /* pkcs11, plugin: the vendor's shared object */
	const char *token;   /* pkcs11: URI of the token for other ids; NULL: none */
	const char *wrap;    /* file: encrypts at rest, "tpm" or "credential"; NULL: nothing does */
	const char *tpmd;    /* path of tpmd's socket; NULL: the contract's */
	const struct backend_parameter *parameters;
	size_t n_parameters;
	void *notes; /* BACKEND_NOTES_LEN bytes, zero at first, that outlive a worker; NULL: none */
	struct remote *remote; /* who does the work, a worker (remote.h); NULL in that itself */
};

/* The own place of an id, or NULL. */
const char *backend_preloaded_uri(const struct backend_config *config, const char *id);

struct backend {
	const char *name; /* `type` in the configuration */

	enum err_code (*open)(
	    const struct backend_config *config, void **ret_ctx, struct err *err) MUST_CHECK;
	void (*close)(void *ctx);
	/* The pool whose threads may wait here.  NULL: any that may wait at all. */
	struct pool *(*pool)(void *ctx);

	/* The calls below are made with ids that live here: preloaded ones, or any if config->any_id. */

	/* Is there something under this id, usable or not? */
	enum err_code (*exists)(void *ctx, const char *id, bool *ret, struct err *err) MUST_CHECK;
	/* Open a key with one reference.  ERR_NOT_FOUND: there is none.  ERR_INTERNAL: it is damaged. */
	enum err_code (*find)(
	    void *ctx, const char *id, struct key **ret, struct err *err) MUST_CHECK;
	void (*key_free)(struct key *key);

	/*
	 * Make a key unless there is one.  ERR_UNSUPPORTED: nothing of that kind can be made or used here, and nothing was
	 * left behind; the next algorithm, or the next place, may do.
	 */
	enum err_code (*create_key)(
	    void *ctx, const char *id, unsigned usage, struct err *err) MUST_CHECK;
	enum err_code (*create_pair)(
	    void *ctx, const char *id, enum key_algorithm algorithm, struct err *err) MUST_CHECK;
	/* Store these bytes as the key, in place of what is there.  ERR_UNSUPPORTED: as above; what is there stays. */
	enum err_code (*import_key)(void *ctx, const char *id, unsigned usage,
	    const struct bytes *value, struct err *err) MUST_CHECK;
	/* Give a key another id, in place of what is there.  ERR_NOT_FOUND: no such key. */
	enum err_code (*move)(
	    void *ctx, const char *from, const char *to, struct err *err) MUST_CHECK;
	/* Success when it is gone already. */
	enum err_code (*remove)(void *ctx, const char *id, struct err *err) MUST_CHECK;

	/* With an opened key.  ERR_INVALID: the key cannot do that; ERR_INTERNAL: the key is damaged. */

	/* Can the key be used as that kind at all? */
	enum err_code (*check)(struct key *key, enum key_kind kind, struct err *err) MUST_CHECK;
	enum err_code (*parameter)(struct key *key, enum key_parameter which, struct bytes *ret,
	    struct err *err) MUST_CHECK;
	enum err_code (*sign)(struct key *key, enum keyd_mech mech, const struct bytes *data,
	    struct bytes *ret, struct err *err) MUST_CHECK;
	enum err_code (*encrypt)(struct key *key, const struct key_cipher *how,
	    const struct bytes *plaintext, struct bytes *ret, struct err *err) MUST_CHECK;
	enum err_code (*decrypt)(struct key *key, const struct key_cipher *how,
	    const struct bytes *ciphertext, struct bytes *ret, struct err *err) MUST_CHECK;
	/* HMAC-SHA256 of data under the key; a key pair's PEM text is the key then (contract 4.7). */
	enum err_code (*derive)(struct key *key, const struct bytes *data, struct bytes *ret,
	    struct err *err) MUST_CHECK;
};

extern const struct backend file_backend;   /* file.c */
extern const struct backend tpm_backend;    /* tpm.c */
extern const struct backend plugin_backend; /* plugin.c */
extern const struct backend pkcs11_backend; /* pkcs11.c */

#endif
