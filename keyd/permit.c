#include "keyd/permit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "crypto/digest.h"
#include "data/pattern.h"
#include "keyd/meter.h"
#include "platform/pool.h"

#define IDENTITY_LEN (2 * SHA256_LEN + 1)

struct rule {
	uint32_t uid, verbs, algorithms;
	char **patterns;
	size_t n_patterns;
	int64_t not_after;
	struct meter_limits limits;
	struct meter *meter; /* NULL: no limits */
};

/* The rules of one configuration; never changed, freed with its last user. */
struct rules {
	atomic_uint refs;
	bool others;
	size_t n;
	struct rule at[];
};

/* A meter lives as long as the process, so that a rule that is taken away and put back goes on with its count. */
struct known_meter {
	char identity[IDENTITY_LEN];
	struct meter *meter;
	struct known_meter *next;
};

struct permit {
	struct permit_config config;
	char *uses_dir; /* NULL: no homedir */
	struct known_meter *meters;

	atomic_bool in_force; /* are there rules? */
	pthread_mutex_t lock; /* guards which rules; never held while they are gone through */
	struct rules *rules;
};

const char *const permit_verb_names[] = { "sign", "derive", "encrypt", "decrypt", "export",
	"delete", NULL };
const char *const permit_algorithm_names[] = { "ECDSA", "HMAC-SHA256", "EdDSA", "AEAD", "RSA-PKCS1",
	"RSA-NO-PADDING", NULL };
_Static_assert(ARRAY_LEN(permit_verb_names) == PERMIT_VERBS + 1, "a name for each");
_Static_assert(ARRAY_LEN(permit_algorithm_names) == PERMIT_ALGORITHMS + 1, "a name for each");

/* Without a default, so that the compiler asks for what is new on the wire. */
enum permit_algorithm
permit_of_mech(enum keyd_mech mech)
{
	switch (mech) {
	case KEYD_ECDSA:
		return PERMIT_ECDSA;
	case KEYD_HMAC_SHA256:
		return PERMIT_HMAC_SHA256;
	case KEYD_EDDSA:
		return PERMIT_EDDSA;
	}
	abort();
}

enum permit_algorithm
permit_of_cipher(enum keyd_cipher cipher)
{
	switch (cipher) {
	case KEYD_AEAD:
		return PERMIT_AEAD;
	case KEYD_RSA_PKCS1:
		return PERMIT_RSA_PKCS1;
	case KEYD_RSA_NO_PADDING:
		return PERMIT_RSA_NO_PADDING;
	}
	abort();
}

/* --- begin and end */

static void
rules_putp(struct rules **rules)
{
	struct rules *r = *rules;

	*rules = NULL;
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	for (size_t i = 0; i < r->n; i++) {
		for (size_t j = 0; j < r->at[i].n_patterns; j++)
			str_freep(&r->at[i].patterns[j]);
		free(r->at[i].patterns);
	}
	free(r);
}

static struct rules *
rules_get(struct permit *p)
{
	struct rules *r;

	pthread_mutex_lock(&p->lock);
	r = p->rules;
	if (r)
		atomic_fetch_add(&r->refs, 1);
	pthread_mutex_unlock(&p->lock);
	return r;
}

enum err_code
permit_new(const struct permit_config *config, struct permit **ret, struct err *err)
{
	struct permit *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(err);
	pthread_mutex_init(&p->lock, NULL);
	p->config = *config;
	if (!p->config.now_ms)
		p->config.now_ms = clock_mono_ms;
	if (!p->config.unix_now)
		p->config.unix_now = clock_unix;
	if (config->homedir && str_format(&p->uses_dir, err, "%s/uses", config->homedir)) {
		permit_free(p);
		return err->code;
	}
	if (p->uses_dir)
		file_sweep(p->uses_dir);
	*ret = p;
	return ERR_OK;
}

