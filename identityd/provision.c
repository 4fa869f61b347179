#include "identityd/provision.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "data/uri.h"
#include "identityd/dps.h"
#include "platform/notify.h"

#define FIRST_MS    1000
#define LONGEST_MS  60000
#define PAYLOAD_MAX ((size_t)96 * 1024) /* of a DPS message (cloud-dps.md 5) */

struct provision {
	struct provision_config config;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct device *device; /* in force */
	bool verdict;	       /* the first attempt has an outcome */
	struct err last;       /* why the last attempt failed */
	bool busy;	       /* an attempt is under way */
	bool running, again;   /* provision_run is, and is to attempt once more */
	bool stopping;
};

enum err_code
provision_new(const struct provision_config *config, struct provision **ret, struct err *err)
{
	struct provision *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	p->config = *config;
	if (!p->config.first_ms)
		p->config.first_ms = FIRST_MS;
	if (!p->config.longest_ms)
		p->config.longest_ms = LONGEST_MS;
	pthread_mutex_init(&p->lock, NULL);
	clock_cond_init(&p->changed);
	*ret = p;
	return ERR_OK;
}

void
provision_free(struct provision *p)
{
	if (!p)
		return;
	device_unrefp(&p->device);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void
provision_stop(struct provision *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* --- the device in force --- */

static struct device *
in_force(struct provision *p)
{
	struct device *d;

	pthread_mutex_lock(&p->lock);
	d = device_ref(p->device);
	pthread_mutex_unlock(&p->lock);
	return d;
}

static void
put_in_force(struct provision *p, struct device *d)
{
	struct device *old;

	pthread_mutex_lock(&p->lock);
	old = p->device;
	p->device = device_ref(d);
	p->verdict = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	device_unrefp(&old);
}

enum err_code
provision_device(struct provision *p, unsigned wait_ms, struct device **ret, struct err *err)
{
	uint64_t deadline_ms = clock_mono_ms() + wait_ms;

	pthread_mutex_lock(&p->lock);
	while (!p->device && !p->verdict && !p->stopping &&
	       clock_cond_wait(&p->changed, &p->lock, deadline_ms))
		continue;
	*ret = device_ref(p->device);
	if (!*ret)
		*err = p->last;
	pthread_mutex_unlock(&p->lock);
	if (*ret)
		return ERR_OK;
	if (err->code == ERR_NOT_FOUND)
		return err->code;
	if (err->code == ERR_OK)
		err_set(err, ERR_UNREACHABLE, "provisioning is still under way");
	return err_wrap_code(err, ERR_UNREACHABLE, "the device has no identity yet");
}

void
provision_state(struct provision *p, struct device **ret_device, struct err *ret_last)
{
	pthread_mutex_lock(&p->lock);
	*ret_device = device_ref(p->device);
	*ret_last = p->last;
	if (!p->verdict)
		err_set(ret_last, ERR_UNREACHABLE, "provisioning is still under way");
	pthread_mutex_unlock(&p->lock);
}

/* --- candidates --- */

enum err_code
provision_payload(const struct settings_provisioning *s, char **ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	AUTO(bytes_done) struct bytes content = { 0 };
	AUTO(json_freep) struct json_t *json = NULL;

	if (!s->payload)
		return ERR_OK;
	if (uri_file_path(s->payload->uri, &path, err) ||
	    file_read(path, PAYLOAD_MAX, &content, err) ||
	    json_read(text_of_bytes(&content), &json, err))
		return err_wrap_code(
		    err, ERR_INVALID, "parameter \"provisioning.payload\" has an invalid value");
	return json_write(json, ret, err);
}

static enum err_code
configured_device(const struct settings_provisioning *s, struct device **ret, struct err *err)
{
	if (s->authentication.method != METHOD_SAS)
		return err_set(err, ERR_CONFIG,
		    "provisioning by X.509 certificate is not available in this version");
	return device_new(s->iothub_hostname, s->local_gateway_hostname, s->device_id,
	    s->authentication.device_id_pk, ret, err);
}

/* What DPS may be used for at all, also from memory. */
static enum err_code
dps_possible(const struct settings_provisioning *s, struct err *err)
{
	if (s->local_gateway_hostname)
		return err_set(err, ERR_CONFIG, "DPS is not supported in nested mode");
	if (s->attestation.method == ATTEST_X509)
		return err_set(err, ERR_CONFIG,
		    "DPS attestation by X.509 certificate is not available in this version");
	return ERR_OK;
}

/* The device of the last time.  ERR_NOT_FOUND: there was none, or nobody can tell any more. */
static enum err_code
remembered_device(struct provision *p, const struct settings_provisioning *s, struct device **ret,
    struct err *err)
{
	AUTO(device_info_done) struct device_info info = { 0 };
	enum err_code code = state_device_load(p->config.state, &info, err);

	if (code == ERR_OK)
		code = device_new(
		    info.hub, info.gateway, info.device_id, s->attestation.symmetric_key, ret, err);
	if (code == ERR_SYNTAX || code == ERR_PROTOCOL) {
		log_warn("device_info cannot be understood; asking DPS");
		return err_wrap_code(err, ERR_NOT_FOUND, "device_info cannot be understood");
	}
	return code;
}

static enum err_code
known_device(struct provision *p, const struct settings_provisioning *s, struct device **ret,
    struct err *err)
{
	*ret = in_force(p);
	if (*ret)
		return ERR_OK;
	switch (s->source) {
	case SOURCE_MANUAL:
		return configured_device(s, ret, err);
	case SOURCE_DPS:
		return dps_possible(s, err) ? err->code : remembered_device(p, s, ret, err);
	default:
		return err_set(err, ERR_NOT_FOUND, "device identity not found");
	}
}

static enum err_code
registered_device(struct provision *p, const struct settings_provisioning *s, struct device **ret,
    struct err *err)
{
	AUTO(dps_assignment_done) struct dps_assignment assigned = { 0 };
	AUTO(str_freep) char *payload = NULL;
	struct dps_params params = {
		.endpoint = s->global_endpoint,
		.scope_id = s->scope_id,
		.registration_id = s->attestation.registration_id,
		.key_id = s->attestation.symmetric_key,
	};

	if (dps_possible(s, err))
		return err->code;
	/* a challenge would overwrite the hub's key in the TPM before there is another one (cloud-dps.md 3) */
	if (s->attestation.method == ATTEST_TPM)
		return err_set(
		    err, ERR_CONFIG, "DPS registration by TPM is not available in this version");
	if (provision_payload(s, &payload, err))
		return err->code;
	params.payload = payload;
	if (dps_register(p->config.cloud, &params, &assigned, err))
		return err->code;
	return device_new(
	    assigned.hub, NULL, assigned.device_id, s->attestation.symmetric_key, ret, err);
}

/* --- attempts --- */

/* In force once the hub has taken it. */
static enum err_code
prove(struct provision *p, const struct settings *s, struct device *d, struct err *err)
{
	bool proven = false;
	enum err_code code = reconcile(p->config.modules, p->config.state, s, d, &proven, err);

	if (proven)
		put_in_force(p, d);
	return code;
}

static enum err_code
anew(struct provision *p, const struct settings *s, struct err *err)
{
	AUTO(device_unrefp) struct device *d = NULL;
	AUTO(device_unrefp) struct device *old = in_force(p);

	switch (s->provisioning.source) {
	case SOURCE_MANUAL:
		if (configured_device(&s->provisioning, &d, err))
			return err->code;
		break;
	case SOURCE_DPS:
		if (registered_device(p, &s->provisioning, &d, err))
			return err->code;
		break;
	default:
		return err_set(err, ERR_NOT_FOUND, "device identity not found");
	}
	if (!old) {
		/* nothing to lose: a hub that is away now shall not keep the device from its name */
		if (state_device_commit(p->config.state, d, err))
			return err->code;
		put_in_force(p, d);
	}
	return prove(p, s, d, err);
}

static enum err_code
attempt(struct provision *p, struct err *err)
{
	AUTO(snapshot_putp) const struct settings *s = snapshot_get(p->config.settings);
	AUTO(device_unrefp) struct device *d = NULL;
	enum err_code code = known_device(p, &s->provisioning, &d, err);

	if (code && (code != ERR_NOT_FOUND || s->provisioning.source != SOURCE_DPS))
		return code;
	if (code)
		return anew(p, s, err);
	put_in_force(p, d);
	code = prove(p, s, d, err);
	if (code && hub_rejects_device(err) && s->provisioning.source == SOURCE_DPS)
		return anew(p, s, err);
	return code;
}

static enum err_code
again(struct provision *p, struct err *err)
{
	AUTO(snapshot_putp) const struct settings *s = snapshot_get(p->config.settings);

	return anew(p, s, err);
}

/* One attempt at a time; the lock itself is not held meanwhile.  ERR_BUSY: stopping. */
static enum err_code
exclusively(struct provision *p, enum err_code (*what)(struct provision *p, struct err *err),
    struct err *err)
{
	enum err_code code;

	pthread_mutex_lock(&p->lock);
	while (p->busy && !p->stopping)
		pthread_cond_wait(&p->changed, &p->lock);
	if (p->stopping) {
		pthread_mutex_unlock(&p->lock);
		return err_set(err, ERR_BUSY, "stopping");
	}
	p->busy = true;
	pthread_mutex_unlock(&p->lock);
	code = what(p, err);
	pthread_mutex_lock(&p->lock);
	p->busy = false;
	p->verdict = true;
	if (code)
		p->last = *err;
	else
		err_clear(&p->last);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return code;
}

enum err_code
provision_again(struct provision *p, struct err *err)
{
	return exclusively(p, again, err);
}

/* --- in the background --- */

/* wait_ms 0: there will be no other try */
static void
report(struct provision *p, enum err_code code, struct err *err, unsigned wait_ms)
{
	AUTO(device_unrefp) struct device *d = in_force(p);
	const char *what = d ? "running offline" : "not provisioned";

	if (code == ERR_OK) {
		log_info("provisioned as %s on %s", d->id, d->hub);
		notify_status("provisioned as %s on %s", d->id, d->hub);
		return;
	}
	err_one_line(err);
	notify_status("%s: %s", what, err->text);
	if (wait_ms)
		log_warn("%s: %s; next try in %u s", what, err->text, wait_ms / 1000);
	else
		log_warn("%s: %s", what, err->text);
}

/* Can nothing but another configuration help? */
static bool
hopeless(struct provision *p, enum err_code code)
{
	AUTO(device_unrefp) struct device *d = in_force(p);

	return !d && (code == ERR_CONFIG || code == ERR_NOT_FOUND);
}

/* Is this the only one running?  Otherwise tell the other to attempt once more. */
static bool
enter(struct provision *p)
{
	bool first;

	pthread_mutex_lock(&p->lock);
	first = !p->running;
	p->running = true;
	p->again = !first;
	pthread_mutex_unlock(&p->lock);
	return first;
}

/* Leave, unless somebody wants another attempt. */
static bool
leave(struct provision *p)
{
	bool left;

	pthread_mutex_lock(&p->lock);
	left = !p->again || p->stopping;
	p->again = false;
	if (left)
		p->running = false;
	pthread_mutex_unlock(&p->lock);
	return left;
}

/* Does somebody want another attempt now?  Then the next one is that. */
static bool
take_again(struct provision *p)
{
	bool again;

	pthread_mutex_lock(&p->lock);
	again = p->again;
	p->again = false;
	pthread_mutex_unlock(&p->lock);
	return again;
}

/* Wait before the next attempt, or don't where one was asked for.  false: stop. */
static bool
rest(struct provision *p, unsigned *wait_ms)
{
	struct err ended = { 0 };

	if (take_again(p)) {
		*wait_ms = p->config.first_ms;
		return true;
	}
	if (cloud_pause(p->config.cloud, *wait_ms, &ended))
		return false;
	take_again(p);
	*wait_ms = *wait_ms < p->config.longest_ms / 2 ? *wait_ms * 2 : p->config.longest_ms;
	return true;
}

void
provision_run(void *provision)
{
	struct provision *p = provision;
	unsigned wait_ms = p->config.first_ms;

	if (!enter(p)) {
		cloud_wake(p->config.cloud);
		return;
	}
	for (;;) {
		struct err err = { 0 };
		enum err_code code = exclusively(p, attempt, &err);
		bool over = code == ERR_OK || hopeless(p, code);

		if (code != ERR_BUSY) /* stopping */
			report(p, code, &err, over ? 0 : wait_ms);
		if (over) {
			if (leave(p))
				return;
		} else if (!rest(p, &wait_ms)) {
			leave(p);
			return;
		}
	}
}
