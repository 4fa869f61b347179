#ifndef KEYD_KEYS_PRIV_H
#define KEYD_KEYS_PRIV_H

#include "keyd/handle.h"
#include "keyd/keys.h"
#include "keyd/mech.h"

/* Between the two halves of keys.h: keys.c, which keeps keys, and use.c, which works with them. */

/* The contract's words for most of what a caller can do wrong, without a cause. */
enum err_code keys_bad_value(struct err *err);
/* What a backend says of an id or an operation, in the contract's words. */
enum err_code keys_contract_error(struct err *err);
/* The same of an opened key.  One that is no longer there is forgotten. */
enum err_code keys_key_error(struct keys *k, const struct key *key, struct err *err);

enum err_code keys_read_handle(
    struct keys *k, const char *text, struct handle *ret, struct err *err) MUST_CHECK;
enum err_code keys_seal_handle(
    struct keys *k, const struct handle *h, char **ret_text, struct err *err) MUST_CHECK;
/* The key that a handle names, or that the named key is derived from. */
enum err_code keys_open_handle(
    struct keys *k, const struct handle *h, struct key **ret, struct err *err) MUST_CHECK;
/* Is the handle of an id that was not deleted since?  The key itself need not exist. */
enum err_code keys_check_handle(struct keys *k, const struct handle *h, struct err *err) MUST_CHECK;

/* permit_use, where ERR_WOULD_BLOCK leads to the pool of the id. */
enum err_code keys_permit(struct keys *k, const struct peer *peer, const char *id,
    enum permit_verb verb, enum permit_algorithm algorithm, struct err *err) MUST_CHECK;

const struct mech *keys_mech(const struct keys *k);

#endif
