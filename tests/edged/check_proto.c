#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "edged/proto.h"
#include "platform/pool.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static size_t list_len;

static enum err_code
modules_list(void *ctx, char **ret_json, struct err *err)
{
	(void)ctx;
	*ret_json = malloc(list_len + 1);
	if (!*ret_json)
		return err_nomem(err);
	memset(*ret_json, 'x', list_len);
	(*ret_json)[list_len] = '\0';
	return ERR_OK;
}

static enum err_code
dial(void *ctx, enum proto_peer peer, int *ret_fd, struct err *err)
{
	int pair[2];

	(void)ctx;
	if (peer == PROTO_CERTD)
		return err_set(err, ERR_UNREACHABLE, "nobody listens");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_errno(err, "socketpair");
	ck_assert_int_eq(write(pair[1], "hello", 5), 5);
	close(pair[1]);
	*ret_fd = pair[0];
	return ERR_OK;
}

static enum err_code
container_of(void *ctx, const char *module, char ret_id[PROTO_CONTAINER_ID + 1], struct err *err)
{
	(void)ctx;
	if (strcmp(module, "web") != 0) {
		err_set(err, ERR_PEER, "no container %s", module);
		err->status = 404;
		return err->code;
	}
	memcpy(ret_id, ID, sizeof(ID));
	return ERR_OK;
}

static const struct proto_answers answers = { modules_list, dial, container_of };

struct world {
	struct proto_server *server;
	struct proto_client *client;
	struct pool *pool;
	pthread_t threads[2];
	enum err_code server_end;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char log[1024];
	int child_fd;
};

static void
note(struct world *w, const char *fmt, const char *a, const char *b)
{
	size_t used = strlen(w->log);

	pthread_mutex_lock(&w->lock);
	snprintf(w->log + used, sizeof(w->log) - used, fmt, a, b);
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static void
on_add(void *ctx, const char *module, const char *id, int fd)
{
	note(ctx, "add(%s,%s) ", module, id);
	close(fd);
}

static void
on_drop(void *ctx, const char *module)
{
	note(ctx, "drop(%s) %s", module, "");
}

static void
on_gone(void *ctx)
{
	note(ctx, "gone %s%s", "", "");
}

static const struct proto_events events = { on_add, on_drop, on_gone };

static void *
run_server(void *ctx)
{
	struct world *w = ctx;
	struct err err = { 0 };

	w->server_end = proto_server_run(w->server, &err);
	return NULL;
}

static void *
run_client(void *ctx)
{
	struct err err = { 0 };

	if (proto_client_run(((struct world *)ctx)->client, &err))
		return NULL;
	return NULL;
}

/* Both ends, running; with_client false leaves the child's descriptor to the test. */
static void
begin(struct world *w, bool with_client)
{
	struct err err = { 0 };
	int pair[2];

	*w = (struct world){ .child_fd = -1 };
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_ok(pool_new(4, 32, &w->pool, &err));
	ck_ok(proto_server_new(pair[0], &answers, w, w->pool, &w->server, &err));
	ck_assert_int_eq(pthread_create(&w->threads[0], NULL, run_server, w), 0);
	w->child_fd = pair[1];
	if (!with_client)
		return;
	ck_ok(proto_client_new(pair[1], &events, w, &w->client, &err));
	ck_assert_int_eq(pthread_create(&w->threads[1], NULL, run_client, w), 0);
}

static void
end(struct world *w)
{
	proto_server_shut(w->server);
	pthread_join(w->threads[0], NULL);
	if (w->client) {
		pthread_join(w->threads[1], NULL);
		proto_client_free(w->client);
	} else
		close(w->child_fd);
	pool_stop(w->pool, 1000);
	proto_server_free(w->server);
	pool_free(w->pool);
}

static void
wait_log(struct world *w, const char *want)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&w->lock);
	while (strcmp(w->log, want) != 0)
		ck_assert_msg(
		    pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0, "%s", w->log);
	pthread_mutex_unlock(&w->lock);
}

