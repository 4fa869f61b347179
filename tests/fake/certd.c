#include "tests/fake/certd.h"

#include <openssl/x509v3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"

struct certd_client {
	int unused;
};

static struct {
	char *id, *pem;
} certs[64];
static size_t n_certs;
static struct err fault;
static char last_issuer[1024];
static EVP_PKEY *ca_key;
static X509 *ca;
static char *ca_pem;

void
fake_certd_reset(void)
{
	for (; n_certs > 0; n_certs--) {
		str_freep(&certs[n_certs - 1].id);
		str_freep(&certs[n_certs - 1].pem);
	}
	err_clear(&fault);
	last_issuer[0] = '\0';
}

void
fake_certd_put(const char *id, const char *pem)
{
	size_t i = 0;

	while (i < n_certs && strcmp(certs[i].id, id) != 0)
		i++;
	if (i == ARRAY_LEN(certs))
		abort();
	if (i == n_certs)
		certs[n_certs++].id = strdup(id);
	str_freep(&certs[i].pem);
	certs[i].pem = strdup(pem);
}

const char *
fake_certd_get(const char *id)
{
	for (size_t i = 0; i < n_certs; i++)
		if (strcmp(certs[i].id, id) == 0)
			return certs[i].pem;
	return NULL;
}

/* The only profile of a CA allows none below it; an Edge CA is one. */
static void
let_cas_be_below(void)
{
	X509_EXTENSION *any =
	    X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

	X509_EXTENSION_free(
	    X509_delete_ext(ca, X509_get_ext_by_NID(ca, NID_basic_constraints, -1)));
	X509_add_ext(ca, any, -1);
	X509_EXTENSION_free(any);
	X509_sign(ca, ca_key, EVP_sha256());
}

static enum err_code
make_ca(struct err *err)
{
	const struct x509_subject_entry cn = { "CN", "fake CA" };
	AUTO(x509_reqp) X509_REQ *request = NULL;
	AUTO(str_freep) char *csr = NULL;
	STACK_OF(X509) * chain;
	X509_NAME *name = NULL;

	if (ca_pem)
		return ERR_OK;
	if (x509_key_new(X509_KEY_EC_P256, &ca_key, err) || x509_subject(&cn, 1, &name, err))
		return err->code;
	if (x509_request(ca_key, name, X509_EDGE_CA, NULL, 0, &csr, err) ||
	    x509_request_read(text_of(csr), &request, err) ||
	    x509_issue_cert(&(struct x509_issue){ .request = request,
				.issuer_key = ca_key,
				.lifetime_s = 86400,
				.allow_ca = true },
		&ca, err)) {
		X509_NAME_free(name);
		return err->code;
	}
	X509_NAME_free(name);
	let_cas_be_below();
	chain = sk_X509_new_null();
	sk_X509_push(chain, ca);
	if (x509_chain_write(chain, &ca_pem, err))
		ca_pem = NULL;
	sk_X509_free(chain);
	return ca_pem ? ERR_OK : err->code;
}

const char *
fake_certd_ca(void)
{
	struct err err = { 0 };

	if (make_ca(&err))
		abort();
	return ca_pem;
}

const char *
fake_certd_last_issuer(void)
{
	return last_issuer;
}

void
fake_certd_fail(enum err_code code, uint16_t status, const char *text)
{
	fault.code = code;
	fault.status = status;
	snprintf(fault.text, sizeof(fault.text), "%s", text ? text : "");
}

static enum err_code
begin(struct err *err)
{
	if (fault.code)
		*err = fault;
	return fault.code;
}

enum err_code
certd_client_new(
    const struct unix_client_config *config, struct certd_client **ret, struct err *err)
{
	(void)config;
	*ret = calloc(1, sizeof(**ret));
	return *ret ? ERR_OK : err_nomem(err);
}

void
certd_client_free(struct certd_client *c)
{
	free(c);
}

static enum err_code
issue(const char *csr_pem, char **ret_pem, struct err *err)
{
	AUTO(x509_reqp) X509_REQ *request = NULL;
	AUTO(x509_certp) X509 *cert = NULL;
	STACK_OF(X509) * chain;
	enum err_code code;

	if (make_ca(err) || x509_request_read(text_of(csr_pem), &request, err) ||
	    x509_issue_cert(&(struct x509_issue){ .request = request,
				.issuer = ca,
				.issuer_key = ca_key,
				.lifetime_s = 86400,
				.allow_ca = true },
		&cert, err))
		return err->code;
	chain = sk_X509_new_null();
	sk_X509_push(chain, cert);
	sk_X509_push(chain, ca);
	code = x509_chain_write(chain, ret_pem, err);
	sk_X509_free(chain);
	return code;
}

enum err_code
certd_client_create(struct certd_client *c, const char *id, const char *csr_pem,
    const char *issuer_id, const char *issuer_key_handle, char **ret_pem, struct err *err)
{
	(void)c;
	snprintf(last_issuer, sizeof(last_issuer), "%s%s%s", issuer_id ? issuer_id : "",
	    issuer_id ? "|" : "", issuer_id ? issuer_key_handle : "");
	if (begin(err) || issue(csr_pem, ret_pem, err))
		return err->code;
	fake_certd_put(id, *ret_pem);
	return ERR_OK;
}

enum err_code
certd_client_get(struct certd_client *c, const char *id, char **ret_pem, struct err *err)
{
	const char *pem = fake_certd_get(id);

	(void)c;
	if (begin(err))
		return err->code;
	if (pem)
		return str_copy(ret_pem, pem, err);
	err_set(err, ERR_PEER, "parameter \"id\" has an invalid value\ncaused by: not found");
	err->status = 400;
	return err->code;
}

enum err_code
certd_client_import(struct certd_client *c, const char *id, const char *pem, struct err *err)
{
	(void)c;
	if (begin(err))
		return err->code;
	fake_certd_put(id, pem);
	return ERR_OK;
}

enum err_code
certd_client_delete(struct certd_client *c, const char *id, struct err *err)
{
	(void)c;
	if (begin(err))
		return err->code;
	for (size_t i = 0; i < n_certs; i++)
		if (strcmp(certs[i].id, id) == 0) {
			str_freep(&certs[i].id);
			str_freep(&certs[i].pem);
			certs[i] = certs[--n_certs];
			break;
		}
	return ERR_OK;
}
