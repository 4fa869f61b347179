#include "tests/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static mode_t
mode_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static size_t
entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void
holds(const char *path, const char *want)
{
	AUTO(bytes_done) struct bytes is = support_read(path);

	ck_assert_str_eq((char *)is.data, want);
}

START_TEST(test_read)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	const char *path = support_path("file");
	struct err err = { 0 };

	ck_err(file_read(path, 10, &out, &err), ERR_NOT_FOUND);
	support_write(path, "0123456789");
	ck_ok(file_read(path, 10, &out, &err));
	ck_assert_uint_eq(out.len, 10);
	bytes_done(&out);
	ck_err(file_read(path, 9, &out, &err), ERR_INVALID);
	ck_assert_ptr_null(out.data);
	support_write(path, "");
	ck_ok(file_read(path, 0, &out, &err));
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(test_read_other)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	struct err err = { 0 };

	ck_err(file_read(support_tmpdir(), 10, &out, &err), ERR_INVALID);
	ck_err(file_read("/dev/zero", 10, &out, &err), ERR_INVALID);
	/* a FIFO without a writer must not hang us */
	ck_assert_int_eq(mkfifo(support_path("fifo"), 0600), 0);
	ck_err(file_read(support_path("fifo"), 10, &out, &err), ERR_INVALID);
}
END_TEST

START_TEST(test_write)
{
	const char *path = support_path("file");
	struct err err = { 0 };

	umask(0077);
	ck_ok(file_write(path, 0644, "one", 3, &err));
	holds(path, "one");
	/* exactly the mode that was asked for, and nothing left beside */
	ck_assert_int_eq(mode_of(path), 0644);
	umask(0);
	ck_ok(file_write(path, 0600, "two", 3, &err));
	holds(path, "two");
	ck_assert_int_eq(mode_of(path), 0600);
	ck_ok(file_write(path, 0600, NULL, 0, &err));
	holds(path, "");
	ck_assert_uint_eq(entries(support_tmpdir()), 1);
}
END_TEST

START_TEST(test_write_fails)
{
	struct err err = { 0 };

	ck_err(file_write(support_path("no/file"), 0600, "x", 1, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(mkdir(support_path("dir"), 0700), 0);
	ck_err(file_write(support_path("dir"), 0600, "x", 1, &err), ERR_IO);
	ck_assert_uint_eq(entries(support_tmpdir()), 1);
}
END_TEST

/* A link is replaced, not followed: what it names stays as it was. */
START_TEST(test_write_link)
{
	struct err err = { 0 };

	support_write(support_path("target"), "old");
	ck_assert_int_eq(symlink("target", support_path("link")), 0);
	ck_ok(file_write(support_path("link"), 0600, "new", 3, &err));
	holds(support_path("target"), "old");
	holds(support_path("link"), "new");
	ck_assert_int_eq(symlink("nowhere", support_path("dangling")), 0);
	ck_err(file_create(support_path("dangling"), 0600, "new", 3, &err), ERR_CONFLICT);
}
END_TEST

START_TEST(test_create)
{
	const char *path = support_path("file");
	struct err err = { 0 };

	ck_ok(file_create(path, 0640, "one", 3, &err));
	ck_assert_int_eq(mode_of(path), 0640);
	ck_err(file_create(path, 0600, "two", 3, &err), ERR_CONFLICT);
	holds(path, "one");
	ck_assert_uint_eq(entries(support_tmpdir()), 1);
}
END_TEST

/* What a crash left is not in the way of further writes, however much there is of it, and goes with a sweep, which takes nothing else. */
START_TEST(test_sweep)
{
	const char *path = support_path("file");
	char name[24];
	struct err err = { 0 };

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), ".new-%d", i);
		support_write(support_path(name), "half");
		ck_ok(file_write(path, 0600, name, strlen(name), &err));
		holds(path, name);
		ck_assert_uint_eq(entries(support_tmpdir()), (size_t)i + 2);
	}
	/* some had ended before the crash */
	ck_assert_int_eq(unlink(support_path(".new-0")), 0);
	for (int i = 20; i < 20 + FILE_WRITERS_MAX - 1; i++) {
		snprintf(name, sizeof(name), ".new-%d", i);
		ck_assert_int_eq(unlink(support_path(name)), 0);
	}
	support_write(support_path(".new-"), "not ours");
	support_write(support_path(".new-x"), "not ours");
	support_write(support_path("new-1"), "not ours");
	file_sweep(support_tmpdir());
	ck_assert_uint_eq(entries(support_tmpdir()), 4);
	file_sweep(support_path("nowhere"));
	file_sweep(path);
	ck_assert_uint_eq(entries(support_tmpdir()), 4);
}
END_TEST

/* A planted link is not followed. */
START_TEST(test_planted)
{
	struct err err = { 0 };

	ck_assert_int_eq(symlink("victim", support_path(".new-0")), 0);
	support_write(support_path("victim"), "whole");
	ck_ok(file_write(support_path("file"), 0600, "new", 3, &err));
	holds(support_path("victim"), "whole");
	holds(support_path("file"), "new");
}
END_TEST

START_TEST(test_rename)
{
	const char *from = support_path("from"), *to = support_path("to");
	struct err err = { 0 };

	ck_err(file_rename(from, to, &err), ERR_NOT_FOUND);
	support_write(from, "one");
	support_write(to, "two");
	ck_ok(file_rename(from, to, &err));
	holds(to, "one");
	ck_assert_uint_eq(entries(support_tmpdir()), 1);
}
END_TEST

START_TEST(test_remove)
{
	const char *path = support_path("file");
	struct err err = { 0 };

	ck_ok(file_remove(path, &err));
	support_write(path, "x");
	ck_ok(file_remove(path, &err));
	ck_assert_uint_eq(entries(support_tmpdir()), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_err(file_remove(path, &err), ERR_IO);
}
END_TEST

START_TEST(test_mkdirs)
{
	struct err err = { 0 };

	umask(0077);
	ck_ok(file_mkdirs(support_path("a/b/c"), 0711, &err));
	/* whatever the umask: module sockets lie in such a directory */
	ck_assert_int_eq(mode_of(support_path("a")), 0711);
	ck_assert_int_eq(mode_of(support_path("a/b/c")), 0711);
	ck_ok(file_mkdirs(support_path("a/b/c"), 0700, &err));
	ck_assert_int_eq(mode_of(support_path("a/b/c")), 0711);
	ck_ok(file_mkdirs(support_path("a/b/d/"), 0700, &err));
	ck_assert_int_eq(mode_of(support_path("a/b/d")), 0700);
	support_write(support_path("file"), "");
	ck_err(file_mkdirs(support_path("file"), 0700, &err), ERR_CONFLICT);
	ck_err(file_mkdirs(support_path("file/x"), 0700, &err), ERR_IO);
	ck_ok(file_mkdirs("/", 0700, &err));
}
END_TEST

START_TEST(test_sync_dir)
{
	struct err err = { 0 };

	ck_ok(file_sync_dir(support_path("any"), &err));
	ck_ok(file_sync_dir("/any", &err));
	ck_ok(file_sync_dir("any", &err));
	ck_err(file_sync_dir(support_path("no/any"), &err), ERR_NOT_FOUND);
}
END_TEST

TEST_MAIN("base/file", test_read, test_read_other, test_write, test_write_fails, test_write_link,
    test_create, test_rename, test_sweep, test_planted, test_remove, test_mkdirs, test_sync_dir)
