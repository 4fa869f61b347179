#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/backend.h"
#include "keyd/worker_proto.h"

/* What goes over the wire, as worker_proto.c lays it out; written here once more so that it can be lied about. */
struct question_head {
	uint32_t op, arg, seq, len[WORKER_PARTS];
};

struct answer_head {
	uint32_t seq, code;
	uint16_t status, last;
	uint32_t len;
};

static void
pair_of(int pair[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

/* --- both ends together */

static const struct {
	enum worker_op op;
	unsigned arg;
	struct text part[WORKER_PARTS];
	const char *value; /* NULL: an error is answered */
} talks[] = {
	{ WORKER_HELLO, 4, { TEXT("token") }, "" },
	{ WORKER_EXISTS, 0, { TEXT("id") }, "\1" },
	{ WORKER_FIND, 0, { TEXT("k\xc3\xa4y/..%00") }, "" },
	{ WORKER_FIND, 0, { TEXT("") }, NULL },
	{ WORKER_CREATE_KEY, KEYD_USE_SIGN | KEYD_USE_ENCRYPT, { TEXT("id") }, "" },
	{ WORKER_CREATE_PAIR, KEY_ED25519, { TEXT("id") }, NULL },
	{ WORKER_IMPORT, KEYD_USE_DERIVE, { TEXT("id"), TEXT("\0\1\2") }, "" },
	{ WORKER_MOVE, 0, { TEXT("from"), TEXT("to") }, "" },
	{ WORKER_REMOVE, 0, { TEXT("id") }, "" },
	{ WORKER_CHECK, KEY_PAIR, { TEXT("id") }, "" },
	{ WORKER_PARAMETER, KEY_PARAM_RSA_EXPONENT, { TEXT("id") }, "\1\1" },
	{ WORKER_SIGN, KEYD_HMAC_SHA256, { TEXT("id"), TEXT("") }, "a signature" },
	{ WORKER_ENCRYPT, KEYD_AEAD, { TEXT("id"), TEXT("text"), TEXT("iv\0"), TEXT("aad") },
	    "\2tag" },
	{ WORKER_DECRYPT, KEYD_AEAD, { TEXT("id"), TEXT("\2tag"), TEXT("iv\0"), TEXT("") }, "" },
	{ WORKER_DERIVE, 0, { TEXT("id"), TEXT("label") }, "0123456789abcdef0123456789abcdef" },
};

struct peer_of_test {
	int fd;
	const char *value;
	struct worker_received got;
};

static void *
answer_once(void *arg)
{
	struct peer_of_test *p = arg;
	struct worker_answer a = { 0 };
	struct err err = { 0 };

	ck_ok(worker_receive(p->fd, &p->got, &err));
	if (p->value)
		ck_ok(bytes_copy(&a.value, p->value, strlen(p->value), &err));
	else
		err_set(&a.error, ERR_NOT_FOUND, "there is none");
	a.last = true;
	ck_ok(worker_reply(p->fd, &p->got, &a, &err));
	bytes_done(&a.value);
	return NULL;
}

static bool
same_text(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void
talk(size_t row)
{
	AUTO(worker_answer_done) struct worker_answer a = { 0 };
	struct worker_question q = { .op = talks[row].op, .arg = talks[row].arg };
	struct peer_of_test p = { .value = talks[row].value };
	struct worker_channel c;
	struct err err = { 0 };
	pthread_t thread;
	int pair[2];

	memcpy(q.part, talks[row].part, sizeof(q.part));
	pair_of(pair);
	ck_ok(worker_channel_init(&c, pair[0], 30000, &err));
	p.fd = pair[1];
	pthread_create(&thread, NULL, answer_once, &p);
	ck_ok(worker_ask(&c, &q, &a, &err));
	pthread_join(thread, NULL);
	ck_assert_int_eq(p.got.q.op, q.op);
	ck_assert_uint_eq(p.got.q.arg, q.arg);
	for (size_t i = 0; i < WORKER_PARTS; i++)
		ck_assert(same_text(p.got.q.part[i], q.part[i]));
	ck_assert(a.last);
	if (p.value) {
		ck_assert_int_eq(a.error.code, ERR_OK);
		ck_assert(same_text(text_of_bytes(&a.value), text_of(p.value)));
	} else {
		ck_assert_int_eq(a.error.code, ERR_NOT_FOUND);
		ck_assert_str_eq(a.error.text, "there is none");
	}
	worker_received_done(&p.got);
	close(pair[0]);
	close(pair[1]);
}
START_TEST(test_every_question_and_its_answer)
{
	for (size_t i = 0; i < ARRAY_LEN(talks); i++)
		talk(i);
}
END_TEST

/* Longer than any socket's buffer, both ways. */
START_TEST(test_the_longest)
{
	AUTO(worker_answer_done) struct worker_answer a = { 0 };
	char *text = calloc(1, WORKER_DATA_MAX);
	struct worker_question q = { .op = WORKER_ENCRYPT,
		.part = { TEXT("id"), { text, WORKER_DATA_MAX }, { text, WORKER_DATA_MAX } } };
	struct peer_of_test p = { .value = memset(
				      calloc(1, WORKER_VALUE_MAX + 1), 'v', WORKER_VALUE_MAX) };
	struct worker_channel c;
	struct err err = { 0 };
	pthread_t thread;
	int pair[2];

	pair_of(pair);
	ck_ok(worker_channel_init(&c, pair[0], 30000, &err));
	p.fd = pair[1];
	pthread_create(&thread, NULL, answer_once, &p);
	ck_ok(worker_ask(&c, &q, &a, &err));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(p.got.q.part[2].len, WORKER_DATA_MAX);
	ck_assert_uint_eq(a.value.len, WORKER_VALUE_MAX);
	worker_received_done(&p.got);
	free((void *)(uintptr_t)p.value);
	free(text);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* --- keyd's end does not let go what is beyond the bounds */

START_TEST(test_no_question_beyond_the_bounds)
{
	static char id[WORKER_ID_MAX + 1], data[WORKER_DATA_MAX + 1];
	const struct worker_question rows[] = {
		{ WORKER_FIND, 0, { { memset(id, 'i', sizeof(id)), sizeof(id) } } },
		{ WORKER_IMPORT, 0, { TEXT("id"), { data, BACKEND_KEY_MAX + 1 } } },
		{ WORKER_SIGN, KEYD_ECDSA, { TEXT("id"), { data, sizeof(data) } } },
		{ WORKER_SIGN, 77, { TEXT("id") } },
		{ WORKER_CREATE_KEY, 8, { TEXT("id") } },
		{ WORKER_CREATE_PAIR, KEY_ALGORITHMS, { TEXT("id") } },
		{ WORKER_FIND, 0, { TEXT("id"), TEXT("more") } },
	};
	struct worker_channel c;
	struct err none = { 0 };
	int pair[2];
	char octet;

	pair_of(pair);
	ck_assert_int_eq(worker_channel_init(&c, pair[0], 1000, &none), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct worker_answer a;
		struct err err = { 0 };

		ck_assert_int_eq(worker_ask(&c, &rows[i], &a, &err), ERR_INVALID);
	}
	ck_assert_int_eq(recv(pair[1], &octet, 1, MSG_DONTWAIT), -1);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* --- a worker that lies */

/* What keyd makes of these octets as the answer to op; ended: the worker is gone behind them. */
static enum err_code
hear(enum worker_op op, const void *octets, size_t len, bool ended, struct worker_answer *a)
{
	const struct worker_question q = { .op = op, .part = { TEXT("id") } };
	struct worker_channel c;
	struct err err = { 0 };
	int pair[2];

	pair_of(pair);
	ck_ok(worker_channel_init(&c, pair[0], 20, &err));
	ck_assert_int_eq(send(pair[1], octets, len, 0), (ssize_t)len);
	if (ended)
		shutdown(pair[1], SHUT_WR);
	(void)!worker_ask(&c, &q, a, &err);
	close(pair[0]);
	close(pair[1]);
	return err.code;
}

START_TEST(test_lying_answers)
{
	static const struct {
		enum worker_op op;
		struct answer_head head;
		enum err_code code;
	} rows[] = {
		{ WORKER_SIGN, { 1, 0, 0, 0, 64 }, ERR_OK },
		{ WORKER_SIGN, { 1, 0, 0, 0, 63 }, ERR_PROTOCOL }, /* more comes */
		{ WORKER_SIGN, { 0, 0, 0, 0, 64 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 2, 0, 0, 0, 64 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 1, 0, 0, 2, 64 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 1, 0, 400, 0, 64 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 1, 0, 0, 0, 0 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 1, 0, 0, 0, 4097 }, ERR_PROTOCOL },
		{ WORKER_SIGN, { 1, 0, 0, 0, UINT32_MAX }, ERR_PROTOCOL },
		{ WORKER_ENCRYPT, { 1, 0, 0, 0, WORKER_VALUE_MAX + 1 }, ERR_PROTOCOL },
		{ WORKER_DECRYPT, { 1, 0, 0, 0, 0 }, ERR_OK },
		{ WORKER_DERIVE, { 1, 0, 0, 0, 31 }, ERR_PROTOCOL },
		{ WORKER_DERIVE, { 1, 0, 0, 0, 33 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, 0, 0, 0, 0 }, ERR_OK },
		{ WORKER_FIND, { 1, 0, 0, 0, 1 }, ERR_PROTOCOL },
		{ WORKER_EXISTS, { 1, 0, 0, 0, 1 }, ERR_PROTOCOL }, /* 'x' is neither yes nor no */
		{ WORKER_EXISTS, { 1, 0, 0, 0, 2 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_NOT_FOUND, 0, 0, 9 }, ERR_OK },
		{ WORKER_FIND, { 1, ERR_WOULD_BLOCK, 0, 0, 9 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_DENIED, 0, 0, 9 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_CODES, 0, 0, 9 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, UINT32_MAX, 0, 0, 9 }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_IO, 0, 0, ERR_TEXT_MAX }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_IO, 0, 0, UINT32_MAX }, ERR_PROTOCOL },
		{ WORKER_FIND, { 1, ERR_IO, 0, 0, 600 }, ERR_TIMEOUT }, /* less comes */
	};
	char octets[sizeof(struct answer_head) + 512];

	memset(octets, 'x', sizeof(octets));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(worker_answer_done) struct worker_answer a = { 0 };

		size_t len = sizeof(octets);

		if (rows[i].code == ERR_OK)
			len = sizeof(rows[i].head) + rows[i].head.len;
		memcpy(octets, &rows[i].head, sizeof(rows[i].head));
		ck_assert_msg(
		    hear(rows[i].op, octets, len, false, &a) == rows[i].code, "row %zu", i);
	}
}
END_TEST

START_TEST(test_truncated_answers)
{
	struct {
		struct answer_head head;
		char value[16];
	} whole = { { 1, 0, 0, 0, 16 }, "0123456789abcde" };

	for (size_t len = 0; len < sizeof(whole); len++) {
		AUTO(worker_answer_done) struct worker_answer a = { 0 };

		ck_assert_int_eq(hear(WORKER_SIGN, &whole, len, true, &a), ERR_UNREACHABLE);
		ck_assert_ptr_null(a.value.data);
	}
}
END_TEST

START_TEST(test_unprintable_words)
{
	static const char words[] = "\x1b[2Jno\nlie\rs \xff\xfe"
				    "\ncaused by: \x7f";
	char octets[sizeof(struct answer_head) + sizeof(words)];
	const struct answer_head head = { 1, ERR_CRYPTO, 0, 0, sizeof(words) - 1 };
	AUTO(worker_answer_done) struct worker_answer a = { 0 };

	memcpy(octets, &head, sizeof(head));
	memcpy(octets + sizeof(head), words, sizeof(words));
	ck_assert_int_eq(
	    hear(WORKER_FIND, octets, sizeof(head) + sizeof(words) - 1, false, &a), ERR_OK);
	ck_assert_int_eq(a.error.code, ERR_CRYPTO);
	ck_assert_str_eq(a.error.text, "?[2Jno?lie?s ??\ncaused by: ?");
}
END_TEST

/* --- questions that are none */

static enum err_code
receive(const void *octets, size_t len)
{
	AUTO(worker_received_done) struct worker_received r = { 0 };
	struct err err = { 0 };
	int pair[2];

	pair_of(pair);
	ck_assert_int_eq(send(pair[1], octets, len, 0), (ssize_t)len);
	close(pair[1]);
	(void)!worker_receive(pair[0], &r, &err);
	close(pair[0]);
	return err.code;
}

START_TEST(test_lying_questions)
{
	static const struct {
		struct question_head head;
		const char *octets;
		enum err_code code;
	} rows[] = {
		{ { WORKER_MOVE, 0, 1, { 2, 2 } }, "a\0b\0", ERR_OK },
		{ { WORKER_OPS, 0, 1, { 2, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { UINT32_MAX, 0, 1, { 2, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 1, 1, { 2, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_SIGN, 9, 1, { 2, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_CHECK, 2, 1, { 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { 0, 4 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { 4, 0 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { 3, 1 } }, "a\0b\0", ERR_PROTOCOL }, /* a NUL within */
		{ { WORKER_MOVE, 0, 1, { 1, 3 } }, "a\0b\0", ERR_PROTOCOL }, /* none at the end */
		{ { WORKER_MOVE, 0, 1, { 2, 2, 1 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { WORKER_ID_MAX + 2, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { UINT32_MAX, 2 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_MOVE, 0, 1, { 2, UINT32_MAX } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_IMPORT, 0, 1, { 2, BACKEND_KEY_MAX + 1 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_SIGN, 0, 1, { 2, WORKER_DATA_MAX + 1 } }, "a\0b\0", ERR_PROTOCOL },
		{ { WORKER_SIGN, 0, 1, { 2, WORKER_DATA_MAX } }, "a\0b\0", ERR_UNREACHABLE },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char octets[sizeof(struct question_head) + 4];

		memcpy(octets, &rows[i].head, sizeof(rows[i].head));
		memcpy(octets + sizeof(rows[i].head), rows[i].octets, 4);
		ck_assert_msg(receive(octets, sizeof(octets)) == rows[i].code, "row %zu", i);
		for (size_t len = 0; rows[i].code == ERR_OK && len < sizeof(octets); len++)
			ck_assert_int_eq(receive(octets, len), ERR_UNREACHABLE);
	}
}
END_TEST

TEST_MAIN("keyd/worker_proto", test_every_question_and_its_answer, test_the_longest,
    test_no_question_beyond_the_bounds, test_lying_answers, test_truncated_answers,
    test_unprintable_words, test_lying_questions)
