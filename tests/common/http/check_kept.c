#include "tests/support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/kept.h"

/* A connected socket and, in peer, its other end. */
static int
socket_with(int *peer)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*peer = ends[1];
	return ends[0];
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Has the other end been closed everywhere? */
static bool
hung_up(int peer)
{
	char byte;

	return recv(peer, &byte, 1, MSG_DONTWAIT) == 0;
}

START_TEST(test_last_in_first_out)
{
	struct kept k = { 0 };
	int peers[3], fds[3];

	for (int i = 0; i < 3; i++)
		kept_put(&k, fds[i] = socket_with(&peers[i]));
	for (int i = 3; i-- > 0;)
		ck_assert_int_eq(kept_take(&k), fds[i]);
	ck_assert_int_eq(kept_take(&k), -1);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
		close(peers[i]);
	}
}
END_TEST

START_TEST(test_no_room)
{
	struct kept k = { 0 };
	int peers[KEPT_MAX + 1];

	for (int i = 0; i < KEPT_MAX + 1; i++)
		kept_put(&k, socket_with(&peers[i]));
	for (int i = 0; i < KEPT_MAX; i++)
		ck_assert(!hung_up(peers[i]));
	ck_assert(hung_up(peers[KEPT_MAX]));
	kept_done(&k);
	for (int i = 0; i < KEPT_MAX + 1; i++) {
		ck_assert(hung_up(peers[i]));
		close(peers[i]);
	}
}
END_TEST

/* The child uses none of the parent's, closes its copies, and keeps its own; the parent's stay whole. */
START_TEST(test_fork)
{
	struct kept k = { 0 };
	int peers[2], status, first = socket_with(&peers[0]), second = socket_with(&peers[1]);
	pid_t child;

	kept_put(&k, first);
	kept_put(&k, second);
	child = fork();
	if (child == 0) {
		int peer, own;

		if (kept_take(&k) != -1 || is_open(first) || is_open(second))
			_exit(1);
		own = socket_with(&peer);
		kept_put(&k, own);
		_exit(kept_take(&k) == own ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(!hung_up(peers[0]) && !hung_up(peers[1]));
	ck_assert_int_eq(kept_take(&k), second);
	ck_assert_int_eq(kept_take(&k), first);
	close(first);
	close(second);
	close(peers[0]);
	close(peers[1]);
}
END_TEST

/* The number means something else by now: a file, nothing at all, another socket. */
START_TEST(test_closed_by_others)
{
	struct kept k = { 0 };
	int peer, others_peer, fd = socket_with(&peer), other;

	kept_put(&k, fd);
	close(fd);
	close(peer);
	ck_assert_int_eq(kept_take(&k), -1);

	fd = socket_with(&peer);
	kept_put(&k, fd);
	close(fd);
	other = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(other, fd);
	ck_assert_int_eq(kept_take(&k), -1);
	ck_assert(is_open(other));
	close(other);
	close(peer);

	fd = socket_with(&peer);
	kept_put(&k, fd);
	other = socket_with(&others_peer);
	ck_assert_int_eq(dup3(other, fd, O_CLOEXEC), fd);
	close(other);
	kept_done(&k);
	ck_assert(is_open(fd));
	ck_assert(!hung_up(others_peer));
	close(fd);
	close(peer);
	close(others_peer);
}
END_TEST

static void *
take_and_put(void *arg)
{
	struct kept *k = arg;

	for (int i = 0; i < 20000; i++) {
		int fd = kept_take(k);

		if (fd < 0)
			continue;
		if (!is_open(fd))
			return arg;
		kept_put(k, fd);
	}
	return NULL;
}

/* Each socket belongs to one thread at a time, and none gets lost. */
START_TEST(test_threads)
{
	struct kept k = { 0 };
	pthread_t threads[4];
	int peers[2], taken[2];

	for (int i = 0; i < 2; i++)
		kept_put(&k, socket_with(&peers[i]));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_put, &k), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	for (int i = 0; i < 2; i++) {
		taken[i] = kept_take(&k);
		ck_assert_int_ge(taken[i], 0);
		ck_assert(!hung_up(peers[i]));
		close(peers[i]);
	}
	ck_assert_int_ne(taken[0], taken[1]);
	close(taken[0]);
	close(taken[1]);
	ck_assert_int_eq(kept_take(&k), -1);
}
END_TEST

TEST_MAIN("http/kept", test_last_in_first_out, test_no_room, test_fork, test_closed_by_others,
    test_threads)
