#include "data/pkcs11_uri.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "data/uri.h"

#define SCHEME	    "pkcs11:"
#define FILE_SCHEME "file:"

enum kind { TEXT_VALUE, ID_VALUE, TYPE_VALUE, SLOT_VALUE, PIN_PATH, REFUSED };

/* What is read.  RFC 7512 2.3 (path) and 2.4 (query). */
static const struct attribute {
	const char *name;
	bool in_query;
	enum kind kind;
	size_t offset; /* TEXT_VALUE, PIN_PATH: of a char * */
} attributes[] = {
	{ "token", false, TEXT_VALUE, offsetof(struct pkcs11_uri, token) },
	{ "manufacturer", false, TEXT_VALUE, offsetof(struct pkcs11_uri, manufacturer) },
	{ "model", false, TEXT_VALUE, offsetof(struct pkcs11_uri, model) },
	{ "serial", false, TEXT_VALUE, offsetof(struct pkcs11_uri, serial) },
	{ "object", false, TEXT_VALUE, offsetof(struct pkcs11_uri, object) },
	{ "id", false, ID_VALUE, 0 },
	{ "type", false, TYPE_VALUE, 0 },
	{ "slot-id", false, SLOT_VALUE, 0 },
	{ "pin-value", true, TEXT_VALUE, offsetof(struct pkcs11_uri, pin_value) },
	{ "pin-source", true, PIN_PATH, offsetof(struct pkcs11_uri, pin_source) },
	{ "module-name", true, REFUSED, 0 },
	{ "module-path", true, REFUSED, 0 },
};

static const char *const types[] = {
	[PKCS11_URI_PUBLIC] = "public",
	[PKCS11_URI_PRIVATE] = "private",
	[PKCS11_URI_CERT] = "cert",
	[PKCS11_URI_SECRET_KEY] = "secret-key",
	[PKCS11_URI_DATA] = "data",
};

struct reading {
	struct pkcs11_uri uri;
	struct buf ignored;
	bool seen[ARRAY_LEN(attributes)];
};

static char **
text_at(const struct pkcs11_uri *uri, const struct attribute *a)
{
	return (char **)((char *)uri + a->offset);
}

void
pkcs11_uri_done(struct pkcs11_uri *uri)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (attributes[i].kind == TEXT_VALUE || attributes[i].kind == PIN_PATH)
			str_freep(text_at(uri, &attributes[i]));
	bytes_done(&uri->id);
	str_freep(&uri->ignored);
	*uri = (struct pkcs11_uri){ 0 };
}

static void
reading_done(struct reading *r)
{
	pkcs11_uri_done(&r->uri);
	buf_done(&r->ignored);
}

/* --- values */

static enum err_code
bad(const struct attribute *a, const char *what, struct err *err)
{
	return err_set(err, ERR_SYNTAX, "invalid PKCS#11 URI: %s %s", a->name, what);
}

static enum err_code
read_type(struct pkcs11_uri *uri, const struct attribute *a, struct text value, struct err *err)
{
	for (size_t i = PKCS11_URI_ANY + 1; i < ARRAY_LEN(types); i++)
		if (text_equal(value, types[i])) {
			uri->type = (enum pkcs11_uri_type)i;
			return ERR_OK;
		}
	return bad(a, "is none of public, private, cert, secret-key, data", err);
}

static enum err_code
read_slot(struct pkcs11_uri *uri, const struct attribute *a, struct text value, struct err *err)
{
	unsigned long slot = 0;

	if (value.len == 0)
		return bad(a, "is not a number", err);
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < '0' || value.data[i] > '9' ||
		    __builtin_mul_overflow(slot, 10ul, &slot) ||
		    __builtin_add_overflow(slot, (unsigned long)(value.data[i] - '0'), &slot))
			return bad(a, "is not a number", err);
	}
	uri->slot = slot;
	uri->has_slot = true;
	return ERR_OK;
}

/* A path, or the file: URI that the RFC's examples have; relative ones would depend on where keyd was started. */
static enum err_code
read_pin_path(const struct attribute *a, char **value, struct err *err)
{
	AUTO(str_freep) char *uri = *value;

	*value = NULL;
	if (strncasecmp(uri, FILE_SCHEME, strlen(FILE_SCHEME)) != 0) {
		*value = uri;
		uri = NULL;
	} else if (uri_file_path(uri, value, err)) {
		return err->code == ERR_NOMEM ? err->code : bad(a, "is not a file: URI", err);
	}
	return (*value)[0] == '/' ? ERR_OK : bad(a, "is not an absolute path", err);
}

static enum err_code
read_text(struct pkcs11_uri *uri, const struct attribute *a, struct text value, struct err *err)
{
	char **to = text_at(uri, a);

	if (uri_decode(value, false, to, err))
		return err->code == ERR_NOMEM ? err->code
					      : bad(a, "is not percent-encoded text", err);
	return a->kind == PIN_PATH ? read_pin_path(a, to, err) : ERR_OK;
}

