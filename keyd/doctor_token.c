#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "keyd/cache.h"
#include "keyd/doctor.h"

#define MECHANISMS_MAX 1024
#define KEYS_MAX       1024 /* whose labels are compared */
#define LABEL_MAX      256
#define SAMPLES	       20
#define SAMPLES_MS     3000 /* no more of them after that */
#define SLOW_MS	       500
#define TRIAL_ID       "edgekeep-doctor-"

/* One examination. */
struct visit {
	struct doctor *d;
	const struct doctor_token *token;
	const struct ck_function_list *calls;
	struct pkcs11_uri uri;
	ck_slot_id_t slot;
	struct ck_token_info info;
	ck_session_handle_t session; /* CK_INVALID_HANDLE: none */
	bool has[8];		     /* of mechanisms[] */
};

/* --- before the policy: the library */

/* Files that modules read when they are initialised, by the variable that names them, and where they are without it. */
static const struct {
	const char *variable, *fallback, *module; /* part of the library's name */
} configs[] = {
	{ "SOFTHSM2_CONF", "/etc/softhsm/softhsm2.conf", "softhsm2" },
	{ "TPM2_PKCS11_STORE", NULL, "tpm2_pkcs11" },
};

/* Nothing else tells why a module cannot begin. */
static bool
config_unreadable(struct doctor *d, const char *library)
{
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		const char *path = getenv(configs[i].variable);

		if (!path)
			path = configs[i].fallback;
		if (strstr(library, configs[i].module) && path && access(path, R_OK)) {
			doctor_find(d, DOCTOR_MODULE_CONFIG, "%s: %s", path, strerror(errno));
			return true;
		}
	}
	return false;
}

static void
cannot_load(struct doctor *d, const char *library, enum pkcs11_step step, struct err *err)
{
	static const enum doctor_finding by_step[] = {
		[PKCS11_DLOPEN] = DOCTOR_LIBRARY_BROKEN,
		[PKCS11_SYMBOL] = DOCTOR_NO_MODULE,
		[PKCS11_LIST] = DOCTOR_BAD_LIST,
		[PKCS11_INIT] = DOCTOR_INITIALIZE,
	};

	if (step == PKCS11_DLOPEN && access(library, F_OK))
		doctor_find(d, DOCTOR_LIBRARY_MISSING, "%s: %s", library, strerror(errno));
	else if (step != PKCS11_INIT || !config_unreadable(d, library))
		doctor_find(d, by_step[step], "%s", err_one_line(err));
}

void
doctor_load(struct doctor *d, struct doctor_token *t)
{
	const char *library = t->config->library;
	const struct ck_version *version;
	enum pkcs11_step step = PKCS11_DLOPEN;
	struct err err = { 0 };

	doctor_library(d, library);
	doctor_step(d, "load and initialise the library");
	if (pkcs11_module_open(library, &t->module, &step, &err)) {
		cannot_load(d, library, step, &err);
		return;
	}
	version = &pkcs11_calls(t->module)->version;
	doctor_ok(d, "%s loads; its function list is of Cryptoki %u.%u and whole", library,
	    version->major, version->minor);
}

/* --- slots and tokens */

static void
tell_slot(struct visit *v, ck_slot_id_t slot, size_t *initialised)
{
	char label[PKCS11_TEXT_MAX], serial[PKCS11_TEXT_MAX], model[PKCS11_TEXT_MAX];
	struct ck_token_info info = { 0 };
	ck_rv_t rv = v->calls->C_GetTokenInfo(slot, &info);

	if (rv != CKR_OK) {
		doctor_ok(
		    v->d, "slot %lu: its token does not answer (%s)", slot, pkcs11_rv(rv)->name);
		return;
	}
	PKCS11_TEXT(info.label, label);
	PKCS11_TEXT(info.serial_number, serial);
	PKCS11_TEXT(info.model, model);
	if (!(info.flags & CKF_TOKEN_INITIALIZED)) {
		doctor_ok(v->d, "slot %lu: a token that is not initialised", slot);
		return;
	}
	(*initialised)++;
	doctor_ok(v->d, "slot %lu: token \"%s\", serial %s, model %s", slot, label, serial, model);
}

