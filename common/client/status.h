#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

#include "wire/status.h"

/*
 * Ask the daemon behind a socket how it is; 5 s.
 *   version   an api-version that this daemon accepts
 * ERR_UNREACHABLE: no such socket or nobody listens.  ERR_PEER, ERR_TIMEOUT, ERR_PROTOCOL, ERR_BUSY as in client/keyd.h.
 */
enum err_code status_client_get(
    const char *socket, const char *version, struct status_resp *ret, struct err *err) MUST_CHECK;

#endif
