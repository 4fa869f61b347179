#include "keyd/keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "crypto/digest.h"
#include "keyd/cache.h"
#include "keyd/epoch.h"
#include "keyd/keys_priv.h"
#include "platform/pool.h"

#define KEYS_KEPT 256

struct keys {
	struct policy *policy;
	struct permit *permit;
	struct mech *mech;
	struct stores_config places;
	struct stores *stores;
	struct handle_secret *secret;
	struct cache *cache;
	char *epochs_dir; /* NULL: no homedir */
};

/* --- open and close */

static enum err_code
make_secret(const char *path, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes secret = { 0 };

	if (bytes_alloc(&secret, HANDLE_SECRET_LEN, err) ||
	    digest_random(secret.data, secret.len, err) ||
	    (path && file_create(path, 0600, secret.data, secret.len, err)))
		return err->code;
	*ret = bytes_take(&secret);
	return ERR_OK;
}

/* The epochs' directory is made after the secret, so one without the other tells that the secret was lost. */
static enum err_code
read_secret(const char *path, const char *epochs_dir, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes secret = { 0 };
	struct stat st;

	if (file_read(path, HANDLE_SECRET_LEN, &secret, err) == ERR_OK) {
		if (secret.len != HANDLE_SECRET_LEN)
			return err_set(err, ERR_INTERNAL,
			    "%s is damaged: put back the file of %d bytes from a backup", path,
			    HANDLE_SECRET_LEN);
		*ret = bytes_take(&secret);
		return ERR_OK;
	}
	if (err->code != ERR_NOT_FOUND)
		return err_wrap_code(err, ERR_INTERNAL, "could not read the handle secret");
	if (stat(epochs_dir, &st) == 0)
		return err_set(err, ERR_INTERNAL,
		    "%s is lost: put it back from a backup, or remove %s to begin anew, which ends "
		    "all handles",
		    path, epochs_dir);
	return make_secret(path, ret, err);
}

static enum err_code
open_secret(struct keys *k, const char *homedir, struct err *err)
{
	AUTO(bytes_done) struct bytes secret = { 0 };
	AUTO(str_freep) char *path = NULL;

	if (!homedir) {
		if (make_secret(NULL, &secret, err))
			return err->code;
		return handle_secret_new(&secret, &k->secret, err);
	}
	if (str_format(&path, err, "%s/handles.key", homedir) ||
	    str_format(&k->epochs_dir, err, "%s/epochs", homedir) ||
	    file_mkdirs(homedir, 0700, err) || read_secret(path, k->epochs_dir, &secret, err) ||
	    file_mkdirs(k->epochs_dir, 0700, err))
		return err->code;
	file_sweep(homedir);
	file_sweep(k->epochs_dir);
	return handle_secret_new(&secret, &k->secret, err);
}

static enum err_code
open_in(struct keys *k, const struct keys_config *config, struct err *err)
{
	if (mech_new(&k->mech, err) || cache_new(KEYS_KEPT, &k->cache, err) ||
	    open_secret(k, config->homedir, err))
		return err->code;
	k->places = config->stores;
	return stores_open(&k->places, k->mech, &k->stores, err);
}

enum err_code
keys_open(
    const struct keys_config *config, struct policy *policy, struct keys **ret, struct err *err)
{
	struct keys *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem(err);
	k->policy = policy;
	k->permit = config->permit;
	if (open_in(k, config, err)) {
		keys_close(k);
		return err->code;
	}
	*ret = k;
	return ERR_OK;
}

void
keys_close(struct keys *k)
{
	if (!k)
		return;
	cache_free(k->cache);
	stores_close(k->stores);
	handle_secret_free(k->secret);
	mech_free(k->mech);
	str_freep(&k->epochs_dir);
	free(k);
}

void
keys_forget(struct keys *k)
{
	cache_clear(k->cache);
}

enum err_code
keys_check(const struct keys *k, struct err *err)
{
	struct stat st;

	if (k->epochs_dir && stat(k->epochs_dir, &st))
		return err_errno(err, "%s cannot be used", k->epochs_dir);
	return ERR_OK;
}

/* --- common to many calls */

enum err_code
keys_bad_value(struct err *err)
{
	return err_set(err, ERR_INVALID, "a parameter has an invalid value");
}

enum err_code
keys_contract_error(struct err *err)
{
	if (err->code == ERR_NOT_FOUND || err->code == ERR_INVALID)
		return keys_bad_value(err);
	return err->code;
}

