#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/backend.h"
#include "keyd/worker_proto.h"

/* A socket on which these octets wait, and then its end. */
static int
saying(const uint8_t *data, size_t len, int *ret_other)
{
	int pair[2];

	HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	HOLDS(send(pair[1], data, len, MSG_DONTWAIT) == (ssize_t)len);
	shutdown(pair[1], SHUT_WR);
	*ret_other = pair[1];
	return pair[0];
}

/* A worker takes questions as long as they are in bounds. */
static void
be_asked(const uint8_t *data, size_t len)
{
	struct worker_received r = { 0 };
	struct err err = { 0 };
	int other;
	int fd = saying(data, len, &other);

	while (worker_receive(fd, &r, &err) == ERR_OK) {
		HOLDS(r.q.op < WORKER_OPS && r.q.part[0].len <= WORKER_ID_MAX);
		HOLDS(strlen(r.q.part[0].data) == r.q.part[0].len);
		for (size_t i = 0; i < WORKER_PARTS; i++)
			HOLDS(r.q.part[i].len <= WORKER_DATA_MAX);
		worker_received_done(&r);
	}
	HOLDS(err.code == ERR_UNREACHABLE || err.code == ERR_PROTOCOL);
	HOLDS(!r.memory.data);
	close(fd);
	close(other);
}

/* keyd takes an answer, which may be the backend's error, or says what is wrong with the worker. */
static void
be_answered(enum worker_op op, const uint8_t *data, size_t len)
{
	const struct worker_question q = { .op = op, .part = { TEXT("id") } };
	struct worker_answer a = { 0 };
	struct err err = { 0 };
	int other;
	struct worker_channel c;

	HOLDS(worker_channel_init(&c, saying(data, len, &other), 1000, &err) == ERR_OK);
	if (worker_ask(&c, &q, &a, &err) == ERR_OK) {
		HOLDS(a.error.code < ERR_CODES && a.error.code != ERR_WOULD_BLOCK);
		HOLDS(a.value.len <= WORKER_VALUE_MAX);
		for (const char *at = a.error.text; *at; at++)
			HOLDS(*at == '\n' || (*at >= 0x20 && *at < 0x7f));
	} else {
		HOLDS(err.code == ERR_UNREACHABLE || err.code == ERR_PROTOCOL ||
		      err.code == ERR_INVALID);
		HOLDS(!a.value.data);
	}
	worker_answer_done(&a);
	close(c.fd);
	close(other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t answer[4096];

	if (len == 0 || len > sizeof(answer))
		return 0;
	be_asked(data + 1, len - 1);
	/* the number of the first question, so that not all are refused for that */
	memcpy(answer, data, len);
	if (len > 5)
		memcpy(answer + 1, &(uint32_t){ 1 }, sizeof(uint32_t));
	be_answered((enum worker_op)(data[0] % WORKER_OPS), answer + 1, len - 1);
	return 0;
}
