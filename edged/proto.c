#include "edged/proto.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "platform/pool.h"

#define SEND_MS	    5000
#define AT_ONCE	    16
#define LIST_MS	    65000
#define QUESTION_MS 10000

enum kind {
	PROTO_LISTENER_ADD = 1,
	PROTO_LISTENER_DROP,
	PROTO_MODULES_LIST,
	PROTO_DIAL,
	PROTO_CONTAINER_OF,
	PROTO_ANSWER,
	KINDS
};

/* Machine byte order and layout: both ends are the same program on the same machine. */
struct header {
	uint8_t kind;
	uint8_t code; /* PROTO_ANSWER: enum err_code */
	uint8_t more; /* PROTO_ANSWER: further frames of the same answer follow */
	uint8_t zero;
	uint16_t status; /* PROTO_ANSWER: err.status */
	uint16_t zero2;
	uint32_t seq;
	uint32_t len; /* bytes behind the header */
};

#define BODY_MAX (PROTO_FRAME_MAX - sizeof(struct header))

struct frame {
	struct header head;
	char body[BODY_MAX];
};

/* What a frame of each kind may look like, and which end may send it. */
static const struct {
	bool from_child;
	size_t min, max;
} frames[KINDS] = {
	/* 64 hex digits or as many blanks, then the module */
	[PROTO_LISTENER_ADD] = { false, PROTO_CONTAINER_ID, PROTO_CONTAINER_ID + PROTO_MODULE_MAX },
	[PROTO_LISTENER_DROP] = { false, 0, PROTO_MODULE_MAX },
	[PROTO_MODULES_LIST] = { true, 0, 0 },
	[PROTO_DIAL] = { true, 1, 1 },
	[PROTO_CONTAINER_OF] = { true, 1, PROTO_MODULE_MAX },
	[PROTO_ANSWER] = { false, 0, BODY_MAX },
};

/* --- frames */

/* One end of the pair: sends are whole frames, one after the other. */
struct end {
	int fd;
	pthread_mutex_t sending;
};

static void
end_init(struct end *e, int fd)
{
	e->fd = fd;
	pthread_mutex_init(&e->sending, NULL);
}

static void
end_done(struct end *e)
{
	fd_closep(&e->fd);
	pthread_mutex_destroy(&e->sending);
}

static bool
frame_valid(const struct frame *f, size_t received, bool from_child)
{
	if (received < sizeof(f->head) || f->head.kind == 0 || f->head.kind >= KINDS)
		return false;
	return frames[f->head.kind].from_child == from_child && f->head.zero == 0 &&
	       f->head.zero2 == 0 && f->head.len == received - sizeof(f->head) &&
	       f->head.len >= frames[f->head.kind].min && f->head.len <= frames[f->head.kind].max &&
	       f->head.code < ERR_CODES &&
	       (f->head.kind == PROTO_ANSWER || memchr(f->body, '\0', f->head.len) == NULL ||
		   f->head.kind == PROTO_DIAL);
}

static ssize_t
send_within(int fd, const struct msghdr *msg, uint64_t deadline)
{
	for (;;) {
		ssize_t n = sendmsg(fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n >= 0 || (errno != EAGAIN && errno != EINTR && errno != ENOBUFS))
			return n;
		if (clock_left_ms(deadline) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		poll(&p, 1, clock_left_ms(deadline));
	}
}

/* Send one frame, with a descriptor where pass is not negative. */
static enum err_code
end_send(struct end *e, const struct header *head, const void *body, int pass, struct err *err)
{
	struct header h = *head;
	struct iovec parts[2] = { { &h, sizeof(h) }, { (void *)(uintptr_t)body, head->len } };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = head->len ? 2 : 1 };
	ssize_t n;
	int number;

	if (pass >= 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &pass, sizeof(int));
	}
	pthread_mutex_lock(&e->sending);
	n = send_within(e->fd, &msg, clock_mono_ms() + SEND_MS);
	number = errno;
	pthread_mutex_unlock(&e->sending);
	errno = number;
	if (n >= 0)
		return ERR_OK;
	if (number == ETIMEDOUT) {
		shutdown(e->fd, SHUT_RDWR);
		return err_set(err, ERR_TIMEOUT, "the other process does not read");
	}
	return err_set(err, ERR_UNREACHABLE, "the other process is gone");
}

/*
 * Receive one frame.  take NULL: descriptors are not accepted (the kernel drops them).  ERR_UNREACHABLE: the other end is gone.
 */
