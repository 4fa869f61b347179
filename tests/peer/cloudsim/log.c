#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "tests/peer/cloudsim/sim.h"

static void
add(json_t *line, const char *name, const char *value)
{
	if (value)
		json_object_set_new(line, name, json_string(value));
}

void
log_exchange(struct sim *s, const struct exchange *x)
{
	json_t *line = json_object();
	char now[CLOCK_RFC3339_LEN];
	AUTO(str_freep) char *text = NULL;

	clock_rfc3339(clock_unix(), "Z", now);
	add(line, "time", now);
	json_object_set_new(line, "n", json_integer((json_int_t)s->requests));
	add(line, "method", x->method);
	add(line, "path", x->path);
	add(line, "step", step_names[x->step]);
	add(line, "device", x->device);
	add(line, "module", x->module);
	add(line, "key", x->key);
	add(line, "verdict", x->verdict);
	add(line, "fault", x->fault);
	json_object_set_new(line, "status", json_integer(x->status));
	text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(line);
	if (s->log && text) {
		fprintf(s->log, "%s\n", text);
		fflush(s->log);
	}
}
