#include "tests/keyd/fixture.h"

#include "base/b64.h"

/*
 * What upstream's keyd 1.5.6 was asked and what it answered (transcripts/keyd.txt), asked again of ours: same status and same
 * JSON, but for handles, signatures and random values.
 */
struct exchange {
	char title[128];
	char method[16], target[256];
	char type[64]; /* "": no Content-Type */
	char *body;
	unsigned status;
	char *answer;
};

/* The deliberate differences, each of which stands in docs/compat.md. */
static const struct {
	const char *title;
	unsigned status;
} differences[] = {
	{ "nested derived key", 400 }, /* as keyd.md 4.7 has it for 1.6.0 */
	{ "unauthorized uid: delete with a leaked handle", 401 },
};

static unsigned
wanted_status(const struct exchange *e)
{
	for (size_t i = 0; i < ARRAY_LEN(differences); i++)
		if (strncmp(e->title, differences[i].title, strlen(differences[i].title)) == 0)
			return differences[i].status;
	return e->status;
}

/* --- the file: "### title", "> request" lines, "< answer" lines; a body follows an empty one */

static void
take_line(struct exchange *e, char side, char *text, bool *in_body)
{
	char **body = side == '>' ? &e->body : &e->answer;

	if (*in_body) {
		if (*text) {
			free(*body);
			*body = strdup(text);
		}
	} else if (!*text) {
		*in_body = true;
	} else if (side == '>' && !e->method[0]) {
		ck_assert_int_eq(sscanf(text, "%15s %255s", e->method, e->target), 2);
	} else if (side == '>' && strncmp(text, "content-type: ", 14) == 0) {
		snprintf(e->type, sizeof(e->type), "%s", text + 14);
	} else if (side == '<' && !e->status) {
		ck_assert_int_eq(sscanf(text, "HTTP/1.1 %u", &e->status), 1);
	}
}

static size_t
read_exchanges(const char *path, struct exchange *e, size_t max)
{
	AUTO(bytes_done) struct bytes file = support_read(path);
	char *rest = (char *)file.data, *line;
	bool in_body = false;
	char side = 0;
	size_t n = 0;

	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, "### ", 4) == 0) {
			ck_assert_uint_lt(n, max);
			snprintf(e[n++].title, sizeof(e->title), "%s", line + 4);
			side = 0;
		} else if (n > 0 && (line[0] == '>' || line[0] == '<')) {
			if (side != line[0])
				in_body = false;
			side = line[0];
			take_line(&e[n - 1], side, line[1] ? line + 2 : line + 1, &in_body);
		} else if (n > 0 && side == '>' && *line) {
			take_line(&e[n - 1], side, line, &in_body);
		}
	}
	return n;
}

/* --- handles and ciphertexts: a recorded one stands for the one that we answered in its place */

static struct {
	char *recorded, *ours;
} answered[128];
static size_t n_answered;

static void
learn(const struct exchange *e, const struct answer *a, const char *name)
{
	json_t *recorded = json_loads(e->answer ? e->answer : "null", JSON_DECODE_ANY, NULL);
	const char *value = json_string_value(json_object_get(recorded, name));

	if (value && member(a, name)) {
		ck_assert_uint_lt(n_answered, ARRAY_LEN(answered));
		answered[n_answered].recorded = strdup(value);
		answered[n_answered++].ours = strdup(member(a, name));
	}
	json_decref(recorded);
}

static void
replace(json_t *body, const char *name)
{
	const char *value = json_string_value(json_object_get(body, name));

	for (size_t i = 0; value && i < n_answered; i++)
		if (strcmp(value, answered[i].recorded) == 0) {
			json_object_set_new(body, name, json_string(answered[i].ours));
			return;
		}
}

/* The body of a request as we are to get it.  NULL: it has none, or one that is no object. */
static json_t *
our_body(const struct exchange *e)
{
	json_t *body = e->body ? json_loads(e->body, 0, NULL) : NULL;

	replace(body, "keyHandle");
	replace(body, "baseKeyHandle");
	replace(body, "ciphertext");
	return body;
}

static uint32_t
uid_of(const struct exchange *e)
{
	return strstr(e->title, "(as uid 65534)") ? 65534 : 0;
}

static struct answer
ask(const struct exchange *e, const json_t *body)
{
	char *text = body ? json_dumps(body, 0) : e->body ? strdup(e->body) : NULL;
	struct answer a =
	    send_request(uid_of(e), e->method, e->target, e->type[0] ? e->type : NULL, text);

	free(text);
	return a;
}

/* --- comparison */

/* The values that are not random. */
static bool
is_exact(const struct exchange *e, const char *name)
{
	if (strcmp(name, "plaintext") == 0)
		return true;
	if (strcmp(name, "message") == 0)
		return e->status != 422; /* those are serde's words */
	return strcmp(name, "value") == 0 &&
	       (strstr(e->target, "/algorithm") || strstr(e->target, "/ec-curve-oid") ||
		   strstr(e->target, "/rsa-exponent"));
}

static size_t
decoded_len(const char *base64)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	struct err err = { 0 };

	ck_ok(b64_decode(B64_STD, text_of(base64), &out, &err));
	return out.len;
}