static enum err_code
end_receive(struct end *e, bool from_child, struct frame *f, int *take, struct err *err)
{
	struct iovec part = { f, sizeof(*f) };
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (take) {
		*take = -1;
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
	}
	do
		n = recvmsg(e->fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(err, ERR_UNREACHABLE, "the other process is gone");
	c = take ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(take, CMSG_DATA(c), sizeof(int));
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || !frame_valid(f, (size_t)n, from_child)) {
		if (take)
			fd_closep(take);
		return err_set(err, ERR_PROTOCOL, "the other process sent an odd frame");
	}
	return ERR_OK;
}

/* --- edged's end */

struct proto_server {
	struct end end;
	const struct proto_answers *answers;
	void *ctx;
	struct pool *pool;
	pthread_mutex_t lock;
	pthread_cond_t fewer;
	unsigned in_work;
};

struct question {
	struct proto_server *server;
	struct header head;
	char body[PROTO_MODULE_MAX + 1];
};

enum err_code
proto_server_new(int fd, const struct proto_answers *answers, void *ctx, struct pool *pool,
    struct proto_server **ret, struct err *err)
{
	struct proto_server *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem(err);
	end_init(&s->end, fd);
	s->answers = answers;
	s->ctx = ctx;
	s->pool = pool;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->fewer, NULL);
	*ret = s;
	return ERR_OK;
}

void
proto_server_shut(struct proto_server *s)
{
	shutdown(s->end.fd, SHUT_RDWR);
}

void
proto_server_free(struct proto_server *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	while (s->in_work > 0)
		pthread_cond_wait(&s->fewer, &s->lock);
	pthread_mutex_unlock(&s->lock);
	end_done(&s->end);
	pthread_cond_destroy(&s->fewer);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* An answer in as many frames as it takes; a failure to send ends with the connection, so it is nobody's to handle. */
static void
answer_text(
    struct proto_server *s, uint32_t seq, const struct err *failed, const char *text, size_t len)
{
	struct err ignored = { 0 };

	do {
		size_t n = len < BODY_MAX ? len : BODY_MAX;
		struct header head = { .kind = PROTO_ANSWER,
			.code = (uint8_t)(failed ? failed->code : ERR_OK),
			.status = failed ? failed->status : 0,
			.more = n < len,
			.seq = seq,
			.len = (uint32_t)n };

		if (end_send(&s->end, &head, text, -1, &ignored))
			return;
		text += n;
		len -= n;
	} while (len > 0);
}

static void
answer_error(struct proto_server *s, uint32_t seq, const struct err *failed)
{
	answer_text(s, seq, failed, failed->text, strlen(failed->text));
}

static void
answer_list(struct question *q, struct err *err)
{
	AUTO(str_freep) char *json = NULL;

	if (q->server->answers->modules_list(q->server->ctx, &json, err) == ERR_OK &&
	    strlen(json) > PROTO_LIST_MAX)
		err_set(err, ERR_INTERNAL, "the list of modules is too long");
	if (!err->code)
		answer_text(q->server, q->head.seq, NULL, json, strlen(json));
}

static void
answer_dial(struct question *q, struct err *err)
{
	struct header head = { .kind = PROTO_ANSWER, .seq = q->head.seq };
	AUTO(fd_closep) int fd = -1;
	unsigned peer = (unsigned char)q->body[0];

	if (peer >= PROTO_PEERS)
		err_set(err, ERR_INVALID, "no such peer");
	else if (q->server->answers->dial(q->server->ctx, (enum proto_peer)peer, &fd, err) ==
		 ERR_OK) {
		struct err ignored = { 0 };

		if (end_send(&q->server->end, &head, "", fd, &ignored))
			return; /* the connection is gone, and with it who asked */
	}
}

static void
answer_container(struct question *q, struct err *err)
{
	char id[PROTO_CONTAINER_ID + 1];

	if (q->server->answers->container_of(q->server->ctx, q->body, id, err) == ERR_OK)
		answer_text(q->server, q->head.seq, NULL, id, strlen(id));
}

static void
run_question(void *job)
{
	struct question *q = job;
	struct proto_server *s = q->server;
	struct err err = { 0 };

	if (q->head.kind == PROTO_MODULES_LIST)
		answer_list(q, &err);
	else if (q->head.kind == PROTO_DIAL)
		answer_dial(q, &err);
	else
		answer_container(q, &err);
	if (err.code)
		answer_error(s, q->head.seq, &err);
	free(q);
	pthread_mutex_lock(&s->lock);
	s->in_work--;
	pthread_cond_signal(&s->fewer);
	pthread_mutex_unlock(&s->lock);
}

/* Wait for a place: a child that asks more than AT_ONCE questions is read no further until one is answered. */
static void
take_place(struct proto_server *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->in_work >= AT_ONCE)
		pthread_cond_wait(&s->fewer, &s->lock);
	s->in_work++;
	pthread_mutex_unlock(&s->lock);
}

