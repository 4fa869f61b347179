#include "ctl/status.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/status.h"

static const struct {
	const char *daemon, *version;
	bool required;
} daemons[STATUS_ROWS] = {
	[STATUS_KEYD] = { "keyd", "2020-09-01", true },
	[STATUS_CERTD] = { "certd", "2020-09-01", true },
	[STATUS_IDENTITYD] = { "identityd", "2020-09-01", true },
	[STATUS_TPMD] = { "tpmd", "2020-09-01", false },
	[STATUS_EDGED] = { "edged", "2018-06-28", true },
};

enum err_code
status_collect(const char *run_dir, const char *edged, struct status_report *ret, struct err *err)
{
	struct status_report report = { 0 };

	if (gethostname(report.hostname, sizeof(report.hostname) - 1))
		return err_errno(err, "could not get the host name");
	for (size_t i = 0; i < STATUS_ROWS; i++) {
		struct status_row *row = &report.rows[i];
		bool is_edged = i == STATUS_EDGED;

		row->daemon = daemons[i].daemon;
		row->version = daemons[i].version;
		row->required = daemons[i].required;
		if (is_edged ? str_copy(&row->socket, edged, err)
			     : str_format(&row->socket, err, "%s/%s.sock", run_dir, row->daemon)) {
			status_report_done(&report);
			return err->code;
		}
		row->answered =
		    status_client_get(row->socket, row->version, &row->status, &row->err) == ERR_OK;
	}
	*ret = report;
	return ERR_OK;
}

void
status_report_done(struct status_report *report)
{
	for (size_t i = 0; i < STATUS_ROWS; i++) {
		str_freep(&report->rows[i].socket);
		status_resp_done(&report->rows[i].status);
	}
}

/* A daemon that nobody started is no fault where it is not required; one that runs and fails always is. */
static bool
row_well(const struct status_row *row)
{
	if (row->answered)
		return row->status.ok;
	return !row->required && row->err.code == ERR_UNREACHABLE;
}

bool
status_all_well(const struct status_report *report)
{
	for (size_t i = 0; i < STATUS_ROWS; i++)
		if (!row_well(&report->rows[i]))
			return false;
	return true;
}

