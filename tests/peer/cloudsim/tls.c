#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "tests/peer/cloudsim/sim.h"

#define CA_DAYS	    3650
#define SERVER_DAYS 397

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

static void
identity_done(struct identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->cert);
}

static bool
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool good;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	good = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return good;
}

static bool
set_serial(X509 *cert)
{
	uint8_t random[16];
	BIGNUM *number = NULL;
	bool good;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	random[0] &= 0x7f;
	number = BN_bin2bn(random, sizeof(random), NULL);
	good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	return good;
}

/* A certificate for a fresh P-256 key; issuer NULL: for itself, as a CA. */
static bool
issue(struct identity *id, const char *name, const char *sans, const struct identity *issuer)
{
	X509 *by = NULL;
	X509_NAME *subject;

	id->key = EVP_EC_gen("P-256");
	id->cert = X509_new();
	if (!id->key || !id->cert)
		return false;
	by = issuer ? issuer->cert : id->cert;
	subject = X509_get_subject_name(id->cert);
	if (!X509_set_version(id->cert, X509_VERSION_3) || !set_serial(id->cert) ||
	    !X509_gmtime_adj(X509_getm_notBefore(id->cert), -60) ||
	    !X509_gmtime_adj(
		X509_getm_notAfter(id->cert), 86400L * (issuer ? SERVER_DAYS : CA_DAYS)) ||
	    !X509_set_pubkey(id->cert, id->key) ||
	    !X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0) ||
	    !X509_set_issuer_name(id->cert, X509_get_subject_name(by)) ||
	    !add_extension(id->cert, by, NID_subject_key_identifier, "hash") ||
	    !add_extension(id->cert, by, NID_authority_key_identifier, "keyid"))
		return false;
	if (issuer) {
		if (!add_extension(id->cert, by, NID_basic_constraints, "critical,CA:FALSE") ||
		    !add_extension(id->cert, by, NID_key_usage, "critical,digitalSignature") ||
		    !add_extension(id->cert, by, NID_ext_key_usage, "serverAuth") ||
		    !add_extension(id->cert, by, NID_subject_alt_name, sans))
			return false;
	} else if (!add_extension(
		       id->cert, by, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
		   !add_extension(id->cert, by, NID_key_usage, "critical,keyCertSign,cRLSign")) {
		return false;
	}
	return X509_sign(id->cert, issuer ? issuer->key : id->key, EVP_sha256());
}

/* The content of a memory BIO as a string. */
static enum err_code
take_bio(BIO *bio, char **ret, struct err *err)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);

	return str_format(ret, err, "%.*s", (int)len, data);
}

static enum err_code
to_pem(const struct identity *id, const X509 *behind, char **ret_certs, char **ret_key,
    struct err *err)
{
	BIO *certs = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	err_clear(err);
	if (!certs || !key || !PEM_write_bio_X509(certs, id->cert) ||
	    (behind && !PEM_write_bio_X509(certs, behind)) ||
	    !PEM_write_bio_PKCS8PrivateKey(key, id->key, NULL, NULL, 0, NULL, NULL))
		err_set(err, ERR_CRYPTO, "could not write a certificate");
	else if (!take_bio(certs, ret_certs, err) && take_bio(key, ret_key, err))
		str_freep(ret_certs);
	BIO_free(certs);
	BIO_free(key);
	return err->code;
}

/* The CA of an earlier run, so that what trusts it goes on trusting. */
static enum err_code
load_ca(const char *cert_path, const char *key_path, struct identity *ret, struct err *err)
{
	AUTO(bytes_done) struct bytes cert = { 0 }, key = { 0 };
	BIO *from;

	if (file_read(cert_path, 65536, &cert, err) || file_read(key_path, 65536, &key, err))
		return err->code;
	from = BIO_new_mem_buf(cert.data, (int)cert.len);
	ret->cert = PEM_read_bio_X509(from, NULL, NULL, NULL);
	BIO_free(from);
	from = BIO_new_mem_buf(key.data, (int)key.len);
	ret->key = PEM_read_bio_PrivateKey(from, NULL, NULL, NULL);
	BIO_free(from);
	if (!ret->cert || !ret->key || X509_check_private_key(ret->cert, ret->key) != 1)
		return err_set(
		    err, ERR_CRYPTO, "%s and %s do not belong together", cert_path, key_path);
	return ERR_OK;
}

static enum err_code
make_ca(const char *cert_path, const char *key_path, struct identity *ret, struct err *err)
{
	AUTO(str_freep) char *cert = NULL, *key = NULL;

	if (!issue(ret, "edgekeep-cloudsim test CA", NULL, NULL))
		return err_set(err, ERR_CRYPTO, "could not make a CA");
	if (to_pem(ret, NULL, &cert, &key, err) ||
	    file_write(key_path, 0600, key, strlen(key), err) ||
	    file_write(cert_path, 0644, cert, strlen(cert), err))
		return err->code;
	return ERR_OK;
}

/* "a.demo,127.0.0.1" as "DNS:a.demo,IP:127.0.0.1" */
static enum err_code
alt_names(const char *names, char **ret, struct err *err)
{
	AUTO(buf_done) struct buf out = { 0 };

	while (*names) {
		size_t len = strcspn(names, ",");
		uint8_t address[16];
		char one[256];

		snprintf(one, sizeof(one), "%.*s", (int)len, names);
		buf_printf(&out, "%s%s:%s", out.len ? "," : "",
		    inet_pton(AF_INET, one, address) == 1 || inet_pton(AF_INET6, one, address) == 1
			? "IP"
			: "DNS",
		    one);
		names += len + (names[len] == ',');
	}
	return buf_take_string(&out, ret, err);
}

enum err_code
tls_prepare(const char *dir, const char *names, char **ret_chain, char **ret_key, struct err *err)
{
	AUTO(identity_done) struct identity ca = { 0 }, server = { 0 };
	AUTO(str_freep) char *cert_path = NULL, *key_path = NULL, *sans = NULL, *first = NULL;

	if (file_mkdirs(dir, 0755, err) || str_format(&cert_path, err, "%s/ca.pem", dir) ||
	    str_format(&key_path, err, "%s/ca.key", dir) || alt_names(names, &sans, err) ||
	    str_format(&first, err, "%.*s", (int)strcspn(names, ","), names))
		return err->code;
	if (load_ca(cert_path, key_path, &ca, err)) {
		if (err->code != ERR_NOT_FOUND)
			return err->code;
		identity_done(&ca);
		ca = (struct identity){ 0 };
		if (make_ca(cert_path, key_path, &ca, err))
			return err->code;
	}
	if (!issue(&server, first, sans, &ca))
		return err_set(
		    err, ERR_CRYPTO, "could not make a server certificate for %s", names);
	return to_pem(&server, ca.cert, ret_chain, ret_key, err);
}
