#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/conformance/conformance.h"

/*
 * backend-conformance [OPTION...] file | pkcs11 | tpm | /path/to/library.so
 *
 *   --set NAME=VALUE   a parameter of the library
 *   --homedir DIR      where file and tpm keep keys
 *   --library PATH     pkcs11: the module
 *   --token URI        pkcs11: the token
 *   --tpmd PATH        tpm: tpmd's socket
 *   --deadline SECONDS of each row; 20
 *   --between COMMAND  run after each process; for a TPM that nobody clears
 *   --only TEXT        rows whose name contains it
 *   --verbose          with what the library writes to standard error
 *
 * Prints a table; the exit status is 0 when no row failed and some passed, 2 for wrong options.
 */

#define PARAMETERS_MAX 64
#define SLOTS	       4
#define SLOT_LEN       1024

/* Exit status of a row's process; none is 0, which is what a library that calls exit() would most likely say. */
enum verdict { OK = 39, FAILED, NOT_OFFERED };

/* What a row's processes and this one share. */
struct shared {
	char text[512];
	char ids[IDS_MAX][256];
	size_t n_ids;
	struct {
		size_t len;
		uint8_t data[SLOT_LEN];
	} slots[SLOTS];
};

struct target target;
const struct subject *subject;
static struct shared *shared;
static unsigned run, row_number; /* so that what cannot be deleted is in nobody's way */
static unsigned deadline_s = 20;
static const char *between;
static bool verbose;

/* --- for rows */

static noreturn void
end_row(enum verdict verdict, const char *fmt, va_list args)
{
	vsnprintf(shared->text, sizeof(shared->text), fmt, args);
	_exit(verdict);
}

void
fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_row(FAILED, fmt, args);
}

void
not_offered(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_row(NOT_OFFERED, fmt, args);
}

void
must(const char *what, enum outcome got, enum outcome wanted)
{
	static const char *const names[] = { "done", "refused (1)", "trouble (2)" };
	const char *said = subject->said();

	if (got != wanted)
		fail("%s: %s, not %s%s%s", what, names[got], names[wanted],
		    got != DONE && said[0] ? ": " : "", got != DONE ? said : "");
}

void
must_offer(const char *what, enum outcome got)
{
	if (got == REFUSED)
		not_offered("%s", what);
	must(what, got, DONE);
}

const char *
id_of(const char *name)
{
	char id[256];

	snprintf(id, sizeof(id), "conformance %08x%02x %s", run, row_number & 0xff, name);
	for (size_t i = 0; i < shared->n_ids; i++)
		if (strcmp(shared->ids[i], id) == 0)
			return shared->ids[i];
	if (shared->n_ids == IDS_MAX)
		fail("the row has more than %d ids", IDS_MAX);
	memcpy(shared->ids[shared->n_ids], id, sizeof(id));
	return shared->ids[shared->n_ids++];
}

void
keep(size_t slot, const struct bytes *value)
{
	if (value->len > SLOT_LEN)
		fail("%zu bytes are more than can be kept", value->len);
	shared->slots[slot].len = value->len;
	if (value->len)
		memcpy(shared->slots[slot].data, value->data, value->len);
}

struct bytes
kept(size_t slot)
{
	return (struct bytes){ shared->slots[slot].data, shared->slots[slot].len };
}

/* --- processes */

/* What the row has made goes, and what an interrupted run has left. */
static void
remove_ids(void)
{
	for (size_t i = 0; i < shared->n_ids; i++) {
		subject->remove(shared->ids[i], KEY_SYMMETRIC);
		subject->remove(shared->ids[i], KEY_PAIR);
	}
}

static noreturn void
run_step(step *go)
{
	if (!verbose && !freopen("/dev/null", "w", stderr))
		_exit(FAILED);
	log_init(verbose ? "debug" : "off", "conformance");
	subject->open();
	go();
	_exit(OK);
}

