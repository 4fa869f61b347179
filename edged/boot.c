#include "edged/boot.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "edged/edge_ca.h"
#include "edged/listeners.h"
#include "edged/network.h"
#include "edged/state.h"
#include "platform/notify.h"
#include "platform/pool.h"

#define TICK_MS		60000
#define IDENTITY_MS	5000 /* edged-lifecycle.md 2 */
#define PAUSE_MIN_MS	1000 /* between tries of other steps */
#define PAUSE_MAX_MS	30000
#define SETTLE_MS	1000 /* after an event: a restart is two events */
#define STOP_WAIT_S	5
#define STOP_AT_START_S 30 /* grace of edged-lifecycle.md 1, step 10 */

struct boot {
	struct edged *edged;
	struct agent agent;
	struct agent_device device;
	pthread_t main_thread, events_thread;
	bool main_started, events_started;

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	bool stopping, ready, woken, device_known, reprovision;
	bool well;
	char line[256]; /* what is being done or waited for */
};

enum err_code
boot_new(struct edged *edged, struct boot **ret, struct err *err)
{
	struct boot *b = calloc(1, sizeof(*b));

	if (!b)
		return err_nomem(err);
	b->edged = edged;
	b->agent = (struct agent){
		.config = &edged->config,
		.device = &b->device,
		.modules = edged->modules,
		.identityd = edged->identityd,
	};
	pthread_mutex_init(&b->lock, NULL);
	clock_cond_init(&b->wake);
	snprintf(b->line, sizeof(b->line), "starting");
	*ret = b;
	return ERR_OK;
}

void
boot_free(struct boot *b)
{
	if (!b)
		return;
	str_freep(&b->device.device_id);
	str_freep(&b->device.hub_name);
	str_freep(&b->device.gateway_host);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* --- what others see */

static void __attribute__((format(printf, 3, 4)))
say(struct boot *b, bool well, const char *fmt, ...)
{
	char line[sizeof(b->line)];
	bool changed;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&b->lock);
	changed = strcmp(line, b->line) != 0;
	b->well = well;
	memcpy(b->line, line, sizeof(line));
	pthread_mutex_unlock(&b->lock);
	if (changed) {
		notify_status("%s", line);
		if (well)
			log_info("%s", line);
		else
			log_warn("%s", line);
	}
}

enum err_code
boot_ready(struct boot *b, struct err *err)
{
	enum err_code code = ERR_OK;

	pthread_mutex_lock(&b->lock);
	if (!b->ready)
		code = err_set(err, ERR_BUSY, "the runtime is not up yet: %s", b->line);
	pthread_mutex_unlock(&b->lock);
	return code;
}

bool
boot_health(struct boot *b, char *out, size_t size)
{
	bool well;

	pthread_mutex_lock(&b->lock);
	well = b->well;
	snprintf(out, size, "%s", b->line);
	pthread_mutex_unlock(&b->lock);
	return well;
}

bool
boot_device(struct boot *b, const struct agent_device **ret)
{
	bool known;

	pthread_mutex_lock(&b->lock);
	known = b->device_known;
	pthread_mutex_unlock(&b->lock);
	if (known)
		*ret = &b->device;
	return known;
}

void
boot_reprovision(struct boot *b)
{
	pthread_mutex_lock(&b->lock);
	b->reprovision = true;
	pthread_mutex_unlock(&b->lock);
	daemon_end(b->edged->daemon, 154);
}

bool
boot_wants_reprovision(struct boot *b)
{
	bool wanted;

	pthread_mutex_lock(&b->lock);
	wanted = b->reprovision;
	pthread_mutex_unlock(&b->lock);
	return wanted;
}

/* --- waiting */

static bool
stopping(struct boot *b)
{
	bool yes;

	pthread_mutex_lock(&b->lock);
	yes = b->stopping;
	pthread_mutex_unlock(&b->lock);
	return yes;
}

static void
set_flag(struct boot *b, bool *flag)
{
	pthread_mutex_lock(&b->lock);
	*flag = true;
	pthread_cond_broadcast(&b->wake);
	pthread_mutex_unlock(&b->lock);
}

static void
clear_flag(struct boot *b, bool *flag)
{
	pthread_mutex_lock(&b->lock);
	*flag = false;
	pthread_mutex_unlock(&b->lock);
}

