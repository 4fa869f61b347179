#include "data/key_uri.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/b64.h"
#include "base/buf.h"
#include "data/uri.h"

#define SCHEME "keyd:"
#define LINE   64 /* characters of a line of PEM (RFC 7468, 2) */

/* pchar and '/' of RFC 3986 without ';', which divides attributes */
static bool
may_stand(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("-._~!$&'()*+,=:@/%", c));
}

static enum err_code
read_value(struct text in, bool by_handle, struct key_uri *ret, struct err *err)
{
	if (ret->value)
		return err_set(err, ERR_SYNTAX, "key URI: more than one of id and handle");
	if (in.len == 0)
		return err_set(err, ERR_SYNTAX, "key URI: empty %s", by_handle ? "handle" : "id");
	for (size_t i = 0; i < in.len; i++)
		if (!may_stand(in.data[i]))
			return err_set(
			    err, ERR_SYNTAX, "key URI: a character that must be percent-encoded");
	ret->by_handle = by_handle;
	return uri_decode(in, false, &ret->value, err) ? err_wrap(err, "key URI") : ERR_OK;
}

static enum err_code
read_attribute(struct text in, struct key_uri *ret, struct err *err)
{
	const char *equals = in.len ? memchr(in.data, '=', in.len) : NULL;
	struct text name = { in.data, equals ? (size_t)(equals - in.data) : 0 }, value;

	if (!equals)
		return err_set(err, ERR_SYNTAX, "key URI: expected id=... or handle=...");
	value = (struct text){ equals + 1, in.len - name.len - 1 };
	if (text_equal(name, "id") || text_equal(name, "handle"))
		return read_value(value, name.len > 2, ret, err);
	if (text_equal(name, "socket"))
		return err_set(err, ERR_SYNTAX,
		    "key URI: the socket is set in the provider's section of openssl.cnf, not "
		    "here");
	return err_set(err, ERR_SYNTAX, "key URI: an attribute other than id and handle");
}

enum err_code
key_uri_read(struct text in, struct key_uri *ret, struct err *err)
{
	AUTO(key_uri_done) struct key_uri uri = { 0 };
	const size_t prefix = strlen(SCHEME);

	if (in.len > KEY_URI_MAX)
		return err_set(err, ERR_SYNTAX, "key URI: more than %d bytes", KEY_URI_MAX);
	if (in.len < prefix || strncasecmp(in.data, SCHEME, prefix) != 0)
		return err_set(err, ERR_SYNTAX, "key URI: expected " SCHEME);
	in = (struct text){ in.data + prefix, in.len - prefix };
	for (;;) {
		const char *end = in.len ? memchr(in.data, ';', in.len) : NULL;
		size_t len = end ? (size_t)(end - in.data) : in.len;

		if (read_attribute((struct text){ in.data, len }, &uri, err))
			return err->code;
		if (!end)
			break;
		in = (struct text){ end + 1, in.len - len - 1 };
	}
	*ret = uri;
	uri.value = NULL;
	return ERR_OK;
}

enum err_code
key_uri_write(const struct key_uri *uri, char **ret, struct err *err)
{
	AUTO(str_freep) char *encoded = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(uri->value), &encoded, err))
		return err->code;
	return str_format(ret, err, SCHEME "%s=%s", uri->by_handle ? "handle" : "id", encoded);
}

enum err_code
key_uri_pem(const struct key_uri *uri, char **ret, struct err *err)
{
	AUTO(str_freep) char *text = NULL;
	AUTO(str_freep) char *encoded = NULL;
	AUTO(buf_done) struct buf out = { 0 };

	if (key_uri_write(uri, &text, err) ||
	    b64_encode(B64_STD, text, strlen(text), &encoded, err))
		return err->code;
	buf_puts(&out, "-----BEGIN " KEY_URI_LABEL "-----\n");
	for (const char *at = encoded; *at; at += strnlen(at, LINE))
		buf_printf(&out, "%.*s\n", LINE, at);
	buf_puts(&out, "-----END " KEY_URI_LABEL "-----\n");
	return buf_take_string(&out, ret, err);
}

void
key_uri_done(struct key_uri *uri)
{
	str_freep(&uri->value);
	*uri = (struct key_uri){ 0 };
}
