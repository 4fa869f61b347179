#ifndef KEYD_API_H
#define KEYD_API_H

#include "http/route.h"

/* Who may call a row; said here, decided in keys.h, where the id is known.  A test tries each row as a stranger. */
enum keyd_who {
	ANYONE,		 /* who may open the socket */
	AUTHZ_PRINCIPAL, /* a principal of the id */
	AUTHZ_HANDLE,	 /* who holds a handle, where permit.h allows the use */
	AUTHZ_BOTH,	 /* a principal who holds a handle */
};

extern const struct route_table keyd_routes;

/* api_key.c */
route_handler keyd_create_key, keyd_load_key, keyd_delete_key;
route_handler keyd_create_key_pair, keyd_load_key_pair, keyd_move_key_pair, keyd_delete_key_pair;
route_handler keyd_move_key;
route_handler keyd_parameter;

/* api_crypto.c */
route_handler keyd_derive, keyd_export_derived;
route_handler keyd_sign, keyd_encrypt, keyd_decrypt;

/* api_status.c */
route_handler keyd_status;

#endif
