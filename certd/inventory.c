#include "certd/inventory.h"

#include <string.h>

#include "crypto/digest.h"
#include "crypto/x509.h"

struct taking {
	const struct certd_config *config;
	struct inventory *inventory;
	struct err *err;
};

static enum err_code
describe(X509 *leaf, struct inventory_entry *entry, struct err *err)
{
	struct err none = { 0 };
	int64_t not_before;

	if (x509_common_name(X509_get_subject_name(leaf), &entry->subject, &none) &&
	    str_copy(&entry->subject, "", err))
		return err->code;
	return x509_times(leaf, &not_before, &entry->not_after, err);
}

static enum err_code
add(struct inventory *inventory, const char *id, struct text pem, struct err *err)
{
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	struct inventory_entry *entry = &inventory->at[inventory->n];
	struct err none = { 0 };

	if (inventory->n == INVENTORY_MAX) {
		inventory->left_out++;
		return ERR_OK;
	}
	if (x509_chain_read(pem, &chain, &none))
		return ERR_OK;
	inventory->n++;
	if (str_copy(&entry->id, id, err))
		return err->code;
	return describe(sk_X509_value(chain, 0), entry, err);
}

/* A certificate that the configuration names, if it is there. */
static enum err_code
add_named(struct store *store, const struct taking *t, const char *id)
{
	AUTO(str_freep) char *pem = NULL;
	struct err none = { 0 };

	if (store_read(store, t->config, id, &pem, &none))
		return ERR_OK;
	return add(t->inventory, id, text_of(pem), t->err);
}

static bool
is_file_of(const char *id, const char *file)
{
	AUTO(str_freep) char *name = NULL;
	struct err none = { 0 };

	return digest_file_name(id, ".cer", &name, &none) == ERR_OK && strcmp(name, file) == 0;
}

static bool
is_named(const struct certd_config *config, const char *file)
{
	for (size_t i = 0; i < config->issuance.rules.n; i++)
		if (is_file_of(config->issuance.rules.at[i].id, file))
			return true;
	return false;
}

static enum err_code
add_found(void *ctx, const char *file, struct text pem)
{
	struct taking *t = ctx;

	return is_named(t->config, file) ? ERR_OK : add(t->inventory, file, pem, t->err);
}

enum err_code
inventory_take(
    struct store *store, const struct certd_config *config, struct inventory *ret, struct err *err)
{
	AUTO(inventory_done) struct inventory inventory = { 0 };
	struct taking t = { config, &inventory, err };

	for (size_t i = 0; i < config->preloaded.n; i++)
		if (!certd_preloaded_is_list(&config->preloaded.at[i]) &&
		    add_named(store, &t, config->preloaded.at[i].id))
			return err->code;
	for (size_t i = 0; i < config->issuance.rules.n; i++) {
		const char *id = config->issuance.rules.at[i].id;

		if (!certd_config_preloaded(config, id) && add_named(store, &t, id))
			return err->code;
	}
	if (store_each(store, add_found, &t, err))
		return err->code;
	*ret = inventory;
	inventory.n = 0;
	return ERR_OK;
}

void
inventory_done(struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->n; i++) {
		str_freep(&inventory->at[i].id);
		str_freep(&inventory->at[i].subject);
	}
	inventory->n = 0;
}