void
permit_free(struct permit *p)
{
	if (!p)
		return;
	rules_putp(&p->rules);
	while (p->meters) {
		struct known_meter *gone = p->meters;

		p->meters = gone->next;
		meter_free(gone->meter);
		free(gone);
	}
	str_freep(&p->uses_dir);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* --- rules */

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What a rule is about, whatever its limits; patterns in any order. */
static enum err_code
identity_of(const struct permit_rule *rule, char ret[IDENTITY_LEN], struct err *err)
{
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(str_freep) char *whole = NULL;
	const char **patterns = calloc(rule->n_patterns + 1, sizeof(*patterns));
	uint8_t hash[SHA256_LEN];

	if (!patterns)
		return err_nomem(err);
	for (size_t i = 0; i < rule->n_patterns; i++)
		patterns[i] = rule->patterns[i];
	qsort(patterns, rule->n_patterns, sizeof(*patterns), by_text);
	buf_printf(&text, "uid %u\n", (unsigned)rule->uid);
	for (size_t i = 0; i < PERMIT_VERBS; i++)
		if (rule->verbs & 1U << i)
			buf_printf(&text, "verb %s\n", permit_verb_names[i]);
	for (size_t i = 0; i < PERMIT_ALGORITHMS && rule->algorithms != PERMIT_ALL; i++)
		if (rule->algorithms & 1U << i)
			buf_printf(&text, "algorithm %s\n", permit_algorithm_names[i]);
	if (rule->algorithms == PERMIT_ALL)
		buf_printf(&text, "any algorithm\n");
	for (size_t i = 0; i < rule->n_patterns; i++)
		buf_printf(&text, "key %zu %s\n", strlen(patterns[i]), patterns[i]);
	free(patterns);
	if (buf_take_string(&text, &whole, err) || digest_sha256(whole, strlen(whole), hash, err))
		return err->code;
	digest_hex(hash, sizeof(hash), ret);
	return ERR_OK;
}

enum err_code
permit_check(const struct permit_rule *rules, size_t n_rules, bool has_homedir, size_t *ret_bad,
    struct err *err)
{
	char(*identities)[IDENTITY_LEN] = calloc(n_rules + 1, sizeof(*identities));
	enum err_code code = identities ? ERR_OK : err_nomem(err);

	for (size_t i = 0; i < n_rules && !code; i++) {
		*ret_bad = i;
		if (rules[i].uses_per_day && !has_homedir)
			code = err_set(err, ERR_INVALID,
			    "uses_per_day needs [aziot_keys] homedir_path to keep its count in");
		else
			code = identity_of(&rules[i], identities[i], err);
		for (size_t j = 0; j < i && !code; j++)
			if (strcmp(identities[i], identities[j]) == 0)
				code = err_set(err, ERR_INVALID,
				    "the same uid, keys, verbs and algorithms as use[%zu]: "
				    "make one of the two",
				    j);
	}
	free(identities);
	return code;
}

static struct meter *
find_meter(const struct permit *p, const char *identity)
{
	for (const struct known_meter *m = p->meters; m; m = m->next)
		if (strcmp(m->identity, identity) == 0)
			return m->meter;
	return NULL;
}

static enum err_code
make_meter(struct permit *p, const char *identity, struct meter **ret, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct known_meter *fresh;

	if (str_format(&path, err, "%s/%s", p->uses_dir ? p->uses_dir : "", identity))
		return err->code;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return err_nomem(err);
	if (meter_new(path, &fresh->meter, err)) {
		free(fresh);
		return err->code;
	}
	memcpy(fresh->identity, identity, IDENTITY_LEN);
	fresh->next = p->meters;
	p->meters = fresh;
	*ret = fresh->meter;
	return ERR_OK;
}

static enum err_code
copy_rule(struct permit *p, const struct permit_rule *from, struct rule *to, struct err *err)
{
	char identity[IDENTITY_LEN];

	to->uid = from->uid;
	to->verbs = from->verbs;
	to->algorithms = from->algorithms;
	to->not_after = from->not_after;
	to->limits = (struct meter_limits){ from->rate_per_second, from->uses_per_day };
	to->patterns = calloc(from->n_patterns + 1, sizeof(*to->patterns));
	if (!to->patterns)
		return err_nomem(err);
	for (; to->n_patterns < from->n_patterns; to->n_patterns++)
		if (str_copy(&to->patterns[to->n_patterns], from->patterns[to->n_patterns], err))
			return err->code;
	if (!from->rate_per_second && !from->uses_per_day)
		return ERR_OK;
	if (identity_of(from, identity, err))
		return err->code;
	to->meter = find_meter(p, identity);
	return to->meter ? ERR_OK : make_meter(p, identity, &to->meter, err);
}

static enum err_code
make_rules(struct permit *p, const struct permit_rule *from, size_t n, bool others,
    struct rules **ret, struct err *err)
{
	AUTO(rules_putp) struct rules *r = calloc(1, sizeof(*r) + n * sizeof(r->at[0]));
	bool counts = false;

	if (!r)
		return err_nomem(err);
	atomic_init(&r->refs, 1);
	r->others = others;
	for (; r->n < n; r->n++) {
		counts = counts || from[r->n].uses_per_day;
		if (copy_rule(p, &from[r->n], &r->at[r->n], err)) {
			r->n++; /* free what there is of it */
			return err->code;
		}
	}
	if (counts && file_mkdirs(p->uses_dir, 0700, err))
		return err->code;
	*ret = r;
	r = NULL;
	return ERR_OK;
}

enum err_code
permit_set(
    struct permit *p, const struct permit_rule *rules, size_t n_rules, bool others, struct err *err)
{
	AUTO(rules_putp) struct rules *fresh = NULL;
	struct rules *old;
	size_t bad;

	if (permit_check(rules, n_rules, p->uses_dir, &bad, err))
		return err->code;
	if ((n_rules || !others) && make_rules(p, rules, n_rules, others, &fresh, err))
		return err->code;
	pthread_mutex_lock(&p->lock);
	old = p->rules;
	p->rules = fresh;
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->in_force, n_rules || !others);
	fresh = old;
	return ERR_OK;
}

