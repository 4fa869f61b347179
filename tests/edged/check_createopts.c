#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include "edged/createopts.h"

#define LABELS                                                 \
	"\"net.azure-devices.edge.original-image\":\"img:1\"," \
	"\"net.azure-devices.edge.owner\":\"Microsoft.Azure.Devices.Edge.Agent\""

/* jq judges equality, so the order of members is nobody's business. */
static void
same_json(const char *got, const char *want)
{
	char *a, *b;

	support_write(support_path("got"), got);
	support_write(support_path("want"), want);
	a = support_sh("jq -cS . %s", support_path("got"));
	b = support_sh("jq -cS . %s", support_path("want"));
	ck_assert_str_eq(a, b);
	free(a);
	free(b);
}

static char *
build(const struct createopts *in)
{
	struct err err = { 0 };
	char *body = NULL;

	ck_ok(createopts_build(in, &body, &err));
	return body;
}

/* contracts/edged-containers.md 5.3 */
START_TEST(test_env_and_labels)
{
	static const struct edged_env_var env[] = { { (char *)"B", (char *)"spec" },
		{ (char *)"A", (char *)"1" } };
	struct createopts in = {
		.options =
		    "{\"Env\":[\"B=options\",\"C\",\"D=x=y\",\"D=last\"],\"Image\":\"other\","
		    "\"Labels\":{\"mine\":\"1\",\"net.azure-devices.edge.owner\":\"me\"}}",
		.image = "img:1",
		.env = env,
		.n_env = 2,
		.elevated = true,
	};
	char *body = build(&in);

	same_json(body, "{\"Image\":\"img:1\",\"Env\":[\"A=1\",\"B=options\",\"C=\",\"D=last\"],"
			"\"Labels\":{\"mine\":\"1\"," LABELS "}}");
	free(body);
}
END_TEST