static enum err_code
read_value(struct reading *r, const struct attribute *a, struct text value, struct err *err)
{
	bool *seen = &r->seen[a - attributes];

	if (a->kind == REFUSED)
		return bad(a, "is refused: the configuration names the library", err);
	if (*seen)
		return bad(a, "is there twice", err);
	*seen = true;
	if (a->kind == SLOT_VALUE)
		return read_slot(&r->uri, a, value, err);
	if (a->kind == TYPE_VALUE)
		return read_type(&r->uri, a, value, err);
	if (a->kind != ID_VALUE)
		return read_text(&r->uri, a, value, err);
	if (uri_decode_bytes(value, &r->uri.id, err))
		return err->code == ERR_NOMEM ? err->code : bad(a, "is not percent-encoded", err);
	return ERR_OK;
}

/* --- attributes */

/* Names of attributes are for the log; what is none is not. */
static void
note_ignored(struct reading *r, struct text name)
{
	static const char allowed[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

	if (r->ignored.len > 0)
		buf_puts(&r->ignored, ", ");
	if (name.len > 0 && name.len <= 64 && strspn(name.data, allowed) >= name.len)
		buf_add(&r->ignored, name.data, name.len);
	else
		buf_puts(&r->ignored, "(no name)");
}

static enum err_code
read_attribute(struct reading *r, struct text part, bool in_query, struct err *err)
{
	const char *equals = memchr(part.data, '=', part.len);
	struct text name, value;

	if (!equals)
		return err_set(err, ERR_SYNTAX, "invalid PKCS#11 URI: %s without a value",
		    in_query ? "a word of the query" : "an attribute");
	name = (struct text){ part.data, (size_t)(equals - part.data) };
	value = (struct text){ equals + 1, part.len - name.len - 1 };
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (attributes[i].in_query == in_query && text_equal(name, attributes[i].name))
			return read_value(r, &attributes[i], value, err);
	note_ignored(r, name);
	return ERR_OK;
}

static enum err_code
read_attributes(struct reading *r, struct text in, bool in_query, struct err *err)
{
	const char split = in_query ? '&' : ';';
	size_t at = 0;

	while (at < in.len) {
		const char *end = memchr(in.data + at, split, in.len - at);
		size_t len = end ? (size_t)(end - in.data) - at : in.len - at;

		if (len > 0 && read_attribute(r, (struct text){ in.data + at, len }, in_query, err))
			return err->code;
		at += len + 1;
	}
	return ERR_OK;
}

static enum err_code
read_all(struct reading *r, const char *in, struct err *err)
{
	const char *query;

	if (strlen(in) > PKCS11_URI_MAX)
		return err_set(
		    err, ERR_SYNTAX, "invalid PKCS#11 URI: over %d bytes", PKCS11_URI_MAX);
	if (strncasecmp(in, SCHEME, strlen(SCHEME)) != 0)
		return err_set(err, ERR_SYNTAX, "invalid PKCS#11 URI: expected pkcs11:...");
	in += strlen(SCHEME);
	query = strchr(in, '?');
	if (!query)
		return read_attributes(r, text_of(in), false, err);
	if (read_attributes(r, (struct text){ in, (size_t)(query - in) }, false, err) ||
	    read_attributes(r, text_of(query + 1), true, err))
		return err->code;
	if (r->uri.pin_value && r->uri.pin_source)
		return err_set(
		    err, ERR_SYNTAX, "invalid PKCS#11 URI: both pin-value and pin-source");
	return ERR_OK;
}

enum err_code
pkcs11_uri_parse(const char *in, struct pkcs11_uri *ret, struct err *err)
{
	AUTO(reading_done) struct reading r = { 0 };

	if (read_all(&r, in, err))
		return err->code;
	if (r.ignored.len > 0 && buf_take_string(&r.ignored, &r.uri.ignored, err))
		return err->code;
	*ret = r.uri;
	r.uri = (struct pkcs11_uri){ 0 };
	return ERR_OK;
}

/* --- comparing and writing */

static bool
names_token(const struct attribute *a)
{
	return a->kind == TEXT_VALUE && !a->in_query &&
	       a->offset != offsetof(struct pkcs11_uri, object);
}

static bool
same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool
pkcs11_uri_same_token(const struct pkcs11_uri *a, const struct pkcs11_uri *b)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (names_token(&attributes[i]) &&
		    !same(*text_at(a, &attributes[i]), *text_at(b, &attributes[i])))
			return false;
	return a->has_slot == b->has_slot && a->slot == b->slot;
}

static enum err_code
write_text(struct buf *out, const char *name, const char *value, struct err *err)
{
	AUTO(str_freep) char *encoded = NULL;

	if (uri_encode(URI_UNRESERVED, text_of(value), &encoded, err))
		return err->code;
	buf_printf(out, "%s%s=%s", out->len > strlen(SCHEME) ? ";" : "", name, encoded);
	return ERR_OK;
}

enum err_code
pkcs11_uri_write(const struct pkcs11_uri *uri, const char *object, char **ret, struct err *err)
{
	AUTO(buf_done) struct buf out = { 0 };

	buf_puts(&out, SCHEME);
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		const struct attribute *a = &attributes[i];

		if (names_token(a) && *text_at(uri, a) &&
		    write_text(&out, a->name, *text_at(uri, a), err))
			return err->code;
	}
	if (uri->has_slot)
		buf_printf(&out, "%sslot-id=%lu", out.len > strlen(SCHEME) ? ";" : "", uri->slot);
	if (object && write_text(&out, "object", object, err))
		return err->code;
	return buf_take_string(&out, ret, err);
}
