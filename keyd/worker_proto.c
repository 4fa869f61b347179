#include "keyd/worker_proto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "keyd/backend.h"
#include "keyd/worker.h"

/* Machine byte order and layout: both ends are the same program on the same machine. */
struct question_head {
	uint32_t op;
	uint32_t arg;
	uint32_t seq;
	uint32_t len[WORKER_PARTS]; /* of each part, a string's NUL included */
};

struct answer_head {
	uint32_t seq;  /* the question's */
	uint32_t code; /* enum err_code */
	uint16_t status;
	uint16_t last; /* 0 or 1 */
	uint32_t len;  /* of the value, or of the error's text */
};

/* How a part may look.  The empty rule: there is none. */
struct part_rule {
	bool string; /* no NUL within */
	uint32_t max;
};

#define ID                          \
	{                           \
		true, WORKER_ID_MAX \
	}
#define DATA                           \
	{                              \
		false, WORKER_DATA_MAX \
	}

/* What a question of each kind carries, and how long its answer may be. */
static const struct {
	uint32_t args;		  /* arg is below this one; */
	const char *const *names; /* or has one of these names */
	struct part_rule part[WORKER_PARTS];
	uint32_t value_min, value_max;
} rules[WORKER_OPS] = {
	[WORKER_HELLO] = { WORKER_CHANNELS_MAX + 1, NULL, { ID } },
	[WORKER_EXISTS] = { 1, NULL, { ID }, 1, 1 },
	[WORKER_FIND] = { 1, NULL, { ID } },
	[WORKER_CREATE_KEY] = { 8, NULL, { ID } },
	[WORKER_CREATE_PAIR] = { KEY_ALGORITHMS, NULL, { ID } },
	[WORKER_IMPORT] = { 8, NULL, { ID, { false, BACKEND_KEY_MAX } } },
	[WORKER_MOVE] = { 1, NULL, { ID, ID } },
	[WORKER_REMOVE] = { 1, NULL, { ID } },
	[WORKER_CHECK] = { KEY_PAIR + 1, NULL, { ID } },
	[WORKER_PARAMETER] = { KEY_PARAMS, NULL, { ID }, 1, 4096 },
	[WORKER_SIGN] = { 0, keyd_mech_names, { ID, DATA }, 1, 4096 },
	[WORKER_ENCRYPT] = { 0, keyd_cipher_names, { ID, DATA, DATA, DATA }, 1, WORKER_VALUE_MAX },
	[WORKER_DECRYPT] = { 0, keyd_cipher_names, { ID, DATA, DATA, DATA }, 0, WORKER_VALUE_MAX },
	[WORKER_DERIVE] = { 1, NULL, { ID, DATA }, 32, 32 },
};

static bool
arg_fits(enum worker_op op, uint32_t arg)
{
	if (!rules[op].names)
		return arg < rules[op].args;
	for (uint32_t i = 0; rules[op].names[i]; i++)
		if (i == arg)
			return true;
	return false;
}

/* len counts a string's NUL. */
static bool
len_fits(const struct part_rule *rule, uint32_t len)
{
	return rule->string ? len >= 1 && len <= rule->max + 1 : len <= rule->max;
}

/* --- octets over a socket, which itself knows how long a single wait may be: worker_channel_init */

#define NEVER UINT64_MAX
#define AHEAD 512 /* octets behind a head that are read with it: most frames whole */

static enum err_code
gone(struct err *err)
{
	return err_set(err, ERR_UNREACHABLE, "the other process is gone");
}

static enum err_code
late(struct err *err)
{
	return err_set(err, ERR_TIMEOUT, "the other process does not answer");
}

static enum err_code
odd(struct err *err)
{
	return err_set(err, ERR_PROTOCOL, "the other process sent an odd frame");
}

/* What a call that gave n and errno means: go on (ERR_OK), or not.  The clock is for who sends one octet at a time. */
static enum err_code
judge(ssize_t n, uint64_t deadline_ms, struct err *err)
{
	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return late(err);
	if (n == 0 || (n < 0 && errno != EINTR))
		return gone(err);
	return deadline_ms == NEVER || clock_left_ms(deadline_ms) > 0 ? ERR_OK : late(err);
}

static enum err_code
get(int fd, void *data, size_t len, uint64_t deadline_ms, struct err *err)
{
	uint8_t *at = data;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if ((size_t)n == len)
			return ERR_OK;
		if (judge(n, deadline_ms, err))
			return err->code;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return ERR_OK;
}

/* A frame as it is read. */
struct reader {
	int fd;
	uint64_t deadline_ms;
	size_t n; /* octets of what is ahead */
	uint8_t ahead[AHEAD];
};

