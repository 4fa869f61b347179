#include "tests/support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keyd/permit.h"
#include "platform/daemon.h"
#include "platform/pool.h"

#define DAY   86400
#define NOON  (20000LL * DAY + DAY / 2) /* 2024-10-04T12:00:00Z */
#define NEVER INT64_MAX

static uint64_t now_ms;
static int64_t unix_now;

static uint64_t
get_ms(void)
{
	return now_ms;
}

static int64_t
get_unix(void)
{
	return unix_now;
}

static struct permit *
new_permit(bool with_home)
{
	const struct permit_config config = { with_home ? support_tmpdir() : NULL, get_ms,
		get_unix };
	struct permit *p = NULL;
	struct err err = { 0 };

	pool_set_may_block(true);
	ck_ok(permit_new(&config, &p, &err));
	return p;
}

static enum err_code
use_as(struct permit *p, uint32_t uid, const char *id, enum permit_verb verb,
    enum permit_algorithm algorithm, struct err *err)
{
	const struct peer peer = { .uid = uid, .gid = uid, .pidfd = -1 };

	return permit_use(p, &peer, id, verb, algorithm, err);
}

/* --- rows */

#define VERB(v)	     (1U << PERMIT_##v)
#define ALGORITHM(a) (1U << PERMIT_##a)

static const char *const dev[] = { "dev-*" };
static const char *const two[] = { "one", "tw?" };
static const char *const old[] = { "old" };

static const struct permit_rule rules[] = {
	{ 1000, dev, 1, VERB(SIGN) | VERB(DERIVE), ALGORITHM(ECDSA), 0, 0, NEVER },
	{ 1000, dev, 1, VERB(ENCRYPT), PERMIT_ALL, 0, 0, NEVER },
	{ 1001, two, 2, VERB(SIGN) | VERB(EXPORT), 0, 0, 0, NEVER },
	{ 1002, old, 1, VERB(SIGN), PERMIT_ALL, 0, 0, NOON },
	{ 1003, NULL, 0, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER },
	{ 1003, dev, 1, 0, PERMIT_ALL, 0, 0, NEVER },
};

/* others: what is granted where keys that no rule names are left to the contract */
static const struct {
	uint32_t uid;
	const char *id;
	enum permit_verb verb;
	enum permit_algorithm algorithm;
	bool granted, others;
} rows[] = {
	{ 1000, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, true, true },
	{ 1000, "dev-", PERMIT_SIGN, PERMIT_ECDSA, true, true },
	{ 1000, "dev-a", PERMIT_SIGN, PERMIT_HMAC_SHA256, false, false },
	{ 1000, "dev-a", PERMIT_SIGN, PERMIT_RSA_PKCS1, false, false },
	{ 1000, "dev-a", PERMIT_DERIVE, PERMIT_NO_ALGORITHM, true, true },
	{ 1000, "dev-a", PERMIT_EXPORT, PERMIT_NO_ALGORITHM, false, false },
	{ 1000, "dev-a", PERMIT_DELETE, PERMIT_NO_ALGORITHM, false, false },
	{ 1000, "dev-a", PERMIT_ENCRYPT, PERMIT_AEAD, true, true },
	{ 1000, "dev-a", PERMIT_DECRYPT, PERMIT_AEAD, false, false },
	{ 1000, "one", PERMIT_SIGN, PERMIT_ECDSA, false, false },
	/* no algorithm at all: only what has none */
	{ 1001, "one", PERMIT_SIGN, PERMIT_ECDSA, false, false },
	{ 1001, "two", PERMIT_EXPORT, PERMIT_NO_ALGORITHM, true, true },
	{ 1001, "twoo", PERMIT_EXPORT, PERMIT_NO_ALGORITHM, false, true },
	/* uid 0 is nobody special here */
	{ 0, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, false, false },
	{ 0, "other", PERMIT_SIGN, PERMIT_ECDSA, false, true },
	{ 0, "other", PERMIT_DELETE, PERMIT_NO_ALGORITHM, false, true },
	{ 1002, "old", PERMIT_SIGN, PERMIT_AEAD, true, true },
	{ 1003, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, false, false },
	{ 1003, "x", PERMIT_SIGN, PERMIT_ECDSA, false, true },
};

