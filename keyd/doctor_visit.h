#ifndef KEYD_DOCTOR_VISIT_H
#define KEYD_DOCTOR_VISIT_H

#include "keyd/doctor.h"

/* One token, while it is examined: doctor_token.c opens and ends it. */
struct doctor_visit {
	struct doctor *d;
	struct doctor_token *place;
	const struct ck_function_list *calls;
	const char *text; /* the URI that names it */
	const struct pkcs11_uri *uri;
	const struct pkcs11_uris *uris; /* of its place */
	ck_slot_id_t slot;
	struct ck_token_info info;
	ck_session_handle_t session; /* logged in where that takes a PIN */
};

/* doctor_keys.c: mechanisms, labels, keys that are made, used and deleted. */
void doctor_keys(struct doctor_visit *v);
/* doctor_certs.c: the token's public certificates.  While no session is open, for libp11 ends all of a slot's. */
void doctor_certs(const struct doctor_visit *v);

#endif