static void
reader_done(struct reader *r)
{
	mem_wipe(r->ahead, r->n);
}

static enum err_code
get_head(struct reader *r, void *head, size_t len, struct err *err)
{
	struct iovec iov[] = { { head, len }, { r->ahead, AHEAD } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov) };
	ssize_t n;

	do
		n = recvmsg(r->fd, &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return judge(n, r->deadline_ms, err);
	if ((size_t)n < len)
		return get(r->fd, (uint8_t *)head + n, len - (size_t)n, r->deadline_ms, err);
	r->n = (size_t)n - len;
	return ERR_OK;
}

/* What belongs to the head; there is nothing behind it, for each waits for the other. */
static enum err_code
get_rest(struct reader *r, void *data, size_t len, struct err *err)
{
	if (r->n > len)
		return odd(err);
	if (r->n > 0)
		memcpy(data, r->ahead, r->n);
	return get(r->fd, (uint8_t *)data + r->n, len - r->n, r->deadline_ms, err);
}

/* Drop the first n octets of what is still to be sent. */
static void
advance(struct msghdr *msg, size_t n)
{
	while (msg->msg_iovlen > 0 && n >= msg->msg_iov->iov_len) {
		n -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (msg->msg_iovlen > 0) {
		msg->msg_iov->iov_base = (uint8_t *)msg->msg_iov->iov_base + n;
		msg->msg_iov->iov_len -= n;
	}
}

static enum err_code
put(int fd, struct iovec *iov, size_t n_iov, uint64_t deadline_ms, struct err *err)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n_iov };

	for (;;) {
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		advance(&msg, n > 0 ? (size_t)n : 0);
		if (msg.msg_iovlen == 0)
			return ERR_OK;
		if (judge(n, deadline_ms, err))
			return err->code;
	}
}

/* --- keyd's end */

void
worker_answer_done(struct worker_answer *a)
{
	bytes_done(&a->value);
	*a = (struct worker_answer){ 0 };
}

static enum err_code
send_question(const struct worker_channel *c, const struct worker_question *q, uint64_t deadline_ms,
    struct err *err)
{
	struct question_head head = { .op = q->op, .arg = q->arg, .seq = c->seq };
	struct iovec iov[1 + WORKER_PARTS] = { { &head, sizeof(head) } };

	if (!arg_fits(q->op, q->arg))
		return err_set(err, ERR_INVALID, "a question's argument is beyond its bounds");
	for (size_t i = 0; i < WORKER_PARTS; i++) {
		const struct part_rule *rule = &rules[q->op].part[i];
		size_t len = q->part[i].len + rule->string;

		if (q->part[i].len > rule->max || !len_fits(rule, (uint32_t)len))
			return err_set(err, ERR_INVALID, "a key's id or data is too long");
		head.len[i] = (uint32_t)len;
		iov[1 + i] = (struct iovec){ (void *)(uintptr_t)q->part[i].data, len };
	}
	return put(c->fd, iov, ARRAY_LEN(iov), deadline_ms, err);
}

/* What a backend may end with.  Who may do what is keyd's own to say, and ERR_WOULD_BLOCK is no answer to who could wait. */
static bool
is_backend_error(uint32_t code)
{
	return code != ERR_OK && code < ERR_CODES && code != ERR_WOULD_BLOCK && code != ERR_DENIED;
}

/* The text comes from a vendor's library: no controls, and line ends only where err.h has them. */
static void
make_printable(char *text)
{
	static const char cause[] = "\ncaused by: ";

	for (char *at = text; *at; at++) {
		if (strncmp(at, cause, sizeof(cause) - 1) == 0)
			at += sizeof(cause) - 2;
		else if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '?';
	}
}

static enum err_code
read_error(struct reader *r, const struct answer_head *head, struct err *ret, struct err *err)
{
	if (head->len >= sizeof(ret->text))
		return odd(err);
	if (get_rest(r, ret->text, head->len, err))
		return err->code;
	ret->text[head->len] = '\0';
	make_printable(ret->text);
	ret->code = (enum err_code)head->code;
	ret->status = head->status;
	return ERR_OK;
}

static enum err_code
read_value(struct reader *r, enum worker_op op, const struct answer_head *head, struct bytes *ret,
    struct err *err)
{
	AUTO(bytes_done) struct bytes value = { 0 };

	if (head->len < rules[op].value_min || head->len > rules[op].value_max)
		return odd(err);
	if (bytes_alloc(&value, head->len, err) || get_rest(r, value.data, head->len, err))
		return err->code;
	if (op == WORKER_EXISTS && value.data[0] > 1)
		return odd(err);
	*ret = bytes_take(&value);
	return ERR_OK;
}

