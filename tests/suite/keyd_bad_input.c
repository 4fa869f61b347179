/*
 * keyd_bad_input SOCKET KEY EC ED RSA OF-KEY OF-PAIR FOREIGN
 *
 * Every member of every request of a running keyd, wrong in every way (issue 3, bad input), as uid 0; the further arguments are
 * handles: a symmetric key's, three key pairs', two derived keys', and one of another keyd.  Each answer must have the contract's
 * status and a JSON message.  Nothing here, had it been taken, would leave the key directory as it is.  Says what is wrong, and
 * how many were tried.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/b64.h"

#define ANSWER_MAX  65536
#define BODY_MAX    (1 << 20)
#define KEEP_WITHIN 100 /* characters of what is told */

enum { KEY, EC, ED, RSA_PAIR, OF_KEY, OF_PAIR, FOREIGN, HANDLES };

static const char *socket_path, *handles[HANDLES];
static int connection = -1;
static unsigned tried, wrong;

/* --- one request */

static void
fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static void
dial(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (connection >= 0)
		close(connection);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
}

/* A kept connection may have been closed meanwhile, and a refused body need not be read. */
static bool
send_all(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(connection, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* The whole answer: up to the end of what its Content-Length says, or of the connection. */
static size_t
receive(char *answer)
{
	size_t used = 0, wanted = ANSWER_MAX - 1;
	ssize_t n;

	while (used < wanted && (n = recv(connection, answer + used, wanted - used, 0)) > 0) {
		const char *end, *length;

		used += (size_t)n;
		answer[used] = '\0';
		end = strstr(answer, "\r\n\r\n");
		length = end ? strcasestr(answer, "\r\ncontent-length: ") : NULL;
		if (length && length < end)
			wanted = (size_t)(end - answer) + 4 + strtoul(length + 18, NULL, 10);
		else if (end && strncmp(answer, "HTTP/1.1 204", 12) == 0)
			break;
	}
	answer[used] = '\0';
	return used;
}

/* The status, and the body in answer. */
static unsigned
ask(const char *method, const char *path, const char *body, size_t body_len, char *answer)
{
	static char head[ANSWER_MAX * 2];
	int head_len = snprintf(head, sizeof(head),
	    "%s %s?api-version=2021-05-01 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    method, path, body_len);
	const char *end;

	for (int tries = 0; tries < 2; tries++) {
		if (connection < 0 || tries > 0)
			dial();
		if (send_all(head, (size_t)head_len))
			(void)!send_all(body, body_len);
		if (receive(answer) > 12)
			break;
	}
	if (strcasestr(answer, "\r\nconnection: close")) {
		close(connection);
		connection = -1;
	}
	end = strstr(answer, "\r\n\r\n");
	if (!end)
		return 0;
	unsigned status = (unsigned)strtoul(answer + 9, NULL, 10);
	memmove(answer, end + 4, strlen(end + 4) + 1);
	return status;
}

/* Libmicrohttpd's own answers to heads are not JSON (docs/compat.md). */
static bool
has_message(const char *answer)
{
	json_t *json = json_loads(answer, 0, NULL);
	const char *message = json_string_value(json_object_get(json, "message"));
	bool good = message && *message;

	json_decref(json);
	return good;
}

/* what: for people; the status that it must have. */
static void
expect_raw(unsigned status, const char *method, const char *path, const char *body, size_t body_len,
    const char *what)
{
	static char answer[ANSWER_MAX];
	unsigned is = ask(method, path, body, body_len, answer);
	bool own_head = status == 414 || status == 431;

	tried++;
	if (is == status && (own_head || status == 200 || has_message(answer)))
		return;
	wrong++;
	printf("%s %.*s, %s: %u instead of %u: %.*s\n", method, KEEP_WITHIN, path, what, is, status,
	    KEEP_WITHIN, answer);
}

static void
expect(unsigned status, const char *method, const char *path, const json_t *body, const char *what)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	expect_raw(status, method, path, text, strlen(text), what);
	free(text);
}

static char *
repeat(char c, size_t n)
{
	char *text = malloc(n + 1);

	memset(text, c, n);
	text[n] = '\0';
	return text;
}

/* --- requests and their members */

enum kind { HANDLE, ID, FROM, BASE64, WORDS, USAGE, LIST, OBJECT };

struct member {
	const char *name; /* "parameters.iv" */
	enum kind kind;
	bool optional;
	unsigned with; /* HANDLE: those that fit */
};

#define ANY_KEY	 (1 << KEY | 1 << OF_KEY | 1 << OF_PAIR)
#define ANY_PAIR (1 << EC | 1 << ED | 1 << RSA_PAIR)
#define DIGEST	 "ERERERERERERERERERERERERERERERERERERERERERE="

/* $x stands for a handle. */
static const struct request {
	const char *method, *path, *body;
	struct member members[6];
	bool
	    granted; /* as it stands; others would change a key, or are wrong in more than one way */
} requests[] = {
	{ "POST", "/key", "{'keyId':'bad-new','usage':'sign','keyBytes':'AAAA'}",
	    { { "keyId", ID }, { "usage", USAGE }, { "keyBytes", BASE64, true } } },
	{ "DELETE", "/key", "{'keyHandle':'$0'}", { { "keyHandle", HANDLE, false, 1 << KEY } } },
	{ "POST", "/keypair", "{'keyId':'bad-new','preferredAlgorithms':'ec-p256'}",
	    { { "keyId", ID }, { "preferredAlgorithms", LIST, true } } },
	{ "POST", "/keypair/bad-new", "{'from':'bad-none'}", { { "from", FROM } } },
	{ "DELETE", "/keypair", "{'keyHandle':'$1'}",
	    { { "keyHandle", HANDLE, false, ANY_PAIR } } },
	{ "POST", "/parameters/algorithm", "{'keyHandle':'$1'}",
	    { { "keyHandle", HANDLE, false, ANY_PAIR | 1 << OF_PAIR } }, true },
	{ "POST", "/derivedkey", "{'baseKeyHandle':'$0','derivationData':'AAAA'}",
	    { { "baseKeyHandle", HANDLE, false, 1 << KEY | ANY_PAIR },
		{ "derivationData", BASE64 } },
	    true },
	{ "POST", "/derivedkey/export", "{'keyHandle':'$4'}",
	    { { "keyHandle", HANDLE, false, 1 << OF_KEY | 1 << OF_PAIR } }, true },
	{ "POST", "/sign",
	    "{'keyHandle':'$1','algorithm':'ECDSA','parameters':{'digest':'" DIGEST "'}}",
	    { { "keyHandle", HANDLE, false, 1 << EC }, { "algorithm", WORDS },
		{ "parameters", OBJECT }, { "parameters.digest", BASE64 } },
	    true },
	{ "POST", "/sign",
	    "{'keyHandle':'$2','algorithm':'EdDSA','parameters':{'message':'" DIGEST "'}}",
	    { { "keyHandle", HANDLE, false, 1 << ED }, { "algorithm", WORDS },
		{ "parameters", OBJECT }, { "parameters.message", BASE64 } },
	    true },
	{ "POST", "/sign",
	    "{'keyHandle':'$0','algorithm':'HMAC-SHA256','parameters':{'message':'" DIGEST "'}}",
	    { { "keyHandle", HANDLE, false, ANY_KEY }, { "algorithm", WORDS },
		{ "parameters", OBJECT }, { "parameters.message", BASE64 } },
	    true },
	{ "POST", "/encrypt",
	    "{'keyHandle':'$0','algorithm':'AEAD','parameters':{'iv':'AAAA','aad':'AAAA'},"
	    "'plaintext':'AAAA'}",
	    { { "keyHandle", HANDLE, false, ANY_KEY }, { "algorithm", WORDS },
		{ "parameters", OBJECT }, { "parameters.iv", BASE64 }, { "parameters.aad", BASE64 },
		{ "plaintext", BASE64 } },
	    true },
	{ "POST", "/encrypt", "{'keyHandle':'$3','algorithm':'RSA-PKCS1','plaintext':'" DIGEST "'}",
	    { { "keyHandle", HANDLE, false, 1 << RSA_PAIR }, { "algorithm", WORDS },
		{ "plaintext", BASE64 } },
	    true },
	{ "POST", "/encrypt", "{'keyHandle':'$3','algorithm':'RSA-NO-PADDING','plaintext':'AAAA'}",
	    { { "keyHandle", HANDLE, false, 1 << RSA_PAIR }, { "algorithm", WORDS },
		{ "plaintext", BASE64 } } },
	{ "POST", "/decrypt",
	    "{'keyHandle':'$0','algorithm':'AEAD','parameters':{'iv':'AAAA','aad':'AAAA'},"
	    "'ciphertext':'AAAA'}",
	    { { "keyHandle", HANDLE, false, ANY_KEY }, { "algorithm", WORDS },
		{ "parameters", OBJECT }, { "parameters.iv", BASE64 }, { "parameters.aad", BASE64 },
		{ "ciphertext", BASE64 } } },
};

/* The body of a request as it should be. */
static json_t *
body_of(const struct request *r)
{
	char text[2048];
	size_t len = 0;
	json_t *json;

	for (const char *c = r->body; *c; c++) {
		if (*c == '$')
			len += (size_t)snprintf(
			    text + len, sizeof(text) - len, "%s", handles[*++c - '0']);
		else
			text[len++] = *c == '\'' ? '"' : *c;
	}
	text[len] = '\0';
	json = json_loads(text, 0, NULL);
	if (!json)
		fail(text);
	return json;
}

/* The same with another value for one member; takes value; NULL: without it. */
static void
expect_with(unsigned status, const struct request *r, const struct member *m, json_t *value,
    const char *what)
{
	json_t *body = body_of(r), *in = body;
	const char *name = m->name, *dot = strchr(name, '.');
	char text[256];

	if (dot) {
		in = json_object_get(body, "parameters");
		name = dot + 1;
	}
	if (value)
		json_object_set_new(in, name, value);
	else
		json_object_del(in, name);
	snprintf(text, sizeof(text), "%s %.*s", m->name, KEEP_WITHIN, what);
	expect(status, r->method, r->path, body, text);
	json_decref(body);
}

static void
expect_text(unsigned status, const struct request *r, const struct member *m, const char *text)
{
	expect_with(status, r, m, json_stringn_nocheck(text, strlen(text)), text);
}

/* --- what can be wrong with each kind (common.md 5 and 6) */

static void
try_types(const struct request *r, const struct member *m)
{
	json_t *object = json_object();

	if (!m->optional) {
		expect_with(422, r, m, NULL, "missing");
		expect_with(422, r, m, json_null(), "null");
	}
	expect_with(422, r, m, json_integer(5), "number");
	expect_with(422, r, m, json_real(0.5), "fraction");
	expect_with(422, r, m, json_true(), "true");
	expect_with(422, r, m, json_false(), "false");
	expect_with(422, r, m, json_array(), "array");
	json_object_set_new(object, "keyHandle", json_string("x"));
	expect_with(422, r, m, object, "object");
	if (m->kind == OBJECT)
		expect_text(422, r, m, "text");
	else
		expect_with(422, r, m, json_stringn_nocheck("a\0b", 3), "NUL");
}

/* Each bit of what is sealed, turned over. */
static void
try_bits(const struct request *r, const struct member *m, const char *handle)
{
	struct text in = { handle + 4, strlen(handle) - 4 };
	struct bytes sealed = { 0 };
	struct err err = { 0 };

	if (b64_decode(B64_URL, in, &sealed, &err))
		fail(handle);
	for (size_t bit = 0; bit < sealed.len * 8; bit++) {
		char *text = NULL, *whole = NULL;

		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (b64_encode(B64_URL, sealed.data, sealed.len, &text, &err) ||
		    str_format(&whole, &err, "ek1.%s", text))
			fail("encode");
		expect_text(400, r, m, whole);
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		str_freep(&text);
		str_freep(&whole);
	}
	bytes_done(&sealed);
}

static void
try_handles(const struct request *r, const struct member *m)
{
	static const char *const none[] = { "", "x", "ek1", "ek1.", "ek1.AAAA", "ek2.AAAA",
		"ek1.====", "sr=e30=&sig=AAAA", "sr=&sig=", "../keys", "\xc3\xbc",
		"ek1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
	static const char *const around[] = { "%s=", "%sA", "%sAA", "%s ", " %s", "%s\n", "E%s",
		"%s.", "ek1.%s", "%s&sig=x" };
	char *endless = repeat('A', 100000), *text = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		expect_text(400, r, m, none[i]);
	if (str_format(&text, &err, "ek1.%s", endless))
		fail("memory");
	expect_text(400, r, m, text);
	str_freep(&text);
	for (size_t i = 0; i < HANDLES; i++) {
		if (i == FOREIGN || !(m->with & 1U << i)) {
			/* a parameter of another kind of key, or a kind that the route does not take */
			expect_text(
			    strncmp(r->path, "/parameters", 11) == 0 && i != FOREIGN ? 500 : 400, r,
			    m, handles[i]);
			continue;
		}
		for (size_t j = 0; j < ARRAY_LEN(around); j++) {
			if (str_format(&text, &err, around[j], handles[i]))
				fail("memory");
			expect_text(400, r, m, text);
			str_freep(&text);
		}
		if (str_format(&text, &err, "%.*s", (int)strlen(handles[i]) - 1, handles[i]))
			fail("memory");
		expect_text(400, r, m, text);
		str_freep(&text);
		try_bits(r, m, handles[i]);
	}
	free(endless);
}

static void
try_base64(const struct request *r, const struct member *m)
{
	/* AB==, AAB=: bits behind the last byte */
	static const char *const bad[] = { "A", "AA", "AAA",
		"A===", "AA=", "AAAA=", "AA==AA==", " AA==", "AA==\n",
		"AA\n==", "-_8=", "AB==", "AAB=", "====", "!!!!", "AA%3D%3D", "\xc3\xbc\xc3\xbc" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		expect_text(422, r, m, bad[i]);
}

/* Over-long, where the contract or docs/compat.md has a bound. */
static void
try_long(const struct request *r, const struct member *m)
{
	static const struct {
		const char *name;
		size_t len;
		unsigned status;
	} bounds[] = {
		{ "keyId", 129, 400 },
		{ "keyId", 65536, 400 },
		{ "from", 65536, 400 }, /* longer than any file's name */
		{ "keyBytes", 87384, 400 },
		{ "derivationData", 5464, 400 },
		{ "parameters.digest", 88, 400 },
		{ "parameters.digest", 800000, 400 },
		{ "ciphertext", 800000, 400 }, /* of a version that does not exist */
		{ "algorithm", 65536, 422 },
		{ "usage", 65536, 422 },
		{ "preferredAlgorithms", 65536, 400 },
	};

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		char *text;

		if (strcmp(bounds[i].name, m->name) != 0)
			continue;
		text = repeat('A', bounds[i].len);
		expect_text(bounds[i].status, r, m, text);
		free(text);
	}
}

static void
try_words(const struct request *r, const struct member *m)
{
	static const char *const algorithms[] = { "", "ecdsa", "ECDSA ", "HMAC", "AES", "RSA",
		"ED25519", "RSA-PSS", "none" };
	static const char *const usages[] = { "", ",", "sign,", ",sign", "Sign", "sign ",
		"sign, derive", "sign;derive", "verify", "sign,verify" };
	static const char *const lists[] = { "", ":", "::::", "EC-P256", "nope", "ec-p256 ", "rsa",
		"ec-p256,rsa-2048" };

	for (size_t i = 0; m->kind == WORDS && i < ARRAY_LEN(algorithms); i++)
		expect_text(422, r, m, algorithms[i]);
	for (size_t i = 0; m->kind == USAGE && i < ARRAY_LEN(usages); i++)
		expect_text(422, r, m, usages[i]);
	for (size_t i = 0; m->kind == LIST && i < ARRAY_LEN(lists); i++)
		expect_text(400, r, m, lists[i]);
}

static void
try_ids(const struct request *r, const struct member *m)
{
	static const char *const absent[] = { "", "/", ".", "..", "../..", "a/../b", "%", "%41",
		"%2e%2e", "../handles.key", "/etc/passwd", "bad-none" };

	if (m->kind == ID)
		expect_text(401, r, m, "handle-validation-key");
	/* nothing to move: 500 by contract, and no file name comes of any id */
	for (size_t i = 0; m->kind == FROM && i < ARRAY_LEN(absent); i++)
		expect_text(500, r, m, absent[i]);
	if (m->kind == FROM)
		expect_text(400, r, m, "bad-new"); /* onto itself */
}

/* Algorithms that are known, but not of this request. */
static void
try_mixed(void)
{
	static const char *const of_sign[] = { "AEAD", "RSA-PKCS1", "RSA-NO-PADDING" };
	static const char *const of_encrypt[] = { "ECDSA", "HMAC-SHA256", "EdDSA" };
	static const struct member algorithm = { "algorithm", WORDS };

	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		for (size_t j = 0; j < ARRAY_LEN(of_sign); j++) {
			if (strcmp(requests[i].path, "/sign") == 0)
				expect_text(422, &requests[i], &algorithm, of_sign[j]);
			else if (strstr(requests[i].path, "crypt"))
				expect_text(422, &requests[i], &algorithm, of_encrypt[j]);
		}
}

/* --- what is named in the path */

static void
try_paths(void)
{
	static const struct {
		const char *path;
		unsigned status;
	} paths[] = {
		{ "/", 404 },	 /* no id */
		{ "/a/b", 404 }, /* more than one segment */
		{ "/a/", 404 },
		{ "//", 404 },
		{ "/%00", 404 }, /* no id has a NUL */
		{ "/a%00b", 404 },
		{ "/%ff", 404 },       /* no UTF-8 */
		{ "/%c0%80", 404 },    /* NUL written long */
		{ "/%ed%a0%80", 404 }, /* half a pair */
		{ "/.", 400 },	       /* ids as others, of no key */
		{ "/..", 400 },
		{ "/%2e%2e", 400 },
		{ "/%2F", 400 },
		{ "/..%2f..%2fhandles.key", 400 },
		{ "/%", 400 },
		{ "/%4", 400 },
		{ "/%zz", 400 },
		{ "/%25", 400 },
		{ "/bad-none%41", 400 },
		{ "/\xc3\xbc", 400 },
		{ "/handle-validation-key", 401 },
		{ "/handle%2Dvalidation-key", 401 },
	};
	static const char *const kinds[] = { "/key", "/keypair" };
	char path[ANSWER_MAX];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		char *text;

		for (size_t j = 0; j < ARRAY_LEN(paths); j++) {
			snprintf(path, sizeof(path), "%s%s", kinds[i], paths[j].path);
			expect_raw(paths[j].status, "GET", path, "", 0, "in the path");
		}
		text = repeat('a', 20000);
		snprintf(path, sizeof(path), "%s/%s", kinds[i], text);
		expect_raw(400, "GET", path, "", 0, "over-long in the path");
		free(text);
		text = repeat('a', 65536 - 100);
		snprintf(path, sizeof(path), "%s/%s", kinds[i], text);
		expect_raw(414, "GET", path, "", 0, "64 KiB in the path");
		free(text);
	}
}

static void
try_names(void)
{
	static const char *const names[] = { "ALGORITHM", "algorithm%20", "rsa-exponen", "..",
		"%2e%2e%2fkey", "private-exponent", "ec-private" };
	json_t *body = body_of(&requests[5]);
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "/parameters/%s", names[i]);
		expect(400, "POST", path, body, "as a parameter");
	}
	json_decref(body);
}