/* Sleep until the time has passed, the daemon stops, or (with early) an event woke us.  False: stop. */
static bool
wait_for(struct boot *b, unsigned ms, bool early)
{
	uint64_t until = clock_mono_ms() + ms;
	bool go;

	pthread_mutex_lock(&b->lock);
	while (!b->stopping && !(early && b->woken) && clock_cond_wait(&b->wake, &b->lock, until))
		;
	go = !b->stopping;
	pthread_mutex_unlock(&b->lock);
	return go;
}

/* --- the steps */

static enum err_code
reprovision_at_start(struct boot *b, struct err *err)
{
	const struct edged_config *c = &b->edged->config;

	if (c->auto_reprovisioning != EDGED_REPROVISION_ALWAYS)
		return ERR_OK;
	if (state_forget(c->cache_dir, err))
		return err->code;
	return identityd_client_reprovision(b->edged->identityd, err);
}

static enum err_code
device_take(struct boot *b, struct identity *identity, struct err *err)
{
	if (identity->type != IDENTITY_AZIOT || !identity->device_id || !identity->hub_name)
		return err_set(
		    err, ERR_PROTOCOL, "identityd gives this device no IoT Hub identity");
	if (!identity->gateway_host && str_copy(&identity->gateway_host, identity->hub_name, err))
		return err->code;
	b->device = (struct agent_device){ identity->device_id, identity->hub_name,
		identity->gateway_host };
	identity->device_id = identity->hub_name = identity->gateway_host = NULL;
	set_flag(b, &b->device_known);
	log_info("Device is %s on %s", b->device.device_id, b->device.hub_name);
	return ERR_OK;
}

/* 404 from identityd means that it waits, too; it is no reason to ask for another provisioning (decisions.md). */
static enum err_code
identity_get(struct boot *b, struct err *err)
{
	AUTO(identity_done) struct identity identity = { 0 };

	if (identityd_client_device(b->edged->identityd, &identity, err))
		return err_wrap(err, "waiting for the device's identity");
	return device_take(b, &identity, err);
}

static enum err_code
engine_get(struct boot *b, struct err *err)
{
	char version[16];

	if (engine_negotiate(b->edged->engine, version, err))
		return err_wrap(err, "waiting for the container engine");
	return ERR_OK;
}

static enum err_code
network_make(struct boot *b, struct err *err)
{
	return network_ensure(b->edged->engine, &b->edged->config.moby.network, err);
}

static enum err_code
edge_ca_make(struct boot *b, struct err *err)
{
	struct edge_ca ca = {
		.keyd = b->edged->keyd,
		.certd = b->edged->certd,
		.config = &b->edged->config.edge_ca,
	};

	return edge_ca_ensure(&ca, b->device.device_id, err);
}

/* Edged-lifecycle.md 1, steps 10 and 11.  The digest is written only when nothing of another device is left (B10). */
static enum err_code
modules_settle(struct boot *b, struct err *err)
{
	const char *cache = b->edged->config.cache_dir;
	struct state_device device = { b->device.device_id, b->device.gateway_host,
		b->device.hub_name };
	bool same = false;

	log_info("Stopping all modules...");
	if (modules_stop_all(b->edged->modules, STOP_AT_START_S) == 0)
		log_info("All modules stopped");
	if (state_same(cache, &device, &same, err))
		return err->code;
	if (same)
		return ERR_OK;
	log_info("Change to device information detected, removing all modules...");
	if (modules_remove_all(b->edged->modules, err))
		return err->code;
	log_info("Updating cached device information");
	return state_write(cache, &device, err);
}

static enum err_code
listeners_open(struct boot *b, struct err *err)
{
	struct edged *e = b->edged;
	int fd = e->legacy_fd;

	if (modules_open_listeners(e->modules, err))
		return err->code;
	if (fd < 0)
		return ERR_OK;
	e->legacy_fd = -1;
	return listeners_legacy(e->listeners, fd, err);
}

static const struct {
	const char *what;
	enum err_code (*run)(struct boot *b, struct err *err);
	unsigned pause_ms; /* 0: growing */
} steps[] = {
	{ "asking for the device's identity", reprovision_at_start, IDENTITY_MS },
	{ "asking for the device's identity", identity_get, IDENTITY_MS },
	{ "looking for the container engine", engine_get, 0 },
	{ "making the modules' network", network_make, 0 },
	{ "making the Edge CA", edge_ca_make, 0 },
	{ "settling the modules", modules_settle, 0 },
	{ "opening the workload sockets", listeners_open, 0 },
};

