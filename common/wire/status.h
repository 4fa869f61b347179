#ifndef WIRE_STATUS_H
#define WIRE_STATUS_H

#include "data/fields.h"
#include "platform/daemon.h"

/*
 * What a daemon says of itself: GET /status, an addition of ours to every daemon's routes (docs/compat.md), open to whoever may open
 * the socket, and what `edgekeep status` shows.  Health is the ability to do the job, not that the process runs (user-needs.md, need 10).
 */
#define STATUS_PATH "/status"

struct status_certificate {
	char *id;	   /* certd's id where it is known, else the file's name */
	char *subject;	   /* common name */
	char *expires;	   /* RFC 3339 */
	int64_t days_left; /* negative: expired */
};

struct status_device {
	char *id, *hub;
	char *source; /* "dps, symmetric_key" */
};

struct status_module {
	char *name, *state; /* "running" */
};

struct status_resp {
	char *daemon;	  /* "keyd" */
	char *version;	  /* of the program */
	char *started;	  /* RFC 3339 */
	char *sandbox;	  /* "kill, Landlock 7"; "off" */
	bool ok;	  /* it can do its job */
	char *detail;	  /* what it does, or why it cannot and the remedy */
	fields_map facts; /* further lines, name to value */
	FIELDS_LIST(struct status_certificate) certificates; /* certd */
	FIELDS_LIST(struct status_module) modules;	     /* edged */
	struct status_device *device;			     /* identityd; NULL: unprovisioned */
};

FIELDS_DECLARE(status_certificate);
FIELDS_DECLARE(status_device);
FIELDS_DECLARE(status_module);
FIELDS_DECLARE(status_resp);

/* Fill what is the same for all: daemon, version, started, sandbox; ok and detail as given (detail is copied). */
enum err_code status_begin(struct status_resp *s, const struct daemon *d, bool ok,
    const char *detail, struct err *err) MUST_CHECK;
/* Append a certificate that ends at not_after (Unix seconds); the strings are copied. */
enum err_code status_add_certificate(struct status_resp *s, const char *id, const char *subject,
    int64_t not_after, struct err *err) MUST_CHECK;
/* Append a module; both strings are copied. */
enum err_code status_add_module(
    struct status_resp *s, const char *name, const char *state, struct err *err) MUST_CHECK;
/* Append to facts; both strings are copied. */
enum err_code status_fact(
    struct status_resp *s, const char *name, const char *value, struct err *err) MUST_CHECK;

#endif
