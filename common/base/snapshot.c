#include "base/snapshot.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct held {
	struct snapshot *of;
	unsigned refs; /* given out, and one while it is in force */
	alignas(max_align_t) char content[];
};

struct snapshot {
	pthread_mutex_t lock;
	struct held *now; /* NULL: freed, as far as its owner knows */
	unsigned out;	  /* references given out and not yet back */
	size_t size;
	void (*done)(void *content);
};

static struct held *
hold(struct snapshot *s, void *content)
{
	struct held *held = calloc(1, sizeof(*held) + s->size);

	if (!held)
		return NULL;
	held->of = s;
	held->refs = 1;
	memcpy(held->content, content, s->size);
	memset(content, 0, s->size);
	return held;
}

/* Drop one reference, and the lock, which is held; what nobody needs any more goes. */
static void
drop_and_unlock(struct snapshot *s, struct held *held)
{
	bool last = --held->refs == 0, end = !s->now && s->out == 0;

	pthread_mutex_unlock(&s->lock);
	if (last) {
		s->done(held->content);
		free(held);
	}
	if (end) {
		pthread_mutex_destroy(&s->lock);
		free(s);
	}
}

enum err_code
snapshot_new(
    void *first, size_t size, void (*done)(void *content), struct snapshot **ret, struct err *err)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	s->size = size;
	s->done = done;
	s->now = hold(s, first);
	if (!s->now) {
		free(s);
		return err_nomem(err);
	}
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return ERR_OK;
}

void
snapshot_free(struct snapshot *s)
{
	struct held *old;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	old = s->now;
	s->now = NULL;
	drop_and_unlock(s, old);
}

enum err_code
snapshot_set(struct snapshot *s, void *next, struct err *err)
{
	struct held *held = hold(s, next), *old;

	if (!held)
		return err_nomem(err);
	pthread_mutex_lock(&s->lock);
	old = s->now;
	s->now = held;
	drop_and_unlock(s, old);
	return ERR_OK;
}

const void *
snapshot_get(struct snapshot *s)
{
	struct held *held;

	pthread_mutex_lock(&s->lock);
	held = s->now;
	held->refs++;
	s->out++;
	pthread_mutex_unlock(&s->lock);
	return held->content;
}

void
snapshot_putp(void *at)
{
	char *content;
	struct held *held;

	memcpy(&content, at, sizeof(content)); /* whatever it points to there */
	if (!content)
		return;
	memset(at, 0, sizeof(content));
	held = (struct held *)(void *)(content - offsetof(struct held, content));
	pthread_mutex_lock(&held->of->lock);
	held->of->out--;
	drop_and_unlock(held->of, held);
}

bool
snapshot_idle(struct snapshot *s)
{
	bool idle;

	pthread_mutex_lock(&s->lock);
	idle = s->out == 0;
	pthread_mutex_unlock(&s->lock);
	return idle;
}