static bool
step_until_done(struct boot *b, size_t i)
{
	unsigned pause_ms = PAUSE_MIN_MS;
	struct err err = { 0 };

	say(b, true, "%s", steps[i].what);
	while (!stopping(b)) {
		if (steps[i].run(b, &err) == ERR_OK)
			return true;
		say(b, false, "%s", err_one_line(&err));
		err_clear(&err);
		if (!wait_for(b, steps[i].pause_ms ? steps[i].pause_ms : pause_ms, false))
			break;
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
	return false;
}

/* --- the watchdog */

/* Is it the engine's or identityd's absence, which passes, or a failure of ours? */
static bool
is_absence(const struct err *err)
{
	return err->code == ERR_UNREACHABLE || err->code == ERR_TIMEOUT || err->code == ERR_BUSY;
}

static void
watch(struct boot *b)
{
	int64_t max = b->edged->config.watchdog.max_retries, failures = 0;
	uint64_t last = 0; /* begin of the last look after an event */
	unsigned settle_ms = SETTLE_MS;

	do {
		struct err err = { 0 };
		uint64_t now = clock_mono_ms();

		clear_flag(b, &b->woken);
		if (agent_look(&b->agent, &err) == ERR_OK) {
			failures = 0;
			say(b, true, "edgeAgent is running");
		} else {
			say(b, false, "%s", err_one_line(&err));
			if (!is_absence(&err) && ++failures >= max && max >= 0) {
				log_error(
				    "edgeAgent failed %lld times in a row", (long long)failures);
				daemon_end(b->edged->daemon, 1);
				return;
			}
		}
		/* an agent that ends again and again is not started more often than the tick says */
		settle_ms = now - last > TICK_MS ? SETTLE_MS : settle_ms * 2;
		settle_ms = settle_ms > TICK_MS ? TICK_MS : settle_ms;
		last = now;
	} while (wait_for(b, TICK_MS, true) && wait_for(b, settle_ms, false));
}

static void *
main_run(void *arg)
{
	struct boot *b = arg;

	pool_set_may_block(true);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (!step_until_done(b, i))
			return NULL;
	set_flag(b, &b->ready);
	watch(b);
	return NULL;
}

/* --- events */

static void
events_opened(void *ctx)
{
	struct boot *b = ctx;

	set_flag(b, &b->woken);
}

static void
events_one(void *ctx, const char *action, const char *id, const char *name)
{
	struct boot *b = ctx;

	(void)id;
	if (strcmp(name, b->edged->config.agent.name) == 0 &&
	    (strcmp(action, "die") == 0 || strcmp(action, "destroy") == 0))
		set_flag(b, &b->woken);
}

static void *
events_run(void *arg)
{
	static const struct engine_listener listener = { events_opened, events_one };
	struct boot *b = arg;
	unsigned pause_ms = PAUSE_MIN_MS;

	pool_set_may_block(true);
	while (!stopping(b)) {
		uint64_t begin = clock_mono_ms();
		struct err err = { 0 };

		(void)!engine_events(b->edged->engine, &listener, b, &err);
		if (clock_mono_ms() - begin > PAUSE_MAX_MS)
			pause_ms = PAUSE_MIN_MS;
		/* the engine went: see at once what became of the agent, and say so */
		set_flag(b, &b->woken);
		if (!wait_for(b, pause_ms, false))
			break;
		pause_ms = pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause_ms * 2;
	}
	return NULL;
}

/* --- threads */

enum err_code
boot_start(struct boot *b, struct err *err)
{
	if (pthread_create(&b->main_thread, NULL, main_run, b))
		return err_set(err, ERR_INTERNAL, "cannot start a thread");
	b->main_started = true;
	if (pthread_create(&b->events_thread, NULL, events_run, b))
		return err_set(err, ERR_INTERNAL, "cannot start a thread");
	b->events_started = true;
	return ERR_OK;
}

static bool
join(pthread_t thread, const struct timespec *until, bool *started)
{
	if (!*started)
		return true;
	if (pthread_timedjoin_np(thread, NULL, until))
		return false;
	*started = false;
	return true;
}

bool
boot_stop(struct boot *b)
{
	struct timespec until;
	bool main_done, events_done;

	set_flag(b, &b->stopping);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_WAIT_S;
	main_done = join(b->main_thread, &until, &b->main_started);
	events_done = join(b->events_thread, &until, &b->events_started);
	return main_done && events_done;
}