START_TEST(test_questions)
{
	static const size_t lengths[] = { 0, 1, 60000, 65520, 65521, 1000000 };
	char id[PROTO_CONTAINER_ID + 1], word[8] = "";
	struct err err = { 0 };
	struct world w;
	int fd = -1;

	begin(&w, true);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO(str_freep) char *json = NULL;

		list_len = lengths[i];
		ck_ok(proto_modules_list(w.client, &json, &err));
		ck_assert_uint_eq(strlen(json), lengths[i]);
	}
	ck_ok(proto_dial(w.client, PROTO_KEYD, &fd, &err));
	ck_assert_int_eq(read(fd, word, sizeof(word)), 5);
	close(fd);
	ck_err(proto_dial(w.client, PROTO_CERTD, &fd, &err), ERR_UNREACHABLE);
	ck_assert_str_eq(err.text, "nobody listens");
	ck_ok(proto_container_of(w.client, "web", id, &err));
	ck_assert_str_eq(id, ID);
	ck_err(proto_container_of(w.client, "other", id, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 404);
	ck_err(proto_container_of(w.client, "", id, &err), ERR_NOT_FOUND);
	end(&w);
}
END_TEST

START_TEST(test_listeners)
{
	struct err err = { 0 };
	struct world w;
	int fd;

	begin(&w, true);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_ok(proto_listener_add(w.server, "web", ID, fd, &err));
	ck_ok(proto_listener_add(w.server, PROTO_LEGACY, "", fd, &err));
	ck_ok(proto_listener_drop(w.server, "web", &err));
	wait_log(&w, "add(web," ID ") add(,) drop(web) ");
	ck_err(proto_listener_add(w.server, "web", "short", fd, &err), ERR_INVALID);
	close(fd);
	end(&w);
	ck_assert_ptr_nonnull(strstr(w.log, "gone"));
}
END_TEST

/* What the child may not say: each ends the connection, and so the child. */
START_TEST(test_odd_frames)
{
	static const struct {
		const char *what;
		unsigned char bytes[20];
		size_t len;
	} odd[] = {
		{ "too short", { 3 }, 1 },
		{ "no kind", { 0 }, 16 },
		{ "unknown kind", { 99 }, 16 },
		{ "edged's own kind", { 2 }, 16 },
		{ "an answer", { 6 }, 16 },
		{ "length says more", { 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0 }, 16 },
		{ "list with a body", { 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 'x' }, 17 },
		{ "dial without a peer", { 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, 16 },
		{ "nameless container", { 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, 16 },
		{ "NUL in a name", { 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 'a', 0 }, 18 },
		{ "reserved bits", { 3, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, 16 },
	};

	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct world w;

		begin(&w, false);
		ck_assert_int_eq(
		    send(w.child_fd, odd[i].bytes, odd[i].len, MSG_NOSIGNAL), (ssize_t)odd[i].len);
		pthread_join(w.threads[0], NULL);
		ck_assert_msg(
		    w.server_end == ERR_PROTOCOL, "%s: %s", odd[i].what, err_name(w.server_end));
		close(w.child_fd);
		proto_server_free(w.server);
		pool_stop(w.pool, 1000);
		pool_free(w.pool);
	}
}
END_TEST

START_TEST(test_no_such_peer)
{
	static const unsigned char dial_9[] = { 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9 };
	unsigned char answer[256];
	struct world w;

	begin(&w, false);
	ck_assert_int_eq(send(w.child_fd, dial_9, sizeof(dial_9), 0), (ssize_t)sizeof(dial_9));
	ck_assert_int_gt(recv(w.child_fd, answer, sizeof(answer), 0), 16);
	ck_assert_int_eq(answer[0], 6);
	ck_assert_int_eq(answer[1], ERR_INVALID);
	end(&w);
}
END_TEST

START_TEST(test_gone)
{
	char id[PROTO_CONTAINER_ID + 1];
	struct err err = { 0 };
	struct world w;

	begin(&w, true);
	proto_server_shut(w.server);
	wait_log(&w, "gone ");
	ck_err(proto_container_of(w.client, "web", id, &err), ERR_UNREACHABLE);
	end(&w);
}
END_TEST

TEST_MAIN(
    "edged/proto", test_questions, test_listeners, test_odd_frames, test_no_such_peer, test_gone)
