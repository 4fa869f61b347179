#include "support.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static char tmpdir[64];
static pid_t tmpdir_owner;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
remove_tmpdir(void)
{
	if (tmpdir_owner == getpid())
		nftw(tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
support_tmpdir(void)
{
	const char *base = getenv("TMPDIR");

	/* each forked test case has a directory of its own */
	if (tmpdir_owner == getpid())
		return tmpdir;
	snprintf(tmpdir, sizeof(tmpdir), "%s/ek.XXXXXX", base && strlen(base) < 40 ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(tmpdir));
	tmpdir_owner = getpid();
	atexit(remove_tmpdir);
	return tmpdir;
}

static char *kept[256];
static size_t n_kept;

static void
free_kept(void)
{
	for (size_t i = 0; i < n_kept; i++)
		free(kept[i]);
	n_kept = 0;
}

/* Under valgrind all cases run in one process; each shall find the directory as empty as a forked one does. */
static void
forget_directory(void)
{
	remove_tmpdir();
	tmpdir_owner = 0;
	free_kept();
}

int
support_run(const char *title, const TTest *const *cases, size_t n)
{
	Suite *suite = suite_create(title);
	TCase *tcase = tcase_create(title);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, NULL, forget_directory);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tcase, cases[i]);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

bool
support_valgrind(void)
{
	const char *forks = getenv("CK_FORK");

	return forks && strcmp(forks, "no") == 0;
}

const char *
support_path(const char *name)
{
	char *path = NULL;

	ck_assert_uint_lt(n_kept, ARRAY_LEN(kept));
	ck_assert_int_ge(asprintf(&path, "%s/%s", support_tmpdir(), name), 0);
	if (n_kept == 0)
		atexit(free_kept);
	kept[n_kept++] = path;
	return path;
}

struct bytes
support_read(const char *path)
{
	struct bytes content = { 0 };
	struct err err = { 0 };

	ck_ok(file_read(path, (size_t)64 << 20, &content, &err));
	return content;
}

void
support_write(const char *path, const char *text)
{
	struct err err = { 0 };

	ck_ok(file_write(path, 0600, text, strlen(text), &err));
}

struct bytes
support_hex(const char *hex)
{
	struct bytes out = { 0 };
	struct err err = { 0 };

	ck_assert_uint_eq(strlen(hex) % 2, 0);
	ck_ok(bytes_alloc(&out, strlen(hex) / 2, &err));
	for (size_t i = 0; i < out.len; i++)
		ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &out.data[i]), 1);
	return out;
}

char *
support_sh(const char *fmt, ...)
{
	char *command = NULL, *out = NULL;
	size_t len = 0;
	va_list ap;
	FILE *pipe;
	int status;

	va_start(ap, fmt);
	ck_assert_int_ge(vasprintf(&command, fmt, ap), 0);
	va_end(ap);
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	if (getdelim(&out, &len, '\0', pipe) < 0) {
		free(out);
		out = calloc(1, 1);
	}
	status = pclose(pipe);
	ck_assert_msg(status == 0, "%s: status %d", command, status);
	free(command);
	len = strlen(out);
	if (len && out[len - 1] == '\n')
		out[len - 1] = '\0';
	return out;
}

const char *
support_shared_data(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "../shared/data/%s", name);
	if (access(path, R_OK) == 0)
		return path;
	ck_assert_msg(
	    !getenv("CI") || strcmp(getenv("CI"), "true"), "%s must be there in CI", path);
	printf("SKIP %s is not beside this checkout\n", path);
	return NULL;
}
