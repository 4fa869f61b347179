#ifndef KEYD_PKCS11_RV_H
#define KEYD_PKCS11_RV_H

#define CRYPTOKI_GNU /* struct and type names of our style */
#include <p11-kit/pkcs11.h>

#include "base/err.h"

/* What a Cryptoki return value means for us: one table (PKCS#11 v2.40 section 5.1.6; contracts/pkcs11.md 4 and 6). */

enum pkcs11_class {
	PKCS11_FINAL, /* asking again gives the same */
	PKCS11_LOST, /* session, login, object or token went away: once more after looking for it anew */
	PKCS11_ODD, /* says nothing; LOST if the token does not answer any more, else FINAL */
};

struct pkcs11_rv {
	ck_rv_t rv;
	const char *name; /* "CKR_PIN_INCORRECT" */
	enum err_code code;
	enum pkcs11_class class;
	const char *text; /* what it means, for an operator */
};

/* Never NULL: a value that the standard does not know has a row, too. */
const struct pkcs11_rv *pkcs11_rv(ck_rv_t rv);

/* Code and text of a return value other than CKR_OK; what names the call, as "C_Sign". */
enum err_code pkcs11_failed(struct err *err, const char *what, ck_rv_t rv);

#endif
