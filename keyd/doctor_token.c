#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/doctor_visit.h"

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
tell_slot(struct doctor_visit *v, ck_slot_id_t slot, size_t *initialised)
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
tell_missing(struct doctor_visit *v, const ck_slot_id_t *slots, size_t n, size_t initialised,
    struct err *err)
{
	struct ck_token_info info;
	bool found = false;

	if (err->code == ERR_CONFIG) {
		doctor_find(v->d, DOCTOR_TWO_TOKENS, "%s", err_one_line(err));
		return;
	}
	for (size_t i = 0; i < n; i++)
		found = found || (v->uri->has_slot && slots[i] == v->uri->slot &&
				     v->calls->C_GetTokenInfo(slots[i], &info) == CKR_OK);
	if (found || (initialised == 0 && n > 0))
		doctor_find(v->d, DOCTOR_UNINITIALISED, "%s", err_one_line(err));
	else if (n == 0)
		doctor_find(v->d, DOCTOR_NO_TOKEN, "%s", err_one_line(err));
	else
		doctor_find(v->d, v->uri->has_slot ? DOCTOR_WRONG_SLOT : DOCTOR_WRONG_LABEL, "%s",
		    err_one_line(err));
}

static bool
find_token(struct doctor_visit *v)
{
	ck_slot_id_t slots[PKCS11_SLOTS_MAX];
	size_t n = 0, initialised = 0;
	struct err err = { 0 };

	doctor_step(v->d, "list slots and tokens");
	if (pkcs11_slots(v->place->module, slots, &n, &err)) {
		doctor_find(v->d, DOCTOR_NO_TOKEN, "%s", err_one_line(&err));
		return false;
	}
	for (size_t i = 0; i < n; i++)
		tell_slot(v, slots[i], &initialised);
	if (pkcs11_find_token(v->place->module, v->uri, &v->slot, &v->info, &err)) {
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
may_log_in(struct doctor_visit *v)
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
fits(struct doctor_visit *v, const struct bytes *pin)
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

static void
tell_refused(struct doctor_visit *v, ck_rv_t rv, const char *when)
{
	struct err err = { 0 };

	pkcs11_failed(&err, "C_Login", rv);
	doctor_find(v->d, of_login(rv), "%s%s", err_one_line(&err), when);
}

static bool
send_pin(struct doctor_visit *v, const struct bytes *pin)
{
	uint8_t digest[SHA256_LEN];
	struct err err = { 0 };
	ck_rv_t rv = CKR_OK;

	if (pkcs11_pin_digest(&v->info, pin, digest, &err)) {
		doctor_find(v->d, DOCTOR_LOGIN, "%s", err_one_line(&err));
		return false;
	}
	if (pkcs11_notes_pin(v->d->notes, digest, &rv) == PKCS11_PIN_REFUSED) {
		tell_refused(v, rv, "; said above already, so it is not sent a second time");
		return false;
	}
	doctor_step(v->d, "log in");
	rv = v->calls->C_Login(v->session, CKU_USER, pin->data, pin->len);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		doctor_ok(v->d, "the PIN is right");
		return true;
	}
	pkcs11_notes_keep_pin(v->d->notes, digest, PKCS11_PIN_REFUSED, rv);
	tell_refused(v, rv, "");
	return false;
}

static bool
log_in(struct doctor_visit *v)
{
	const struct pkcs11_uri *from = pkcs11_pin_uri(v->uri, v->uris, v->slot, &v->info);
	AUTO(bytes_done) struct bytes pin = { 0 };
	struct err err = { 0 };

	if (!from) {
		if (v->info.flags & CKF_LOGIN_REQUIRED)
			doctor_find(v->d, DOCTOR_NO_PIN, "the token says CKF_LOGIN_REQUIRED");
		return !(v->info.flags & CKF_LOGIN_REQUIRED);
	}
	if (from->pin_source) {
		doctor_pin_file(v->d, from->pin_source);
		if (access(from->pin_source, R_OK))
			return false;
	}
	if (pkcs11_pin_read(from, &pin, &err)) {
		doctor_find(v->d, DOCTOR_PIN_FORM, "%s", err_one_line(&err));
		return false;
	}
	return fits(v, &pin) && may_log_in(v) && send_pin(v, &pin);
}

static bool
open_session(struct doctor_visit *v)
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

/* --- all of it */

static void
examine(struct doctor_visit *v)
{
	if (!find_token(v) || !open_session(v))
		return;
	if (log_in(v))
		doctor_keys(v);
	v->calls->C_CloseSession(v->session);
	doctor_certs(v);
}

/* The URIs of a place: that of the token for new keys first, then those of keys which have their own; or the operator's alone. */
struct uris {
	struct pkcs11_uri *at;
	const char **text;
	size_t n;
};

static void
uris_done(struct uris *u)
{
	for (size_t i = 0; i < u->n; i++)
		pkcs11_uri_done(&u->at[i]);
	free(u->at);
	free(u->text);
}

/* whose: the id of a key; NULL: nobody's. */
static void
add_uri(const struct doctor *d, struct uris *u, const char *text, const char *whose)
{
	struct pkcs11_uri *uri = &u->at[u->n];
	struct err err = { 0 };

	if (pkcs11_uri_parse(text, uri, &err) == ERR_OK) {
		u->text[u->n++] = text;
		if (uri->has_slot || uri->token || uri->serial)
			return;
		err_set(&err, ERR_CONFIG, "it names no token, serial or slot-id");
		pkcs11_uri_done(&u->at[--u->n]);
	}
	doctor_find(
	    d, DOCTOR_BAD_URI, "%s%s%s", whose ? whose : "", whose ? ": " : "", err_one_line(&err));
}

static bool
read_uris(const struct doctor *d, const struct backend_config *config, struct uris *ret)
{
	struct uris u = { 0 };

	u.at = calloc(config->n_preloaded + 1, sizeof(*u.at));
	u.text = calloc(config->n_preloaded + 1, sizeof(char *));
	if (!u.at || !u.text) {
		uris_done(&u);
		return false;
	}
	if (d->uri || config->token)
		add_uri(d, &u, d->uri ? d->uri : config->token, NULL);
	for (size_t i = 0; !d->uri && i < config->n_preloaded; i++)
		add_uri(d, &u, config->preloaded[i].uri, config->preloaded[i].id);
	*ret = u;
	return true;
}

static bool
is_first(const struct uris *u, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (pkcs11_uri_same_token(&u->at[j], &u->at[i]))
			return false;
	return true;
}

/* What follows is about this one. */
static void
tell_uri(const struct doctor *d, const struct pkcs11_uri *uri)
{
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	if (pkcs11_uri_write(uri, NULL, &text, &err) == ERR_OK)
		doctor_ok(d, "the token %s:", text);
}

void
doctor_examine(struct doctor *d, struct doctor_token *t)
{
	AUTO(uris_done) struct uris u = { 0 };
	struct pkcs11_uris uris;

	if (!read_uris(d, t->config, &u))
		return;
	uris = (struct pkcs11_uris){ u.at, u.n };
	for (size_t i = 0; i < u.n; i++) {
		struct doctor_visit v = { .d = d,
			.place = t,
			.calls = pkcs11_calls(t->module),
			.text = u.text[i],
			.uri = &u.at[i],
			.uris = &uris };

		if (!is_first(&u, i))
			continue;
		if (i > 0)
			tell_uri(d, v.uri);
		examine(&v);
	}
	if (!d->uri && !t->config->token && t->config->n_preloaded == 0)
		doctor_ok(d, "no key lives here");
}

bool
doctor_has_token(const struct doctor *d, const struct doctor_token *t)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
	struct ck_token_info info;
	ck_slot_id_t slot;
	struct err err = { 0 };

	doctor_step(d, "look for the token");
	if (pkcs11_uri_parse(d->uri, &uri, &err))
		return true;
	return pkcs11_find_token(t->module, &uri, &slot, &info, &err) == ERR_OK ||
	       err.code == ERR_CONFIG;
}
