#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "data/key_uri.h"
#include "data/pkcs11_uri.h"
#include "data/uri.h"

static void
parse(const char *in)
{
	AUTO(uri_done) struct uri u = { 0 };
	AUTO(str_freep) char *path = NULL;
	AUTO(str_freep) char *socket = NULL;
	struct err err = { 0 };

	if (uri_parse(in, &u, &err) == ERR_OK) {
		HOLDS(u.scheme && u.path && u.port >= 0 && u.port <= 65535);
		/* nothing that could end a request line or a header */
		HOLDS(!strpbrk(u.path, " \r\n") && (!u.query || !strpbrk(u.query, " \r\n")));
		HOLDS(!u.host || !strpbrk(u.host, " \r\n/"));
	} else
		HOLDS(err.code == ERR_SYNTAX && !u.scheme);
	if (uri_file_path(in, &path, &err) == ERR_OK)
		HOLDS(path[0] == '/');
	else
		HOLDS(err.code == ERR_INVALID);
	if (uri_unix_path(in, &socket, &err) == ERR_OK)
		HOLDS(socket[0] == '/');
}

/* What was written names the same token. */
static void
parse_pkcs11(const char *in)
{
	AUTO(pkcs11_uri_done) struct pkcs11_uri uri = { 0 };
	AUTO(pkcs11_uri_done) struct pkcs11_uri again = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	if (pkcs11_uri_parse(in, &uri, &err)) {
		HOLDS(err.code == ERR_SYNTAX && !uri.token && !uri.pin_value);
		return;
	}
	HOLDS(!uri.pin_source || (uri.pin_source[0] == '/' && !uri.pin_value));
	HOLDS(pkcs11_uri_write(&uri, uri.object, &text, &err) == ERR_OK);
	if (strlen(text) > PKCS11_URI_MAX)
		return;
	HOLDS(pkcs11_uri_parse(text, &again, &err) == ERR_OK && !again.pin_value);
	HOLDS(pkcs11_uri_same_token(&uri, &again));
}

/* What was written names the same key, and holds nothing that could be an attribute more. */
static void
parse_key(struct text in)
{
	AUTO(key_uri_done) struct key_uri uri = { 0 };
	AUTO(key_uri_done) struct key_uri again = { 0 };
	AUTO(str_freep) char *text = NULL;
	struct err err = { 0 };

	if (key_uri_read(in, &uri, &err)) {
		HOLDS(err.code == ERR_SYNTAX && !uri.value);
		return;
	}
	HOLDS(in.len <= KEY_URI_MAX && uri.value[0]);
	HOLDS(key_uri_write(&uri, &text, &err) == ERR_OK && !strpbrk(text, "; \r\n"));
	if (strlen(text) > KEY_URI_MAX)
		return;
	HOLDS(key_uri_read(text_of(text), &again, &err) == ERR_OK);
	HOLDS(again.by_handle == uri.by_handle && strcmp(again.value, uri.value) == 0);
}

/* Sets that encode '%' itself give text back as it was. */
static void
round_trip(enum uri_set set, struct text in)
{
	AUTO(str_freep) char *encoded = NULL;
	AUTO(str_freep) char *decoded = NULL;
	struct err err = { 0 };

	HOLDS(uri_encode(set, in, &encoded, &err) == ERR_OK);
	if (uri_utf8_valid(in)) {
		HOLDS(uri_decode(text_of(encoded), set == URI_FORM, &decoded, &err) == ERR_OK);
		HOLDS(text_equal(in, decoded));
	} else
		HOLDS(uri_decode(text_of(encoded), false, &decoded, &err) == ERR_SYNTAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(str_freep) char *string = strndup((const char *)data, len);
	AUTO(str_freep) char *encoded = NULL;
	AUTO(str_freep) char *decoded = NULL;
	struct text in = { (const char *)data, len };
	struct err err = { 0 };

	parse(string);
	parse_pkcs11(string);
	parse_key(in);
	round_trip(URI_UNRESERVED, in);
	round_trip(URI_FORM, in);
	HOLDS(uri_encode(URI_AUDIENCE, in, &encoded, &err) == ERR_OK);
	if (uri_decode(in, true, &decoded, &err) == ERR_OK)
		HOLDS(uri_utf8_valid(text_of(decoded)));
	return 0;
}