/* Why there is no such token, as well as can be told from those that are there. */
static void
tell_missing(
    struct visit *v, const ck_slot_id_t *slots, size_t n, size_t initialised, struct err *err)
{
	struct ck_token_info info;
	bool found = false;

	if (err->code == ERR_CONFIG) {
		doctor_find(v->d, DOCTOR_TWO_TOKENS, "%s", err_one_line(err));
		return;
	}
	for (size_t i = 0; i < n; i++)
		found = found || (v->uri.has_slot && slots[i] == v->uri.slot &&
				     v->calls->C_GetTokenInfo(slots[i], &info) == CKR_OK);
	if (found || (initialised == 0 && n > 0))
		doctor_find(v->d, DOCTOR_UNINITIALISED, "%s", err_one_line(err));
	else if (n == 0)
		doctor_find(v->d, DOCTOR_NO_TOKEN, "%s", err_one_line(err));
	else
		doctor_find(v->d, v->uri.has_slot ? DOCTOR_WRONG_SLOT : DOCTOR_WRONG_LABEL, "%s",
		    err_one_line(err));
}

static bool
find_token(struct visit *v)
{
	ck_slot_id_t slots[PKCS11_SLOTS_MAX];
	size_t n = 0, initialised = 0;
	struct err err = { 0 };

	doctor_step(v->d, "list slots and tokens");
	if (pkcs11_slots(v->token->module, slots, &n, &err)) {
		doctor_find(v->d, DOCTOR_NO_TOKEN, "%s", err_one_line(&err));
		return false;
	}
	for (size_t i = 0; i < n; i++)
		tell_slot(v, slots[i], &initialised);
	if (pkcs11_find_token(v->token->module, &v->uri, &v->slot, &v->info, &err)) {
		tell_missing(v, slots, n, initialised, &err);
		return false;
	}
	if (v->info.flags & CKF_WRITE_PROTECTED) {
		doctor_find(v->d, DOCTOR_READ_ONLY, "it says so itself (CKF_WRITE_PROTECTED)");
		return false;
	}
	return true;
}

/* --- the PIN; its tries are never spent on what is known to fail */

static bool
may_log_in(struct visit *v)
{
	if (v->info.flags & CKF_USER_PIN_LOCKED)
		doctor_find(v->d, DOCTOR_PIN_LOCKED, "it says so itself (CKF_USER_PIN_LOCKED)");
	else if (v->info.flags & CKF_USER_PIN_FINAL_TRY)
		doctor_find(v->d, DOCTOR_PIN_FINAL, "it says so itself (CKF_USER_PIN_FINAL_TRY)");
	else if (v->info.flags & CKF_USER_PIN_COUNT_LOW)
		doctor_find(v->d, DOCTOR_PIN_LOW, "it says so itself (CKF_USER_PIN_COUNT_LOW)");
	else
		doctor_ok(v->d, "all tries of the PIN are left");
	return !(v->info.flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY));
}

static bool
fits(struct visit *v, const struct bytes *pin)
{
	unsigned long min = v->info.min_pin_len, max = v->info.max_pin_len;

	if (max == 0 || max == CK_UNAVAILABLE_INFORMATION || (pin->len >= min && pin->len <= max))
		return true;
	doctor_find(v->d, DOCTOR_PIN_FORM, "it has %zu bytes, and the token takes %lu to %lu",
	    pin->len, min, max);
	return false;
}

