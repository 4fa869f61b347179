#ifndef CERTD_API_H
#define CERTD_API_H

#include "certd/service.h"
#include "http/route.h"
#include "wire/certd.h"

/* The whole surface of certd (contracts/certd.md 1). */
extern const struct route_table certd_routes;

/* Handlers, in the order of the contract's table; `service` is a struct certd. */
route_handler certd_create, certd_get, certd_import, certd_delete;
/* How certd is (wire/status.h). */
route_handler certd_status;

#endif
