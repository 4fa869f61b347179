#include "data/uri.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

/* Length of the well-formed UTF-8 sequence at p (RFC 3629 section 4), 0 when there is none. */
static size_t
utf8_len(const unsigned char *p, size_t left)
{
	unsigned char lowest = 0x80, highest = 0xbf;
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < len)
		return 0;
	/* no over-long forms, no surrogates, nothing above U+10FFFF */
	if (p[0] == 0xe0)
		lowest = 0xa0;
	else if (p[0] == 0xed)
		highest = 0x9f;
	else if (p[0] == 0xf0)
		lowest = 0x90;
	else if (p[0] == 0xf4)
		highest = 0x8f;
	if (p[1] < lowest || p[1] > highest)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t
uri_utf8_prefix(struct text in)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t i = 0, len;

	while (i < in.len && (len = utf8_len(p + i, in.len - i)) > 0)
		i += len;
	return i;
}

bool
uri_utf8_valid(struct text in)
{
	return uri_utf8_prefix(in) == in.len && (in.len == 0 || !memchr(in.data, '\0', in.len));
}

/* --- percent-encoding */

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* strchr() would find the final NUL, too. */
static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
must_encode(enum uri_set set, char c)
{
	if (is_alnum(c))
		return false;
	switch (set) {
	case URI_FORM:
		return !is_one_of(c, "*-._");
	case URI_AUDIENCE:
		if (c == '=')
			return true;
		/* fall through */
	case URI_UPSTREAM:
		return c <= ' ' || c == 0x7f || (unsigned char)c >= 0x80 ||
		       is_one_of(c, "\"<>`#?{}");
	default:
		return !is_one_of(c, "-._~");
	}
}