static void
give_place(struct proto_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->in_work--;
	pthread_cond_signal(&s->fewer);
	pthread_mutex_unlock(&s->lock);
}

static void
hand_on(struct proto_server *s, const struct frame *f)
{
	struct question *q = calloc(1, sizeof(*q));
	struct err err = { 0 };

	take_place(s);
	if (q) {
		q->server = s;
		q->head = f->head;
		memcpy(q->body, f->body, f->head.len);
		if (pool_submit(s->pool, 0, run_question, q, &err) == ERR_OK)
			return;
		free(q);
	} else
		err_nomem(&err);
	answer_error(s, f->head.seq, &err);
	give_place(s);
}

enum err_code
proto_server_run(struct proto_server *s, struct err *err)
{
	struct frame *f = malloc(sizeof(*f));

	if (!f)
		return err_nomem(err);
	while (end_receive(&s->end, true, f, NULL, err) == ERR_OK)
		hand_on(s, f);
	free(f);
	proto_server_shut(s);
	return err->code;
}

enum err_code
proto_listener_add(
    struct proto_server *s, const char *module, const char *container_id, int fd, struct err *err)
{
	char body[PROTO_CONTAINER_ID + PROTO_MODULE_MAX];
	struct header head = { .kind = PROTO_LISTENER_ADD };
	size_t module_len = strlen(module), id_len = strlen(container_id);

	if (module_len > PROTO_MODULE_MAX || (id_len != 0 && id_len != PROTO_CONTAINER_ID))
		return err_set(err, ERR_INVALID, "no name for a listener");
	memset(body, ' ', PROTO_CONTAINER_ID);
	memcpy(body, container_id, id_len);
	memcpy(body + PROTO_CONTAINER_ID, module, module_len);
	head.len = (uint32_t)(PROTO_CONTAINER_ID + module_len);
	return end_send(&s->end, &head, body, fd, err);
}

enum err_code
proto_listener_drop(struct proto_server *s, const char *module, struct err *err)
{
	struct header head = { .kind = PROTO_LISTENER_DROP, .len = (uint32_t)strlen(module) };

	if (head.len > PROTO_MODULE_MAX)
		return err_set(err, ERR_INVALID, "no name for a listener");
	return end_send(&s->end, &head, module, -1, err);
}

/* --- the child's end */

/* A question under way; on the asker's stack, linked while it waits. */
struct asked {
	uint32_t seq;
	bool answered;
	struct buf text;
	int fd;
	struct err err;
	struct asked *next;
};

struct proto_client {
	struct end end;
	const struct proto_events *events;
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct asked *waiting;
	uint32_t seq;
	bool gone;
};

enum err_code
proto_client_new(int fd, const struct proto_events *events, void *ctx, struct proto_client **ret,
    struct err *err)
{
	struct proto_client *c = calloc(1, sizeof(*c));

	if (!c)
		return err_nomem(err);
	end_init(&c->end, fd);
	c->events = events;
	c->ctx = ctx;
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	*ret = c;
	return ERR_OK;
}

void
proto_client_shut(struct proto_client *c)
{
	shutdown(c->end.fd, SHUT_RDWR);
}

