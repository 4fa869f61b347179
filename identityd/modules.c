#include "identityd/modules.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/clock.h"

#define MASTER_KEY "aziot_identityd_master_id"
/*
 * How long a hub that swallows packets may keep a caller from the backup; what counts as swallowing; and how long nobody who has a
 * backup is sent there then.
 */
#define WITH_BACKUP_MS 20000
#define SLOW_MS	       3000
#define SILENT_MS      30000

struct modules {
	struct cloud *cloud;
	struct keyd_client *keyd;
	struct state *state;
	pthread_mutex_t lock;	  /* of master */
	char *master;		  /* handle of the master key, once known */
	uint64_t silent_until_ms; /* monotonic; atomic */
};

enum err_code
modules_new(struct cloud *cloud, struct keyd_client *keyd, struct state *state,
    struct modules **ret, struct err *err)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (!m)
		return err_nomem(err);
	*m = (struct modules){ .cloud = cloud, .keyd = keyd, .state = state };
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return ERR_OK;
}

void
modules_free(struct modules *m)
{
	if (!m)
		return;
	str_freep(&m->master);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* --- keys --- */

static enum err_code
master_known(struct modules *m, char **ret, struct err *err)
{
	enum err_code code = ERR_OK;

	pthread_mutex_lock(&m->lock);
	if (m->master)
		code = str_copy(ret, m->master, err);
	pthread_mutex_unlock(&m->lock);
	return code;
}

/* Load the master key, or make it when it cannot be loaded; remember its handle. */
static enum err_code
master_fetch(struct modules *m, char **ret, struct err *err)
{
	AUTO(str_freep) char *handle = NULL;
	AUTO(str_freep) char *copy = NULL;

	if (keyd_client_load_key(m->keyd, MASTER_KEY, &handle, err)) {
		if (err->code != ERR_PEER || err->status != 400)
			return err->code;
		if (keyd_client_create_key(
			m->keyd, MASTER_KEY, KEYD_USE_DERIVE | KEYD_USE_SIGN, NULL, &handle, err))
			return err->code;
	}
	if (str_copy(&copy, handle, err))
		return err->code;
	pthread_mutex_lock(&m->lock);
	str_freep(&m->master);
	m->master = copy;
	copy = NULL;
	pthread_mutex_unlock(&m->lock);
	*ret = handle;
	handle = NULL;
	return ERR_OK;
}

/* Handle of the module's primary or secondary key: "<moduleId>:<generationId>:<which>" (identityd.md 6.4). */
static enum err_code
derive(struct modules *m, const struct hub_module *module, const char *which, char **ret,
    struct err *err)
{
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *master = NULL;
	struct bytes data;

	if (str_format(&text, err, "%s:%s:%s", module->module_id, module->generation_id, which) ||
	    master_known(m, &master, err))
		return err->code;
	data = (struct bytes){ (uint8_t *)text, strlen(text) };
	if (master) {
		if (keyd_client_derive(m->keyd, master, &data, ret, err) == ERR_OK)
			return ERR_OK;
		if (err->code != ERR_PEER)
			return err->code;
		/* keyd has another idea of that handle since: ask for it anew, once */
		str_freep(&master);
	}
	if (master_fetch(m, &master, err))
		return err->code;
	return keyd_client_derive(m->keyd, master, &data, ret, err);
}

struct module_keys {
	char *handle;		   /* of the primary */
	char *primary, *secondary; /* base64; secrets */
};

static void
module_keys_done(struct module_keys *k)
{
	str_freep(&k->handle);
	str_freep(&k->primary);
	str_freep(&k->secondary);
}

static enum err_code
export_key(struct modules *m, const char *handle, char **ret, struct err *err)
{
	AUTO(bytes_done) struct bytes key = { 0 };

	if (keyd_client_export_derived(m->keyd, handle, &key, err))
		return err->code;
	return b64_encode(B64_STD, key.data, key.len, ret, err);
}

static enum err_code
primary_key(
    struct modules *m, const struct hub_module *module, struct module_keys *keys, struct err *err)
{
	if (derive(m, module, "primary", &keys->handle, err) ||
	    export_key(m, keys->handle, &keys->primary, err))
		return peer_failed(err, "Key client error");
	return ERR_OK;
}

static enum err_code
both_keys(
    struct modules *m, const struct hub_module *module, struct module_keys *keys, struct err *err)
{
	AUTO(str_freep) char *handle = NULL;

	if (!keys->primary && primary_key(m, module, keys, err))
		return err->code;
	if (derive(m, module, "secondary", &handle, err) ||
	    export_key(m, handle, &keys->secondary, err))
		return peer_failed(err, "Key client error");
	return ERR_OK;
}

/* --- identity objects --- */

static enum err_code
fill(const struct device *d, const struct hub_module *module, struct identity *out, struct err *err)
{
	out->type = IDENTITY_AZIOT;
	if (str_copy(&out->hub_name, d->hub, err) ||
	    str_copy(&out->gateway_host, d->gateway, err) ||
	    str_copy(&out->device_id, d->id, err) ||
	    str_copy(&out->module_id, module->module_id, err) ||
	    (module->generation_id && str_copy(&out->gen_id, module->generation_id, err)))
		return err->code;
	return ERR_OK;
}

static enum err_code
identity_of(struct modules *m, const struct device *d, const struct hub_module *module,
    struct identity *ret, struct err *err)
{
	AUTO(identity_done) struct identity out = { 0 };

	if (fill(d, module, &out, err))
		return err->code;
	out.auth = calloc(1, sizeof(*out.auth));
	if (!out.auth)
		return err_nomem(err);
	out.auth->type = IDENTITY_SAS;
	if (derive(m, module, "primary", &out.auth->key_handle, err))
		return peer_failed(err, "Key client error");
	*ret = out;
	out = (struct identity){ 0 };
	return ERR_OK;
}

/* --- single steps --- */

static enum err_code
check_id(const char *module_id, struct err *err)
{
	if (id_valid(module_id))
		return ERR_OK;
	err_set(err, ERR_INVALID, "not a module id");
	return err_param(err, "module_id");
}

static enum err_code
check_generation(const struct hub_module *module, struct err *err)
{
	if (module->generation_id)
		return ERR_OK;
	return err_set(err, ERR_INVALID, "module %s has no generation id", module->module_id);
}

/* Absent in the hub: forget it here as well. */
static enum err_code
absent(struct modules *m, const struct device *d, const char *module_id, struct err *err)
{
	struct err ignored = { 0 };
	enum err_code not_dropped = state_backup_drop(m->state, d, module_id, &ignored);

	(void)not_dropped; /* the next read asks the hub first, again */
	return err->code;
}

/* Second half of a creation: give the hub our keys, then remember the module. */
static enum err_code
set_keys(struct modules *m, const struct device *d, const struct hub_module *module,
    struct module_keys *keys, struct err *err)
{
	struct hub_ask ask = { .cloud = m->cloud, .device = d };
	AUTO(hub_module_done) struct hub_module updated = { 0 };
	unsigned since = state_backup_epoch(m->state);

	if (check_generation(module, err) || both_keys(m, module, keys, err) ||
	    hub_set_keys(&ask, module, keys->primary, keys->secondary, &updated, err))
		return err->code;
	return state_backup_save(m->state, d, module, since, err);
}

/* Are these the keys that the hub has?  Another kind of authentication was chosen by somebody and is left alone. */
static bool
hub_has(const struct hub_module *module, const char *primary)
{
	const struct hub_authentication *a = module->authentication;

	if (!a || !a->symmetric_key || !a->symmetric_key->primary)
		return true;
	if (a->type && strcmp(a->type, "sas") != 0)
		return true;
	return strcmp(a->symmetric_key->primary, primary) == 0;
}

/*
 * The hub answered with this module.  A backup is written when a creation is complete, so where there is none of this
 * generation the creation may have been cut short: then the hub's keys are not ours yet.
 */
static enum err_code
seen(struct modules *m, const struct device *d, const struct hub_module *module, unsigned since,
    struct err *err)
{
	AUTO(hub_module_done) struct hub_module backup = { 0 };
	AUTO(module_keys_done) struct module_keys keys = { 0 };
	struct err ignored = { 0 };
	enum err_code not_saved;

	if (state_backup_load(m->state, d, module->module_id, &backup, &ignored) == ERR_OK &&
	    strcmp(backup.generation_id, module->generation_id) == 0)
		return ERR_OK;
	if (primary_key(m, module, &keys, err))
		return err->code;
	if (!hub_has(module, keys.primary))
		return set_keys(m, d, module, &keys, err);
	/* a full disk does not make the answer worse; the next read tries again */
	not_saved = state_backup_save(m->state, d, module, since, &ignored);
	(void)not_saved;
	return ERR_OK;
}

/* --- calls --- */

static enum err_code
get_from_hub(struct modules *m, const struct device *d, const char *module_id, bool once,
    struct identity *ret, struct err *err)
{
	struct hub_ask ask = {
		.cloud = m->cloud,
		.device = d,
		.once = once,
		.overall_ms = once ? WITH_BACKUP_MS : 0,
	};
	AUTO(hub_module_done) struct hub_module module = { 0 };
	unsigned since = state_backup_epoch(m->state);

	if (hub_get(&ask, module_id, &module, err) || check_generation(&module, err) ||
	    seen(m, d, &module, since, err))
		return err->code;
	return identity_of(m, d, &module, ret, err);
}

static bool
is_silent(const struct modules *m)
{
	return clock_mono_ms() < __atomic_load_n(&m->silent_until_ms, __ATOMIC_RELAXED);
}

/* A question that was asked once, and began then, got no answer: was it long in coming? */
static void
note_silence(struct modules *m, uint64_t began_ms, enum err_code code)
{
	uint64_t now_ms = clock_mono_ms();

	if ((code == ERR_TIMEOUT || code == ERR_UNREACHABLE) && now_ms - began_ms >= SLOW_MS)
		__atomic_store_n(&m->silent_until_ms, now_ms + SILENT_MS, __ATOMIC_RELAXED);
}

enum err_code
modules_get(struct modules *m, const struct device *d, const char *module_id, bool prefer_backup,
    struct identity *ret, struct err *err)
{
	AUTO(hub_module_done) struct hub_module backup = { 0 };
	uint64_t began_ms = clock_mono_ms();
	struct err no_backup = { 0 };
	enum err_code code;
	bool have;

	if (check_id(module_id, err))
		return err->code;
	have = state_backup_load(m->state, d, module_id, &backup, &no_backup) == ERR_OK;
	if (have && (prefer_backup || is_silent(m)))
		return identity_of(m, d, &backup, ret, err);
	code = get_from_hub(m, d, module_id, have, ret, err);
	if (have)
		note_silence(m, began_ms, code);
	if (code == ERR_NOT_FOUND)
		return absent(m, d, module_id, err);
	return code && have ? identity_of(m, d, &backup, ret, err) : code;
}

/* Give the hub our keys for a module and return its identity. */
static enum err_code
finish(struct modules *m, const struct device *d, const struct hub_module *module,
    struct identity *ret, struct err *err)
{
	AUTO(module_keys_done) struct module_keys keys = { 0 };

	if (set_keys(m, d, module, &keys, err))
		return err->code;
	return identity_of(m, d, module, ret, err);
}

/* First half of a creation; a module that is there already is as good as one just made. */
static enum err_code
create_or_get(struct modules *m, const struct device *d, const char *module_id,
    struct hub_module *ret, struct err *err)
{
	struct hub_ask ask = { .cloud = m->cloud, .device = d };
	enum err_code code = hub_create(&ask, module_id, ret, err);

	return code == ERR_CONFLICT ? hub_get(&ask, module_id, ret, err) : code;
}

enum err_code
modules_create(struct modules *m, const struct device *d, const char *module_id,
    struct identity *ret, struct err *err)
{
	AUTO(hub_module_done) struct hub_module module = { 0 };

	if (check_id(module_id, err) || create_or_get(m, d, module_id, &module, err))
		return err->code;
	return finish(m, d, &module, ret, err);
}

enum err_code
modules_update(struct modules *m, const struct device *d, const char *module_id,
    struct identity *ret, struct err *err)
{
	struct hub_ask ask = { .cloud = m->cloud, .device = d };
	AUTO(hub_module_done) struct hub_module module = { 0 };

	if (check_id(module_id, err))
		return err->code;
	if (hub_get(&ask, module_id, &module, err) || finish(m, d, &module, ret, err))
		return err->code == ERR_NOT_FOUND ? absent(m, d, module_id, err) : err->code;
	return ERR_OK;
}

enum err_code
modules_delete(struct modules *m, const struct device *d, const char *module_id, struct err *err)
{
	struct hub_ask ask = { .cloud = m->cloud, .device = d };

	if (check_id(module_id, err))
		return err->code;
	if (hub_delete(&ask, module_id, err))
		return err->code == ERR_NOT_FOUND ? absent(m, d, module_id, err) : err->code;
	return state_backup_drop(m->state, d, module_id, err);
}

enum err_code
modules_of_hub(
    struct modules *m, const struct device *d, struct hub_module_list *ret, struct err *err)
{
	struct hub_ask ask = { .cloud = m->cloud, .device = d };

	return hub_list(&ask, ret, err);
}

enum err_code
modules_list(struct modules *m, const struct device *d, struct identity_list *ret, struct err *err)
{
	AUTO(hub_module_list_done) struct hub_module_list list = { 0 };
	AUTO(identity_list_done) struct identity_list out = { 0 };

	if (modules_of_hub(m, d, &list, err))
		return err->code;
	out.identities.at = calloc(list.modules.n + 1, sizeof(*out.identities.at));
	if (!out.identities.at)
		return err_nomem(err);
	for (size_t i = 0; i < list.modules.n; i++)
		if (fill(d, &list.modules.at[i], &out.identities.at[out.identities.n++], err))
			return err->code;
	*ret = out;
	out = (struct identity_list){ 0 };
	return ERR_OK;
}

enum err_code
modules_adopt(
    struct modules *m, const struct device *d, const struct hub_module *module, struct err *err)
{
	AUTO(module_keys_done) struct module_keys keys = { 0 };
	unsigned since = state_backup_epoch(m->state);

	if (check_generation(module, err) || primary_key(m, module, &keys, err))
		return err->code;
	if (module->authentication && module->authentication->symmetric_key &&
	    hub_has(module, keys.primary))
		return state_backup_save(m->state, d, module, since, err);
	return set_keys(m, d, module, &keys, err);
}
