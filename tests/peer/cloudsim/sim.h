#ifndef CLOUDSIM_SIM_H
#define CLOUDSIM_SIM_H

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"

/*
 * A cloud in one process: the device side of DPS and the registry of IoT Hub, as far as a device speaks to them
 * (contracts/cloud-dps.md, cloud-iothub.md).  It judges what a device sends, so it shares no code with the devices' side beyond
 * common/base.
 */

/* What a request is about; names of them select faults and stand in the log. */
enum step {
	STEP_REGISTER,
	STEP_POLL,
	STEP_LOOKUP,
	STEP_LIST,
	STEP_GET,
	STEP_CREATE,
	STEP_UPDATE,
	STEP_DELETE,
	STEP_EVENT,
	STEP_OTHER,
	STEPS
};
extern const char *const step_names[];

/* One request, its answer and what was thought of it. */
struct exchange {
	const char *method, *path; /* path as sent, without query */
	const char *api_version, *authorization, *content_type, *if_match; /* NULL: absent */
	struct text body;
	bool loopback; /* the peer is on this machine and in our network namespace */

	char *segment[10]; /* of path, decoded */
	size_t n_segments;
	enum step step;
	const char *device, *module; /* borrowed from segment; a registration id counts as device */

	unsigned status;
	json_t *json;		  /* owned; NULL: empty body */
	int retry_after;	  /* 0: none */
	const char *error_header; /* value of iothub-errorcode or x-ms-error-code; NULL: none */
	bool dps;		  /* answered as DPS does: chunked, x-ms-error-code */
	const char *verdict;	  /* one word for the log; "accepted" when all is well */
	const char *key;   /* "primary" or "secondary": which one the token was signed with */
	const char *fault; /* kind that was applied, or NULL */
};

/* --- faults (fault.c) */

enum fault_kind {
	FAULT_DROP,
	FAULT_HANG,
	FAULT_401,
	FAULT_429,
	FAULT_500,
	FAULT_ASSIGNING,
	FAULT_FAILED,
	FAULT_DISABLED,
	FAULT_TRUNCATED,
	FAULT_NOT_JSON,
	FAULT_OVERSIZED,
	FAULT_EMPTY,
	FAULT_201,
	FAULT_KINDS
};
extern const char *const fault_names[];

struct fault {
	enum fault_kind kind;
	enum step step;	 /* STEPS: any */
	unsigned nth;	 /* strikes from the nth matching request on, counted from 1 */
	unsigned times;	 /* so many times; 0: for ever */
	bool after;	 /* DROP, HANG, 401, 429, 500: the request takes effect first */
	int retry_after; /* 429: seconds */
	unsigned seen;	 /* matching requests so far */
};

#define FAULTS_MAX 32

/* "KIND[:step=STEP][,nth=N][,times=N][,after][,retry-after=S]" */
enum err_code fault_parse(const char *spec, struct fault *ret, struct err *err) MUST_CHECK;

/* --- the cloud */

struct enrollment {
	char *registration_id; /* NULL: a group, whose members' keys derive from its own */
	struct bytes keys[2];
	size_t n_keys;
	const struct attestation *attestation;
	bool
	    seen; /* a device of it has been assigned: printed nowhere, kept for `GET /sim/state` */
};

struct operation {
	char id[64];
	char *registration_id;
	struct bytes keys[2]; /* that the device will have at the hub */
	size_t n_keys;
	unsigned polls;
};

#define ENROLLMENTS_MAX 256
#define OPERATIONS_MAX	64

enum error_shape { ERRORS_CLASSIC, ERRORS_JSON, ERRORS_EDGEHUB, ERRORS_EMPTY };
extern const char *const error_shape_names[];

struct sim {
	char *scope, *hub; /* id scope; name of the hub as devices get it, perhaps with a port */
	unsigned assigning_rounds, max_modules;
	int retry_after;
	int64_t max_lifetime_s; /* of a token, beyond which it counts as far-future */
	bool edge;		/* devices come with $edgeAgent and $edgeHub */
	enum error_shape errors;
	char *state_path; /* NULL: nothing is kept over a restart */
	FILE *log;