/* "4 min", "3 h", "12 days" since an RFC 3339 time in UTC; "" where it cannot be read. */
static void
age(const char *started, int64_t now, char *out, size_t size)
{
	struct tm tm = { 0 };
	int64_t seconds;

	out[0] = '\0';
	if (!started || !strptime(started, "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	seconds = now - (int64_t)timegm(&tm);
	if (seconds < 120)
		snprintf(out, size, "%lld s", (long long)seconds);
	else if (seconds < 7200)
		snprintf(out, size, "%lld min", (long long)seconds / 60);
	else if (seconds < 172800)
		snprintf(out, size, "%lld h", (long long)seconds / 3600);
	else
		snprintf(out, size, "%lld days", (long long)seconds / 86400);
}

/* --- one screen for a reader: WIDTH columns, whatever peers say */

#define WIDTH	    100
#define DETAIL_AT   28 /* where a daemon's own words begin */
#define LIST_AT	    16 /* where the device, certificates, modules begin */
#define SUBJECT_MAX 36
#define CERTS_SHOWN 8
#define HASH_SUFFIX 69 /* "-", 64 digits, ".cer" behind what certd's file name keeps of an id */

struct screen {
	FILE *out;
	int column;
};

/* Peers' words on a terminal: one line, no control bytes.  Columns are counted by characters, not by bytes. */
static void
put_bytes(struct screen *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		fputc(c == '\n' ? ';' : (c < 0x20 || c == 0x7f) ? '?' : c, s->out);
		s->column += (c & 0xc0) != 0x80;
	}
}

static void
to_column(struct screen *s, int column)
{
	do
		fputc(' ', s->out);
	while (++s->column < column);
}

static void
end_line(struct screen *s)
{
	fputc('\n', s->out);
	s->column = 0;
}

static void
new_line(struct screen *s, int column)
{
	end_line(s);
	to_column(s, column);
}

/* Words, wrapped so that they stay between indent and WIDTH; only a word that is longer than a line goes beyond. */
static void
put_words(struct screen *s, int indent, const char *text)
{
	const char *at = text ? text : "";

	for (bool first = true; *at; first = false) {
		size_t len = strcspn(at, " ");

		if (!first && s->column + 1 + (int)len > WIDTH)
			new_line(s, indent);
		else if (!first)
			to_column(s, 0);
		put_bytes(s, at, len);
		at += len;
		at += strspn(at, " ");
	}
}

/* At most max columns of a text; an ellipsis says that there is more. */
static void
put_cut(struct screen *s, const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len <= max) {
		put_bytes(s, text, len);
		return;
	}
	for (len = max - 3; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	put_bytes(s, text, len);
	put_bytes(s, "...", 3);
}

static void
title(struct screen *s, const char *name)
{
	fprintf(s->out, "  %s", name);
	s->column = 2 + (int)strlen(name);
	to_column(s, LIST_AT);
}

static void
print_row(struct screen *s, const struct status_row *row, int64_t now)
{
	const char *word = row->status.ok ? "ok" : "FAIL";
	char since[32] = "";

	if (!row->answered) {
		word = row->err.code != ERR_UNREACHABLE ? "FAIL" : row->required ? "DOWN" : "-";
		s->column += fprintf(s->out, "  %-9s %s", row->daemon, word);
		to_column(s, DETAIL_AT);
		put_words(s, DETAIL_AT, row->err.text);
		end_line(s);
		return;
	}
	age(row->status.started, now, since, sizeof(since));
	s->column += fprintf(s->out, "  %-9s %-4s up %s", row->daemon, word, since);
	to_column(s, DETAIL_AT);
	put_words(s, DETAIL_AT, row->status.detail);
	end_line(s);
	for (size_t i = 0; i < row->status.facts.n; i++) {
		to_column(s, DETAIL_AT);
		put_words(s, DETAIL_AT, row->status.facts.at[i].key);
		put_bytes(s, ": ", 2);
		put_words(s, DETAIL_AT, row->status.facts.at[i].value);
		end_line(s);
	}
}

/* --- certificates, those that end soonest first */

static int
by_end(const void *a, const void *b)
{
	const struct status_certificate *x = a, *y = b;

	return (x->days_left > y->days_left) - (x->days_left < y->days_left);
}

static bool
is_hashed(const char *id, size_t len)
{
	const char *hash;

	if (len <= HASH_SUFFIX)
		return false;
	hash = id + len - HASH_SUFFIX;
	return hash[0] == '-' && strspn(hash + 1, "0123456789abcdef") == HASH_SUFFIX - 5 &&
	       strcmp(hash + HASH_SUFFIX - 4, ".cer") == 0;
}

/* A certificate whose id certd does not know has its file's name for one, and that ends in a digest which tells a reader nothing. */
static void
put_id(struct screen *s, const char *id)
{
	size_t len = strlen(id);
	char shown[WIDTH];

	if (is_hashed(id, len))
		len -= HASH_SUFFIX;
	if (len >= sizeof(shown))
		len = sizeof(shown) - 1;
	memcpy(shown, id, len);
	shown[len] = '\0';
	put_cut(s, shown, (size_t)(WIDTH - s->column));
}

static void
print_certificate(struct screen *s, const struct status_certificate *c, size_t subject_width)
{
	char left[48];

	put_cut(s, c->subject, SUBJECT_MAX);
	to_column(s, LIST_AT + (int)subject_width + 2);
	if (c->days_left < 0)
		snprintf(left, sizeof(left), "EXPIRED %lld days ago", (long long)-c->days_left);
	else
		snprintf(left, sizeof(left), "%lld days left", (long long)c->days_left);
	s->column += fprintf(s->out, "%-14s", left);
	to_column(s, 0);
	to_column(s, 0);
	put_id(s, c->id);
	end_line(s);
}

static void
print_certificates(struct screen *s, struct status_resp *resp)
{
	size_t n = resp->certificates.n, shown = n > CERTS_SHOWN ? CERTS_SHOWN : n, width = 0;

	if (n)
		qsort(resp->certificates.at, n, sizeof(resp->certificates.at[0]), by_end);
	for (size_t i = 0; i < shown; i++) {
		size_t len = strlen(resp->certificates.at[i].subject);

		width = len > width ? len : width;
	}
	for (size_t i = 0; i < shown; i++) {
		title(s, i == 0 ? "certificates" : "");
		print_certificate(
		    s, &resp->certificates.at[i], width > SUBJECT_MAX ? SUBJECT_MAX : width);
	}
	if (n > shown) {
		title(s, "");
		fprintf(s->out, "and %zu more that last longer; --json lists them", n - shown);
		end_line(s);
	}
}

/* --- modules, by their state */

static bool
is_first_of_state(const struct status_resp *resp, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(resp->modules.at[j].state, resp->modules.at[i].state) == 0)
			return false;
	return true;
}

