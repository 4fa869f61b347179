#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "client/tpmd.h"
#include "crypto/digest.h"
#include "keyd/backend.h"
#include "keyd/pair.h"
#include "keyd/tpm_pem.h"
#include "keyd/tpm_public.h"
#include "platform/pool.h"

/*
 * Keys that live in the device's TPM: tpmd makes them below the storage root key, and here they are kept as files that only that
 * TPM can use, `<homedir>/tpm/<A>-<H>.pem` (tpm_pem.h).  Every private operation is a call to tpmd; opening a key, its public
 * parameters, moving and removing are not.
 */

#define SUFFIX	 ".pem"
#define FILE_MAX 8192
#define CALL_MS	 20000 /* of a call to tpmd, but for making a key */

struct tpm_backend {
	char *dir;
	struct tpmd_client *tpmd;
};

struct tpm_key {
	struct key key;
	struct tpm_backend *backend;
	struct tpmd_object object;
	struct tpm_public public;
};

static struct tpm_key *
tpm_key_of(struct key *key)
{
	return (struct tpm_key *)((char *)key - offsetof(struct tpm_key, key));
}

/* --- open and close */

static void
tpm_close(void *ctx)
{
	struct tpm_backend *b = ctx;

	if (!b)
		return;
	tpmd_client_free(b->tpmd);
	str_freep(&b->dir);
	free(b);
}

static enum err_code
open_in(struct tpm_backend *b, const struct backend_config *config, struct err *err)
{
	const struct unix_client_config tpmd = { .path = config->tpmd, .timeout_ms = CALL_MS };

	if (!config->homedir)
		return err_set(err, ERR_CONFIG, "keys of the TPM need aziot_keys.homedir_path");
	if (str_format(&b->dir, err, "%s/tpm", config->homedir) || file_mkdirs(b->dir, 0700, err) ||
	    tpmd_client_new(&tpmd, &b->tpmd, err))
		return err->code;
	file_sweep(b->dir);
	return ERR_OK;
}

static enum err_code
tpm_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	struct tpm_backend *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(err);
	if (open_in(b, config, err)) {
		tpm_close(b);
		return err->code;
	}
	*ret_ctx = b;
	return ERR_OK;
}

static enum err_code
may_block(struct err *err)
{
	if (pool_may_block())
		return ERR_OK;
	return err_set(err, ERR_WOULD_BLOCK, "the TPM is to be asked");
}

static enum err_code
path_of(const struct tpm_backend *b, const char *id, char **ret, struct err *err)
{
	AUTO(str_freep) char *name = NULL;

	if (digest_file_name(id, SUFFIX, &name, err))
		return err->code;
	return str_format(ret, err, "%s/%s", b->dir, name);
}

/*
 * What tpmd's answer means here: a refused object is a key of ours that is damaged, and whatever may work later is said to be so,
 * lest somebody makes the key anew.
 */
static enum err_code
tpmd_error(const char *id, struct err *err)
{
	if (err->code != ERR_PEER)
		return err_wrap(err, "could not use the TPM for key %s", id);
	if (err->status == 401)
		return err_wrap_code(err, ERR_INTERNAL,
		    "tpmd does not let this user have keys in the TPM: add a [[principal]] with "
		    "its uid to tpmd's configuration");
	if (err->status >= 500)
		return err_wrap_code(
		    err, ERR_UNREACHABLE, "the TPM cannot be used now; tpmd's log says why");
	return err_wrap_code(err, ERR_INTERNAL, "the TPM refuses key %s", id);
}

/* --- reading */

static void
tpm_key_free(struct key *key)
{
	struct tpm_key *k = tpm_key_of(key);

	tpmd_object_done(&k->object);
	str_freep(&k->key.id);
	free(k);
}

/* A damaged file is an error of ours and stays as it is. */
static enum err_code
read_object(
    const char *path, struct tpmd_object *ret, struct tpm_public *ret_public, struct err *err)
{
	AUTO(bytes_done) struct bytes pem = { 0 };

	if (file_read(path, FILE_MAX, &pem, err))
		return err->code == ERR_INVALID ? err_wrap_code(err, ERR_INTERNAL, "bad key file")
						: err->code;
	if (tpm_pem_read(&pem, ret, err) || tpm_public_read(&ret->public, ret_public, err))
		return err_wrap_code(err, ERR_INTERNAL, "key file %s is damaged", path);
	return ERR_OK;
}

