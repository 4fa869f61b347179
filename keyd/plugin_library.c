#include "keyd/plugin_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY	   "aziot_keys_get_function_list"
#define GUARD_LEN  64
#define GUARD_BYTE 0xa5

struct library {
	AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 calls;
	pthread_mutex_t
	    lock; /* held over each call: the interface asks for no locking of its own */
	bool broken;
};

/* --- loading */

typedef void function(void);

/* The functions of a list that no library may leave out. */
static const char *
missing_function(const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *f)
{
	const struct {
		function *at;
		const char *name;
	} wanted[] = {
		{ (function *)f->set_parameter, "set_parameter" },
		{ (function *)f->create_key_pair_if_not_exists, "create_key_pair_if_not_exists" },
		{ (function *)f->load_key_pair, "load_key_pair" },
		{ (function *)f->get_key_pair_parameter, "get_key_pair_parameter" },
		{ (function *)f->create_key_if_not_exists, "create_key_if_not_exists" },
		{ (function *)f->load_key, "load_key" },
		{ (function *)f->import_key, "import_key" },
		{ (function *)f->derive_key, "derive_key" },
		{ (function *)f->sign, "sign" },
		{ (function *)f->verify, "verify" },
		{ (function *)f->encrypt, "encrypt" },
		{ (function *)f->decrypt, "decrypt" },
	};
	const struct {
		function *at;
		const char *name;
	} wanted_2_1[] = {
		{ (function *)f->move_key_pair, "move_key_pair" },
		{ (function *)f->delete_key_pair, "delete_key_pair" },
		{ (function *)f->delete_key, "delete_key" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (!wanted[i].at)
			return wanted[i].name;
	for (size_t i = 0; i < ARRAY_LEN(wanted_2_1); i++)
		if (f->base.version == AZIOT_KEYS_VERSION_2_1_0_0 && !wanted_2_1[i].at)
			return wanted_2_1[i].name;
	return NULL;
}

static AZIOT_KEYS_FUNCTION_LIST_2_1_0_0
widen(const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *f)
{
	return (AZIOT_KEYS_FUNCTION_LIST_2_1_0_0){
		.base = f->base,
		.set_parameter = f->set_parameter,
		.create_key_pair_if_not_exists = f->create_key_pair_if_not_exists,
		.load_key_pair = f->load_key_pair,
		.get_key_pair_parameter = f->get_key_pair_parameter,
		.create_key_if_not_exists = f->create_key_if_not_exists,
		.load_key = f->load_key,
		.import_key = f->import_key,
		.derive_key = f->derive_key,
		.sign = f->sign,
		.verify = f->verify,
		.encrypt = f->encrypt,
		.decrypt = f->decrypt,
	};
}

/* Contract 1: 2.1 first, then 2.0, and then what the list says of itself counts. */
static enum err_code
ask_for_list(
    AZIOT_KEYS_GET_FUNCTION_LIST *entry, AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *ret, struct err *err)
{
	const AZIOT_KEYS_FUNCTION_LIST *list = NULL;
	const char *missing;

	if (entry(AZIOT_KEYS_VERSION_2_1_0_0, &list) && entry(AZIOT_KEYS_VERSION_2_0_0_0, &list))
		return err_set(err, ERR_CONFIG, "it has neither version 2.1 nor 2.0");
	if (!list)
		return err_set(err, ERR_CONFIG, ENTRY " answered OK without a list");
	if (list->version == AZIOT_KEYS_VERSION_2_1_0_0)
		*ret = *(const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *)list;
	else if (list->version == AZIOT_KEYS_VERSION_2_0_0_0)
		*ret = widen((const AZIOT_KEYS_FUNCTION_LIST_2_0_0_0 *)list);
	else
		return err_set(err, ERR_CONFIG, "its list is of version %#x", list->version);
	missing = missing_function(ret);
	if (missing)
		return err_set(err, ERR_CONFIG, "it has no function %s", missing);
	return ERR_OK;
}

/* Everything resolved now, so that no call fails later for a missing symbol; its symbols are nobody else's. */
static enum err_code
load_in(const char *path, AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *ret, struct err *err)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	AZIOT_KEYS_GET_FUNCTION_LIST *entry;

	if (!handle)
		return err_set(err, ERR_CONFIG, "it cannot be loaded: %s", dlerror());
	*(void **)&entry = dlsym(handle, ENTRY);
	if (!entry)
		return err_set(err, ERR_CONFIG, "it does not export " ENTRY);
	return ask_for_list(entry, ret, err);
}

enum err_code
library_load(const char *path, struct library **ret, struct err *err)
{
	struct library *l = calloc(1, sizeof(*l));

	if (!l)
		return err_nomem(err);
	pthread_mutex_init(&l->lock, NULL);
	if (load_in(path, &l->calls, err)) {
		library_free(l);
		return err_wrap(err, "the key library %s cannot be used", path);
	}
	*ret = l;
	return ERR_OK;
}

void
library_free(struct library *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const AZIOT_KEYS_FUNCTION_LIST_2_1_0_0 *
library_calls(const struct library *l)
{
	return &l->calls;
}

/* --- calling */

static void
unlock(pthread_mutex_t **lock)
{
	if (*lock)
		pthread_mutex_unlock(*lock);
}

/* The lock is held afterwards, whatever is returned. */
static enum err_code
enter(struct library *l, pthread_mutex_t **ret_lock, struct err *err)
{
	pthread_mutex_lock(&l->lock);
	*ret_lock = &l->lock;
	if (!l->broken)
		return ERR_OK;
	return err_set(err, ERR_PROTOCOL, "the key library wrote beyond a buffer before");
}

static enum err_code
result(const char *name, AZIOT_KEYS_RC rc, struct err *err)
{
	switch (rc) {
	case AZIOT_KEYS_RC_OK:
		return ERR_OK;
	case AZIOT_KEYS_RC_ERR_INVALID_PARAMETER:
		return err_set(err, ERR_INVALID, "%s: the key library refused a parameter", name);
	case AZIOT_KEYS_RC_ERR_EXTERNAL:
		return err_set(err, ERR_CRYPTO, "%s: the key library failed", name);
	default:
		return err_set(err, ERR_INTERNAL,
		    "%s: the key library answered %u, which is no result", name, rc);
	}
}

enum err_code
library_run(
    struct library *l, const char *name, library_call *call, const void *arguments, struct err *err)
{
	AUTO(unlock) pthread_mutex_t *lock = NULL;

	if (enter(l, &lock, err))
		return err->code;
	return result(name, call(&l->calls, arguments), err);
}

static enum err_code
overrun(struct library *l, const char *name, const char *what, struct err *err)
{
	l->broken = true;
	return err_set(err, ERR_PROTOCOL, "%s: the key library %s", name, what);
}

/* Fill buffer, which holds size bytes and the guard behind them. */
static enum err_code
fill_guarded(struct library *l, const char *name, library_fill *fill, const void *arguments,
    struct bytes *buffer, uintptr_t size, struct err *err)
{
	uint8_t *guard = buffer->data + size;
	uintptr_t len = size;
	AZIOT_KEYS_RC rc;

	memset(guard, GUARD_BYTE, GUARD_LEN);
	rc = fill(&l->calls, arguments, buffer->data, &len);
	for (size_t i = 0; i < GUARD_LEN; i++)
		if (guard[i] != GUARD_BYTE)
			return overrun(l, name, "wrote beyond the buffer", err);
	if (result(name, rc, err))
		return err->code;
	if (len > size)
		return overrun(l, name, "answered a length beyond the buffer's", err);
	mem_wipe(buffer->data + len, buffer->len - len);
	buffer->len = len;
	return ERR_OK;
}

enum err_code
library_get(struct library *l, const char *name, library_fill *fill, const void *arguments,
    enum library_length length, size_t max, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes buffer = { 0 };
	AUTO(unlock) pthread_mutex_t *lock = NULL;
	uintptr_t size = 0;

	if (enter(l, &lock, err) || result(name, fill(&l->calls, arguments, NULL, &size), err))
		return err->code;
	if (size > max)
		return err_set(err, ERR_INTERNAL,
		    "%s: the key library asked for a buffer of %zu bytes, more than %zu", name,
		    (size_t)size, max);
	if (bytes_alloc(&buffer, size + GUARD_LEN, err) ||
	    fill_guarded(l, name, fill, arguments, &buffer, size, err))
		return err->code;
	if (length == LIBRARY_EXACT && buffer.len != size)
		return err_set(err, ERR_INTERNAL,
		    "%s: the key library answered %zu bytes after it had announced %zu", name,
		    buffer.len, (size_t)size);
	*ret = bytes_take(&buffer);
	return ERR_OK;
}

enum err_code
library_get_number(struct library *l, const char *name, library_fill *fill, const void *arguments,
    unsigned *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes buffer = { 0 };
	AUTO(unlock) pthread_mutex_t *lock = NULL;

	if (enter(l, &lock, err) || bytes_alloc(&buffer, sizeof(*ret) + GUARD_LEN, err) ||
	    fill_guarded(l, name, fill, arguments, &buffer, sizeof(*ret), err))
		return err->code;
	if (buffer.len != sizeof(*ret))
		return err_set(err, ERR_INTERNAL,
		    "%s: the key library answered a number of %zu bytes", name, buffer.len);
	memcpy(ret, buffer.data, sizeof(*ret));
	return ERR_OK;
}
