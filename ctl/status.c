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
	{ "keyd", "2020-09-01", true },
	{ "certd", "2020-09-01", true },
	{ "identityd", "2020-09-01", true },
	{ "tpmd", "2020-09-01", false },
	{ "edged", "2018-06-28", true },
};

enum err_code
status_collect(const char *run_dir, const char *edged, struct status_report *ret, struct err *err)
{
	struct status_report report = { 0 };

	if (gethostname(report.hostname, sizeof(report.hostname) - 1))
		return err_errno(err, "could not get the host name");
	for (size_t i = 0; i < STATUS_ROWS; i++) {
		struct status_row *row = &report.rows[i];
		bool is_edged = strcmp(daemons[i].daemon, "edged") == 0;

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

/* Peers' words on a terminal: one line, no control bytes. */
static void
put_safe(const char *text, FILE *out)
{
	for (const unsigned char *p = (const unsigned char *)(text ? text : ""); *p; p++)
		fputc(*p == '\n' ? ';' : (*p < 0x20 || *p == 0x7f) ? '?' : *p, out);
}

static void
print_row(const struct status_row *row, int64_t now, FILE *out)
{
	char since[32];

	if (!row->answered) {
		bool absent = row->err.code == ERR_UNREACHABLE;

		fprintf(out, "  %-10s %-5s ", row->daemon,
		    absent ? (row->required ? "DOWN" : "-") : "FAIL");
		put_safe(row->err.text, out);
		fputc('\n', out);
		return;
	}
	age(row->status.started, now, since, sizeof(since));
	fprintf(out, "  %-10s %-5s up %-8s ", row->daemon, row->status.ok ? "ok" : "FAIL", since);
	put_safe(row->status.detail, out);
	fputc('\n', out);
	for (size_t i = 0; i < row->status.facts.n; i++) {
		fprintf(out, "  %-10s       ", "");
		put_safe(row->status.facts.at[i].key, out);
		fputs(": ", out);
		put_safe(row->status.facts.at[i].value, out);
		fputc('\n', out);
	}
}

static void
print_certificates(const struct status_resp *s, FILE *out)
{
	for (size_t i = 0; i < s->certificates.n; i++) {
		const struct status_certificate *c = &s->certificates.at[i];

		fprintf(out, "  %-12s ", i == 0 ? "certificates" : "");
		put_safe(c->id, out);
		if (c->days_left < 0)
			fprintf(out, "  EXPIRED %lld days ago", (long long)-c->days_left);
		else
			fprintf(out, "  %lld days left", (long long)c->days_left);
		fputs(" (", out);
		put_safe(c->subject, out);
		fputs(")\n", out);
	}
}

static void
print_modules(const struct status_resp *s, FILE *out)
{
	for (size_t i = 0; i < s->modules.n; i++) {
		fprintf(out, "  %-12s ", i == 0 ? "modules" : "");
		put_safe(s->modules.at[i].name, out);
		fputs("  ", out);
		put_safe(s->modules.at[i].state, out);
		fputc('\n', out);
	}
}

static void
print_device(const struct status_resp *s, FILE *out)
{
	fprintf(out, "  %-12s ", "device");
	if (!s->device) {
		fputs("not provisioned\n", out);
		return;
	}
	put_safe(s->device->id, out);
	fputs(" on ", out);
	put_safe(s->device->hub, out);
	if (s->device->source) {
		fputs(" (", out);
		put_safe(s->device->source, out);
		fputc(')', out);
	}
	fputc('\n', out);
}

void
status_print_text(const struct status_report *report, int64_t now, FILE *out)
{
	fprintf(out, "%s: %s\n\n", report->hostname,
	    status_all_well(report) ? "all daemons can do their job" : "ATTENTION");
	for (size_t i = 0; i < STATUS_ROWS; i++)
		print_row(&report->rows[i], now, out);
	fputc('\n', out);
	for (size_t i = 0; i < STATUS_ROWS; i++) {
		const struct status_row *row = &report->rows[i];

		if (!row->answered)
			continue;
		if (strcmp(row->daemon, "identityd") == 0)
			print_device(&row->status, out);
		print_certificates(&row->status, out);
		print_modules(&row->status, out);
	}
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