/* May this thread wait for the places of id?  Else say which may. */
static enum err_code
may_block(const struct keys *k, const char *id, struct err *err)
{
	if (pool_may_block())
		return ERR_OK;
	pool_want(stores_pool(k->stores, id));
	return err_set(err, ERR_WOULD_BLOCK, "a key is to be opened or changed");
}

enum err_code
keys_permit(struct keys *k, const struct peer *peer, const char *id, enum permit_verb verb,
    enum permit_algorithm algorithm, struct err *err)
{
	enum err_code code = permit_use(k->permit, peer, id, verb, algorithm, err);

	return code == ERR_WOULD_BLOCK ? may_block(k, id, err) : code;
}

/* Handles of a process without homedir end with it, so there is nothing to count. */
static enum err_code
epoch_of(const struct keys *k, const char *id, uint64_t *ret, struct err *err)
{
	if (k->epochs_dir)
		return epoch_get(k->epochs_dir, id, ret, err);
	*ret = 0;
	return ERR_OK;
}

/* The opened key of an id, kept or found: in the first place that has it.  The caller holds the claim.  ERR_NOT_FOUND. */
static enum err_code
open_claimed(struct keys *k, const char *id, struct key **ret, struct err *err)
{
	AUTO(key_putp) struct key *key = NULL;
	uint64_t clears = cache_clears(k->cache);

	*ret = cache_get(k->cache, id); /* who held the claim before may have opened it */
	if (*ret)
		return ERR_OK;
	if (stores_find(k->stores, id, &key, err) || epoch_of(k, id, &key->epoch, err))
		return err->code;
	cache_put_since(k->cache, key, clears);
	*ret = key;
	key = NULL;
	return ERR_OK;
}

static enum err_code
open_key(struct keys *k, const char *id, struct key **ret, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };

	*ret = cache_get(k->cache, id);
	if (*ret)
		return ERR_OK;
	if (may_block(k, id, err))
		return err->code;
	cache_claim(k->cache, id, &claim);
	return open_claimed(k, id, ret, err);
}

enum err_code
keys_read_handle(struct keys *k, const char *text, struct handle *ret, struct err *err)
{
	if (handle_open(k->secret, text, ret, err))
		return err_param(err, "handle");
	return ERR_OK;
}

/* The handle of a key that was deleted since, whether or not there is another of that id. */
static enum err_code
stale_handle(struct err *err)
{
	err_set(err, ERR_INVALID, "invalid handle");
	return err_param(err, "handle");
}

enum err_code
keys_open_handle(struct keys *k, const struct handle *h, struct key **ret, struct err *err)
{
	AUTO(key_putp) struct key *key = NULL;

	if (open_key(k, h->id, &key, err))
		return keys_contract_error(err);
	if (key->epoch != h->epoch)
		return stale_handle(err);
	/* a place that always waits: said here, before a use is counted that would be counted again by who waits */
	if (key->backend->pool && may_block(k, h->id, err))
		return err->code;
	*ret = key;
	key = NULL;
	return ERR_OK;
}

enum err_code
keys_check_handle(struct keys *k, const struct handle *h, struct err *err)
{
	AUTO(key_putp) struct key *key = cache_get(k->cache, h->id);
	uint64_t epoch = 0;

	if (key)
		epoch = key->epoch;
	else if (may_block(k, h->id, err) || epoch_of(k, h->id, &epoch, err))
		return err->code;
	return epoch == h->epoch ? ERR_OK : stale_handle(err);
}

enum err_code
keys_seal_handle(struct keys *k, const struct handle *h, char **ret_text, struct err *err)
{
	if (handle_seal(k->secret, h, ret_text, err))
		return keys_contract_error(err);
	return ERR_OK;
}

enum err_code
keys_key_error(struct keys *k, const struct key *key, struct err *err)
{
	if (err->code == ERR_NOT_FOUND)
		cache_drop(k->cache, key->id);
	return keys_contract_error(err);
}

/* A handle of an opened key, which must be good for that kind.  ERR_NOT_FOUND: it has gone since it was opened. */
static enum err_code
handle_of(struct keys *k, struct key *key, enum key_kind kind, char **ret_text, struct err *err)
{
	const struct handle h = {
		.kind = kind == KEY_PAIR ? HANDLE_PAIR : HANDLE_KEY,
		.epoch = key->epoch,
		.id = key->id,
	};
	enum err_code code = key->backend->check(key, kind, err);

	if (code == ERR_NOT_FOUND)
		cache_drop(k->cache, key->id);
	else if (code)
		return keys_contract_error(err);
	return code ? code : keys_seal_handle(k, &h, ret_text, err);
}

