#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "crypto/digest.h"
#include "keyd/file_store.h"
#include "keyd/mech.h"
#include "keyd/pair.h"
#include "platform/pool.h"

/*
 * Keys as files, with upstream's names and formats, so that an existing device's keys are found (contracts/keyd.md 6):
 * `<homedir>/keys/<A>-<H>.key`, or where a preloaded id says; PEM for a key pair, raw bytes for a key.  Written whole and
 * durably or not at all, readable by nobody else (index-identity.md S4, R5).
 */

#define KEY_LEN	  32 /* of a symmetric key made here */
#define PEM_BEGIN "-----BEGIN "

struct file_backend {
	struct file_store *store;
	const struct mech *mech;
};

struct file_key {
	struct key key;
	const struct mech *mech;
	struct bytes content; /* the whole file */
	struct mech_hmac *hmac;
	struct pair *pair; /* NULL: the content is none */
};

static struct file_key *
file_key_of(struct key *key)
{
	return (struct file_key *)((char *)key - offsetof(struct file_key, key));
}

/* --- open and close */

static void
file_close(void *ctx)
{
	struct file_backend *b = ctx;

	file_store_close(b->store);
	free(b);
}

static enum err_code
file_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	struct file_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(err);
	b->mech = config->mech;
	if (file_store_open(config, &b->store, err)) {
		free(b);
		return err->code;
	}
	*ret_ctx = b;
	return ERR_OK;
}

static enum err_code
path_of(const struct file_backend *b, const char *id, char **ret, struct err *err)
{
	return file_store_path(b->store, id, ret, err);
}

static enum err_code
may_block(struct err *err)
{
	if (pool_may_block())
		return ERR_OK;
	return err_set(err, ERR_WOULD_BLOCK, "a key file is to be read or written");
}

/* --- reading */

static void
file_key_free(struct key *key)
{
	struct file_key *f = file_key_of(key);

	bytes_done(&f->content);
	mech_hmac_free(f->hmac);
	pair_free(f->pair);
	str_freep(&f->key.id);
	free(f);
}

/* Any bytes are a key; what is no key pair is found out by who asks for one. */
static enum err_code
parse_content(struct file_key *f, struct err *err)
{
	if (mech_hmac_new(f->mech, &f->content, &f->hmac, err))
		return err->code;
	if (memmem(f->content.data, f->content.len, PEM_BEGIN, strlen(PEM_BEGIN)) &&
	    pair_read(&f->content, &f->pair, err) == ERR_NOMEM)
		return err->code;
	err_clear(err);
	return ERR_OK;
}

static enum err_code
file_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	const struct file_backend *b = ctx;
	AUTO(str_freep) char *path = NULL;
	struct file_key *f;

	if (may_block(err) || path_of(b, id, &path, err))
		return err->code;
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_nomem(err);
	f->key.backend = &file_backend;
	f->mech = b->mech;
	atomic_init(&f->key.refs, 1);
	if (str_copy(&f->key.id, id, err) || file_store_read(b->store, path, &f->content, err) ||
	    parse_content(f, err)) {
		file_key_free(&f->key);
		return err->code;
	}
	*ret = &f->key;
	return ERR_OK;
}

static enum err_code
file_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct stat st;

	if (may_block(err) || path_of(ctx, id, &path, err))
		return err->code;
	if (lstat(path, &st) == 0)
		*ret = true;
	else if (errno == ENOENT)
		*ret = false;
	else /* it may be there, and must not be taken for deleted */
		return err_errno(err, "could not look for %s", path);
	return ERR_OK;
}

/* --- writing */

/* Somebody else may have made it meanwhile; theirs then is the key. */
static enum err_code
store_new(
    const struct file_backend *b, const char *id, const struct bytes *content, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (path_of(b, id, &path, err))
		return err->code;
	if (file_store_create(b->store, path, content, err) && err->code != ERR_CONFLICT)
		return err->code;
	err_clear(err);
	return ERR_OK;
}

static enum err_code
file_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	AUTO(bytes_done) struct bytes content = { 0 };

	(void)usage; /* a file can do everything (contract 4.1) */
	if (may_block(err) || bytes_alloc(&content, KEY_LEN, err) ||
	    digest_random(content.data, content.len, err))
		return err->code;
	return store_new(ctx, id, &content, err);
}

