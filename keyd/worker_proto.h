#ifndef KEYD_WORKER_PROTO_H
#define KEYD_WORKER_PROTO_H

#include "base/mem.h"

/*
 * What keyd and one of its key workers say to each other, over connected stream sockets: one question at a time on each, and
 * then its answer.  Both ends are in worker_proto.c, and one table there says what a question of each kind may carry.
 *
 * The worker is hostile to keyd, for a vendor's library lives in it; keyd is not to the worker, which checks all the same.  Every
 * length is bounded by that table before anything is allocated for it.  What is carried may be key material: it is read to where
 * it stays, and every buffer here is wiped.
 */
enum worker_op {
	WORKER_HELLO, /* on the control socket: the store's name; the answer comes when the worker serves */
	WORKER_EXISTS,
	WORKER_FIND,
	WORKER_CREATE_KEY,
	WORKER_CREATE_PAIR,
	WORKER_IMPORT,
	WORKER_MOVE,
	WORKER_REMOVE,
	WORKER_CHECK,
	WORKER_PARAMETER,
	WORKER_SIGN,
	WORKER_ENCRYPT,
	WORKER_DECRYPT,
	WORKER_DERIVE,
	WORKER_OPS
};

#define WORKER_ID_MAX 1024 /* bytes of a key's id: HANDLE_ID_MAX */
#define WORKER_DATA_MAX \
	(1024 * 1024) /* bytes of a message, a text, an IV: those of a request's body */
#define WORKER_VALUE_MAX (WORKER_DATA_MAX + 4096) /* bytes of an answer */

#define WORKER_PARTS 4

/* A question.  The parts are borrowed; those that are strings end with a NUL, which len does not count. */
struct worker_question {
	enum worker_op op;
	/* HELLO: how many channels; CREATE_KEY, IMPORT: enum keyd_usage bits; else enum key_algorithm, key_kind, key_parameter, keyd_mech, keyd_cipher */
	unsigned arg;
	struct text
	    part[WORKER_PARTS]; /* id (HELLO: name); then to; or value, data, text; then iv, aad */
};

/* The answer to a question: what the backend said, one or the other. */
struct worker_answer {
	struct err error;   /* code ERR_OK: none */
	struct bytes value; /* EXISTS: one byte, 0 or 1; empty where there is nothing to give */
	bool last; /* the worker has grown too large, and would like to be followed by another */
};

void worker_answer_done(struct worker_answer *a); /* for AUTO() */

/* keyd's end of one socket. */
struct worker_channel {
	int fd;
	unsigned deadline_ms; /* of a question and its answer */
	uint32_t seq;	      /* of the last question */
};

/* fd stays the caller's. */
enum err_code worker_channel_init(
    struct worker_channel *c, int fd, unsigned deadline_ms, struct err *err) MUST_CHECK;
/*
 * Ask and wait.  An error here is about the worker and the channel is of no use afterwards: ERR_TIMEOUT (up to twice the deadline
 * where it gives its answer away one octet at a time), ERR_UNREACHABLE: it is gone, ERR_PROTOCOL: it said something odd, ERR_NOMEM.
 * But for ERR_INVALID: the question is beyond the bounds, and nothing was sent.
 * In the answer: no code that a backend may not give, a value of a length that fits the question, text that is printable.
 */
enum err_code worker_ask(struct worker_channel *c, const struct worker_question *q,
    struct worker_answer *ret, struct err *err) MUST_CHECK;

/* The worker's end.  A question as it was received; it borrows from memory. */
struct worker_received {
	struct worker_question q;
	uint32_t seq;
	struct bytes memory;
};

void worker_received_done(struct worker_received *r); /* for AUTO() */

/* Wait for the next question.  ERR_UNREACHABLE: keyd has closed the socket; ERR_PROTOCOL, ERR_NOMEM. */
enum err_code worker_receive(int fd, struct worker_received *ret, struct err *err) MUST_CHECK;
/* Answer it.  ERR_UNREACHABLE: keyd is gone. */
enum err_code worker_reply(int fd, const struct worker_received *r, const struct worker_answer *a,
    struct err *err) MUST_CHECK;

#endif
