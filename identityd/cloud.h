#ifndef IDENTITYD_CLOUD_H
#define IDENTITYD_CLOUD_H

#include <stdbool.h>

#include "base/mem.h"
#include "client/keyd.h"
#include "client/tpmd.h"
#include "platform/sandbox.h"

/*
 * How this device speaks to DPS and IoT Hub: a token for each request, minted here and signed by keyd or tpmd, repeats for what
 * passes, and a deadline over all of it (contracts/identityd.md 6.1, cloud-dps.md 4 and 5).  Thread-safe; holds no lock while it
 * waits.  The only place that knows of http/https_client.
 */
struct cloud;

struct cloud_config {
	struct keyd_client *keyd;
	struct tpmd_client *tpmd; /* NULL where no TPM is configured */
	unsigned timeout_ms;	  /* of one request */
	unsigned retries;	  /* repeats after a failed connection or an answer >= 500 */
	/* Waits in place of cloud_pause's own way, for tests; false: stop. */
	bool (*pause)(void *ctx, unsigned ms);
	void *pause_ctx;
};

enum err_code cloud_new(
    const struct cloud_config *config, struct cloud **ret, struct err *err) MUST_CHECK;
void cloud_free(struct cloud *c);
/* Single-threaded, before the policy: what libcurl and the resolver open once. */
enum err_code cloud_warm_up(struct err *err) MUST_CHECK;
/* Files and directories of TLS trust, for the policy. */
enum err_code cloud_trust_paths(struct sandbox_paths *paths, struct err *err) MUST_CHECK;

/* From another thread: every pause ends now and no further request is begun. */
void cloud_stop(struct cloud *c);
/* From another thread: every pause ends early, as if its time had passed. */
void cloud_wake(struct cloud *c);
/* Wait ms, give or take a quarter, so that a fleet does not move in step.  ERR_BUSY: cloud_stop was called. */
enum err_code cloud_pause(struct cloud *c, unsigned ms, struct err *err) MUST_CHECK;

struct cloud_call {
	const char *method, *url;
	const char *body;     /* JSON text; NULL: none */
	bool if_match;	      /* send `If-Match: *` */
	const char *key_id;   /* keyd's id of the device key; NULL: tpmd signs */
	const char *audience; /* encoded, as sas_audience gives it */
	const char *key_name; /* `skn`; NULL: none */
	uint64_t deadline_ms; /* monotonic, for all repeats together */
	bool once;	      /* no repeats: the caller has something else to fall back on */
};

struct cloud_reply {
	unsigned status;
	int retry_after; /* seconds, 1..300; -1 when absent */
	struct bytes body;
};
void cloud_reply_done(struct cloud_reply *reply);

/*
 * Any status is success.  A 401 is answered by one more token, 429 by waiting as told (Retry-After, else longer each time).
 * ERR_UNREACHABLE, ERR_TIMEOUT: no answer, also where the peer's certificate does not verify.  ERR_PROTOCOL: no HTTP, or cut off.
 * Other codes, "Key client error": the token could not be signed.
 */
enum err_code cloud_send(struct cloud *c, const struct cloud_call *call, struct cloud_reply *ret,
    struct err *err) MUST_CHECK;

#endif
