#include "keyd/pkcs11_token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "crypto/digest.h"

#define IDLE_MAX	16
#define SESSION_WAIT_MS 2000 /* for one to be given back, where the token has no more */
#define PIN_MAX		256
#define PIN_FILE_MAX	(PIN_MAX + 1) /* and a newline */
#define SESSION_RW	(CKF_SERIAL_SESSION | CKF_RW_SESSION)

struct pkcs11_token {
	struct pkcs11_module *module;
	const struct ck_function_list *calls;
	const struct pkcs11_uri *uri;
	const struct pkcs11_uris *uris;
	struct pkcs11_notes *notes;
	uint8_t name[SHA256_LEN]; /* digest of what names it */

	/* Held while the token is looked for and logged in to, I/O and all: whoever comes second would only do the same. */
	pthread_mutex_t opening;

	pthread_mutex_t lock; /* guards the rest; not held across calls of the module */
	pthread_cond_t given;
	bool open;
	uint64_t generation;
	ck_slot_id_t slot;
	ck_flags_t session_flags;
	ck_session_handle_t sentinel; /* the login ends with the last session */
	ck_session_handle_t idle[IDLE_MAX];
	size_t n_idle;
	uint64_t n_closed; /* sessions that the token has room for again */
};

static enum err_code
name_of(const struct pkcs11_uri *uri, uint8_t ret[SHA256_LEN], struct err *err)
{
	AUTO(str_freep) char *text = NULL;

	if (pkcs11_uri_write(uri, NULL, &text, err))
		return err->code;
	return digest_sha256(text, strlen(text), ret, err);
}

enum err_code
pkcs11_token_new(struct pkcs11_module *module, const struct pkcs11_uri *uri,
    const struct pkcs11_uris *uris, struct pkcs11_notes *notes, struct pkcs11_token **ret,
    struct err *err)
{
	struct pkcs11_token *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(err);
	if (name_of(uri, t->name, err)) {
		free(t);
		return err->code;
	}
	t->module = module;
	t->calls = pkcs11_calls(module);
	t->uri = uri;
	t->uris = uris;
	t->notes = notes;
	pthread_mutex_init(&t->opening, NULL);
	pthread_mutex_init(&t->lock, NULL);
	clock_cond_init(&t->given);
	*ret = t;
	return ERR_OK;
}

/* Whoever waits for a session may open one. */
static void
close_sessions(struct pkcs11_token *t, const ck_session_handle_t *sessions, size_t n)
{
	for (size_t i = 0; i < n; i++)
		t->calls->C_CloseSession(sessions[i]);
	pthread_mutex_lock(&t->lock);
	t->n_closed += n;
	pthread_cond_broadcast(&t->given);
	pthread_mutex_unlock(&t->lock);
}

/* End what was opened as this generation, unless another thread has done so. */
static void
shut(struct pkcs11_token *t, uint64_t generation)
{
	ck_session_handle_t old[IDLE_MAX + 1];
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	if (t->open && t->generation == generation) {
		while (t->n_idle > 0)
			old[n++] = t->idle[--t->n_idle];
		old[n++] = t->sentinel;
		t->open = false;
		t->generation++;
		pkcs11_module_opened(t->module, -1);
	}
	pthread_mutex_unlock(&t->lock);
	if (n > 0)
		close_sessions(t, old, n);
}

void
pkcs11_token_free(struct pkcs11_token *t)
{
	if (!t)
		return;
	shut(t, t->generation);
	pthread_cond_destroy(&t->given);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->opening);
	free(t);
}

const struct pkcs11_uri *
pkcs11_token_uri(const struct pkcs11_token *t)
{
	return t->uri;
}

/* --- the PIN */

static enum err_code
check_pin(const struct bytes *pin, struct err *err)
{
	for (size_t i = 0; i < pin->len; i++)
		if (pin->data[i] < ' ' || pin->data[i] == 0x7f)
			return err_set(err, ERR_UNREACHABLE,
			    "the PIN holds a control character (a line end of another system?); it "
			    "is not sent");
	if (pin->len == 0)
		return err_set(err, ERR_UNREACHABLE, "the PIN is empty; it is not sent");
	return ERR_OK;
}

