#include "http/server_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* What an epoll event is about: nothing (the wake-up), a listener's id, or a connection's. */
#define EVENT_CONN (UINT64_C(1) << 63)

/* ---- connections ---- */

static unsigned long long
word_of(enum phase phase, uint64_t deadline)
{
	return (deadline > NEVER ? NEVER : deadline) << 4 | (unsigned)phase;
}

enum phase
conn_phase(const struct conn *c)
{
	return (enum phase)(atomic_load(&c->state) & 15);
}

bool
conn_move(struct conn *c, unsigned from, enum phase to, uint64_t deadline)
{
	unsigned long long word = atomic_load(&c->state);

	while (from & 1U << (word & 15))
		if (atomic_compare_exchange_weak(&c->state, &word, word_of(to, deadline)))
			return true;
	return false;
}

static void
listener_release(struct listener *l)
{
	free(l->uids);
	free(l);
}

/* A reference less, under the lock; returns the listener when it was the last of one that is closed. */
static struct listener *
listener_put(struct http_server *s, struct listener *l)
{
	struct listener **at = &s->listeners;

	if (--l->refs > 0 || !l->closed)
		return NULL;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	return l;
}

/* Tell its owner, without the lock. */
static void
listener_finish(struct listener *l)
{
	if (!l)
		return;
	if (l->done)
		l->done(l->tag);
	listener_release(l);
}

static struct uid_count *
find_uid(struct listener *l, uid_t uid)
{
	for (size_t i = 0; i < l->n_uids; i++)
		if (l->uids[i].uid == uid)
			return &l->uids[i];
	return NULL;
}

/* One more of this uid, unless it has its share. */
static bool
take_place(struct listener *l, uid_t uid)
{
	struct uid_count *count = find_uid(l, uid);

	if ((count ? count->n : 0) >= l->per_uid)
		return false;
	if (!count) {
		if (l->n_uids == l->cap_uids) {
			size_t cap = l->cap_uids ? 2 * l->cap_uids : 4;
			struct uid_count *more = realloc(l->uids, cap * sizeof(*more));

			if (!more)
				return false;
			l->uids = more;
			l->cap_uids = cap;
		}
		count = &l->uids[l->n_uids++];
		*count = (struct uid_count){ uid, 0 };
	}
	count->n++;
	return true;
}

static void
leave_place(struct listener *l, uid_t uid)
{
	struct uid_count *count = find_uid(l, uid);

	if (--count->n == 0)
		*count = l->uids[--l->n_uids];
}

void
conn_leave(struct conn *c)
{
	struct http_server *s = c->server;

	if (c->left)
		return;
	c->left = true;
	leave_place(c->listener, c->peer.uid);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n_conns--;
	atomic_store(&s->open, s->n_conns);
	pthread_cond_broadcast(&s->changed);
}

void
conn_put(struct conn *c)
{
	struct http_server *s = c->server;
	struct listener *last;

	if (atomic_fetch_sub(&c->refs, 1) > 1)
		return;
	pthread_mutex_lock(&s->lock);
	last = listener_put(s, c->listener);
	pthread_mutex_unlock(&s->lock);
	peer_done(&c->peer);
	free(c);
	listener_finish(last);
}

void
conn_cut(struct conn *c)
{
	unsigned long long word = atomic_load(&c->state);

	while (!atomic_compare_exchange_weak(&c->state, &word, word_of(PHASE_CUT, NEVER)))
		continue;
	if (c->stream)
		stream_abandon(c->stream);
	switch (word & 15) {
	case PHASE_NEW: /* the descriptor is not ours to touch; its first word will be refused */
	case PHASE_STREAM_WAIT:
		break;
	case PHASE_POOLED:
		server_mhd_resume(c);
		break;
	default:
		shutdown(c->fd, SHUT_RDWR);
	}
}

/* ---- accepting ---- */

static struct conn *
conn_new(struct http_server *s, struct listener *l, int fd, struct peer *peer)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->listener = l;
	c->fd = fd;
	c->peer = *peer;
	atomic_init(&c->refs, 1);
	atomic_init(&c->state, word_of(PHASE_NEW, clock_mono_ms() + s->config.head_ms));
	*peer = (struct peer){ .pidfd = -1 };
	return c;
}

/* Into server.conns, if its uid has a place left. */
static bool
conn_enter(struct http_server *s, struct conn *c)
{
	bool entered;

	pthread_mutex_lock(&s->lock);
	entered = s->n_conns < SERVER_CONNS_MAX && take_place(c->listener, c->peer.uid);
	if (entered) {
		c->id = ++s->last_conn;
		c->next = s->conns;
		if (c->next)
			c->next->prev = c;
		s->conns = c;
		c->listener->refs++;
		if (s->n_conns++ == 0)
			pthread_cond_signal(&s->timer_wake);
		atomic_store(&s->open, s->n_conns);
	}
	pthread_mutex_unlock(&s->lock);
	return entered;
}