const struct mech *
keys_mech(const struct keys *k)
{
	return k->mech;
}

/* After a change.  A preloaded id may share its file with others, which then have changed with it. */
static void
forget(struct keys *k, const char *id)
{
	if (stores_is_preloaded(k->stores, id))
		cache_clear(k->cache);
	else
		cache_drop(k->cache, id);
}

/* --- create, import and load */

/* What to make when there is no key of an id. */
struct wanted {
	enum key_kind kind;
	unsigned usage;	       /* KEY_SYMMETRIC */
	const char *preferred; /* KEY_PAIR */
};

/* The caller holds the claim. */
static enum err_code
make_key(struct keys *k, const char *id, const struct wanted *wanted, struct err *err)
{
	enum err_code code = wanted->kind == KEY_PAIR
				 ? stores_create_pair(k->stores, id, wanted->preferred, err)
				 : stores_create_key(k->stores, id, wanted->usage, err);

	return code == ERR_UNSUPPORTED ? keys_bad_value(err) : code;
}

/* The caller holds the claim. */
static enum err_code
open_or_make(
    struct keys *k, const char *id, const struct wanted *wanted, struct key **ret, struct err *err)
{
	enum err_code code = open_claimed(k, id, ret, err);

	if (code != ERR_NOT_FOUND)
		return code;
	if (strlen(id) > KEYD_ID_MAX)
		return keys_bad_value(err);
	/* found again rather than taken as made: another process may have been faster */
	if (make_key(k, id, wanted, err))
		return err->code;
	return open_claimed(k, id, ret, err);
}

static enum err_code
create(struct keys *k, const struct peer *peer, const char *id, const struct wanted *wanted,
    char **ret_handle, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code = ERR_NOT_FOUND;

	if (policy_allow(k->policy, peer, id, err))
		return err->code;
	key = cache_get(k->cache, id);
	if (key)
		code = handle_of(k, key, wanted->kind, ret_handle, err);
	if (code != ERR_NOT_FOUND)
		return code;
	/* none at hand, or one that has gone behind our back; nobody deletes the next one while it is claimed */
	key_putp(&key);
	if (may_block(k, id, err))
		return err->code;
	cache_claim(k->cache, id, &claim);
	if (open_or_make(k, id, wanted, &key, err))
		return err->code;
	if (handle_of(k, key, wanted->kind, ret_handle, err))
		return keys_contract_error(err);
	return ERR_OK;
}

static enum err_code
load(struct keys *k, const struct peer *peer, const char *id, enum key_kind kind, char **ret_handle,
    struct err *err)
{
	AUTO(key_putp) struct key *key = NULL;

	if (policy_allow(k->policy, peer, id, err))
		return err->code;
	if (open_key(k, id, &key, err) || handle_of(k, key, kind, ret_handle, err))
		return keys_contract_error(err);
	return ERR_OK;
}

static enum err_code
import(struct keys *k, const struct peer *peer, const char *id, unsigned usage,
    const struct bytes *value, char **ret_handle, struct err *err)
{
	AUTO(cache_release) struct cache_claim claim = { 0 };
	AUTO(key_putp) struct key *key = NULL;
	enum err_code code;

	if (policy_allow(k->policy, peer, id, err) || may_block(k, id, err))
		return err->code;
	if (strlen(id) > KEYD_ID_MAX || value->len > BACKEND_KEY_MAX)
		return keys_bad_value(err);
	/* upstream stores the empty key and then fails to load it; so do we fail, without storing it */
	if (value->len == 0)
		return err_set(err, ERR_INTERNAL, "an empty key was to be imported");
	cache_claim(k->cache, id, &claim);
	code = stores_import(k->stores, id, usage, value, err);
	forget(k, id);
	if (code)
		return code == ERR_UNSUPPORTED ? keys_bad_value(err) : code;
	if (open_claimed(k, id, &key, err))
		return err->code;
	if (handle_of(k, key, KEY_SYMMETRIC, ret_handle, err))
		return keys_contract_error(err);
	return ERR_OK;
}

