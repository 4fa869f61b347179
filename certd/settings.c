#include "certd/settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct held {
	atomic_uint refs;
	struct certd_config config;
};

struct settings_box {
	pthread_mutex_t lock; /* of the pointer, not of what it points to */
	struct held *now;
};

static enum err_code
hold(struct certd_config *config, struct held **ret, struct err *err)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return err_nomem(err);
	held->refs = 1;
	held->config = *config;
	*config = (struct certd_config){ 0 };
	*ret = held;
	return ERR_OK;
}

static void
let_go(struct held *held)
{
	if (!held || atomic_fetch_sub(&held->refs, 1) != 1)
		return;
	certd_config_done(&held->config);
	free(held);
}

enum err_code
settings_box_new(struct certd_config *config, struct settings_box **ret, struct err *err)
{
	struct settings_box *box = calloc(1, sizeof(*box));

	if (!box)
		return err_nomem(err);
	if (hold(config, &box->now, err)) {
		free(box);
		return err->code;
	}
	pthread_mutex_init(&box->lock, NULL);
	*ret = box;
	return ERR_OK;
}

void
settings_box_free(struct settings_box *box)
{
	if (!box)
		return;
	let_go(box->now);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

enum err_code
settings_box_set(struct settings_box *box, struct certd_config *config, struct err *err)
{
	struct held *next, *old;

	if (hold(config, &next, err))
		return err->code;
	pthread_mutex_lock(&box->lock);
	old = box->now;
	box->now = next;
	pthread_mutex_unlock(&box->lock);
	let_go(old);
	return ERR_OK;
}

const struct certd_config *
settings_get(struct settings_box *box)
{
	struct held *held;

	pthread_mutex_lock(&box->lock);
	held = box->now;
	atomic_fetch_add(&held->refs, 1);
	pthread_mutex_unlock(&box->lock);
	return &held->config;
}

void
settings_putp(const struct certd_config **config)
{
	if (!*config)
		return;
	let_go((struct held *)(void *)((char *)(uintptr_t)*config - offsetof(struct held, config)));
	*config = NULL;
}