/* unknown members pass through, at every level */
START_TEST(test_pass_through)
{
	struct createopts in = {
		.options =
		    "{\"User\":\"1000\",\"Healthcheck\":{\"Test\":[\"NONE\"]},\"NewThing\":[1,2.5,"
		    "null],"
		    "\"ExposedPorts\":{\"8883/tcp\":{}},"
		    "\"HostConfig\":{\"Privileged\":true,\"CapAdd\":[\"NET_ADMIN\"],\"Binds\":[\"/"
		    "a:/b\"],"
		    "\"DeviceRequests\":[{\"Count\":-1}],\"LogConfig\":{\"Type\":\"json-file\"}},"
		    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{\"Aliases\":[\"x\"]},"
		    "\"other\":null}}}",
		.image = "img:1",
		.elevated = true,
	};
	char *body = build(&in);

	same_json(body,
	    "{\"User\":\"1000\",\"Healthcheck\":{\"Test\":[\"NONE\"]},\"NewThing\":[1,2.5,null],"
	    "\"ExposedPorts\":{\"8883/tcp\":{}},\"Image\":\"img:1\",\"Labels\":{" LABELS "},"
	    "\"HostConfig\":{\"Privileged\":true,\"CapAdd\":[\"NET_ADMIN\"],\"Binds\":[\"/a:/b\"],"
	    "\"DeviceRequests\":[{\"Count\":-1}],\"LogConfig\":{\"Type\":\"json-file\"}},"
	    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"mine\":{\"Aliases\":[\"x\"]},\"other\":"
	    "null}}}");
	free(body);
}
END_TEST

/* the privilege filter; edgeAgent keeps what its start script needs (edged-weaknesses.md A8) */
START_TEST(test_filter)
{
	struct createopts in = {
		.options = "{\"HostConfig\":{\"Privileged\":true,\"CapAdd\":[\"CHOWN\"],"
			   "\"CapDrop\":[\"MKNOD\"]}}",
		.image = "img:1",
	};
	char *body = build(&in);

	same_json(body, "{\"Image\":\"img:1\",\"Labels\":{" LABELS "},\"HostConfig\":"
			"{\"Privileged\":false,\"CapDrop\":[\"CHOWN\",\"SETUID\",\"MKNOD\"]}}");
	free(body);
	in.options = NULL;
	body = build(&in);
	same_json(body, "{\"Image\":\"img:1\",\"Labels\":{" LABELS "},\"HostConfig\":"
			"{\"CapDrop\":[\"CHOWN\",\"SETUID\"]}}");
	free(body);
	in.is_agent = true;
	body = build(&in);
	same_json(body, "{\"Image\":\"img:1\",\"Labels\":{" LABELS "},\"HostConfig\":{}}");
	free(body);
}
END_TEST

START_TEST(test_agent_parts)
{
	static const char *const binds[] = { "/s:/t" };
	static const struct fields_pair labels[] = { { (char *)"x", (char *)"{}" } };
	struct createopts in = {
		.options =
		    "{\"Labels\":{\"x\":\"user\"},\"HostConfig\":{\"Binds\":[\"/a:/b\"]},"
		    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"net\":{\"Aliases\":[\"a\"]}}}}",
		.image = "img:1",
		.elevated = true,
		.binds = binds,
		.n_binds = 1,
		.network = "net",
		.labels = labels,
		.n_labels = 1,
	};
	char *body = build(&in);

	same_json(body,
	    "{\"Image\":\"img:1\",\"Labels\":{\"x\":\"{}\"," LABELS "},"
	    "\"HostConfig\":{\"Binds\":[\"/a:/b\",\"/s:/t\"]},"
	    "\"NetworkingConfig\":{\"EndpointsConfig\":{\"net\":{\"Aliases\":[\"a\"]}}}}");
	free(body);
	in.options = "{}";
	body = build(&in);
	same_json(body, "{\"Image\":\"img:1\",\"Labels\":{\"x\":\"{}\"," LABELS "},"
			"\"HostConfig\":{\"Binds\":[\"/s:/t\"]},"
			"\"NetworkingConfig\":{\"EndpointsConfig\":{\"net\":{}}}}");
	free(body);
}
END_TEST

/* edged-weaknesses.md A7: the engine's decoder folds case, so another case is refused */
START_TEST(test_refused)
{
	static const char *const wrong[] = {
		"[]",
		"{",
		"{\"Env\":\"A=1\"}",
		"{\"Env\":[1]}",
		"{\"HostConfig\":[]}",
		"{\"HostConfig\":{\"Privileged\":\"true\"}}",
		"{\"hostconfig\":{\"Privileged\":true}}",
		"{\"HostConfig\":{\"privileged\":true}}",
		"{\"HostConfig\":{\"PRIVILEGED\":true}}",
		"{\"HostConfig\":{\"Privileged\":false,\"Privileged\":true}}",
		"{\"HostConfig\":{\"capadd\":[\"ALL\"]}}",
		"{\"labels\":{}}",
		"{\"image\":\"x\"}",
		"{\"env\":[]}",
		"{\"NetworkingConfig\":{\"endpointsconfig\":{}}}",
		/* U+017F folds onto s, U+212A onto k */
		"{\"Ho\xc5\xbftConfig\":{}}",
		"{\"Networ\xe2\x84\xaaingConfig\":{}}",
		"{\"HostConfig\":{\"Bind\xc5\xbf\":[\"/:/host\"]}}",
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct createopts in = { .options = wrong[i], .image = "img:1", .elevated = true };
		struct err err = { 0 };
		char *body = NULL;

		ck_assert_msg(createopts_build(&in, &body, &err) == ERR_INVALID, "%s", wrong[i]);
		ck_assert_ptr_null(body);
	}
}
END_TEST

TEST_MAIN("edged/createopts", test_env_and_labels, test_pass_through, test_filter, test_agent_parts,
    test_refused)
