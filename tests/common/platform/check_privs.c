#include "tests/support/support.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/daemon.h"
#include "platform/privs.h"

/* decisions.md, Users: NAME or UID:GID[,GID...]; numbers need no passwd entry; root when said */
static const struct {
	const char *spec;
	enum err_code want;
	uid_t uid;
	gid_t gid;
	size_t n_groups;
	gid_t last_group;
} specs[] = {
	{ "61184:61185", ERR_OK, 61184, 61185, 0, 0 },
	{ "61184:61185,61186,61187", ERR_OK, 61184, 61185, 2, 61187 },
	{ "0:0", ERR_OK, 0, 0, 0, 0 },
	{ "4294967294:1", ERR_OK, 4294967294, 1, 0, 0 },
	{ "1:1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", ERR_OK, 1, 1, 16, 16 },
	{ "1:1,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184:", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184:1,", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184:,1", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184:1:2", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184:x", ERR_INVALID, 0, 0, 0, 0 },
	{ "61184 :1", ERR_INVALID, 0, 0, 0, 0 },
	{ "4294967295:1", ERR_INVALID, 0, 0, 0, 0 },
	{ "1:4294967295", ERR_INVALID, 0, 0, 0, 0 },
	{ "99999999999999999999:1", ERR_INVALID, 0, 0, 0, 0 },
	{ "root", ERR_OK, 0, 0, 0, 0 },
	{ "no-such-user", ERR_NOT_FOUND, 0, 0, 0, 0 },
	{ "", ERR_NOT_FOUND, 0, 0, 0, 0 },
	{ "-1:1", ERR_NOT_FOUND, 0, 0, 0, 0 },
};

START_TEST(test_lookup)
{
	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct privs_user user = { .uid = 77 };
		struct err err = { 0 };

		ck_err(privs_lookup(specs[i].spec, &user, &err), specs[i].want);
		if (specs[i].want) {
			ck_assert_uint_eq(user.uid, 77);
			continue;
		}
		ck_assert_uint_eq(user.uid, specs[i].uid);
		ck_assert_uint_eq(user.gid, specs[i].gid);
		ck_assert_uint_eq(user.n_groups, specs[i].n_groups);
		if (user.n_groups)
			ck_assert_uint_eq(user.groups[user.n_groups - 1], specs[i].last_group);
	}
}
END_TEST

START_TEST(test_remedy)
{
	struct privs_user user;
	struct err err = { 0 };

	ck_err(privs_lookup("aziot-nobody", &user, &err), ERR_NOT_FOUND);
	ck_assert_str_eq(err.text,
	    "no user aziot-nobody; install the package or pass --user NAME or "
	    "--user UID:GID[,GID...]");
}
END_TEST

/* A name's groups, as id(1) prints them */
START_TEST(test_groups_of_name)
{
	AUTO(str_freep)
	char *name = support_sh("awk -F: '$4 ~ /^[a-z_][a-z0-9_-]*$/ { print $4; exit }' "
				"/etc/group | grep . || echo daemon");
	AUTO(str_freep)
	char *want = support_sh("id -G %s | tr ' ' '\\n' | sort -un | tr '\\n' ' '", name);
	struct privs_user user;
	struct err err = { 0 };

	ck_ok(privs_lookup(name, &user, &err));
	for (size_t i = 0; i < user.n_groups; i++) {
		char one[16];

		snprintf(one, sizeof(one), "%u ", user.groups[i]);
		ck_assert_ptr_nonnull(strstr(want, one));
		ck_assert_uint_ne(user.groups[i], user.gid);
	}
}
END_TEST

/* Run in a child: what the kernel says afterwards about the line of /proc/self/status. */
static char *
status_after(int (*fn)(const struct privs_user *), const struct privs_user *user, const char *field)
{
	char *line = NULL;
	int pipes[2], status;
	size_t size = 0;
	pid_t pid;
	FILE *in;

	ck_assert_int_eq(pipe(pipes), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		char command[128];

		close(pipes[0]);
		dup2(pipes[1], STDOUT_FILENO);
		if (fn(user))
			_exit(1);
		snprintf(command, sizeof(command), "sed -n 's/^%s:[[:space:]]*//p' /proc/%d/status",
		    field, (int)getpid());
		_exit(system(command) == 0 ? 0 : 2);
	}
	close(pipes[1]);
	in = fdopen(pipes[0], "r");
	if (getline(&line, &size, in) > 0)
		line[strcspn(line, "\n")] = '\0';
	fclose(in);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return line;
}

static int
become(const struct privs_user *user)
{
	struct err err = { 0 };

	if (privs_become(user, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}

static int
become_and_lock(const struct privs_user *user)
{
	struct err err = { 0 };

	if ((user->uid != getuid() && become(user)) || privs_lock(1, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return prctl(PR_GET_DUMPABLE) == 1 ? 0 : 1;
}

START_TEST(test_become)
{
	static const struct privs_user user = { 61190, 61191, { 61192, 61193 }, 2 };
	static const struct privs_user root = { 0 };
	static const struct {
		const struct privs_user *user;
		const char *field, *want;
	} rows[] = {
		{ &user, "Uid", "61190\t61190\t61190\t61190" },
		{ &user, "Gid", "61191\t61191\t61191\t61191" },
		{ &user, "Groups", "61192 61193 " },
		{ &user, "CapInh", "0000000000000000" },
		{ &user, "CapPrm", "0000000000000000" },
		{ &user, "CapEff", "0000000000000000" },
		{ &user, "CapBnd", "0000000000000000" },
		{ &user, "CapAmb", "0000000000000000" },
		{ &root, "Uid", "0\t0\t0\t0" },
		{ &root, "CapPrm", "0000000000000000" },
		{ &root, "CapEff", "0000000000000000" },
		{ &root, "CapBnd", "0000000000000000" },
	};

	if (getuid() != 0) {
		printf("SKIP not root: becoming another user\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *got = status_after(become, rows[i].user, rows[i].field);

		ck_assert_str_eq(got, rows[i].want);
		free(got);
	}
}
END_TEST

START_TEST(test_lock)
{
	const struct privs_user user = { getuid() ? getuid() : 61190, getgid(), { 0 }, 0 };
	char *got = status_after(become_and_lock, &user, "NoNewPrivs");

	ck_assert_str_eq(got, "1");
	free(got);
	got = status_after(become_and_lock, &user, "CapEff");
	ck_assert_str_eq(got, "0000000000000000");
	free(got);
}
END_TEST

/* Core files and ptrace: a locked process is not dumpable, so its /proc belongs to root. */
START_TEST(test_lock_not_dumpable)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct err err = { 0 };

		_exit(privs_lock(0, &err) || prctl(PR_GET_DUMPABLE) != 0 ||
		      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_become_not_root)
{
	static const struct privs_user other = { 61195, 61195, { 0 }, 0 };
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct err err = { 0 };

		if (getuid() == 0 && (setgroups(0, NULL) || setresgid(61190, 61190, 61190) ||
					 setresuid(61190, 61190, 61190)))
			_exit(2);
		_exit(privs_become(&other, &err) == ERR_IO ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

TEST_MAIN("platform/privs", test_lookup, test_remedy, test_groups_of_name, test_become, test_lock,
    test_lock_not_dumpable, test_become_not_root)
