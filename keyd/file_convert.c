#include "keyd/file_convert.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/mech.h"
#include "keyd/service.h"

/* What a conversion works with, opened before the policy, as the TPM is asked then. */
struct file_convert {
	struct mech *mech;
	struct backend_config config;
	struct file_store *store;
};

struct work {
	const struct file_store *store;
	bool wrapped;
	FILE *tell;
	struct file_counts counts;
};

static bool
change(void *work, const char *path)
{
	struct work *w = work;
	enum file_change what;
	struct err err = { 0 };

	if (file_store_change(w->store, path, w->wrapped, &what, &err)) {
		w->counts.failed++;
		fprintf(w->tell, "%s: %s\n", path, err_one_line(&err));
	} else if (what == FILE_CHANGED) {
		w->counts.changed++;
	} else if (what == FILE_WAS_SO) {
		w->counts.were_so++;
	}
	return true;
}

enum err_code
file_convert(const struct file_store *store, bool wrapped, FILE *tell, struct file_counts *ret,
    struct err *err)
{
	struct work w = { .store = store, .wrapped = wrapped, .tell = tell };

	if (file_store_each(store, change, &w, err))
		return err->code;
	*ret = w.counts;
	return ERR_OK;
}

/* --- the roles */

/* The one place that has key files. */
static const struct backend_config *
files_of(const struct keyd *keyd)
{
	for (size_t i = 0; i < keyd->layout.stores.n_stores; i++)
		if (keyd->layout.store[i].backend == &file_backend)
			return &keyd->layout.store[i].config;
	return NULL;
}

/* A file that another user writes is one that keyd cannot read any more. */
static enum err_code
check_owner(const char *homedir, struct err *err)
{
	struct stat st;

	if (!homedir)
		return err_set(err, ERR_CONFIG, "there is no homedir_path, and so no key file");
	if (stat(homedir, &st))
		return err_errno(err, "%s cannot be used", homedir);
	if (st.st_uid != geteuid())
		return err_set(err, ERR_DENIED,
		    "%s is of another user: run this as root, or as keyd's user", homedir);
	return ERR_OK;
}

enum err_code
file_convert_prepare(struct daemon *d, struct err *err)
{
	struct keyd *keyd = d->service;
	const struct backend_config *files = files_of(keyd);
	struct file_convert *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	/* stopped while it has the files' lock it would hold up keyd */
	(void)signal(SIGTSTP, SIG_IGN);
	keyd->convert = c;
	c->config = *files;
	if (check_owner(c->config.homedir, err))
		return err->code;
	if (!c->config.wrap)
		return err_set(err, ERR_CONFIG,
		    "[backends.file] has no wrap = \"tpm\" or \"credential\": nothing says by "
		    "what keys are wrapped");
	json_wipe_memory();
	if (mech_new(&c->mech, err))
		return err->code;
	c->config.mech = c->mech;
	return file_store_open(&c->config, &c->store, err);
}

enum err_code
file_convert_serve(struct daemon *d, struct err *err)
{
	const struct file_convert *c = ((struct keyd *)d->service)->convert;
	bool wrapped = strcmp(d->role->name, "wrap") == 0;
	struct file_counts n = { 0 };
	AUTO(str_freep) char *told = NULL;

	if (file_convert(c->store, wrapped, stderr, &n, err))
		return err->code;
	if (str_format(&told, err, "%lu %s, %lu were already, %lu failed\n", n.changed,
		wrapped ? "wrapped" : "unwrapped", n.were_so, n.failed))
		return err->code;
	/* stdio would ask whether it is a terminal */
	d->exit_status = write(STDOUT_FILENO, told, strlen(told)) < 0 || n.failed > 0;
	return ERR_OK;
}

void
file_convert_done(struct daemon *d)
{
	struct keyd *keyd = d->service;
	struct file_convert *c = keyd->convert;

	if (c) {
		file_store_close(c->store);
		mech_free(c->mech);
		free(c);
	}
	keyd_done(d);
}
