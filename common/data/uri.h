#ifndef DATA_URI_H
#define DATA_URI_H

#include <stdbool.h>

#include "base/mem.h"

/*
 * URIs of RFC 3986 as far as this system uses them, and the percent-encodings of the contracts.
 */
struct uri {
	char *scheme; /* lower case */
	char *
	    host; /* NULL when there is no authority, "" when it is empty; brackets of IPv6 kept off */
	int port;    /* 0: none */
	char *path;  /* as written, still encoded; "" when empty */
	char *query; /* without '?', NULL when absent */
};

/* ERR_SYNTAX: no URI of RFC 3986, or one with a user name or a fragment, which nothing here uses. */
enum err_code uri_parse(const char *in, struct uri *ret, struct err *err) MUST_CHECK;
void uri_done(struct uri *u);
/*
 * Absolute path of a "file:///path" URI, decoded.  ERR_INVALID: another scheme, a host other than localhost (RFC 8089), a
 * relative path, a query, a bad escape.  Characters that a URI would have to encode are taken as they are.
 */
enum err_code uri_file_path(const char *in, char **ret, struct err *err) MUST_CHECK;
/* Socket path of a "unix:///path" URI. */
enum err_code uri_unix_path(const char *in, char **ret, struct err *err) MUST_CHECK;

enum uri_set {
	URI_UNRESERVED, /* encode all but ALPHA DIGIT - . _ ~ */
	URI_UPSTREAM, /* the identity clients' path set: controls, space, " < > ` # ? { }, non-ASCII (common.md 7) */
	URI_AUDIENCE, /* URI_UPSTREAM and '=' (identityd.md 6.1) */
	URI_FORM,     /* application/x-www-form-urlencoded, space as %20 */
};
enum err_code uri_encode(enum uri_set set, struct text in, char **ret, struct err *err) MUST_CHECK;
/* Decode %XX (and '+' as space when form).  ERR_SYNTAX: a bad escape, NUL, or no UTF-8. */
enum err_code uri_decode(struct text in, bool form, char **ret, struct err *err) MUST_CHECK;
/* Decode %XX to any bytes.  ERR_SYNTAX: a bad escape. */
enum err_code uri_decode_bytes(struct text in, struct bytes *ret, struct err *err) MUST_CHECK;
/* How many bytes at the beginning are well-formed UTF-8 (NUL is). */
size_t uri_utf8_prefix(struct text in);
/* Valid UTF-8 without NUL? */
bool uri_utf8_valid(struct text in);

#endif
