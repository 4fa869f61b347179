#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/digest.h"
#include "keyd/cache.h"
#include "keyd/doctor_visit.h"

#define MECHANISMS_MAX 1024
#define KEYS_MAX       1024 /* whose labels are compared */
#define LABEL_MAX      256
#define SAMPLES	       20
#define SAMPLES_MS     3000 /* no more of them after that */
#define SLOW_MS	       500
#define TRIAL_ID       "edgekeep-doctor-"

/* --- mechanisms */

enum use { FOR_EC, FOR_RSA, FOR_RSA_RAW, FOR_HMAC, FOR_AES };

static const struct {
	ck_mechanism_type_t mechanism;
	const char *name;
	enum use for_what;
} mechanisms[] = {
	{ CKM_EC_KEY_PAIR_GEN, "CKM_EC_KEY_PAIR_GEN", FOR_EC },
	{ CKM_ECDSA, "CKM_ECDSA", FOR_EC },
	{ CKM_RSA_PKCS_KEY_PAIR_GEN, "CKM_RSA_PKCS_KEY_PAIR_GEN", FOR_RSA },
	{ CKM_RSA_PKCS, "CKM_RSA_PKCS", FOR_RSA },
	{ CKM_RSA_X_509, "CKM_RSA_X_509", FOR_RSA_RAW }, /* TLS 1.3 asks for it, by PSS */
	{ CKM_GENERIC_SECRET_KEY_GEN, "CKM_GENERIC_SECRET_KEY_GEN", FOR_HMAC },
	{ CKM_SHA256_HMAC, "CKM_SHA256_HMAC", FOR_HMAC },
	{ CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN", FOR_AES },
	{ CKM_AES_GCM, "CKM_AES_GCM", FOR_AES },
};

/* Which of them the token has. */
struct mechanisms_had {
	bool at[ARRAY_LEN(mechanisms)];
};

/* Everything that is needed for it? */
static bool
has_all(const struct mechanisms_had *has, enum use for_what)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (mechanisms[i].for_what == for_what && !has->at[i])
			return false;
	return true;
}

static void
tell_lacking(const struct doctor_visit *v, const struct mechanisms_had *has, bool pairs)
{
	char names[ERR_TEXT_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (!has->at[i] && (mechanisms[i].for_what <= FOR_RSA_RAW) == pairs)
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			    len ? ", " : "", mechanisms[i].name);
	if (len > 0)
		doctor_find(v->d, pairs ? DOCTOR_MECHANISM : DOCTOR_MECHANISM_SECRET, "%s", names);
}

static void
list_mechanisms(const struct doctor_visit *v, struct mechanisms_had *has)
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
			has->at[i] = has->at[i] || list[j] == mechanisms[i].mechanism;
	doctor_ok(v->d, "%lu mechanisms", n);
	tell_lacking(v, has, true);
	tell_lacking(v, has, false);
}

/* --- labels */

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
tell_duplicates(struct doctor_visit *v, char (*labels)[LABEL_MAX], size_t n, const char *kind)
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
read_labels(struct doctor_visit *v, ck_object_class_t class, char (*labels)[LABEL_MAX])
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
compare_labels(struct doctor_visit *v)
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
	const struct doctor_visit *v;
	const struct mechanisms_had *has;
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

/* What a signature by PSS comes down to: the caller has padded it. */
static void
try_raw(const struct trial *t, const char *what, struct key *key)
{
	static const struct key_cipher raw = { .cipher = KEYD_RSA_NO_PADDING };
	uint8_t number[256] = { [255] = 2 };
	const struct bytes block = { number, sizeof(number) };
	AUTO(bytes_done) struct bytes out = { 0 };
	struct err err = { 0 };

	if (pkcs11_backend.encrypt(key, &raw, &block, &out, &err))
		failed(t, DOCTOR_SIGN, what, &err);
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
	if (key && algorithm == KEY_RSA_2048 && has_all(t->has, FOR_RSA_RAW))
		try_raw(t, what, key);
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
try_keys(const struct doctor_visit *v, const struct mechanisms_had *has)
{
	struct backend_config config = *v->place->config;
	struct trial t = { .v = v, .has = has };
	struct err err = { 0 };

	config.token = v->text;
	config.any_id = true;
	config.n_preloaded = 0;
	config.mech = v->d->mech;
	if (pkcs11_backend.open(&config, &t.ctx, &err)) {
		failed(&t, DOCTOR_GENERATE, "a key", &err);
		return;
	}
	if (has_all(has, FOR_EC))
		try_pair(&t, "P-256 key pair", KEY_EC_P256);
	if (has_all(has, FOR_RSA))
		try_pair(&t, "RSA-2048 key pair", KEY_RSA_2048);
	if (has_all(has, FOR_HMAC))
		try_secret(&t, "HMAC key", KEYD_USE_SIGN);
	if (has_all(has, FOR_AES))
		try_secret(&t, "AES key", KEYD_USE_ENCRYPT);
	pkcs11_backend.close(t.ctx);
}

void
doctor_keys(struct doctor_visit *v)
{
	struct mechanisms_had has = { 0 };

	list_mechanisms(v, &has);
	compare_labels(v);
	try_keys(v, &has);
}
