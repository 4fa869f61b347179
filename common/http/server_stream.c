#include "http/server_private.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define STREAM_BYTES ((size_t)64 * 1024) /* between source and client */
#define PIECE	     ((size_t)16 * 1024)
#define SENDING	     (1U << PHASE_WRITING | 1U << PHASE_STREAM_WAIT)

/*
 * A streamed answer: one thread fills the buffer, the polling thread empties it.  Where it finds nothing it suspends the
 * connection, and the thread resumes it.  Held by the thread and by libmicrohttpd's response.
 */
struct stream {
	struct conn *conn;
	struct http_stream source;
	pthread_mutex_t
	    lock; /* guards the rest; server.lock may be held while it is taken, never the other way round */
	pthread_cond_t room;
	unsigned refs;
	bool chunked;	  /* else ended by the end of the connection (HTTP/1.0) */
	bool waiting;	  /* suspended for want of data */
	bool ended;	  /* the source has no more */
	bool failed;	  /* it broke, or the client is gone */
	bool gone;	  /* nobody wants the rest */
	bool source_done; /* done was called: no cancel any more */
	size_t len;
	char data[STREAM_BYTES];
};

static void
stream_put(struct stream *st)
{
	struct conn *c = st->conn;
	unsigned refs;

	pthread_mutex_lock(&st->lock);
	refs = --st->refs;
	pthread_mutex_unlock(&st->lock);
	if (refs)
		return;
	pthread_cond_destroy(&st->room);
	pthread_mutex_destroy(&st->lock);
	mem_wipe(st->data, sizeof(st->data));
	free(st);
	conn_put(c);
}

/* Under the lock. */
static void
wake_client(struct stream *st)
{
	if (!st->waiting)
		return;
	st->waiting = false;
	server_mhd_resume(st->conn);
}

/* Wait for room and put a piece there; false when nobody wants it any more. */
static bool
hand_over(struct stream *st, const char *piece, size_t len)
{
	bool wanted;

	pthread_mutex_lock(&st->lock);
	while (!st->gone && sizeof(st->data) - st->len < len)
		pthread_cond_wait(&st->room, &st->lock);
	wanted = !st->gone;
	if (wanted) {
		memcpy(st->data + st->len, piece, len);
		st->len += len;
		wake_client(st);
	}
	pthread_mutex_unlock(&st->lock);
	return wanted;
}

static void
finish_source(struct stream *st, bool failed)
{
	pthread_mutex_lock(&st->lock);
	st->source_done = true;
	st->ended = true;
	st->failed |= failed;
	wake_client(st);
	pthread_mutex_unlock(&st->lock);
	if (st->source.done)
		st->source.done(st->source.ctx);
}

static bool
take_turn(struct http_server *s)
{
	bool one_left;

	pthread_mutex_lock(&s->lock);
	one_left = s->n_streams < SERVER_STREAMS_MAX;
	s->n_streams += one_left;
	pthread_mutex_unlock(&s->lock);
	return one_left;
}

static void
give_turn_back(struct http_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->n_streams--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void *
stream_main(void *arg)
{
	struct stream *st = arg;
	struct http_server *s = st->conn->server;
	char piece[PIECE];
	ssize_t n;

	pool_set_may_block(true);
	do
		n = st->source.read(st->source.ctx, piece, sizeof(piece));
	while (n > 0 && hand_over(st, piece, (size_t)n));
	mem_wipe(piece, sizeof(piece));
	finish_source(st, n < 0);
	stream_put(st);
	give_turn_back(s);
	return NULL;
}

static bool
start_thread(struct stream *st)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = pthread_create(&thread, &attr, stream_main, st) == 0;
	pthread_attr_destroy(&attr);
	return started;
}

static struct stream *
stream_new(struct conn *c, const struct http_stream *source, bool chunked)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->conn = c;
	st->source = *source;
	st->chunked = chunked;
	st->refs = 2;
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->room, NULL);
	atomic_fetch_add(&c->refs, 1);
	return st;
}

struct stream *
stream_start(struct conn *c, const struct http_stream *source, bool chunked)
{
	struct http_server *s = c->server;
	bool turn = take_turn(s);
	struct stream *st = turn ? stream_new(c, source, chunked) : NULL;

	if (!st) {
		if (turn)
			give_turn_back(s);
		if (source->done)
			source->done(source->ctx);
		return NULL;
	}
	pthread_mutex_lock(&s->lock);
	c->stream = st;
	server_watch_hang_up(s, c);
	pthread_mutex_unlock(&s->lock);
	if (!start_thread(st)) {
		finish_source(st, true);
		stream_put(st);
		give_turn_back(s);
	}
	return st;
}

void
stream_abandon(struct stream *st)
{
	pthread_mutex_lock(&st->lock);
	if (!st->gone) {
		st->gone = true;
		st->failed = true;
		st->len = 0;
		if (!st->source_done && st->source.cancel)
			st->source.cancel(st->source.ctx);
		pthread_cond_signal(&st->room);
		wake_client(st);
	}
	pthread_mutex_unlock(&st->lock);
}

/*
 * End an answer that only the end of the connection ends, or that broke.  When libmicrohttpd 0.9.75 is told so in answer to
 * a resume it closes the connection in a step that nothing follows, and it stays open for ever; a write that fails it handles.
 */
static ssize_t
end_by_write(struct stream *st, char *out)
{
	shutdown(st->conn->fd, SHUT_RDWR);
	*out = '\0'; /* goes nowhere */
	return 1;
}

/* Nothing to send: suspend until there is, unless the connection has been cut. */
static ssize_t
wait_for_more(struct stream *st, char *out)
{
	if (!conn_move(st->conn, SENDING, PHASE_STREAM_WAIT, NEVER))
		return end_by_write(st, out);
	st->waiting = true;
	MHD_suspend_connection(st->conn->mhd);
	return 0;
}

static ssize_t
take_data(struct stream *st, char *out, size_t max)
{
	struct conn *c = st->conn;
	size_t n = st->len < max ? st->len : max;

	memcpy(out, st->data, n);
	st->len -= n;
	memmove(st->data, st->data + n, st->len);
	pthread_cond_signal(&st->room);
	(void)conn_move(c, SENDING, PHASE_WRITING, clock_mono_ms() + c->server->config.idle_ms);
	return (ssize_t)n;
}

/* libmicrohttpd wants at most max bytes. */
static ssize_t
feed(void *arg, uint64_t pos, char *out, size_t max)
{
	struct stream *st = arg;
	ssize_t n;

	(void)pos;
	pthread_mutex_lock(&st->lock);
	if (st->len)
		n = take_data(st, out, max);
	else if (!st->ended && !st->failed)
		n = wait_for_more(st, out);
	else if (st->failed || !st->chunked)
		n = end_by_write(st, out);
	else
		n = MHD_CONTENT_READER_END_OF_STREAM;
	pthread_mutex_unlock(&st->lock);
	return n;
}

static void
let_go(void *arg)
{
	struct stream *st = arg;
	struct conn *c = st->conn;

	pthread_mutex_lock(&c->server->lock);
	c->stream = NULL;
	stream_abandon(st);
	pthread_mutex_unlock(&c->server->lock);
	stream_put(st);
}

struct MHD_Response *
stream_response(struct stream *st)
{
	struct MHD_Response *made =
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, feed, st, let_go);

	if (!made)
		let_go(st);
	return made;
}
