#include "keyd/spares.h"

void *
spares_take(struct spares *s)
{
	void *context = NULL;

	for (size_t i = 0; i < SPARES && !context; i++)
		context = atomic_exchange(&s->at[i], NULL);
	return context;
}

bool
spares_give(struct spares *s, void *context)
{
	for (size_t i = 0; i < SPARES; i++) {
		void *none = NULL;

		if (atomic_compare_exchange_strong(&s->at[i], &none, context))
			return true;
	}
	return false;
}