static enum err_code
tpm_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct tpm_backend *b = ctx;
	AUTO(str_freep) char *path = NULL;
	struct tpm_key *k;

	if (may_block(err) || path_of(b, id, &path, err))
		return err->code;
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_nomem(err);
	k->key.backend = &tpm_backend;
	k->backend = b;
	atomic_init(&k->key.refs, 1);
	if (str_copy(&k->key.id, id, err) || read_object(path, &k->object, &k->public, err)) {
		tpm_key_free(&k->key);
		return err->code;
	}
	*ret = &k->key;
	return ERR_OK;
}

static bool
is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static enum err_code
tpm_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (may_block(err) || path_of(ctx, id, &path, err))
		return err->code;
	*ret = is_there(path);
	return ERR_OK;
}

/* --- making */

/* The file of what tpmd has made, which must be a key of that kind. */
static enum err_code
to_file(
    const struct tpmd_object *made, enum tpm_key_kind kind, struct bytes *ret_pem, struct err *err)
{
	struct tpm_public public;

	if (tpm_public_read(&made->public, &public, err))
		return err_wrap_code(err, ERR_PROTOCOL, "tpmd's answer is no key");
	if (public.kind != kind)
		return err_set(err, ERR_PROTOCOL, "tpmd's answer is another kind of key");
	return tpm_pem_write(made, ret_pem, err);
}

static enum err_code
create(struct tpm_backend *b, const char *id, enum tpmd_algorithm algorithm, struct err *err)
{
	static const enum tpm_key_kind kinds[] = { [TPMD_EC_P256] = TPM_KEY_EC_P256,
		[TPMD_RSA_2048] = TPM_KEY_RSA_2048,
		[TPMD_HMAC_SHA256] = TPM_KEY_HMAC };
	AUTO(tpmd_object_done) struct tpmd_object made = { 0 };
	AUTO(bytes_done) struct bytes pem = { 0 };
	AUTO(str_freep) char *path = NULL;

	if (may_block(err) || path_of(b, id, &path, err))
		return err->code;
	if (is_there(path))
		return ERR_OK;
	if (tpmd_client_create_key(b->tpmd, algorithm, &made, err))
		return tpmd_error(id, err);
	if (to_file(&made, kinds[algorithm], &pem, err))
		return err->code;
	/* somebody else may have made it meanwhile; theirs then is the key */
	if (file_create(path, 0600, pem.data, pem.len, err) && err->code != ERR_CONFLICT)
		return err->code;
	err_clear(err);
	return ERR_OK;
}

static enum err_code
check_usage(unsigned usage, struct err *err)
{
	if (usage & KEYD_USE_ENCRYPT)
		return err_set(err, ERR_UNSUPPORTED, "a key in the TPM does not encrypt");
	return ERR_OK;
}

static enum err_code
tpm_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	if (check_usage(usage, err))
		return err->code;
	return create(ctx, id, TPMD_HMAC_SHA256, err);
}

static enum err_code
tpm_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	if (algorithm == KEY_EC_P256)
		return create(ctx, id, TPMD_EC_P256, err);
	if (algorithm == KEY_RSA_2048)
		return create(ctx, id, TPMD_RSA_2048, err);
	return err_set(err, ERR_UNSUPPORTED, "the TPM makes ec-p256 and rsa-2048 only");
}

/* A key longer than a block counts as its digest (RFC 2104, 2), and a TPM takes no more than a block. */
static enum err_code
shorten(const struct bytes *value, struct bytes *ret, struct err *err)
{
	if (value->len <= TPMD_HMAC_KEY_MAX)
		return bytes_copy(ret, value->data, value->len, err);
	if (bytes_alloc(ret, SHA256_LEN, err))
		return err->code;
	return digest_sha256(value->data, value->len, ret->data, err);
}

static enum err_code
tpm_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	struct tpm_backend *b = ctx;
	AUTO(tpmd_object_done) struct tpmd_object made = { 0 };
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(bytes_done) struct bytes pem = { 0 };
	AUTO(str_freep) char *path = NULL;

	if (check_usage(usage, err) || may_block(err) || path_of(b, id, &path, err) ||
	    shorten(value, &key, err))
		return err->code;
	if (tpmd_client_import_key(b->tpmd, &key, &made, err))
		return tpmd_error(id, err);
	if (to_file(&made, TPM_KEY_HMAC, &pem, err))
		return err->code;
	return file_write(path, 0600, pem.data, pem.len, err);
}

static enum err_code
tpm_move(void *ctx, const char *from, const char *to, struct err *err)
{
	AUTO(str_freep) char *source = NULL;
	AUTO(str_freep) char *target = NULL;

	if (may_block(err) || path_of(ctx, from, &source, err) || path_of(ctx, to, &target, err))
		return err->code;
	return file_rename(source, target, err);
}