static enum doctor_finding
of_login(ck_rv_t rv)
{
	switch (rv) {
	case CKR_PIN_INCORRECT:
		return DOCTOR_PIN_WRONG;
	case CKR_PIN_LOCKED:
		return DOCTOR_PIN_LOCKED;
	case CKR_PIN_LEN_RANGE:
	case CKR_PIN_INVALID:
		return DOCTOR_PIN_FORM;
	case CKR_USER_PIN_NOT_INITIALIZED:
		return DOCTOR_UNINITIALISED;
	default:
		return DOCTOR_LOGIN;
	}
}

static bool
send_pin(struct visit *v, const struct bytes *pin)
{
	struct err err = { 0 };
	ck_rv_t rv;

	doctor_step(v->d, "log in");
	rv = v->calls->C_Login(v->session, CKU_USER, pin->data, pin->len);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		doctor_ok(v->d, "the PIN is right");
		return true;
	}
	pkcs11_failed(&err, "C_Login", rv);
	doctor_find(v->d, of_login(rv), "%s", err_one_line(&err));
	return false;
}

static bool
log_in(struct visit *v)
{
	AUTO(bytes_done) struct bytes pin = { 0 };
	struct err err = { 0 };

	if (v->uri.pin_source) {
		doctor_pin_file(v->d, v->uri.pin_source);
		if (access(v->uri.pin_source, R_OK))
			return false;
	}
	if (pkcs11_pin_read(&v->uri, &pin, &err)) {
		doctor_find(v->d, DOCTOR_PIN_FORM, "%s", err_one_line(&err));
		return false;
	}
	if (!(v->info.flags & CKF_LOGIN_REQUIRED))
		return true;
	if (pin.len == 0) {
		doctor_find(v->d, DOCTOR_NO_PIN, "the token says CKF_LOGIN_REQUIRED");
		return false;
	}
	return fits(v, &pin) && may_log_in(v) && send_pin(v, &pin);
}

static bool
open_session(struct visit *v)
{
	struct err err = { 0 };
	ck_rv_t rv;

	doctor_step(v->d, "open a session");
	rv = v->calls->C_OpenSession(
	    v->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &v->session);
	if (rv == CKR_OK)
		return true;
	v->session = CK_INVALID_HANDLE;
	pkcs11_failed(&err, "C_OpenSession", rv);
	doctor_find(v->d, DOCTOR_NO_SESSION, "%s", err_one_line(&err));
	return false;
}

/* --- mechanisms */

enum { FOR_EC, FOR_RSA, FOR_HMAC, FOR_AES };

