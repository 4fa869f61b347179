#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include <stdio.h>

#include "base/mem.h"

/*
 * `edgekeep doctor keys`: keyd's own program examines its places for keys, as keyd's user and in a key worker's sandbox (keyd/doctor.h,
 * the roles "doctor" and "doctor-network"); here its report is read, and completed where a vendor's library ended it.
 */
struct doctor_line {
	char *kind; /* "ok", "note" or "bad" */
	char *place;
	char *code; /* "KD-305"; NULL for ok */
	char *text; /* ok: what is; else the title */
	char *cause, *remedy;
};

struct doctor_report {
	struct doctor_line *at;
	size_t n;
};

void doctor_report_done(struct doctor_report *r); /* for AUTO() */

/* What one process of keyd wrote, and how it ended. */
struct doctor_run {
	const char *text; /* NUL-terminated */
	int wait_status;  /* of waitpid() */
	bool timed_out;	  /* it was killed */
};

/*
 * Add what a run wrote.  ret_network: there is more to be seen as "doctor-network".  ERR_PROTOCOL: that is no report; text of its
 * standard error has said why.
 */
enum err_code doctor_read(const struct doctor_run *run, struct doctor_report *r, bool *ret_network,
    struct err *err) MUST_CHECK;

/* Run keyd and read its report.  uri: to be examined in place of the configured ones, or NULL. */
enum err_code doctor_collect(
    const char *uri, struct doctor_report *ret, struct err *err) MUST_CHECK;

bool doctor_all_well(const struct doctor_report *r); /* nothing bad; notes may be there */
void doctor_print_text(const struct doctor_report *r, FILE *out);
enum err_code doctor_print_json(
    const struct doctor_report *r, FILE *out, struct err *err) MUST_CHECK;

#endif
