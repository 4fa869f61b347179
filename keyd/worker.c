#include "keyd/worker.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/cache.h"
#include "keyd/worker_proto.h"
#include "platform/pool.h"

#define KEYS_KEPT 256

/*
 * A library that leaks is not let go on until it, or the machine, is out of memory or descriptors: beyond so much over its start keyd
 * starts another.
 */
#define GROWTH_MAX ((size_t)128 << 20)
#define OPENED_MAX 256
#define LOOK_EVERY 16 /* calls: to look takes a tenth of a token's signature */

struct worker {
	const struct backend *backend;
	void *ctx;
	struct cache *cache;
	int statm;     /* /proc/self/statm; -1: not to be had */
	size_t memory; /* bytes resident at the start */
	int opened;    /* the lowest free descriptor then */
	atomic_uint calls;
};

/* --- open and close */

static size_t
memory_of(const struct worker *w)
{
	unsigned long resident = 0;
	char text[128];
	ssize_t n = pread(w->statm, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %lu", &resident) != 1)
		return 0;
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* INT_MAX: none is free. */
static int
lowest_free(const struct worker *w)
{
	int fd = fcntl(w->statm, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return INT_MAX;
	close(fd);
	return fd;
}

void
worker_free(struct worker *w)
{
	if (!w)
		return;
	cache_free(w->cache);
	if (w->ctx)
		w->backend->close(w->ctx);
	fd_closep(&w->statm);
	free(w);
}

enum err_code
worker_new(const struct backend *backend, const struct backend_config *config, struct worker **ret,
    struct err *err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem(err);
	w->backend = backend;
	w->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (cache_new(KEYS_KEPT, &w->cache, err) || backend->open(config, &w->ctx, err)) {
		worker_free(w);
		return err->code;
	}
	w->memory = memory_of(w);
	w->opened = lowest_free(w);
	*ret = w;
	return ERR_OK;
}

/* --- keys */

static struct bytes
borrow(struct text t)
{
	return (struct bytes){ (uint8_t *)(uintptr_t)t.data, t.len };
}

/* The caller holds the claim. */
static enum err_code
find_anew(struct worker *w, const char *id, struct key **ret, struct err *err)
{
	AUTO(key_putp) struct key *key = NULL;

	if (w->backend->find(w->ctx, id, &key, err))
		return err->code;
	cache_put(w->cache, key);
	*ret = key;
	key = NULL;
	return ERR_OK;
}

/* keyd has found it before, perhaps by an earlier worker. */
static enum err_code
open_key(struct worker *w, const char *id, struct key **ret, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };

	*ret = cache_get(w->cache, id);
	if (*ret)
		return ERR_OK;
	cache_claim(w->cache, id, &claim);
	*ret = cache_get(w->cache, id);
	return *ret ? ERR_OK : find_anew(w, id, ret, err);
}

/* --- what is asked about ids */

static enum err_code
do_exists(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	bool yes = false;
	uint8_t octet;

	if (w->backend->exists(w->ctx, q->part[0].data, &yes, err))
		return err->code;
	octet = yes;
	return bytes_copy(ret, &octet, sizeof(octet), err);
}

/* keyd looks only when it has forgotten the key, so that what was changed behind its back counts: then so must it here. */
static enum err_code
do_find(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	const char *id = q->part[0].data;

	(void)ret;
	cache_claim(w->cache, id, &claim);
	cache_drop(w->cache, id);
	return find_anew(w, id, &key, err);
}

/* One that changes what is stored under an id. */
static enum err_code
change(struct worker *w, const struct worker_question *q, struct err *err)
{
	const char *id = q->part[0].data;
	const struct bytes value = borrow(q->part[1]);

	switch (q->op) {
	case WORKER_CREATE_KEY:
		return w->backend->create_key(w->ctx, id, q->arg, err);
	case WORKER_CREATE_PAIR:
		return w->backend->create_pair(w->ctx, id, (enum key_algorithm)q->arg, err);
	case WORKER_IMPORT:
		return w->backend->import_key(w->ctx, id, q->arg, &value, err);
	default:
		return w->backend->remove(w->ctx, id, err);
	}
}

static enum err_code
do_change(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };
	const char *id = q->part[0].data;

	(void)ret;
	cache_claim(w->cache, id, &claim);
	cache_drop(w->cache, id);
	return change(w, q, err);
}

static enum err_code
do_move(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	AUTO(cache_release) struct cache_claim first = { 0 };
	AUTO(cache_release) struct cache_claim second = { 0 };
	const char *from = q->part[0].data, *to = q->part[1].data;
	int order = strcmp(from, to);

	(void)ret;
	if (order == 0)
		return err_set(err, ERR_INVALID, "source and destination for move are identical");
	cache_claim(w->cache, order < 0 ? from : to, &first);
	cache_claim(w->cache, order < 0 ? to : from, &second);
	cache_drop(w->cache, from);
	cache_drop(w->cache, to);
	return w->backend->move(w->ctx, from, to, err);
}

/* --- what is asked of keys */

static enum err_code
use(struct key *key, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	const struct bytes data = borrow(q->part[1]), iv = borrow(q->part[2]),
			   aad = borrow(q->part[3]);
	const struct key_cipher how = {
		.cipher = (enum keyd_cipher)q->arg, .iv = &iv, .aad = &aad
	};

	switch (q->op) {
	case WORKER_CHECK:
		return key->backend->check(key, (enum key_kind)q->arg, err);
	case WORKER_PARAMETER:
		return key->backend->parameter(key, (enum key_parameter)q->arg, ret, err);
	case WORKER_SIGN:
		return key->backend->sign(key, (enum keyd_mech)q->arg, &data, ret, err);
	case WORKER_ENCRYPT:
		return key->backend->encrypt(key, &how, &data, ret, err);
	case WORKER_DECRYPT:
		return key->backend->decrypt(key, &how, &data, ret, err);
	default:
		return key->backend->derive(key, &data, ret, err);
	}
}

static enum err_code
do_use(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	AUTO(key_putp) struct key *key = NULL;
	const char *id = q->part[0].data;
	enum err_code code;

	if (open_key(w, id, &key, err))
		return err->code;
	code = use(key, q, ret, err);
	if (code == ERR_NOT_FOUND)
		cache_drop(w->cache, id);
	return code;
}

static enum err_code
refuse(struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err)
{
	(void)w, (void)q, (void)ret;
	return err_set(err, ERR_INVALID, "the worker is open already");
}

static enum err_code (*const answers[WORKER_OPS])(
    struct worker *w, const struct worker_question *q, struct bytes *ret, struct err *err) = {
	[WORKER_HELLO] = refuse,
	[WORKER_EXISTS] = do_exists,
	[WORKER_FIND] = do_find,
	[WORKER_CREATE_KEY] = do_change,
	[WORKER_CREATE_PAIR] = do_change,
	[WORKER_IMPORT] = do_change,
	[WORKER_MOVE] = do_move,
	[WORKER_REMOVE] = do_change,
	[WORKER_CHECK] = do_use,
	[WORKER_PARAMETER] = do_use,
	[WORKER_SIGN] = do_use,
	[WORKER_ENCRYPT] = do_use,
	[WORKER_DECRYPT] = do_use,
	[WORKER_DERIVE] = do_use,
};

static bool
has_grown(struct worker *w)
{
	if (atomic_fetch_add_explicit(&w->calls, 1, memory_order_relaxed) % LOOK_EVERY != 0)
		return false;
	if (w->statm < 0)
		return false;
	return memory_of(w) > w->memory + GROWTH_MAX || lowest_free(w) - OPENED_MAX > w->opened;
}

static enum err_code
answer_one(struct worker *w, int fd, const struct worker_received *r, struct err *err)
{
	AUTO(worker_answer_done) struct worker_answer a = { 0 };
	enum err_code code = answers[r->q.op](w, &r->q, &a.value, &a.error);

	/* what was returned counts, whatever an earlier attempt has left behind; and who may do what is keyd's alone to say */
	a.error.code = code == ERR_DENIED ? ERR_CRYPTO : code;
	a.last = has_grown(w);
	return worker_reply(fd, r, &a, err);
}

enum err_code
worker_answer_all(struct worker *w, int fd, struct err *err)
{
	pool_set_may_block(true);
	for (;;) {
		AUTO(worker_received_done) struct worker_received r = { 0 };

		if (worker_receive(fd, &r, err) || answer_one(w, fd, &r, err))
			return err->code == ERR_UNREACHABLE ? ERR_OK : err->code;
	}
}
