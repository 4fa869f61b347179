#include "http/server_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Time for threads to come back once their work has been cut. */
#define LAST_MS 500

static unsigned
or_default(unsigned value, unsigned otherwise)
{
	return value ? value : otherwise;
}

static unsigned
shortest_deadline(const struct http_server_config *config)
{
	const struct route_table *table = config->table;
	unsigned shortest = config->head_ms;

	if (config->body_ms < shortest)
		shortest = config->body_ms;
	if (config->idle_ms < shortest)
		shortest = config->idle_ms;
	for (size_t i = 0; i < table->n_routes; i++)
		if (table->routes[i].deadline_ms && table->routes[i].deadline_ms < shortest)
			shortest = table->routes[i].deadline_ms;
	return shortest < SERVER_JOB_MS ? shortest : SERVER_JOB_MS;
}

static void
init_sync(struct http_server *s)
{

	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->timer_wake);
	clock_cond_init(&s->changed);
}

static enum err_code
open_descriptors(struct http_server *s, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->wake < 0)
		return err_errno(err, "could not make the acceptor's descriptors");
	s->reserve = fcntl(s->wake, F_DUPFD_CLOEXEC, 0);
	if (s->reserve < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &event))
		return err_errno(err, "could not make the acceptor's descriptors");
	return ERR_OK;
}

enum err_code
http_server_new(const struct http_server_config *config, struct http_server **ret, struct err *err)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	s->config = *config;
	s->config.threads = or_default(config->threads, 2);
	s->config.workers = or_default(config->workers, 4);
	s->config.queue = or_default(config->queue, 64);
	s->config.head_ms = or_default(config->head_ms, 10000);
	s->config.body_ms = or_default(config->body_ms, 5000);
	s->config.idle_ms = or_default(config->idle_ms, 60000);
	s->tick_ms = shortest_deadline(&s->config);
	s->epoll = s->wake = s->reserve = -1;
	init_sync(s);
	if (open_descriptors(s, err)) {
		http_server_free(s);
		return err->code;
	}
	*ret = s;
	return ERR_OK;
}

static enum err_code
start_thread(
    void *(*fn)(void *), struct http_server *s, pthread_t *thread, bool *has, struct err *err)
{
	errno = pthread_create(thread, NULL, fn, s);
	if (errno)
		return err_errno(err, "could not start a thread");
	*has = true;
	return ERR_OK;
}

enum err_code
http_server_start(struct http_server *s, struct err *err)
{
	/* a failure half-way is cleaned up by http_server_free */
	if (pool_new(s->config.workers, s->config.queue, &s->pool, err) ||
	    server_mhd_start(s, err) ||
	    start_thread(server_timer_main, s, &s->timer, &s->has_timer, err) ||
	    start_thread(server_accept_main, s, &s->acceptor, &s->has_acceptor, err))
		return err->code;
	return ERR_OK;
}

struct pool *
http_server_pool(struct http_server *s)
{
	return s->pool;
}

/* ---- the end ---- */

static void
stop_accepting(struct http_server *s)
{
	uint64_t one = 1;

	atomic_store(&s->stopping, true);
	if (s->has_acceptor) {
		(void)!write(s->wake, &one, sizeof(one));
		pthread_join(s->acceptor, NULL);
		s->has_acceptor = false;
	}
	pthread_mutex_lock(&s->lock);
	for (struct listener *l = s->listeners; l; l = l->next)
		fd_closep(&l->fd);
	pthread_mutex_unlock(&s->lock);
}

/* Connections between requests end at once; one that has sent its request already is still answered. */
static void
end_idle(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct conn *c = s->conns; c; c = c->next)
		if (conn_phase(c) == PHASE_IDLE || conn_phase(c) == PHASE_HEAD)
			shutdown(c->fd, SHUT_RD);
	pthread_mutex_unlock(&s->lock);
}

/* Until *count is 0 or the monotonic deadline has passed. */
static bool
wait_none(struct http_server *s, const unsigned *count, uint64_t deadline)
{
	bool none;

	pthread_mutex_lock(&s->lock);
	while (*count && clock_cond_wait(&s->changed, &s->lock, deadline))
		continue;
	none = *count == 0;
	pthread_mutex_unlock(&s->lock);
	return none;
}

static void
cut_all(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct conn *c = s->conns; c; c = c->next)
		conn_cut(c);
	pthread_mutex_unlock(&s->lock);
}

/* Connections that libmicrohttpd never began with, and so said nothing of when it ended. */
static void
drop_unseen(struct http_server *s)
{
	for (;;) {
		struct conn *c;

		pthread_mutex_lock(&s->lock);
		c = s->conns;
		if (c)
			conn_leave(c);
		pthread_mutex_unlock(&s->lock);
		if (!c)
			return;
		conn_put(c);
	}
}

static void
stop_timer(struct http_server *s)
{
	if (!s->has_timer)
		return;
	pthread_mutex_lock(&s->lock);
	s->timer_stop = true;
	pthread_cond_signal(&s->timer_wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->timer, NULL);
	s->has_timer = false;
}

void
http_server_stop(struct http_server *s, unsigned grace_ms)
{
	uint64_t deadline = clock_mono_ms() + grace_ms;
	uint64_t last;

	stop_accepting(s);
	end_idle(s);
	(void)wait_none(s, &s->n_conns, deadline);
	stop_timer(s);
	/* resumes what is suspended, which libmicrohttpd insists on before its end */
	cut_all(s);
	server_mhd_stop(s);
	drop_unseen(s);
	last = clock_mono_ms() + LAST_MS;
	if (last < deadline)
		last = deadline;
	s->stuck = !wait_none(s, &s->n_streams, last);
	if (s->pool)
		s->stuck |= pool_stop(s->pool, (unsigned)clock_left_ms(last)) > 0;
}

void
http_server_free(struct http_server *s)
{
	if (!s)
		return;
	if (s->pool || s->mhd)
		http_server_stop(s, 0);
	if (s->stuck)
		return;
	pool_free(s->pool);
	server_listeners_free(s);
	fd_closep(&s->epoll);
	fd_closep(&s->wake);
	fd_closep(&s->reserve);
	pthread_cond_destroy(&s->timer_wake);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
http_server_stats(const struct http_server *s, unsigned *ret_open, unsigned long *ret_served)
{
	*ret_open = atomic_load(&s->open);
	*ret_served = atomic_load(&s->served);
}
