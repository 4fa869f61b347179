#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edged/listeners.h"
#include "edged/proto.h"
#include "platform/pool.h"
#include "tests/support/serve.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static ino_t
inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static struct listeners *
make(void)
{
	struct listeners *l = NULL;
	struct err err = { 0 };

	ck_ok(listeners_new(support_path("mnt"), &l, &err));
	return l;
}

/* architecture and decisions: 0666 sockets in a 0711 directory */
START_TEST(test_modes)
{
	struct listeners *l = make();
	struct err err = { 0 };
	struct stat st;

	ck_ok(listeners_ensure(l, "m1", ID_A, &err));
	ck_assert_int_eq(stat(support_path("mnt"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0711);
	ck_assert_int_eq(stat(support_path("mnt/m1.sock"), &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0666);
	listeners_free(l);
}
END_TEST

/* edged-weaknesses.md B1: bound once, whatever container has the name; bound anew when the file is not ours any more */
START_TEST(test_bound_once)
{
	struct listeners *l = make();
	const char *path = support_path("mnt/m1.sock");
	struct err err = { 0 };
	struct stat st;
	ino_t first;

	ck_ok(listeners_ensure(l, "m1", ID_A, &err));
	first = inode(path);
	ck_ok(listeners_ensure(l, "m1", ID_A, &err));
	ck_ok(listeners_ensure(l, "m1", ID_B, &err));
	ck_assert_uint_eq(inode(path), first);
	close(serve_connect(path));
	unlink(path);
	ck_ok(listeners_ensure(l, "m1", ID_B, &err));
	close(serve_connect(path));
	/* docker makes a directory where a bind's source is missing (edged-management.md 1.1) */
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_ok(listeners_ensure(l, "m1", ID_B, &err));
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	listeners_remove(l, "m1");
	ck_assert_uint_eq(inode(path), 0);
	listeners_remove(l, "m1");
	/* a file of an earlier run goes with the container, too */
	support_write(path, "");
	listeners_remove(l, "m1");
	ck_assert_uint_eq(inode(path), 0);
	listeners_free(l);
}
END_TEST

START_TEST(test_names)
{
	static const char *const wrong[] = { "", ".", "..", "a/b", ".hidden" };
	struct listeners *l = make();
	struct err err = { 0 };
	char name[140];
	size_t room = 107 - strlen(support_path("mnt")) - strlen("/.sock");

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		ck_err(listeners_ensure(l, wrong[i], ID_A, &err), ERR_INVALID);
	memset(name, 'n', sizeof(name));
	name[room] = '\0';
	ck_ok(listeners_name_fits(l, name, &err));
	ck_ok(listeners_ensure(l, name, ID_A, &err));
	name[room] = 'n';
	name[room + 1] = '\0';
	ck_err(listeners_name_fits(l, name, &err), ERR_INVALID);
	ck_err(listeners_ensure(l, name, ID_A, &err), ERR_INVALID);
	listeners_free(l);
}
END_TEST

/* --- what a workload process is told */

struct told {
	char text[512];
	int fds[8];
	size_t n;
};

static void
on_add(void *ctx, const char *module, const char *container_id, int fd)
{
	struct told *t = ctx;
	size_t used = strlen(t->text);

	snprintf(t->text + used, sizeof(t->text) - used, "+%s:%.1s ", module, container_id);
	t->fds[t->n++] = fd;
}

static void
on_drop(void *ctx, const char *module)
{
	struct told *t = ctx;
	size_t used = strlen(t->text);

	snprintf(t->text + used, sizeof(t->text) - used, "-%s ", module);
}

static void
on_gone(void *ctx)
{
	(void)ctx;
}

/* Serve by a process whose end of the pair is read afterwards. */
static void
serve(struct listeners *l, void (*meanwhile)(struct listeners *l), const char *want)
{
	static const struct proto_events events = { on_add, on_drop, on_gone };
	static const struct proto_answers answers = { 0 };
	struct proto_server *server = NULL;
	struct proto_client *client = NULL;
	struct pool *pool = NULL;
	struct told told = { 0 };
	struct err err = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_ok(pool_new(1, 4, &pool, &err));
	ck_ok(proto_server_new(pair[0], &answers, NULL, pool, &server, &err));
	ck_ok(proto_client_new(pair[1], &events, &told, &client, &err));
	listeners_serve_by(l, server);
	if (meanwhile)
		meanwhile(l);
	listeners_serve_by(l, NULL);
	proto_server_shut(server);
	proto_server_free(server);
	(void)!proto_client_run(client, &err);
	ck_assert_str_eq(told.text, want);
	for (size_t i = 0; i < told.n; i++)
		close(told.fds[i]);
	proto_client_free(client);
	pool_stop(pool, 1000);
	pool_free(pool);
}

static void
change(struct listeners *l)
{
	struct err err = { 0 };

	ck_ok(listeners_ensure(l, "m1", ID_A, &err)); /* as it was: nothing is said */
	ck_ok(listeners_ensure(l, "m1", ID_B, &err));
	ck_ok(listeners_ensure(l, "m2", ID_A, &err));
	listeners_remove(l, "m1");
}

START_TEST(test_handed_over)
{
	struct listeners *l = make();
	const char *path = support_path("mnt/m2.sock");
	struct err err = { 0 };
	int waiting;

	ck_ok(listeners_ensure(l, "m1", ID_A, &err));
	serve(l, change, "+m1:a +m1:b +m2:a -m1 ");
	/* nobody serves, and nobody is refused */
	waiting = serve_connect(path);
	serve(l, NULL, "+m2:a ");
	ck_assert(!serve_closed(waiting, 50));
	close(waiting);
	ck_ok(listeners_legacy(l, serve_bind(support_path("old.sock")), &err));
	serve(l, NULL, "+: +m2:a ");
	listeners_free(l);
}
END_TEST

TEST_MAIN("edged/listeners", test_modes, test_bound_once, test_names, test_handed_over)
