#ifndef KEYD_POLICY_H
#define KEYD_POLICY_H

#include "base/mem.h"
#include "platform/peer.h"

/*
 * Who may name which key (contracts/keyd.md 3): uid 0 every one, others those ids that a pattern of one of their principals
 * matches.  Entries for the same uid add up.
 */
struct policy;

struct policy_rule {
	uint32_t uid;
	const char *const *patterns; /* see data/pattern.h */
	size_t n_patterns;
};

/* Without rules: uid 0 only. */
enum err_code policy_new(struct policy **ret, struct err *err) MUST_CHECK;
void policy_free(struct policy *p);
/* Put these rules (copied) in place of all there are, at once for every thread. */
enum err_code policy_set(
    struct policy *p, const struct policy_rule *rules, size_t n_rules, struct err *err) MUST_CHECK;

/*
 * ERR_DENIED `user <uid> is not authorized to access the key <id>`.  The id `handle-validation-key`, under which upstream
 * kept what made its handles valid, is refused to everybody (decisions.md, Handles; index-identity.md S3).
 */
enum err_code policy_allow(
    struct policy *p, const struct peer *peer, const char *id, struct err *err) MUST_CHECK;

#endif
