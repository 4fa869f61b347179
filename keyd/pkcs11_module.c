#include "keyd/pkcs11_module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

struct pkcs11_module {
	struct ck_function_list *calls;
	atomic_int open; /* tokens */

	pthread_rwlock_t lock; /* pkcs11_module_enter; guards the rest */
	bool begun;	       /* by us, so to be ended by us */
	uint64_t next_ms;      /* when it may be ended again */
};

/* What is called without asking whether it is there. */
static const struct {
	const char *name;
	size_t offset;
} required[] = {
#define CALL(name)                                             \
	{                                                      \
#name, offsetof(struct ck_function_list, name) \
	}
	CALL(C_Initialize),
	CALL(C_Finalize),
	CALL(C_GetSlotList),
	CALL(C_GetTokenInfo),
	CALL(C_OpenSession),
	CALL(C_CloseSession),
	CALL(C_GetSessionInfo),
	CALL(C_Login),
	CALL(C_FindObjectsInit),
	CALL(C_FindObjects),
	CALL(C_FindObjectsFinal),
	CALL(C_GetAttributeValue),
	CALL(C_SetAttributeValue),
	CALL(C_CreateObject),
	CALL(C_DestroyObject),
	CALL(C_GenerateKey),
	CALL(C_GenerateKeyPair),
	CALL(C_SignInit),
	CALL(C_Sign),
	CALL(C_EncryptInit),
	CALL(C_Encrypt),
	CALL(C_DecryptInit),
	CALL(C_Decrypt),
#undef CALL
};

const struct ck_function_list *
pkcs11_calls(const struct pkcs11_module *m)
{
	return m->calls;
}

/* --- loading */

/* 2.01 and later, as upstream; 3.x begins with the same list. */
static enum err_code
check_list(const struct ck_function_list *calls, struct err *err)
{
	const struct ck_version *v = &calls->version;

	if (!((v->major == 2 && v->minor >= 1) || v->major == 3))
		return err_set(err, ERR_CONFIG, "its function list is of Cryptoki %u.%u, not 2.x",
		    v->major, v->minor);
	for (size_t i = 0; i < ARRAY_LEN(required); i++) {
		void (*function)(void);

		memcpy(&function, (const char *)calls + required[i].offset, sizeof(function));
		if (!function)
			return err_set(
			    err, ERR_CONFIG, "its function list has no %s", required[i].name);
	}
	return ERR_OK;
}

static enum err_code
get_list(struct pkcs11_module *m, void *library, enum pkcs11_step *step, struct err *err)
{
	CK_C_GetFunctionList get_function_list;
	void *symbol = dlsym(library, "C_GetFunctionList");
	ck_rv_t rv;

	*step = PKCS11_SYMBOL;
	if (!symbol)
		return err_set(
		    err, ERR_CONFIG, "it is no PKCS#11 module: it has no C_GetFunctionList");
	*step = PKCS11_LIST;
	memcpy(&get_function_list, &symbol, sizeof(symbol));
	rv = get_function_list(&m->calls);
	if (rv != CKR_OK)
		return pkcs11_failed(err, "C_GetFunctionList", rv);
	if (!m->calls)
		return err_set(err, ERR_CONFIG, "C_GetFunctionList gives no list");
	return check_list(m->calls, err);
}

static enum err_code
begin(struct pkcs11_module *m, struct err *err)
{
	/* our threads, its locks; upstream says, too, that it must not need threads of its own, which forbids more than it helps */
	struct ck_c_initialize_args args = { .flags = CKF_OS_LOCKING_OK };
	ck_rv_t rv = m->calls->C_Initialize(&args);

	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return pkcs11_failed(err, "C_Initialize", rv);
	m->begun = rv == CKR_OK;
	return ERR_OK;
}

static enum err_code
load(struct pkcs11_module *m, const char *path, enum pkcs11_step *step, struct err *err)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	*step = PKCS11_DLOPEN;
	if (!library)
		return err_set(err, ERR_CONFIG, "%s", dlerror());
	if (get_list(m, library, step, err))
		return err->code;
	*step = PKCS11_INIT;
	return begin(m, err);
}

/* A change has its turn even where signatures never cease. */
static void
init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

enum err_code
pkcs11_module_open(
    const char *library, struct pkcs11_module **ret, enum pkcs11_step *ret_failed, struct err *err)
{
	struct pkcs11_module *m = calloc(1, sizeof(*m));
	enum pkcs11_step step;

	if (!m)
		return err_nomem(err);
	init_lock(&m->lock);
	if (load(m, library, &step, err)) {
		pthread_rwlock_destroy(&m->lock);
		free(m);
		if (ret_failed)
			*ret_failed = step;
		return err_wrap(err, "library %s cannot be used", library);
	}
	*ret = m;
	return ERR_OK;
}