/* --- the body as a whole */

static void
try_bodies(const struct request *r)
{
	static const struct {
		const char *text;
		size_t len;
	} bodies[] = {
		{ "{\"keyHandle\":\"x\0\"}", 17 },
		{ "\0", 1 },
		{ "{}\0", 3 },
		{ "{} {}", 5 },
		{ "{\"keyHandle\":\"\xff\"}", 17 },
		{ "\xef\xbb\xbf{}", 5 },
		{ "{'keyHandle':'x'}", 17 },
		{ "[]", 2 },
		{ "\"keyHandle\"", 11 },
		{ "null", 4 },
		{ "{\"keyHandle\":\"x\",\"keyHandle\":\"x\"}", 33 },
		{ "{\"keyHandle\":\"\\ud800\"}", 22 },
	};
	char *spaces = repeat(' ', BODY_MAX + 1);

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		expect_raw(422, r->method, r->path, bodies[i].text, bodies[i].len, "this body");
	expect_raw(400, r->method, r->path, "", 0, "no body");
	expect_raw(413, r->method, r->path, spaces, BODY_MAX + 1, "a body over 1 MiB");
	free(spaces);
}

/* The row itself is in order, so what is refused is refused for what is wrong in it. */
static void
expect_good(const struct request *r)
{
	json_t *body = body_of(r);

	expect(200, r->method, r->path, body, "as it should be");
	json_decref(body);
}

int
main(int argc, char **argv)
{
	if (argc != HANDLES + 2)
		return 2;
	socket_path = argv[1];
	for (size_t i = 0; i < HANDLES; i++)
		handles[i] = argv[i + 2];
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		const struct request *r = &requests[i];

		if (r->granted)
			expect_good(r);
		try_bodies(r);
		for (const struct member *m = r->members; m < r->members + 6 && m->name; m++) {
			try_types(r, m);
			try_long(r, m);
			try_words(r, m);
			try_ids(r, m);
			if (m->kind == HANDLE)
				try_handles(r, m);
			if (m->kind == BASE64)
				try_base64(r, m);
		}
	}
	try_mixed();
	try_paths();
	try_names();
	printf("%u requests, %u wrong\n", tried, wrong);
	return wrong > 0;
}
