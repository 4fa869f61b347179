#include "edged/ids.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "edged/engine.h"

#define IDS_MAX 256

struct id {
	char name[ENGINE_NAME_MAX + 1];
	char id[65];
};

struct ids {
	pthread_mutex_t lock;
	bool live;
	unsigned long generation;
	size_t n; /* ever stored since the last drop */
	struct id at[IDS_MAX];
};

enum err_code
ids_new(struct ids **ret, struct err *err)
{
	struct ids *ids = calloc(1, sizeof(*ids));

	if (!ids)
		return err_nomem(err);
	pthread_mutex_init(&ids->lock, NULL);
	*ret = ids;
	return ERR_OK;
}

void
ids_free(struct ids *ids)
{
	if (!ids)
		return;
	pthread_mutex_destroy(&ids->lock);
	free(ids);
}

static struct id *
find(struct ids *ids, const char *name)
{
	size_t n = ids->n < IDS_MAX ? ids->n : IDS_MAX;

	for (size_t i = 0; i < n; i++)
		if (strcmp(ids->at[i].name, name) == 0)
			return &ids->at[i];
	return NULL;
}

bool
ids_get(struct ids *ids, const char *name, char ret_id[65], unsigned long *ret_since)
{
	const struct id *found;

	pthread_mutex_lock(&ids->lock);
	*ret_since = ids->generation;
	found = find(ids, name);
	if (found)
		memcpy(ret_id, found->id, sizeof(found->id));
	pthread_mutex_unlock(&ids->lock);
	return found;
}

void
ids_put(struct ids *ids, const char *name, const char *id, unsigned long since)
{
	struct id *at;

	if (strlen(name) >= sizeof(at->name) || strlen(id) >= sizeof(at->id))
		return;
	pthread_mutex_lock(&ids->lock);
	if (ids->live && ids->generation == since && !find(ids, name)) {
		at = &ids->at[ids->n++ % IDS_MAX];
		memcpy(at->name, name, strlen(name) + 1);
		memcpy(at->id, id, strlen(id) + 1);
	}
	pthread_mutex_unlock(&ids->lock);
}

static void
forget(struct ids *ids)
{
	ids->generation++;
	ids->n = 0;
}

void
ids_drop(struct ids *ids)
{
	pthread_mutex_lock(&ids->lock);
	forget(ids);
	pthread_mutex_unlock(&ids->lock);
}

void
ids_live(struct ids *ids, bool live)
{
	pthread_mutex_lock(&ids->lock);
	forget(ids);
	ids->live = live;
	pthread_mutex_unlock(&ids->lock);
}
