#include "identityd/settings_box.h"

#include <pthread.h>
#include <stdlib.h>

struct counted {
	struct settings settings; /* first: a pointer to it is a pointer to us */
	struct settings_box *box;
	unsigned refs;
};

struct settings_box {
	pthread_mutex_t lock;
	struct counted *now;
	unsigned out; /* references given out and not yet back */
};

static struct counted *
counted_new(struct settings_box *box, struct settings *content)
{
	struct counted *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->settings = *content;
	c->box = box;
	c->refs = 1;
	*content = (struct settings){ 0 };
	return c;
}

static void
drop(struct counted *c)
{
	if (--c->refs > 0)
		return;
	settings_done(&c->settings);
	free(c);
}

enum err_code
settings_box_new(struct settings *first, struct settings_box **ret, struct err *err)
{
	struct settings_box *box = calloc(1, sizeof(*box));

	if (!box)
		return err_nomem(err);
	box->now = counted_new(box, first);
	if (!box->now) {
		free(box);
		return err_nomem(err);
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
	drop(box->now);
	pthread_mutex_destroy(&box->lock);
	free(box);
}

enum err_code
settings_box_set(struct settings_box *box, struct settings *next, struct err *err)
{
	struct counted *c = counted_new(box, next);

	if (!c)
		return err_nomem(err);
	pthread_mutex_lock(&box->lock);
	drop(box->now);
	box->now = c;
	pthread_mutex_unlock(&box->lock);
	return ERR_OK;
}

const struct settings *
settings_box_get(struct settings_box *box)
{
	struct counted *c;

	pthread_mutex_lock(&box->lock);
	c = box->now;
	c->refs++;
	box->out++;
	pthread_mutex_unlock(&box->lock);
	return &c->settings;
}

void
settings_putp(const struct settings **s)
{
	struct counted *c = (struct counted *)*s;
	struct settings_box *box;

	if (!c)
		return;
	box = c->box;
	pthread_mutex_lock(&box->lock);
	box->out--;
	drop(c);
	pthread_mutex_unlock(&box->lock);
	*s = NULL;
}

bool
settings_box_idle(struct settings_box *box)
{
	bool idle;

	pthread_mutex_lock(&box->lock);
	idle = box->out == 0;
	pthread_mutex_unlock(&box->lock);
	return idle;
}
