#include "keyd/abi/state.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "data/uri.h"
#include "keyd/layout.h"
#include "keyd/mech.h"
#include "platform/pool.h"

#define PRELOADED     "preloaded_key:"
#define PRELOADED_MAX 1024
#define TOKEN_URI     "pkcs11:"

static struct {
	pthread_mutex_t lock;
	struct keyd_config config; /* of it places and preloaded */
	struct layout layout;
	struct mech *mech;
	struct stores *stores; /* NULL: to be opened by the next call */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
begin_log(void)
{
	log_init(getenv("AZIOT_LOG"), "keys");
}

/* --- open and close */

static void
close_places(void)
{
	stores_close(state.stores);
	state.stores = NULL;
	layout_done(&state.layout);
}

static enum err_code
open_places(struct err *err)
{
	if (state.stores)
		return ERR_OK;
	if (!state.mech && mech_new(&state.mech, err))
		return err->code;
	if (layout_make(&state.config, &state.layout, err))
		return err->code;
	if (stores_open(&state.layout.stores, state.mech, &state.stores, err)) {
		layout_done(&state.layout);
		return err->code;
	}
	return ERR_OK;
}

enum err_code
call_begin(struct call *c)
{
	pthread_once(&once, begin_log);
	pthread_mutex_lock(&state.lock);
	c->entered = true;
	pool_set_may_block(true);
	if (open_places(&c->err))
		return c->err.code;
	c->stores = state.stores;
	c->mech = state.mech;
	return ERR_OK;
}

void
call_end(struct call *c)
{
	if (c->entered)
		pthread_mutex_unlock(&state.lock);
	*c = (struct call){ 0 };
}

/* --- parameters */

static enum err_code
set_string(char **member, const char *value, struct err *err)
{
	char *copy = NULL;

	if (value[0] == '\0')
		return err_set(err, ERR_INVALID, "the value is empty");
	if (str_copy(&copy, value, err))
		return err->code;
	str_freep(member);
	*member = copy;
	return ERR_OK;
}

static enum err_code
set_token(char **member, const char *value, struct err *err)
{
	if (strncmp(value, TOKEN_URI, strlen(TOKEN_URI)) != 0)
		return err_set(err, ERR_INVALID, "expected pkcs11:...");
	return set_string(member, value, err);
}

static struct keyd_config_preloaded *
preloaded_of(const char *id)
{
	for (size_t i = 0; i < state.config.preloaded.n; i++)
		if (strcmp(state.config.preloaded.at[i].id, id) == 0)
			return &state.config.preloaded.at[i];
	return NULL;
}

static enum err_code
add_preloaded(const char *id, const char *uri, struct err *err)
{
	size_t n = state.config.preloaded.n;
	struct keyd_config_preloaded *at =
	    realloc(state.config.preloaded.at, (n + 1) * sizeof(*at));
	struct keyd_config_preloaded fresh = { 0 };

	if (!at)
		return err_nomem(err);
	state.config.preloaded.at = at;
	if (str_copy(&fresh.id, id, err) || str_copy(&fresh.uri, uri, err)) {
		str_freep(&fresh.id);
		return err->code;
	}
	at[n] = fresh;
	state.config.preloaded.n++;
	return ERR_OK;
}

static enum err_code
set_preloaded(const char *id, const char *uri, struct err *err)
{
	AUTO(str_freep) char *path = NULL;
	struct keyd_config_preloaded *known = preloaded_of(id);

	if (id[0] == '\0')
		return err_set(err, ERR_INVALID, "the id is empty");
	if (strncmp(uri, TOKEN_URI, strlen(TOKEN_URI)) != 0 && uri_file_path(uri, &path, err))
		return err->code;
	if (known)
		return set_string(&known->uri, uri, err);
	if (state.config.preloaded.n == PRELOADED_MAX)
		return err_set(err, ERR_INVALID, "more than %d preloaded keys", PRELOADED_MAX);
	return add_preloaded(id, uri, err);
}

static enum err_code
set(const char *name, const char *value, struct err *err)
{
	struct keyd_config_places *places = &state.config.places;

	if (strcmp(name, "homedir_path") == 0)
		return set_string(&places->homedir_path, value, err);
	if (strcmp(name, "pkcs11_lib_path") == 0)
		return set_string(&places->pkcs11_lib_path, value, err);
	if (strcmp(name, "pkcs11_base_slot") == 0)
		return set_token(&places->pkcs11_base_slot, value, err);
	if (strncmp(name, PRELOADED, strlen(PRELOADED)) == 0)
		return set_preloaded(name + strlen(PRELOADED), value, err);
	return err_set(err, ERR_INVALID, "there is no parameter of that name");
}

enum err_code
call_set_parameter(struct call *c, const char *name, const char *value)
{
	const struct keyd_config_places *places = &state.config.places;

	pthread_once(&once, begin_log);
	pthread_mutex_lock(&state.lock);
	c->entered = true;
	pool_set_may_block(true);
	close_places();
	if (set(name, value, &c->err))
		return c->err.code;
	if (!places->pkcs11_lib_path || !places->pkcs11_base_slot)
		return ERR_OK;
	return open_places(&c->err);
}
