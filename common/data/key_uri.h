#ifndef DATA_KEY_URI_H
#define DATA_KEY_URI_H

#include <stdbool.h>

#include "base/mem.h"

/*
 * The name of a key pair in keyd, as the OpenSSL provider reads it and operators write it (design/provider.md, trap 10):
 *
 *	keyd:id=press-07%2Ftls		by its id; whoever opens it needs a principal of keyd
 *	keyd:handle=ek1.AAAA		by a handle that was given to him; a secret
 *
 * Attributes are divided by ';', values percent-encoded; there are no others, and exactly one of the two is there.
 */
struct key_uri {
	bool by_handle;
	char *value; /* decoded: an id or a handle */
};

#define KEY_URI_MAX   4096		 /* bytes of a URI */
#define KEY_URI_LABEL "EDGEKEEP KEY URI" /* of a PEM file that holds one */

/* ERR_SYNTAX, with what is wrong and never with the value.  *ret is released by key_uri_done. */
enum err_code key_uri_read(struct text in, struct key_uri *ret, struct err *err) MUST_CHECK;
enum err_code key_uri_write(const struct key_uri *uri, char **ret, struct err *err) MUST_CHECK;
/* The PEM file that a program is given in place of the private key: the URI's bytes in base64. */
enum err_code key_uri_pem(const struct key_uri *uri, char **ret, struct err *err) MUST_CHECK;
void key_uri_done(struct key_uri *uri);

#endif