enum err_code
pkcs11_pin_read(const struct pkcs11_uri *uri, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes pin = { 0 };

	if (!uri->pin_value && !uri->pin_source)
		return ERR_OK;
	if (uri->pin_value) {
		if (bytes_copy(&pin, uri->pin_value, strlen(uri->pin_value), err))
			return err->code;
	} else if (file_read(uri->pin_source, PIN_FILE_MAX, &pin, err)) {
		return err_wrap_code(err, ERR_UNREACHABLE, "the PIN cannot be read");
	} else if (pin.len > 0 && pin.data[pin.len - 1] == '\n') {
		pin.data[--pin.len] = '\0';
	}
	if (check_pin(&pin, err))
		return err->code;
	*ret = bytes_take(&pin);
	return ERR_OK;
}

const struct pkcs11_uri *
pkcs11_pin_uri(const struct pkcs11_uri *own, const struct pkcs11_uris *uris, ck_slot_id_t slot,
    const struct ck_token_info *info)
{
	if (own->pin_value || own->pin_source)
		return own;
	for (size_t i = 0; i < uris->n; i++) {
		const struct pkcs11_uri *uri = &uris->at[i];

		if ((uri->pin_value || uri->pin_source) && pkcs11_is_token(uri, slot, info))
			return uri;
	}
	return NULL;
}

/* What is known of this PIN, from whoever sent it. */
static enum err_code
was_refused(const struct pkcs11_token *t, const struct ck_token_info *info,
    const uint8_t digest[SHA256_LEN], struct err *err)
{
	ck_rv_t rv = CKR_OK;

	switch (pkcs11_notes_pin(t->notes, digest, &rv)) {
	case PKCS11_PIN_REFUSED:
		return err_set(err, ERR_UNREACHABLE,
		    "the token refused this PIN (%s); it is not sent again until it changes or "
		    "keyd is restarted",
		    pkcs11_rv(rv)->name);
	case PKCS11_PIN_SENT:
		if (info->flags & CKF_USER_PIN_COUNT_LOW)
			return err_set(err, ERR_UNREACHABLE,
			    "there was no answer when this PIN was sent, and the token counts a "
			    "wrong one; it is not sent again until it changes or keyd is "
			    "restarted");
		return ERR_OK;
	default:
		return ERR_OK;
	}
}

/* What tells before the PIN is sent that it would be in vain, or the token's last try. */
static enum err_code
may_send(const struct pkcs11_token *t, const struct ck_token_info *info, const struct bytes *pin,
    const uint8_t digest[SHA256_LEN], struct err *err)
{
	bool has_limits = info->max_pin_len > 0 && info->max_pin_len != CK_UNAVAILABLE_INFORMATION;

	if (info->flags & CKF_USER_PIN_LOCKED)
		return err_set(err, ERR_UNREACHABLE, "the token's PIN is locked");
	if (info->flags & CKF_USER_PIN_FINAL_TRY)
		return err_set(err, ERR_UNREACHABLE,
		    "one try is left for the token's PIN; it is not sent: log in by hand once");
	if (has_limits && (pin->len > info->max_pin_len || pin->len < info->min_pin_len))
		return err_set(err, ERR_UNREACHABLE,
		    "the PIN does not have the token's %lu to %lu bytes; it is not sent",
		    info->min_pin_len, info->max_pin_len);
	return was_refused(t, info, digest, err);
}

/*
 * Only where the token was away can the PIN not have been at fault.  Of one that is sent for an operation the module has to speak
 * expressly: some know no such login, and the same PIN may be good for the other.
 */
static bool
is_refusal(struct pkcs11_session *s, ck_user_type_t user, ck_rv_t rv)
{
	struct ck_token_info info;

	if (pkcs11_rv(rv)->class == PKCS11_LOST ||
	    s->calls->C_GetTokenInfo(s->slot, &info) != CKR_OK)
		return false;
	return user == CKU_USER || (rv >= CKR_PIN_INCORRECT && rv <= CKR_PIN_LOCKED);
}

