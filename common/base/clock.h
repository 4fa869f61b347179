#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ms(void); /* CLOCK_MONOTONIC; for deadlines */
/* The same clock, up to 10 ms behind, at a fifth of the cost: for deadlines of seconds that are set with every request. */
uint64_t clock_coarse_ms(void);
int64_t clock_unix(void); /* seconds since the epoch, CLOCK_REALTIME */

/* Milliseconds from now until the monotonic deadline, 0 when it has passed; for poll(). */
int clock_left_ms(uint64_t deadline_ms);

/* A condition for clock_cond_wait. */
void clock_cond_init(pthread_cond_t *cond);
/* Wait, with lock held, to be woken; false once the deadline, as clock_mono_ms() counts, has passed. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline_ms);

#define CLOCK_RFC3339_LEN sizeof("2031-04-05T06:07:08+00:00")

/*
 * RFC 3339 in UTC with the given suffix, "Z" or "+00:00"; out holds CLOCK_RFC3339_LEN.  Times before
 * the year 0 and after 9999 give the first and the last second that can be written.
 */
void clock_rfc3339(int64_t unix_seconds, const char *suffix, char *out);
/*
 * Unix seconds of an RFC 3339 time (its section 5.6): 'T' or 't' between date and time, "Z", "z" or an offset of hours and minutes behind them,
 * a fraction of a second cut off.  False: it is none, or has no offset.
 */
bool clock_read_rfc3339(const char *text, int64_t *ret);

#endif
