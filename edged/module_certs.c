#include "edged/module_certs.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "crypto/x509.h"

/* Modules that stand for the device towards others on its network, and so may carry its name. */
static const char *const gateways[] = { "edgeHub", "IoTEdgeAPIProxy" };

static const char *
container_name(const char *module)
{
	return module + strspn(module, "$");
}

static bool
may_carry(const struct module_certs *c, const char *module, const char *name)
{
	if (strcasecmp(name, container_name(module)) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(gateways); i++)
		if (strcmp(container_name(module), gateways[i]) == 0)
			return strcasecmp(name, c->hostname) == 0;
	return false;
}

static bool
is_ip(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static void
namep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

/* A key and a request for it. */
static enum err_code
make_request(const char *common_name, enum x509_profile profile, const struct x509_san *sans,
    size_t n_sans, struct bytes *ret_key, char **ret_csr, struct err *err)
{
	const struct x509_subject_entry subject = { "CN", common_name };
	AUTO(x509_keyp) EVP_PKEY *key = NULL;
	AUTO(namep) X509_NAME *name = NULL;
	AUTO(bytes_done) struct bytes pem = { 0 };

	if (x509_key_new(X509_KEY_EC_P256, &key, err) || x509_key_write(key, &pem, err))
		return err_wrap(err, "failed to generate csr keys");
	if (x509_subject(&subject, 1, &name, err))
		return err_wrap(err, "failed to generate csr subject");
	if (x509_request(key, name, profile, sans, n_sans, ret_csr, err))
		return err_wrap(err, "failed to generate csr");
	*ret_key = bytes_take(&pem);
	return ERR_OK;
}

static enum err_code
expiration_of(const char *pem, char **ret, struct err *err)
{
	AUTO(x509_chainp) STACK_OF(X509) *chain = NULL;
	char text[CLOCK_RFC3339_LEN];
	int64_t not_before, not_after = 0;

	if (x509_chain_read(text_of(pem), &chain, err))
		return err_wrap(err, "failed to parse cert");
	if (x509_times(sk_X509_value(chain, 0), &not_before, &not_after, err))
		return err_wrap(err, "invalid cert created");
	clock_rfc3339(not_after, "+00:00", text);
	return str_copy(ret, text, err);
}

/* Have certd issue the request under this id, and fill the answer. */
static enum err_code
issue(const struct module_certs *c, const char *id, const char *csr, struct bytes *key,
    struct edged_cert_resp *ret, struct err *err)
{
	AUTO(edged_cert_resp_done) struct edged_cert_resp resp = { 0 };
	AUTO(str_freep) char *handle = NULL;

	if (keyd_client_load_key_pair(c->keyd, c->edge_ca_key, &handle, err))
		return err_wrap(err, "failed to get edge CA key");
	if (certd_client_create(c->certd, id, csr, c->edge_ca_cert, handle, &resp.certificate, err))
		return err_wrap(err, "failed to create cert %s", id);
	if (expiration_of(resp.certificate, &resp.expiration, err) ||
	    str_copy(&resp.private_key.type, "key", err))
		return err->code;
	resp.private_key.bytes = (char *)key->data;
	*key = (struct bytes){ 0 };
	*ret = resp;
	resp = (struct edged_cert_resp){ 0 };
	return ERR_OK;
}

enum err_code
module_certs_server(const struct module_certs *c, const char *module, const char *generation,
    const char *common_name, struct edged_cert_resp *ret, struct err *err)
{
	const struct x509_san sans[] = {
		{ is_ip(common_name) ? X509_SAN_IP : X509_SAN_DNS, common_name },
		{ X509_SAN_DNS, container_name(module) },
	};
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(str_freep) char *csr = NULL;
	AUTO(str_freep) char *id = NULL;

	if (!may_carry(c, module, common_name))
		return err_set(err, ERR_DENIED, "module %s may not carry that name", module);
	if (make_request(common_name, X509_SERVER, sans, ARRAY_LEN(sans), &key, &csr, err) ||
	    str_format(
		&id, err, "aziot-edged/module/%s:%s:server", container_name(module), generation))
		return err->code;
	return issue(c, id, csr, &key, ret, err);
}

enum err_code
module_certs_identity(const struct module_certs *c, const char *module,
    const struct module_identity *identity, struct edged_cert_resp *ret, struct err *err)
{
	AUTO(str_freep) char *uri = NULL;
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(str_freep) char *csr = NULL;
	AUTO(str_freep) char *id = NULL;
	struct x509_san san = { X509_SAN_URI, NULL };

	if (str_format(&uri, err, "azureiot://%s/devices/%s/modules/%s", identity->hub_name,
		identity->device_id, module))
		return err->code;
	san.value = uri;
	if (make_request(module, X509_CLIENT, &san, 1, &key, &csr, err) ||
	    str_format(&id, err, "aziot-edged/module/%s:identity", module))
		return err->code;
	return issue(c, id, csr, &key, ret, err);
}

enum err_code
module_certs_warm_up(struct err *err)
{
	const struct x509_san san = { X509_SAN_DNS, "localhost" };
	AUTO(bytes_done) struct bytes key = { 0 };
	AUTO(str_freep) char *csr = NULL;

	return make_request("localhost", X509_SERVER, &san, 1, &key, &csr, err);
}
