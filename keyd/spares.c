#include "keyd/spares.h"

void
spares_init(struct spares *s)
{
	pthread_mutex_init(&s->lock, NULL);
	s->n = 0;
}

void *
spares_take(struct spares *s)
{
	void *context;

	pthread_mutex_lock(&s->lock);
	context = s->n > 0 ? s->at[--s->n] : NULL;
	pthread_mutex_unlock(&s->lock);
	return context;
}

bool
spares_give(struct spares *s, void *context)
{
	bool kept;

	pthread_mutex_lock(&s->lock);
	kept = s->n < SPARES;
	if (kept)
		s->at[s->n++] = context;
	pthread_mutex_unlock(&s->lock);
	return kept;
}

void
spares_done(struct spares *s)
{
	pthread_mutex_destroy(&s->lock);
}
