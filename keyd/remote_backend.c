#include <stddef.h>
#include <stdlib.h>

#include "keyd/remote.h"

/* A place whose work a key worker does: each call is packed, and its answer unpacked. */

struct remote_key {
	struct key key;
	struct remote *remote;
};

static struct remote_key *
remote_key_of(struct key *key)
{
	return (struct remote_key *)((char *)key - offsetof(struct remote_key, key));
}

static enum err_code
remote_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	(void)err;
	*ret_ctx = config->remote;
	return ERR_OK;
}

/* The worker ends with its group: remotes_stop. */
static void
remote_close(void *ctx)
{
	(void)ctx;
}

static struct pool *
remote_lane(void *ctx)
{
	return remote_pool(ctx);
}

/* A thread that may not wait says which may. */
static enum err_code
ask(struct remote *r, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	if (pool_may_block())
		return remote_call(r, q, ret, err);
	pool_want(remote_pool(r));
	return err_set(err, ERR_WOULD_BLOCK, "a key worker is to be asked");
}

/* --- by id */

static enum err_code
remote_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	const struct worker_question q = { .op = WORKER_EXISTS, .part = { text_of(id) } };
	AUTO(bytes_done) struct bytes octet = { 0 };

	if (ask(ctx, &q, &octet, err))
		return err->code;
	*ret = octet.data[0] == 1;
	return ERR_OK;
}

static void
remote_key_free(struct key *key)
{
	str_freep(&key->id);
	free(remote_key_of(key));
}

static enum err_code
remote_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	const struct worker_question q = { .op = WORKER_FIND, .part = { text_of(id) } };
	struct remote_key *k;

	if (ask(ctx, &q, NULL, err))
		return err->code;
	k = calloc(1, sizeof(*k));
	if (!k)
		return err_nomem(err);
	k->remote = ctx;
	k->key.backend = &remote_backend;
	atomic_init(&k->key.refs, 1);
	if (str_copy(&k->key.id, id, err)) {
		remote_key_free(&k->key);
		return err->code;
	}
	*ret = &k->key;
	return ERR_OK;
}

static enum err_code
remote_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	const struct worker_question q = {
		.op = WORKER_CREATE_KEY, .arg = usage, .part = { text_of(id) }
	};

	return ask(ctx, &q, NULL, err);
}

static enum err_code
remote_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	const struct worker_question q = {
		.op = WORKER_CREATE_PAIR, .arg = algorithm, .part = { text_of(id) }
	};

	return ask(ctx, &q, NULL, err);
}

static enum err_code
remote_import_key(
    void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	const struct worker_question q = {
		.op = WORKER_IMPORT, .arg = usage, .part = { text_of(id), text_of_bytes(value) }
	};

	return ask(ctx, &q, NULL, err);
}

static enum err_code
remote_move(void *ctx, const char *from, const char *to, struct err *err)
{
	const struct worker_question q = { .op = WORKER_MOVE,
		.part = { text_of(from), text_of(to) } };

	return ask(ctx, &q, NULL, err);
}

static enum err_code
remote_remove(void *ctx, const char *id, struct err *err)
{
	const struct worker_question q = { .op = WORKER_REMOVE, .part = { text_of(id) } };

	return ask(ctx, &q, NULL, err);
}

/* --- by key */

static enum err_code
ask_key(struct key *key, struct worker_question *q, struct bytes *ret, struct err *err)
{
	q->part[0] = text_of(key->id);
	return ask(remote_key_of(key)->remote, q, ret, err);
}

static enum err_code
remote_check(struct key *key, enum key_kind kind, struct err *err)
{
	struct worker_question q = { .op = WORKER_CHECK, .arg = kind };

	return ask_key(key, &q, NULL, err);
}

static enum err_code
remote_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	struct worker_question q = { .op = WORKER_PARAMETER, .arg = which };

	return ask_key(key, &q, ret, err);
}

static enum err_code
remote_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	struct worker_question q = {
		.op = WORKER_SIGN, .arg = mech, .part = { [1] = text_of_bytes(data) }
	};

	return ask_key(key, &q, ret, err);
}

static enum err_code
cipher(enum worker_op op, struct key *key, const struct key_cipher *how, const struct bytes *text,
    struct bytes *ret, struct err *err)
{
	struct worker_question q = { .op = op,
		.arg = how->cipher,
		.part = { [1] = text_of_bytes(text),
		    [2] = text_of_bytes(how->iv),
		    [3] = text_of_bytes(how->aad) } };

	return ask_key(key, &q, ret, err);
}

static enum err_code
remote_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	return cipher(WORKER_ENCRYPT, key, how, plaintext, ret, err);
}

static enum err_code
remote_decrypt(struct key *key, const struct key_cipher *how, const struct bytes *ciphertext,
    struct bytes *ret, struct err *err)
{
	return cipher(WORKER_DECRYPT, key, how, ciphertext, ret, err);
}

static enum err_code
remote_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	struct worker_question q = { .op = WORKER_DERIVE, .part = { [1] = text_of_bytes(data) } };

	return ask_key(key, &q, ret, err);
}

const struct backend remote_backend = {
	.name = "remote",
	.open = remote_open,
	.close = remote_close,
	.pool = remote_lane,
	.exists = remote_exists,
	.find = remote_find,
	.key_free = remote_key_free,
	.create_key = remote_create_key,
	.create_pair = remote_create_pair,
	.import_key = remote_import_key,
	.move = remote_move,
	.remove = remote_remove,
	.check = remote_check,
	.parameter = remote_parameter,
	.sign = remote_sign,
	.encrypt = remote_encrypt,
	.decrypt = remote_decrypt,
	.derive = remote_derive,
};