enum err_code
keys_create(struct keys *k, const struct peer *peer, const char *id, unsigned usage,
    const struct bytes *value, char **ret_handle, struct err *err)
{
	const struct wanted wanted = { .kind = KEY_SYMMETRIC, .usage = usage };

	if (value)
		return import(k, peer, id, usage, value, ret_handle, err);
	return create(k, peer, id, &wanted, ret_handle, err);
}

enum err_code
keys_load(
    struct keys *k, const struct peer *peer, const char *id, char **ret_handle, struct err *err)
{
	return load(k, peer, id, KEY_SYMMETRIC, ret_handle, err);
}

enum err_code
keys_create_pair(struct keys *k, const struct peer *peer, const char *id, const char *preferred,
    char **ret_handle, struct err *err)
{
	const struct wanted wanted = { .kind = KEY_PAIR, .preferred = preferred };

	return create(k, peer, id, &wanted, ret_handle, err);
}

enum err_code
keys_load_pair(
    struct keys *k, const struct peer *peer, const char *id, char **ret_handle, struct err *err)
{
	return load(k, peer, id, KEY_PAIR, ret_handle, err);
}

/* --- move and delete */

enum err_code
keys_move_pair(
    struct keys *k, const struct peer *peer, const char *from, const char *to, struct err *err)
{
	AUTO(cache_release) struct cache_claim first = { 0 };
	AUTO(cache_release) struct cache_claim second = { 0 };
	bool in_order = strcmp(from, to) < 0;
	enum err_code code;

	if (policy_allow(k->policy, peer, from, err) || policy_allow(k->policy, peer, to, err))
		return err->code;
	if (strcmp(from, to) == 0)
		return err_set(err, ERR_INVALID, "source and destination for move are identical");
	if (strlen(to) > KEYD_ID_MAX)
		return keys_bad_value(err);
	/* or else a thread of one place would wait for who has claimed an id of another, which may hang */
	if (!stores_together(k->stores, from, to))
		return keys_bad_value(err);
	if (may_block(k, from, err))
		return err->code;
	cache_claim(k->cache, in_order ? from : to, &first);
	cache_claim(k->cache, in_order ? to : from, &second);
	code = stores_move(k->stores, from, to, err);
	forget(k, from);
	forget(k, to);
	if (code == ERR_NOT_FOUND)
		return err_wrap_code(err, ERR_INTERNAL, "there is no key to move");
	return code == ERR_INVALID || code == ERR_UNSUPPORTED ? keys_bad_value(err) : code;
}

/*
 * The epoch goes first: after a crash between the two steps the key is there and its handles are dead, so that clients
 * fetch anew; the other way round a later key of the id would answer to the deleted one's handles.
 */
static enum err_code
delete_claimed(struct keys *k, const struct handle *h, struct err *err)
{
	uint64_t epoch;
	bool exists;
	enum err_code code;

	if (epoch_of(k, h->id, &epoch, err) || stores_exists(k->stores, h->id, &exists, err))
		return err->code;
	if (epoch != h->epoch || !exists)
		return ERR_OK;
	if (!k->epochs_dir)
		return keys_bad_value(err);
	code = epoch_raise(k->epochs_dir, h->id, err);
	if (code == ERR_OK)
		code = stores_remove(k->stores, h->id, err);
	forget(k, h->id);
	return code;
}

static enum err_code
delete_by_handle(struct keys *k, const struct peer *peer, const char *text, enum handle_kind kind,
    const char *misfit, struct err *err)
{
	AUTO(handle_done) struct handle h = { 0 };
	AUTO(cache_release) struct cache_claim claim = { 0 };

	if (keys_read_handle(k, text, &h, err))
		return err->code;
	if (h.kind != kind) {
		err_set(err, ERR_INVALID, "%s", misfit);
		return err_param(err, "handle");
	}
	if (policy_allow(k->policy, peer, h.id, err) || may_block(k, h.id, err) ||
	    keys_permit(k, peer, h.id, PERMIT_DELETE, PERMIT_NO_ALGORITHM, err))
		return err->code;
	cache_claim(k->cache, h.id, &claim);
	return delete_claimed(k, &h, err);
}

enum err_code
keys_delete(struct keys *k, const struct peer *peer, const char *handle, struct err *err)
{
	return delete_by_handle(k, peer, handle, HANDLE_KEY, "handle is not for a key", err);
}

enum err_code
keys_delete_pair(struct keys *k, const struct peer *peer, const char *handle, struct err *err)
{
	return delete_by_handle(k, peer, handle, HANDLE_PAIR, "handle is not for a key pair", err);
}
