#include "tests/support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/listen.h"

static int
listener(const char *name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", support_path(name));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static const char *
uri_of(const char *path)
{
	static char uri[512];

	snprintf(uri, sizeof(uri), "unix://%s", path);
	return uri;
}

/* --- what systemd passed in: each row in its own process, with descriptors from 3 on ----------------------------------- */

enum given { GIVEN_UNIX, GIVEN_DGRAM, GIVEN_INET, GIVEN_DEAF, GIVEN_CLOSED };

/* contracts/common.md 3, edged-management.md 1.1, edged-weaknesses.md B3.  want: descriptor, or -code of an error */
static const struct activation {
	const char *why;
	enum given given[3];
	const char *fds, *names;
	bool other_pid;
	const char *uri; /* NULL: unix:// of a free path */
	const char *name;
	int sole;
	int want; /* descriptor; 0: bound by ourselves; negative: code of listen_init; below -100: of listen_open */
} rows[] = {
	{ "not activated", { 0 }, NULL, NULL, false, NULL, "a.socket", 1, 0 },
	{ "nothing passed", { 0 }, "0", "", false, NULL, "a.socket", 1, 0 },
	{ "meant for another process", { 0 }, "1", "a.socket", true, NULL, "a.socket", 1, 0 },
	{ "one, by name", { 0 }, "1", "a.socket", false, NULL, "a.socket", 0, 3 },
	{ "one, another name, sole", { 0 }, "1", "b.socket", false, NULL, "a.socket", 1, 3 },
	{ "one, without names, sole", { 0 }, "1", NULL, false, NULL, "a.socket", 1, 3 },
	{ "B3: one is not for every listener", { 0 }, "1", "mgmt", false, NULL, "workload", 0, 0 },
	{ "B3: one is not for a module's listener", { 0 }, "1", "mgmt", false, NULL, NULL, 1, 0 },
	{ "two, first", { 0 }, "2", "a:b", false, NULL, "a", 0, 3 },
	{ "two, second", { 0 }, "2", "a:b", false, NULL, "b", 0, 4 },
	{ "two, sole means one", { 0 }, "2", "a:b", false, NULL, "c", 1, 0 },
	{ "two, empty name", { 0 }, "2", ":b", false, NULL, "b", 0, 4 },
	{ "fewer names", { 0 }, "2", "a", false, NULL, "a", 0, -ERR_CONFIG },
	{ "more names", { 0 }, "2", "a:b:c", false, NULL, "a", 0, -ERR_CONFIG },
	{ "no number", { 0 }, "2x", "a:b", false, NULL, "a", 0, -ERR_CONFIG },
	{ "no number of ours", { 0 }, "-1", "a", false, NULL, "a", 0, -ERR_CONFIG },
	{ "too many", { 0 }, "65", NULL, false, NULL, "a", 0, -ERR_CONFIG },
	{ "TCP", { GIVEN_INET }, "1", "a", false, NULL, "a", 0, -ERR_CONFIG },
	{ "datagrams", { GIVEN_DGRAM }, "1", "a", false, NULL, "a", 0, -ERR_CONFIG },
	{ "does not listen", { GIVEN_DEAF }, "1", "a", false, NULL, "a", 0, -ERR_CONFIG },
	{ "the second is TCP", { 0, GIVEN_INET }, "2", "a:b", false, NULL, "a", 0, -ERR_CONFIG },
	{ "closed", { 0, GIVEN_CLOSED }, "2", "a:b", false, NULL, "a", 0, -ERR_CONFIG },
	{ "fd:// number", { 0 }, "2", "a:b", false, "fd://4", NULL, 0, 4 },
	{ "fd:// name", { 0 }, "2", "a:b", false, "fd://b", NULL, 0, 4 },
	{ "fd:// below", { 0 }, "2", "a:b", false, "fd://2", NULL, 0, -100 - ERR_CONFIG },
	{ "fd:// above", { 0 }, "2", "a:b", false, "fd://5", NULL, 0, -100 - ERR_CONFIG },
	{ "fd:// unknown name", { 0 }, "2", "a:b", false, "fd://c", NULL, 0, -100 - ERR_CONFIG },
	{ "fd:// empty", { 0 }, "1", "a", false, "fd://", NULL, 0, -100 - ERR_CONFIG },
	{ "fd:// not activated", { 0 }, NULL, NULL, false, "fd://3", NULL, 0, -100 - ERR_CONFIG },
	{ "fd:// is not sole", { 0 }, "1", "a", false, "fd://b", "b", 1, -100 - ERR_CONFIG },
};

static int
make_given(enum given kind, const char *name)
{
	int fd;

	switch (kind) {
	case GIVEN_DGRAM:
		return socket(AF_UNIX, SOCK_DGRAM, 0);
	case GIVEN_DEAF:
		return socket(AF_UNIX, SOCK_STREAM, 0);
	case GIVEN_INET:
		fd = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(listen(fd, 1), 0);
		return fd;
	case GIVEN_UNIX:
		return listener(name);
	case GIVEN_CLOSED:
		break;
	}
	return -1;
}

static int
activated(const struct activation *row)
{
	char pid[16];
	struct err err = { 0 };
	int fd = -1;

	snprintf(pid, sizeof(pid), "%d", (int)getpid() + row->other_pid);
	unsetenv("LISTEN_FDNAMES");
	if (row->fds) {
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", row->fds, 1);
	}
	if (row->names)
		setenv("LISTEN_FDNAMES", row->names, 1);
	if (listen_init(&err))
		return -(int)err.code;
	if (getenv("LISTEN_PID") || getenv("LISTEN_FDS") || getenv("LISTEN_FDNAMES"))
		return -99;
	/* a second call finds nothing and forgets nothing */
	if (listen_init(&err))
		return -98;
	if (listen_open(row->uri ? row->uri : uri_of(support_path("bound")), row->name, row->sole,
		0660, &fd, &err))
		return -100 - (int)err.code;
	if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return -97;
	return access(support_path("bound"), F_OK) == 0 ? 0 : fd;
}

START_TEST(test_activation)
{
	const struct activation *row = &rows[_i];
	int fds[3], status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 3; i++) {
			char name[8];
			int fd;

			snprintf(name, sizeof(name), "g%d", i);
			fd = make_given(row->given[i], name);
			fds[i] = fd < 0 ? -1 : fcntl(fd, F_DUPFD, 20);
			close(fd);
		}
		for (int i = 0; i < 3; i++) {
			if (fds[i] < 0)
				close(3 + i);
			else
				dup2(fds[i], 3 + i);
		}
		status = activated(row);
		if (status != row->want)
			fprintf(stderr, "%s: %d instead of %d\n", row->why, status, row->want);
		exit(status == row->want ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "%s", row->why);
}
END_TEST