	pthread_mutex_t lock; /* over all that follows */
	struct enrollment enrollments[ENROLLMENTS_MAX];
	size_t n_enrollments;
	struct operation operations[OPERATIONS_MAX]; /* a ring: the oldest is forgotten */
	size_t n_operations;
	json_t *devices; /* id -> {"keys": [b64...], "modules": {id -> module}} */
	struct fault faults[FAULTS_MAX];
	size_t n_faults;
	unsigned long requests;
	bool stopping;
};

void sim_init(struct sim *s);
void sim_done(struct sim *s);

/* Add an enrollment; registration_id NULL: a group.  keys: "BASE64[,BASE64]". */
enum err_code sim_enroll(
    struct sim *s, const char *registration_id, const char *keys, struct err *err) MUST_CHECK;
/* Add a device to the hub's registry, without DPS.  One that is there already keeps its modules. */
enum err_code sim_add_device(
    struct sim *s, const char *id, const char *keys, struct err *err) MUST_CHECK;
/* The same with keys decoded; under lock. */
enum err_code sim_put_device(struct sim *s, const char *id, const struct bytes *keys, size_t n_keys,
    struct err *err) MUST_CHECK;
/* Read what an earlier run kept; no file is no error. */
enum err_code sim_load(struct sim *s, struct err *err) MUST_CHECK;
/* Keep the registry; under lock. */
enum err_code sim_save(const struct sim *s, struct err *err) MUST_CHECK;

/* What the transport shall do with the answer. */
enum deed { DEED_ANSWER, DEED_DROP, DEED_HANG, DEED_TRUNCATE, DEED_NOT_JSON, DEED_OVERSIZED };

/* Judge and serve one request, write its log line. */
enum deed sim_serve(struct sim *s, struct exchange *x);
void exchange_done(struct exchange *x);

/* --- rooms of it: each fills the exchange's answer, under lock */

typedef void sim_handler(struct sim *s, struct exchange *x);
sim_handler dps_register, dps_poll, dps_lookup;
sim_handler hub_list, hub_get, hub_put, hub_delete, hub_event, hub_event_device;
sim_handler control_faults, control_state;

/* Answer with an error in the shape of the service that the request was for. */
void dps_refuse(struct sim *s, struct exchange *x, unsigned status, int code, const char *verdict,
    const char *message);
void hub_refuse(struct sim *s, struct exchange *x, unsigned status, int code, const char *name,
    const char *verdict);
/* The refusals that faults make. */
void sim_refuse(struct sim *s, struct exchange *x, unsigned status, const char *verdict);

/* The fault that strikes this request, counted; false: none.  Under lock. */
bool fault_strike(struct sim *s, enum step step, struct fault *ret);
/* Add, list, clear; for the control path. */
enum err_code fault_add(struct sim *s, const struct fault *fault, struct err *err) MUST_CHECK;

/* One JSON line, flushed: time, method, path, step, ids, verdict, status.  Never a token, a key or a body. */
void log_exchange(struct sim *s, const struct exchange *x);

/* --- tokens (verify.c) */

struct claim {
	const char *least;    /* what the audience must name at least, "hub/devices/d" */
	const char *most;     /* the resource asked for: the audience may reach down to it */
	const char *key_name; /* `skn` that must be there; NULL: none may */
	const struct bytes *keys;
	size_t n_keys;
};

/* "accepted", or why not: no-authorization, bad-token, wrong-audience, expired, far-future, wrong-skn, wrong-key. */
const char *verify_token(const char *authorization, const struct claim *claim, int64_t now,
    int64_t max_lifetime_s, size_t *ret_key);
/* Percent-decoded copy; '+' becomes a space when form.  A bad escape stays as it is. */
char *verify_decode(const char *in, size_t len, bool form);
/* HMAC-SHA256 of text. */
bool verify_hmac(const struct bytes *key, const char *text, size_t len, uint8_t out[32]);

/* --- certificates (tls.c) */

/*
 * Make DIR/ca.pem with its key unless they are there, and a fresh server certificate from it for names (comma-separated DNS names
 * and addresses).  Both results are PEM.
 */
enum err_code tls_prepare(const char *dir, const char *names, char **ret_chain, char **ret_key,
    struct err *err) MUST_CHECK;

#endif