static enum err_code
file_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	AUTO(bytes_done) struct bytes pem = { 0 };

	if (may_block(err) || pair_generate(algorithm, &pem, err))
		return err->code;
	return store_new(ctx, id, &pem, err);
}

static enum err_code
file_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct file_backend *b = ctx;
	AUTO(str_freep) char *path = NULL;

	(void)usage;
	if (may_block(err) || path_of(b, id, &path, err))
		return err->code;
	return file_store_write(b->store, path, value, err);
}

static enum err_code
file_move(void *ctx, const char *from, const char *to, struct err *err)
{
	const struct file_backend *b = ctx;
	AUTO(str_freep) char *source = NULL;
	AUTO(str_freep) char *target = NULL;

	if (may_block(err) || path_of(b, from, &source, err) || path_of(b, to, &target, err))
		return err->code;
	return file_store_move(b->store, source, target, err);
}

static enum err_code
file_remove_key(void *ctx, const char *id, struct err *err)
{
	const struct file_backend *b = ctx;
	AUTO(str_freep) char *path = NULL;

	if (may_block(err) || path_of(b, id, &path, err))
		return err->code;
	return file_store_remove(b->store, path, err);
}

/* --- use */

static enum err_code
pair_of(struct key *key, struct pair **ret, struct err *err)
{
	struct file_key *f = file_key_of(key);

	if (!f->pair)
		return err_set(err, ERR_INTERNAL,
		    "key file of %s is malformed: it holds no key pair", key->id);
	*ret = f->pair;
	return ERR_OK;
}

/* A pair for a private operation over len bytes; slow ones only where waiting is allowed. */
static enum err_code
pair_to_work(struct key *key, size_t len, struct pair **ret, struct err *err)
{
	if (pair_of(key, ret, err))
		return err->code;
	if (pair_is_slow(*ret, len) && !pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "the key is slow");
	return ERR_OK;
}

static enum err_code
file_check(struct key *key, enum key_kind kind, struct err *err)
{
	struct pair *pair = NULL;

	return kind == KEY_PAIR ? pair_of(key, &pair, err) : ERR_OK;
}

static enum err_code
file_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	struct pair *pair = NULL;

	if (pair_of(key, &pair, err))
		return err->code;
	return pair_parameter(pair, which, ret, err);
}

static enum err_code
file_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	struct pair *pair = NULL;

	if (mech == KEYD_HMAC_SHA256)
		return mech_hmac_sign(file_key_of(key)->hmac, data, ret, err);
	if (pair_to_work(key, data->len, &pair, err))
		return err->code;
	return mech == KEYD_EDDSA ? pair_eddsa(pair, data, ret, err)
				  : pair_ecdsa(pair, data, ret, err);
}

static enum err_code
file_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	struct file_key *f = file_key_of(key);
	struct pair *pair = NULL;

	if (how->cipher == KEYD_AEAD)
		return mech_aead_seal(f->mech, &f->content, how->iv, how->aad, plaintext, ret, err);
	if (pair_to_work(key, plaintext->len, &pair, err))
		return err->code;
	return pair_rsa(pair, how->cipher == KEYD_RSA_PKCS1, plaintext, ret, err);
}

static enum err_code
file_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	struct file_key *f = file_key_of(key);

	if (how->cipher != KEYD_AEAD)
		return err_set(err, ERR_INVALID, "there is no decryption with a key pair");
	return mech_aead_open(f->mech, &f->content, how->iv, how->aad, ciphertext, ret, err);
}

static enum err_code
file_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	return mech_hmac_sign(file_key_of(key)->hmac, data, ret, err);
}

const struct backend file_backend = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.exists = file_exists,
	.find = file_find,
	.key_free = file_key_free,
	.create_key = file_create_key,
	.create_pair = file_create_pair,
	.import_key = file_import_key,
	.move = file_move,
	.remove = file_remove_key,
	.check = file_check,
	.parameter = file_parameter,
	.sign = file_sign,
	.encrypt = file_encrypt,
	.decrypt = file_decrypt,
	.derive = file_derive,
};