static enum err_code
tpm_remove(void *ctx, const char *id, struct err *err)
{
	AUTO(str_freep) char *path = NULL;

	if (may_block(err) || path_of(ctx, id, &path, err))
		return err->code;
	return file_remove(path, err);
}

/* --- use */

static enum err_code
unfit(struct err *err)
{
	return err_set(err, ERR_INVALID, "the key cannot do that");
}

static enum err_code
tpm_check(struct key *key, enum key_kind kind, struct err *err)
{
	bool symmetric = tpm_key_of(key)->public.kind == TPM_KEY_HMAC;

	return symmetric == (kind == KEY_SYMMETRIC) ? ERR_OK : unfit(err);
}

static enum err_code
tpm_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	return tpm_public_parameter(&tpm_key_of(key)->public, which, ret, err);
}

/* Have tpmd do it; the answer has from min to max bytes. */
static enum err_code
use(struct key *key, enum tpmd_mech mech, const struct bytes *data, size_t min, size_t max,
    struct bytes *ret, struct err *err)
{
	struct tpm_key *k = tpm_key_of(key);
	AUTO(bytes_done) struct bytes out = { 0 };

	if (may_block(err))
		return err->code;
	if (tpmd_client_use_key(k->backend->tpmd, &k->object, mech, data, &out, err))
		return tpmd_error(key->id, err);
	if (out.len < min || out.len > max)
		return err_set(err, ERR_PROTOCOL, "tpmd's answer has %zu bytes", out.len);
	*ret = bytes_take(&out);
	return ERR_OK;
}

static enum err_code
hmac(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	if (tpm_key_of(key)->public.kind != TPM_KEY_HMAC)
		return unfit(err);
	if (data->len > TPMD_MESSAGE_MAX)
		return err_set(err, ERR_INVALID,
		    "a message for a key of the TPM has at most %d bytes", TPMD_MESSAGE_MAX);
	return use(key, TPMD_SIGN_HMAC, data, SHA256_LEN, SHA256_LEN, ret, err);
}

static enum err_code
tpm_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	if (mech == KEYD_HMAC_SHA256)
		return hmac(key, data, ret, err);
	if (mech != KEYD_ECDSA || tpm_key_of(key)->public.kind != TPM_KEY_EC_P256)
		return unfit(err);
	if (data->len < PAIR_DIGEST_MIN || data->len > PAIR_DIGEST_MAX)
		return err_set(err, ERR_INVALID, "a digest has %d to %d bytes", PAIR_DIGEST_MIN,
		    PAIR_DIGEST_MAX);
	/* two numbers of 1 to 33 bytes, each behind two, in a sequence behind two */
	return use(key, TPMD_SIGN_ECDSA, data, 8, 72, ret, err);
}

static enum err_code
tpm_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	const struct tpm_public *public = &tpm_key_of(key)->public;
	AUTO(bytes_done) struct bytes block = { 0 };

	if (how->cipher == KEYD_AEAD || public->kind != TPM_KEY_RSA_2048)
		return unfit(err);
	if (how->cipher == KEYD_RSA_PKCS1) {
		if (tpm_public_pad(plaintext, &block, err))
			return err->code;
		return use(key, TPMD_SIGN_RSA_RAW, &block, TPM_RSA_LEN, TPM_RSA_LEN, ret, err);
	}
	if (plaintext->len != TPM_RSA_LEN ||
	    memcmp(plaintext->data, public->modulus, TPM_RSA_LEN) >= 0)
		return err_set(err, ERR_CRYPTO, "the data does not fit the modulus");
	return use(key, TPMD_SIGN_RSA_RAW, plaintext, TPM_RSA_LEN, TPM_RSA_LEN, ret, err);
}

static enum err_code
tpm_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	(void)key, (void)how, (void)ciphertext, (void)ret;
	return unfit(err);
}

const struct backend tpm_backend = {
	.name = "tpm",
	.open = tpm_open,
	.close = tpm_close,
	.exists = tpm_exists,
	.find = tpm_find,
	.key_free = tpm_key_free,
	.create_key = tpm_create_key,
	.create_pair = tpm_create_pair,
	.import_key = tpm_import_key,
	.move = tpm_move,
	.remove = tpm_remove,
	.check = tpm_check,
	.parameter = tpm_parameter,
	.sign = tpm_sign,
	.encrypt = tpm_encrypt,
	.decrypt = tpm_decrypt,
	.derive = hmac,
};
