#include "tests/support/engine.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edged/engine.h"

static struct engine_peer *peer;
static struct engine *engine;

static void
begin(void)
{
	struct engine_config config = { .socket = support_path("docker.sock") };
	struct err err = { 0 };

	peer = engine_peer_start(config.socket);
	ck_ok(engine_new(&config, &engine, &err));
}

static void
finish(void)
{
	engine_free(engine);
	engine_peer_stop(peer);
}

/* decisions.md, Engine version: 1.41 first; else the newest that both know */
START_TEST(test_version)
{
	static const struct {
		int min, max;
		const char *want;
	} rows[] = {
		{ 12, 41, "1.41" }, /* dockerd 20.10 */
		{ 40, 56, "1.41" }, /* dockerd 29 */
		{ 44, 56, "1.52" },
		{ 44, 47, "1.47" },
		{ 12, 40, "1.40" },
		{ 12, 39, NULL },
		{ 60, 70, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { 0 };
		char version[16];

		begin();
		engine_peer_versions(peer, rows[i].min, rows[i].max);
		if (rows[i].want) {
			ck_ok(engine_negotiate(engine, version, &err));
			ck_assert_str_eq(version, rows[i].want);
			ck_ok(engine_start(
			    engine, engine_peer_container(peer, "m1", "created", true), &err));
		} else {
			ck_err(engine_negotiate(engine, version, &err), ERR_PROTOCOL);
		}
		finish();
	}
}
END_TEST

/* edged-weaknesses.md A1: nothing that could leave its place in a path, and nothing is asked */
START_TEST(test_names)
{
	static const char *const wrong[] = { "", "a", "-a", ".a", "a/b", "a%2Fb", "a?b", "a b",
		"../x", "m1/export?", "a\nb", "\xc3\xa4\xc3\xa4", "_a" };
	static const char *const right[] = { "ab", "A.b_c-1", "0a" };
	char longest[130];
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(right); i++)
		ck_ok(engine_name_check(right[i], &err));
	memset(longest, 'a', sizeof(longest));
	longest[128] = '\0';
	ck_ok(engine_name_check(longest, &err));
	longest[128] = 'a';
	longest[129] = '\0';
	ck_err(engine_name_check(longest, &err), ERR_INVALID);
	begin();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct engine_container c = { 0 };
		struct engine_logs logs = { 0 };
		struct engine_stream *stream = NULL;
		char *id = NULL;

		ck_err(engine_start(engine, wrong[i], &err), ERR_INVALID);
		ck_err(engine_stop(engine, wrong[i], -1, &err), ERR_INVALID);
		ck_err(engine_remove(engine, wrong[i], &err), ERR_INVALID);
		ck_err(engine_inspect(engine, wrong[i], &c, &err), ERR_INVALID);
		ck_err(engine_create(engine, wrong[i], "{}", &id, &err), ERR_INVALID);
		ck_err(engine_logs_open(engine, wrong[i], &logs, &stream, &err), ERR_INVALID);
	}
	ck_assert_str_eq(engine_peer_asked(peer, NULL), "");
	finish();
}
END_TEST