static enum err_code
send_pin(struct pkcs11_session *s, ck_user_type_t user, const struct bytes *pin,
    const uint8_t digest[SHA256_LEN], struct err *err)
{
	const struct pkcs11_token *t = s->token;
	ck_rv_t rv;

	/* before it is sent, for the module may end the process */
	pkcs11_notes_keep_pin(t->notes, digest, PKCS11_PIN_SENT, CKR_OK);
	rv = s->calls->C_Login(s->handle, user, pin->data, pin->len);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		pkcs11_notes_keep_pin(t->notes, digest, PKCS11_PIN_GOOD, CKR_OK);
		return ERR_OK;
	}
	if (is_refusal(s, user, rv))
		pkcs11_notes_keep_pin(t->notes, digest, PKCS11_PIN_REFUSED, rv);
	pkcs11_session_failed(s, err, "C_Login", rv);
	return err_wrap_code(err, ERR_UNREACHABLE, "cannot log in to the token");
}

static enum err_code
read_and_send(struct pkcs11_session *s, ck_user_type_t user, const struct pkcs11_uri *from,
    const struct ck_token_info *info, struct err *err)
{
	AUTO(bytes_done) struct bytes pin = { 0 };
	uint8_t digest[SHA256_LEN];
	enum err_code code;

	if (pkcs11_pin_read(from, &pin, err) || pkcs11_pin_digest(info, &pin, digest, err))
		return err->code;
	pkcs11_notes_begin_pin(s->token->notes);
	code = may_send(s->token, info, &pin, digest, err);
	if (code == ERR_OK)
		code = send_pin(s, user, &pin, digest, err);
	pkcs11_notes_end_pin(s->token->notes);
	return code;
}

static bool
is_logged_in(const struct ck_session_info *state)
{
	return state->state == CKS_RW_USER_FUNCTIONS || state->state == CKS_RO_USER_FUNCTIONS;
}

static enum err_code
log_in(struct pkcs11_session *s, const struct ck_token_info *info, struct err *err)
{
	const struct pkcs11_uri *from =
	    pkcs11_pin_uri(s->token->uri, s->token->uris, s->slot, info);
	struct ck_session_info state = { 0 };
	ck_rv_t rv = s->calls->C_GetSessionInfo(s->handle, &state);

	if (rv != CKR_OK)
		return pkcs11_failed(err, "C_GetSessionInfo", rv);
	if (is_logged_in(&state) || !from)
		return ERR_OK;
	return read_and_send(s, CKU_USER, from, info, err);
}

enum err_code
pkcs11_session_confirm(struct pkcs11_session *s, struct err *err)
{
	const struct pkcs11_token *t = s->token;
	const struct pkcs11_uri *from;
	struct ck_token_info info;
	ck_rv_t rv = s->calls->C_GetTokenInfo(s->slot, &info);

	if (rv != CKR_OK)
		return pkcs11_session_failed(s, err, "C_GetTokenInfo", rv);
	from = pkcs11_pin_uri(t->uri, t->uris, s->slot, &info);
	if (!from)
		return err_set(err, ERR_UNREACHABLE,
		    "the key wants the PIN for each use; its URI needs pin-value or pin-source");
	return read_and_send(s, CKU_CONTEXT_SPECIFIC, from, &info, err);
}

/* --- opening */

/*
 * The token that was open once stays the one that counts: another of the same name has other keys, and a device that took it for
 * its own would make itself a new identity.
 */
static enum err_code
same_token(const struct pkcs11_token *t, const struct ck_token_info *info, struct err *err)
{
	struct pkcs11_mark is = pkcs11_mark_of(info), was;

	if (!pkcs11_notes_token(t->notes, t->name, &was) || memcmp(&was, &is, sizeof(is)) == 0)
		return ERR_OK;
	return err_set(err, ERR_UNREACHABLE,
	    "this is another token than before: its serial number or label changed; restart keyd "
	    "if that is meant");
}

static void
set_open(struct pkcs11_token *t, const struct pkcs11_session *sentinel,
    const struct ck_token_info *info, ck_flags_t flags)
{
	const struct pkcs11_mark mark = pkcs11_mark_of(info);

	pkcs11_notes_keep_token(t->notes, t->name, &mark);
	pkcs11_module_opened(t->module, 1);
	pthread_mutex_lock(&t->lock);
	t->slot = sentinel->slot;
	t->sentinel = sentinel->handle;
	t->session_flags = flags;
	t->open = true;
	pthread_mutex_unlock(&t->lock);
}

