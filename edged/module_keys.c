#include "edged/module_keys.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define ENCRYPTION_KEY "iotedge_master_encryption_id"
#define FRESH_MS       60000 /* how long an identity is believed unless told otherwise */
#define KEPT_MAX       64

/* One module's identity as it was last told. */
struct kept {
	char *module;
	struct module_identity identity;
	uint64_t asked_ms;
	bool asking; /* somebody asks again; the others go on with what is kept */
};

struct module_keys {
	struct identityd_client *identityd;
	struct keyd_client *keyd;
	unsigned fresh_ms;
	pthread_mutex_t lock; /* for what follows; never held across a call */
	struct kept kept[KEPT_MAX];
	size_t n_kept;
	char *encryption_handle;
};

enum err_code
module_keys_new(struct identityd_client *identityd, struct keyd_client *keyd, unsigned fresh_ms,
    struct module_keys **ret, struct err *err)
{
	struct module_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem(err);
	k->identityd = identityd;
	k->keyd = keyd;
	k->fresh_ms = fresh_ms ? fresh_ms : FRESH_MS;
	pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return ERR_OK;
}

static void
kept_done(struct kept *kept)
{
	str_freep(&kept->module);
	module_identity_done(&kept->identity);
}

void
module_keys_free(struct module_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->n_kept; i++)
		kept_done(&k->kept[i]);
	str_freep(&k->encryption_handle);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

void
module_identity_done(struct module_identity *i)
{
	str_freep(&i->hub_name);
	str_freep(&i->device_id);
	str_freep(&i->gen_id);
	str_freep(&i->key_handle);
}

static enum err_code
identity_copy(struct module_identity *ret, const struct module_identity *from, struct err *err)
{
	struct module_identity copy = { 0 };

	if (str_copy(&copy.hub_name, from->hub_name, err) ||
	    str_copy(&copy.device_id, from->device_id, err) ||
	    str_copy(&copy.gen_id, from->gen_id, err) ||
	    str_copy(&copy.key_handle, from->key_handle, err)) {
		module_identity_done(&copy);
		return err->code;
	}
	*ret = copy;
	return ERR_OK;
}

enum recalled { NONE, OLD, FRESH };

/*
 * The kept identity, copied.  For an old one the first caller gets OLD and asks again; until it has, the others are given it as FRESH, so
 * that a slow cloud holds one thread for a module and no more.
 */
static enum recalled
recall(struct module_keys *k, const char *module, struct module_identity *ret, struct err *err)
{
	uint64_t now = clock_mono_ms();
	enum recalled found = NONE;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < k->n_kept; i++) {
		struct kept *kept = &k->kept[i];

		if (strcmp(kept->module, module) != 0 || identity_copy(ret, &kept->identity, err))
			continue;
		found = FRESH;
		if (now - kept->asked_ms >= k->fresh_ms && !kept->asking) {
			kept->asking = true;
			found = OLD;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

/* The asking has ended without an answer to keep. */
static void
asked(struct module_keys *k, const char *module)
{
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < k->n_kept; i++)
		if (strcmp(k->kept[i].module, module) == 0)
			k->kept[i].asking = false;
	pthread_mutex_unlock(&k->lock);
}

/* The place for a module: its own, a free one, or the one that was asked for longest ago. */
static struct kept *
place_for(struct module_keys *k, const char *module)
{
	struct kept *oldest = &k->kept[0];

	for (size_t i = 0; i < k->n_kept; i++) {
		if (strcmp(k->kept[i].module, module) == 0)
			return &k->kept[i];
		if (k->kept[i].asked_ms < oldest->asked_ms)
			oldest = &k->kept[i];
	}
	return k->n_kept < KEPT_MAX ? &k->kept[k->n_kept++] : oldest;
}

static void
keep(struct module_keys *k, const char *module, const struct module_identity *identity)
{
	struct kept fresh = { .asked_ms = clock_mono_ms() };
	struct err err = { 0 };
	struct kept *place;

	/* without memory the next request asks again, which is all that is lost */
	if (str_copy(&fresh.module, module, &err) ||
	    identity_copy(&fresh.identity, identity, &err)) {
		kept_done(&fresh);
		return;
	}
	pthread_mutex_lock(&k->lock);
	place = place_for(k, module);
	kept_done(place);
	*place = fresh;
	pthread_mutex_unlock(&k->lock);
}

static void
forget(struct module_keys *k, const char *module)
{
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < k->n_kept; i++) {
		if (strcmp(k->kept[i].module, module) != 0)
			continue;
		kept_done(&k->kept[i]);
		k->kept[i] = k->kept[--k->n_kept];
		break;
	}
	pthread_mutex_unlock(&k->lock);
}

static enum err_code
ask(struct module_keys *k, const char *module, struct module_identity *ret, struct err *err)
{
	AUTO(identity_done) struct identity told = { 0 };

	if (identityd_client_module_get(k->identityd, module, &told, err))
		return err->code;
	if (told.type != IDENTITY_AZIOT || !told.gen_id || !told.hub_name || !told.device_id)
		return err_set(err, ERR_INTERNAL, "invalid identity type");
	if (!told.auth)
		return err_set(err, ERR_INTERNAL, "module identity missing auth");
	if (!told.auth->key_handle)
		return err_set(err, ERR_INTERNAL, "module identity missing key");
	*ret = (struct module_identity){ told.hub_name, told.device_id, told.gen_id,
		told.auth->key_handle };
	told.hub_name = told.device_id = told.gen_id = told.auth->key_handle = NULL;
	return ERR_OK;
}