START_TEST(test_rows)
{
	struct permit *p = new_permit(false);
	struct err err = { 0 };

	unix_now = NOON;
	for (int others = 0; others < 2; others++) {
		bool is_left;

		ck_ok(permit_set(p, rules, ARRAY_LEN(rules), others, &err));
		ck_assert_uint_eq(permit_count(p, &is_left), ARRAY_LEN(rules));
		ck_assert(is_left == others);
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			bool granted = use_as(p, rows[i].uid, rows[i].id, rows[i].verb,
					   rows[i].algorithm, &err) == ERR_OK;

			ck_assert_msg(granted == (others ? rows[i].others : rows[i].granted),
			    "row %zu, others %d: %s", i, others, err.text);
			ck_assert(granted || err.code == ERR_DENIED);
		}
	}
	permit_free(p);
}
END_TEST

/* The contract's behaviour: without a permit, before rules, and after they were taken away; in a polling thread, too. */
START_TEST(test_without_rules)
{
	struct permit *p = new_permit(false);
	struct err err = { 0 };

	pool_set_may_block(false);
	ck_ok(use_as(NULL, 1, "k", PERMIT_SIGN, PERMIT_AEAD, &err));
	ck_ok(use_as(p, 1, "k", PERMIT_SIGN, PERMIT_AEAD, &err));
	ck_ok(permit_set(p, rules, ARRAY_LEN(rules), false, &err));
	ck_err(use_as(p, 1, "k", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	ck_ok(permit_set(p, NULL, 0, true, &err));
	ck_ok(use_as(p, 1, "k", PERMIT_SIGN, PERMIT_AEAD, &err));
	/* no rule, and all other keys refused */
	ck_ok(permit_set(p, NULL, 0, false, &err));
	ck_err(use_as(p, 0, "k", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	permit_free(p);
}
END_TEST

/* Rules of RFC 3339's second not_after: it is the last one; after it the key is not everybody's. */
START_TEST(test_not_after)
{
	struct permit *p = new_permit(false);
	struct err err = { 0 };

	ck_ok(permit_set(p, rules, ARRAY_LEN(rules), true, &err));
	unix_now = NOON;
	ck_ok(use_as(p, 1002, "old", PERMIT_SIGN, PERMIT_AEAD, &err));
	unix_now = NOON + 1;
	ck_err(use_as(p, 1002, "old", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	ck_err(use_as(p, 1003, "old", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	permit_free(p);
}
END_TEST

/* What a refusal says; the first line is the contract's (keyd.md 3). */
START_TEST(test_texts)
{
	static const struct permit_rule limited[] = {
		{ 1000, dev, 1, VERB(SIGN), PERMIT_ALL, 1, 0, NEVER },
		{ 1001, dev, 1, VERB(SIGN), PERMIT_ALL, 0, 1, NEVER },
	};
	struct permit *p = new_permit(true);
	struct err err = { 0 };

	unix_now = NOON;
	ck_ok(permit_set(p, limited, ARRAY_LEN(limited), false, &err));
	ck_err(use_as(p, 5, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, &err), ERR_DENIED);
	ck_assert_str_eq(err.text, "user 5 is not authorized to access the key dev-a\n"
				   "caused by: no [[use]] rule grants sign with ECDSA");
	ck_err(use_as(p, 5, "dev-a", PERMIT_DELETE, PERMIT_NO_ALGORITHM, &err), ERR_DENIED);
	ck_assert_str_eq(err.text, "user 5 is not authorized to access the key dev-a\n"
				   "caused by: no [[use]] rule grants delete");
	ck_ok(use_as(p, 1000, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, &err));
	ck_err(use_as(p, 1000, "dev-b", PERMIT_SIGN, PERMIT_ECDSA, &err), ERR_DENIED);
	ck_assert_str_eq(err.text,
	    "user 1000 has used the key dev-b too often in this second: try again in the next "
	    "one, or raise rate_per_second of the [[use]] rule");
	ck_ok(use_as(p, 1001, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, &err));
	ck_err(use_as(p, 1001, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, &err), ERR_DENIED);
	ck_assert_str_eq(err.text,
	    "user 1001 has used the key dev-a as often as it may today: try again after "
	    "2024-10-05T00:00:00Z, or raise uses_per_day of the [[use]] rule");
	permit_free(p);
}
END_TEST

/* A rule that counts is judged where waiting is allowed, and nothing is counted elsewhere; others are judged anywhere. */
START_TEST(test_would_block)
{
	static const struct permit_rule limited[] = {
		{ 1000, two, 2, VERB(SIGN), PERMIT_ALL, 1, 0, NEVER },
		{ 1000, dev, 1, VERB(SIGN), PERMIT_ALL, 0, 1, NEVER },
		{ 1000, old, 1, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER },
	};
	struct permit *p = new_permit(true);
	struct err err = { 0 };

	ck_ok(permit_set(p, limited, ARRAY_LEN(limited), false, &err));
	for (int i = 0; i < 3; i++) {
		pool_set_may_block(false);
		ck_err(use_as(p, 1000, "one", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_WOULD_BLOCK);
		ck_err(use_as(p, 1000, "dev-", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_WOULD_BLOCK);
		ck_ok(use_as(p, 1000, "old", PERMIT_SIGN, PERMIT_AEAD, &err));
		ck_err(use_as(p, 1001, "one", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	}
	pool_set_may_block(true);
	ck_ok(use_as(p, 1000, "one", PERMIT_SIGN, PERMIT_AEAD, &err));
	ck_ok(use_as(p, 1000, "dev-", PERMIT_SIGN, PERMIT_AEAD, &err));
	ck_err(use_as(p, 1000, "dev-", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	permit_free(p);
}
END_TEST

/* The same rule twice, in another order of its patterns or with other limits, would share one count. */
START_TEST(test_checked)
{
	static const char *const owt[] = { "tw?", "one" };
	static const char *const joined[] = { "one tw?" };
	static const struct {
		struct permit_rule second;
		bool same;
	} seconds[] = {
		{ { 1000, two, 2, VERB(SIGN), PERMIT_ALL, 9, 9, 0 }, true },
		{ { 1000, owt, 2, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER }, true },
		{ { 1000, two, 1, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER }, false },
		{ { 1000, joined, 1, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER }, false },
		{ { 1001, two, 2, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER }, false },
		{ { 1000, two, 2, VERB(DERIVE), PERMIT_ALL, 0, 0, NEVER }, false },
		{ { 1000, two, 2, VERB(SIGN), (1U << PERMIT_ALGORITHMS) - 1, 0, 0, NEVER }, false },
		{ { 1000, two, 2, VERB(SIGN), 0, 0, 0, NEVER }, false },
	};
	struct permit_rule both[2] = { { 1000, two, 2, VERB(SIGN), PERMIT_ALL, 0, 0, NEVER } };
	struct permit *p = new_permit(false);
	struct err err = { 0 };
	size_t bad = 99;

	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		enum err_code code;

		both[1] = seconds[i].second;
		code = permit_check(both, 2, true, &bad, &err);
		ck_assert_msg(code == (seconds[i].same ? ERR_INVALID : ERR_OK), "second %zu", i);
		ck_assert(!seconds[i].same || (bad == 1 && strstr(err.text, "use[0]")));
	}
	both[1] = (struct permit_rule){ 1, two, 2, VERB(SIGN), PERMIT_ALL, 0, 5, NEVER };
	ck_err(permit_check(both, 2, false, &bad, &err), ERR_INVALID);
	ck_assert_uint_eq(bad, 1);
	ck_assert_ptr_nonnull(strstr(err.text, "homedir_path"));
	/* nothing of a refused set is in force */
	ck_ok(permit_set(p, both, 1, false, &err));
	ck_err(permit_set(p, both, 2, true, &err), ERR_INVALID);
	ck_err(use_as(p, 7, "x", PERMIT_SIGN, PERMIT_AEAD, &err), ERR_DENIED);
	ck_ok(use_as(p, 1000, "one", PERMIT_SIGN, PERMIT_AEAD, &err));
	permit_free(p);
}
END_TEST

/* Rules are replaced while they are gone through. */
static void *
use_for_long(void *arg)
{
	struct err err = { 0 };

	pool_set_may_block(true);
	for (int i = 0; i < 20000; i++)
		if (use_as(arg, 1000, "dev-a", PERMIT_SIGN, PERMIT_ECDSA, &err))
			return arg;
	return NULL;
}

START_TEST(test_replaced)
{
	struct permit *p = new_permit(false);
	struct permit_rule rated = rules[0];
	pthread_t threads[3];
	struct err err = { 0 };

	rated.rate_per_second = 4000000;
	ck_ok(permit_set(p, rules, ARRAY_LEN(rules), false, &err));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use_for_long, p), 0);
	for (int i = 0; i < 500; i++) {
		ck_ok(permit_set(p, &rated, 1, false, &err));
		ck_ok(permit_set(p, NULL, 0, true, &err));
		ck_ok(permit_set(p, rules, ARRAY_LEN(rules), false, &err));
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *refused = p;

		pthread_join(threads[i], &refused);
		ck_assert_ptr_null(refused);
	}
	permit_free(p);
}
END_TEST

/*
 * --- random rule sets against an evaluator that is written for nothing but to be plain: it keeps all uses that were charged
 * and counts them anew for each question
 */

#define SETS	   10000
#define OPERATIONS 24
#define RULES	   5
#define PATTERNS   3

struct plain_use {
	int64_t day; /* INT64_MIN: not counted for a day */
	uint64_t ms;
	unsigned process;
};

struct plain_rule {
	uint32_t uid;
	char patterns[PATTERNS][8];
	size_t n_patterns;
	bool verbs[PERMIT_VERBS], algorithms[PERMIT_ALGORITHMS], any_algorithm;
	unsigned per_second, per_day;
	int64_t not_after;
	struct plain_use uses[OPERATIONS];
	size_t n_uses;
};

struct plain {
	struct plain_rule rules[RULES];
	size_t n;
	bool others;
	bool budgets; /* in some sets only: each use of a small one is a write to disk */
	unsigned process;
};

static uint64_t seed;

/* xorshift64*, so that a seed gives the same rules everywhere */
static unsigned
dice(unsigned sides)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (unsigned)((seed * 2685821657736338717U) >> 33) % sides;
}

static const char *
plain_next(const char *at)
{
	return (unsigned char)*at == 0xc3 ? at + 2
					  : at + 1; /* the only other character is u umlaut */
}

static bool
plain_match(const char *pattern, const char *id)
{
	if (*pattern == '\0')
		return *id == '\0';
	if (*pattern == '*')
		return plain_match(pattern + 1, id) ||
		       (*id && plain_match(pattern, plain_next(id)));
	if (*id == '\0')
		return false;
	if (*pattern == '?')
		return plain_match(pattern + 1, plain_next(id));
	return *pattern == *id && plain_match(pattern + 1, id + 1);
}

static bool
plain_names(const struct plain_rule *rule, const char *id)
{
	for (size_t i = 0; i < rule->n_patterns; i++)
		if (plain_match(rule->patterns[i], id))
			return true;
	return false;
}

static int64_t
plain_day(int64_t seconds)
{
	int64_t day = 0;

	while (seconds < day * DAY)
		day--;
	while (seconds >= (day + 1) * DAY)
		day += seconds >= (day + 1001) * DAY ? 1000 : 1;
	return day;
}

static bool
plain_day_has_room(const struct plain_rule *rule, int64_t *ret_day)
{
	unsigned n = 0;

	*ret_day = plain_day(unix_now);
	for (size_t i = 0; i < rule->n_uses; i++)
		if (rule->uses[i].day > *ret_day)
			*ret_day = rule->uses[i].day;
	for (size_t i = 0; i < rule->n_uses; i++)
		n += rule->uses[i].day == *ret_day;
	return rule->per_day == 0 || n < rule->per_day;
}

static bool
plain_second_has_room(const struct plain_rule *rule, unsigned process)
{
	uint64_t begin = 0;
	unsigned n = 0;

	for (size_t i = 0; i < rule->n_uses; i++) {
		if (rule->uses[i].process != process)
			continue;
		if (n == 0 || rule->uses[i].ms >= begin + 1000) {
			begin = rule->uses[i].ms;
			n = 0;
		}
		n++;
	}
	return rule->per_second == 0 || n < rule->per_second || now_ms >= begin + 1000;
}

static bool
plain_grants(struct plain *p, uint32_t uid, const char *id, enum permit_verb verb,
    enum permit_algorithm algorithm)
{
	bool named = false;

	for (size_t i = 0; i < p->n; i++)
		named = named || plain_names(&p->rules[i], id);
	if (!named && p->others)
		return true;
	for (size_t i = 0; i < p->n; i++) {
		struct plain_rule *rule = &p->rules[i];
		int64_t day;

		if (rule->uid != uid || !plain_names(rule, id) || !rule->verbs[verb] ||
		    unix_now > rule->not_after)
			continue;
		if (algorithm != PERMIT_NO_ALGORITHM && !rule->any_algorithm &&
		    !rule->algorithms[algorithm])
			continue;
		if (!plain_day_has_room(rule, &day) || !plain_second_has_room(rule, p->process))
			continue;
		if (rule->per_second || rule->per_day) /* others count nothing */
			rule->uses[rule->n_uses++] =
			    (struct plain_use){ rule->per_day ? day : INT64_MIN, now_ms,
				    p->process };
		return true;
	}
	return false;
}

static void
make_text(char *out, size_t size, const char *const *letters, unsigned n_letters)
{
	unsigned n = dice(4);
	size_t len = 0;

	*out = '\0';
	while (n--)
		len += (size_t)snprintf(out + len, size - len, "%s", letters[dice(n_letters)]);
}

static void
make_limits(const struct plain *p, struct plain_rule *rule)
{
	rule->per_second = dice(3) ? 0 : 1 + dice(3);
	rule->per_day = !p->budgets || dice(2) ? 0 : 1 + dice(4);
	rule->not_after = dice(4) ? NEVER : unix_now + dice(2 * DAY);
}

static bool
same_text(const struct plain_rule *a, const struct plain_rule *b)
{
	bool same_algorithms =
	    a->any_algorithm == b->any_algorithm &&
	    (a->any_algorithm || memcmp(a->algorithms, b->algorithms, sizeof(a->algorithms)) == 0);

	/* near enough: patterns are not looked at */
	return a->uid == b->uid && same_algorithms &&
	       memcmp(a->verbs, b->verbs, sizeof(a->verbs)) == 0;
}

static void
make_rule(struct plain *p)
{
	static const char *const letters[] = { "a", "b", "*", "?" };
	struct plain_rule *rule = &p->rules[p->n];

	*rule = (struct plain_rule){ .uid = dice(3) ? 1000 : dice(2) };
	rule->n_patterns = dice(PATTERNS + 1);
	for (size_t i = 0; i < rule->n_patterns; i++)
		make_text(
		    rule->patterns[i], sizeof(rule->patterns[i]), letters, ARRAY_LEN(letters));
	for (size_t i = 0; i < PERMIT_VERBS; i++)
		rule->verbs[i] = dice(3);
	rule->any_algorithm = dice(2);
	for (size_t i = 0; i < PERMIT_ALGORITHMS; i++)
		rule->algorithms[i] = dice(3);
	make_limits(p, rule);
	for (size_t i = 0; i < p->n; i++)
		if (same_text(&p->rules[i], rule))
			return;
	p->n++;
}

/* Tell the real one. */
static void
put(struct permit *to, const struct plain *p, bool backwards)
{
	const char *patterns[RULES][PATTERNS];
	struct permit_rule out[RULES] = { 0 };
	struct err err = { 0 };

	for (size_t i = 0; i < p->n; i++) {
		const struct plain_rule *rule = &p->rules[i];

		for (size_t j = 0; j < rule->n_patterns; j++)
			patterns[i][j] = rule->patterns[backwards ? rule->n_patterns - 1 - j : j];
		out[i] = (struct permit_rule){ rule->uid, patterns[i], rule->n_patterns, 0,
			rule->any_algorithm ? PERMIT_ALL : 0, rule->per_second, rule->per_day,
			rule->not_after };
		for (unsigned j = 0; j < PERMIT_VERBS; j++)
			out[i].verbs |= rule->verbs[j] ? 1U << j : 0;
		for (unsigned j = 0; j < PERMIT_ALGORITHMS; j++)
			out[i].algorithms |= rule->algorithms[j] ? 1U << j : 0;
	}
	ck_ok(permit_set(to, out, p->n, p->others, &err));
}

static void
let_time_pass(void)
{
	now_ms += dice(3) ? dice(400) : dice(1500);
	unix_now += dice(3);
	if (dice(20) == 0)
		unix_now += dice(2 * DAY);
	if (dice(20) == 0)
		unix_now -= dice(3 * DAY);
}

/* A restart, or SIGHUP with other limits and the rules in another order. */
static void
disturb(struct permit **real, struct plain *p)
{
	unsigned what = dice(30);

	if (what == 0) {
		permit_free(*real);
		*real = new_permit(true);
		p->process++;
		put(*real, p, dice(2));
	} else if (what == 1 && p->n > 1) {
		struct plain_rule first = p->rules[0];

		p->rules[0] = p->rules[p->n - 1];
		make_limits(p, &first);
		p->rules[p->n - 1] = first;
		put(*real, p, dice(2));
	}
}

static const char *uses; /* where counts are kept */

static void
remove_counts(void)
{
	DIR *dir = opendir(uses);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static void
try_set(uint64_t number)
{
	static const char *const letters[] = { "a", "b", "\xc3\xbc" };
	struct plain p = { .others = dice(3) == 0, .budgets = dice(8) == 0 };
	struct permit *real = new_permit(true);
	unsigned n = dice(RULES + 1);

	while (n--)
		make_rule(&p);
	put(real, &p, false);
	for (int i = 0; i < OPERATIONS; i++) {
		enum permit_verb verb = (enum permit_verb)dice(PERMIT_VERBS);
		enum permit_algorithm algorithm =
		    verb == PERMIT_SIGN || verb == PERMIT_ENCRYPT || verb == PERMIT_DECRYPT
			? (enum permit_algorithm)dice(PERMIT_ALGORITHMS)
			: PERMIT_NO_ALGORITHM;
		uint32_t uid = dice(3) ? 1000 : dice(2);
		char id[8];
		enum err_code code;
		struct err err = { 0 };
		bool wanted;

		let_time_pass();
		disturb(&real, &p);
		make_text(id, sizeof(id), letters, ARRAY_LEN(letters));
		wanted = plain_grants(&p, uid, id, verb, algorithm);
		code = use_as(real, uid, id, verb, algorithm, &err);
		ck_assert_msg(code == (wanted ? ERR_OK : ERR_DENIED),
		    "PERMIT_SEED=%s, set %llu, operation %d: %s instead of %s: %s",
		    getenv("PERMIT_SEED"), (unsigned long long)number, i, err_name(code),
		    wanted ? "granted" : "refused", err.text);
	}
	permit_free(real);
	remove_counts();
}

START_TEST(test_random)
{
	char fresh[24];

	snprintf(fresh, sizeof(fresh), "%lld", (long long)time(NULL));
	setenv("PERMIT_SEED", fresh, 0);
	printf("PERMIT_SEED=%s\n", getenv("PERMIT_SEED"));
	uses = support_path("uses");
	seed = strtoull(getenv("PERMIT_SEED"), NULL, 0) | 1;
	/* valgrind takes its time */
	for (uint64_t i = 0; i < (daemon_instrumented() ? SETS / 50 : SETS); i++) {
		now_ms = dice(5000);
		unix_now = NOON + dice(DAY);
		try_set(i);
	}
}
END_TEST

TEST_MAIN("keyd/permit", test_rows, test_without_rules, test_not_after, test_texts,
    test_would_block, test_checked, test_replaced, test_random)