/* ret_gone: the module does not know the token, or knows one that is no more. */
static enum err_code
open_token(struct pkcs11_token *t, bool *ret_gone, struct err *err)
{
	struct pkcs11_session sentinel = { .token = t, .calls = t->calls };
	struct ck_token_info info;
	ck_flags_t flags;
	ck_rv_t rv;

	*ret_gone = true;
	if (pkcs11_find_token(t->module, t->uri, &sentinel.slot, &info, err))
		return err->code;
	flags = info.flags & CKF_WRITE_PROTECTED ? CKF_SERIAL_SESSION : SESSION_RW;
	rv = t->calls->C_OpenSession(sentinel.slot, flags, NULL, NULL, &sentinel.handle);
	if (rv != CKR_OK)
		return pkcs11_failed(err, "C_OpenSession", rv);
	*ret_gone = false;
	if (same_token(t, &info, err) || log_in(&sentinel, &info, err)) {
		t->calls->C_CloseSession(sentinel.handle);
		return err->code;
	}
	set_open(t, &sentinel, &info, flags);
	return ERR_OK;
}

static bool
is_open(struct pkcs11_token *t)
{
	bool open;

	pthread_mutex_lock(&t->lock);
	open = t->open;
	pthread_mutex_unlock(&t->lock);
	return open;
}

static enum err_code
ensure_open(struct pkcs11_token *t, bool *ret_gone, struct err *err)
{
	enum err_code code = ERR_OK;

	if (is_open(t))
		return ERR_OK;
	pthread_mutex_lock(&t->opening);
	if (!is_open(t))
		code = open_token(t, ret_gone, err);
	pthread_mutex_unlock(&t->opening);
	/* whatever it is, the token cannot be had now; what is wrong with the configuration is told, too */
	if (code && code != ERR_NOMEM)
		err_wrap_code(err, ERR_UNREACHABLE, "the token cannot be used");
	return code ? err->code : ERR_OK;
}

/* --- sessions */

/* What a new session needs. */
struct need {
	ck_flags_t flags;
	uint64_t n_closed; /* where there is no room, wait until this has grown */
};

