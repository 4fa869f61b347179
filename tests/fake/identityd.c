#include "tests/fake/identityd.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct identityd_client {
	int unused;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char id[160], generation[64];
} modules[32];
static size_t n_modules;
static unsigned calls;
static struct err fault;

void
fake_identityd_reset(void)
{
	pthread_mutex_lock(&lock);
	n_modules = 0;
	calls = 0;
	err_clear(&fault);
	pthread_mutex_unlock(&lock);
}

static size_t
find(const char *id)
{
	size_t i = 0;

	while (i < n_modules && strcmp(modules[i].id, id) != 0)
		i++;
	return i;
}

void
fake_identityd_put(const char *module_id, const char *generation)
{
	size_t i;

	pthread_mutex_lock(&lock);
	i = find(module_id);
	if (i == n_modules && n_modules < ARRAY_LEN(modules))
		n_modules++;
	snprintf(modules[i].id, sizeof(modules[i].id), "%s", module_id);
	snprintf(modules[i].generation, sizeof(modules[i].generation), "%s",
	    generation ? generation : "gen1");
	pthread_mutex_unlock(&lock);
}

bool
fake_identityd_has(const char *module_id)
{
	bool has;

	pthread_mutex_lock(&lock);
	has = find(module_id) < n_modules;
	pthread_mutex_unlock(&lock);
	return has;
}

unsigned
fake_identityd_calls(void)
{
	return calls;
}

void
fake_identityd_fail(enum err_code code, uint16_t status, const char *text)
{
	pthread_mutex_lock(&lock);
	fault.code = code;
	fault.status = status;
	snprintf(fault.text, sizeof(fault.text), "%s", text ? text : "");
	pthread_mutex_unlock(&lock);
}

static enum err_code
begin(struct err *err)
{
	calls++;
	if (fault.code)
		*err = fault;
	return fault.code;
}

enum err_code
identityd_client_new(
    const struct unix_client_config *config, struct identityd_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
identityd_client_free(struct identityd_client *c)
{
	free(c);
}

/* An identity; i of a module, or -1 of the device. */
static enum err_code
fill(int i, bool with_auth, struct identity *ret, struct err *err)
{
	AUTO(identity_done) struct identity made = { .type = IDENTITY_AZIOT };

	if (str_copy(&made.hub_name, "hub.example", err) ||
	    str_copy(&made.gateway_host, "hub.example", err) ||
	    str_copy(&made.device_id, "press-07", err) ||
	    (i >= 0 && str_copy(&made.module_id, modules[i].id, err)) ||
	    (i >= 0 && str_copy(&made.gen_id, modules[i].generation, err)))
		return err->code;
	if (with_auth) {
		made.auth = calloc(1, sizeof(*made.auth));
		if (!made.auth)
			return err_nomem(err);
		made.auth->type = IDENTITY_SAS;
		if (str_format(&made.auth->key_handle, err, "fake:key:%s",
			i >= 0 ? modules[i].id : "device-id"))
			return err->code;
	}
	*ret = made;
	made = (struct identity){ 0 };
	return ERR_OK;
}

enum err_code
identityd_client_device(struct identityd_client *c, struct identity *ret, struct err *err)
{
	enum err_code code;

	(void)c;
	pthread_mutex_lock(&lock);
	code = begin(err) ? err->code : fill(-1, true, ret, err);
	pthread_mutex_unlock(&lock);
	return code;
}

enum err_code
identityd_client_reprovision(struct identityd_client *c, struct err *err)
{
	enum err_code code;

	(void)c;
	pthread_mutex_lock(&lock);
	code = begin(err);
	pthread_mutex_unlock(&lock);
	return code;
}

enum err_code
identityd_client_modules(struct identityd_client *c, struct identity_list *ret, struct err *err)
{
	AUTO(identity_list_done) struct identity_list list = { 0 };

	(void)c;
	pthread_mutex_lock(&lock);
	if (begin(err) == ERR_OK) {
		list.identities.at = calloc(n_modules + 1, sizeof(*list.identities.at));
		while (list.identities.n < n_modules &&
		       fill((int)list.identities.n, false, &list.identities.at[list.identities.n],
			   err) == ERR_OK)
			list.identities.n++;
		*ret = list;
		list = (struct identity_list){ 0 };
	}
	pthread_mutex_unlock(&lock);
	return err->code;
}

static enum err_code
module_of(const char *module_id, struct identity *ret, struct err *err)
{
	size_t i = find(module_id);

	if (i < n_modules)
		return fill((int)i, true, ret, err);
	err_set(err, ERR_PEER, "module identity not found");
	err->status = 400;
	return err->code;
}

enum err_code
identityd_client_module_get(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	enum err_code code;

	(void)c;
	pthread_mutex_lock(&lock);
	code = begin(err) ? err->code : module_of(module_id, ret, err);
	pthread_mutex_unlock(&lock);
	return code;
}

enum err_code
identityd_client_module_update(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	return identityd_client_module_get(c, module_id, ret, err);
}

enum err_code
identityd_client_module_create(
    struct identityd_client *c, const char *module_id, struct identity *ret, struct err *err)
{
	if (!fault.code && !fake_identityd_has(module_id))
		fake_identityd_put(module_id, NULL);
	return identityd_client_module_get(c, module_id, ret, err);
}

enum err_code
identityd_client_module_delete(struct identityd_client *c, const char *module_id, struct err *err)
{
	enum err_code code;
	size_t i;

	(void)c;
	pthread_mutex_lock(&lock);
	code = begin(err);
	i = find(module_id);
	if (!code && i < n_modules)
		modules[i] = modules[--n_modules];
	pthread_mutex_unlock(&lock);
	return code;
}

enum err_code
identityd_client_provisioning(
    struct identityd_client *c, struct identity_provisioning *ret, struct err *err)
{
	(void)c;
	(void)ret;
	return err_set(err, ERR_INTERNAL, "the fake knows nothing of provisioning");
}
