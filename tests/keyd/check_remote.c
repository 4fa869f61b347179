#include "tests/support/support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "keyd/remote.h"
#include "keyd/worker.h"

/*
 * The real front and the real worker, but for the process between them: that is a handful of threads, which a spawner of memory
 * starts, signals and reports.  The place is one of words: what is asked of a key is done by its id.
 */

/* --- the place */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned n_started, n_hanging;
static bool refuse_open, released;

static void process_end(int status);

static enum err_code
words_open(const struct backend_config *config, void **ret_ctx, struct err *err)
{
	bool no;

	(void)config;
	pthread_mutex_lock(&lock);
	no = refuse_open;
	pthread_mutex_unlock(&lock);
	if (no)
		return err_set(err, ERR_UNREACHABLE, "no token is there");
	*ret_ctx = &lock;
	return ERR_OK;
}

static void
words_close(void *ctx)
{
	(void)ctx;
}

static enum err_code
words_exists(void *ctx, const char *id, bool *ret, struct err *err)
{
	(void)ctx, (void)err;
	*ret = strcmp(id, "none") != 0;
	return ERR_OK;
}

static void
words_key_free(struct key *key)
{
	str_freep(&key->id);
	free(key);
}

static const struct backend words;

static enum err_code
words_find(void *ctx, const char *id, struct key **ret, struct err *err)
{
	struct key *key;

	(void)ctx;
	if (strcmp(id, "none") == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no key %s", id);
	key = calloc(1, sizeof(*key));
	ck_assert_ptr_nonnull(key);
	key->backend = &words;
	atomic_init(&key->refs, 1);
	key->id = strdup(id);
	*ret = key;
	return ERR_OK;
}

static enum err_code
words_create_key(void *ctx, const char *id, unsigned usage, struct err *err)
{
	(void)ctx, (void)usage;
	if (strcmp(id, "crash") == 0)
		process_end(SIGSEGV);
	return strcmp(id, "pairs") == 0 ? err_set(err, ERR_UNSUPPORTED, "pairs only") : ERR_OK;
}

static enum err_code
words_create_pair(void *ctx, const char *id, enum key_algorithm algorithm, struct err *err)
{
	(void)ctx, (void)id;
	return algorithm == KEY_EC_P256 ? ERR_OK : err_set(err, ERR_UNSUPPORTED, "P-256 only");
}

static enum err_code
words_import(void *ctx, const char *id, unsigned usage, const struct bytes *value, struct err *err)
{
	(void)ctx, (void)id, (void)usage;
	return value->len == 3 ? ERR_OK : err_set(err, ERR_INVALID, "not three bytes");
}

static enum err_code
words_move(void *ctx, const char *from, const char *to, struct err *err)
{
	(void)ctx, (void)err;
	ck_assert_str_ne(from, to);
	return ERR_OK;
}

static enum err_code
words_remove(void *ctx, const char *id, struct err *err)
{
	(void)ctx, (void)id, (void)err;
	return ERR_OK;
}

static enum err_code
words_check(struct key *key, enum key_kind kind, struct err *err)
{
	return strcmp(key->id, "pair") == 0 || kind == KEY_SYMMETRIC
		   ? ERR_OK
		   : err_set(err, ERR_INTERNAL, "no pair");
}

static enum err_code
words_parameter(struct key *key, enum key_parameter which, struct bytes *ret, struct err *err)
{
	(void)key;
	ck_assert_int_eq(which, KEY_PARAM_ALGORITHM);
	return bytes_copy(ret, "ECDSA", 5, err);
}

static void
hang(void)
{
	pthread_mutex_lock(&lock);
	n_hanging++;
	pthread_cond_broadcast(&changed);
	while (!released)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static enum err_code
words_sign(struct key *key, enum keyd_mech mech, const struct bytes *data, struct bytes *ret,
    struct err *err)
{
	(void)mech;
	if (strcmp(key->id, "hang") == 0)
		hang();
	if (strcmp(key->id, "crash") == 0)
		process_end(SIGSEGV);
	if (strcmp(key->id, "lost") == 0)
		return err_set(err, ERR_NOT_FOUND, "it has gone");
	if (strcmp(key->id, "long") == 0)
		return bytes_alloc(ret, 5000, err);
	return bytes_copy(ret, data->data, data->len, err);
}

static enum err_code
words_encrypt(struct key *key, const struct key_cipher *how, const struct bytes *plaintext,
    struct bytes *ret, struct err *err)
{
	(void)key;
	ck_assert_uint_eq(how->iv->len, 2);
	ck_assert_uint_eq(how->aad->len, 3);
	return bytes_copy(ret, plaintext->data, plaintext->len, err);
}

static enum err_code
words_derive(struct key *key, const struct bytes *data, struct bytes *ret, struct err *err)
{
	(void)key, (void)data;
	return bytes_alloc(ret, 32, err);
}

static const struct backend words = { "words", words_open, words_close, NULL, words_exists,
	words_find, words_key_free, words_create_key, words_create_pair, words_import, words_move,
	words_remove, words_check, words_parameter, words_sign, words_encrypt, words_encrypt,
	words_derive };

/* --- processes of threads, one at a time */

static struct {
	int fds[SPAWN_FDS_MAX];
	size_t n;
	struct worker *worker;
	pthread_t main;
	bool lives, awaited;
	int status;
	pid_t pid;
} process;

/* What the end of a process does to its descriptors.  A thread that hangs in it hangs on. */
static void
process_end(int status)
{
	pthread_mutex_lock(&lock);
	if (process.lives) {
		process.lives = false;
		process.awaited = true;
		process.status = status;
		for (size_t i = 0; i < process.n; i++)
			shutdown(process.fds[i], SHUT_RDWR);
	}
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *
serve_channel(void *fd)
{
	struct err err = { 0 };

	(void)!worker_answer_all(process.worker, *(int *)fd, &err);
	return NULL;
}

static void *
process_main(void *arg)
{
	AUTO(worker_received_done) struct worker_received hello = { 0 };
	AUTO(worker_answer_done) struct worker_answer a = { 0 };
	pthread_t threads[SPAWN_FDS_MAX];
	struct err err = { 0 };
	char octet;

	(void)arg;
	if (worker_receive(process.fds[0], &hello, &err)) {
		process_end(0);
		return NULL;
	}
	ck_assert_str_eq(hello.q.part[0].data, "token");
	(void)!worker_new(&words, NULL, &process.worker, &a.error);
	(void)!worker_reply(process.fds[0], &hello, &a, &err);
	for (size_t i = 1; !a.error.code && i < process.n; i++)
		pthread_create(&threads[i], NULL, serve_channel, &process.fds[i]);
	if (!a.error.code)
		(void)!recv(process.fds[0], &octet, 1, 0);
	for (size_t i = 1; !a.error.code && i < process.n; i++) {
		shutdown(process.fds[i], SHUT_RDWR);
		pthread_join(threads[i], NULL);
	}
	worker_free(process.worker);
	process.worker = NULL;
	process_end(a.error.code ? 1 << 8 : 0);
	return NULL;
}

/* In place of platform/spawn.c. */
enum err_code
spawner_exec(struct spawner *s, const struct spawn_request *req, pid_t *ret_pid, struct err *err)
{
	(void)s, (void)err;
	ck_assert_str_eq(req->role, "worker-test");
	pthread_mutex_lock(&lock);
	process.n = req->n_fds;
	for (size_t i = 0; i < req->n_fds; i++)
		process.fds[i] = dup(req->fds[i]);
	process.lives = true;
	process.awaited = false;
	*ret_pid = ++process.pid;
	n_started++;
	pthread_mutex_unlock(&lock);
	pthread_create(&process.main, NULL, process_main, NULL);
	return ERR_OK;
}

enum err_code
spawner_kill(struct spawner *s, pid_t pid, int signal, struct err *err)
{
	(void)s;
	ck_assert_int_eq(signal, SIGKILL);
	if (pid != process.pid || !process.lives)
		return err_set(err, ERR_NOT_FOUND, "no such process");
	process_end(SIGKILL);
	pthread_mutex_lock(&lock);
	released = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return ERR_OK;
}

enum err_code
spawner_ended(struct spawner *s, int timeout_ms, pid_t *ret_pid, int *ret_status, struct err *err)
{
	const struct timespec step = { 0, 1000000 };
	uint64_t until = clock_mono_ms() + (unsigned)timeout_ms;
	bool told = false;

	(void)s;
	while (!told && clock_mono_ms() < until) {
		pthread_mutex_lock(&lock);
		told = process.awaited;
		process.awaited = false;
		pthread_mutex_unlock(&lock);
		if (!told)
			nanosleep(&step, NULL);
	}
	if (!told)
		return err_set(err, ERR_TIMEOUT, "no process has ended");
	pthread_join(process.main, NULL);
	for (size_t i = 0; i < process.n; i++)
		close(process.fds[i]);
	*ret_pid = process.pid;
	*ret_status = process.status;
	return ERR_OK;
}

/* --- the front */

static struct remotes *all;
static struct remote *front;

static void
lost(void *ctx)
{
	(void)ctx;
	ck_abort_msg("the spawner was lost");
}

static void
begin(unsigned deadline_ms)
{
	const struct remotes_config group = { .lost = lost };
	const struct remote_config config = { "token", "worker-test", 3, deadline_ms };
	struct err err = { 0 };

	log_init("off", "keyd");
	pool_set_may_block(true);
	n_started = n_hanging = 0;
	released = false;
	ck_ok(remotes_new(&group, &all, &err));
	ck_ok(remotes_add(all, &config, &front, &err));
	ck_ok(remotes_start(all, &err));
}

static void
end(void)
{
	struct err err = { 0 };
	pid_t pid;
	int status;

	remotes_stop(all);
	/* as spawner_stop would wait for it */
	if (process.lives || process.awaited)
		(void)!spawner_ended(NULL, 2000, &pid, &status, &err);
	remotes_free(all);
}

static struct remote_state
state(void)
{
	struct remote_state s;

	remotes_state(all, 0, &s);
	return s;
}

static void
wait_serving(unsigned restarts)
{
	uint64_t until = clock_mono_ms() + 60000;

	while (!state().serves || state().restarts < restarts)
		ck_assert(clock_mono_ms() < until);
}

static struct key *
open_key(const char *id)
{
	struct err err = { 0 };
	struct key *key = NULL;

	ck_ok(remote_backend.find(front, id, &key, &err));
	ck_assert_str_eq(key->id, id);
	return key;
}

static enum err_code
sign(struct key *key, struct err *err)
{
	AUTO(bytes_done) struct bytes signature = { 0 };
	const struct bytes data = { (uint8_t[]){ 1, 2, 3 }, 3 };

	err_clear(err);
	if (remote_backend.sign(key, KEYD_ECDSA, &data, &signature, err))
		return err->code;
	ck_assert(bytes_equal(&signature, &data));
	return ERR_OK;
}

START_TEST(test_every_call)
{
	const struct bytes data = { (uint8_t[]){ 7, 8, 9 }, 3 }, iv = { (uint8_t[]){ 1, 2 }, 2 };
	const struct key_cipher how = { .cipher = KEYD_AEAD, .iv = &iv, .aad = &data };
	const struct backend *b = &remote_backend;
	AUTO(bytes_done) struct bytes out = { 0 };
	struct key *key = NULL;
	struct err err = { 0 };
	bool yes = false;

	begin(5000);
	ck_ok(b->exists(front, "some", &yes, &err));
	ck_assert(yes);
	ck_ok(b->exists(front, "none", &yes, &err));
	ck_assert(!yes);
	ck_err(b->find(front, "none", &key, &err), ERR_NOT_FOUND);
	ck_assert_str_eq(err.text, "there is no key none");
	err_clear(&err);
	ck_ok(b->create_key(front, "some", KEYD_USE_SIGN, &err));
	ck_err(b->create_key(front, "pairs", KEYD_USE_SIGN, &err), ERR_UNSUPPORTED);
	ck_ok(b->create_pair(front, "pairs", KEY_EC_P256, &err));
	ck_err(b->create_pair(front, "pairs", KEY_RSA_4096, &err), ERR_UNSUPPORTED);
	ck_ok(b->import_key(front, "some", KEYD_USE_SIGN, &data, &err));
	ck_err(b->import_key(front, "some", KEYD_USE_SIGN, &iv, &err), ERR_INVALID);
	ck_ok(b->move(front, "a", "b", &err));
	ck_err(b->move(front, "a", "a", &err), ERR_INVALID);
	ck_ok(b->remove(front, "some", &err));
	key = open_key("some");
	ck_ok(b->check(key, KEY_SYMMETRIC, &err));
	ck_err(b->check(key, KEY_PAIR, &err), ERR_INTERNAL);
	ck_ok(b->parameter(key, KEY_PARAM_ALGORITHM, &out, &err));
	ck_assert_str_eq((char *)out.data, "ECDSA");
	bytes_done(&out);
	ck_ok(sign(key, &err));
	ck_ok(b->encrypt(key, &how, &data, &out, &err));
	ck_assert(bytes_equal(&out, &data));
	bytes_done(&out);
	ck_ok(b->decrypt(key, &how, &data, &out, &err));
	bytes_done(&out);
	ck_ok(b->derive(key, &data, &out, &err));
	ck_assert_uint_eq(out.len, 32);
	b->key_free(key);
	/* a key that has gone meanwhile, in plain words and by its own code */
	key = open_key("lost");
	ck_err(sign(key, &err), ERR_NOT_FOUND);
	b->key_free(key);
	end();
}
END_TEST

/* On a polling thread nothing is asked, and the lane is named. */
START_TEST(test_no_waiting)
{
	struct key *key;
	struct err err = { 0 };
	bool yes;

	begin(5000);
	key = open_key("some");
	pool_set_may_block(false);
	ck_err(sign(key, &err), ERR_WOULD_BLOCK);
	ck_assert_ptr_eq(pool_wanted(), remote_pool(front));
	ck_err(remote_backend.exists(front, "some", &yes, &err), ERR_WOULD_BLOCK);
	ck_assert_ptr_eq(pool_wanted(), remote_backend.pool(front));
	pool_set_may_block(true);
	remote_backend.key_free(key);
	end();
}
END_TEST

/* Crashes: the call says that it may be tried again, and so it may, with the key that was opened before. */
START_TEST(test_crash)
{
	struct key *crash, *good;
	struct err err = { 0 };

	begin(5000);
	good = open_key("good");
	crash = open_key("crash");
	for (unsigned i = 1; i <= 3; i++) {
		ck_err(sign(crash, &err), ERR_UNREACHABLE);
		ck_assert_msg(
		    strncmp(err.text, "the key backend token is restarting; try again", 46) == 0,
		    "%s", err.text);
		wait_serving(i);
		ck_assert_str_eq(state().trouble, "its process was ended by signal 11");
		ck_ok(sign(good, &err));
	}
	ck_assert_uint_eq(n_started, 4);
	/* a call that is not to be made twice is not */
	err_clear(&err);
	ck_err(remote_backend.create_key(front, "crash", 1, &err), ERR_UNREACHABLE);
	wait_serving(4);
	ck_assert_uint_eq(n_started, 5);
	remote_backend.key_free(crash);
	remote_backend.key_free(good);
	end();
}
END_TEST

/* In the pause behind an end nobody waits. */
START_TEST(test_pause)
{
	struct key *key;
	struct err err = { 0 };
	uint64_t begun;

	begin(5000);
	key = open_key("crash");
	for (unsigned i = 0; i < 5; i++) {
		ck_err(sign(key, &err), ERR_UNREACHABLE);
		if (i < 4)
			wait_serving(i + 1);
	}
	while (state().serves)
		continue;
	begun = clock_mono_ms();
	ck_err(sign(key, &err), ERR_UNREACHABLE);
	ck_assert_uint_lt(clock_mono_ms() - begun, 1200); /* and 1600 ms is the pause */
	remote_backend.key_free(key);
	end();
}
END_TEST

START_TEST(test_hang)
{
	struct key *key, *good;
	struct err err = { 0 };
	uint64_t begun;

	begin(1000);
	good = open_key("good");
	key = open_key("hang");
	begun = clock_mono_ms();
	ck_err(sign(key, &err), ERR_TIMEOUT);
	ck_assert_uint_ge(clock_mono_ms() - begun, 1000);
	ck_assert_msg(strncmp(err.text,
			  "the key backend token did not answer in 1000 ms; try again", 58) == 0,
	    "%s", err.text);
	wait_serving(1);
	ck_assert_str_eq(state().trouble, "the other process does not answer");
	ck_ok(sign(good, &err));
	remote_backend.key_free(key);
	remote_backend.key_free(good);
	end();
}
END_TEST

/* An answer beyond its bounds is a worker out of order. */
START_TEST(test_odd)
{
	struct key *key;
	struct err err = { 0 };

	begin(5000);
	key = open_key("long");
	ck_err(sign(key, &err), ERR_UNREACHABLE);
	wait_serving(1);
	ck_assert_str_eq(state().trouble, "the other process sent an odd frame");
	remote_backend.key_free(key);
	end();
}
END_TEST

/* No token at the start: said in the state, tried again until there is one. */
START_TEST(test_late)
{
	struct err err = { 0 };
	struct key *key;

	refuse_open = true;
	begin(5000);
	while (state().restarts < 2)
		ck_assert(!state().serves);
	ck_assert_str_eq(state().trouble, "no token is there");
	ck_err(remote_backend.find(front, "some", &key, &err), ERR_UNREACHABLE);
	pthread_mutex_lock(&lock);
	refuse_open = false;
	pthread_mutex_unlock(&lock);
	wait_serving(2);
	key = open_key("some");
	ck_ok(sign(key, &err));
	remote_backend.key_free(key);
	end();
}
END_TEST

static void *
sign_hang(void *key)
{
	struct err err = { 0 };

	pool_set_may_block(true);
	ck_assert_int_ne(sign(key, &err), ERR_OK);
	return NULL;
}

/* The end does not wait for what hangs. */
START_TEST(test_stop)
{
	pthread_t threads[5];
	struct key *key;
	uint64_t begun;

	begin(60000);
	key = open_key("hang");
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_create(&threads[i], NULL, sign_hang, key);
	pthread_mutex_lock(&lock);
	while (n_hanging < 3)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	begun = clock_mono_ms();
	remotes_stop(all);
	ck_assert_uint_lt(clock_mono_ms() - begun, 20000);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	remote_backend.key_free(key);
	end();
}
END_TEST

int
main(void)
{
	const TTest *cases[] = { test_every_call, test_no_waiting, test_crash, test_pause,
		test_hang, test_odd, test_late, test_stop };

	/* the others count on a worker that is there in time */
	if (support_valgrind())
		printf("SKIP a worker's ends and deadlines are not for valgrind\n");
	return support_run("keyd/remote", cases, support_valgrind() ? 2 : ARRAY_LEN(cases));
}
