#include "certd/issue.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"
#include "provider/provider.h"

#define DAY_S ((int64_t)24 * 3600)

/* Who signs: a key, and the chain whose first certificate is that key's; no chain: self-signed. */
struct issuer {
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
};

static void
issuer_done(struct issuer *issuer)
{
	x509_keyp(&issuer->key);
	x509_chainp(&issuer->chain);
}

static void
namep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

/* --- who signs */

static enum err_code
read_chain(const char *pem, struct issuer *issuer, struct err *err)
{
	if (x509_chain_read(text_of(pem), &issuer->chain, err))
		return err_wrap_code(err, ERR_INTERNAL, "issuer certificate is unusable");
	return ERR_OK;
}

static enum err_code
find_requested(struct store *store, const struct certd_config *config,
    const struct issue_request *req, struct issuer *ret, struct err *err)
{
	AUTO(str_freep) char *pem = NULL;
	enum err_code code = store_read(store, config, req->issuer_id, &pem, err);

	if (code == ERR_NOT_FOUND)
		return err_param(err, "issuer.certId");
	if (code || read_chain(pem, ret, err))
		return err->code;
	return provider_key_by_handle(req->issuer_handle, &ret->key, err);
}

static enum err_code
find_local_ca(
    struct store *store, const struct certd_config *config, struct issuer *ret, struct err *err)
{
	const struct certd_local_ca *ca = config->issuance.local_ca;
	AUTO(str_freep) char *pem = NULL;

	if (!ca)
		return err_set(err, ERR_INTERNAL, "cert_issuance.local_ca is not configured");
	if (store_read(store, config, ca->cert, &pem, err))
		return err_wrap(err, "certificate of the local CA");
	if (read_chain(pem, ret, err))
		return err->code;
	return provider_key_by_id(ca->pk, &ret->key, err);
}

static enum err_code
find_configured(struct store *store, const struct certd_config *config,
    const struct issue_request *req, struct issuer *ret, struct err *err)
{
	const struct certd_rule *rule = certd_config_rule(config, req->id);

	if (!rule)
		return err_set(err, ERR_INTERNAL, "no issuance method is configured");
	switch ((enum certd_method)rule->method) {
	case CERTD_SELF_SIGNED:
		return provider_key_by_id(req->id, &ret->key, err);
	case CERTD_LOCAL_CA:
		return find_local_ca(store, config, ret, err);
	case CERTD_EST:
		break;
	}
	return err_set(err, ERR_INTERNAL, "issuance by EST is not part of this version");
}

/* --- what is signed */

/* The subject that the configuration prescribes; NULL: the request's. */
static enum err_code
subject_of(const struct certd_rule *rule, X509_NAME **ret, struct err *err)
{
	struct x509_subject_entry common_name = { "CN", rule ? rule->common_name : NULL };
	struct x509_subject_entry *entries;
	enum err_code code;

	if (!rule || (!rule->common_name && rule->subject.n == 0))
		return ERR_OK;
	if (rule->common_name)
		return x509_subject(&common_name, 1, ret, err);
	entries = calloc(rule->subject.n, sizeof(*entries));
	if (!entries)
		return err_nomem(err);
	for (size_t i = 0; i < rule->subject.n; i++)
		entries[i] = (struct x509_subject_entry){ rule->subject.at[i].key,
			rule->subject.at[i].value };
	code = x509_subject(entries, rule->subject.n, ret, err);
	free(entries);
	return code;
}

static enum err_code
sign(const struct certd_config *config, const struct issue_request *req, X509_REQ *csr,
    const struct issuer *issuer, X509 **ret, struct err *err)
{
	const struct certd_rule *rule = certd_config_rule(config, req->id);
	AUTO(namep) X509_NAME *subject = NULL;
	struct x509_issue in = {
		.request = csr,
		.issuer = issuer->chain ? sk_X509_value(issuer->chain, 0) : NULL,
		.issuer_key = issuer->key,
		.lifetime_s = (rule ? rule->expiry_days : CERTD_EXPIRY_DAYS) * DAY_S,
		.allow_ca = certd_may_be_ca(config, req->id),
	};
	struct err at_keyd = { 0 };

	if (subject_of(rule, &subject, err))
		return err_wrap_code(err, ERR_INTERNAL, "configured subject");
	in.subject = subject;
	switch (x509_issue_cert(&in, ret, err)) {
	case ERR_OK:
		return ERR_OK;
	case ERR_DENIED:
		return err_param(err, "csr");
	default:
		if (provider_last_error(&at_keyd))
			*err = at_keyd;
		return err_wrap_code(err, ERR_INTERNAL, "could not sign");
	}
}

/* The new certificate, then its issuers (contracts/certd.md 2.1, output). */
static enum err_code
chain_text(X509 *cert, STACK_OF(X509) * issuers, char **ret, struct err *err)
{
	STACK_OF(X509) *all = issuers ? sk_X509_dup(issuers) : sk_X509_new_null();
	enum err_code code;

	if (!all || sk_X509_unshift(all, cert) == 0)
		code = err_nomem(err);
	else
		code = x509_chain_write(all, ret, err);
	sk_X509_free(all); /* borrows its certificates */
	return code;
}

/* Everything but the wrong parameters, which have their own text. */
static enum err_code
internal(const struct issue_request *req, struct err *err)
{
	if (err->code == ERR_INVALID)
		return err->code;
	return err_wrap_code(err, ERR_INTERNAL, "could not issue certificate %s", req->id);
}

enum err_code
issue_certificate(struct store *store, const struct certd_config *config,
    const struct issue_request *req, char **ret_pem, struct err *err)
{
	AUTO(issuer_done) struct issuer issuer = { 0 };
	AUTO(x509_reqp) X509_REQ *csr = NULL;
	AUTO(x509_certp) X509 *cert = NULL;
	AUTO(str_freep) char *pem = NULL;

	if (x509_request_read(req->csr, &csr, err))
		return err_param(err, "csr");
	if (store_writable(store, config, req->id, err))
		return err->code == ERR_INVALID ? err_param(err, "certId") : internal(req, err);
	if ((req->issuer_id ? find_requested(store, config, req, &issuer, err)
			    : find_configured(store, config, req, &issuer, err)) ||
	    sign(config, req, csr, &issuer, &cert, err) ||
	    chain_text(cert, issuer.chain, &pem, err) ||
	    store_write(store, config, req->id, text_of(pem), err))
		return internal(req, err);
	*ret_pem = pem;
	pem = NULL;
	return ERR_OK;
}