size_t
permit_count(struct permit *p, bool *ret_others)
{
	AUTO(rules_putp) struct rules *rules = rules_get(p);

	*ret_others = !rules || rules->others;
	return rules ? rules->n : 0;
}

/* --- use */

struct use {
	const struct peer *peer;
	const char *id;
	enum permit_verb verb;
	enum permit_algorithm algorithm;
};

static bool
names_key(const struct rule *rule, const char *id)
{
	for (size_t i = 0; i < rule->n_patterns; i++)
		if (pattern_match(rule->patterns[i], id))
			return true;
	return false;
}

static bool
fits(const struct rule *rule, const struct use *use, int64_t now)
{
	return rule->uid == use->peer->uid && rule->verbs & 1U << use->verb &&
	       (use->algorithm == PERMIT_NO_ALGORITHM || rule->algorithms & 1U << use->algorithm) &&
	       now <= rule->not_after;
}

/* Why rules that fit did not grant. */
struct refusal {
	bool second_full;
	int64_t next_day; /* 0: no day is full */
};

static enum err_code
refuse(const struct use *use, const struct refusal *why, struct err *err)
{
	char until[CLOCK_RFC3339_LEN];

	if (why->second_full)
		return err_set(err, ERR_DENIED,
		    "user %u has used the key %s too often in this second: try again in the next "
		    "one, or raise rate_per_second of the [[use]] rule",
		    (unsigned)use->peer->uid, use->id);
	if (why->next_day) {
		clock_rfc3339(why->next_day, "Z", until);
		return err_set(err, ERR_DENIED,
		    "user %u has used the key %s as often as it may today: try again after %s, or "
		    "raise uses_per_day of the [[use]] rule",
		    (unsigned)use->peer->uid, use->id, until);
	}
	err_set(err, ERR_DENIED, "no [[use]] rule grants %s%s%s", permit_verb_names[use->verb],
	    use->algorithm == PERMIT_NO_ALGORITHM ? "" : " with ",
	    use->algorithm == PERMIT_NO_ALGORITHM ? "" : permit_algorithm_names[use->algorithm]);
	return err_wrap(err, "user %u is not authorized to access the key %s",
	    (unsigned)use->peer->uid, use->id);
}

/* ERR_DENIED: no room; why then says more. */
static enum err_code
charge(struct permit *p, const struct rule *rule, int64_t now, struct refusal *why, struct err *err)
{
	enum meter_answer answer = METER_GRANTED;

	if (!rule->meter)
		return ERR_OK;
	if (!pool_may_block())
		return err_set(err, ERR_WOULD_BLOCK, "the use is to be counted");
	if (meter_take(rule->meter, &rule->limits, p->config.now_ms(), now, &answer, err))
		return err->code;
	if (answer == METER_GRANTED)
		return ERR_OK;
	if (answer == METER_SECOND_FULL)
		why->second_full = true;
	else
		why->next_day = meter_next_day(rule->meter);
	return ERR_DENIED;
}

static enum err_code
judge(struct permit *p, const struct rules *rules, const struct use *use, struct err *err)
{
	int64_t now = p->config.unix_now();
	struct refusal why = { 0 };
	bool named = false;

	for (size_t i = 0; i < rules->n; i++) {
		const struct rule *rule = &rules->at[i];
		enum err_code code;

		if (!names_key(rule, use->id))
			continue;
		named = true; /* by whichever rule: an expired one must not open the key to all */
		if (!fits(rule, use, now))
			continue;
		code = charge(p, rule, now, &why, err);
		if (code != ERR_DENIED)
			return code;
	}
	return !named && rules->others ? ERR_OK : refuse(use, &why, err);
}

enum err_code
permit_use(struct permit *p, const struct peer *peer, const char *id, enum permit_verb verb,
    enum permit_algorithm algorithm, struct err *err)
{
	const struct use use = { peer, id, verb, algorithm };
	AUTO(rules_putp) struct rules *rules = NULL;

	if (!p || !atomic_load_explicit(&p->in_force, memory_order_acquire))
		return ERR_OK;
	rules = rules_get(p);
	return rules ? judge(p, rules, &use, err) : ERR_OK;
}