/* identityd itself, or the cloud behind it, cannot be asked; it did not say that there is no such module. */
static bool
cannot_tell(const struct err *err)
{
	return err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT || err->code == ERR_BUSY ||
	       (err->code == ERR_PEER && (err->status == 404 || err->status >= 500));
}

enum err_code
module_keys_identity(
    struct module_keys *k, const char *module, struct module_identity *ret, struct err *err)
{
	AUTO(module_identity_done) struct module_identity kept = { 0 };
	enum recalled recalled = recall(k, module, &kept, err);

	if (recalled != FRESH) {
		if (ask(k, module, ret, err) == ERR_OK) {
			keep(k, module, ret);
			return ERR_OK;
		}
		asked(k, module);
		if (recalled == NONE || !cannot_tell(err))
			return err->code;
	}
	err_clear(err);
	*ret = kept;
	kept = (struct module_identity){ 0 };
	return ERR_OK;
}

enum err_code
module_keys_sign(struct module_keys *k, const char *module, const struct bytes *data,
    struct bytes *ret_digest, struct err *err)
{
	for (int again = 0;; again++) {
		AUTO(module_identity_done) struct module_identity identity = { 0 };

		if (module_keys_identity(k, module, &identity, err))
			return err->code;
		if (keyd_client_sign(k->keyd, identity.key_handle, KEYD_HMAC_SHA256, data,
			ret_digest, err) == ERR_OK)
			return ERR_OK;
		/* a refused handle is one of a key that has been replaced since */
		if (err->code != ERR_PEER || err->status != 400 || again)
			return err->code;
		forget(k, module);
	}
}

/* The handle of the encryption key, made if need be.  fresh: do not use the kept one. */
static enum err_code
encryption_handle(struct module_keys *k, bool fresh, char **ret, struct err *err)
{
	AUTO(str_freep) char *handle = NULL;
	enum err_code code = ERR_NOT_FOUND;

	pthread_mutex_lock(&k->lock);
	if (k->encryption_handle && !fresh)
		code = str_copy(ret, k->encryption_handle, err);
	pthread_mutex_unlock(&k->lock);
	if (code != ERR_NOT_FOUND)
		return code;
	if (keyd_client_create_key(k->keyd, ENCRYPTION_KEY, KEYD_USE_ENCRYPT, NULL, &handle, err) ||
	    str_copy(ret, handle, err))
		return err->code;
	pthread_mutex_lock(&k->lock);
	str_freep(&k->encryption_handle);
	k->encryption_handle = handle;
	handle = NULL;
	pthread_mutex_unlock(&k->lock);
	return ERR_OK;
}

/* Module and generation side by side, once the generation is known to be the module's. */
static enum err_code
associated_data(struct module_keys *k, const char *module, const char *generation,
    struct bytes *ret, struct err *err)
{
	AUTO(module_identity_done) struct module_identity identity = { 0 };
	AUTO(str_freep) char *aad = NULL;

	if (module_keys_identity(k, module, &identity, err))
		return err->code;
	if (strcmp(identity.gen_id, generation) != 0)
		return err_set(err, ERR_DENIED, "not the module's generation");
	if (str_format(&aad, err, "%s%s", module, generation))
		return err->code;
	return bytes_copy(ret, aad, strlen(aad), err);
}

typedef enum err_code keyd_call(struct keyd_client *c, const char *handle, enum keyd_cipher cipher,
    const struct bytes *iv, const struct bytes *aad, const struct bytes *in, struct bytes *ret,
    struct err *err);

static enum err_code
with_device_key(struct module_keys *k, keyd_call *call, const char *module, const char *generation,
    const struct bytes *iv, const struct bytes *in, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes aad = { 0 };

	if (associated_data(k, module, generation, &aad, err))
		return err->code;
	for (int again = 0;; again++) {
		AUTO(str_freep) char *handle = NULL;

		if (encryption_handle(k, again, &handle, err))
			return err->code;
		if (call(k->keyd, handle, KEYD_AEAD, iv, &aad, in, ret, err) == ERR_OK)
			return ERR_OK;
		if (err->code != ERR_PEER || err->status != 400 || again)
			return err->code;
	}
}

enum err_code
module_keys_encrypt(struct module_keys *k, const char *module, const char *generation,
    const struct bytes *iv, const struct bytes *plaintext, struct bytes *ret_ciphertext,
    struct err *err)
{
	return with_device_key(
	    k, keyd_client_encrypt, module, generation, iv, plaintext, ret_ciphertext, err);
}

enum err_code
module_keys_decrypt(struct module_keys *k, const char *module, const char *generation,
    const struct bytes *iv, const struct bytes *ciphertext, struct bytes *ret_plaintext,
    struct err *err)
{
	return with_device_key(
	    k, keyd_client_decrypt, module, generation, iv, ciphertext, ret_plaintext, err);
}