/* An idle one, or what a new one needs. */
static bool
take_idle(struct pkcs11_token *t, struct pkcs11_session *s, struct need *ret)
{
	bool found;

	pthread_mutex_lock(&t->lock);
	s->generation = t->generation;
	s->slot = t->slot;
	*ret = (struct need){ t->session_flags, t->n_closed };
	found = t->open && t->n_idle > 0;
	if (found)
		s->handle = t->idle[--t->n_idle];
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool
wait_room(struct pkcs11_token *t, uint64_t n_closed, uint64_t deadline_ms)
{
	bool in_time = true;

	pthread_mutex_lock(&t->lock);
	while (t->open && t->n_idle == 0 && t->n_closed == n_closed && in_time)
		in_time = clock_cond_wait(&t->given, &t->lock, deadline_ms);
	pthread_mutex_unlock(&t->lock);
	return in_time;
}

/* A token that closed sessions while nobody looked is opened anew once. */
static enum err_code
take(struct pkcs11_token *t, struct pkcs11_session *s, bool *ret_gone, struct err *err)
{
	uint64_t deadline = clock_mono_ms() + SESSION_WAIT_MS;
	struct need new;
	bool again = true;
	ck_rv_t rv;

	*s = (struct pkcs11_session){ .token = t, .calls = t->calls };
	for (;;) {
		if (ensure_open(t, ret_gone, err))
			return err->code;
		if (take_idle(t, s, &new))
			return ERR_OK;
		rv = t->calls->C_OpenSession(s->slot, new.flags, NULL, NULL, &s->handle);
		if (rv == CKR_OK)
			return ERR_OK;
		if (rv == CKR_SESSION_COUNT) {
			if (!wait_room(t, new.n_closed, deadline))
				return pkcs11_failed(err, "C_OpenSession", rv);
			continue;
		}
		shut(t, s->generation);
		if (!again)
			return pkcs11_failed(err, "C_OpenSession", rv);
		again = false;
	}
}

/* A session whose work failed may be left in the middle of an operation: it is closed rather than used again. */
static void
give(struct pkcs11_session *s, bool clean)
{
	struct pkcs11_token *t = s->token;

	pthread_mutex_lock(&t->lock);
	clean = clean && t->open && s->generation == t->generation && t->n_idle < IDLE_MAX;
	if (clean) {
		t->idle[t->n_idle++] = s->handle;
		pthread_cond_signal(&t->given);
	}
	pthread_mutex_unlock(&t->lock);
	if (!clean)
		close_sessions(t, &s->handle, 1);
}

enum err_code
pkcs11_session_failed(struct pkcs11_session *s, struct err *err, const char *what, ck_rv_t rv)
{
	s->rv = rv;
	return pkcs11_failed(err, what, rv);
}

static enum err_code
check_token(struct pkcs11_session *s, struct ck_token_info *ret, struct err *err)
{
	ck_rv_t rv;

	*ret = (struct ck_token_info){ 0 };
	rv = s->calls->C_GetTokenInfo(s->slot, ret);
	if (rv == CKR_OK && (ret->flags & CKF_TOKEN_INITIALIZED))
		return same_token(s->token, ret, err);
	pkcs11_session_failed(
	    s, err, "C_GetTokenInfo", rv == CKR_OK ? CKR_TOKEN_NOT_RECOGNIZED : rv);
	s->rv = CKR_TOKEN_NOT_PRESENT;
	return err_wrap_code(err, ERR_UNREACHABLE, "the token does not answer any more");
}

/* Some tokens end a login by themselves, or for another program, and leave the sessions. */
static enum err_code
check_login(struct pkcs11_session *s, const struct ck_token_info *info, struct err *err)
{
	const struct pkcs11_token *t = s->token;
	struct ck_session_info state = { 0 };

	if (!(info->flags & CKF_LOGIN_REQUIRED))
		return ERR_OK;
	if (s->calls->C_GetSessionInfo(s->handle, &state) != CKR_OK)
		return pkcs11_session_failed(
		    s, err, "C_GetSessionInfo", CKR_SESSION_HANDLE_INVALID);
	if (is_logged_in(&state))
		return ERR_OK;
	if (pkcs11_pin_uri(t->uri, t->uris, s->slot, info))
		return pkcs11_session_failed(s, err, "C_GetSessionInfo", CKR_USER_NOT_LOGGED_IN);
	return err_set(err, ERR_UNREACHABLE,
	    "nobody is logged in to the token, so its keys are hidden; its URI needs pin-value or "
	    "pin-source");
}

enum err_code
pkcs11_session_check_token(struct pkcs11_session *s, struct err *err)
{
	struct ck_token_info info;

	return check_token(s, &info, err) ? err->code : check_login(s, &info, err);
}

static bool
was_lost(struct pkcs11_session *s)
{
	struct ck_token_info info;
	struct err ignored = { 0 };

	switch (pkcs11_rv(s->rv)->class) {
	case PKCS11_LOST:
		return true;
	case PKCS11_ODD:
		return check_token(s, &info, &ignored) != ERR_OK;
	default:
		return false;
	}
}

/* ret_lost: token, session or object went away; ret_gone: the token could not be had at all. */
static enum err_code
attempt(struct pkcs11_token *t, pkcs11_work *work, void *arg, bool *ret_lost, bool *ret_gone,
    struct err *err)
{
	struct pkcs11_session s;

	*ret_lost = *ret_gone = false;
	if (take(t, &s, ret_gone, err))
		return err->code;
	if (work(&s, arg, err) == ERR_OK) {
		give(&s, true);
		return ERR_OK;
	}
	*ret_lost = was_lost(&s);
	if (*ret_lost)
		shut(t, s.generation);
	give(&s, false);
	return err->code;
}

enum err_code
pkcs11_token_work(struct pkcs11_token *t, enum pkcs11_access access, pkcs11_work *work, void *arg,
    struct err *err)
{
	bool restarted = false;

	for (bool again = true;;) {
		enum err_code code;
		bool lost, gone;

		pkcs11_module_enter(t->module, access);
		err_clear(err);
		code = attempt(t, work, arg, &lost, &gone, err);
		pkcs11_module_leave(t->module);
		if (code == ERR_OK)
			return ERR_OK;
		if (gone && !restarted && pkcs11_module_restart(t->module)) {
			restarted = true;
			continue;
		}
		if (!lost)
			return code;
		if (!again)
			return err_wrap_code(err, ERR_UNREACHABLE, "the token went away twice");
		again = false;
	}
}