void
proto_client_free(struct proto_client *c)
{
	if (!c)
		return;
	end_done(&c->end);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Give an answer, or a part of one, to who asked; an answer that nobody waits for any more is dropped. */
static void
take_answer(struct proto_client *c, const struct frame *f, int *fd)
{
	struct asked *a;

	pthread_mutex_lock(&c->lock);
	for (a = c->waiting; a && a->seq != f->head.seq; a = a->next)
		;
	if (a && !a->answered) {
		if (f->head.code) {
			err_set(&a->err, (enum err_code)f->head.code, "%.*s", (int)f->head.len,
			    f->body);
			a->err.status = f->head.status;
		} else
			buf_add(&a->text, f->body, f->head.len);
		a->fd = fd_take(fd);
		a->answered = !f->head.more;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

static void
take_listener(struct proto_client *c, const struct frame *f, int *fd)
{
	char id[PROTO_CONTAINER_ID + 1], module[PROTO_MODULE_MAX + 1];
	size_t len = f->head.len - PROTO_CONTAINER_ID;

	memcpy(id, f->body, PROTO_CONTAINER_ID);
	id[id[0] == ' ' ? 0 : PROTO_CONTAINER_ID] = '\0';
	memcpy(module, f->body + PROTO_CONTAINER_ID, len);
	module[len] = '\0';
	if (*fd >= 0)
		c->events->listener_add(c->ctx, module, id, fd_take(fd));
}

static void
drop_listener(struct proto_client *c, const struct frame *f)
{
	char module[PROTO_MODULE_MAX + 1];

	memcpy(module, f->body, f->head.len);
	module[f->head.len] = '\0';
	c->events->listener_drop(c->ctx, module);
}

enum err_code
proto_client_run(struct proto_client *c, struct err *err)
{
	struct frame *f = malloc(sizeof(*f));
	int fd = -1;

	if (!f)
		return err_nomem(err);
	while (end_receive(&c->end, false, f, &fd, err) == ERR_OK) {
		if (f->head.kind == PROTO_ANSWER)
			take_answer(c, f, &fd);
		else if (f->head.kind == PROTO_LISTENER_ADD)
			take_listener(c, f, &fd);
		else
			drop_listener(c, f);
		fd_closep(&fd);
	}
	free(f);
	pthread_mutex_lock(&c->lock);
	c->gone = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	c->events->gone(c->ctx);
	return err->code;
}

static void
link_asked(struct proto_client *c, struct asked *a)
{
	pthread_mutex_lock(&c->lock);
	a->seq = ++c->seq;
	a->next = c->waiting;
	c->waiting = a;
	pthread_mutex_unlock(&c->lock);
}

/* Wait for the answer and take the question off the list, answered or not. */
static void
await(struct proto_client *c, struct asked *a, uint64_t deadline)
{
	struct asked **link;

	pthread_mutex_lock(&c->lock);
	while (!a->answered && !c->gone && !a->err.code &&
	       clock_cond_wait(&c->changed, &c->lock, deadline))
		;
	for (link = &c->waiting; *link != a; link = &(*link)->next)
		;
	*link = a->next;
	pthread_mutex_unlock(&c->lock);
}

/* Ask one question.  On success the answer is in *a, the caller's to release. */
static enum err_code
ask(struct proto_client *c, enum kind kind, const char *body, size_t len, unsigned timeout_ms,
    struct asked *a, struct err *err)
{
	struct header head = { .kind = (uint8_t)kind, .len = (uint32_t)len };

	*a = (struct asked){ .fd = -1, .text.max = PROTO_LIST_MAX };
	link_asked(c, a);
	head.seq = a->seq;
	if (end_send(&c->end, &head, body, -1, &a->err) == ERR_OK)
		await(c, a, clock_mono_ms() + timeout_ms);
	else
		await(c, a, 0);
	if (a->err.code)
		*err = a->err;
	else if (!a->answered && c->gone)
		err_set(err, ERR_UNREACHABLE, "edged is gone");
	else if (!a->answered)
		err_set(err, ERR_TIMEOUT, "edged did not answer in time");
	else
		return ERR_OK;
	fd_closep(&a->fd);
	buf_done(&a->text);
	return err->code;
}

enum err_code
proto_modules_list(struct proto_client *c, char **ret_json, struct err *err)
{
	struct asked a;
	enum err_code code;

	if (ask(c, PROTO_MODULES_LIST, "", 0, LIST_MS, &a, err))
		return err->code;
	code = buf_take_string(&a.text, ret_json, err);
	fd_closep(&a.fd);
	return code;
}

enum err_code
proto_dial(struct proto_client *c, enum proto_peer peer, int *ret_fd, struct err *err)
{
	char which = (char)peer;
	struct asked a;

	if (ask(c, PROTO_DIAL, &which, 1, QUESTION_MS, &a, err))
		return err->code;
	buf_done(&a.text);
	if (a.fd < 0)
		return err_set(err, ERR_PROTOCOL, "edged sent no socket");
	*ret_fd = a.fd;
	return ERR_OK;
}

enum err_code
proto_container_of(struct proto_client *c, const char *module, char ret_id[PROTO_CONTAINER_ID + 1],
    struct err *err)
{
	size_t len = strlen(module);
	struct asked a;
	bool whole;

	if (len == 0 || len > PROTO_MODULE_MAX)
		return err_set(err, ERR_NOT_FOUND, "no such module");
	if (ask(c, PROTO_CONTAINER_OF, module, len, QUESTION_MS, &a, err))
		return err->code;
	whole = a.text.len == PROTO_CONTAINER_ID;
	if (whole) {
		memcpy(ret_id, a.text.data, PROTO_CONTAINER_ID);
		ret_id[PROTO_CONTAINER_ID] = '\0';
	}
	fd_closep(&a.fd);
	buf_done(&a.text);
	return whole ? ERR_OK : err_set(err, ERR_PROTOCOL, "edged sent no container id");
}
