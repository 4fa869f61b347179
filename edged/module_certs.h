#ifndef EDGED_MODULE_CERTS_H
#define EDGED_MODULE_CERTS_H

#include "client/certd.h"
#include "client/keyd.h"
#include "edged/module_keys.h"
#include "wire/edged.h"

/*
 * Certificates for modules, issued by certd with the Edge CA (contracts/edged-workload.md 3.2).  The key is made here for each call,
 * handed to the module and kept nowhere; EC P-256, which Edge Hub takes and which costs a hundredth of RSA (A11).
 */
struct module_certs {
	struct certd_client *certd;
	struct keyd_client *keyd;
	const char *edge_ca_cert, *edge_ca_key; /* ids */
	const char *hostname;			/* the device's own name */
};

/*
 * A server certificate.  The name must be the module's own, or for the modules that serve the device to the outside (edgeHub, the API
 * proxy) the device's host name: else ERR_DENIED (A4).
 *   module       hub's module id, with its `$`
 *   common_name  DNS name or IP address; over 64 characters it is cut in the subject, whole as SAN
 */
enum err_code module_certs_server(const struct module_certs *c, const char *module,
    const char *generation, const char *common_name, struct edged_cert_resp *ret,
    struct err *err) MUST_CHECK;

/* A client certificate that names the module by the URI azureiot://HUB/devices/DEVICE/modules/MODULE. */
enum err_code module_certs_identity(const struct module_certs *c, const char *module,
    const struct module_identity *identity, struct edged_cert_resp *ret,
    struct err *err) MUST_CHECK;

/* One key and one request, so that libcrypto has loaded what it needs before the policy. */
enum err_code module_certs_warm_up(struct err *err) MUST_CHECK;

#endif