/* contracts/docker.md 3 */
START_TEST(test_statuses)
{
	struct err err = { 0 };
	char *id = NULL;

	begin();
	engine_peer_image(peer, "img:1");
	ck_ok(engine_create(engine, "m1", "{\"Image\":\"img:1\"}", &id, &err));
	ck_assert_uint_eq(strlen(id), 64);
	free(id);
	ck_err(engine_create(engine, "m1", "{\"Image\":\"img:1\"}", &id, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 409);
	ck_assert_str_eq(err.text, "Conflict. The container name is in use");
	ck_err(engine_create(engine, "m2", "{\"Image\":\"no\"}", &id, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 404);
	ck_ok(engine_start(engine, "m1", &err));
	ck_ok(engine_start(engine, "m1", &err)); /* 304 */
	ck_ok(engine_stop(engine, "m1", 30, &err));
	ck_ok(engine_stop(engine, "m1", -1, &err)); /* 304 */
	ck_ok(engine_restart(engine, "m1", &err));
	ck_ok(engine_remove(engine, "m1", &err));
	ck_err(engine_start(engine, "m1", &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 404);
	ck_assert_str_eq(engine_peer_asked(peer, "/containers/m1"),
	    "POST /v1.41/containers/m1/start\nPOST /v1.41/containers/m1/start\n"
	    "POST /v1.41/containers/m1/stop?t=30\nPOST /v1.41/containers/m1/stop\n"
	    "POST /v1.41/containers/m1/restart\nDELETE /v1.41/containers/m1?v=false&force=true\n"
	    "POST /v1.41/containers/m1/start\n");
	finish();
}
END_TEST

/* docker.md 1: parse `message` only; an empty body or HTML falls back to the status */
START_TEST(test_odd_errors)
{
	static const char *const bodies[] = { "", "<html>502</html>", "[]", "{}",
		"{\"message\":null,\"cause\":\"x\"}", "{\"message\":7}" };
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		engine_peer_say(peer, 1, "POST /containers/m1/start", 502, bodies[i]);
		ck_err(engine_start(engine, "m1", &err), ERR_PEER);
		ck_assert_uint_eq(err.status, 502);
		ck_assert_str_eq(err.text, "the container engine answered with status 502");
	}
	finish();
}
END_TEST

START_TEST(test_list)
{
	AUTO(engine_items_done) struct engine_items items = { 0 };
	struct err err = { 0 };

	begin();
	engine_peer_container(peer, "m1", "running", true);
	engine_peer_container(peer, "foreign", "running", false);
	ck_ok(engine_list(engine, &items, &err));
	ck_assert_uint_eq(items.items.n, 1);
	ck_assert_str_eq(items.items.at[0].names.at[0], "/m1");
	ck_assert_ptr_nonnull(strstr(engine_peer_asked(peer, "/containers/json"),
	    "all=true&filters=%7B%22label%22%3A%5B%22net.azure-devices.edge.owner%3D"
	    "Microsoft.Azure.Devices.Edge.Agent%22%5D%7D"));
	finish();
}
END_TEST

/* --- pull, docker.md 4 */

START_TEST(test_pull_tags)
{
	static const struct {
		const char *image, *asked;
	} rows[] = {
		{ "img", "fromImage=img&tag=latest" },
		{ "img:1", "fromImage=img%3A1" },
		{ "reg.example:5000/a/img", "fromImage=reg.example%3A5000%2Fa%2Fimg&tag=latest" },
		{ "reg.example:5000/a/img:2", "fromImage=reg.example%3A5000%2Fa%2Fimg%3A2" },
		{ "img@sha256:00", "fromImage=img%40sha256%3A00" },
	};
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char want[256];

		ck_ok(engine_pull(engine, rows[i].image, NULL, &err));
		snprintf(want, sizeof(want), "POST /v1.41/images/create?%s\n", rows[i].asked);
		ck_assert_str_eq(engine_peer_asked(peer, "/images/create"), want);
		ck_assert_str_eq(
		    engine_peer_header(peer, "POST /images/create", "X-Registry-Auth"), "");
	}
	finish();
}
END_TEST

/* any other alphabet, or no padding, would be ignored without a word: passwords that make '-', '_' and each padding */
START_TEST(test_pull_auth)
{
	static const char *const passwords[] = { "p", "pw", "pwd", "\xc2\xbf\xc3\xbf>>>~~~",
		">?>?>?>", "s3cret" };
	struct err err = { 0 };

	begin();
	for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
		struct edged_registry_auth auth = { .username = (char *)"u",
			.password = (char *)passwords[i],
			.serveraddress = (char *)"reg.example" };
		const char *header;
		char *json, *want;

		ck_ok(engine_pull(engine, "img:1", &auth, &err));
		header = engine_peer_header(peer, "POST /images/create", "X-Registry-Auth");
		ck_assert_uint_eq(strlen(header) % 4, 0);
		json = support_sh(
		    "printf %%s '%s' | basenc --base64url -d | jq -r '.username+\" \"+.password'",
		    header);
		ck_ok(str_format(&want, &err, "u %s", passwords[i]));
		ck_assert_str_eq(json, want);
		free(json);
		free(want);
	}
	finish();
}
END_TEST

