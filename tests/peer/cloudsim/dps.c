#include "tests/peer/cloudsim/dps.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

/* Device Provisioning Service, device side: contracts/cloud-dps.md. */

#define REGISTRATION_ID_MAX 128

static const char *const api_versions[] = { "2018-09-01-preview", "2019-03-31", "2021-06-01",
	"2021-10-01", "2021-11-01-preview", "2025-07-01-preview", "2026-07-01-preview",
	"2026-11-01" };

void
dps_refuse(struct sim *s, struct exchange *x, unsigned status, int code, const char *verdict,
    const char *message)
{
	char now[CLOCK_RFC3339_LEN];
	char tracking[40];
	uint8_t random[8];

	(void)s;
	RAND_bytes(random, sizeof(random));
	snprintf(tracking, sizeof(tracking), "%02x%02x%02x%02x-%02x%02x-%02x%02x", random[0],
	    random[1], random[2], random[3], random[4], random[5], random[6], random[7]);
	clock_rfc3339(clock_unix(), "Z", now);
	x->status = status;
	x->verdict = verdict;
	x->dps = true;
	x->error_header = message;
	x->json = json_pack("{s:i, s:s, s:s, s:s}", "errorCode", code, "trackingId", tracking,
	    "message", message, "timestampUtc", now);
}

/* --- attestation */

/* `{idScope}/registrations/{registrationId}` (cloud-dps.md 4) */
static const char *
check_token(struct sim *s, struct exchange *x, const struct bytes *keys, size_t n_keys)
{
	char resource[512];
	struct claim claim = { resource, resource, "registration", keys, n_keys };
	const char *verdict;
	size_t key = 0;

	snprintf(resource, sizeof(resource), "%s/registrations/%s", s->scope, x->device);
	verdict = verify_token(x->authorization, &claim, clock_unix(), s->max_lifetime_s, &key);
	if (strcmp(verdict, "accepted") == 0)
		x->key = key ? "secondary" : "primary";
	return verdict;
}

/* An individual enrollment's keys are the device's; a group's sign the registration id to give them (cloud-dps.md 3). */
static const char *
prove_symmetric_key(
    struct sim *s, struct exchange *x, const struct enrollment *e, struct proof *ret)
{
	struct err err;

	ret->n_keys = e->n_keys;
	for (size_t i = 0; i < e->n_keys; i++) {
		uint8_t derived[32];

		if (e->registration_id) {
			if (bytes_copy(&ret->keys[i], e->keys[i].data, e->keys[i].len, &err))
				abort();
		} else if (!verify_hmac(&e->keys[i], x->device, strlen(x->device), derived) ||
			   bytes_copy(&ret->keys[i], derived, sizeof(derived), &err)) {
			abort();
		}
	}
	return check_token(s, x, ret->keys, ret->n_keys);
}

const struct attestation attestation_symmetric_key = { "symmetric key", prove_symmetric_key };

static void
proof_done(struct proof *p)
{
	bytes_done(&p->keys[0]);
	bytes_done(&p->keys[1]);
}

/* The enrollments that may vouch for a registration: its own, or else every group. */
static const char *
prove(struct sim *s, struct exchange *x, struct proof *ret)
{
	const char *verdict = "unknown-registration";

	for (size_t i = 0; i < s->n_enrollments; i++) {
		const struct enrollment *e = &s->enrollments[i];

		if (e->registration_id && strcasecmp(e->registration_id, x->device) == 0)
			return e->attestation->prove(s, x, e, ret);
	}
	for (size_t i = 0; i < s->n_enrollments; i++) {
		const struct enrollment *e = &s->enrollments[i];

		if (e->registration_id)
			continue;
		proof_done(ret);
		verdict = e->attestation->prove(s, x, e, ret);
		if (strcmp(verdict, "accepted") == 0)
			break;
	}
	return verdict;
}

/* --- what every call must bring along */

static bool
api_version_known(const char *version)
{
	for (size_t i = 0; version && i < ARRAY_LEN(api_versions); i++)
		if (strcmp(version, api_versions[i]) == 0)
			return true;
	return false;
}

/* ASCII alphanumerics and "- . _ :", the last one alphanumeric or '-' (cloud-dps.md 2). */
static bool
registration_id_valid(const char *id)
{
	size_t len = strlen(id);

	return len <= REGISTRATION_ID_MAX &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:") ==
		   len &&
	       !strchr("._:", id[len - 1]);
}

static bool
admit(struct sim *s, struct exchange *x, struct proof *proof)
{
	const char *verdict;

	if (!api_version_known(x->api_version))
		dps_refuse(s, x, 400, 400000, "bad-api-version", "Bad Request");
	else if (!registration_id_valid(x->device))
		dps_refuse(s, x, 400, 400000, "bad-registration-id", "Bad Request");
	else if (strcasecmp(x->segment[0], s->scope) != 0)
		dps_refuse(s, x, 404, 404202, "unknown-scope", "Resource not found");
	else {
		verdict = prove(s, x, proof);
		if (strcmp(verdict, "accepted") == 0)
			return true;
		if (strcmp(verdict, "unknown-registration") == 0)
			dps_refuse(s, x, 404, 404201, verdict, "Enrollment not found");
		else
			dps_refuse(s, x, 401, 401002, verdict, "Unauthorized");
	}
	return false;
}