static void
compare_member(const struct exchange *e, const char *name, const char *theirs, const char *ours)
{
	ck_assert_msg(ours != NULL, "%s: no %s", e->title, name);
	if (is_exact(e, name)) {
		ck_assert_msg(strcmp(theirs, ours) == 0, "%s: %s is '%s' instead of '%s'", e->title,
		    name, ours, theirs);
		return;
	}
	if (strcmp(name, "message") == 0 || strcmp(name, "keyHandle") == 0) {
		ck_assert_msg(*ours, "%s: %s is empty", e->title, name);
		return;
	}
	/* DER integers differ in length */
	if (strcmp(name, "signature") == 0 && strstr(e->body, "\"ECDSA\"")) {
		ck_assert_uint_ge(decoded_len(ours), 68);
		ck_assert_uint_le(decoded_len(ours), 72);
		return;
	}
	ck_assert_msg(
	    decoded_len(ours) == decoded_len(theirs), "%s: %s is '%s'", e->title, name, ours);
}

static void
compare(const struct exchange *e, const struct answer *a)
{
	json_t *recorded = e->answer ? json_loads(e->answer, 0, NULL) : NULL;
	const char *name;
	json_t *value;

	ck_assert_msg(a->status == wanted_status(e), "%s: %u instead of %u: %s", e->title,
	    a->status, wanted_status(e), member(a, "message"));
	if (a->status != e->status || strcmp(e->method, "HEAD") == 0) {
		json_decref(recorded);
		return;
	}
	ck_assert_uint_eq(json_object_size(recorded), json_object_size(a->body));
	json_object_foreach(recorded, name, value)
	    compare_member(e, name, json_string_value(value), member(a, name));
	json_decref(recorded);
}

/* --- the same again with one member missing, null, or of another type */

static bool
is_optional(const char *name)
{
	return strcmp(name, "keyBytes") == 0 || strcmp(name, "preferredAlgorithms") == 0 ||
	       strcmp(name, "zzz") == 0;
}

static void
expect_422(const struct exchange *e, const json_t *body, const char *name, const char *how)
{
	AUTO(answer_done) struct answer a = ask(e, body);

	ck_assert_msg(a.status == 422 && member(&a, "message"), "%s: %s %s: %u instead of 422",
	    e->title, name, how, a.status);
	ck_assert_msg(strstr(member(&a, "message"), name) != NULL, "%s: %s %s: '%s'", e->title,
	    name, how, member(&a, "message"));
}

static void
spoil_member(const struct exchange *e, json_t *body, json_t *object, const char *name)
{
	json_t *value = json_incref(json_object_get(object, name));
	json_t *others[] = { json_integer(5), json_true(), json_array(), json_real(0.5),
		json_is_string(value) ? json_object() : json_string("x") };

	if (!is_optional(name)) {
		json_object_del(object, name);
		expect_422(e, body, name, "missing");
		json_object_set_new(object, name, json_null());
		expect_422(e, body, name, "null");
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		json_object_set_new(object, name, others[i]);
		if (strcmp(name, "zzz") != 0)
			expect_422(e, body, name, "of another type");
	}
	json_object_set_new(object, name, value);
}

static void
spoil(const struct exchange *e, json_t *body)
{
	static const char *const names[] = { "keyId", "usage", "keyBytes", "preferredAlgorithms",
		"from", "keyHandle", "baseKeyHandle", "derivationData", "algorithm", "parameters",
		"plaintext", "ciphertext", "zzz" };
	static const char *const inner[] = { "digest", "message", "iv", "aad" };
	json_t *parameters = json_object_get(body, "parameters");

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (json_object_get(body, names[i]))
			spoil_member(e, body, body, names[i]);
	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (json_object_get(parameters, inner[i]))
			spoil_member(e, body, parameters, inner[i]);
}

START_TEST(test_replay)
{
	static struct exchange exchanges[128];
	const char *path = support_shared_data("transcripts/keyd.txt");
	size_t n;

	if (!path)
		return;
	n = read_exchanges(path, exchanges, ARRAY_LEN(exchanges));
	ck_assert_uint_ge(n, 79);
	fixture_begin();
	for (size_t i = 0; i < n; i++) {
		const struct exchange *e = &exchanges[i];
		json_t *body = our_body(e);
		AUTO(answer_done) struct answer a = ask(e, body);

		compare(e, &a);
		learn(e, &a, "keyHandle");
		learn(e, &a, "ciphertext");
		json_decref(body);
	}
	fixture_end();
}
END_TEST

START_TEST(test_spoiled)
{
	static struct exchange exchanges[128];
	const char *path = support_shared_data("transcripts/keyd.txt");
	size_t n, spoiled = 0;

	if (!path)
		return;
	n = read_exchanges(path, exchanges, ARRAY_LEN(exchanges));
	fixture_begin();
	for (size_t i = 0; i < n; i++) {
		const struct exchange *e = &exchanges[i];
		json_t *body = our_body(e);
		AUTO(answer_done) struct answer a = ask(e, body);

		learn(e, &a, "keyHandle");
		learn(e, &a, "ciphertext");
		/* what is refused as it stands may be refused for that */
		if (json_object_size(body) && strcmp(e->method, "PATCH") != 0 && e->status != 422) {
			AUTO(str_freep) char *before = listing();
			AUTO(str_freep) char *after = NULL;

			spoil(e, body);
			after = listing();
			ck_assert_str_eq(before, after);
			spoiled++;
		}
		json_decref(body);
	}
	ck_assert_uint_ge(spoiled, 40);
	fixture_end();
}
END_TEST

TEST_MAIN("keyd/transcript", test_replay, test_spoiled)
