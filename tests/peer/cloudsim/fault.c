#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/peer/cloudsim/sim.h"

const char *const fault_names[] = {
	[FAULT_DROP] = "drop",
	[FAULT_HANG] = "hang",
	[FAULT_401] = "401",
	[FAULT_429] = "429",
	[FAULT_500] = "500",
	[FAULT_ASSIGNING] = "assigning",
	[FAULT_FAILED] = "failed",
	[FAULT_DISABLED] = "disabled",
	[FAULT_TRUNCATED] = "truncated",
	[FAULT_NOT_JSON] = "not-json",
	[FAULT_OVERSIZED] = "oversized",
	[FAULT_EMPTY] = "empty",
	[FAULT_201] = "201",
	[FAULT_KINDS] = NULL,
};

static int
index_of(const char *const *names, struct text name)
{
	for (int i = 0; names[i]; i++)
		if (text_equal(name, names[i]))
			return i;
	return -1;
}

static bool
number_of(struct text in, unsigned *ret)
{
	unsigned value = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.data[i] < '0' || in.data[i] > '9' || value > 100000)
			return false;
		value = value * 10 + (unsigned)(in.data[i] - '0');
	}
	*ret = value;
	return in.len;
}

/* One "name=value" or "after" of a specification. */
static enum err_code
parse_part(struct fault *f, struct text part, struct err *err)
{
	const char *equals = memchr(part.data, '=', part.len);
	struct text name = { part.data, equals ? (size_t)(equals - part.data) : part.len };
	struct text value = { equals ? equals + 1 : "", equals ? part.len - name.len - 1 : 0 };
	unsigned number = 0;
	int step;

	if (text_equal(name, "after") && !equals) {
		f->after = true;
		return ERR_OK;
	}
	if (text_equal(name, "step")) {
		step = index_of(step_names, value);
		if (step < 0)
			return err_set(
			    err, ERR_INVALID, "there is no step %.*s", (int)value.len, value.data);
		f->step = (enum step)step;
		return ERR_OK;
	}
	if (!number_of(value, &number))
		return err_set(err, ERR_INVALID, "%.*s: wants a number", (int)part.len, part.data);
	if (text_equal(name, "nth") && number)
		f->nth = number;
	else if (text_equal(name, "times"))
		f->times = number;
	else if (text_equal(name, "retry-after"))
		f->retry_after = (int)number;
	else
		return err_set(
		    err, ERR_INVALID, "%.*s is no part of a fault", (int)part.len, part.data);
	return ERR_OK;
}

enum err_code
fault_parse(const char *spec, struct fault *ret, struct err *err)
{
	struct fault f = { .step = STEPS, .nth = 1, .times = 1, .retry_after = 1 };
	size_t len = strcspn(spec, ":");
	int kind = index_of(fault_names, (struct text){ spec, len });

	if (kind < 0)
		return err_set(err, ERR_INVALID, "there is no fault %.*s", (int)len, spec);
	f.kind = (enum fault_kind)kind;
	for (const char *from = spec + len; *from;) {
		from++;
		len = strcspn(from, ",");
		if (parse_part(&f, (struct text){ from, len }, err))
			return err->code;
		from += len;
	}
	*ret = f;
	return ERR_OK;
}

enum err_code
fault_add(struct sim *s, const struct fault *fault, struct err *err)
{
	if (s->n_faults == FAULTS_MAX)
		return err_set(err, ERR_BUSY, "there are %d faults already", FAULTS_MAX);
	s->faults[s->n_faults++] = *fault;
	return ERR_OK;
}

/* Some faults alter the answer to one step only. */
static bool
suits(const struct fault *f, enum step step)
{
	bool polls_only =
	    f->kind == FAULT_ASSIGNING || f->kind == FAULT_FAILED || f->kind == FAULT_DISABLED;

	return (f->step == STEPS || f->step == step) && (!polls_only || step == STEP_POLL);
}

bool
fault_strike(struct sim *s, enum step step, struct fault *ret)
{
	for (size_t i = 0; i < s->n_faults; i++) {
		struct fault *f = &s->faults[i];

		if (!suits(f, step) || (f->times && f->seen >= f->nth - 1 + f->times))
			continue;
		if (++f->seen < f->nth)
			continue;
		*ret = *f;
		return true;
	}
	return false;
}

static json_t *
describe(const struct fault *f)
{
	return json_pack("{s:s, s:s?, s:i, s:i, s:b, s:i, s:i}", "kind", fault_names[f->kind],
	    "step", f->step == STEPS ? NULL : step_names[f->step], "nth", (int)f->nth, "times",
	    (int)f->times, "after", f->after, "retryAfter", f->retry_after, "seen", (int)f->seen);
}

/* The body of a POST: one specification or a list of them, in the form of the command line. */
static enum err_code
add_all(struct sim *s, struct text body, struct err *err)
{
	json_t *in = json_loadb(body.data, body.len, JSON_DECODE_ANY, NULL);
	json_t *list =
	    json_is_array(in) ? json_incref(in) : json_pack("[O]", in ? in : json_null());
	enum err_code code = ERR_OK;
	size_t i;
	json_t *spec;

	json_array_foreach(list, i, spec)
	{
		struct fault f;

		code = json_is_string(spec)
			   ? fault_parse(json_string_value(spec), &f, err)
			   : err_set(err, ERR_SYNTAX, "wants a JSON string or a list of strings");
		if (!code)
			code = fault_add(s, &f, err);
		if (code)
			break;
	}
	json_decref(list);
	json_decref(in);
	return code;
}

void
control_faults(struct sim *s, struct exchange *x)
{
	struct err err = { 0 };

	x->status = 200;
	if (strcmp(x->method, "DELETE") == 0)
		s->n_faults = 0;
	if (strcmp(x->method, "POST") == 0 && add_all(s, x->body, &err)) {
		x->status = 400;
		x->verdict = "bad-body";
		x->json = json_pack("{s:s}", "message", err.text);
		return;
	}
	x->json = json_array();
	for (size_t i = 0; i < s->n_faults; i++)
		json_array_append_new(x->json, describe(&s->faults[i]));
}
