#include "tests/support/support.h"

#include <string.h>

#include "edged/view.h"

/* edged-management.md 2.3: engine state -> status; never `unknown` */
static const struct {
	const char *state;
	int64_t exit_code;
	bool has_exit_code;
	const char *finished, *want;
	const char *exit; /* statusCode; NULL: no exitStatus */
} rows[] = {
	{ "created", 0, true, "0001-01-01T00:00:00Z", "stopped", NULL },
	{ "paused", 0, true, "0001-01-01T00:00:00Z", "stopped", NULL },
	{ "restarting", 1, true, "2026-03-01T09:59:50.5Z", "stopped", "1" },
	{ "running", 0, true, "0001-01-01T00:00:00Z", "running", NULL },
	{ "running", 3, true, "2026-03-01T09:59:50.5Z", "running", "3" }, /* had exited before */
	{ "exited", 0, true, "2026-03-01T09:59:50.5Z", "stopped", "0" },
	{ "exited", 137, true, "2026-03-01T09:59:50.5Z", "failed", "137" },
	{ "exited", -1, true, "2026-03-01T09:59:50.5Z", "failed", "-1" },
	{ "exited", 0, false, "2026-03-01T09:59:50.5Z", "failed", NULL },
	{ "removing", 0, true, "2026-03-01T09:59:50.5Z", "stopped", "0" },
	{ "removing", 1, true, NULL, "failed", NULL },
	{ "dead", 0, true, "2026-03-01T09:59:50.5Z", "dead", "0" },
	{ "hibernating", 1, true, "not a time", "failed", NULL },
};

START_TEST(test_status)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct engine_state in = { .status = (char *)rows[i].state,
			.exit_code = rows[i].exit_code,
			.has_exit_code = rows[i].has_exit_code,
			.finished_at = (char *)rows[i].finished };
		AUTO(edged_module_status_done) struct edged_module_status out = { 0 };
		struct err err = { 0 };

		ck_ok(view_status(&in, &out, &err));
		ck_assert_str_eq(out.runtime_status.status, rows[i].want);
		ck_assert_ptr_null(out.start_time);
		ck_assert_msg(!rows[i].exit == !out.exit_status, "row %zu", i);
		if (rows[i].exit) {
			ck_assert_str_eq(out.exit_status->status_code, rows[i].exit);
			ck_assert_str_eq(out.exit_status->exit_time, "2026-03-01T09:59:50.500Z");
		}
	}
}
END_TEST

/* the list answer of edged-management.md 2.3, member for member */
START_TEST(test_module)
{
	struct fields_pair labels[] = {
		{ (char *)"net.azure-devices.edge.original-image",
		    (char *)"registry.example/hub:1.6" },
		{ (char *)"net.azure-devices.edge.owner",
		    (char *)"Microsoft.Azure.Devices.Edge.Agent" },
	};
	struct engine_container in = { .id = (char *)"00",
		.name = (char *)"/edgeHub",
		.image = (char *)"sha256:0a1b",
		.state = { .status = (char *)"running",
		    .exit_code = 0,
		    .has_exit_code = true,
		    .started_at = (char *)"2026-03-01T10:00:00.123456789Z",
		    .finished_at = (char *)"2026-03-01T09:59:50Z" },
		.config = { .labels = { labels, 2 } } };
	AUTO(edged_module_done) struct edged_module out = { 0 };
	AUTO(edged_module_done) struct edged_module bare = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	ck_ok(view_module(&in, &out, &err));
	ck_ok(fields_write_text(edged_module_fields, &out, &text, &err));
	ck_assert_str_eq(text,
	    "{\"id\":\"id\",\"name\":\"edgeHub\",\"type\":\"docker\",\"config\":{\"settings\":{"
	    "\"image\":\"registry.example/"
	    "hub:1.6\",\"imageHash\":\"sha256:0a1b\",\"createOptions\":{"
	    "\"Labels\":{\"net.azure-devices.edge.original-image\":\"registry.example/hub:1.6\","
	    "\"net.azure-devices.edge.owner\":\"Microsoft.Azure.Devices.Edge.Agent\"}}},\"env\":[]}"
	    ","
	    "\"status\":{\"startTime\":\"2026-03-01T10:00:00.123456789Z\",\"exitStatus\":{"
	    "\"exitTime\":\"2026-03-01T09:59:50Z\",\"statusCode\":\"0\"},"
	    "\"runtimeStatus\":{\"status\":\"running\"}}}");
	/* without the label the container's name stands for the image */
	in.config.labels.n = 0;
	ck_ok(view_module(&in, &bare, &err));
	ck_assert_str_eq(bare.config.settings, "{\"image\":\"edgeHub\",\"imageHash\":\"sha256:"
					       "0a1b\",\"createOptions\":{\"Labels\":{}}}");
}
END_TEST

TEST_MAIN("edged/view", test_status, test_module)
