#ifndef CTL_STATUS_H
#define CTL_STATUS_H

#include <stdbool.h>
#include <stdio.h>

#include "wire/status.h"

/* One daemon as `edgekeep status` finds it. */
struct status_row {
	const char *daemon;
	const char *version; /* api-version that it accepts */
	bool required;	     /* false: its absence is no failure (tpmd without a TPM) */
	char *socket;	     /* path */
	bool answered;	     /* status is filled */
	struct status_resp status;
	struct err err; /* why it did not answer */
};

enum { STATUS_KEYD, STATUS_CERTD, STATUS_IDENTITYD, STATUS_TPMD, STATUS_EDGED, STATUS_ROWS };

struct status_report {
	char hostname[256];
	struct status_row rows[STATUS_ROWS];
};

/*
 * Ask every daemon.
 *   run_dir   directory of keyd.sock, certd.sock, identityd.sock, tpmd.sock; usually /run/aziot
 *   edged     edged's management socket; usually /run/iotedge/mgmt.sock
 * A daemon that does not answer is part of the report, no error.  Free with status_report_done.
 */
enum err_code status_collect(
    const char *run_dir, const char *edged, struct status_report *ret, struct err *err) MUST_CHECK;
void status_report_done(struct status_report *report);

/* Does every required daemon say that it can do its job? */
bool status_all_well(const struct status_report *report);

/*
 * One screen for a reader, 100 columns wide; now in Unix seconds, for "since".  Sorts the report's certificates by their end and
 * shows those that end soonest; puts modules together by state.
 */
void status_print_text(struct status_report *report, int64_t now, FILE *out);
/* The same as one JSON object: {"hostname","ok","daemons":[{"daemon","ok","error"?,...}]}. */
enum err_code status_print_json(
    const struct status_report *report, FILE *out, struct err *err) MUST_CHECK;

#endif
