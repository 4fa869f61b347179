#ifndef CERTD_INVENTORY_H
#define CERTD_INVENTORY_H

#include "certd/store.h"

/* What certificates there are, for `edgekeep status`. */

#define INVENTORY_MAX 64 /* shown; certificates of modules come and go */

struct inventory_entry {
	char *id;      /* where the configuration names it, else the name of its file */
	char *subject; /* common name; "" when it has none */
	int64_t not_after;
};

struct inventory {
	struct inventory_entry at[INVENTORY_MAX];
	size_t n;
	size_t left_out;
};

/* Those that the configuration names first.  Texts that hold no certificate are passed over. */
enum err_code inventory_take(struct store *store, const struct certd_config *config,
    struct inventory *ret, struct err *err) MUST_CHECK;
void inventory_done(struct inventory *inventory);

#endif