static const struct {
	const char *name;
	unsigned status;
	const char *stream;
	enum err_code want;
	unsigned want_status;
	const char *text;
} streams[] = {
	{ "refused before the first byte", 500, "{\"message\":\"no basic auth credentials\"}",
	    ERR_PEER, 500, "no basic auth credentials" },
	{ "unknown tag", 404, "{\"message\":\"manifest unknown\"}", ERR_PEER, 404,
	    "manifest unknown" },
	{ "failure at the end of a good stream", 200,
	    "{\"status\":\"a\"}\r\n{\"errorDetail\":{\"message\":\"layer verification failed\"},"
	    "\"error\":\"layer verification failed\"}\r\n",
	    ERR_PEER, 500, "layer verification failed" },
	{ "failure in the middle", 200,
	    "{\"errorDetail\":{\"code\":401,\"message\":\"no\"}}\r\n{\"status\":\"b\"}\r\n",
	    ERR_PEER, 401, "no" },
	{ "without line break at the end", 200, "{\"errorDetail\":{\"message\":\"no\"}}", ERR_PEER,
	    500, "no" },
	{ "cut within an object", 200, "{\"status\":\"a\"}\r\n{\"stat", ERR_PROTOCOL, 0, NULL },
	{ "not JSON", 200, "<html>\n", ERR_PROTOCOL, 0, NULL },
	{ "error text alone, as old engines", 200, "{\"error\":\"gone\"}\n", ERR_PEER, 500,
	    "gone" },
	{ "good stream, but no image afterwards", 200, "{\"status\":\"a\"}\n", ERR_NOT_FOUND, 404,
	    "the image is not there after its pull*" },
};

START_TEST(test_pull_streams)
{
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		struct err err = { 0 };
		enum err_code code;

		begin();
		engine_peer_say(
		    peer, 1, "POST /images/create", streams[i].status, streams[i].stream);
		code = engine_pull(engine, "img:1", NULL, &err);
		ck_assert_msg(code == streams[i].want, "%s: %s %s", streams[i].name, err_name(code),
		    err.text);
		ck_assert_msg(
		    err.status == streams[i].want_status, "%s: %u", streams[i].name, err.status);
		if (streams[i].text)
			ck_assert_msg(
			    strncmp(err.text, streams[i].text, strcspn(streams[i].text, "*")) == 0,
			    "%s: %s", streams[i].name, err.text);
		finish();
	}
}
END_TEST

START_TEST(test_bad_images)
{
	static const char *const wrong[] = { "", "a b", "../etc", "a//b", "img?x=1", "img#1",
		"img%41", "img\r\nX: y", "$upstream/x" };
	struct err err = { 0 };
	char *id = NULL;

	begin();
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		ck_err(engine_pull(engine, wrong[i], NULL, &err), ERR_INVALID);
		ck_err(engine_image_id(engine, wrong[i], &id, &err), ERR_INVALID);
	}
	ck_assert_str_eq(engine_peer_asked(peer, "/images"), "");
	finish();
}
END_TEST

/* --- away, and back as another version */

START_TEST(test_away)
{
	struct engine_config config = { .socket = support_path("docker.sock") };
	struct err err = { 0 };

	begin();
	ck_assert_ptr_nonnull(engine_peer_container(peer, "m1", "created", true));
	ck_ok(engine_start(engine, "m1", &err));
	engine_peer_stop(peer);
	ck_err(engine_start(engine, "m1", &err), ERR_UNREACHABLE);
	peer = engine_peer_start(config.socket);
	engine_peer_versions(peer, 44, 45);
	ck_assert_ptr_nonnull(engine_peer_container(peer, "m1", "created", true));
	ck_ok(engine_start(engine, "m1", &err));
	ck_assert_str_eq(engine_peer_asked(peer, "/start"), "POST /v1.45/containers/m1/start\n");
	finish();
}
END_TEST