static const struct {
	ck_mechanism_type_t mechanism;
	const char *name;
	int for_what;
} mechanisms[] = {
	{ CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", FOR_EC },
	{ CKM_ECDSA, "CKM_ECDSA", FOR_EC },
	{ CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", FOR_RSA },
	{ CKM_RSA_PKCS, "CKM_RSA_PKCS", FOR_RSA },
	{ CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN", FOR_HMAC },
	{ CKM_SHA256_HMAC, "CKM_SHA256_HMAC", FOR_HMAC },
	{ CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN", FOR_AES },
	{ CKM_AES_GCM, "CKM_AES_GCM", FOR_AES },
};

/* Everything that is needed for it? */
static bool
has_all(const struct visit *v, int for_what)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (mechanisms[i].for_what == for_what && !v->has[i])
			return false;
	return true;
}

static void
tell_lacking(struct visit *v, bool pairs)
{
	char names[ERR_TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (!v->has[i] && (mechanisms[i].for_what <= FOR_RSA) == pairs)
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			    len ? ", " : "", mechanisms[i].name);
	if (len > 0)
		doctor_find(v->d, pairs ? DOCTOR_MECHANISM : DOCTOR_MECHANISM_SECRET, "%s", names);
}

static void
list_mechanisms(struct visit *v)
{
	ck_mechanism_type_t list[MECHANISMS_MAX];
	unsigned long n = MECHANISMS_MAX;
	ck_rv_t rv = CKR_FUNCTION_NOT_SUPPORTED;

	doctor_step(v->d, "list mechanisms");
	if (v->calls->C_GetMechanismList)
		rv = v->calls->C_GetMechanismList(v->slot, list, &n);
	if (rv != CKR_OK || n > MECHANISMS_MAX)
		n = 0;
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		for (unsigned long j = 0; j < n; j++)
			v->has[i] = v->has[i] || list[j] == mechanisms[i].mechanism;
	doctor_ok(v->d, "%lu mechanisms", n);
	tell_lacking(v, true);
	tell_lacking(v, false);
}

/* --- labels */

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
tell_duplicates(struct visit *v, char (*labels)[LABEL_MAX], size_t n, const char *kind)
{
	bool any = false;

	qsort(labels, n, LABEL_MAX, by_text);
	for (size_t i = 1; i < n; i++)
		if (labels[i][0] && strcmp(labels[i - 1], labels[i]) == 0 &&
		    (i < 2 || strcmp(labels[i - 2], labels[i]) != 0)) {
			doctor_find(
			    v->d, DOCTOR_DUPLICATE, "%s keys labelled \"%s\"", kind, labels[i]);
			any = true;
		}
	if (!any)
		doctor_ok(v->d, "%zu %s keys, each with a label of its own", n, kind);
}

/* The labels of a class's objects, at most KEYS_MAX; what cannot be read counts as without label. */
static size_t
read_labels(struct visit *v, ck_object_class_t class, char (*labels)[LABEL_MAX])
{
	struct ck_attribute wanted = { CKA_CLASS, &class, sizeof(class) };
	ck_object_handle_t handles[KEYS_MAX];
	unsigned long n = 0;

	if (v->calls->C_FindObjectsInit(v->session, &wanted, 1) != CKR_OK)
		return 0;
	if (v->calls->C_FindObjects(v->session, handles, KEYS_MAX, &n) != CKR_OK || n > KEYS_MAX)
		n = 0;
	v->calls->C_FindObjectsFinal(v->session);
	for (unsigned long i = 0; i < n; i++) {
		struct ck_attribute label = { CKA_LABEL, labels[i], LABEL_MAX - 1 };

		if (v->calls->C_GetAttributeValue(v->session, handles[i], &label, 1) != CKR_OK ||
		    label.value_len >= LABEL_MAX)
			label.value_len = 0;
		labels[i][label.value_len] = '\0';
	}
	return n;
}

static void
compare_labels(struct visit *v)
{
	char(*labels)[LABEL_MAX] = calloc(KEYS_MAX, LABEL_MAX);

	if (!labels)
		return;
	doctor_step(v->d, "compare the labels of keys");
	tell_duplicates(v, labels, read_labels(v, CKO_PRIVATE_KEY, labels), "private");
	tell_duplicates(v, labels, read_labels(v, CKO_SECRET_KEY, labels), "secret");
	free(labels);
}

/* --- a key that is made, used and deleted as keyd's own are */

struct trial {
	struct visit *v;
	void *ctx; /* of pkcs11_backend */
	char id[sizeof(TRIAL_ID) + 32];
};

static void
failed(const struct trial *t, enum doctor_finding which, const char *what, struct err *err)
{
	doctor_find(t->v->d, which, "%s: %s", what, err_one_line(err));
}

static int
by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
tell_latency(const struct trial *t, const char *what, uint64_t *samples, size_t n)
{
	uint64_t p50, p95;

	qsort(samples, n, sizeof(*samples), by_size);
	p50 = samples[n / 2];
	p95 = samples[n * 95 / 100];
	doctor_ok(t->v->d, "%s: signature p50 %.1f ms, p95 %.1f ms, of %zu", what,
	    (double)p50 / 1000, (double)p95 / 1000, n);
	if (p95 > SLOW_MS * 1000)
		doctor_find(t->v->d, DOCTOR_SLOW, "%s: one signature of twenty takes %.0f ms", what,
		    (double)p95 / 1000);
}

static enum err_code
sign_once(struct key *key, bool ec, struct err *err)
{
	static const struct key_cipher pkcs1 = { .cipher = KEYD_RSA_PKCS1 };
	uint8_t digest[SHA256_LEN] = { 1 };
	const struct bytes data = { digest, sizeof(digest) };
	AUTO(bytes_done) struct bytes out = { 0 };

	return ec ? pkcs11_backend.sign(key, KEYD_ECDSA, &data, &out, err)
		  : pkcs11_backend.encrypt(key, &pkcs1, &data, &out, err);
}

static void
time_signatures(const struct trial *t, const char *what, struct key *key, bool ec)
{
	uint64_t samples[SAMPLES], began = now_us();
	struct err err = { 0 };
	size_t n = 0;

	while (n < SAMPLES && now_us() - began < SAMPLES_MS * 1000) {
		uint64_t before = now_us();

		if (sign_once(key, ec, &err)) {
			failed(t, DOCTOR_SIGN, what, &err);
			return;
		}
		samples[n++] = now_us() - before;
	}
	tell_latency(t, what, samples, n);
}

static void
remove_trial(const struct trial *t, const char *what)
{
	struct err err = { 0 };
	bool there = false;

	if (pkcs11_backend.remove(t->ctx, t->id, &err) ||
	    pkcs11_backend.exists(t->ctx, t->id, &there, &err))
		failed(t, DOCTOR_REMOVE, what, &err);
	else if (there)
		doctor_find(t->v->d, DOCTOR_REMOVE, "%s: it is still there", what);
	else
		doctor_ok(t->v->d, "%s: made, used and deleted", what);
}

/* Each has a name of its own, so that one which cannot be deleted is not taken for the next. */
static bool
begin_trial(struct trial *t, const char *what)
{
	uint8_t random[8];
	struct err err = { 0 };

	doctor_step(t->v->d, what);
	if (digest_random(random, sizeof(random), &err)) {
		failed(t, DOCTOR_GENERATE, what, &err);
		return false;
	}
	memcpy(t->id, TRIAL_ID, sizeof(TRIAL_ID));
	digest_hex(random, sizeof(random), t->id + strlen(TRIAL_ID));
	return true;
}

/* Finding a pair has it sign, and verifies that. */
static void
try_pair(struct trial *t, const char *what, enum key_algorithm algorithm)
{
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };

	if (!begin_trial(t, what))
		return;
	if (pkcs11_backend.create_pair(t->ctx, t->id, algorithm, &err)) {
		failed(t,
		    strstr(err.text, "do not belong")	? DOCTOR_VERIFY
		    : strstr(err.text, "does not sign") ? DOCTOR_SIGN
							: DOCTOR_GENERATE,
		    what, &err);
		return;
	}
	if (pkcs11_backend.find(t->ctx, t->id, &key, &err))
		failed(t, DOCTOR_VERIFY, what, &err);
	else
		time_signatures(t, what, key, algorithm == KEY_EC_P256);
	remove_trial(t, what);
}

static bool
seal_and_open(struct key *key, struct err *err)
{
	uint8_t octets[12] = { 0 };
	const struct bytes iv = { octets, sizeof(octets) };
	const struct key_cipher how = { KEYD_AEAD, &iv, &iv };
	AUTO(bytes_done) struct bytes sealed = { 0 };
	AUTO(bytes_done) struct bytes back = { 0 };

	return pkcs11_backend.encrypt(key, &how, &iv, &sealed, err) == ERR_OK &&
	       pkcs11_backend.decrypt(key, &how, &sealed, &back, err) == ERR_OK &&
	       bytes_equal(&back, &iv);
}

static bool
is_stable_mac(struct key *key, struct err *err)
{
	const struct bytes data = { (uint8_t *)"trial", 5 };
	AUTO(bytes_done) struct bytes mac = { 0 };
	AUTO(bytes_done) struct bytes again = { 0 };

	return pkcs11_backend.sign(key, KEYD_HMAC_SHA256, &data, &mac, err) == ERR_OK &&
	       pkcs11_backend.sign(key, KEYD_HMAC_SHA256, &data, &again, err) == ERR_OK &&
	       bytes_equal(&mac, &again);
}

static void
try_secret(struct trial *t, const char *what, unsigned usage)
{
	bool aes = usage == KEYD_USE_ENCRYPT;
	enum doctor_finding unfit = aes ? DOCTOR_ENCRYPT : DOCTOR_SIGN;
	AUTO(key_putp) struct key *key = NULL;
	struct err err = { 0 };
	enum err_code code;

	if (!begin_trial(t, what))
		return;
	code = pkcs11_backend.create_key(t->ctx, t->id, usage, &err);
	if (code == ERR_UNSUPPORTED) {
		doctor_find(t->v->d, DOCTOR_MECHANISM_SECRET, "%s: %s", what, err_one_line(&err));
		return;
	}
	if (code) {
		/* it is used once before it counts as made */
		failed(t,
		    code == ERR_UNREACHABLE || strstr(err.text, "C_Generate") ? DOCTOR_GENERATE
									      : unfit,
		    what, &err);
		return;
	}
	if (pkcs11_backend.find(t->ctx, t->id, &key, &err) ||
	    !(aes ? seal_and_open(key, &err) : is_stable_mac(key, &err)))
		failed(t, unfit, what, &err);
	remove_trial(t, what);
}

/* The visit's session stays open, so that the backend finds the token logged in and sends no PIN. */
static void
try_keys(struct visit *v, const char *uri)
{
	struct backend_config config = *v->token->config;
	struct trial t = { .v = v };
	struct err err = { 0 };

	config.token = uri;
	config.any_id = true;
	config.n_preloaded = 0;
	config.mech = v->d->mech;
	if (pkcs11_backend.open(&config, &t.ctx, &err)) {
		failed(&t, DOCTOR_GENERATE, "a key", &err);
		return;
	}
	if (has_all(v, FOR_EC))
		try_pair(&t, "P-256 key pair", KEY_EC_P256);
	if (has_all(v, FOR_RSA))
		try_pair(&t, "RSA-2048 key pair", KEY_RSA_2048);
	if (has_all(v, FOR_HMAC))
		try_secret(&t, "HMAC key", KEYD_USE_SIGN);
	if (has_all(v, FOR_AES))
		try_secret(&t, "AES key", KEYD_USE_ENCRYPT);
	pkcs11_backend.close(t.ctx);
}

/* --- all of it */

static void
examine_uri(struct visit *v, const char *uri)
{
	struct err err = { 0 };

	if (pkcs11_uri_parse(uri, &v->uri, &err)) {
		doctor_find(v->d, DOCTOR_BAD_URI, "%s", err_one_line(&err));
		return;
	}
	if (!v->uri.has_slot && !v->uri.token && !v->uri.serial) {
		doctor_find(v->d, DOCTOR_BAD_URI, "it names no token, serial or slot-id");
		return;
	}
	if (!find_token(v) || !open_session(v))
		return;
	if (log_in(v)) {
		list_mechanisms(v);
		compare_labels(v);
		try_keys(v, uri);
	}
	v->calls->C_CloseSession(v->session);
}

void
doctor_examine(struct doctor *d, struct doctor_token *t)
{
	struct visit v = { .d = d, .token = t, .calls = pkcs11_calls(t->module) };
	const char *uri = d->uri ? d->uri : t->config->token;

	/* without a token for other ids, that of the first key which has its own */
	if (!uri && t->config->n_preloaded > 0)
		uri = t->config->preloaded[0].uri;
	if (uri)
		examine_uri(&v, uri);
	else
		doctor_ok(d, "no key lives here");
	pkcs11_uri_done(&v.uri);
}
