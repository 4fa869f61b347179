#include "ctl/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/keyd_role.h"
#include "data/fields.h"
#include "data/uri.h"

#define REPORT_MAX    (1 << 20)
#define SILENCE_MS    30000 /* a step of the examination takes less */
#define WORDS_MAX     6
#define SIGSYS_STATUS 159 /* how a refused system call ends keyd */

static void
line_done(struct doctor_line *line)
{
	char **const texts[] = { &line->kind, &line->place, &line->code, &line->text, &line->cause,
		&line->remedy };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		str_freep(texts[i]);
}

void
doctor_report_done(struct doctor_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		line_done(&r->at[i]);
	free(r->at);
	*r = (struct doctor_report){ 0 };
}

/* --- reading */

static enum err_code
add(struct doctor_report *r, const struct doctor_line *words, struct err *err)
{
	struct doctor_line *grown = reallocarray(r->at, r->n + 1, sizeof(*r->at));
	struct doctor_line *line;

	if (!grown)
		return err_nomem(err);
	r->at = grown;
	line = &grown[r->n++];
	*line = (struct doctor_line){ 0 };
	if (str_copy(&line->kind, words->kind, err) || str_copy(&line->place, words->place, err) ||
	    str_copy(&line->text, words->text, err))
		return err->code;
	if (!words->code)
		return ERR_OK;
	if (str_copy(&line->code, words->code, err) || str_copy(&line->cause, words->cause, err) ||
	    str_copy(&line->remedy, words->remedy, err))
		return err->code;
	return ERR_OK;
}

struct reading {
	struct doctor_report *report;
	char *place, *step; /* the last one begun; of the text */
	bool network, ended;
};

static size_t
split(char *line, char *words[WORDS_MAX])
{
	size_t n = 0;

	do
		words[n++] = strsep(&line, "\t");
	while (line && n < WORDS_MAX);
	return n;
}

/* A vendor's words are among it, and labels from a token: nothing of them is other than text, or speaks to a terminal. */
static void
clean(char *line)
{
	const size_t len = strlen(line);

	for (size_t at = 0; at < len; at++) {
		at += uri_utf8_prefix((struct text){ line + at, len - at });
		if (at < len)
			line[at] = '?';
	}
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)line[i], next = (unsigned char)line[i + 1];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			line[i] = '?';
		else if (c == 0xc2 && next < 0xa0) /* C1 */
			line[i] = line[i + 1] = '?';
	}
}

static enum err_code
read_line(struct reading *r, char *line, struct err *err)
{
	char *words[WORDS_MAX];
	size_t n;

	clean(line);
	n = split(line, words);

	if (n == 1 && strcmp(words[0], "network") == 0) {
		r->network = true;
		return ERR_OK;
	}
	if (n == 1 && strcmp(words[0], "confine") == 0) {
		r->step = NULL;
		return ERR_OK;
	}
	if (n == 1 && strcmp(words[0], "end") == 0) {
		r->ended = true;
		return ERR_OK;
	}
	if (n == 3 && strcmp(words[0], "step") == 0) {
		r->place = words[1];
		r->step = words[2];
		return ERR_OK;
	}
	if (n == 3 && strcmp(words[0], "ok") == 0)
		return add(r->report,
		    &(struct doctor_line){ .kind = words[0], .place = words[1], .text = words[2] },
		    err);
	if (n == WORDS_MAX && (strcmp(words[0], "bad") == 0 || strcmp(words[0], "note") == 0))
		return add(r->report,
		    &(struct doctor_line){
			words[0], words[1], words[2], words[3], words[4], words[5] },
		    err);
	return ERR_OK; /* what a module wrote to standard output */
}

/* keyd did not come to the end of its report: a vendor's library saw to that. */
static enum err_code
add_end(const struct reading *r, const struct doctor_run *run, struct err *err)
{
	int signal = WIFSIGNALED(run->wait_status) ? WTERMSIG(run->wait_status) : 0;
	struct doctor_line line = { .kind = (char *)"bad", .place = r->place };
	AUTO(str_freep) char *cause = NULL;

	if (run->timed_out) {
		line.code = (char *)"KD-108";
		line.text = (char *)"the library does not come back";
		line.remedy = (char *)"look whether its device or service answers, and at its log";
	} else if (WIFEXITED(run->wait_status) && WEXITSTATUS(run->wait_status) == SIGSYS_STATUS) {
		line.code = (char *)"KD-110";
		line.text = (char *)"the library does what the sandbox of key workers refuses";
		line.remedy =
		    (char *)"set network = true or paths for the backend, where it is that; "
			    "else report the call that was named";
	} else {
		line.code = (char *)"KD-109";
		line.text = (char *)"the library ended the process that it was loaded into";
		line.remedy = (char *)"report it to the library's vendor; keyd restarts its worker";
	}
	if (signal ? str_format(&cause, err, "while to %s: %s", r->step, strsignal(signal))
		   : str_format(&cause, err, "while to %s: status %d", r->step,
			 WEXITSTATUS(run->wait_status)))
		return err->code;
	line.cause = cause;
	return add(r->report, &line, err);
}

