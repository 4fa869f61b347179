#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/mech.h"
#include "keyd/worker.h"
#include "keyd/worker_proto.h"
#include "platform/pool.h"

/* A worker over the file backend, asked over one channel by the test. */
static struct mech *mech;
static struct backend_config config;
static struct worker *worker;
static struct worker_channel channel;
static pthread_t thread;
static int theirs;
static enum err_code ended;

static void *
answer_all(void *arg)
{
	struct err err = { 0 };

	(void)arg;
	ended = worker_answer_all(worker, theirs, &err);
	return NULL;
}

static void
begin(void)
{
	struct err err = { 0 };
	int pair[2];

	pool_set_may_block(true);
	ck_ok(mech_new(&mech, &err));
	config = (struct backend_config){
		.name = "file", .mech = mech, .homedir = support_path("home"), .any_id = true
	};
	ck_ok(worker_new(&file_backend, &config, &worker, &err));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_ok(worker_channel_init(&channel, pair[0], 10000, &err));
	theirs = pair[1];
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_all, NULL), 0);
}

static void
end(enum err_code how)
{
	shutdown(channel.fd, SHUT_RDWR);
	pthread_join(thread, NULL);
	ck_assert_int_eq(ended, how);
	close(channel.fd);
	close(theirs);
	worker_free(worker);
	mech_free(mech);
}

/* The code that is answered; ret may be NULL. */
static enum err_code
ask(enum worker_op op, unsigned arg, const char *id, const char *second, struct bytes *ret)
{
	const struct worker_question q = {
		.op = op, .arg = arg, .part = { text_of(id), text_of(second) }
	};
	AUTO(worker_answer_done) struct worker_answer a = { 0 };
	enum err_code code;
	struct err err = { 0 };

	ck_ok(worker_ask(&channel, &q, &a, &err));
	code = a.error.code;
	if (!code && ret)
		*ret = bytes_take(&a.value);
	return code;
}

START_TEST(test_a_key_from_begin_to_end)
{
	AUTO(bytes_done) struct bytes first = { 0 };
	AUTO(bytes_done) struct bytes second = { 0 };
	AUTO(bytes_done) struct bytes there = { 0 };

	begin();
	ck_assert_int_eq(ask(WORKER_FIND, 0, "key", NULL, NULL), ERR_NOT_FOUND);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", NULL), ERR_NOT_FOUND);
	ck_assert_int_eq(ask(WORKER_CREATE_KEY, KEYD_USE_SIGN, "key", NULL, NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_EXISTS, 0, "key", NULL, &there), ERR_OK);
	ck_assert_uint_eq(there.data[0], 1);
	/* without a find before: keyd has found it by an earlier worker */
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", &first), ERR_OK);
	ck_assert_uint_eq(first.len, 32);
	/* what is stored in its place counts from then on */
	ck_assert_int_eq(ask(WORKER_IMPORT, KEYD_USE_SIGN, "key", "other", NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", &second), ERR_OK);
	ck_assert(!bytes_equal(&first, &second));
	bytes_done(&first);
	ck_assert_int_eq(ask(WORKER_MOVE, 0, "key", "moved", NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", NULL), ERR_NOT_FOUND);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "moved", "x", &first), ERR_OK);
	ck_assert(bytes_equal(&first, &second));
	ck_assert_int_eq(ask(WORKER_REMOVE, 0, "moved", NULL, NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "moved", "x", NULL), ERR_NOT_FOUND);
	ck_assert_int_eq(ask(WORKER_MOVE, 0, "same", "same", NULL), ERR_INVALID);
	end(ERR_OK);
}
END_TEST

/* keyd looks for a key when it has forgotten it, so that a file changed by hand counts; until then it does not. */
START_TEST(test_a_file_changed_by_hand)
{
	AUTO(bytes_done) struct bytes before = { 0 };
	AUTO(bytes_done) struct bytes still = { 0 };
	AUTO(bytes_done) struct bytes after = { 0 };

	begin();
	ck_assert_int_eq(ask(WORKER_IMPORT, KEYD_USE_SIGN, "key", "one", NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", &before), ERR_OK);
	free(support_sh("for f in %s/home/keys/key-*; do printf two >$f; done", support_tmpdir()));
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", &still), ERR_OK);
	ck_assert(bytes_equal(&before, &still));
	ck_assert_int_eq(ask(WORKER_FIND, 0, "key", NULL, NULL), ERR_OK);
	ck_assert_int_eq(ask(WORKER_SIGN, KEYD_HMAC_SHA256, "key", "x", &after), ERR_OK);
	ck_assert(!bytes_equal(&before, &after));
	end(ERR_OK);
}
END_TEST

/* It is opened once, by its place; what else is said over a channel ends the worker. */
START_TEST(test_words_out_of_place)
{
	char garbage[256];

	begin();
	ck_assert_int_eq(ask(WORKER_HELLO, 1, "file", NULL, NULL), ERR_INVALID);
	ck_assert_int_eq(ask(WORKER_CHECK, KEY_PAIR, "none", NULL, NULL), ERR_NOT_FOUND);
	memset(garbage, 'g', sizeof(garbage));
	ck_assert_int_eq(send(channel.fd, garbage, sizeof(garbage), 0), (ssize_t)sizeof(garbage));
	pthread_join(thread, NULL);
	ck_assert_int_eq(ended, ERR_PROTOCOL);
	ck_assert_int_eq(pthread_create(&thread, NULL, answer_all, NULL), 0);
	end(ERR_OK);
}
END_TEST

TEST_MAIN("keyd/worker", test_a_key_from_begin_to_end, test_a_file_changed_by_hand,
    test_words_out_of_place)
