#include "tests/peer/cloudsim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "base/b64.h"
#include "base/file.h"
#include "tests/peer/cloudsim/dps.h"

#define STATE_MAX ((size_t)16 << 20)

const char *const step_names[] = {
	[STEP_REGISTER] = "register",
	[STEP_POLL] = "poll",
	[STEP_LOOKUP] = "lookup",
	[STEP_LIST] = "list",
	[STEP_GET] = "get",
	[STEP_CREATE] = "create",
	[STEP_UPDATE] = "update",
	[STEP_DELETE] = "delete",
	[STEP_EVENT] = "event",
	[STEP_OTHER] = "other",
	[STEPS] = NULL,
};

/* The whole surface.  "*" is any segment. */
static const struct route {
	const char *method, *path[6];
	enum step step;
	sim_handler *handler;
	unsigned device_at, module_at; /* segments that name them, counted from 1; 0: none */
} routes[] = {
	{ "PUT", { "*", "registrations", "*", "register" }, STEP_REGISTER, dps_register, 3, 0 },
	{ "GET", { "*", "registrations", "*", "operations", "*" }, STEP_POLL, dps_poll, 3, 0 },
	{ "POST", { "*", "registrations", "*" }, STEP_LOOKUP, dps_lookup, 3, 0 },
	{ "GET", { "devices", "*", "modules" }, STEP_LIST, hub_list, 2, 0 },
	{ "GET", { "devices", "*", "modules", "*" }, STEP_GET, hub_get, 2, 4 },
	{ "PUT", { "devices", "*", "modules", "*" }, STEP_CREATE, hub_put, 2, 4 },
	{ "DELETE", { "devices", "*", "modules", "*" }, STEP_DELETE, hub_delete, 2, 4 },
	{ "POST", { "devices", "*", "modules", "*", "messages", "events" }, STEP_EVENT, hub_event,
	    2, 4 },
	{ "POST", { "devices", "*", "messages", "events" }, STEP_EVENT, hub_event_device, 2, 0 },
};

/* For whoever runs the simulator: reached from this machine only, no faults strike here. */
static const struct route controls[] = {
	{ "GET", { "sim", "faults" }, STEP_OTHER, control_faults, 0, 0 },
	{ "POST", { "sim", "faults" }, STEP_OTHER, control_faults, 0, 0 },
	{ "DELETE", { "sim", "faults" }, STEP_OTHER, control_faults, 0, 0 },
	{ "GET", { "sim", "state" }, STEP_OTHER, control_state, 0, 0 },
};

void
sim_init(struct sim *s)
{
	*s = (struct sim){
		.assigning_rounds = 1,
		.max_modules = 50,
		.retry_after = 1,
		.max_lifetime_s = 24 * 60 * 60,
		.devices = json_object(),
	};
	pthread_mutex_init(&s->lock, NULL);
}

void
sim_done(struct sim *s)
{
	for (size_t i = 0; i < s->n_enrollments; i++) {
		str_freep(&s->enrollments[i].registration_id);
		for (size_t k = 0; k < s->enrollments[i].n_keys; k++)
			bytes_done(&s->enrollments[i].keys[k]);
	}
	for (size_t i = 0; i < OPERATIONS_MAX; i++)
		operation_done(&s->operations[i]);
	json_decref(s->devices);
	str_freep(&s->scope);
	str_freep(&s->hub);
	str_freep(&s->state_path);
	if (s->log && s->log != stdout)
		fclose(s->log);
	pthread_mutex_destroy(&s->lock);
}

static enum err_code
parse_key(struct text in, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes key = { 0 };

	if (b64_decode(B64_STD, in, &key, err))
		return err_wrap(err, "a key is not base64");
	if (key.len < 16 || key.len > 64)
		return err_set(err, ERR_INVALID, "a key has 16 to 64 bytes");
	*ret = bytes_take(&key);
	return ERR_OK;
}