enum err_code
doctor_read(
    const struct doctor_run *run, struct doctor_report *report, bool *ret_network, struct err *err)
{
	struct reading r = { .report = report };
	AUTO(str_freep) char *text = NULL;
	char *rest, *line;

	if (str_copy(&text, run->text, err))
		return err->code;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (read_line(&r, line, err))
			return err->code;
	*ret_network = r.network;
	if (r.ended)
		return ERR_OK;
	if (!r.step)
		return err_set(err, ERR_PROTOCOL,
		    "keyd ended before it could examine its places, and has said why");
	return add_end(&r, run, err);
}

/* --- running keyd */

struct child {
	pid_t pid;
	int out; /* its standard output */
};

static void
become_keyd(const char *role, int in, int out)
{
	struct err err = { 0 };

	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		(void)!keyd_role_exec(role, &err);
	fprintf(stderr, "edgekeep: %s\n", err.text);
	_exit(127);
}

static enum err_code
start(const char *role, const char *uri, struct child *ret, struct err *err)
{
	size_t len = uri ? strlen(uri) : 0;
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC))
		return err_errno(err, "could not make a pipe");
	/* fits into the pipe; keyd reads until its end */
	if (len > 4096 || write(in[1], uri ? uri : "", len) != (ssize_t)len ||
	    pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return err_set(err, ERR_IO, "could not hand the URI to keyd");
	}
	ret->pid = fork();
	if (ret->pid == 0)
		become_keyd(role, in[0], out[1]);
	close(in[0]);
	close(in[1]);
	close(out[1]);
	ret->out = out[0];
	if (ret->pid > 0)
		return ERR_OK;
	close(out[0]);
	return err_errno(err, "could not start keyd");
}

/* Until its end, or a silence that is too long: false. */
static bool
hear(int fd, struct buf *out)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		uint8_t *room = buf_reserve(out, 4096);
		ssize_t n;

		if (!room)
			return true;
		if (poll(&poll_fd, 1, SILENCE_MS) == 0)
			return false;
		n = read(fd, room, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		buf_commit(out, (size_t)n);
	}
}

static enum err_code
run_role(const char *role, const char *uri, struct doctor_report *report, bool *ret_network,
    struct err *err)
{
	AUTO(buf_done) struct buf out = { .max = REPORT_MAX };
	AUTO(str_freep) char *text = NULL;
	struct doctor_run run = { 0 };
	struct child child = { -1, -1 };

	if (start(role, uri, &child, err))
		return err->code;
	run.timed_out = !hear(child.out, &out);
	close(child.out);
	if (run.timed_out)
		kill(child.pid, SIGKILL);
	while (waitpid(child.pid, &run.wait_status, 0) < 0 && errno == EINTR)
		continue;
	if (buf_take_string(&out, &text, err))
		return err->code;
	run.text = text;
	return doctor_read(&run, report, ret_network, err);
}

enum err_code
doctor_collect(const char *uri, struct doctor_report *ret, struct err *err)
{
	AUTO(doctor_report_done) struct doctor_report report = { 0 };
	bool network = false, none;

	if (run_role("doctor", uri, &report, &network, err))
		return err->code;
	if (network && run_role("doctor-network", uri, &report, &none, err))
		return err->code;
	*ret = report;
	report = (struct doctor_report){ 0 };
	return ERR_OK;
}

/* --- telling */

bool
doctor_all_well(const struct doctor_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->at[i].kind, "bad") == 0)
			return false;
	return true;
}

void
doctor_print_text(const struct doctor_report *r, FILE *out)
{
	const char *place = "";

	for (size_t i = 0; i < r->n; i++) {
		const struct doctor_line *line = &r->at[i];

		if (strcmp(place, line->place) != 0)
			fprintf(out, "%s%s\n", i ? "\n" : "", line->place);
		place = line->place;
		if (!line->code)
			fprintf(out, "  ok      %s\n", line->text);
		else
			fprintf(out, "  %s  %s%s\n          %s\n          -> %s\n", line->code,
			    strcmp(line->kind, "note") == 0 ? "(note) " : "", line->text,
			    line->cause, line->remedy);
	}
	fprintf(
	    out, "\n%s\n", doctor_all_well(r) ? "all is well" : "something is wrong, see above");
}

struct doctor_json {
	bool ok;
	FIELDS_LIST(struct doctor_line) lines;
};

FIELDS_DECLARE(doctor_json);

FIELDS_ARM(doctor_line_fields, doctor_line, STR(kind, "kind", REQUIRED),
    STR(place, "place", REQUIRED), STR(code, "code", OPTIONAL), STR(text, "text", REQUIRED),
    STR(cause, "cause", OPTIONAL), STR(remedy, "remedy", OPTIONAL));
FIELDS(doctor_json, BOOL(ok, "ok", REQUIRED), LIST(lines, "report", REQUIRED, doctor_line_fields));

enum err_code
doctor_print_json(const struct doctor_report *r, FILE *out, struct err *err)
{
	const struct doctor_json json = {
		.ok = doctor_all_well(r),
		.lines = { r->at, r->n },
	};
	AUTO(str_freep) char *text = NULL;

	if (fields_write_text(doctor_json_fields, &json, &text, err))
		return err->code;
	fprintf(out, "%s\n", text);
	return ERR_OK;
}