enum err_code
uri_encode(enum uri_set set, struct text in, char **ret, struct err *err)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = malloc(in.len * 3 + 1), *to = out;

	if (!out)
		return err_nomem(err);
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.data[i];

		if (!must_encode(set, in.data[i])) {
			*to++ = in.data[i];
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	*to = '\0';
	*ret = out;
	return ERR_OK;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte of the escape at in.data[at], -1 when it is none. */
static int
escape_value(struct text in, size_t at)
{
	int high, low;

	if (in.len - at < 3)
		return -1;
	high = hex_value(in.data[at + 1]);
	low = hex_value(in.data[at + 2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Into out, which holds in.len bytes.  Returns how many came, or -1 for a bad escape. */
static ssize_t
decode(struct text in, bool form, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int byte = (unsigned char)in.data[i];

		if (byte == '%') {
			byte = escape_value(in, i);
			i += 2;
		} else if (form && byte == '+')
			byte = ' ';
		if (byte < 0)
			return -1;
		out[n++] = (char)byte;
	}
	return (ssize_t)n;
}

enum err_code
uri_decode(struct text in, bool form, char **ret, struct err *err)
{
	AUTO(str_freep) char *out = calloc(1, in.len + 1);
	ssize_t n;

	if (!out)
		return err_nomem(err);
	n = decode(in, form, out);
	if (n < 0)
		return err_set(err, ERR_SYNTAX, "invalid percent-encoding");
	if (!uri_utf8_valid((struct text){ out, (size_t)n }))
		return err_set(err, ERR_SYNTAX, "percent-encoding of what is not text");
	*ret = out;
	out = NULL;
	return ERR_OK;
}

enum err_code
uri_decode_bytes(struct text in, struct bytes *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes out = { 0 };
	ssize_t n;

	if (bytes_alloc(&out, in.len, err))
		return err->code;
	n = decode(in, false, (char *)out.data);
	if (n < 0)
		return err_set(err, ERR_SYNTAX, "invalid percent-encoding");
	out.len = (size_t)n;
	*ret = bytes_take(&out);
	return ERR_OK;
}

/* --- parsing, RFC 3986 appendix A */

static enum err_code
invalid(struct err *err, const char *what)
{
	return err_set(err, ERR_SYNTAX, "invalid URI: %s", what);
}

static enum err_code
copy_part(const char *from, size_t len, char **ret, struct err *err)
{
	char *copy = strndup(from, len);

	if (!copy)
		return err_nomem(err);
	*ret = copy;
	return ERR_OK;
}

/* Only characters of the given set, unreserved ones, sub-delims and well-formed escapes? */
static bool
is_component(const char *in, size_t len, const char *more)
{
	for (size_t i = 0; i < len; i++) {
		if (in[i] == '%') {
			if (escape_value((struct text){ in, len }, i) < 0)
				return false;
			i += 2;
		} else if (!is_alnum(in[i]) && !is_one_of(in[i], "-._~!$&'()*+,;=") &&
			   !is_one_of(in[i], more))
			return false;
	}
	return true;
}

static enum err_code
parse_scheme(const char **in, struct uri *u, struct err *err)
{
	size_t len = strcspn(*in, ":/?#");

	if ((*in)[len] != ':' || !isalpha((unsigned char)**in))
		return invalid(err, "no scheme");
	for (size_t i = 0; i < len; i++)
		if (!is_alnum((*in)[i]) && !is_one_of((*in)[i], "+-."))
			return invalid(err, "no scheme");
	if (copy_part(*in, len, &u->scheme, err))
		return err->code;
	for (char *p = u->scheme; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	*in += len + 1;
	return ERR_OK;
}

static enum err_code
parse_port(const char *in, size_t len, struct uri *u, struct err *err)
{
	int port = 0;

	if (len == 0)
		return ERR_OK;
	for (size_t i = 0; i < len; i++) {
		if (in[i] < '0' || in[i] > '9')
			return invalid(err, "port");
		port = port * 10 + (in[i] - '0');
		if (port > 65535)
			return invalid(err, "port");
	}
	if (port == 0)
		return invalid(err, "port");
	u->port = port;
	return ERR_OK;
}

static enum err_code
parse_ipv6(const char *in, size_t len, struct uri *u, struct err *err)
{
	struct in6_addr address;

	if (copy_part(in, len, &u->host, err))
		return err->code;
	if (inet_pton(AF_INET6, u->host, &address) != 1)
		return invalid(err, "address in brackets");
	return ERR_OK;
}

static enum err_code
parse_authority(const char *in, size_t len, struct uri *u, struct err *err)
{
	const char *end = in + len, *at = in;

	if (memchr(in, '@', len))
		return invalid(err, "user names have no use here");
	if (len > 0 && *in == '[') {
		at = memchr(in, ']', len);
		if (!at)
			return invalid(err, "bracket without its other");
		if (parse_ipv6(in + 1, (size_t)(at - in - 1), u, err))
			return err->code;
		at++;
	} else {
		while (at < end && *at != ':')
			at++;
		if (!is_component(in, (size_t)(at - in), ""))
			return invalid(err, "host");
		if (copy_part(in, (size_t)(at - in), &u->host, err))
			return err->code;
	}
	if (at == end)
		return ERR_OK;
	if (*at != ':')
		return invalid(err, "host");
	return parse_port(at + 1, (size_t)(end - at - 1), u, err);
}

static enum err_code
parse_rest(const char *in, struct uri *u, struct err *err)
{
	size_t len = strcspn(in, "?#");

	if (!is_component(in, len, ":@/"))
		return invalid(err, "path");
	if (copy_part(in, len, &u->path, err))
		return err->code;
	in += len;
	if (*in == '?') {
		len = strcspn(++in, "#");
		if (!is_component(in, len, ":@/?"))
			return invalid(err, "query");
		if (copy_part(in, len, &u->query, err))
			return err->code;
		in += len;
	}
	return *in ? invalid(err, "fragments have no use here") : ERR_OK;
}

enum err_code
uri_parse(const char *in, struct uri *ret, struct err *err)
{
	AUTO(uri_done) struct uri u = { 0 };

	if (parse_scheme(&in, &u, err))
		return err->code;
	if (strncmp(in, "//", 2) == 0) {
		size_t len = strcspn(in + 2, "/?#");

		if (parse_authority(in + 2, len, &u, err))
			return err->code;
		in += 2 + len;
	}
	if (parse_rest(in, &u, err))
		return err->code;
	*ret = u;
	u = (struct uri){ 0 };
	return ERR_OK;
}

void
uri_done(struct uri *u)
{
	str_freep(&u->scheme);
	str_freep(&u->host);
	str_freep(&u->path);
	str_freep(&u->query);
	u->port = 0;
}

/* Path of SCHEME:/path, SCHEME:///path or SCHEME://localhost/path. */
static enum err_code
local_path(const char *scheme, const char *in, char **ret, struct err *err)
{
	size_t len = strlen(scheme);

	if (strncasecmp(in, scheme, len) || in[len] != ':')
		return err_set(err, ERR_INVALID, "not a %s URI", scheme);
	in += len + 1;
	if (strncmp(in, "//", 2) == 0) {
		in += 2;
		if (strncasecmp(in, "localhost/", strlen("localhost/")) == 0)
			in += strlen("localhost");
	}
	if (*in != '/')
		return err_set(err, ERR_INVALID, "not an absolute path on this host");
	if (in[strcspn(in, "?#")])
		return err_set(err, ERR_INVALID, "a query or fragment behind a path");
	if (uri_decode(text_of(in), false, ret, err))
		return err_wrap_code(
		    err, err->code == ERR_SYNTAX ? ERR_INVALID : err->code, "not a %s URI", scheme);
	return ERR_OK;
}

enum err_code
uri_file_path(const char *in, char **ret, struct err *err)
{
	return local_path("file", in, ret, err);
}

enum err_code
uri_unix_path(const char *in, char **ret, struct err *err)
{
	return local_path("unix", in, ret, err);
}
