#ifndef KEYD_PERMIT_H
#define KEYD_PERMIT_H

#include "base/mem.h"
#include "platform/peer.h"
#include "wire/keyd.h"

/*
 * What may be done with a key by whom who holds a handle of it: the [[use]] rules of the configuration.  Without any rule a
 * handle is enough, as the contract has it (contracts/keyd.md 3; index-identity.md S2).  With rules, what none of them
 * grants is refused, to uid 0 as well; policy.h says who gets a handle at all.
 *
 * A rule grants a use when uid, key, verb and algorithm fit and its last second has not passed.  The first that fits and has
 * room, in its second and in its day, is charged with the use; a rule's room is one for all keys that it matches.
 */
struct permit;

enum permit_verb {
	PERMIT_SIGN,   /* POST /sign, and the private RSA operations of POST /encrypt */
	PERMIT_DERIVE, /* a handle of a derived key */
	PERMIT_ENCRYPT,
	PERMIT_DECRYPT,
	PERMIT_EXPORT, /* of a derived key */
	PERMIT_DELETE, /* besides being a principal */
	PERMIT_VERBS
};

enum permit_algorithm {
	PERMIT_ECDSA,
	PERMIT_HMAC_SHA256,
	PERMIT_EDDSA,
	PERMIT_AEAD,
	PERMIT_RSA_PKCS1,
	PERMIT_RSA_NO_PADDING,
	PERMIT_ALGORITHMS,
	PERMIT_NO_ALGORITHM = PERMIT_ALGORITHMS /* derive, export, delete: fits every rule */
};

extern const char *const permit_verb_names[];	   /* "sign", ..., NULL */
extern const char *const permit_algorithm_names[]; /* as on the wire, NULL */

enum permit_algorithm permit_of_mech(enum keyd_mech mech);
enum permit_algorithm permit_of_cipher(enum keyd_cipher cipher);

#define PERMIT_ALL UINT32_MAX /* algorithms: also those that later versions add */

struct permit_rule {
	uint32_t uid;
	const char *const *patterns; /* see data/pattern.h */
	size_t n_patterns;
	uint32_t verbs;		  /* 1 << enum permit_verb, or-ed */
	uint32_t algorithms;	  /* 1 << enum permit_algorithm, or-ed; or PERMIT_ALL */
	uint32_t rate_per_second; /* 0: no limit */
	uint64_t uses_per_day;	  /* 0: no limit */
	int64_t not_after;	  /* Unix seconds, the last one that it grants in; INT64_MAX: all */
};

struct permit_config {
	const char *homedir;	   /* NULL: no rule may have uses_per_day */
	uint64_t (*now_ms)(void);  /* NULL: clock_mono_ms */
	int64_t (*unix_now)(void); /* NULL: clock_unix */
};

/* Without rules.  config is copied, but for the string. */
enum err_code permit_new(
    const struct permit_config *config, struct permit **ret, struct err *err) MUST_CHECK;
/* Writes the exact counts.  No call may be in progress. */
void permit_free(struct permit *p);

/*
 * Put these rules (copied) in place of all there are, at once for every thread.  A rule of the same uid, patterns, verbs and
 * algorithms as one before goes on with its count, whatever its limits and place; so it does after a restart.
 *   others   keys that no pattern of any rule matches: true: left to the contract; false: refused, all where there is no rule
 * ERR_INVALID: two of the rules are the same in these four, or one has uses_per_day without a homedir.
 */
enum err_code permit_set(struct permit *p, const struct permit_rule *rules, size_t n_rules,
    bool others, struct err *err) MUST_CHECK;
/* How many rules are in force; *ret_others: are other keys left to the contract?  For status. */
size_t permit_count(struct permit *p, bool *ret_others);
/* Would permit_set take them?  *ret_bad is the index of the rule that it would not. */
enum err_code permit_check(const struct permit_rule *rules, size_t n_rules, bool has_homedir,
    size_t *ret_bad, struct err *err) MUST_CHECK;

/*
 * May this peer use the key of that id (of a derived key: its base) now?  Charged to a rule if so.
 *   p   NULL: there are no rules
 * ERR_DENIED: no rule grants it, or those that do have no room left; the text says which.  ERR_WOULD_BLOCK: a rule counts,
 * and pool_may_block() says no: counting may write a file, and a use that is tried again must not be charged twice.
 * ERR_INTERNAL, ERR_IO, ERR_NOMEM: it could not be counted.
 */
enum err_code permit_use(struct permit *p, const struct peer *peer, const char *id,
    enum permit_verb verb, enum permit_algorithm algorithm, struct err *err) MUST_CHECK;

#endif