/* --- bound by ourselves ----------------------------------------------------------------------------------------------- */

static mode_t
mode_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISSOCK(st.st_mode));
	return st.st_mode & 07777;
}

START_TEST(test_bind)
{
	static const mode_t masks[] = { 0, 022, 077 };
	const char *path = support_path("s");
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		AUTO(fd_closep) int narrow = -1;
		AUTO(fd_closep) int wide = -1;

		umask(masks[i]);
		/* each finds the socket file that the one before left */
		ck_ok(listen_open(uri_of(path), NULL, 0, 0660, &narrow, &err));
		ck_assert_uint_eq(mode_of(path), 0660);
		ck_ok(listen_open(uri_of(path), "name", 1, 0666, &wide, &err));
		ck_assert_uint_eq(mode_of(path), 0666);
		ck_assert(fcntl(wide, F_GETFD) & FD_CLOEXEC);
	}
}
END_TEST

START_TEST(test_in_the_way)
{
	const char *path = support_path("way"), *inside = support_path("way/inside");
	struct err err = { 0 };
	struct bytes left;
	int fd = -1;

	ck_assert_int_eq(mkdir(path, 0755), 0);
	support_write(inside, "precious");
	ck_err(listen_open(uri_of(path), NULL, 0, 0660, &fd, &err), ERR_CONFLICT);
	left = support_read(inside);
	ck_assert_uint_eq(left.len, 8);
	bytes_done(&left);
	/* docker makes an empty directory of a bind source that is missing (edged-management.md 1.1) */
	ck_assert_int_eq(unlink(inside), 0);
	ck_ok(listen_open(uri_of(path), NULL, 0, 0660, &fd, &err));
	close(fd);
	ck_assert_int_eq(unlink(path), 0);
	support_write(path, "precious");
	ck_err(listen_open(uri_of(path), NULL, 0, 0660, &fd, &err), ERR_CONFLICT);
	left = support_read(path);
	ck_assert_uint_eq(left.len, 8);
	bytes_done(&left);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_err(listen_open(uri_of(path), NULL, 0, 0660, &fd, &err), ERR_CONFLICT);
}
END_TEST

START_TEST(test_uris)
{
	static const struct {
		const char *uri;
		enum err_code want;
	} uris[] = {
		{ "http://127.0.0.1:8080", ERR_CONFIG },
		{ "tcp://127.0.0.1:8080", ERR_CONFIG },
		{ "/run/s", ERR_CONFIG },
		{ "", ERR_CONFIG },
		{ "unix://relative", ERR_CONFIG },
		{ "unix://", ERR_CONFIG },
		{ "unix:/one-slash", ERR_CONFIG },
		{ "unix:///no/such/directory/s", ERR_NOT_FOUND },
	};
	char path[160], uri[200];
	struct err err = { 0 };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_LEN(uris); i++)
		ck_err(listen_open(uris[i].uri, "n", 1, 0660, &fd, &err), uris[i].want);
	/* unix(7): 108 bytes with the final NUL */
	for (size_t len = 107; len <= 108; len++) {
		memset(path, 'x', sizeof(path));
		memcpy(path, support_path(""), strlen(support_path("")));
		path[len] = '\0';
		snprintf(uri, sizeof(uri), "unix://%s", path);
		if (len == 107)
			ck_ok(listen_open(uri, NULL, 0, 0660, &fd, &err));
		else
			ck_err(listen_open(uri, NULL, 0, 0660, &fd, &err), ERR_CONFIG);
	}
	close(fd);
}
END_TEST

START_TEST(test_owner)
{
	struct err err = { 0 };
	struct stat st;
	int fd = -1;

	if (getuid() != 0) {
		printf("SKIP not root: a socket of another user\n");
		return;
	}
	listen_set_owner(61184, 61185);
	ck_ok(listen_open(uri_of(support_path("o")), NULL, 0, 0660, &fd, &err));
	ck_assert_int_eq(stat(support_path("o"), &st), 0);
	ck_assert_uint_eq(st.st_uid, 61184);
	ck_assert_uint_eq(st.st_gid, 61185);
	ck_assert_uint_eq(mode_of(support_path("o")), 0660);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("platform/listen");
	TCase *tcase = tcase_create("platform/listen");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, test_activation, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tcase, test_bind);
	tcase_add_test(tcase, test_in_the_way);
	tcase_add_test(tcase, test_uris);
	tcase_add_test(tcase, test_owner);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
