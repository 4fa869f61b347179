#include <string.h>

#include "base/clock.h"
#include "tpmd/tpm_objects.h"
#include "tpmd/tpm_priv.h"
#include "tpmd/wrapped.h"

/* The one object that stays loaded between two uses of it, and the thread that puts it out when nobody comes again. */

void
tpm_held_drop(struct tpm *t)
{
	tpm_flush(t, &t->held.session);
	tpm_flush(t, &t->held.object);
}

/* A parameter that the TPM refuses: the blob is to blame (TPM 2.0 part 2, 6.6: format one, P set). */
static bool
blames_parameter(TSS2_RC rc)
{
	return !(rc & TSS2_RC_LAYER_MASK) &&
	       (rc & (TPM2_RC_FMT1 | TPM2_RC_P)) == (TPM2_RC_FMT1 | TPM2_RC_P);
}

enum err_code
tpm_load(struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err)
{
	TSS2_RC rc;

	if (tpm_ask_key(t->srk_refused, TPM_SRK_HANDLE, err))
		return err->code;
	rc = Esys_Load(t->esys, t->srk, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &w->private,
	    &w->area, ret);
	t->srk_refused |= tpm_is_refused(rc);
	if (blames_parameter(rc))
		return err_set(err, ERR_INVALID,
		    "the object was made by another TPM or before this one was cleared, or it is "
		    "damaged: TPM error 0x%x",
		    rc);
	return rc ? tpm_fail(t, "could not load the object", rc, err) : ERR_OK;
}

bool
tpm_is_held(const struct tpm *t, const struct wrapped *w)
{
	const struct tpm_held *held = &t->held;

	return held->object != ESYS_TR_NONE && memcmp(held->digest, w->digest, SHA256_LEN) == 0;
}

/* Something was loaded: the keeper is to look for it. */
static void
have_looked_after(struct tpm *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->held.look_ms) {
		t->held.look_ms = clock_mono_ms() + TPM_HELD_MS;
		pthread_cond_signal(&t->held.change);
	}
	pthread_mutex_unlock(&t->lock);
}

enum err_code
tpm_hold(struct tpm *t, const struct wrapped *w, ESYS_TR *ret, struct err *err)
{
	struct tpm_held *held = &t->held;

	if (!tpm_is_held(t, w)) {
		tpm_held_drop(t);
		if (tpm_load(t, w, &held->object, err))
			return err->code;
		memcpy(held->digest, w->digest, SHA256_LEN);
		have_looked_after(t);
	}
	held->until_ms = clock_mono_ms() + TPM_HELD_MS;
	*ret = held->object;
	return ERR_OK;
}

/* Put out what was not used for too long.  When to look again; 0: nothing is loaded. */
static uint64_t
look(struct tpm *t)
{
	struct tpm_held *held = &t->held;
	struct tpm_turn turn = { 0 };
	struct err err = { 0 };
	uint64_t again;

	if (tpm_take(t, &turn, TPM_WAIT_MS, &err))
		return clock_mono_ms();
	if (held->object != ESYS_TR_NONE && clock_mono_ms() >= held->until_ms) {
		tpm_held_drop(t);
		tpm_mend(t);
	}
	again = held->object != ESYS_TR_NONE ? held->until_ms : 0;
	tpm_pass(t);
	return again;
}

static void *
keep(void *ctx)
{
	struct tpm *t = ctx;
	struct tpm_held *held = &t->held;
	uint64_t again;

	pthread_mutex_lock(&t->lock);
	while (!held->ending) {
		if (!held->look_ms) {
			pthread_cond_wait(&held->change, &t->lock);
		} else if (!clock_cond_wait(&held->change, &t->lock, held->look_ms)) {
			held->look_ms = 0;
			pthread_mutex_unlock(&t->lock);
			again = look(t);
			pthread_mutex_lock(&t->lock);
			if (!held->look_ms)
				held->look_ms = again;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

enum err_code
tpm_start(struct tpm *t, struct err *err)
{
	if (pthread_create(&t->held.keeper, NULL, keep, t))
		return err_set(err, ERR_IO, "could not start a thread");
	t->held.kept = true;
	return ERR_OK;
}

void
tpm_held_end(struct tpm *t)
{
	pthread_mutex_lock(&t->lock);
	t->held.ending = true;
	pthread_cond_signal(&t->held.change);
	pthread_mutex_unlock(&t->lock);
	if (t->held.kept)
		pthread_join(t->held.keeper, NULL);
}