static enum err_code
read_answer(const struct worker_channel *c, enum worker_op op, uint64_t deadline_ms,
    struct worker_answer *ret, struct err *err)
{
	AUTO(reader_done) struct reader r = { .fd = c->fd, .deadline_ms = deadline_ms, .n = 0 };
	struct answer_head head;

	if (get_head(&r, &head, sizeof(head), err))
		return err->code;
	if (head.seq != c->seq || head.last > 1)
		return odd(err);
	ret->last = head.last;
	if (head.code == ERR_OK && head.status == 0)
		return read_value(&r, op, &head, &ret->value, err);
	if (!is_backend_error(head.code))
		return odd(err);
	return read_error(&r, &head, &ret->error, err);
}

enum err_code
worker_channel_init(struct worker_channel *c, int fd, unsigned deadline_ms, struct err *err)
{
	const struct timeval wait = { .tv_sec = deadline_ms / 1000,
		.tv_usec = (deadline_ms % 1000) * 1000 };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)))
		return err_errno(err, "could not set a socket's deadline");
	*c = (struct worker_channel){ .fd = fd, .deadline_ms = deadline_ms };
	return ERR_OK;
}

enum err_code
worker_ask(struct worker_channel *c, const struct worker_question *q, struct worker_answer *ret,
    struct err *err)
{
	AUTO(worker_answer_done) struct worker_answer answer = { 0 };
	uint64_t deadline_ms = clock_mono_ms() + c->deadline_ms;

	c->seq++;
	if (send_question(c, q, deadline_ms, err) ||
	    read_answer(c, q->op, deadline_ms, &answer, err))
		return err->code;
	*ret = answer;
	answer = (struct worker_answer){ 0 };
	return ERR_OK;
}

/* --- the worker's end */

void
worker_received_done(struct worker_received *r)
{
	bytes_done(&r->memory);
	*r = (struct worker_received){ 0 };
}

static enum err_code
check_head(const struct question_head *head, size_t *ret_len, struct err *err)
{
	*ret_len = 0;
	if (head->op >= WORKER_OPS || !arg_fits((enum worker_op)head->op, head->arg))
		return odd(err);
	for (size_t i = 0; i < WORKER_PARTS; i++) {
		if (!len_fits(&rules[head->op].part[i], head->len[i]))
			return odd(err);
		*ret_len += head->len[i];
	}
	return ERR_OK;
}

/* Point the parts into the memory that they were read to. */
static enum err_code
cut(const struct question_head *head, struct worker_received *r, struct err *err)
{
	const char *at = (const char *)r->memory.data;

	for (size_t i = 0; i < WORKER_PARTS; i++) {
		size_t len = head->len[i];

		if (rules[head->op].part[i].string) {
			if (memchr(at, '\0', len) != at + len - 1)
				return odd(err);
			r->q.part[i] = (struct text){ at, len - 1 };
		} else {
			r->q.part[i] = (struct text){ at, len };
		}
		at += len;
	}
	return ERR_OK;
}

enum err_code
worker_receive(int fd, struct worker_received *ret, struct err *err)
{
	AUTO(worker_received_done) struct worker_received r = { 0 };
	AUTO(reader_done) struct reader reader = { .fd = fd, .deadline_ms = NEVER, .n = 0 };
	struct question_head head;
	size_t len;

	if (get_head(&reader, &head, sizeof(head), err) || check_head(&head, &len, err) ||
	    bytes_alloc(&r.memory, len, err) || get_rest(&reader, r.memory.data, len, err) ||
	    cut(&head, &r, err))
		return err->code;
	r.q.op = (enum worker_op)head.op;
	r.q.arg = head.arg;
	r.seq = head.seq;
	*ret = r;
	r = (struct worker_received){ 0 };
	return ERR_OK;
}

enum err_code
worker_reply(
    int fd, const struct worker_received *r, const struct worker_answer *a, struct err *err)
{
	struct answer_head head = { .seq = r->seq, .code = a->error.code, .last = a->last };
	struct iovec iov[] = { { &head, sizeof(head) }, { a->value.data, a->value.len } };

	if (a->error.code) {
		head.status = a->error.status;
		iov[1] = (struct iovec){ (void *)(uintptr_t)a->error.text,
			strnlen(a->error.text, sizeof(a->error.text) - 1) };
	}
	head.len = (uint32_t)iov[1].iov_len;
	return put(fd, iov, ARRAY_LEN(iov), NEVER, err);
}
