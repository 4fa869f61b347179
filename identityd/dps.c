#include "identityd/dps.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "crypto/sas.h"
#include "data/uri.h"
#include "identityd/device.h"
#include "identityd/names.h"
#include "wire/dps.h"

#define OVERALL_MS 300000
#define POLL_S	   2 /* without Retry-After: at most 5 polls in 10 s are allowed (cloud-dps.md 5) */

struct registration {
	struct cloud *cloud;
	const struct dps_params *params;
	char *base; /* "https://host:port/<scope>/registrations/<id>" */
	char *audience;
	uint64_t deadline_ms;
};

void
dps_assignment_done(struct dps_assignment *a)
{
	str_freep(&a->hub);
	str_freep(&a->device_id);
}

static void
registration_done(struct registration *r)
{
	str_freep(&r->base);
	str_freep(&r->audience);
}

static enum err_code
begin(struct registration *r, struct err *err)
{
	const struct dps_params *p = r->params;
	AUTO(uri_done) struct uri u = { 0 };
	AUTO(str_freep) char *scope = NULL;
	AUTO(str_freep) char *id = NULL;

	r->deadline_ms = clock_mono_ms() + (p->overall_ms ? p->overall_ms : OVERALL_MS);
	if (uri_parse(p->endpoint, &u, err) ||
	    uri_encode(URI_UNRESERVED, text_of(p->scope_id), &scope, err) ||
	    uri_encode(URI_UNRESERVED, text_of(p->registration_id), &id, err) ||
	    sas_audience(p->scope_id, "registrations", p->registration_id, &r->audience, err))
		return err->code;
	return str_format(&r->base, err, "https://%s:%d/%s/registrations/%s", u.host,
	    u.port ? u.port : 443, scope, id);
}

/* What the service says against us, as a short printable text. */
static enum err_code
refused(const struct cloud_reply *reply, struct err *err)
{
	struct dps_error e = { 0 };
	char said[PEER_TEXT_MAX] = "";
	struct err ignored = { 0 };
	enum err_code code = reply->status >= 500 ? ERR_UNREACHABLE : ERR_PEER;

	if (fields_read_text(dps_error_fields, &e, text_of_bytes(&reply->body), &ignored) == ERR_OK)
		peer_text(e.error_message ? e.error_message : e.message, said, sizeof(said));
	if (said[0] && (e.has_error_code || e.has_code))
		err_set(err, code, "%s (error code %lld)", said,
		    (long long)(e.has_error_code ? e.error_code : e.code));
	else if (said[0])
		err_set(err, code, "%s", said);
	else
		err_set(err, code, "unexpected HTTP status code: %u", reply->status);
	err->status = (uint16_t)reply->status;
	dps_error_done(&e);
	return code;
}

static enum err_code
ask(struct registration *r, const char *method, const char *url, const char *body,
    struct dps_operation *ret, int *ret_wait_s, struct err *err)
{
	AUTO(cloud_reply_done) struct cloud_reply reply = { 0 };
	struct cloud_call call = {
		.method = method,
		.url = url,
		.body = body,
		.key_id = r->params->key_id,
		.audience = r->audience,
		.key_name = "registration",
		.deadline_ms = r->deadline_ms,
	};

	if (cloud_send(r->cloud, &call, &reply, err))
		return err->code;
	if (reply.status != 200 && reply.status != 202)
		return refused(&reply, err);
	if (fields_read_text(dps_operation_fields, ret, text_of_bytes(&reply.body), err))
		return err_wrap_code(err, ERR_PROTOCOL, "the answer cannot be understood");
	*ret_wait_s = reply.retry_after > 0 ? reply.retry_after : POLL_S;
	return ERR_OK;
}

/* Is the operation at its end?  ERR_OK with *ret filled: assigned; ERR_WOULD_BLOCK: not yet; else it failed. */
static enum err_code
judge(const struct dps_operation *op, struct dps_assignment *ret, struct err *err)
{
	const struct dps_registration_state *state = op->state;
	const char *status = op->status ? op->status : "assigning";
	AUTO(dps_assignment_done) struct dps_assignment out = { 0 };
	char said[PEER_TEXT_MAX];

	if (strcasecmp(status, "assigning") == 0 || strcasecmp(status, "unassigned") == 0)
		return ERR_WOULD_BLOCK;
	if (strcasecmp(status, "assigned") != 0) {
		peer_text(state && state->error_message ? state->error_message : status, said,
		    sizeof(said));
		err_set(err, ERR_PEER, "the registration is not assigned: %s", said);
		err->status = 200;
		return ERR_PEER;
	}
	if (!state || !state->assigned_hub || !state->device_id ||
	    !host_valid(state->assigned_hub) || !id_valid(state->device_id))
		return err_set(err, ERR_PROTOCOL, "the assignment names no usable hub and device");
	if (str_copy(&out.hub, state->assigned_hub, err) ||
	    str_copy(&out.device_id, state->device_id, err))
		return err->code;
	*ret = out;
	out = (struct dps_assignment){ 0 };
	return ERR_OK;
}

static enum err_code
poll_until_assigned(struct registration *r, const char *operation, int wait_s,
    struct dps_assignment *ret, struct err *err)
{
	AUTO(str_freep) char *id = NULL;
	AUTO(str_freep) char *url = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(operation), &id, err) ||
	    str_format(&url, err, "%s/operations/%s?api-version=" DPS_API_VERSION, r->base, id))
		return err->code;
	for (;;) {
		AUTO(dps_operation_done) struct dps_operation op = { 0 };
		enum err_code code;

		if (wait_s * 1000 >= clock_left_ms(r->deadline_ms))
			return err_set(err, ERR_TIMEOUT, "no hub was assigned in time");
		if (cloud_pause(r->cloud, (unsigned)wait_s * 1000, err))
			return err->code;
		if (ask(r, "GET", url, NULL, &op, &wait_s, err))
			return err->code;
		code = judge(&op, ret, err);
		if (code != ERR_WOULD_BLOCK)
			return code;
	}
}

static enum err_code
put_registration(struct registration *r, struct dps_assignment *ret, struct err *err)
{
	struct dps_register_req req = {
		.registration_id = (char *)r->params->registration_id,
		.payload = (char *)r->params->payload,
	};
	AUTO(dps_operation_done) struct dps_operation op = { 0 };
	AUTO(str_freep) char *url = NULL;
	AUTO(str_freep) char *body = NULL;
	enum err_code code;
	int wait_s = POLL_S;

	if (str_format(&url, err, "%s/register?api-version=" DPS_API_VERSION, r->base) ||
	    fields_write_text(dps_register_req_fields, &req, &body, err) ||
	    ask(r, "PUT", url, body, &op, &wait_s, err))
		return err->code;
	code = judge(&op, ret, err);
	if (code != ERR_WOULD_BLOCK)
		return code;
	if (!op.operation_id || !op.operation_id[0])
		return err_set(err, ERR_PROTOCOL, "the answer names no operation");
	return poll_until_assigned(r, op.operation_id, wait_s, ret, err);
}

enum err_code
dps_register(struct cloud *cloud, const struct dps_params *params, struct dps_assignment *ret,
    struct err *err)
{
	AUTO(registration_done) struct registration r = { .cloud = cloud, .params = params };

	if (begin(&r, err) || put_registration(&r, ret, err))
		return peer_failed(err, "DPS client error");
	return ERR_OK;
}