/* "BASE64[,BASE64]" */
static enum err_code
parse_keys(const char *in, struct bytes keys[2], size_t *ret_n, struct err *err)
{
	const char *comma = strchr(in, ',');
	struct text first = { in, comma ? (size_t)(comma - in) : strlen(in) };

	if (parse_key(first, &keys[0], err) ||
	    (comma && parse_key(text_of(comma + 1), &keys[1], err)))
		return err->code;
	*ret_n = comma ? 2 : 1;
	return ERR_OK;
}

enum err_code
sim_enroll(struct sim *s, const char *registration_id, const char *keys, struct err *err)
{
	struct enrollment *e = &s->enrollments[s->n_enrollments];

	if (s->n_enrollments == ENROLLMENTS_MAX)
		return err_set(err, ERR_INVALID, "more than %d enrollments", ENROLLMENTS_MAX);
	if (parse_keys(keys, e->keys, &e->n_keys, err) ||
	    (registration_id && str_copy(&e->registration_id, registration_id, err)))
		return err->code;
	e->attestation = &attestation_symmetric_key;
	s->n_enrollments++;
	return ERR_OK;
}

enum err_code
sim_add_device(struct sim *s, const char *id, const char *keys, struct err *err)
{
	struct bytes parsed[2] = { 0 };
	size_t n = 0;
	enum err_code code = parse_keys(keys, parsed, &n, err);

	if (!code)
		code = sim_put_device(s, id, parsed, n, err);
	bytes_done(&parsed[0]);
	bytes_done(&parsed[1]);
	return code;
}

enum err_code
sim_load(struct sim *s, struct err *err)
{
	AUTO(bytes_done) struct bytes text = { 0 };
	json_t *devices;

	if (!s->state_path)
		return ERR_OK;
	if (file_read(s->state_path, STATE_MAX, &text, err)) {
		if (err->code != ERR_NOT_FOUND)
			return err->code;
		err_clear(err);
		return ERR_OK;
	}
	devices = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(devices)) {
		json_decref(devices);
		return err_set(err, ERR_SYNTAX, "%s is not a state of this program", s->state_path);
	}
	json_decref(s->devices);
	s->devices = devices;
	return ERR_OK;
}

enum err_code
sim_save(const struct sim *s, struct err *err)
{
	AUTO(str_freep) char *text = NULL;

	if (!s->state_path)
		return ERR_OK;
	text = json_dumps(s->devices, JSON_INDENT(2));
	if (!text)
		return err_nomem(err);
	return file_write(s->state_path, 0600, text, strlen(text), err);
}

/* Devices and their modules, without keys. */
void
control_state(struct sim *s, struct exchange *x)
{
	const char *id, *module_id;
	json_t *device, *module;

	x->status = 200;
	x->json = json_pack("{s:s, s:s, s:{}}", "scope", s->scope, "hub", s->hub, "devices");
	json_object_foreach(s->devices, id, device)
	{
		json_t *modules = json_object();

		json_object_foreach(json_object_get(device, "modules"), module_id, module)
		{
			json_t *shown = json_copy(module);

			json_object_del(shown, "authentication");
			json_object_set_new(modules, module_id, shown);
		}
		json_object_set_new(json_object_get(x->json, "devices"), id, modules);
	}
}

/* --- a request */

static void
split_path(struct exchange *x)
{
	const char *from = x->path;

	while (*from == '/' && x->n_segments < ARRAY_LEN(x->segment)) {
		size_t len = strcspn(++from, "/");

		x->segment[x->n_segments++] = verify_decode(from, len, false);
		from += len;
	}
}

static bool
route_fits(const struct route *r, const struct exchange *x)
{
	size_t n = 0;

	for (; n < ARRAY_LEN(r->path) && r->path[n]; n++)
		if (n >= x->n_segments || !*x->segment[n] ||
		    (strcmp(r->path[n], "*") != 0 && strcmp(r->path[n], x->segment[n]) != 0))
			return false;
	return n == x->n_segments;
}

static const struct route *
find_route(const struct route *table, size_t n, const struct exchange *x, bool *ret_path_known)
{
	for (size_t i = 0; i < n; i++) {
		if (!route_fits(&table[i], x))
			continue;
		*ret_path_known = true;
		if (strcmp(table[i].method, x->method) == 0)
			return &table[i];
	}
	return NULL;
}