/* Exit status of the process, or -signal; -SIGALRM: it was ended at its deadline. */
static int
wait_for(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t end = clock_mono_ms() + deadline_s * 1000;
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		nanosleep(&pause, NULL);
		if (clock_mono_ms() < end)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -SIGALRM;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int
in_a_process(step *go)
{
	int status = FAILED;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		run_step(go);
	if (pid > 0)
		status = wait_for(pid);
	if (between && system(between) != 0)
		fprintf(stderr, "%s: failed\n", between);
	return status;
}

/* --- the table */

static enum verdict
judge(int status)
{
	if (status == OK || status == FAILED || status == NOT_OFFERED)
		return (enum verdict)status;
	if (status == -SIGALRM)
		snprintf(shared->text, sizeof(shared->text), "no answer within %u s", deadline_s);
	else if (status < 0)
		snprintf(shared->text, sizeof(shared->text), "crashed: %s", strsignal(-status));
	else
		snprintf(
		    shared->text, sizeof(shared->text), "ended the process with status %d", status);
	return FAILED;
}

static unsigned n_ok, n_failed, n_not_offered;

static enum verdict
run_row(const struct row *row)
{
	enum verdict verdict = OK;

	memset(shared, 0, sizeof(*shared));
	row_number++;
	for (size_t i = 0; i < ARRAY_LEN(row->steps) && row->steps[i] && verdict == OK; i++)
		verdict = judge(in_a_process(row->steps[i]));
	printf("  %-40s %-5s %s", row->name, row->clause,
	    verdict == OK	? "ok"
	    : verdict == FAILED ? "FAIL"
				: "-");
	printf(verdict == OK ? "\n" : ": %s\n", shared->text);
	in_a_process(remove_ids);
	return verdict;
}

static void
run_rows(const struct row *rows, size_t n, const char *only)
{
	for (size_t i = 0; i < n; i++) {
		if (only && !strstr(rows[i].name, only))
			continue;
		switch (run_row(&rows[i])) {
		case OK:
			n_ok++;
			break;
		case FAILED:
			n_failed++;
			break;
		case NOT_OFFERED:
			n_not_offered++;
			break;
		}
	}
}

static void
run_table(const struct subject *s, const char *only)
{
	subject = s;
	printf("%s, by %s\n  %-40s %-5s %s\n", target.library ? target.library : target.backend,
	    s->title, "check", "clause", "result");
	if (s->functions)
		run_rows(functions_rows, n_functions_rows, only);
	run_rows(common_rows, n_common_rows, only);
}

/* --- options */

static struct backend_parameter parameters[PARAMETERS_MAX];

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct backend_parameter *)a)->name,
	    ((const struct backend_parameter *)b)->name);
}

static bool
add_parameter(char *setting)
{
	char *value = strchr(setting, '=');

	if (!value || target.n_parameters == PARAMETERS_MAX)
		return false;
	*value++ = '\0';
	parameters[target.n_parameters++] = (struct backend_parameter){ setting, value };
	return true;
}

static const struct option options[] = {
	{ "set", required_argument, NULL, 's' },
	{ "homedir", required_argument, NULL, 'h' },
	{ "library", required_argument, NULL, 'l' },
	{ "token", required_argument, NULL, 't' },
	{ "tpmd", required_argument, NULL, 'T' },
	{ "deadline", required_argument, NULL, 'd' },
	{ "between", required_argument, NULL, 'b' },
	{ "only", required_argument, NULL, 'o' },
	{ "verbose", no_argument, NULL, 'v' },
	{ NULL },
};

static bool
read_options(int argc, char **argv, const char **only)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's':
			if (!add_parameter(optarg))
				return false;
			break;
		case 'h':
			target.homedir = optarg;
			break;
		case 'l':
			target.library = optarg;
			break;
		case 't':
			target.token = optarg;
			break;
		case 'T':
			target.tpmd = optarg;
			break;
		case 'd':
			deadline_s = (unsigned)atoi(optarg);
			break;
		case 'b':
			between = optarg;
			break;
		case 'o':
			*only = optarg;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return false;
		}
	return optind + 1 == argc && deadline_s > 0;
}

int
main(int argc, char **argv)
{
	const char *only = NULL;
	bool library;

	if (!read_options(argc, argv, &only)) {
		fprintf(stderr, "usage: backend-conformance [--set NAME=VALUE]... [--homedir DIR] "
				"[--library PATH] [--token URI] [--tpmd PATH] [--deadline SECONDS] "
				"[--between COMMAND] [--only TEXT] [--verbose] "
				"file|pkcs11|tpm|/path/to/library.so\n");
		return 2;
	}
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	run = (unsigned)clock_unix() ^ (unsigned)getpid() << 16;
	library = argv[optind][0] == '/';
	target.backend = library ? "plugin" : argv[optind];
	if (library)
		target.library = argv[optind];
	qsort(parameters, target.n_parameters, sizeof(*parameters), by_name);
	target.parameters = parameters;
	if (library)
		run_table(&functions_subject, only);
	run_table(&backend_subject, only);
	printf("%u ok, %u failed, %u not offered\n", n_ok, n_failed, n_not_offered);
	return n_failed > 0 || n_ok == 0;
}
