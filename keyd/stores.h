#ifndef KEYD_STORES_H
#define KEYD_STORES_H

#include "keyd/backend.h"
#include "platform/pool.h"

/*
 * All the places where keys live, and which of them an id belongs to (contracts/keyd.md 6):
 *
 *   1. a preloaded id: exactly its own place;
 *   2. where there are placement rules: the place that the first matching rule names, and no other.  An id that no rule
 *      matches lives nowhere, so nothing falls back to a weaker place by itself;
 *   3. else the places in their order, those with any_id that are not by_rule.
 *
 * Calls for one id that change or open it are not to be made side by side; see cache_claim.  Errors are the backends' (backend.h).
 */
struct stores;

#define STORES_MAX 16

/* One place. */
struct store_config {
	const struct backend *backend; /* the kind that does the work, here or in a worker */
	const struct backend *front; /* what stands here for a worker process (remote.h), or NULL */
	bool by_rule;		     /* lives outside the order of 3. */
	struct backend_config config; /* mech is filled in by stores_open */
};

struct store_rule {
	const char *const *patterns; /* data/pattern.h */
	size_t n_patterns;
	const char *store; /* name of one of the places */
};

struct stores_config {
	const struct store_config *stores; /* in the order in which they are asked */
	size_t n_stores;
	const struct store_rule *rules; /* none: case 3 */
	size_t n_rules;
	const char *const *nowhere; /* preloaded ids whose place is not configured */
	size_t n_nowhere;
};

/* The backend of that `type`, or NULL. */
const struct backend *stores_backend(const char *type);

/* config must outlive the result. */
enum err_code stores_open(const struct stores_config *config, const struct mech *mech,
    struct stores **ret, struct err *err) MUST_CHECK;
void stores_close(struct stores *s);

/* Has the id a place of its own, which other ids may share? */
bool stores_is_preloaded(struct stores *s, const char *id);
/*
 * The pool whose threads may wait for the places of an id: that of the first worker process among them, so that one which hangs
 * holds up nobody else; NULL: any will do.
 */
struct pool *stores_pool(struct stores *s, const char *id);

/* Open the key of an id, with one reference, in the first place that has it.  ERR_NOT_FOUND: none has. */
enum err_code stores_find(
    struct stores *s, const char *id, struct key **ret, struct err *err) MUST_CHECK;
/* Is there something under this id anywhere, usable or not? */
enum err_code stores_exists(
    struct stores *s, const char *id, bool *ret, struct err *err) MUST_CHECK;

/* Make a key in the first place of the id that can.  ERR_INVALID `no way to create keys`: it has none. */
enum err_code stores_create_key(
    struct stores *s, const char *id, unsigned usage, struct err *err) MUST_CHECK;
/*
 * Make a key pair in the first place of the id, by the first algorithm that works there.
 *   preferred   names split by ':', unknown ones skipped; NULL: "*", that is ec-p256 and then rsa-2048
 * ERR_INVALID: none works, or no place.
 */
enum err_code stores_create_pair(
    struct stores *s, const char *id, const char *preferred, struct err *err) MUST_CHECK;
/* As stores_create_key, with the caller's bytes, in place of what is there, also in a place that could not take them. */
enum err_code stores_import(struct stores *s, const char *id, unsigned usage,
    const struct bytes *value, struct err *err) MUST_CHECK;
/* Do the two ids live in one place, so that one can be moved to the other? */
bool stores_together(struct stores *s, const char *from, const char *to);
/* Between ids that live together only, else ERR_INVALID.  ERR_NOT_FOUND: there is no such key. */
enum err_code stores_move(
    struct stores *s, const char *from, const char *to, struct err *err) MUST_CHECK;
/* From every place of the id, also where an older key was hidden by a newer one.  Success when it is gone already. */
enum err_code stores_remove(struct stores *s, const char *id, struct err *err) MUST_CHECK;

#endif
