#ifndef EDGED_EDGE_CA_H
#define EDGED_EDGE_CA_H

#include "client/certd.h"
#include "client/keyd.h"
#include "edged/config.h"

/*
 * The Edge CA, which signs the modules' certificates (contracts/edged-workload.md 3.4): a key pair in keyd, made if absent, and a certificate in
 * certd, asked for by a request that keyd signs (the private half is never here).  A certificate that is there is left alone; renewal comes
 * with its own issue.
 */
struct edge_ca {
	struct keyd_client *keyd;
	struct certd_client *certd;
	const struct edged_edge_ca_config *config;
};

/* device_id: for the subject's name where the configuration gives none. */
enum err_code edge_ca_ensure(
    const struct edge_ca *ca, const char *device_id, struct err *err) MUST_CHECK;

#endif
