#include "http/server_private.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

void
server_answer_raw(int fd, const char *status_line, const char *message)
{
	char answer[512];
	int n;

	n = snprintf(answer, sizeof(answer),
	    "HTTP/1.1 %s\r\n"
	    "content-type: application/json\r\n"
	    "content-length: %zu\r\n"
	    "connection: close\r\n"
	    "\r\n"
	    "{\"message\":\"%s\"}",
	    status_line, strlen(message) + strlen("{\"message\":\"\"}"), message);
	/* a peer that does not even read gets none */
	(void)!send(fd, answer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_RDWR);
}

/* The deadline of this phase has passed; exactly this word may be ended, a newer one not.  Under the lock. */
static void
expire(struct conn *c, unsigned long long word)
{
	enum phase phase = (enum phase)(word & 15);
	enum phase next = phase == PHASE_POOLED ? PHASE_LATE : PHASE_CUT;

	if (!atomic_compare_exchange_strong(&c->state, &word, NEVER << 4 | next))
		return;
	switch (phase) {
	case PHASE_NEW: /* libmicrohttpd has dropped it without a word: only its place is left to free */
		conn_leave(c);
		break;
	case PHASE_READING:
		server_answer_raw(c->fd, "408 Request Timeout", "deadline has elapsed");
		break;
	case PHASE_POOLED:
		server_mhd_resume(c);
		break;
	default:
		shutdown(c->fd, SHUT_RDWR);
	}
}

/* End what is overdue; returns when to look again. */
static uint64_t
scan(struct http_server *s)
{
	uint64_t now = clock_mono_ms();
	/* a deadline that is set after this moment is at least a tick away */
	uint64_t next = now + s->tick_ms;

	for (struct conn *c = s->conns, *following; c; c = following) {
		unsigned long long word = atomic_load(&c->state);
		uint64_t deadline = word >> 4;

		following = c->next;
		if (deadline <= now)
			expire(c, word);
		else if (deadline < next)
			next = deadline;
	}
	return next;
}

void *
server_timer_main(void *server)
{
	struct http_server *s = server;

	pthread_mutex_lock(&s->lock);
	while (!s->timer_stop) {
		if (s->n_conns == 0) {
			pthread_cond_wait(&s->timer_wake, &s->lock);
		} else {
			clock_cond_wait(&s->timer_wake, &s->lock, scan(s));
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