static void
print_state(struct screen *s, const struct status_resp *resp, const char *state)
{
	bool first = true;

	put_bytes(s, state, strlen(state));
	put_bytes(s, ":", 1);
	for (size_t i = 0; i < resp->modules.n; i++) {
		const char *name = resp->modules.at[i].name;

		if (strcmp(resp->modules.at[i].state, state) != 0)
			continue;
		if (!first)
			put_bytes(s, ",", 1);
		if (s->column + 2 + (int)strlen(name) > WIDTH)
			new_line(s, LIST_AT);
		else
			to_column(s, 0);
		put_bytes(s, name, strlen(name));
		first = false;
	}
	end_line(s);
}

static void
print_modules(struct screen *s, const struct status_resp *resp)
{
	const char *name = "modules";

	for (size_t i = 0; i < resp->modules.n; i++) {
		if (!is_first_of_state(resp, i))
			continue;
		title(s, name);
		name = "";
		print_state(s, resp, resp->modules.at[i].state);
	}
}

static void
print_device(struct screen *s, const struct status_resp *resp)
{
	title(s, "device");
	if (!resp->device) {
		put_words(s, LIST_AT, "not provisioned");
		end_line(s);
		return;
	}
	put_words(s, LIST_AT, resp->device->id);
	put_bytes(s, " on ", 4);
	put_words(s, LIST_AT, resp->device->hub);
	if (resp->device->source) {
		put_bytes(s, " (", 2);
		put_words(s, LIST_AT, resp->device->source);
		put_bytes(s, ")", 1);
	}
	end_line(s);
}

void
status_print_text(struct status_report *report, int64_t now, FILE *out)
{
	struct status_row *certd = &report->rows[STATUS_CERTD],
			  *identityd = &report->rows[STATUS_IDENTITYD],
			  *edged = &report->rows[STATUS_EDGED];
	struct screen s = { .out = out };

	fprintf(out, "%s: %s\n\n", report->hostname,
	    status_all_well(report) ? "all daemons can do their job" : "ATTENTION");
	for (size_t i = 0; i < STATUS_ROWS; i++)
		print_row(&s, &report->rows[i], now);
	if (identityd->answered || certd->answered || edged->answered)
		end_line(&s);
	if (identityd->answered)
		print_device(&s, &identityd->status);
	if (certd->answered)
		print_certificates(&s, &certd->status);
	if (edged->answered)
		print_modules(&s, &edged->status);
}

/* The report on the wire of `--json`; a daemon's own answer stands in it as it came. */
struct status_json_row {
	char *daemon;
	bool ok;
	char *error;
	char *status; /* RAW */
};

struct status_json {
	char *hostname;
	bool ok;
	FIELDS_LIST(struct status_json_row) daemons;
};

FIELDS_DECLARE(status_json_row);
FIELDS_DECLARE(status_json);

FIELDS(status_json_row, STR(daemon, "daemon", REQUIRED), BOOL(ok, "ok", REQUIRED),
    STR(error, "error", OPTIONAL), RAW(status, "status", OPTIONAL));
FIELDS(status_json, STR(hostname, "hostname", REQUIRED), BOOL(ok, "ok", REQUIRED),
    LIST(daemons, "daemons", REQUIRED, status_json_row_fields));

static enum err_code
json_row(const struct status_row *row, struct status_json_row *ret, struct err *err)
{
	ret->ok = row_well(row);
	if (str_copy(&ret->daemon, row->daemon, err))
		return err->code;
	if (row->answered)
		return fields_write_text(status_resp_fields, &row->status, &ret->status, err);
	return str_copy(&ret->error, row->err.text, err);
}

enum err_code
status_print_json(const struct status_report *report, FILE *out, struct err *err)
{
	AUTO(status_json_done) struct status_json json = { .ok = status_all_well(report) };
	AUTO(str_freep) char *text = NULL;

	if (str_copy(&json.hostname, report->hostname, err))
		return err->code;
	json.daemons.at = calloc(STATUS_ROWS, sizeof(*json.daemons.at));
	if (!json.daemons.at)
		return err_nomem(err);
	json.daemons.n = STATUS_ROWS;
	for (size_t i = 0; i < STATUS_ROWS; i++)
		if (json_row(&report->rows[i], &json.daemons.at[i], err))
			return err->code;
	if (fields_write_text(status_json_fields, &json, &text, err))
		return err->code;
	fprintf(out, "%s\n", text);
	return ERR_OK;
}