START_TEST(test_logs)
{
	struct engine_logs want = { .follow = true, .since = 5, .until = -1, .tail = -1 };
	struct engine_stream *stream = NULL;
	struct err err = { 0 };
	char out[64] = "";

	begin();
	engine_peer_container(peer, "m1", "running", true);
	ck_ok(engine_logs_open(engine, "m1", &want, &stream, &err));
	ck_assert_int_eq(engine_stream_read(stream, out, sizeof(out)), 11);
	ck_assert_str_eq(out, "\x01log of /m1");
	ck_assert_int_eq(engine_stream_read(stream, out, sizeof(out)), 0);
	engine_stream_close(stream);
	ck_assert_str_eq(engine_peer_asked(peer, "/logs"),
	    "GET /v1.41/containers/m1/logs?stdout=true&stderr=true&follow=true&timestamps=false"
	    "&since=5&tail=all\n");
	want = (struct engine_logs){ .timestamps = true, .until = 9, .tail = 10 };
	ck_ok(engine_logs_open(engine, "m1", &want, &stream, &err));
	engine_stream_close(stream);
	ck_assert_str_eq(engine_peer_asked(peer, "/logs"),
	    "GET /v1.41/containers/m1/logs?stdout=true&stderr=true&follow=false&timestamps=true"
	    "&since=0&until=9&tail=10\n");
	ck_err(engine_logs_open(engine, "m2", &want, &stream, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 404);
	finish();
}
END_TEST

/* --- events */

struct heard {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool opened;
	char text[256];
	enum err_code end;
};

static struct heard heard = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER };

static void
on_opened(void *ctx)
{
	struct heard *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->opened = true;
	pthread_mutex_unlock(&h->lock);
}

static void
on_event(void *ctx, const char *action, const char *id, const char *name)
{
	struct heard *h = ctx;
	size_t used;

	pthread_mutex_lock(&h->lock);
	used = strlen(h->text);
	snprintf(h->text + used, sizeof(h->text) - used, "%s %s %s;", action, id, name);
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static void *
listen_to(void *arg)
{
	static const struct engine_listener listener = { on_opened, on_event };
	struct heard *h = arg;
	struct err err = { 0 };

	h->end = engine_events(engine, &listener, h, &err);
	return NULL;
}

START_TEST(test_events)
{
	pthread_t thread;

	begin();
	pthread_create(&thread, NULL, listen_to, &heard);
	engine_peer_event(peer, "die", "edgeAgent");
	engine_peer_event(peer, "start", "m1");
	pthread_mutex_lock(&heard.lock);
	while (!strstr(heard.text, "m1"))
		pthread_cond_wait(&heard.changed, &heard.lock);
	pthread_mutex_unlock(&heard.lock);
	ck_assert(heard.opened);
	ck_assert_str_eq(heard.text, "die 0a edgeAgent;start 0a m1;");
	engine_cancel(engine); /* the daemon stops: a silent stream must not hold it */
	pthread_join(thread, NULL);
	ck_assert_int_eq(heard.end, ERR_UNREACHABLE);
	finish();
}
END_TEST

/* --- networks: docker.md 2, edged-containers.md 5.4 */

START_TEST(test_networks)
{
	struct engine_ipam_config ipam_config = { .gateway = (char *)"172.18.0.1",
		.subnet = (char *)"172.18.0.0/16" };
	struct engine_ipam ipam = { .config = { &ipam_config, 1 } };
	struct engine_network_req req = {
		.name = (char *)"azure-iot-edge", .check_duplicate = true, .ipam = &ipam
	};
	struct err err = { 0 };
	bool found = true;

	begin();
	engine_peer_network(peer, "my-azure-iot-edge-2");
	ck_ok(engine_network_find(engine, "azure-iot-edge", &found, &err));
	ck_assert(!found);
	ck_ok(engine_network_create(engine, &req, &err));
	ck_assert_str_eq(engine_peer_body(peer, "POST /networks/create"),
	    "{\"Name\":\"azure-iot-edge\",\"CheckDuplicate\":true,\"EnableIPv6\":false,"
	    "\"IPAM\":{\"Config\":[{\"Gateway\":\"172.18.0.1\",\"Subnet\":\"172.18.0.0/16\"}]}}");
	ck_ok(engine_network_find(engine, "azure-iot-edge", &found, &err));
	ck_assert(found);
	ck_err(engine_network_create(engine, &req, &err), ERR_PEER);
	ck_assert_uint_eq(err.status, 409);
	finish();
}
END_TEST

TEST_MAIN("edged/engine", test_version, test_names, test_statuses, test_odd_errors, test_list,
    test_pull_tags, test_pull_auth, test_pull_streams, test_bad_images, test_away, test_logs,
    test_events, test_networks)
