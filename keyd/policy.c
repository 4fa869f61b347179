#include "keyd/policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "data/pattern.h"

#define REFUSED_ID "handle-validation-key"

/* One pattern of one uid. */
struct grant {
	uint32_t uid;
	char *pattern;
};

struct grants {
	struct grant *at;
	size_t n;
};

struct policy {
	pthread_rwlock_t lock;
	struct grants grants;
};

static void
grants_done(struct grants *g)
{
	for (size_t i = 0; i < g->n; i++)
		str_freep(&g->at[i].pattern);
	free(g->at);
	*g = (struct grants){ 0 };
}

enum err_code
policy_new(struct policy **ret, struct err *err)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	pthread_rwlock_init(&p->lock, NULL);
	*ret = p;
	return ERR_OK;
}

void
policy_free(struct policy *p)
{
	if (!p)
		return;
	grants_done(&p->grants);
	pthread_rwlock_destroy(&p->lock);
	free(p);
}

static enum err_code
grants_add(struct grants *g, const struct policy_rule *rule, struct err *err)
{
	for (size_t i = 0; i < rule->n_patterns; i++) {
		g->at[g->n].uid = rule->uid;
		if (str_copy(&g->at[g->n].pattern, rule->patterns[i], err))
			return err->code;
		g->n++;
	}
	return ERR_OK;
}

enum err_code
policy_set(struct policy *p, const struct policy_rule *rules, size_t n_rules, struct err *err)
{
	AUTO(grants_done) struct grants fresh = { 0 };
	struct grants old;
	size_t n = 0;

	for (size_t i = 0; i < n_rules; i++)
		n += rules[i].n_patterns;
	fresh.at = calloc(n + 1, sizeof(*fresh.at));
	if (!fresh.at)
		return err_nomem(err);
	for (size_t i = 0; i < n_rules; i++)
		if (grants_add(&fresh, &rules[i], err))
			return err->code;
	pthread_rwlock_wrlock(&p->lock);
	old = p->grants;
	p->grants = fresh;
	pthread_rwlock_unlock(&p->lock);
	fresh = old;
	return ERR_OK;
}

static bool
is_granted(struct policy *p, uint32_t uid, const char *id)
{
	bool granted = false;

	pthread_rwlock_rdlock(&p->lock);
	for (size_t i = 0; i < p->grants.n && !granted; i++)
		granted = p->grants.at[i].uid == uid && pattern_match(p->grants.at[i].pattern, id);
	pthread_rwlock_unlock(&p->lock);
	return granted;
}

enum err_code
policy_allow(struct policy *p, const struct peer *peer, const char *id, struct err *err)
{
	if (strcmp(id, REFUSED_ID) != 0 && (peer->uid == 0 || is_granted(p, peer->uid, id)))
		return ERR_OK;
	return err_set(err, ERR_DENIED, "user %u is not authorized to access the key %s",
	    (unsigned)peer->uid, id);
}