void
pkcs11_module_close(struct pkcs11_module *m)
{
	if (!m)
		return;
	if (m->begun)
		m->calls->C_Finalize(NULL);
	pthread_rwlock_destroy(&m->lock);
	free(m);
}

void
pkcs11_module_enter(struct pkcs11_module *m, enum pkcs11_access access)
{
	if (access == PKCS11_ALONE)
		pthread_rwlock_wrlock(&m->lock);
	else
		pthread_rwlock_rdlock(&m->lock);
}

void
pkcs11_module_leave(struct pkcs11_module *m)
{
	pthread_rwlock_unlock(&m->lock);
}

void
pkcs11_module_opened(struct pkcs11_module *m, int more)
{
	atomic_fetch_add(&m->open, more);
}

bool
pkcs11_module_restart(struct pkcs11_module *m)
{
	struct err ignored = { 0 };
	bool done = false;

	pthread_rwlock_wrlock(&m->lock);
	if (m->begun && atomic_load(&m->open) == 0 && clock_mono_ms() >= m->next_ms) {
		m->calls->C_Finalize(NULL);
		/* where it cannot begin it is tried again the next time; every call fails until then */
		done = begin(m, &ignored) == ERR_OK;
		m->begun = true;
		m->next_ms = clock_mono_ms() + PKCS11_RESTART_MS;
	}
	pthread_rwlock_unlock(&m->lock);
	return done;
}

/* --- slots and tokens */

enum err_code
pkcs11_slots(const struct pkcs11_module *m, ck_slot_id_t *ret, size_t *ret_n, struct err *err)
{
	unsigned long n = 0;
	/* only the question for their number makes a module look for slots that came since (PKCS#11 v2.40, 5.5) */
	ck_rv_t rv = m->calls->C_GetSlotList(1, NULL, &n);

	n = PKCS11_SLOTS_MAX;
	if (rv == CKR_OK)
		rv = m->calls->C_GetSlotList(1, ret, &n);
	if (rv != CKR_OK)
		return pkcs11_failed(err, "C_GetSlotList", rv);
	if (n > PKCS11_SLOTS_MAX)
		return err_set(err, ERR_PROTOCOL, "C_GetSlotList: the module gives more than fits");
	*ret_n = n;
	return ERR_OK;
}

void
pkcs11_text(const unsigned char *field, size_t len, char *out)
{
	/* some modules end the text as C does */
	len = strnlen((const char *)field, len);
	while (len > 0 && field[len - 1] == ' ')
		len--;
	memcpy(out, field, len);
	out[len] = '\0';
}

static bool
same_text(const char *wanted, const unsigned char *field, size_t len)
{
	char text[PKCS11_TEXT_MAX];

	pkcs11_text(field, len, text);
	return !wanted || strcmp(wanted, text) == 0;
}

bool
pkcs11_is_token(const struct pkcs11_uri *uri, ck_slot_id_t slot, const struct ck_token_info *info)
{
	if (!uri->has_slot && !uri->token && !uri->serial)
		return false;
	if (uri->has_slot ? uri->slot != slot
			  : !same_text(uri->token, info->label, sizeof(info->label)))
		return false;
	return same_text(uri->serial, info->serial_number, sizeof(info->serial_number)) &&
	       same_text(uri->manufacturer, info->manufacturer_id, sizeof(info->manufacturer_id)) &&
	       same_text(uri->model, info->model, sizeof(info->model));
}

static enum err_code
no_token(const struct pkcs11_uri *uri, const char *what, struct err *err)
{
	AUTO(str_freep) char *text = NULL;

	if (pkcs11_uri_write(uri, NULL, &text, err))
		return err->code;
	return err_set(err, ERR_NOT_FOUND, "%s: %s", text, what);
}

enum err_code
pkcs11_find_token(const struct pkcs11_module *m, const struct pkcs11_uri *uri, ck_slot_id_t *ret,
    struct ck_token_info *ret_info, struct err *err)
{
	ck_slot_id_t slots[PKCS11_SLOTS_MAX];
	size_t n, found = 0;

	if (pkcs11_slots(m, slots, &n, err))
		return err->code;
	for (size_t i = 0; i < n; i++) {
		struct ck_token_info info = { 0 };

		if (m->calls->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
		    !(info.flags & CKF_TOKEN_INITIALIZED) || !pkcs11_is_token(uri, slots[i], &info))
			continue;
		*ret = slots[i];
		*ret_info = info;
		found++;
	}
	if (found == 0)
		return no_token(uri, "no initialised token is this one", err);
	if (found > 1) {
		no_token(uri, "several tokens are this one; add serial=... to the URI", err);
		err->code = err->code == ERR_NOT_FOUND ? ERR_CONFIG : err->code;
		return err->code;
	}
	return ERR_OK;
}