void
sim_refuse(struct sim *s, struct exchange *x, unsigned status, const char *verdict)
{
	static const struct {
		unsigned status;
		int code;
		const char *name;
	} names[] = {
		{ 401, 401002, "IotHubUnauthorizedAccess" },
		{ 429, 429001, "ThrottlingException" },
		{ 500, 500001, "ServerError" },
		{ 404, 404000, "NotFound" },
		{ 405, 405000, "MethodNotAllowed" },
	};
	size_t i = 0;

	while (i < ARRAY_LEN(names) - 1 && names[i].status != status)
		i++;
	json_decref(x->json);
	x->json = NULL;
	x->retry_after = 0;
	if (x->dps)
		dps_refuse(s, x, status, names[i].code, verdict, names[i].name);
	else
		hub_refuse(s, x, status, names[i].code, names[i].name, verdict);
}

static void
serve_route(struct sim *s, struct exchange *x, sim_handler *handler, bool path_known)
{
	if (handler)
		handler(s, x);
	else
		sim_refuse(s, x, path_known ? 405 : 404, path_known ? "bad-method" : "bad-path");
}

/* What a fault makes of a request, before or after its handler has run. */
static enum deed
apply_fault(struct sim *s, struct exchange *x, const struct fault *f)
{
	x->fault = fault_names[f->kind];
	switch (f->kind) {
	case FAULT_DROP:
	case FAULT_HANG:
		if (!f->after)
			x->verdict = "fault";
		x->status = 0;
		return f->kind == FAULT_DROP ? DEED_DROP : DEED_HANG;
	case FAULT_401:
		sim_refuse(s, x, 401, "fault");
		return DEED_ANSWER;
	case FAULT_429:
		sim_refuse(s, x, 429, "fault");
		x->retry_after = f->retry_after;
		return DEED_ANSWER;
	case FAULT_500:
		sim_refuse(s, x, 500, "fault");
		return DEED_ANSWER;
	case FAULT_TRUNCATED:
		return DEED_TRUNCATE;
	case FAULT_NOT_JSON:
		return DEED_NOT_JSON;
	case FAULT_OVERSIZED:
		return DEED_OVERSIZED;
	case FAULT_EMPTY:
		json_decref(x->json);
		x->json = NULL;
		return DEED_ANSWER;
	case FAULT_201: /* which the hub's reference allows for a PUT (cloud-iothub.md 1) */
		x->status = x->status == 200 ? 201 : x->status;
		return DEED_ANSWER;
	default:
		dps_alter(s, x, f->kind);
		return DEED_ANSWER;
	}
}

static bool
strikes_before(const struct fault *f)
{
	return !f->after && f->kind <= FAULT_500;
}

enum deed
sim_serve(struct sim *s, struct exchange *x)
{
	const struct route *route;
	struct fault fault;
	bool path_known = false, struck = false;
	enum deed deed = DEED_ANSWER;

	x->step = STEP_OTHER;
	x->verdict = "accepted";
	split_path(x);
	route = x->loopback ? find_route(controls, ARRAY_LEN(controls), x, &path_known) : NULL;
	pthread_mutex_lock(&s->lock);
	if (!route) {
		route = find_route(routes, ARRAY_LEN(routes), x, &path_known);
		x->dps = x->n_segments > 1 && strcmp(x->segment[1], "registrations") == 0;
		if (route) {
			x->step = route->step;
			x->device = route->device_at ? x->segment[route->device_at - 1] : NULL;
			x->module = route->module_at ? x->segment[route->module_at - 1] : NULL;
		}
		if (x->step == STEP_CREATE && x->if_match)
			x->step = STEP_UPDATE;
		struck = fault_strike(s, x->step, &fault);
	}
	s->requests++;
	if (!struck || !strikes_before(&fault))
		serve_route(s, x, route ? route->handler : NULL, path_known);
	if (struck)
		deed = apply_fault(s, x, &fault);
	log_exchange(s, x);
	pthread_mutex_unlock(&s->lock);
	return deed;
}

void
exchange_done(struct exchange *x)
{
	for (size_t i = 0; i < x->n_segments; i++)
		free(x->segment[i]);
	json_decref(x->json);
}