/* The body must be JSON and speak of the registration in the path. */
static bool
body_fits(struct sim *s, struct exchange *x)
{
	json_t *body;
	const char *id;
	bool same;

	if (!x->content_type || strncasecmp(x->content_type, "application/json", 16) != 0 ||
	    (x->content_type[16] && !strchr("; ", x->content_type[16]))) {
		dps_refuse(s, x, 415, 415000, "wrong-content-type", "Unsupported Media Type");
		return false;
	}
	body = json_loadb(x->body.data, x->body.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(body)) {
		json_decref(body);
		dps_refuse(s, x, 400, 400000, "bad-body", "Bad Request");
		return false;
	}
	id = json_string_value(json_object_get(body, "registrationId"));
	same = id && strcasecmp(id, x->device) == 0;
	json_decref(body);
	if (!same)
		dps_refuse(s, x, 400, 400000, "id-mismatch", "Bad Request");
	return same;
}

/* --- operations */

void
operation_done(struct operation *op)
{
	str_freep(&op->registration_id);
	bytes_done(&op->keys[0]);
	bytes_done(&op->keys[1]);
	*op = (struct operation){ 0 };
}

/* In a ring, so that a device which registers for ever costs nothing. */
static const struct operation *
operation_new(struct sim *s, const char *registration_id, struct proof *proof)
{
	struct operation *op = &s->operations[s->n_operations++ % OPERATIONS_MAX];
	struct err err;
	uint8_t r[24];

	operation_done(op);
	if (str_copy(&op->registration_id, registration_id, &err) || RAND_bytes(r, sizeof(r)) != 1)
		abort();
	snprintf(op->id, sizeof(op->id),
	    "4.%02x%02x%02x%02x%02x%02x%02x%02x.%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%"
	    "02x%02x%02x%02x%02x",
	    r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
	    r[14], r[15], r[16], r[17], r[18], r[19], r[20], r[21], r[22], r[23]);
	op->n_keys = proof->n_keys;
	for (size_t i = 0; i < proof->n_keys; i++)
		op->keys[i] = bytes_take(&proof->keys[i]);
	return op;
}

static struct operation *
operation_find(struct sim *s, const char *registration_id, const char *id)
{
	for (size_t i = 0; i < OPERATIONS_MAX; i++) {
		struct operation *op = &s->operations[i];

		if (op->registration_id && strcmp(op->id, id) == 0 &&
		    strcasecmp(op->registration_id, registration_id) == 0)
			return op;
	}
	return NULL;
}

static void
answer_assigning(struct sim *s, struct exchange *x, const char *operation_id)
{
	json_decref(x->json);
	x->status = 202;
	x->retry_after = s->retry_after;
	x->json = json_pack("{s:s, s:s}", "operationId", operation_id, "status", "assigning");
}

static json_t *
registration_state(struct sim *s, const char *registration_id, const char *status)
{
	char now[CLOCK_RFC3339_LEN];

	clock_rfc3339(clock_unix(), "Z", now);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "registrationId",
	    registration_id, "createdDateTimeUtc", now, "assignedHub", s->hub, "deviceId",
	    registration_id, "status", status, "substatus", "initialAssignment",
	    "lastUpdatedDateTimeUtc", now, "etag", "IjBlMDA5OGJjLTAwMDAtMDEwMCI=");
}

void
dps_register(struct sim *s, struct exchange *x)
{
	AUTO(proof_done) struct proof proof = { 0 };

	x->dps = true;
	if (admit(s, x, &proof) && body_fits(s, x))
		answer_assigning(s, x, operation_new(s, x->device, &proof)->id);
}

void
dps_poll(struct sim *s, struct exchange *x)
{
	AUTO(proof_done) struct proof proof = { 0 };
	struct operation *op;
	struct err err;

	x->dps = true;
	if (!admit(s, x, &proof))
		return;
	op = operation_find(s, x->device, x->segment[4]);
	if (!op) {
		dps_refuse(s, x, 404, 404204, "unknown-operation", "Operation not found");
		return;
	}
	if (op->polls++ < s->assigning_rounds) {
		answer_assigning(s, x, op->id);
		return;
	}
	if (sim_put_device(s, op->registration_id, op->keys, op->n_keys, &err)) {
		dps_refuse(s, x, 500, 500000, "broken", "Internal Server Error");
		return;
	}
	x->status = 200;
	x->json = json_pack("{s:s, s:s, s:o}", "operationId", op->id, "status", "assigned",
	    "registrationState", registration_state(s, op->registration_id, "assigned"));
}

void
dps_lookup(struct sim *s, struct exchange *x)
{
	AUTO(proof_done) struct proof proof = { 0 };

	x->dps = true;
	if (!admit(s, x, &proof) || !body_fits(s, x))
		return;
	if (!json_object_get(s->devices, x->device)) {
		dps_refuse(s, x, 404, 404201, "unassigned", "Registration not found");
		return;
	}
	x->status = 200;
	x->json = registration_state(s, x->device, "assigned");
}

void
dps_alter(struct sim *s, struct exchange *x, enum fault_kind kind)
{
	char *operation_id = x->segment[4];
	json_t *state;

	if (x->status != 200 && x->status != 202)
		return;
	if (kind == FAULT_ASSIGNING) {
		answer_assigning(s, x, operation_id);
		return;
	}
	json_decref(x->json);
	x->status = 200;
	x->retry_after = 0;
	if (kind == FAULT_DISABLED)
		state = json_pack(
		    "{s:s, s:s}", "registrationId", x->device, "status", fault_names[kind]);
	else
		state = json_pack("{s:s, s:s, s:i, s:s}", "registrationId", x->device, "status",
		    fault_names[kind], "errorCode", 400208, "errorMessage",
		    "Custom allocation failed: no hub specified");
	x->json = json_pack("{s:s, s:s, s:o}", "operationId", operation_id, "status",
	    fault_names[kind], "registrationState", state);
}
