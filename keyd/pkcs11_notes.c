#include "keyd/pkcs11_notes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/backend.h"

#define ENTRIES 64 /* of each kind; beyond that the oldest is overwritten */

struct token_note {
	uint8_t name[SHA256_LEN];
	struct pkcs11_mark mark;
	bool used;
};

struct pin_note {
	uint8_t pin[SHA256_LEN];
	ck_rv_t rv;
	enum pkcs11_pin_state state;
};

/* What outlives the process.  One that ended in the middle of a change spoilt one entry at most. */
struct notes {
	struct token_note tokens[ENTRIES];
	struct pin_note pins[ENTRIES];
	unsigned next_token, next_pin;
};

_Static_assert(sizeof(struct notes) <= BACKEND_NOTES_LEN, "it fits into what backends are given");

struct pkcs11_notes {
	pthread_mutex_t sending; /* a PIN; held across the module's call */
	pthread_mutex_t lock;	 /* guards what at points to */
	struct notes *at;
	struct notes own;
};

enum err_code
pkcs11_notes_new(void *memory, struct pkcs11_notes **ret, struct err *err)
{
	struct pkcs11_notes *n = calloc(1, sizeof(*n));

	if (!n)
		return err_nomem(err);
	n->at = memory ? memory : &n->own;
	pthread_mutex_init(&n->sending, NULL);
	pthread_mutex_init(&n->lock, NULL);
	*ret = n;
	return ERR_OK;
}

void
pkcs11_notes_free(struct pkcs11_notes *n)
{
	if (!n)
		return;
	pthread_mutex_destroy(&n->lock);
	pthread_mutex_destroy(&n->sending);
	mem_wipe(&n->own, sizeof(n->own));
	free(n);
}

/* --- tokens */

struct pkcs11_mark
pkcs11_mark_of(const struct ck_token_info *info)
{
	struct pkcs11_mark mark;

	_Static_assert(
	    sizeof(mark.serial) == sizeof(info->serial_number), "as the standard has it");
	_Static_assert(sizeof(mark.label) == sizeof(info->label), "as the standard has it");
	memcpy(mark.serial, info->serial_number, sizeof(mark.serial));
	memcpy(mark.label, info->label, sizeof(mark.label));
	return mark;
}

/* Under the lock. */
static struct token_note *
token_note(struct notes *at, const uint8_t name[SHA256_LEN])
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (at->tokens[i].used && memcmp(at->tokens[i].name, name, SHA256_LEN) == 0)
			return &at->tokens[i];
	return NULL;
}

bool
pkcs11_notes_token(struct pkcs11_notes *n, const uint8_t name[SHA256_LEN], struct pkcs11_mark *ret)
{
	const struct token_note *note;
	bool found;

	pthread_mutex_lock(&n->lock);
	note = token_note(n->at, name);
	found = note != NULL;
	if (found)
		*ret = note->mark;
	pthread_mutex_unlock(&n->lock);
	return found;
}

void
pkcs11_notes_keep_token(
    struct pkcs11_notes *n, const uint8_t name[SHA256_LEN], const struct pkcs11_mark *mark)
{
	struct token_note *note;

	pthread_mutex_lock(&n->lock);
	note = token_note(n->at, name);
	if (!note)
		note = &n->at->tokens[n->at->next_token++ % ENTRIES];
	note->used = false;
	note->mark = *mark;
	memcpy(note->name, name, SHA256_LEN);
	note->used = true;
	pthread_mutex_unlock(&n->lock);
}

/* --- PINs */

void
pkcs11_notes_begin_pin(struct pkcs11_notes *n)
{
	pthread_mutex_lock(&n->sending);
}

void
pkcs11_notes_end_pin(struct pkcs11_notes *n)
{
	pthread_mutex_unlock(&n->sending);
}

enum err_code
pkcs11_pin_digest(const struct ck_token_info *info, const struct bytes *pin,
    uint8_t ret[SHA256_LEN], struct err *err)
{
	struct pkcs11_mark mark = pkcs11_mark_of(info);
	AUTO(bytes_done) struct bytes both = { 0 };

	if (bytes_alloc(&both, sizeof(mark) + pin->len, err))
		return err->code;
	memcpy(both.data, &mark, sizeof(mark));
	memcpy(both.data + sizeof(mark), pin->data, pin->len);
	return digest_sha256(both.data, both.len, ret, err);
}

/* Under the lock. */
static struct pin_note *
pin_note(struct notes *at, const uint8_t pin[SHA256_LEN])
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (at->pins[i].state != PKCS11_PIN_GOOD &&
		    memcmp(at->pins[i].pin, pin, SHA256_LEN) == 0)
			return &at->pins[i];
	return NULL;
}

enum pkcs11_pin_state
pkcs11_notes_pin(struct pkcs11_notes *n, const uint8_t pin[SHA256_LEN], ck_rv_t *ret_rv)
{
	enum pkcs11_pin_state state = PKCS11_PIN_GOOD;
	const struct pin_note *note;

	pthread_mutex_lock(&n->lock);
	note = pin_note(n->at, pin);
	if (note) {
		state = note->state;
		*ret_rv = note->rv;
	}
	pthread_mutex_unlock(&n->lock);
	return state;
}

void
pkcs11_notes_keep_pin(
    struct pkcs11_notes *n, const uint8_t pin[SHA256_LEN], enum pkcs11_pin_state state, ck_rv_t rv)
{
	struct pin_note *note;

	pthread_mutex_lock(&n->lock);
	note = pin_note(n->at, pin);
	if (!note && state != PKCS11_PIN_GOOD)
		note = &n->at->pins[n->at->next_pin++ % ENTRIES];
	if (note) {
		note->rv = rv;
		memcpy(note->pin, pin, SHA256_LEN);
		note->state = state;
	}
	pthread_mutex_unlock(&n->lock);
}