static void
serve(struct http_server *s, struct listener *l, int fd)
{
	AUTO(fd_closep) int owned = fd;
	AUTO(peer_done) struct peer peer = { .pidfd = -1 };
	struct err err = { 0 };
	struct conn *c;

	if (peer_of(fd, s->config.want_pidfd, &peer, &err)) {
		log_info("connection closed: %s", err.text);
		return;
	}
	c = conn_new(s, l, fd, &peer);
	if (!c)
		return;
	if (!conn_enter(s, c)) {
		log_info("Max simultaneous connections reached for user %u", (unsigned)c->peer.uid);
		peer_done(&c->peer);
		free(c);
		return;
	}
	/* libmicrohttpd closes the descriptor in any case */
	if (!server_mhd_add(s, c, fd_take(&owned))) {
		pthread_mutex_lock(&s->lock);
		conn_leave(c);
		pthread_mutex_unlock(&s->lock);
		conn_put(c);
	}
}

/* No descriptor is left: the reserve makes room to take the next connection from the queue and close it. */
static void
shed(struct http_server *s, int listen_fd)
{
	int fd;

	fd_closep(&s->reserve);
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	fd_closep(&fd);
	s->reserve = fcntl(s->wake, F_DUPFD_CLOEXEC, 0);
	if (s->reserve < 0)
		usleep(10 * 1000); /* another thread took it: do not spin */
}

static void
accept_one(struct http_server *s, struct listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		serve(s, l, fd);
		return;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
		log_warn("out of file descriptors: connection closed");
		shed(s, l->fd);
		break;
	case ENOMEM:
	case ENOBUFS:
		usleep(10 * 1000);
		break;
	default: /* gone already */
		break;
	}
}

static struct listener *
find_listener(struct http_server *s, unsigned id)
{
	struct listener *l = s->listeners;

	while (l && (l->id != id || l->closed))
		l = l->next;
	return l;
}

static void
on_listener(struct http_server *s, unsigned id)
{
	struct listener *l, *last;

	pthread_mutex_lock(&s->lock);
	l = find_listener(s, id);
	if (l) {
		l->accepting = true;
		l->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!l)
		return;
	accept_one(s, l);
	pthread_mutex_lock(&s->lock);
	l->accepting = false;
	if (l->closed)
		fd_closep(&l->fd);
	last = listener_put(s, l);
	pthread_mutex_unlock(&s->lock);
	listener_finish(last);
}

/* A streamed answer's client hung up while there was nothing to send it. */
static void
on_hang_up(struct http_server *s, uint64_t id)
{
	pthread_mutex_lock(&s->lock);
	for (struct conn *c = s->conns; c; c = c->next)
		if (c->id == id && c->stream)
			stream_abandon(c->stream);
	pthread_mutex_unlock(&s->lock);
}

void
server_watch_hang_up(struct http_server *s, struct conn *c)
{
	struct epoll_event event = { .events = EPOLLONESHOT, .data.u64 = EVENT_CONN | c->id };

	/* gone with the descriptor; without it a client's going is seen at the next write */
	(void)!epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &event);
}

void *
server_accept_main(void *server)
{
	struct http_server *s = server;

	while (!atomic_load(&s->stopping)) {
		struct epoll_event events[16];
		int n = epoll_wait(s->epoll, events, (int)ARRAY_LEN(events), -1);

		for (int i = 0; i < n && !atomic_load(&s->stopping); i++) {
			uint64_t about = events[i].data.u64;

			if (about & EVENT_CONN)
				on_hang_up(s, about & ~EVENT_CONN);
			else if (about)
				on_listener(s, (unsigned)about);
		}
	}
	return NULL;
}

/* ---- listeners ---- */

enum err_code
http_server_listen(
    struct http_server *s, int fd, unsigned per_uid, void *tag, unsigned *ret_id, struct err *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct epoll_event event = { .events = EPOLLIN };
	int flags = fcntl(fd, F_GETFL);

	if (!l)
		return err_nomem(err);
	*l = (struct listener){ .fd = fd, .per_uid = per_uid, .tag = tag };
	pthread_mutex_lock(&s->lock);
	l->id = ++s->last_listener;
	event.data.u64 = l->id;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) {
		err_errno(err, "could not serve a listening socket");
		pthread_mutex_unlock(&s->lock);
		free(l);
		return err->code;
	}
	l->next = s->listeners;
	s->listeners = l;
	*ret_id = l->id;
	pthread_mutex_unlock(&s->lock);
	return ERR_OK;
}

void
http_server_unlisten(struct http_server *s, unsigned id, void (*done)(void *tag))
{
	struct listener *l, *last = NULL;

	pthread_mutex_lock(&s->lock);
	l = find_listener(s, id);
	if (l) {
		epoll_ctl(s->epoll, EPOLL_CTL_DEL, l->fd, NULL);
		l->closed = true;
		l->done = done;
		if (!l->accepting)
			fd_closep(&l->fd);
		l->refs++;
		last = listener_put(s, l);
	}
	pthread_mutex_unlock(&s->lock);
	listener_finish(last);
}

void
server_listeners_free(struct http_server *s)
{
	while (s->listeners) {
		struct listener *l = s->listeners;

		s->listeners = l->next;
		fd_closep(&l->fd);
		listener_release(l);
	}
}
