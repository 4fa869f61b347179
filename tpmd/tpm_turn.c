#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "tpmd/tpm_priv.h"

/* In what order callers have the TPM. */

static struct timespec
after_ms(unsigned ms)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* Is it free?  If not, stand in line. */
static bool
take_or_queue(struct tpm *t, struct tpm_turn *turn)
{
	bool is_free;

	turn->next = NULL;
	turn->chosen = false;
	pthread_mutex_lock(&t->lock);
	is_free = !t->taken;
	if (is_free) {
		t->taken = true;
		t->taken_ms = clock_mono_ms();
	} else {
		*t->last = turn;
		t->last = &turn->next;
	}
	pthread_mutex_unlock(&t->lock);
	return is_free;
}

static bool
await(struct tpm_turn *turn, unsigned wait_ms)
{
	const struct timespec until = after_ms(wait_ms);

	while (sem_clockwait(&turn->come, CLOCK_MONOTONIC, &until))
		if (errno == ETIMEDOUT)
			return false;
	return true;
}

/* Out of the line; or false, and the turn has come after all. */
static bool
leave(struct tpm *t, struct tpm_turn *turn)
{
	struct tpm_turn **at = &t->first;
	bool chosen;

	pthread_mutex_lock(&t->lock);
	chosen = turn->chosen;
	while (!chosen && *at != turn)
		at = &(*at)->next;
	if (!chosen) {
		*at = turn->next;
		if (!*at)
			t->last = at;
	}
	pthread_mutex_unlock(&t->lock);
	while (chosen && sem_wait(&turn->come))
		continue;
	return !chosen;
}

/* Whoever reads it is to see one that hangs. */
static enum err_code
busy(struct tpm *t, struct err *err)
{
	uint64_t taken_ms;

	pthread_mutex_lock(&t->lock);
	taken_ms = clock_mono_ms() - t->taken_ms;
	pthread_mutex_unlock(&t->lock);
	return err_set(err, ERR_BUSY, "the TPM is busy: at one call for %llu s",
	    (unsigned long long)(taken_ms / 1000));
}

enum err_code
tpm_take(struct tpm *t, struct tpm_turn *turn, unsigned wait_ms, struct err *err)
{
	bool mine;

	sem_init(&turn->come, 0, 0);
	mine = take_or_queue(t, turn) || await(turn, wait_ms) || !leave(t, turn);
	sem_destroy(&turn->come);
	return mine ? ERR_OK : busy(t, err);
}

void
tpm_pass(struct tpm *t)
{
	struct tpm_turn *next;

	pthread_mutex_lock(&t->lock);
	next = t->first;
	if (next) {
		t->first = next->next;
		if (!t->first)
			t->last = &t->first;
		next->chosen = true;
		t->taken_ms = clock_mono_ms();
	} else {
		t->taken = false;
	}
	pthread_mutex_unlock(&t->lock);
	if (!next)
		return;
	/* the TPM is at work while the next one wakes up */
	if (next->begin)
		next->begin(t, next->ctx);
	sem_post(&next->come);
}
