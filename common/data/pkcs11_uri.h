#ifndef DATA_PKCS11_URI_H
#define DATA_PKCS11_URI_H

#include "base/mem.h"

/*
 * URIs of RFC 7512: which token, which object on it, and its PIN.  Of the attributes, those that say what is meant are read;
 * others are named in `ignored`, as upstream ignores them (contracts/pkcs11.md 5).  module-path and module-name are refused:
 * they would load any library.  Characters that should have been encoded are taken as they are, spaces too.
 */
enum pkcs11_uri_type {
	PKCS11_URI_ANY,
	PKCS11_URI_PUBLIC,
	PKCS11_URI_PRIVATE,
	PKCS11_URI_CERT,
	PKCS11_URI_SECRET_KEY,
	PKCS11_URI_DATA
};

#define PKCS11_URI_MAX 4096 /* bytes */

/* NULL: not named.  Text is UTF-8 without NUL. */
struct pkcs11_uri {
	char *token, *manufacturer, *model, *serial; /* of the token */
	char *object;				     /* CKA_LABEL */
	struct bytes id;			     /* CKA_ID; empty: not named */
	enum pkcs11_uri_type type;
	bool has_slot; /* beats token (contract 2) */
	unsigned long slot;
	char *pin_value;
	char *pin_source; /* absolute path of a file with the PIN */
	char *ignored;	  /* names of attributes that nothing here uses, split by ", " */
};

/*
 * ERR_SYNTAX: not such a URI, an attribute twice, both kinds of PIN, or one that is refused.  No error text holds a part of the
 * query.
 */
enum err_code pkcs11_uri_parse(const char *in, struct pkcs11_uri *ret, struct err *err) MUST_CHECK;
void pkcs11_uri_done(struct pkcs11_uri *uri);

/* Do both name a token in the same words? */
bool pkcs11_uri_same_token(const struct pkcs11_uri *a, const struct pkcs11_uri *b);
/* The attributes that name the token, and object if it is not NULL, as a URI without query; for messages and as the wire form. */
enum err_code pkcs11_uri_write(
    const struct pkcs11_uri *uri, const char *object, char **ret, struct err *err) MUST_CHECK;

#endif
