#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/mem.h"

/*
 * Certificates and requests; no I/O.  Keys are EVP_PKEY, so one that lives in keyd by the provider serves as well as a local one.
 */

void x509_keyp(EVP_PKEY **key); /* EVP_PKEY_free, X509_free, X509_REQ_free for AUTO() */
void x509_certp(X509 **cert);
void x509_reqp(X509_REQ **req);
void x509_chainp(STACK_OF(X509) * *chain);

struct x509_subject_entry {
	const char *name;  /* short or long name or OID */
	const char *value; /* UTF-8 */
};

/*
 * A subject in the order given; CN is cut to 64 characters (never within a UTF-8 sequence; S11), other values too long are ERR_INVALID.
 */
enum err_code x509_subject(const struct x509_subject_entry *entries, size_t n, X509_NAME **ret,
    struct err *err) MUST_CHECK;

enum x509_profile {
	X509_PLAIN,   /* no extension: device identity (identityd.md 5) */
	X509_EDGE_CA, /* KU critical digitalSignature+keyCertSign, BC critical CA:TRUE pathlen 0 (edged-workload.md 3.4) */
	X509_SERVER,  /* EKU serverAuth; SANs (edged-workload.md 3.2) */
	X509_CLIENT,  /* EKU clientAuth; SANs */
	X509_LOCAL_CLIENT, /* local identity: BC critical CA:FALSE, KU critical, EKU critical clientAuth (identityd.md 5) */
	X509_LOCAL_SERVER, /* the same with serverAuth besides */
};

struct x509_san {
	enum { X509_SAN_DNS, X509_SAN_IP, X509_SAN_URI } kind;
	const char *value;
};

/* A PKCS#10 request, version 0, signed with SHA-256, as PEM. */
enum err_code x509_request(EVP_PKEY *key, const X509_NAME *subject, enum x509_profile profile,
    const struct x509_san *sans, size_t n_sans, char **ret_pem, struct err *err) MUST_CHECK;

/* Read one request; its own signature is verified.  ERR_SYNTAX: not PEM or DER.  ERR_DENIED: signature wrong. */
enum err_code x509_request_read(struct text pem, X509_REQ **ret, struct err *err) MUST_CHECK;
/* Every certificate of a PEM text, leaf first; ERR_SYNTAX when there is none. */
enum err_code x509_chain_read(struct text pem, STACK_OF(X509) * *ret, struct err *err) MUST_CHECK;
enum err_code x509_chain_write(
    const STACK_OF(X509) * chain, char **ret_pem, struct err *err) MUST_CHECK;

struct x509_issue {
	X509_REQ *request;
	const X509_NAME *subject; /* NULL: the request's */
	X509 *issuer;		  /* NULL: self-signed */
	EVP_PKEY *issuer_key;
	int64_t lifetime_s; /* from now; cut to the issuer's notAfter */
	bool allow_ca;	    /* else a request for CA:TRUE is refused with ERR_DENIED */
};

/*
 * Issue: version 3, random positive 128-bit serial, notBefore now, the request's extensions (certd.md 2.1), SKID and AKID added when
 * missing, SHA-256.  The issuer must itself be a CA and its key must match.
 */
enum err_code x509_issue_cert(const struct x509_issue *in, X509 **ret, struct err *err) MUST_CHECK;

/* notAfter and notBefore in Unix seconds. */
enum err_code x509_times(
    const X509 *cert, int64_t *ret_not_before, int64_t *ret_not_after, struct err *err) MUST_CHECK;
enum err_code x509_common_name(const X509_NAME *name, char **ret, struct err *err) MUST_CHECK;

enum x509_key_kind {
	X509_KEY_EC_P256,
	X509_KEY_EC_P384,
	X509_KEY_ED25519,
	X509_KEY_RSA_2048,
	X509_KEY_RSA_3072,
	X509_KEY_RSA_4096,
};
enum err_code x509_key_new(enum x509_key_kind kind, EVP_PKEY **ret, struct err *err) MUST_CHECK;
enum err_code x509_key_write(
    EVP_PKEY *key, struct bytes *ret_pem, struct err *err) MUST_CHECK; /* PKCS#8 PEM, unencrypted */
enum err_code x509_key_read(struct text pem, EVP_PKEY **ret, struct err *err) MUST_CHECK;

#endif
